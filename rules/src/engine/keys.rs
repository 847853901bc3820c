//! The keys of one rule: found by their bytes, kept compactly, bounded, the least recently active out first.
//!
//! A key's bytes are the canonical texts of its `by` values; a null value is empty (no column text is). Refuses to
//! know: windows (it carries them), columns.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::codec::{In, Out, Read};

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

    /// The keys that may go, the most recently active first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = u32> {
        let some = |slot: u32| Some(slot).filter(|&slot| slot != NONE);
        std::iter::successors(some(self.newest), move |&slot| some(self.slot(slot).older))
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

impl<T> Keys<T> {
    /// Every key at its place: those in the order of activity, those that are parked, and the free places in the
    /// order of their use, so that what follows is the same.
    pub(super) fn write(&self, out: &mut Out<'_>, mut write: impl FnMut(u32, &T, &mut Out<'_>)) {
        let mut one = |slot: u32, out: &mut Out<'_>| {
            let held = self.slot(slot);
            out.number(u64::from(slot));
            out.blob(held.text.bytes());
            if let Some(value) = &held.value {
                write(slot, value, out);
            }
        };
        let parked = |held: &Slot<T>| held.older == PARKED && held.value.is_some();
        let parked_len = self.chunks.iter().flatten().filter(|held| parked(held)).count();
        out.number(u64::from(self.slots));
        out.len(self.len() - parked_len);
        let mut next = self.oldest;
        while next != NONE {
            one(next, out);
            next = self.slot(next).newer;
        }
        out.len(parked_len);
        if parked_len > 0 {
            let all = (0..self.slots).filter(|&slot| parked(self.slot(slot)));
            all.for_each(|slot| one(slot, out));
        }
        let mut free = self.free;
        while free != NONE {
            out.number(u64::from(free));
            free = self.slot(free).newer;
        }
    }

    pub(super) fn read(
        read: &mut In<'_>,
        mut value: impl FnMut(u32, bool, &mut In<'_>) -> Read<T>,
    ) -> Read<Self> {
        let slots = read.len(1)?;
        read.check(slots < PARKED as usize, "fewer keys")?;
        let mut keys = Self::new();
        for slot in 0..slots {
            if slot & (CHUNK - 1) == 0 {
                keys.chunks.push(Vec::with_capacity(CHUNK.min(slots - slot)));
            }
            let empty = Slot { text: KeyText::new(&[]), older: NONE, newer: NONE, value: None };
            keys.chunks[slot / CHUNK].push(empty);
        }
        keys.slots = slots as u32;
        for is_parked in [false, true] {
            let len = read.len(2)?;
            read.check(len <= slots - keys.len(), "as many keys as places")?;
            let (chunks, hasher) = (&keys.chunks, &keys.hasher);
            keys.table.reserve(len, |&other| hasher.hash_one(slot_of(chunks, other).text.bytes()));
            for _ in 0..len {
                let (slot, bytes) = (keys.place(read)?, read.blob()?);
                read.check(keys.find(bytes).is_none(), "each key once")?;
                let value = value(slot, is_parked, read)?;
                let held = keys.slot_mut(slot);
                (held.text, held.value) = (KeyText::new(bytes), Some(value));
                if is_parked {
                    held.older = PARKED;
                } else {
                    keys.link_newest(slot);
                }
                let hash = keys.hasher.hash_one(bytes);
                let (chunks, hasher) = (&keys.chunks, &keys.hasher);
                let rehash = |&other: &u32| hasher.hash_one(slot_of(chunks, other).text.bytes());
                keys.table.insert_unique(hash, slot, rehash);
            }
        }
        let mut last = NONE;
        for _ in keys.len()..slots {
            let slot = keys.place(read)?;
            keys.slot_mut(slot).older = PARKED;
            if last == NONE {
                keys.free = slot;
            } else {
                keys.slot_mut(last).newer = slot;
            }
            last = slot;
        }
        Ok(keys)
    }

    /// A place that is there and was not named before.
    fn place(&self, read: &mut In<'_>) -> Read<u32> {
        let slot = read.number_u32()?;
        let is_new = slot < self.slots && {
            let held = self.slot(slot);
            held.value.is_none() && held.older != PARKED
        };
        read.check(is_new, "each place once").map(|()| slot)
    }

    /// Whether there is such a place, free or not.
    pub(super) fn has_place(&self, slot: u32) -> bool {
        slot < self.slots
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
