//! From a frame to a row: charset, escapes, header, columns, types, mask. stub
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Batch, FormatId, FormatSet, IllTyped, InstantMs, Lsn, RowFlags};

/// How lines reach a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// As modules print them, no syslog header, one a line.
    File,
    /// With or without a syslog header, told apart line by line.
    Syslog,
}

/// Why a line is kept as `plain` although another format was asked for or looked likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PlainReason {
    /// The listener's format wants a delimiter and the line has none.
    NoDelimiter,
    /// The line has the delimiter but no readable time and too few columns to be a record of the format.
    NoTime,
    /// More than 1,024 columns.
    TooManyColumns,
}

/// What a decoder counted since it was last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Rows made, by format.
    pub records: BTreeMap<FormatId, u64>,
    /// Ill-typed values, by format, column and reason.
    pub ill_typed: BTreeMap<(FormatId, u16, IllTyped), u64>,
    /// Lines kept as `plain` for a reason.
    pub plain: BTreeMap<PlainReason, u64>,
    /// Short lines, by format.
    pub short: BTreeMap<FormatId, u64>,
    /// Long lines, by format.
    pub long: BTreeMap<FormatId, u64>,
    /// Frames cut at the bound.
    pub truncated: u64,
    /// Frames transcoded from GB18030.
    pub transcoded: u64,
    /// Card numbers masked.
    pub cards_masked: u64,
    /// Frames joined to the one before (continuation).
    pub continued: u64,
}

/// Decodes frames of one connection (continuation needs to know which frame came before).
#[derive(Debug)]
pub struct Decoder {
    _formats: Arc<FormatSet>,
}

impl Decoder {
    /// `format`: what the listener says its lines are; `None` decides line by line.
    pub fn new(formats: Arc<FormatSet>, _transport: Transport, _format: Option<FormatId>) -> Self {
        Self { _formats: formats }
    }

    /// Decodes a frame as received and appends its row (none yet if it may be continued; none if it is empty).
    pub fn push(&mut self, _batch: &mut Batch, _source: u16, _frame: &[u8], _recv_ms: Option<InstantMs>, _truncated: bool) {
        todo!()
    }

    /// Appends a frame that waited for a continuation. Call it when the connection is idle or at its end.
    pub fn flush(&mut self, _batch: &mut Batch, _source: u16) {
        todo!()
    }

    /// Decodes a frame that [`Decoder::push`] made before (from the journal or the trace store): masked, UTF-8,
    /// unescaped, so none of that is done again. `format` is the one the row had. The row equals the one that
    /// `push` made.
    pub fn push_stored(
        &mut self,
        _batch: &mut Batch,
        _source: u16,
        _format: FormatId,
        _frame: &[u8],
        _lsn: Lsn,
        _recv_ms: Option<InstantMs>,
        _flags: RowFlags,
    ) {
        todo!()
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> DecodeCounts {
        todo!()
    }
}
