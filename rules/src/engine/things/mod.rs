//! Kinds about single things: remembers the records of each thing, keeps for each key which things are bad when.
//!
//! A record changes the spells of one thing. They are computed anew from its few records, and each key is told how they
//! differ from the watermark on; [`bad::Bad`] counts. Refuses to know: what makes a thing bad ([`badness`]), alerts.

mod bad;
mod badness;
mod image;
mod look;
mod reason;

use std::collections::BTreeMap;

use record::InstantMs;

pub(super) use bad::Bad;
pub(super) use badness::ThingRule;
pub(super) use look::Look;

use self::bad::Span;
use self::badness::{Entry, Known, RECORDS_MAX, Spell};
use super::clock::NEVER;
use super::keys::Keys;
use super::life::Life;
use super::recent;
use super::schedule::{Marks, Schedule};
use super::state::{Cause, Key, Memory, RuleState, Shape, Sighting};
use crate::rule::{self, Allowed, Kind, ThingKind};

const SECOND_MS: i64 = 1_000;
/// Things per rule for each key that it may have.
const THINGS_PER_KEY: usize = 10;

/// The spans of a thing by the key that they count for.
type ByKey = BTreeMap<Box<[u8]>, Vec<Span>>;

/// All things of one rule.
#[derive(Debug)]
pub(super) struct Things {
    /// Those that are bad, or will be by what is known, are parked: the others go first.
    things: Keys<Thing>,
    /// By second: things that may be forgotten.
    schedule: Schedule,
    known: Known,
}

/// One thing.
#[derive(Debug, Default)]
struct Thing {
    /// In the order of (time, LSN).
    entries: Vec<Entry>,
    /// Second at which it is looked at again.
    due: Option<i64>,
}

impl Things {
    pub(super) fn new(kind: &Kind) -> Self {
        let allowed = match kind {
            Kind::Things(rule::Things { kind: ThingKind::Transition { allowed, .. }, .. }) => allowed.clone(),
            _ => Allowed::default(),
        };
        let known = Known { allowed, start: None };
        Self { things: Keys::new(), schedule: Schedule::default(), known }
    }

    pub(super) fn len(&self) -> usize {
        self.things.len()
    }

    /// The first second at which there is something to be forgotten.
    pub(super) fn first(&self) -> Option<i64> {
        self.schedule.first()
    }

    /// Its name, as bytes.
    pub(super) fn name(&self, thing: u32) -> &[u8] {
        self.things.bytes(thing)
    }

    fn entries(&self, thing: u32) -> &[Entry] {
        self.things.get(thing).map_or(&[], |thing| &thing.entries)
    }

    fn spells(&self, rule: ThingRule, thing: u32) -> Vec<Spell> {
        rule.spells(self.entries(thing), &self.known)
    }

    /// Looks at a thing again when `linger_ms` have passed since its last record.
    fn look_again(&mut self, slot: u32, linger_ms: i64, after: i64) {
        let Some(thing) = self.things.get_mut(slot) else { return };
        let Some(last) = thing.entries.last() else { return };
        let due = (last.at + linger_ms).div_euclid(SECOND_MS).max(after);
        if thing.due.is_none_or(|known| known > due) {
            thing.due = Some(due);
            self.schedule.add(due, slot);
        }
    }

    /// The thing that goes at the bound.
    fn first_to_go(&mut self) -> Option<u32> {
        if let Some(slot) = self.things.oldest() {
            return Some(slot);
        }
        // All are bad or will be: the one that would be forgotten first.
        while let Some((due, mut slots)) = self.schedule.pop(i64::MAX) {
            while let Some(slot) = slots.pop() {
                if self.things.get(slot).is_some_and(|thing| thing.due == Some(due)) {
                    slots.into_iter().for_each(|slot| self.schedule.add(due, slot));
                    return Some(slot);
                }
            }
        }
        None
    }

    /// A number that stands for all of them, whatever their places.
    pub(super) fn hash(&self) -> u64 {
        self.things.iter().fold(0, |sum, (_, name, thing)| {
            let seed = super::hash::bytes(5, name.iter().copied());
            sum.wrapping_add(thing.entries.iter().fold(seed, |seed, entry| {
                let texts = super::hash::bytes(seed, entry.texts.iter().copied());
                super::hash::numbers(texts, [entry.at, entry.lsn as i64, i64::from(entry.roles)])
            }))
        })
    }
}

