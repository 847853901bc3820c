//! The batch: what travels from a listener through the journal to the judge and the trace store.
//!
//! One allocation holds many frames; a row is offsets into it, so a line costs no allocation of its own.
//! Refuses to know: where frames come from and what becomes of them.

use std::sync::Arc;

use crate::{ColumnType, Decimal, Format, FormatId, FormatSet, InstantMs, Lsn, Value};

/// Half-open byte range within [`Batch::bytes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// What is known of a row besides its columns. A set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowFlags(pub u16);

impl RowFlags {
    /// The frame was longer than the bound and was cut.
    pub const TRUNCATED: Self = Self(1);
    /// The frame was not UTF-8 and was transcoded from GB18030.
    pub const TRANSCODED: Self = Self(2);
    /// The line could not be read in its format and is kept as `plain`.
    pub const UNPARSABLE: Self = Self(4);
    /// The line has more columns than its format; the surplus are extras.
    pub const LONG: Self = Self(8);
    /// The line has fewer columns than its format; the missing are null.
    pub const SHORT: Self = Self(16);
    /// At least one card number was masked.
    pub const MASKED: Self = Self(32);
    /// A time entry (tick): only the receive time counts, the frame is empty.
    pub const TICK: Self = Self(64);
    /// Its reader knows that no rule is concerned and has kept nothing of it but its time and format. Never stored.
    pub const UNCONCERNED: Self = Self(128);

    /// The six highest bits: which of its sender's sessions a row came by; 0: its input does not say.
    const LANE_SHIFT: u32 = 10;

    /// With the session that the row came by, below 64.
    #[must_use]
    pub fn with_lane(self, lane: u8) -> Self {
        Self(self.0 & ((1 << Self::LANE_SHIFT) - 1) | u16::from(lane) << Self::LANE_SHIFT)
    }

    /// Which of its sender's sessions the row came by; 0: its input does not say.
    pub fn lane(self) -> u8 {
        (self.0 >> Self::LANE_SHIFT) as u8
    }

    /// Whether all bits of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Sets the bits of `other`.
    pub fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// One record as offsets into its batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Journal position; 0 until the journal (or whoever stands for it) has assigned one.
    pub lsn: Lsn,
    /// When the frame was received; `None` where there is no receive time (a file).
    pub recv_ms: Option<InstantMs>,
    /// The time column as an instant; `None` when it is missing or ill-typed.
    pub event_ms: Option<InstantMs>,
    /// The whole frame (masked, UTF-8), syslog header included.
    pub frame: Span,
    /// The message within the frame: what the module printed.
    pub message: Span,
    /// HOSTNAME of the syslog header; empty if there is none.
    pub host: Span,
    /// APP-NAME or TAG of the syslog header; empty if there is none.
    pub program: Span,
    /// STRUCTURED-DATA of an RFC 5424 header; empty if there is none.
    pub structured_data: Span,
    /// PRI of the syslog header.
    pub pri: Option<u8>,
    /// Which format the columns are of.
    pub format: FormatId,
    /// Index into the batch's sources.
    pub source: u16,
    /// See [`RowFlags`].
    pub flags: RowFlags,
    /// First of this row's spans in the batch's span table.
    pub spans_start: u32,
    /// How many spans it has: columns found, extras included.
    pub spans_len: u32,
    /// Bit i: column i has text that does not fit its type. Columns beyond 127 are strings.
    pub ill_typed: u128,
}

/// Frames of one or several senders, decoded.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// All frames back to back: masked, UTF-8.
    pub bytes: Vec<u8>,
    /// The records in order of arrival.
    pub rows: Vec<Row>,
    /// Column spans of all rows, in row order.
    pub spans: Vec<Span>,
    /// Who sent: `input/peer`, as in `tcp-514/10.0.0.7`. Rows point into it.
    pub sources: Vec<Arc<str>>,
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.spans.clear();
        self.sources.clear();
    }

    /// Index of a source, added if it is new. At most 65,535 sources a batch.
    pub fn source_index(&mut self, source: &Arc<str>) -> u16 {
        let found = self.sources.iter().rposition(|known| Arc::ptr_eq(known, source) || known == source);
        let index = found.unwrap_or_else(|| {
            self.sources.push(Arc::clone(source));
            self.sources.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Appends a time entry.
    pub fn push_tick(&mut self, lsn: Lsn, recv_ms: InstantMs) {
        self.rows.push(Row { lsn, recv_ms: Some(recv_ms), flags: RowFlags::TICK, ..Row::default() });
    }

    /// Appends a copy of a row of another batch, its frame and columns with it.
    pub fn copy_row(&mut self, other: &Batch, index: usize) {
        let mut row = other.rows[index].clone();
        let base = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let moved = |span: Span| {
            let by = |at: u32| at.saturating_sub(row.frame.start).saturating_add(base);
            if span.end == span.start {
                Span { start: base, end: base }
            } else {
                Span { start: by(span.start), end: by(span.end) }
            }
        };
        let spans = row.spans_start as usize..(row.spans_start + row.spans_len) as usize;
        let spans_start = u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        self.spans.extend(other.spans[spans].iter().map(|span| moved(*span)));
        self.bytes.extend_from_slice(other.slice(row.frame));
        let source = other.sources.get(usize::from(row.source)).cloned().unwrap_or_else(|| Arc::from(""));
        let (frame, message, host) = (moved(row.frame), moved(row.message), moved(row.host));
        let (program, structured_data) = (moved(row.program), moved(row.structured_data));
        (row.frame, row.message, row.host) = (frame, message, host);
        (row.program, row.structured_data) = (program, structured_data);
        row.spans_start = spans_start;
        row.source = self.source_index(&source);
        self.rows.push(row);
    }

    /// The records with their formats.
    pub fn records<'a>(&'a self, formats: &'a FormatSet) -> impl Iterator<Item = RecordRef<'a>> {
        self.rows.iter().map(move |row| RecordRef { batch: self, row, format: formats.get(row.format) })
    }

    /// One record.
    pub fn record<'a>(&'a self, index: usize, formats: &'a FormatSet) -> RecordRef<'a> {
        let row = &self.rows[index];
        RecordRef { batch: self, row, format: formats.get(row.format) }
    }

    /// Text of a span. Frames are UTF-8 by construction; should a span not be, it reads as empty.
    pub fn text(&self, span: Span) -> &str {
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }

    /// Bytes of a span.
    pub fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }
}

/// One record of a batch, read in place.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// Where its bytes are.
    pub batch: &'a Batch,
    /// Its offsets.
    pub row: &'a Row,
    /// Its format.
    pub format: &'a Format,
}

