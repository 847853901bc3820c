//! The keys of one rule: found by their bytes, kept compactly, bounded, the least recently active out first.
//!
//! A key's bytes are the canonical texts of its `by` values; a null value is empty (no column text is). Refuses to
//! know: windows (it carries them), columns.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// No key.
const NONE: u32 = u32::MAX;
/// In place of the link of a key that is not in the order of activity.
const PARKED: u32 = u32::MAX - 1;
const CHUNK_BITS: u32 = 12;
const CHUNK: usize = 1 << CHUNK_BITS;
const INLINE: usize = 22;

/// Bytes of a key; short ones need no allocation.
#[derive(Debug, Clone)]
pub(super) enum KeyText {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

impl KeyText {
    fn new(bytes: &[u8]) -> Self {
        match u8::try_from(bytes.len()) {
            Ok(len) if bytes.len() <= INLINE => {
                let mut inline = [0; INLINE];
                inline[..bytes.len()].copy_from_slice(bytes);
                KeyText::Inline(len, inline)
            }
            _ => KeyText::Heap(bytes.into()),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            KeyText::Inline(len, inline) => &inline[..usize::from(*len)],
            KeyText::Heap(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
struct Slot<T> {
    text: KeyText,
    older: u32,
    newer: u32,
    /// `None`: the slot is free and `newer` is the next free one.
    value: Option<T>,
}

/// Keys with what is known of them.
#[derive(Debug)]
pub(super) struct Keys<T> {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    // Chunks, so that growing moves nothing: a million keys never stand in memory twice.
    chunks: Vec<Vec<Slot<T>>>,
    slots: u32,
    free: u32,
    oldest: u32,
    newest: u32,
}

fn slot_of<T>(chunks: &[Vec<Slot<T>>], slot: u32) -> &Slot<T> {
    &chunks[(slot >> CHUNK_BITS) as usize][slot as usize & (CHUNK - 1)]
}

impl<T> Keys<T> {
    pub(super) fn new() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            table: HashTable::new(),
            chunks: Vec::new(),
            slots: 0,
            free: NONE,
            oldest: NONE,
            newest: NONE,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn find(&self, bytes: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(bytes);
        self.table.find(hash, |&slot| slot_of(&self.chunks, slot).text.bytes() == bytes).copied()
    }

    /// Adds a key that is not there, as the most recently active one (or, if `idle`, as the first to go).
    pub(super) fn insert(&mut self, bytes: &[u8], value: T, idle: bool) -> u32 {
        let filled = Slot { text: KeyText::new(bytes), older: NONE, newer: NONE, value: Some(value) };
        let slot = if self.free == NONE {
            let slot = self.slots;
            if slot as usize & (CHUNK - 1) == 0 {
                // The first chunk grows as it must (most rules have few keys), the others come whole.
                self.chunks.push(if slot == 0 { Vec::new() } else { Vec::with_capacity(CHUNK) });
            }
            self.chunks[(slot >> CHUNK_BITS) as usize].push(filled);
            self.slots += 1;
            slot
        } else {
            let slot = self.free;
            self.free = self.slot(slot).newer;
            *self.slot_mut(slot) = filled;
            slot
        };
        let hash = self.hasher.hash_one(bytes);
        let (chunks, hasher) = (&self.chunks, &self.hasher);
        self.table.insert_unique(hash, slot, |&other| hasher.hash_one(slot_of(chunks, other).text.bytes()));
        if idle {
            self.link_oldest(slot);
        } else {
            self.link_newest(slot);
        }
        slot
    }

    /// Forgets a key and returns what was known of it.
    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.slot_mut(slot).value.take()?;
        let hash = self.hasher.hash_one(self.slot(slot).text.bytes());
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        self.unlink(slot);
        let free = self.free;
        let emptied = self.slot_mut(slot);
        emptied.text = KeyText::new(&[]);
        emptied.newer = free;
        self.free = slot;
        Some(value)
    }

    /// The key was active just now.
    pub(super) fn touch(&mut self, slot: u32) {
        if self.newest != slot && self.slot(slot).older != PARKED {
            self.unlink(slot);
            self.link_newest(slot);
        }
    }

    /// The key may not go at the bound.
    pub(super) fn park(&mut self, slot: u32) {
        self.unlink(slot);
        self.slot_mut(slot).older = PARKED;
    }

    /// The key may go again; it counts as active just now.
    pub(super) fn unpark(&mut self, slot: u32) {
        if self.slot(slot).older == PARKED {
            self.link_newest(slot);
        }
    }

    /// The least recently active key that may go.
    pub(super) fn oldest(&self) -> Option<u32> {
        Some(self.oldest).filter(|&slot| slot != NONE)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.slot(slot).value.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slot_mut(slot).value.as_mut()
    }

    pub(super) fn bytes(&self, slot: u32) -> &[u8] {
        self.slot(slot).text.bytes()
    }

    /// All keys, in no order that means something.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &[u8], &T)> {
        let all = self.chunks.iter().flatten();
        (0u32..)
            .zip(all)
            .filter_map(|(i, slot)| slot.value.as_ref().map(|value| (i, slot.text.bytes(), value)))
    }

    fn slot(&self, slot: u32) -> &Slot<T> {
        slot_of(&self.chunks, slot)
    }

    fn slot_mut(&mut self, slot: u32) -> &mut Slot<T> {
        &mut self.chunks[(slot >> CHUNK_BITS) as usize][slot as usize & (CHUNK - 1)]
    }

    fn link_newest(&mut self, slot: u32) {
        let last = self.newest;
        let held = self.slot_mut(slot);
        (held.older, held.newer) = (last, NONE);
        if last == NONE {
            self.oldest = slot;
        } else {
            self.slot_mut(last).newer = slot;
        }
        self.newest = slot;
    }

    fn link_oldest(&mut self, slot: u32) {
        let first = self.oldest;
        let held = self.slot_mut(slot);
        (held.older, held.newer) = (NONE, first);
        if first == NONE {
            self.newest = slot;
        } else {
            self.slot_mut(first).older = slot;
        }
        self.oldest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let (older, newer) = (self.slot(slot).older, self.slot(slot).newer);
        if older == PARKED {
            return;
        }
        if older == NONE {
            self.oldest = newer;
        } else {
            self.slot_mut(older).newer = newer;
        }
        if newer == NONE { self.newest = older } else { self.slot_mut(newer).older = older }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn like_a_map_with_an_order(steps in proptest::collection::vec((0u8..6, 0u32..40), 0..300)) {
            let mut keys = Keys::new();
            let mut model: BTreeMap<Vec<u8>, (Option<u64>, u32)> = BTreeMap::new();
            for (now, (what, n)) in (0u64..).zip(steps) {
                let bytes = "x".repeat(n as usize).into_bytes();
                match (what, keys.find(&bytes)) {
                    (0 | 1, None) => {
                        keys.insert(&bytes, n, false);
                        model.insert(bytes, (Some(now), n));
                    }
                    (0 | 1, Some(slot)) => {
                        keys.touch(slot);
                        model.entry(bytes).and_modify(|held| held.0 = held.0.and(Some(now)));
                    }
                    (2, Some(slot)) => prop_assert_eq!(keys.remove(slot), model.remove(&bytes).map(|v| v.1)),
                    (3, Some(slot)) => {
                        keys.park(slot);
                        model.entry(bytes).and_modify(|held| held.0 = None);
                    }
                    (4, Some(slot)) => {
                        keys.unpark(slot);
                        model.entry(bytes).and_modify(|held| held.0 = held.0.or(Some(now)));
                    }
                    _ => {}
                }
                prop_assert_eq!(keys.len(), model.len());
                let oldest = keys.oldest().map(|slot| keys.bytes(slot).to_vec());
                let expect = model.iter().filter(|(_, v)| v.0.is_some()).min_by_key(|(_, v)| v.0);
                prop_assert_eq!(oldest, expect.map(|(k, _)| k.clone()));
                for (bytes, (_, n)) in &model {
                    let slot = keys.find(bytes).unwrap();
                    prop_assert_eq!(keys.get(slot), Some(n));
                }
            }
        }
    }

    #[test]
    fn idle_keys_go_first() {
        let mut keys = Keys::new();
        keys.insert(b"a", (), false);
        let idle = keys.insert(b"b", (), true);
        assert_eq!(keys.oldest(), Some(idle));
    }
}