/// The spans of a thing from an instant on, by key.
fn by_key(entries: &[Entry], mut spells: Vec<Spell>, from: InstantMs) -> ByKey {
    spells.sort_unstable();
    let mut all = ByKey::new();
    for spell in spells.into_iter().filter(|spell| spell.until > from) {
        let start = spell.from.max(from);
        let key = entries[spell.of].key();
        match all.get_mut(key) {
            None => drop(all.insert(key.into(), vec![(start, spell.until)])),
            Some(spans) => match spans.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(spell.until),
                _ => spans.push((start, spell.until)),
            },
        }
    }
    all
}

impl RuleState {
    /// Takes a record of a thing. The clock must have been advanced as far as the record's own time allows.
    pub(super) fn take_thing(&mut self, rule: ThingRule, seen: &Sighting<'_>, cause: &mut Cause<'_>) {
        let Some(look) = &seen.look else { return };
        let at = seen.found.at;
        let known = self.things.things.find(look.thing);
        if rule.is_too_late(at, self.watermark, known.is_some()) {
            return self.know_start(cause);
        }
        let slot = match known {
            Some(slot) => {
                self.things.things.touch(slot);
                slot
            }
            None => self.things.things.insert(look.thing, Thing::default(), false),
        };
        let before = self.spans(rule, slot);
        let settled = self.settled_ms();
        let Some(thing) = self.things.things.get_mut(slot) else { return };
        let entry = look.entry(seen);
        let position = thing.entries.partition_point(|held| (held.at, held.lsn) <= (entry.at, entry.lsn));
        thing.entries.insert(position, entry);
        rule.prune(&mut thing.entries, settled);
        if thing.entries.len() > RECORDS_MAX {
            let len = thing.entries.len();
            rule.drop_oldest(&mut thing.entries);
            self.counts.thing_records_dropped += (len - thing.entries.len()) as u64;
        }
        self.things.look_again(slot, rule.linger_ms(), self.frontier);
        if self.start_is_news() {
            self.judge_anew(rule, Some((slot, before)), cause);
        } else {
            let after = self.spans(rule, slot);
            self.park_thing(slot, !after.is_empty());
            self.tell_keys(rule, slot, before, after, cause);
        }
        self.bound_things(rule, cause);
    }

    /// Whether history starts elsewhere than was known, and what is bad hangs on it.
    pub(super) fn start_is_news(&self) -> bool {
        matches!(self.shape, Shape::Things(rule) if rule.learns())
            && self.history.lowest() != self.things.known.start
    }

    /// History may start elsewhere than was known: what is bad by that is judged anew.
    pub(super) fn know_start(&mut self, cause: &mut Cause<'_>) {
        if let Shape::Things(rule) = self.shape
            && self.start_is_news()
        {
            self.judge_anew(rule, None, cause);
        }
    }

    /// The same, with a thing of which a record was taken meanwhile, and what was known of it before.
    fn judge_anew(&mut self, rule: ThingRule, taken: Option<(u32, ByKey)>, cause: &mut Cause<'_>) {
        // Only in the first moments, when there are few.
        let slots: Vec<u32> = self.things.things.iter().map(|(slot, ..)| slot).collect();
        let mut before: BTreeMap<u32, ByKey> =
            slots.iter().map(|&slot| (slot, self.spans(rule, slot))).collect();
        before.extend(taken);
        self.things.known.start = self.history.lowest();
        let mut changes: Vec<_> =
            before.into_iter().map(|(slot, before)| (slot, before, self.spans(rule, slot))).collect();
        // An alert that several of them raise begins when the first of them was there.
        changes.sort_by_key(|(.., after)| after.values().flatten().map(|span| span.0).min());
        for (slot, before, after) in changes {
            self.park_thing(slot, !after.is_empty());
            self.tell_keys(rule, slot, before, after, cause);
        }
    }

    /// Verdicts to come are about instants from here on.
    pub(super) fn settled_ms(&self) -> InstantMs {
        self.frontier.saturating_mul(SECOND_MS).max(NEVER)
    }

