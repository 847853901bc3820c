//! Rows that are not in a file yet: copied once, readable at once.
//!
//! Refuses to know: Parquet, files, locks.

use std::collections::HashMap;
use std::sync::Arc;

use record::{Batch, FormatId, FormatSet, InstantMs, Lsn, RecordRef, Span};

use super::schema::{Place, TEXTS};
use crate::trace_store::TraceRow;

/// A row as offsets into [`Fresh::bytes`].
#[derive(Debug, Clone, Copy)]
pub(super) struct FreshRow {
    pub(super) lsn: Lsn,
    pub(super) recv_ms: Option<InstantMs>,
    pub(super) event_ms: Option<InstantMs>,
    pub(super) elapsed_ms: Option<i64>,
    pub(super) frame: Span,
    pub(super) host: Span,
    pub(super) program: Span,
    /// Columns of [`TEXTS`]; empty where there is none.
    pub(super) texts: [Span; TEXTS.len()],
    /// First byte of the message within the frame.
    pub(super) message_start: u32,
    pub(super) source: u32,
    pub(super) format: FormatId,
    pub(super) flags: u16,
}

impl FreshRow {
    /// Event time if known, else receive time, else 0.
    pub(super) fn filing_ms(&self) -> InstantMs {
        self.event_ms.or(self.recv_ms).unwrap_or_default()
    }

    /// Its bytes (the frame and what was copied behind it) now begin at `start`.
    pub(super) fn shift(&mut self, start: u32) {
        let old = self.frame.start;
        let spans = self.texts.iter_mut().chain([&mut self.host, &mut self.program]);
        for span in spans.filter(|span| span.end > span.start) {
            *span = Span { start: span.start - old + start, end: span.end - old + start };
        }
        self.frame = Span { start, end: self.frame.end - old + start };
    }
}

/// Rows in LSN order and the range of the journal they stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Fresh {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: Vec<FreshRow>,
    pub(super) sources: Vec<Arc<str>>,
    source_index: HashMap<Arc<str>, u32>,
    /// First and last position covered, ticks included.
    pub(super) range: Option<(Lsn, Lsn)>,
}

impl Fresh {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.sources.clear();
        self.source_index.clear();
        self.range = None;
    }

    /// Memory that its rows take.
    pub(super) fn used_bytes(&self) -> usize {
        self.bytes.len() + self.rows.len() * size_of::<FreshRow>()
    }

    /// The position belongs to the range, with a row or without.
    pub(super) fn cover(&mut self, lsn: Lsn) {
        self.range = Some((self.range.map_or(lsn, |(first, _)| first), lsn));
    }

    /// Index of a source, added if it is new.
    pub(super) fn source(&mut self, source: &Arc<str>) -> u32 {
        if let Some(index) = self.source_index.get(source) {
            return *index;
        }
        let index = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push(Arc::clone(source));
        self.source_index.insert(Arc::clone(source), index);
        index
    }

    /// Copies a record.
    pub(super) fn push(&mut self, record: RecordRef<'_>, source: u32, place: &Place) {
        let row = record.row;
        let mut copy = Copy { batch: record.batch, frame: row.frame, base: end(&self.bytes) };
        self.bytes.extend_from_slice(record.batch.slice(row.frame));
        let column = |index: Option<usize>| -> Option<Span> {
            let index = index.filter(|i| *i < row.spans_len as usize)?;
            Some(record.batch.spans[row.spans_start as usize + index])
        };
        let mut texts = [Span::default(); TEXTS.len()];
        for (text, index) in texts.iter_mut().zip(place.texts) {
            if let Some(span) = column(index) {
                *text = copy.place(&mut self.bytes, span);
            }
        }
        let elapsed_ms = place.elapsed_ms.and_then(|i| record.text(i)).and_then(|text| text.parse().ok());
        let host = copy.place(&mut self.bytes, row.host);
        let program = copy.place(&mut self.bytes, row.program);
        self.rows.push(FreshRow {
            lsn: row.lsn,
            recv_ms: row.recv_ms,
            event_ms: row.event_ms,
            elapsed_ms,
            frame: Span { start: copy.base, end: copy.base + (row.frame.end - row.frame.start) },
            host,
            program,
            texts,
            message_start: row.message.start.saturating_sub(row.frame.start),
            source,
            format: row.format,
            flags: row.flags.0,
        });
        self.cover(row.lsn);
    }

    pub(super) fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// The message within a row's frame.
    pub(super) fn message(&self, row: &FreshRow) -> &[u8] {
        let frame = self.slice(row.frame);
        frame.get(row.message_start as usize..).unwrap_or_default()
    }

    /// The row as readers see it.
    pub(super) fn trace_row(&self, row: &FreshRow, formats: &FormatSet) -> TraceRow {
        TraceRow {
            lsn: row.lsn,
            recv_ms: row.recv_ms,
            event_ms: row.filing_ms(),
            source: self.sources[row.source as usize].to_string(),
            format: formats.get(row.format).name().to_owned(),
            flags: row.flags,
            frame: String::from_utf8_lossy(self.slice(row.frame)).into_owned(),
        }
    }

    /// The row with this position.
    pub(super) fn find(&self, lsn: Lsn) -> Option<&FreshRow> {
        let index = self.rows.binary_search_by_key(&lsn, |row| row.lsn).ok()?;
        self.rows.get(index)
    }
}

/// Translates spans of a batch into spans of the copy.
struct Copy<'a> {
    batch: &'a Batch,
    frame: Span,
    base: u32,
}

impl Copy<'_> {
    /// Spans within the frame are moved; others (text that was unescaped elsewhere) are copied behind it.
    fn place(&mut self, bytes: &mut Vec<u8>, span: Span) -> Span {
        if span.start >= span.end {
            return Span::default();
        }
        if span.start >= self.frame.start && span.end <= self.frame.end {
            let start = self.base + (span.start - self.frame.start);
            return Span { start, end: start + (span.end - span.start) };
        }
        let start = end(bytes);
        bytes.extend_from_slice(self.batch.slice(span));
        Span { start, end: end(bytes) }
    }
}

/// Offsets are 32 bits: the buffer's bound is far below 4 GiB.
fn end(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("the writer's bound keeps the buffer below 4 GiB")
}
