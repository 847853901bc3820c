//! Rows that are not in a file yet: copied once, readable at once.
//!
//! Refuses to know: Parquet, files, locks.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use record::{FormatId, FormatSet, InstantMs, Lsn, RecordRef, Span};

use super::schema::{PROGRAM, Place};
use crate::trace_store::TraceRow;

/// Memory of a text in a column besides its bytes: where it is, and its place in the index.
const TEXT_BYTES: usize = size_of::<Span>() + 2 * size_of::<u32>();

/// What is known of a row besides its texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct FreshRow {
    pub(super) lsn: Lsn,
    pub(super) recv_ms: Option<InstantMs>,
    pub(super) event_ms: Option<InstantMs>,
    pub(super) elapsed_ms: Option<i64>,
    /// Within [`Fresh::bytes`].
    pub(super) frame: Span,
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
}

/// One text of every row, each different one kept once. Numbered while the line is in the processor's cache; whoever
/// goes through a column later touches numbers instead of frames, and a file's dictionary is there already.
#[derive(Debug, Clone, Default)]
pub(super) struct TextColumn {
    bytes: Vec<u8>,
    /// The different texts, by number less one, in the order in which they came.
    spans: Vec<Span>,
    index: HashTable<u32>,
    /// By row: the number of its text; 0 where there is none.
    pub(super) numbers: Vec<u32>,
}

impl TextColumn {
    /// Adds a row's text; how many bytes it takes besides its number.
    fn push(&mut self, text: &[u8], hasher: &RandomState) -> usize {
        if text.is_empty() {
            self.numbers.push(0);
            return 0;
        }
        // Host and program hardly ever change.
        let last = self.numbers.last().copied().unwrap_or_default();
        if last != 0 && self.text(last) == text {
            self.numbers.push(last);
            return 0;
        }
        let Self { bytes, spans, index, numbers } = self;
        let stored = |number: u32| -> &[u8] {
            let span = spans[number as usize - 1];
            &bytes[span.start as usize..span.end as usize]
        };
        let hash = hasher.hash_one(text);
        let known = index.entry(hash, |number| stored(*number) == text, |n| hasher.hash_one(stored(*n)));
        let slot = match known {
            Entry::Occupied(known) => {
                numbers.push(*known.get());
                return 0;
            }
            Entry::Vacant(slot) => slot,
        };
        let number = u32::try_from(spans.len() + 1).expect("a text takes bytes, and these are bounded");
        slot.insert(number);
        let start = end(bytes);
        bytes.extend_from_slice(text);
        spans.push(Span { start, end: end(bytes) });
        numbers.push(number);
        text.len() + TEXT_BYTES
    }

    /// How many different texts there are.
    pub(super) fn different(&self) -> usize {
        self.spans.len()
    }

    /// The text with a number; empty for 0.
    pub(super) fn text(&self, number: u32) -> &[u8] {
        let Some(index) = (number as usize).checked_sub(1) else { return b"" };
        let span = self.spans[index];
        &self.bytes[span.start as usize..span.end as usize]
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.index.clear();
        self.numbers.clear();
    }
}

/// Rows in LSN order and the range of the journal they stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Fresh {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: Vec<FreshRow>,
    /// Those of [`super::schema::TEXTS`], host, program.
    pub(super) texts: [TextColumn; PROGRAM + 1],
    text_bytes: usize,
    hasher: RandomState,
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
        self.texts.iter_mut().for_each(TextColumn::clear);
        self.text_bytes = 0;
        self.sources.clear();
        self.source_index.clear();
        self.range = None;
    }

    /// Memory that its rows take.
    pub(super) fn used_bytes(&self) -> usize {
        let row_bytes = size_of::<FreshRow>() + (PROGRAM + 1) * size_of::<u32>();
        self.bytes.len() + self.text_bytes + self.rows.len() * row_bytes
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
        let start = end(&self.bytes);
        self.bytes.extend_from_slice(record.batch.slice(row.frame));
        let texts =
            place.texts.map(|column| column.and_then(|column| record.raw(column)).unwrap_or_default());
        let header = [record.batch.slice(row.host), record.batch.slice(row.program)];
        for (column, text) in self.texts.iter_mut().zip(texts.into_iter().chain(header)) {
            self.text_bytes += column.push(text, &self.hasher);
        }
        let elapsed_ms = place.elapsed_ms.and_then(|i| record.text(i)).and_then(|text| text.parse().ok());
        self.rows.push(FreshRow {
            lsn: row.lsn,
            recv_ms: row.recv_ms,
            event_ms: row.event_ms,
            elapsed_ms,
            frame: Span { start, end: end(&self.bytes) },
            message_start: row.message.start.saturating_sub(row.frame.start),
            source,
            format: row.format,
            flags: row.flags.0,
        });
        self.cover(row.lsn);
    }

    /// A text of a row; empty if there is none.
    pub(super) fn text(&self, text: usize, row: usize) -> &[u8] {
        let column = &self.texts[text];
        column.text(column.numbers[row])
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

/// Offsets are 32 bits: the buffer's bound is far below 4 GiB.
fn end(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("the writer's bound keeps the buffer below 4 GiB")
}
