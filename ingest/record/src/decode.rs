//! From a frame to a row: charset, header, escapes, columns, mask, types.
//!
//! Masking comes before the type check, so that a stored frame, which is masked, reads as it did the first time.
//! Refuses to know: how frames are found, and what becomes of rows.

mod charset;
mod choose;
mod counts;
mod glance;
mod lay_out;

use std::sync::Arc;

pub use counts::DecodeCounts;
pub(crate) use counts::reason;
pub use glance::Glance;

use crate::format::{Format, Grammar};
use crate::syslog::{Header, parse_header};
use crate::time::OffsetCache;
use crate::{Batch, Encoding, FormatId, FormatSet, InstantMs, Lsn, Row, RowFlags, Span};
use choose::Choice;
use counts::Tally;

/// How lines reach a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// As modules print them, no syslog header, one a line; or as rsyslog writes them into files.
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

/// A frame that continuations make longer than this is not continued further: what follows is a frame of its own.
const JOINED_BYTES_MAX: usize = 1024 * 1024;

/// Decodes frames of one connection (continuation needs to know which frame came before).
#[derive(Debug)]
pub struct Decoder {
    formats: Arc<FormatSet>,
    pinned: Option<FormatId>,
    /// By format: the offset of its time column's zone.
    offsets: Vec<OffsetCache>,
    tally: Tally,
    /// Whether any format that a line may have continues frames.
    continues: bool,
    /// Whether any of them reads escapes back.
    unescapes: bool,
    waiting: Option<Waiting>,
    scratch: Vec<u8>,
}

/// A frame that may be continued: UTF-8, not yet unescaped nor masked.
#[derive(Debug)]
struct Waiting {
    frame: Vec<u8>,
    recv_ms: Option<InstantMs>,
    flags: RowFlags,
}

/// What is known of a frame besides its bytes.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    source: u16,
    lsn: Lsn,
    recv_ms: Option<InstantMs>,
    flags: RowFlags,
}

impl Decoder {
    /// `format`: what the listener says its lines are; `None` decides line by line. The transport makes no
    /// difference to how a line is read: files may hold lines with and without header, too.
    pub fn new(formats: Arc<FormatSet>, _transport: Transport, format: Option<FormatId>) -> Self {
        let any = |has: fn(&Format) -> bool| match format {
            Some(id) => has(formats.get(id)),
            None => formats.iter().any(|(_, f)| has(f)),
        };
        Self {
            continues: any(|f| f.continuation),
            unescapes: any(|f| f.unescape),
            offsets: vec![OffsetCache::new(); formats.len()],
            tally: Tally::new(&formats),
            formats,
            pinned: format,
            waiting: None,
            scratch: Vec::new(),
        }
    }

    /// Decodes a frame as received and appends its row (none yet if it may be continued; none if it is empty).
    pub fn push(
        &mut self,
        batch: &mut Batch,
        source: u16,
        frame: &[u8],
        recv_ms: Option<InstantMs>,
        truncated: bool,
    ) {
        let frame = frame.strip_suffix(b"\n").unwrap_or(frame);
        let frame = frame.strip_suffix(b"\r").unwrap_or(frame);
        let frame = frame.strip_suffix(b"\0").unwrap_or(frame);
        if frame.is_empty() {
            return;
        }
        let mut flags = RowFlags::default();
        if truncated {
            flags.set(RowFlags::TRUNCATED);
        }
        if self.continues {
            return self.push_waiting(batch, source, frame, recv_ms, flags);
        }
        let base = batch.bytes.len();
        charset::append_utf8(&mut batch.bytes, frame, self.encoding(), &mut flags);
        self.emit(batch, base, Arrival { source, lsn: 0, recv_ms, flags });
    }

    /// Appends a frame that waited for a continuation. Call it when the connection is idle or at its end.
    pub fn flush(&mut self, batch: &mut Batch, source: u16) {
        if let Some(waiting) = self.waiting.take() {
            let base = batch.bytes.len();
            batch.bytes.extend_from_slice(&waiting.frame);
            let Waiting { recv_ms, flags, .. } = waiting;
            self.emit(batch, base, Arrival { source, lsn: 0, recv_ms, flags });
        }
    }

