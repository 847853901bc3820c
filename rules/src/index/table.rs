//! Hash tables from a value to the conditions it leads to, laid out so that a look-up touches little memory.
//!
//! Refuses to know: columns.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};

use hashbrown::{HashMap, HashTable};

use super::bounds::Bounds;
use super::lookup::Shown;
use super::numbers::Numbers;
use super::posting::{Bounded, Posting};

type Hasher = foldhash::fast::FixedState;

/// Bytes of a text kept within its entry.
const INLINE_BYTES: usize = 16;

/// Conditions by text.
#[derive(Debug, Clone, Default)]
pub(super) struct TextTable {
    entries: HashTable<TextEntry>,
    /// The texts longer than an entry, back to back.
    long: Vec<u8>,
    lists: Lists,
}

/// 32 bytes: two to a cache line.
#[derive(Debug, Clone)]
struct TextEntry {
    /// The first bytes of the text, zeros after its end.
    start: [u8; INLINE_BYTES],
    len: u32,
    /// Where in `long` a text stands that has no room here.
    long_at: u32,
    list: List,
}

impl TextTable {
    pub(super) fn new(entries: Vec<(Box<[u8]>, Vec<Bounded>)>, numbers: &mut Numbers) -> Self {
        let mut table = Self::default();
        for (text, postings) in entries {
            let list = table.lists.push(&postings, numbers);
            let long_at = to_u32(table.long.len());
            if text.len() > INLINE_BYTES {
                table.long.extend_from_slice(&text);
            }
            let entry = TextEntry { start: inline(&text), len: to_u32(text.len()), long_at, list };
            let long = &table.long;
            table.entries.insert_unique(hash(&text), entry, |entry| hash(entry.text(long)));
        }
        table
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends the conditions of a text.
    pub(super) fn find(&self, text: &[u8], shown: &mut Shown<'_, '_>) {
        let found = self.entries.find(hash(text), |entry| {
            entry.len as usize == text.len() && entry.start == inline(text) && entry.text(&self.long) == text
        });
        if let Some(entry) = found {
            self.lists.append(entry.list, shown);
        }
    }
}

impl TextEntry {
    fn text<'a>(&'a self, long: &'a [u8]) -> &'a [u8] {
        let len = self.len as usize;
        self.start.get(..len).unwrap_or_else(|| &long[self.long_at as usize..self.long_at as usize + len])
    }
}

fn inline(text: &[u8]) -> [u8; INLINE_BYTES] {
    let mut start = [0; INLINE_BYTES];
    let len = text.len().min(INLINE_BYTES);
    start[..len].copy_from_slice(&text[..len]);
    start
}

/// The hash needs no secret: what is in a table comes from rules, and look-ups do not change it.
fn hash(text: &[u8]) -> u64 {
    Hasher::default().hash_one(text)
}

/// Conditions by key.
#[derive(Debug, Clone)]
pub(super) struct Table<K> {
    entries: HashMap<K, List, Hasher>,
    lists: Lists,
}

impl<K: Eq + Hash> Table<K> {
    pub(super) fn new(entries: Vec<(K, Vec<Bounded>)>, numbers: &mut Numbers) -> Self {
        let mut lists = Lists::default();
        let entries =
            entries.into_iter().map(|(key, postings)| (key, lists.push(&postings, numbers))).collect();
        Self { entries, lists }
    }

    /// Appends the conditions of a key.
    pub(super) fn find(&self, key: &K, shown: &mut Shown<'_, '_>) {
        if let Some(list) = self.entries.get(key) {
            self.lists.append(*list, shown);
        }
    }
}

/// The conditions of one key: mostly one, which then needs no list.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    One(Posting),
    /// Position in [`Lists`].
    Many(u32),
    /// Position in [`Lists`]: a number is asked besides.
    Bounded(u32),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    plain: Vec<Box<[Posting]>>,
    bounded: Vec<BoundedList>,
}

/// Conditions of a key, some of which a number must meet besides.
#[derive(Debug, Clone)]
struct BoundedList {
    plain: Box<[Posting]>,
    /// By the places of their numbers.
    bounds: Vec<(usize, Bounds)>,
}

impl Lists {
    pub(super) fn push(&mut self, postings: &[Bounded], numbers: &mut Numbers) -> List {
        let plain = || postings.iter().filter(|(bound, _)| bound.is_none()).map(|(_, posting)| *posting);
        if postings.iter().any(|(bound, _)| bound.is_some()) {
            let bounds = by_place(postings, numbers);
            self.bounded.push(BoundedList { plain: plain().collect(), bounds });
            return List::Bounded(to_u32(self.bounded.len() - 1));
        }
        if let [(_, only)] = postings {
            return List::One(*only);
        }
        self.plain.push(plain().collect());
        List::Many(to_u32(self.plain.len() - 1))
    }

    pub(super) fn append(&self, list: List, shown: &mut Shown<'_, '_>) {
        match list {
            List::One(only) => shown.out.push(only),
            List::Many(position) => shown.out.extend_from_slice(&self.plain[position as usize]),
            List::Bounded(position) => {
                let list = &self.bounded[position as usize];
                shown.out.extend_from_slice(&list.plain);
                for (place, bounds) in &list.bounds {
                    if let Some(number) = shown.numbers.get(*place, shown.record) {
                        bounds.find(number, shown.out);
                    }
                }
            }
        }
    }
}

/// The bounds of each number.
pub(super) fn by_place(postings: &[Bounded], numbers: &mut Numbers) -> Vec<(usize, Bounds)> {
    let mut by_place: BTreeMap<usize, Bounds> = BTreeMap::new();
    for (bound, posting) in postings {
        if let Some(bound) = bound {
            let bounds = by_place.entry(numbers.place(bound.column)).or_default();
            bounds.add(bound.order, bound.bound, *posting);
        }
    }
    by_place.values_mut().for_each(Bounds::sort);
    by_place.into_iter().collect()
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
