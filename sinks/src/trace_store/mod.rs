//! The trace store's questions, the same whatever keeps the records.
//!
//! Refuses to know: Parquet, SQL.

pub mod embedded;

use record::{InstantMs, Lsn};

/// A stored record: the frame and what was known when it came. Columns are read again with the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRow {
    /// Position in the journal.
    pub lsn: Lsn,
    /// When it was received.
    pub recv_ms: Option<InstantMs>,
    /// Event time, or receive time where there is none.
    pub event_ms: InstantMs,
    /// Who sent it: `input/peer`.
    pub source: String,
    /// Name of its format.
    pub format: String,
    /// [`record::RowFlags`].
    pub flags: u16,
    /// The masked frame.
    pub frame: String,
}

/// What to search for; all given conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// First event time, inclusive.
    pub from_ms: Option<InstantMs>,
    /// Last event time, exclusive.
    pub to_ms: Option<InstantMs>,
    /// Column `merchant_no`.
    pub merchant: Option<String>,
    /// Column `channel`.
    pub channel: Option<String>,
    /// Column `order_status`.
    pub status: Option<String>,
    /// Column `response_code`.
    pub code: Option<String>,
    /// Column `module`.
    pub module: Option<String>,
    /// Found anywhere in the message.
    pub text: Option<String>,
    /// Rows at most (newest first).
    pub limit: usize,
}

/// Rows of an answer and whether there were more than the limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Trails: by event time, ties by LSN, oldest first. Searches: newest first.
    pub rows: Vec<TraceRow>,
    /// The limit cut the answer.
    pub truncated: bool,
}

/// A store that cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Reading or writing a file failed.
    #[error("trace store: {path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("trace store: {path}: {message}")]
    Corrupt {
        /// Which file.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// Writing fails and the buffer is full: nothing more is taken. Stop feeding, let the store try again, and
    /// feed again from `stored_lsn + 1`.
    #[error(
        "trace store: {buffered_bytes} bytes wait to be written and no more are taken; feed again after record {stored_lsn} when writing works"
    )]
    Behind {
        /// Bytes that wait in memory.
        buffered_bytes: usize,
        /// Everything up to it is in files.
        stored_lsn: Lsn,
    },
    /// The writer was told to make no files.
    #[error(
        "trace store: the disk is nearly full; records wait in memory and in the journal until there is room"
    )]
    NoRoom,
    /// A record without a position in the journal cannot be told from its repetition.
    #[error("trace store: a record without an LSN: number it before it is stored")]
    Unnumbered,
}

/// Answers questions about records; cheap to clone, safe to share.
pub trait TraceReader: Send + Sync {
    /// All records whose order_no, serial_no, channel_serial_no or trace_id is `id`; at most `limit`.
    fn trail(&self, id: &str, limit: usize) -> Result<Found, TraceError>;
    /// Records that satisfy `search`.
    fn search(&self, search: &Search) -> Result<Found, TraceError>;
}
