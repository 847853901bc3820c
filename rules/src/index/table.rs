//! Hash tables from a value to the conditions it leads to, laid out so that a look-up touches little memory.
//!
//! Refuses to know: columns.

use std::hash::{BuildHasher, Hash};

use hashbrown::{HashMap, HashTable};

use super::posting::Posting;

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
    pub(super) fn new(entries: Vec<(Box<[u8]>, Vec<Posting>)>) -> Self {
        let mut table = Self::default();
        for (text, postings) in entries {
            let list = table.lists.push(&postings);
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
    pub(super) fn find(&self, text: &[u8], out: &mut Vec<Posting>) {
        let found = self.entries.find(hash(text), |entry| {
            entry.len as usize == text.len() && entry.start == inline(text) && entry.text(&self.long) == text
        });
        if let Some(entry) = found {
            self.lists.append(entry.list, out);
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
    pub(super) fn new(entries: Vec<(K, Vec<Posting>)>) -> Self {
        let mut lists = Lists::default();
        let entries = entries.into_iter().map(|(key, postings)| (key, lists.push(&postings))).collect();
        Self { entries, lists }
    }

    /// Appends the conditions of a key.
    pub(super) fn find(&self, key: &K, out: &mut Vec<Posting>) {
        if let Some(list) = self.entries.get(key) {
            self.lists.append(*list, out);
        }
    }
}

/// The conditions of one key: mostly one, which then needs no list.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    One(Posting),
    /// Position in [`Lists`].
    Many(u32),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Lists(Vec<Box<[Posting]>>);

impl Lists {
    pub(super) fn push(&mut self, postings: &[Posting]) -> List {
        if let [only] = postings {
            return List::One(*only);
        }
        self.0.push(postings.into());
        List::Many(to_u32(self.0.len() - 1))
    }

    pub(super) fn append(&self, list: List, out: &mut Vec<Posting>) {
        match list {
            List::One(only) => out.push(only),
            List::Many(position) => out.extend_from_slice(&self.0[position as usize]),
        }
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
