//! Which keys must be looked at when a bucket is settled.
//!
//! An entry may be stale (its key has moved on or is gone): looking at a key too often does no harm, so nothing is
//! ever searched for to be removed. Refuses to know: why a key is due.

use std::collections::BTreeMap;

/// Keys by due bucket (or instant).
#[derive(Debug, Clone, Default)]
pub(super) struct Schedule {
    due: BTreeMap<i64, Vec<u32>>,
}

impl Schedule {
    pub(super) fn add(&mut self, at: i64, slot: u32) {
        self.due.entry(at).or_default().push(slot);
    }

    /// The earliest due.
    pub(super) fn first(&self) -> Option<i64> {
        self.due.first_key_value().map(|(&at, _)| at)
    }

    /// Takes the earliest if it is at or before `until`.
    pub(super) fn pop(&mut self, until: i64) -> Option<(i64, Vec<u32>)> {
        self.due.first_entry().filter(|entry| *entry.key() <= until).map(|entry| entry.remove_entry())
    }
}
