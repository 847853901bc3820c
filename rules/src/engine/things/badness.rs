//! When a thing is bad, from its records alone: each kind about single things as one pure function.
//!
//! Records stand in the order of (time, LSN). What is known later changes nothing at instants before it: badness at an
//! instant follows from the records at or before it. Refuses to know: watermarks, keys' alerts, bounds.

use record::{InstantMs, Lsn};

use super::look::split_prefix;
use crate::rule::{Allowed, Kind, ThingKind, Things};

/// Records remembered per thing; beyond it the oldest are let go.
pub(super) const RECORDS_MAX: usize = 256;

/// `unfinished`: the record has `start`.
const START: u32 = 1;
/// `unfinished`: the record has `finish`.
const FINISH: u32 = 2;

/// `mismatch`: the record is a left one.
const LEFT: u32 = 1;
/// `mismatch`: the record is a right one.
const RIGHT: u32 = 2;
/// `new_value`: one that is forgotten came shortly before it.
const SEEN: u32 = 1 << 31;

/// What badness depends on besides the records of the thing.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// What `transition` allows.
    pub(super) allowed: Allowed,
    /// Where history starts, by what is known.
    pub(super) start: Option<InstantMs>,
}

/// A record of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Entry {
    pub(in crate::engine) at: InstantMs,
    pub(in crate::engine) lsn: Lsn,
    /// Number in [`crate::engine::lines::Lines`].
    pub(in crate::engine) line: u64,
    /// Which of the rule's conditions hold, by bit.
    pub(in crate::engine) roles: u32,
    /// Key, value, order and amount, back to back.
    pub(in crate::engine) texts: Box<[u8]>,
    /// Where key, value and order end.
    pub(in crate::engine) ends: [u32; 3],
}

impl Entry {
    /// Bytes of the key of the record.
    pub(in crate::engine) fn key(&self) -> &[u8] {
        &self.texts[..self.ends[0] as usize]
    }

    /// Canonical bytes of what the kind compares.
    pub(in crate::engine) fn value(&self) -> &[u8] {
        &self.texts[self.ends[0] as usize..self.ends[1] as usize]
    }

    pub(in crate::engine) fn order(&self) -> &[u8] {
        &self.texts[self.ends[1] as usize..self.ends[2] as usize]
    }

    pub(in crate::engine) fn amount(&self) -> &[u8] {
        &self.texts[self.ends[2] as usize..]
    }

    fn has(&self, role: u32) -> bool {
        self.roles & role != 0
    }
}

/// A time for which a thing is bad: [from, until).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Spell {
    pub(in crate::engine) from: InstantMs,
    pub(in crate::engine) until: InstantMs,
    /// Position of the record whose key it counts for.
    pub(in crate::engine) of: usize,
    /// Position of the record that people are shown.
    pub(in crate::engine) shown: usize,
}

/// Shape of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct ThingRule {
    /// Bad things needed.
    pub(in crate::engine) count: u64,
    /// Raised before it is settled.
    pub(in crate::engine) early: bool,
    resolve_after_ms: i64,
    within_ms: i64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Unfinished { skew_ms: i64 },
    Transition,
    Sequence { steps: u32 },
    Mismatch,
    NewValue { learn_ms: i64 },
}

impl ThingRule {
    /// The shape of a kind; `None` for kinds that are not about single things.
    pub(in crate::engine) fn of(kind: &Kind) -> Option<Self> {
        let Kind::Things(things) = kind else { return None };
        let Things { count, resolve_after_ms, ref kind, .. } = *things;
        let (what, early) = match kind {
            ThingKind::Unfinished { skew_ms, .. } => (What::Unfinished { skew_ms: *skew_ms }, false),
            ThingKind::Transition { .. } => (What::Transition, true),
            ThingKind::Sequence { steps, .. } => (What::Sequence { steps: steps.len() as u32 }, true),
            ThingKind::Mismatch { .. } => (What::Mismatch, true),
            ThingKind::NewValue { learn_ms, .. } => (What::NewValue { learn_ms: *learn_ms }, true),
        };
        Some(Self { count, early, resolve_after_ms, within_ms: things.within_ms(), what })
    }

    /// Whether a record is not looked at: what it could still change is over. Of two starts the first decides whether the
    /// second one opens, and so on: while something of a thing is known, a record is never too late for it.
    pub(super) fn is_too_late(&self, at: InstantMs, watermark: InstantMs, is_known: bool) -> bool {
        let reach_ms = match self.what {
            What::Unfinished { .. } if is_known => None,
            What::Unfinished { .. } => Some(self.linger_ms()),
            _ => self.reach_ms(),
        };
        reach_ms.is_some_and(|reach_ms| at <= watermark.saturating_sub(reach_ms))
    }

