//! Which keys must be looked at when a bucket is settled.
//!
//! An entry may be stale (its key has moved on or is gone): looking at a key too often does no harm, so nothing is
//! ever searched for to be removed. Refuses to know: why a key is due.

use std::collections::BTreeMap;

use super::counts::widen;
use crate::codec::{In, Out, Read};

const DUE: u8 = 1;
const LATER: u8 = 2;
const WAITING: u8 = 4;

/// When one key is due. Buckets as their low 32 bits, as counts keep them.
///
/// A key that was due later than it now is keeps its old place in the schedule, and remembers it: when it has been
/// looked at it is due there again, so that a key of many records never has more than a few places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    due: u32,
    later: u32,
    set: u8,
}

impl Marks {
    fn get(&self, mark: u8, near: i64) -> Option<i64> {
        let low = if mark == DUE { self.due } else { self.later };
        (self.set & mark != 0).then(|| widen(low, near))
    }

    /// The key must be looked at when bucket `at` is settled, or before; true if it must be added there.
    pub(super) fn want(&mut self, at: i64, near: i64) -> bool {
        let later = self.get(LATER, near);
        match (self.get(DUE, near), later) {
            (Some(due), _) if due <= at => return false,
            (Some(due), later) => {
                self.later = later.map_or(due, |later| later.min(due)) as u32;
                self.set |= LATER;
            }
            (None, Some(later)) if later <= at => {
                self.due = self.later;
                self.set = self.set & !LATER | DUE;
                return false;
            }
            (None, _) => {}
        }
        self.due = at as u32;
        self.set |= DUE;
        true
    }

    /// The key was found in the schedule at bucket `at`; true if it is due there.
    pub(super) fn reach(&mut self, at: i64) -> bool {
        let here = |set: u8, mark: u8, low: u32| set & mark != 0 && low == at as u32;
        let due = here(self.set, DUE, self.due);
        if due {
            self.set &= !DUE;
        }
        if here(self.set, LATER, self.later) {
            self.set &= !LATER;
        }
        due
    }

    /// Whether the key waits for `settle`.
    pub(super) fn is_waiting(&self) -> bool {
        self.set & WAITING != 0
    }

    /// Lets the key wait or not; whether it did.
    pub(super) fn set_waiting(&mut self, waiting: bool) -> bool {
        let did = self.is_waiting();
        self.set = if waiting { self.set | WAITING } else { self.set & !WAITING };
        did
    }
}

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

impl Marks {
    pub(super) fn write(&self, near: i64, out: &mut Out<'_>) {
        out.byte(self.set);
        for mark in [DUE, LATER] {
            if let Some(at) = self.get(mark, near) {
                out.signed(at - near);
            }
        }
    }

    pub(super) fn read(near: i64, read: &mut In<'_>) -> Read<Self> {
        let set = read.byte()?;
        read.check(set <= DUE | LATER | WAITING, "marks")?;
        let mut low = |mark: u8| {
            let ahead = if set & mark == 0 { 0 } else { read.signed()? };
            read.check(ahead.unsigned_abs() < 1 << 31, "a bucket near the others")?;
            Ok((near as u32).wrapping_add(ahead as u32))
        };
        Ok(Self { due: low(DUE)?, later: low(LATER)?, set })
    }
}

impl Schedule {
    /// In the order in which it was filled: keys of one bucket are looked at in that order.
    pub(super) fn write(&self, out: &mut Out<'_>) {
        out.len(self.due.len());
        let mut last = 0;
        for (&at, slots) in &self.due {
            out.signed(at - last);
            out.len(slots.len());
            slots.iter().for_each(|&slot| out.number(u64::from(slot)));
            last = at;
        }
    }

    /// `fits` says what instants and places there are.
    pub(super) fn read(read: &mut In<'_>, fits: impl Fn(i64, u32) -> bool) -> Read<Self> {
        let (mut due, mut last) = (BTreeMap::new(), 0_i64);
        for i in 0..read.len(3)? {
            let step = read.signed()?;
            last = last.saturating_add(step);
            read.check(i == 0 || step > 0, "a schedule in order")?;
            let len = read.len(1)?;
            read.check(len > 0, "keys that are due")?;
            let mut slots = Vec::with_capacity(len);
            for _ in 0..len {
                let slot = read.number_u32()?;
                read.check(fits(last, slot), "a key that is due")?;
                slots.push(slot);
            }
            due.insert(last, slots);
        }
        Ok(Self { due })
    }
}
