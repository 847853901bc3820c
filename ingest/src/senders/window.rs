//! The last ids of one sender: a ring in order of arrival, and a table that finds an id in it.
//!
//! Bounded by count, not by time: a sender repeats what it could not deliver after an outage of any length. A full
//! window takes 1 MiB for the ids and 640 KiB for the table; an empty one nothing. Ids lie in blocks that never change
//! once they are full, so a snapshot shares them instead of copying. Refuses to know: senders, rows, files.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// How many ids a sender's window holds.
pub const WINDOW_EIDS: usize = 65_536;
/// Ids in a block.
const BLOCK: usize = 1_024;

/// The window of one sender.
#[derive(Debug, Clone)]
pub(super) struct Window {
    capacity: usize,
    /// Full blocks, the oldest first.
    blocks: VecDeque<Arc<[u128]>>,
    /// The block being filled.
    newest: Vec<u128>,
    /// Ids are numbered as they come; the first of `blocks` (or of `newest`) has this number.
    first: u32,
    /// The oldest id that still counts.
    oldest: u32,
    /// Numbers of the ids that count.
    table: HashTable<u32>,
    hasher: RandomState,
}

/// The ids of a window at one moment, the oldest first.
#[derive(Debug, Clone)]
pub(super) struct WindowIds {
    blocks: Vec<Arc<[u128]>>,
    newest: Vec<u128>,
    /// Ids at the front that no longer count.
    skip: usize,
}

impl Window {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            blocks: VecDeque::new(),
            newest: Vec::new(),
            first: 0,
            oldest: 0,
            table: HashTable::new(),
            hasher: RandomState::default(),
        }
    }

    pub(super) fn contains(&self, eid: u128) -> bool {
        let find = |number: &u32| self.at(*number) == Some(eid);
        self.table.find(self.hasher.hash_one(eid), find).is_some()
    }

    /// Adds an id; `false` if it is there already (it keeps its place). The oldest goes when the window is full.
    pub(super) fn insert(&mut self, eid: u128) -> bool {
        if self.contains(eid) {
            return false;
        }
        if self.len() >= self.capacity {
            self.forget_oldest();
        }
        let number = self.first.wrapping_add((self.blocks.len() * BLOCK + self.newest.len()) as u32);
        self.newest.push(eid);
        if self.newest.len() == BLOCK {
            self.blocks.push_back(std::mem::take(&mut self.newest).into());
        }
        let Self { first, blocks, newest, table, hasher, .. } = self;
        let id = |number: &u32| at(*first, blocks, newest, *number).unwrap_or_default();
        table.insert_unique(hasher.hash_one(eid), number, |number| hasher.hash_one(id(number)));
        true
    }

    /// How many ids it holds.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The ids now; costs a copy of at most one block.
    pub(super) fn ids(&self) -> WindowIds {
        let blocks = self.blocks.iter().cloned().collect();
        let skip = self.oldest.wrapping_sub(self.first) as usize;
        WindowIds { blocks, newest: self.newest.clone(), skip }
    }

    fn at(&self, number: u32) -> Option<u128> {
        at(self.first, &self.blocks, &self.newest, number)
    }

    fn forget_oldest(&mut self) {
        let oldest = self.oldest;
        if let Some(eid) = self.at(oldest)
            && let Ok(found) = self.table.find_entry(self.hasher.hash_one(eid), |n| *n == oldest)
        {
            found.remove();
        }
        self.oldest = oldest.wrapping_add(1);
        if self.oldest.wrapping_sub(self.first) as usize >= BLOCK {
            self.blocks.pop_front();
            self.first = self.first.wrapping_add(BLOCK as u32);
        }
    }
}

/// The id of a number.
fn at(first: u32, blocks: &VecDeque<Arc<[u128]>>, newest: &[u128], number: u32) -> Option<u128> {
    let index = number.wrapping_sub(first) as usize;
    match blocks.get(index / BLOCK) {
        Some(block) => block.get(index % BLOCK).copied(),
        None => newest.get(index.checked_sub(blocks.len() * BLOCK)?).copied(),
    }
}

impl WindowIds {
    pub(super) fn iter(&self) -> impl Iterator<Item = u128> + '_ {
        self.blocks.iter().flat_map(|block| block.iter()).chain(&self.newest).skip(self.skip).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.newest.len() - self.skip
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// A queue that is searched from end to end.
    struct Naive(VecDeque<u128>, usize);

    impl Naive {
        fn insert(&mut self, eid: u128) -> bool {
            if self.0.contains(&eid) {
                return false;
            }
            self.0.push_back(eid);
            if self.0.len() > self.1 {
                self.0.pop_front();
            }
            true
        }
    }

    proptest! {
        #[test]
        fn a_window_is_a_queue_that_is_searched(
            capacity in prop_oneof![1..40_usize, 1020..1030_usize, 2047..2050_usize],
            // Runs: where they start, how long they are. Small starts come again and again.
            runs in proptest::collection::vec((0..6000_u128, 1..1500_usize), 1..12),
            start in any::<u32>(),
        ) {
            let mut window = Window::new(capacity);
            (window.first, window.oldest) = (start, start);
            let mut naive = Naive(VecDeque::new(), capacity);
            for (from, length) in runs {
                for eid in from..from + length as u128 {
                    // The naive search is quadratic: look at it now and then.
                    prop_assert_eq!(window.insert(eid), naive.insert(eid));
                }
                let ids = window.ids();
                prop_assert_eq!(ids.len(), naive.0.len());
                prop_assert!(ids.iter().eq(naive.0.iter().copied()));
            }
        }
    }
}