    /// The spans of a thing from the watermark on.
    fn spans(&self, rule: ThingRule, slot: u32) -> ByKey {
        by_key(self.things.entries(slot), self.things.spells(rule, slot), self.watermark)
    }

    fn park_thing(&mut self, slot: u32, is_bad: bool) {
        if is_bad {
            self.things.things.park(slot);
        } else {
            self.things.things.unpark(slot);
        }
    }

    /// Tells the keys what changed of a thing from the watermark on.
    fn tell_keys(
        &mut self,
        rule: ThingRule,
        thing: u32,
        mut before: ByKey,
        after: ByKey,
        cause: &mut Cause<'_>,
    ) {
        for (key, spans) in after {
            if before.remove(&key).is_none_or(|old| old != spans) {
                self.tell_key(rule, &key, thing, &spans, cause);
            }
        }
        for key in before.into_keys() {
            self.tell_key(rule, &key, thing, &[], cause);
        }
    }

    fn tell_key(
        &mut self,
        rule: ThingRule,
        key_bytes: &[u8],
        thing: u32,
        spans: &[Span],
        cause: &mut Cause<'_>,
    ) {
        let slot = match self.keys.find(key_bytes) {
            Some(slot) => {
                self.keys.touch(slot);
                slot
            }
            None if spans.is_empty() => return,
            None => {
                let memory = Memory::Bad(Box::new(Bad::new(self.watermark)));
                let key = Key { memory, episode: None, last_match: recent::NONE, marks: Marks::default() };
                self.insert_key(key_bytes, key, false)
            }
        };
        let Some(Key { memory: Memory::Bad(bad), .. }) = self.keys.get_mut(slot) else { return };
        bad.set(thing, spans, self.watermark);
        let due = bad.next_due(self.thresholds.needed(slot)).unwrap_or(self.watermark);
        self.look_at(slot, due.div_euclid(SECOND_MS).max(self.frontier));
        self.bound();
        if self.over.is_none() {
            self.judge_thing_early(rule, slot, cause);
        }
    }

    /// Raises at once what became active, withdraws at once what was proved wrong.
    fn judge_thing_early(&mut self, rule: ThingRule, slot: u32, cause: &mut Cause<'_>) {
        let Some(key) = self.keys.get(slot) else { return };
        let is_open = key.episode.as_ref().is_none_or(|episode| episode.life == Life::Idle);
        if rule.early && is_open {
            self.reconsider(slot, cause);
        }
    }

    /// Keeps the bound on things. What goes is no longer bad.
    fn bound_things(&mut self, rule: ThingRule, cause: &mut Cause<'_>) {
        let most = self.keys_max.saturating_mul(THINGS_PER_KEY);
        while self.things.len() > most {
            let Some(slot) = self.things.first_to_go() else { return };
            let before = self.spans(rule, slot);
            self.things.things.remove(slot);
            self.tell_keys(rule, slot, before, ByKey::new(), cause);
            self.counts.things_dropped += 1;
        }
    }

    /// Forgets what may be forgotten of the things that are due.
    pub(super) fn forget_things(&mut self) {
        let Shape::Things(rule) = self.shape else { return };
        let settled = self.settled_ms();
        while let Some((due, slots)) = self.things.schedule.pop(self.frontier - 1) {
            for slot in slots {
                let Some(thing) = self.things.things.get_mut(slot).filter(|thing| thing.due == Some(due))
                else {
                    continue;
                };
                thing.due = None;
                rule.prune(&mut thing.entries, settled);
                if thing.entries.is_empty() {
                    self.things.things.remove(slot);
                    continue;
                }
                let is_bad =
                    rule.spells(&thing.entries, &self.things.known).iter().any(|spell| spell.until > settled);
                self.park_thing(slot, is_bad);
                // Of some kinds the last record is remembered for ever; nothing changes until another comes.
                if thing_last(&self.things, slot).is_some_and(|last| last + rule.linger_ms() >= settled) {
                    self.things.look_again(slot, rule.linger_ms(), self.frontier);
                }
            }
        }
    }
}

fn thing_last(things: &Things, slot: u32) -> Option<InstantMs> {
    things.entries(slot).last().map(|entry| entry.at)
}
