//! `consecutive`: matches in a row without a reset, exact to the millisecond, for one key.
//!
//! Entries are kept in the order of their verdict: by time, a reset before a match of the same millisecond; equal
//! matches need no order. Refuses to know: keys, alerts, records.

use record::InstantMs;

use super::thresholds::Needed;
use crate::codec::{In, Out, Read};

/// Decided matches of a run that are kept beyond what the verdict needs, to tell people how long the run is.
const SHOWN_MAX: usize = 600;

/// Shape of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunRule {
    /// Matches in a row needed.
    pub(super) count: usize,
    /// Most that some key may need.
    pub(super) most: usize,
    /// The first of them must be later than this long ago.
    pub(super) within_ms: i64,
}

/// A match or a reset: twice its time, plus one for a match.
type Entry = i64;

/// How many, as a length.
fn len(needed: u64) -> usize {
    usize::try_from(needed).unwrap_or(usize::MAX)
}

fn time(entry: Entry) -> InstantMs {
    entry.div_euclid(2)
}

fn is_match(entry: Entry) -> bool {
    entry.rem_euclid(2) == 1
}

/// A change of activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) at: InstantMs,
    pub(super) active: bool,
    /// It ended at a reset, not by the window.
    pub(super) reset: bool,
}

/// What is known of one key.
#[derive(Debug, Clone)]
pub(super) struct Run {
    entries: Vec<Entry>,
    /// Instants before it are decided.
    decided: InstantMs,
    /// Activity just before `decided`.
    active: bool,
    /// A late entry may change activity at `decided` itself.
    late: bool,
}

/// Walks over instants in time order.
struct Walk<'a> {
    rule: RunRule,
    needed: Needed<'a>,
    /// The instant gone to.
    at: InstantMs,
    entries: &'a [Entry],
    /// Entries taken.
    next: usize,
    /// First entry after the last reset taken.
    run_start: usize,
    active: bool,
}

impl Walk<'_> {
    fn take(&mut self, at: InstantMs) -> bool {
        let mut reset = false;
        while self.entries.get(self.next).is_some_and(|&entry| time(entry) <= at) {
            if !is_match(self.entries[self.next]) {
                self.run_start = self.next + 1;
                reset = true;
            }
            self.next += 1;
        }
        reset
    }

    /// First of the last entries, as many as are needed, if they are all matches.
    fn first(&self) -> Option<InstantMs> {
        let first = self.next.checked_sub(len(self.needed.at(self.at)))?;
        (first >= self.run_start).then(|| time(self.entries[first]))
    }

    /// Goes to an instant with its entries; tells if activity changed.
    fn step(&mut self, at: InstantMs) -> Option<Edge> {
        let reset = self.take(at);
        self.at = at;
        let active = self.first().is_some_and(|first| first > at - self.rule.within_ms);
        let changed = active != self.active;
        self.active = active;
        changed.then_some(Edge { at, active, reset: reset && !active })
    }

    /// The run's first leaves the window before `until`, if it does.
    fn expire(&mut self, until: InstantMs) -> Option<Edge> {
        let at = self.first().filter(|_| self.active)? + self.rule.within_ms;
        (at < until).then(|| {
            self.active = false;
            Edge { at, active: false, reset: false }
        })
    }

    fn next_at(&self) -> Option<InstantMs> {
        self.entries.get(self.next).map(|&entry| time(entry))
    }

    /// The next instant at which there are entries, or other numbers apply.
    fn next_change(&self) -> Option<InstantMs> {
        self.next_at().into_iter().chain(self.needed.next_after(self.at)).min()
    }
}

impl Run {
    pub(super) fn new(decided: InstantMs) -> Self {
        Self { entries: Vec::new(), decided, active: false, late: false }
    }

    fn walk<'a>(&'a self, rule: RunRule, needed: Needed<'a>) -> Walk<'a> {
        let next = self.decided_len();
        let reset = self.entries[..next].iter().rposition(|&entry| !is_match(entry));
        Walk {
            rule,
            needed,
            at: self.decided - 1,
            entries: &self.entries,
            next,
            run_start: reset.map_or(0, |at| at + 1),
            active: self.active,
        }
    }

    fn decided_len(&self) -> usize {
        self.entries.partition_point(|&entry| time(entry) < self.decided)
    }

    /// Adds a match or reset. Instants up to the watermark must have been decided if it is late. Returns its
    /// position, or `None` if it can no longer matter.
    pub(super) fn add(&mut self, rule: RunRule, at: InstantMs, matched: bool) -> Option<usize> {
        if at < self.decided {
            if at <= self.decided - rule.within_ms {
                return None;
            }
            self.late = true;
        }
        let entry = at * 2 + i64::from(matched);
        let in_order = self.entries.last().is_none_or(|&last| last <= entry);
        let position =
            if in_order { self.entries.len() } else { self.entries.partition_point(|&held| held <= entry) };
        if !matched && position > 0 && self.entries[position - 1] == entry {
            return Some(position - 1);
        }
        self.entries.insert(position, entry);
        Some(position)
    }