    /// So long before the watermark a record changes nothing.
    fn reach_ms(&self) -> Option<i64> {
        let both = self.within_ms + self.resolve_after_ms;
        match self.what {
            // For some starts in a row that depend on each other.
            What::Unfinished { skew_ms } => Some(4 * (both + skew_ms)),
            What::Transition => None,
            What::Sequence { .. } | What::Mismatch | What::NewValue { .. } => Some(both),
        }
    }

    /// Whether a record of that time changes no verdict from `settled` on: of `transition` one that lies before another
    /// that is settled, and no longer bad, does so only if it is new.
    pub(in crate::engine) fn is_past(&self, at: InstantMs, settled: InstantMs) -> bool {
        at <= settled.saturating_sub(self.reach_ms().unwrap_or(self.resolve_after_ms))
    }

    /// Whether it depends on where history starts.
    pub(super) fn learns(&self) -> bool {
        matches!(self.what, What::NewValue { .. })
    }

    /// What people are shown of the name of a thing.
    pub(in crate::engine) fn name<'a>(&self, thing: &'a [u8]) -> &'a [u8] {
        if let What::NewValue { .. } = self.what { split_prefix(thing).1 } else { thing }
    }

    /// How long after its last record a thing is to be looked at again, to be forgotten if it can be.
    pub(super) fn linger_ms(&self) -> i64 {
        let both = self.within_ms + self.resolve_after_ms;
        match self.what {
            What::Unfinished { skew_ms } => 2 * (both + skew_ms),
            What::Transition | What::Sequence { .. } | What::Mismatch | What::NewValue { .. } => both,
        }
    }

    /// All spells of a thing.
    pub(super) fn spells(&self, entries: &[Entry], known: &Known) -> Vec<Spell> {
        match self.what {
            What::Mismatch => self.mismatch(entries),
            What::NewValue { learn_ms } => {
                let Some(start) = known.start else { return Vec::new() };
                let is_told = |&i: &usize| entries[i].at >= start + learn_ms && self.is_new(entries, i);
                (0..entries.len()).filter(is_told).map(|i| self.spell_at(entries, i, i)).collect()
            }
            What::Unfinished { skew_ms } => self.unfinished(entries, skew_ms).0,
            What::Sequence { steps } => self.sequence(entries, steps),
            What::Transition => {
                let changes = entries.windows(2).enumerate().filter(|(_, pair)| {
                    let (a, b) = (pair[0].value(), pair[1].value());
                    a != b && !known.allowed.get(a).is_some_and(|next| next.contains(b))
                });
                changes.map(|(i, _)| self.spell_at(entries, i + 1, i + 1)).collect()
            }
        }
    }

    /// For each first record the earliest records of the steps between, then all that fit the last step.
    fn sequence(&self, entries: &[Entry], steps: u32) -> Vec<Spell> {
        let mut spells = Vec::new();
        for first in (0..entries.len()).filter(|&i| entries[i].has(1)) {
            let next =
                |after: usize, step: u32| (after + 1..entries.len()).find(|&i| entries[i].has(1 << step));
            let Some(before) = (1..steps - 1).try_fold(first, next) else { continue };
            let in_time = (before + 1..entries.len())
                .take_while(|&i| entries[i].at - entries[first].at <= self.within_ms);
            let last = in_time.filter(|&i| entries[i].has(1 << (steps - 1)));
            spells.extend(last.map(|last| self.spell_at(entries, first, last)));
        }
        spells
    }

    /// Every left record with every right one near it that differs; both of them are shown.
    fn mismatch(&self, entries: &[Entry]) -> Vec<Spell> {
        let mut spells = Vec::new();
        for left in (0..entries.len()).filter(|&i| entries[i].has(LEFT)) {
            let at = entries[left].at;
            let first = entries.partition_point(|entry| entry.at < at - self.within_ms);
            let near = (first..entries.len()).take_while(|&i| entries[i].at <= at + self.within_ms);
            let differ = |&i: &usize| {
                i != left && entries[i].has(RIGHT) && entries[i].value() != entries[left].value()
            };
            for right in near.filter(differ) {
                let spell = self.spell_at(entries, left, left.max(right));
                spells.extend([left, right].map(|shown| Spell { shown, ..spell }));
            }
        }
        spells
    }

    /// Whether no record came shortly before one.
    fn is_new(&self, entries: &[Entry], i: usize) -> bool {
        !entries[i].has(SEEN) && i.checked_sub(1).is_none_or(|before| !self.remembers(entries, before, i))
    }

    /// Whether a value is still remembered when it comes again.
    fn remembers(&self, entries: &[Entry], before: usize, i: usize) -> bool {
        entries[i].at - entries[before].at < self.within_ms
    }

    /// Forgets what stands between records of a value that remember each other: it is not new, and what it remembers
    /// they remember.
    fn thin(&self, entries: &mut Vec<Entry>) {
        let mut i = 1;
        while i + 1 < entries.len() {
            if self.remembers(entries, i - 1, i + 1) {
                entries.remove(i);
            } else {
                i += 1;
            }
        }
    }

    /// Bad from a record on.
    fn spell_at(&self, entries: &[Entry], of: usize, last: usize) -> Spell {
        let from = entries[last].at;
        Spell { from, until: from + self.resolve_after_ms, of, shown: last }
    }

    /// Forgets the records that no instant from `settled` on depends on, nor any record that may still come.
    pub(super) fn prune(&self, entries: &mut Vec<Entry>, settled: InstantMs) {
        match self.what {
            What::Unfinished { skew_ms } => {
                let horizon = settled - self.linger_ms();
                if entries.last().is_some_and(|last| last.at <= horizon) {
                    return entries.clear();
                }
                self.fold(entries, horizon, skew_ms);
            }
            What::Sequence { .. } | What::Mismatch => {
                let horizon = settled - self.within_ms - self.resolve_after_ms;
                entries.retain(|entry| entry.at > horizon);
            }
            What::NewValue { .. } => {
                self.thin(entries);
                let horizon = settled - self.within_ms - self.resolve_after_ms;
                self.forget_seen(entries, entries.partition_point(|entry| entry.at <= horizon));
            }
            // The last value before those that are still bad is the earlier one of the next change.
            What::Transition => {
                let past = entries.partition_point(|entry| entry.at <= settled - self.resolve_after_ms);
                entries.drain(..past.saturating_sub(1));
            }
        }
    }

    /// Keeps the bound on records: the oldest go.
    pub(super) fn drop_oldest(&self, entries: &mut Vec<Entry>) {
        match self.what {
            // Not the start that is open: what is begun again and again would never be late.
            What::Unfinished { skew_ms } => self.fold(entries, entries[entries.len() / 2].at, skew_ms),
            What::NewValue { .. } => self.forget_seen(entries, 1),
            _ => drop(entries.remove(0)),
        }
    }

    /// `new_value`: forgets the first `len` records, not that there were some.
    fn forget_seen(&self, entries: &mut Vec<Entry>, len: usize) {
        if let Some(last) = len.checked_sub(1)
            && len < entries.len()
            && self.remembers(entries, last, len)
        {
            entries[len].roles |= SEEN;
        }
        entries.drain(..len);
    }

    /// Spells of `unfinished`, the start that is open in the end, and the last finish.
    fn unfinished(&self, entries: &[Entry], skew_ms: i64) -> (Vec<Spell>, Option<usize>, Option<usize>) {
        let (mut spells, mut open, mut finished) = (Vec::new(), None::<usize>, None::<usize>);
        let bad_from = |start: usize| entries[start].at + self.within_ms;
        let forgotten = |start: usize| bad_from(start) + self.resolve_after_ms;
        let spell = |start: usize, until| Spell { from: bad_from(start), until, of: start, shown: start };
        let mut next = 0;
        for instant in entries.chunk_by(|a, b| a.at == b.at) {
            let (first, at) = (next, instant[0].at);
            next += instant.len();
            if let Some(start) = open.take_if(|start| forgotten(*start) <= at) {
                spells.push(spell(start, forgotten(start)));
            }
            // A finish at the instant of a start: it is not open, whichever came first.
            if let Some(i) = instant.iter().position(|entry| entry.has(FINISH)) {
                finished = Some(first + i);
                if let Some(start) = open.take().filter(|start| bad_from(*start) < at) {
                    spells.push(spell(start, at));
                }
            } else if open.is_none()
                && finished.is_none_or(|finish| entries[finish].at < at - skew_ms)
                && let Some(i) = instant.iter().position(|entry| entry.has(START))
            {
                open = Some(first + i);
            }
        }
        spells.extend(open.map(|start| spell(start, forgotten(start))));
        (spells, open, finished)
    }

    /// Of the records of `unfinished` up to `horizon` keeps what stands for all of them: the start that is open, the
    /// last finish.
    fn fold(&self, entries: &mut Vec<Entry>, horizon: InstantMs, skew_ms: i64) {
        let past = entries.partition_point(|entry| entry.at <= horizon);
        if past == 0 {
            return;
        }
        let (_, open, finished) = self.unfinished(&entries[..past], skew_ms);
        let open = open.filter(|&start| entries[start].at + self.within_ms + self.resolve_after_ms > horizon);
        let finished = finished.filter(|&finish| entries[finish].at > horizon - skew_ms);
        let mut i = 0;
        entries.retain(|_| {
            i += 1;
            i > past || open == Some(i - 1) || finished == Some(i - 1)
        });
    }
}