impl<'a> RecordRef<'a> {
    /// Text of a column as it stands in the line; `None` when the column is missing or empty (null).
    pub fn text(&self, column: usize) -> Option<&'a str> {
        let bytes = self.raw(column)?;
        std::str::from_utf8(bytes).ok()
    }

    /// Bytes of a column; `None` when it is missing or empty (null).
    pub fn raw(&self, column: usize) -> Option<&'a [u8]> {
        if column >= self.row.spans_len as usize {
            return None;
        }
        let span = self.batch.spans[self.row.spans_start as usize + column];
        (span.end > span.start).then(|| self.batch.slice(span))
    }

    /// Typed value of a column; `None` when it is null or ill-typed.
    pub fn value(&self, column: usize) -> Option<Value<'a>> {
        if column < 128 && self.row.ill_typed >> column & 1 == 1 {
            return None;
        }
        // The time column has its instant in the row; it may come from the syslog header, the column being empty.
        if Some(column) == self.format.time_column() {
            return self.row.event_ms.map(Value::Timestamp);
        }
        let text = self.text(column)?;
        match self.format.columns().get(column).map(|c| &c.kind) {
            None | Some(ColumnType::String) => Some(Value::String(text)),
            Some(kind) => kind.parse(text).ok(),
        }
    }

    /// Value of a decimal or integer column as a decimal.
    pub fn decimal(&self, column: usize) -> Option<Decimal> {
        self.value(column).and_then(|value| value.as_decimal())
    }

    /// Surplus columns of a long line.
    pub fn extras(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let this = *self;
        (this.format.columns().len()..this.row.spans_len as usize)
            .map(move |i| this.text(i).unwrap_or_default())
    }

    /// The whole frame.
    pub fn frame(&self) -> &'a str {
        self.batch.text(self.row.frame)
    }
    /// The message without its syslog header.
    pub fn message(&self) -> &'a str {
        self.batch.text(self.row.message)
    }
    /// HOSTNAME of the header, or empty.
    pub fn host(&self) -> &'a str {
        self.batch.text(self.row.host)
    }
    /// APP-NAME or TAG of the header, or empty.
    pub fn program(&self) -> &'a str {
        self.batch.text(self.row.program)
    }
    /// Who sent it: `input/peer`; empty for a file.
    pub fn source(&self) -> &'a str {
        self.batch.sources.get(usize::from(self.row.source)).map_or("", |s| s)
    }
    /// Event time if known, else receive time, else 0: for sorting and filing, never for rules.
    pub fn filing_ms(&self) -> InstantMs {
        self.row.event_ms.or(self.row.recv_ms).unwrap_or_default()
    }
}

#[cfg(test)]
mod copy_tests {
    use std::sync::Arc;

    use crate::{Batch, Decoder, FormatSet, Transport};

    #[test]
    fn a_copied_row_reads_the_same() {
        let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
        let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, None);
        let (mut from, mut to) = (Batch::default(), Batch::default());
        let source = from.source_index(&Arc::from("file"));
        for line in [
            "2016-07-22 18:15:00.512||t||m||s||ORDER1||||||||||NET_ERR",
            "act=pay order_no=7 x=y",
            "plain text",
        ] {
            decoder.push(&mut from, source, line.as_bytes(), None, false);
        }
        decoder.flush(&mut from, source);
        for index in [2, 0, 1] {
            to.copy_row(&from, index);
            let (a, b) = (from.record(index, &formats), to.record(to.rows.len() - 1, &formats));
            assert_eq!(
                (a.frame(), a.message(), a.source(), a.host()),
                (b.frame(), b.message(), b.source(), b.host())
            );
            for column in 0..70 {
                assert_eq!((a.text(column), a.value(column)), (b.text(column), b.value(column)));
            }
        }
    }
}
