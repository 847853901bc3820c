//! What is asked of a row, and which answers are the best so far.
//!
//! Refuses to know: where rows are.

use std::collections::BinaryHeap;

use memchr::memmem::Finder;
use record::InstantMs;

use super::fresh::Fresh;
use super::schema::{CHANNEL, CODE, IDS, MERCHANT, MODULE, STATUS};
use crate::trace_store::Search;

/// The order of an answer: the best row has the lowest key.
pub(super) type Key = (i64, u64);

/// Oldest first, ties by LSN.
pub(super) fn oldest_first(time_ms: InstantMs, lsn: u64) -> Key {
    (time_ms, lsn)
}

/// Newest first, ties by LSN, the later one first. The complement turns the order round without overflow.
pub(super) fn newest_first(time_ms: InstantMs, lsn: u64) -> Key {
    (!time_ms, !lsn)
}

/// A search made ready to be asked of many rows.
pub(super) struct Wanted<'a> {
    from_ms: Option<InstantMs>,
    to_ms: Option<InstantMs>,
    /// Conditions on columns: position in [`super::schema::TEXTS`] and the value.
    pub(super) columns: Vec<(usize, &'a [u8])>,
    text: Option<Finder<'a>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(search: &'a Search) -> Self {
        let given = [
            (MERCHANT, &search.merchant),
            (CHANNEL, &search.channel),
            (STATUS, &search.status),
            (CODE, &search.code),
            (MODULE, &search.module),
        ];
        Self {
            from_ms: search.from_ms,
            to_ms: search.to_ms,
            columns: given
                .iter()
                .filter_map(|(text, value)| Some((*text, value.as_ref()?.as_bytes())))
                .collect(),
            text: search.text.as_ref().filter(|text| !text.is_empty()).map(Finder::new),
        }
    }

    /// Whether an instant is in the asked time.
    pub(super) fn in_time(&self, time_ms: InstantMs) -> bool {
        self.touches(time_ms, time_ms)
    }

    /// Whether the instants from `low` to `high` touch the asked time.
    pub(super) fn touches(&self, low_ms: InstantMs, high_ms: InstantMs) -> bool {
        self.from_ms.is_none_or(|from| from <= high_ms) && self.to_ms.is_none_or(|to| low_ms < to)
    }

    /// Whether messages have to be looked at.
    pub(super) fn asks_text(&self) -> bool {
        self.text.is_some()
    }

    /// Whether a message contains the asked text.
    pub(super) fn in_message(&self, message: &[u8]) -> bool {
        self.text.as_ref().is_none_or(|text| text.find(message).is_some())
    }

    /// Whether the row at an index in memory is wanted.
    pub(super) fn matches(&self, fresh: &Fresh, index: usize) -> bool {
        let row = &fresh.rows[index];
        self.in_time(row.filing_ms())
            && self.columns.iter().all(|(text, value)| fresh.text(*text, index) == *value)
            && self.in_message(fresh.message(row))
    }
}

/// Whether the row at an index in memory has the id.
pub(super) fn fresh_has_id(id: &[u8], fresh: &Fresh, index: usize) -> bool {
    (0..IDS).any(|text| fresh.text(text, index) == id)
}

/// The best rows, one more than the limit so that a cut shows.
#[derive(Debug)]
pub(super) struct Best<T> {
    keep: usize,
    heap: BinaryHeap<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    key: Key,
    row: T,
}

impl<T> Best<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { keep: limit.saturating_add(1), heap: BinaryHeap::new() }
    }

    /// Whether a row with this key would be kept.
    pub(super) fn wants(&self, key: Key) -> bool {
        self.heap.len() < self.keep || self.heap.peek().is_some_and(|worst| key < worst.key)
    }

    pub(super) fn offer(&mut self, key: Key, row: impl FnOnce() -> T) {
        if !self.wants(key) {
            return;
        }
        if self.heap.len() == self.keep {
            self.heap.pop();
        }
        self.heap.push(Entry { key, row: row() });
    }

    /// The best rows up to the limit, best first, and whether there were more.
    pub(super) fn finish(self) -> (Vec<(Key, T)>, bool) {
        let mut rows: Vec<(Key, T)> =
            self.heap.into_sorted_vec().into_iter().map(|e| (e.key, e.row)).collect();
        let truncated = rows.len() == self.keep;
        rows.truncate(self.keep - 1);
        (rows, truncated)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