    /// Whether a frame waits for its continuation.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Decodes a frame that [`Decoder::push`] made before (from the journal or the trace store): masked, UTF-8,
    /// unescaped, so none of that is done again, and nothing is counted. `format` is the one the row had. The row
    /// equals the one that `push` made.
    #[expect(clippy::too_many_arguments, reason = "all that a journal entry says of a frame")]
    pub fn push_stored(
        &mut self,
        batch: &mut Batch,
        source: u16,
        format: FormatId,
        frame: &[u8],
        lsn: Lsn,
        recv_ms: Option<InstantMs>,
        flags: RowFlags,
    ) {
        let base = batch.bytes.len();
        batch.bytes.extend_from_slice(frame);
        let header = parse_header(frame);
        let spans_start = batch.spans.len();
        if !flags.has(RowFlags::TICK) {
            lay_out::columns(batch, self.formats.get(format), base, &header);
        }
        self.finish(batch, base, &header, spans_start, format, Arrival { source, lsn, recv_ms, flags });
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> DecodeCounts {
        self.tally.take(&self.formats)
    }

    fn encoding(&self) -> Encoding {
        self.pinned.map_or(Encoding::Auto, |id| self.formats.get(id).encoding)
    }

    /// The path of connections on which frames may be continued: the last frame waits for what follows it.
    fn push_waiting(
        &mut self,
        batch: &mut Batch,
        source: u16,
        frame: &[u8],
        recv_ms: Option<InstantMs>,
        mut flags: RowFlags,
    ) {
        let mut text = Vec::with_capacity(frame.len());
        charset::append_utf8(&mut text, frame, self.encoding(), &mut flags);
        let header = parse_header(&text);
        let message = &text[header.message.start as usize..];
        if let Some(waiting) = &mut self.waiting
            && message.starts_with(choose::PIPES)
            && waiting.frame.len() + message.len() <= JOINED_BYTES_MAX
        {
            waiting.frame.extend_from_slice(message);
            waiting.flags.set(flags);
            self.tally.continued += 1;
            return;
        }
        self.flush(batch, source);
        let mut spans = Vec::new();
        let choice = self.choose(&text, &header, 0, &mut spans);
        if self.formats.get(choice.format).continuation {
            self.waiting = Some(Waiting { frame: text, recv_ms, flags });
        } else {
            let base = batch.bytes.len();
            batch.bytes.extend_from_slice(&text);
            self.emit(batch, base, Arrival { source, lsn: 0, recv_ms, flags });
        }
    }

    /// Makes the row of a frame that ends the batch's bytes: UTF-8, as received.
    fn emit(&mut self, batch: &mut Batch, base: usize, mut arrival: Arrival) {
        let mut header = parse_header(&batch.bytes[base..]);
        let spans_start = batch.spans.len();
        // The delimiter itself may be escaped: a format that is known by name is served before the line is split.
        let named = if self.unescapes { self.named(&batch.bytes[base..], &header) } else { None };
        let escaped = named.is_some_and(|id| self.formats.get(id).unescape);
        if escaped {
            self.unescape(batch, base, &mut header, &mut arrival.flags);
        }
        let Batch { bytes, spans, .. } = batch;
        let Choice { format, plain, laid_out } = self.choose(&bytes[base..], &header, base, spans);
        if self.formats.get(format).unescape && !escaped {
            self.unescape(batch, base, &mut header, &mut arrival.flags);
        }
        let described = self.formats.get(format);
        if !laid_out || described.unescape {
            batch.spans.truncate(spans_start);
            lay_out::columns(batch, described, base, &header);
        }
        if let Some(reason) = plain {
            arrival.flags.set(RowFlags::UNPARSABLE);
            self.tally.plain(reason);
        }
        let cards = lay_out::mask(batch, described, base, &header, spans_start, &mut arrival.flags);
        self.tally.cards_masked += cards as u64;
        let (found, wanted) = (batch.spans.len() - spans_start, described.columns().len());
        if found > wanted && described.grammar != Grammar::KeyValue {
            arrival.flags.set(RowFlags::LONG);
        } else if found < wanted {
            arrival.flags.set(RowFlags::SHORT);
        }
        self.finish(batch, base, &header, spans_start, format, arrival);
        let row = batch.rows.last().expect("`finish` has just appended a row");
        self.tally.row(row);
    }

    /// Reads back the escapes of the message, which ends the batch's bytes.
    fn unescape(&mut self, batch: &mut Batch, base: usize, header: &mut Header, flags: &mut RowFlags) {
        let start = base + header.message.start as usize;
        self.scratch.clear();
        if charset::unescape(&batch.bytes[start..], &mut self.scratch) {
            batch.bytes.truncate(start);
            charset::append_utf8(&mut batch.bytes, &self.scratch, Encoding::Auto, flags);
            header.message.end = lay_out::offset(batch.bytes.len() - base);
        }
    }

    /// Checks the types and appends the row.
    fn finish(
        &mut self,
        batch: &mut Batch,
        base: usize,
        header: &Header,
        spans_start: usize,
        format: FormatId,
        arrival: Arrival,
    ) {
        let described = self.formats.get(format);
        let spans = &batch.spans[spans_start..];
        let cache = &mut self.offsets[usize::from(format.0)];
        let (ill_typed, event_ms) = lay_out::check_types(&batch.bytes, described, spans, cache);
        let mut event_ms = event_ms;
        let has_own_time = described.grammar != Grammar::Plain
            && described.time_column().is_some_and(|c| spans.get(c).is_some_and(|s| s.end > s.start));
        if described.header_time && !has_own_time && !arrival.flags.has(RowFlags::TICK) {
            event_ms = lay_out::header_ms(header, described, self.formats.zone(), arrival.recv_ms);
        }
        let at = lay_out::offset(base);
        let shifted =
            |span: Span| if span.end > span.start { lay_out::shift(span, at) } else { Span::default() };
        batch.rows.push(Row {
            lsn: arrival.lsn,
            recv_ms: arrival.recv_ms,
            event_ms,
            frame: Span { start: at, end: lay_out::offset(batch.bytes.len()) },
            message: lay_out::shift(header.message, at),
            host: shifted(header.host),
            program: shifted(header.program),
            structured_data: shifted(header.structured_data),
            pri: header.pri,
            format,
            source: arrival.source,
            flags: arrival.flags,
            spans_start: lay_out::offset(spans_start),
            spans_len: lay_out::offset(spans.len()),
            ill_typed,
        });
    }
}

#[cfg(test)]
mod tests;
