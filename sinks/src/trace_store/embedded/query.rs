//! What is asked of a row, and which answers are the best so far.
//!
//! Refuses to know: where rows are.

use std::collections::BinaryHeap;

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

/// The conditions of a search on columns: position in [`super::schema::TEXTS`] and the value.
pub(super) fn conditions(search: &Search) -> Vec<(usize, &[u8])> {
    let given = [
        (MERCHANT, &search.merchant),
        (CHANNEL, &search.channel),
        (STATUS, &search.status),
        (CODE, &search.code),
        (MODULE, &search.module),
    ];
    given.into_iter().filter_map(|(text, value)| Some((text, value.as_ref()?.as_bytes()))).collect()
}

/// Whether an instant is in the asked time.
pub(super) fn in_time(search: &Search, time_ms: InstantMs) -> bool {
    search.from_ms.is_none_or(|from| from <= time_ms) && search.to_ms.is_none_or(|to| time_ms < to)
}

/// Whether the instants from `low` to `high` touch the asked time.
pub(super) fn touches(search: &Search, low_ms: InstantMs, high_ms: InstantMs) -> bool {
    search.from_ms.is_none_or(|from| from <= high_ms) && search.to_ms.is_none_or(|to| low_ms < to)
}

/// Whether a message contains the asked text.
pub(super) fn contains(message: &[u8], text: &str) -> bool {
    text.is_empty() || std::str::from_utf8(message).is_ok_and(|message| message.contains(text))
}

/// Whether the row at an index in memory satisfies a search.
pub(super) fn fresh_matches(search: &Search, fresh: &Fresh, index: usize) -> bool {
    let row = &fresh.rows[index];
    in_time(search, row.filing_ms())
        && conditions(search).iter().all(|(text, value)| fresh.text(*text, index) == *value)
        && search.text.as_ref().is_none_or(|text| contains(fresh.message(row), text))
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