    /// Decides all instants before `until` and tells each change.
    pub(super) fn decide(
        &mut self,
        rule: RunRule,
        needed: Needed<'_>,
        until: InstantMs,
        edges: &mut Vec<Edge>,
    ) {
        if until <= self.decided {
            return;
        }
        let mut walk = self.walk(rule, needed);
        if self.late {
            edges.extend(walk.step(self.decided));
        }
        while let Some(at) = walk.next_change().filter(|&at| at < until) {
            edges.extend(walk.expire(at));
            edges.extend(walk.step(at));
        }
        edges.extend(walk.expire(until));
        self.active = walk.active;
        self.late = false;
        self.decided = until;
    }

    /// Forgets decided entries that no verdict to come can need: those before the last reset, those that have left
    /// the window (the one that is just leaving is still needed to see it leave), and of the run all but the last.
    pub(super) fn forget(&mut self, rule: RunRule) {
        let decided = &self.entries[..self.decided_len()];
        let reset = decided.iter().rposition(|&entry| !is_match(entry)).unwrap_or(0);
        let gone = decided.partition_point(|&entry| time(entry) < self.decided - rule.within_ms);
        let long = decided.len().saturating_sub(rule.most.max(SHOWN_MAX));
        let drop_len = reset.max(gone).max(long);
        self.entries.drain(..drop_len);
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            self.entries = Vec::new();
        }
    }

    /// The first active instant at or after the decided ones, by what is known now.
    pub(super) fn first_active(&self, rule: RunRule, needed: Needed<'_>) -> Option<InstantMs> {
        let mut walk = self.walk(rule, needed);
        if self.late || walk.next_change() == Some(self.decided) {
            walk.step(self.decided);
        }
        if walk.active {
            return Some(self.decided);
        }
        // What is to come has other numbers when it comes.
        let last = self.entries.last().map(|&last| time(last))?;
        while let Some(at) = walk.next_change().filter(|&at| at <= last) {
            walk.step(at);
            if walk.active {
                return Some(at);
            }
        }
        None
    }

    /// The first instant at which a match just added at `position` completes a run, if it is not late: looks at its
    /// neighbours only.
    pub(super) fn completed_by(
        &self,
        rule: RunRule,
        needed: Needed<'_>,
        position: usize,
    ) -> Option<InstantMs> {
        if self.late || !needed.is_constant() {
            return self.first_active(rule, needed);
        }
        let count = len(needed.at(0));
        let before = self.entries[..position].iter().rev().take(count - 1);
        let mut length = before.take_while(|&&entry| is_match(entry)).count();
        for (i, &entry) in self.entries.iter().enumerate().skip(position).take(count) {
            if !is_match(entry) {
                return None;
            }
            length += 1;
            if length >= count && time(self.entries[i + 1 - count]) > time(entry) - rule.within_ms {
                return Some(time(entry));
            }
        }
        None
    }

    /// The next instant at which activity may change or nothing is left; `None` if nothing is left.
    pub(super) fn next_due(&self, rule: RunRule, needed: Needed<'_>) -> Option<InstantMs> {
        if self.late {
            return Some(self.decided);
        }
        let walk = self.walk(rule, needed);
        let expiry = walk.first().filter(|_| self.active).map(|first| first + rule.within_ms);
        let change = walk.next_at().into_iter().chain(expiry).min();
        let change = change.or_else(|| self.entries.last().map(|&last| time(last) + rule.within_ms))?;
        Some(needed.next_after(self.decided - 1).map_or(change, |border| border.min(change)))
    }

    /// Its entries: twice their time, plus one for a match.
    pub(super) fn entries(&self) -> &[i64] {
        &self.entries
    }

    /// Times of the matches in a row at an instant that are within the window, oldest first.
    pub(super) fn matches_at(&self, rule: RunRule, at: InstantMs) -> Vec<InstantMs> {
        let known = &self.entries[..self.entries.partition_point(|&entry| time(entry) <= at)];
        let run = known.iter().rev().take_while(|&&entry| is_match(entry)).map(|&entry| time(entry));
        let mut times: Vec<_> = run.take_while(|&t| t > at - rule.within_ms).collect();
        times.reverse();
        times
    }
}

impl Run {
    pub(super) fn write(&self, out: &mut Out<'_>) {
        out.signed(self.decided);
        out.flag(self.active);
        out.flag(self.late);
        out.len(self.entries.len());
        let mut last = 0;
        for &entry in &self.entries {
            out.signed(entry - last);
            last = entry;
        }
    }

    pub(super) fn read(read: &mut In<'_>) -> Read<Self> {
        let (decided, active, late) = (read.instant()?, read.flag()?, read.flag()?);
        let len = read.len(1)?;
        let (mut entries, mut last) = (Vec::with_capacity(len), 0_i64);
        for i in 0..len {
            let step = read.signed()?;
            last = last.saturating_add(step);
            read.check((i == 0 || step >= 0) && last.unsigned_abs() < 1 << 62, "entries in order")?;
            entries.push(last);
        }
        Ok(Self { entries, decided, active, late })
    }
}
