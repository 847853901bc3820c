//! Bytes in, typed records out: framing, the syslog header, the line grammar, masking.
//!
//! The path of one line: [`Framer`] finds a frame in a stream, [`Decoder`] turns the frame into a row of a
//! [`Batch`] (charset, escapes, header, columns, type check, mask), [`RecordRef`] reads it.
//! Refuses to know: sockets, files, clocks, threads, rules. Everything here is a pure function of its input.

mod batch;
mod decode;
mod dump;
mod format;
mod frame;
pub mod grammar;
mod mask;
mod split;
mod syslog;
mod time;
mod value;

pub use batch::{Batch, RecordRef, Row, RowFlags, Span};
pub use decode::{DecodeCounts, Decoder, Glance, PlainReason, Transport};
pub use dump::dump;
pub use format::{
    Column, ColumnConfig, ColumnType, DetectConfig, Encoding, FieldHint, Format, FormatConfig, FormatError,
    FormatId, FormatSet, GrammarConfig, MaskRule,
};
pub use frame::{FrameFault, Framer, Step};
pub use mask::mask_cards;
pub use split::split;
pub use syslog::{Header, SyslogTime, parse_header};
pub use time::parse_timestamp;
pub use value::{Decimal, IllTyped, Value, ValueKey, rfc3339_ms};

/// An instant: milliseconds since the epoch, UTC.
pub type InstantMs = i64;
/// Position in the journal; dense, starts at 1.
pub type Lsn = u64;
