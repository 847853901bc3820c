//! One key of a rule about single things: which things are bad when, and how many at once.
//!
//! What was decided stays: later knowledge changes instants from the watermark on only. Refuses to know: records, why
//! a thing is bad.

use std::collections::BTreeMap;

use record::InstantMs;

use crate::codec::{In, Out, Read};
use crate::engine::run::Edge;
use crate::engine::thresholds::Needed;

/// [from, until).
pub(in crate::engine) type Span = (InstantMs, InstantMs);

/// What is known of one key.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Bad {
    /// By the place of the thing: its spans, ascending, apart from each other.
    things: BTreeMap<u32, Vec<Span>>,
    /// By how much the number of bad things changes at instants that are not decided.
    changes: BTreeMap<InstantMs, i64>,
    /// Bad things just before `decided`.
    now: u64,
    /// Instants before it are decided.
    decided: InstantMs,
    /// Spans that ended since those that are over were last thrown out.
    ended: usize,
}

impl Bad {
    pub(in crate::engine) fn new(decided: InstantMs) -> Self {
        Self { things: BTreeMap::new(), changes: BTreeMap::new(), now: 0, decided, ended: 0 }
    }

    /// From `from` on a thing is bad for these spans, which begin at or after it.
    pub(in crate::engine) fn set(&mut self, thing: u32, spans: &[Span], from: InstantMs) {
        let old = self.things.remove(&thing).unwrap_or_default();
        let mut new: Vec<Span> = Vec::with_capacity(old.len() + spans.len());
        for (start, end) in old {
            if end > from {
                self.change(start.max(from), -1);
                self.change(end, 1);
            }
            if start < from && end.min(from) >= self.decided {
                new.push((start, end.min(from)));
            }
        }
        for &(start, end) in spans {
            self.change(start, 1);
            self.change(end, -1);
            match new.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => new.push((start, end)),
            }
        }
        if !new.is_empty() {
            self.things.insert(thing, new);
        }
    }

    fn change(&mut self, at: InstantMs, by: i64) {
        let change = self.changes.entry(at).or_default();
        *change += by;
        if *change == 0 {
            self.changes.remove(&at);
        }
    }

    /// Decides the instants before `until`.
    pub(in crate::engine) fn decide(&mut self, needed: Needed<'_>, until: InstantMs, edges: &mut Vec<Edge>) {
        self.forget();
        let mut last = self.decided - 1;
        let mut was = self.now >= needed.at(last);
        while let Some(at) = self.next_after(needed, last).filter(|&at| at < until) {
            let by = self.changes.remove(&at).unwrap_or_default();
            self.now = self.now.saturating_add_signed(by);
            self.ended += usize::try_from(-by).unwrap_or_default();
            last = at;
            if was != (self.now >= needed.at(at)) {
                was = !was;
                edges.push(Edge { at, active: was, reset: false });
            }
        }
        self.decided = self.decided.max(until);
    }

    /// The next instant at which there is a change, or other numbers apply to what is bad.
    fn next_after(&self, needed: Needed<'_>, last: InstantMs) -> Option<InstantMs> {
        let change = self.changes.first_key_value().map(|(&at, _)| at);
        change.into_iter().chain(needed.next_after(last).filter(|_| self.now > 0)).min()
    }

    /// Throws out spans that are over, now and then.
    fn forget(&mut self) {
        if self.ended > 2 * self.now as usize + 16 {
            self.ended = 0;
            let decided = self.decided;
            self.things.retain(|_, spans| {
                spans.retain(|&(_, end)| end >= decided);
                !spans.is_empty()
            });
        }
    }

    /// The first active instant at or after the decided ones, by what is known now.
    pub(in crate::engine) fn first_active(&self, needed: Needed<'_>) -> Option<InstantMs> {
        let mut now = self.now;
        let mut at = self.decided;
        let mut changes = self.changes.iter().peekable();
        while let Some((_, by)) = changes.next_if(|(instant, _)| **instant <= at) {
            now = now.saturating_add_signed(*by);
        }
        loop {
            if now >= needed.at(at) {
                return Some(at);
            }
            // What is to come has other numbers when it comes.
            let next = *changes.peek()?.0;
            at = needed.next_after(at).map_or(next, |border| border.min(next));
            while let Some((_, by)) = changes.next_if(|(instant, _)| **instant <= at) {
                now = now.saturating_add_signed(*by);
            }
        }
    }

    /// The next instant at which the number of bad things, or how many are needed, changes.
    pub(in crate::engine) fn next_due(&self, needed: Needed<'_>) -> Option<InstantMs> {
        self.next_after(needed, self.decided - 1)
    }

    /// All that is remembered of when things are bad.
    pub(in crate::engine) fn spans(&self) -> impl Iterator<Item = (u32, Span)> {
        self.things.iter().flat_map(|(&thing, spans)| spans.iter().map(move |&span| (thing, span)))
    }

    /// The things that are bad at an instant.
    pub(in crate::engine) fn at(&self, at: InstantMs) -> impl Iterator<Item = u32> {
        let holds = move |spans: &[Span]| spans.iter().any(|&(from, until)| from <= at && at < until);
        self.things.iter().filter(move |(_, spans)| holds(spans)).map(|(&thing, _)| thing)
    }

    /// How many.
    pub(in crate::engine) fn count_at(&self, at: InstantMs) -> u64 {
        if at == self.decided - 1 { self.now } else { self.at(at).count() as u64 }
    }

    /// Numbers that stand for it.
    pub(in crate::engine) fn hash_numbers(&self) -> impl Iterator<Item = i64> {
        let changes = self.changes.iter().flat_map(|(&at, &by)| [at, by]);
        changes.chain([self.now as i64])
    }

    pub(in crate::engine) fn write(&self, out: &mut Out<'_>) {
        out.signed(self.decided);
        out.len(self.ended);
        out.len(self.things.len());
        for (&thing, spans) in &self.things {
            out.number(u64::from(thing));
            out.len(spans.len());
            for &(from, until) in spans {
                out.signed(from);
                out.signed(until);
            }
        }
    }

    /// `fits` says what places of things there are.
    pub(in crate::engine) fn read(read: &mut In<'_>, fits: impl Fn(u32) -> bool) -> Read<Self> {
        let mut bad = Self::new(read.instant()?);
        bad.ended = usize::try_from(read.counter()?).or_else(|_| read.damage("a counter"))?;
        for _ in 0..read.len(4)? {
            let thing = read.number_u32()?;
            read.check(fits(thing), "a thing")?;
            let (mut spans, mut last) = (Vec::new(), None);
            for _ in 0..read.len(2)? {
                let (from, until) = (read.instant()?, read.instant()?);
                read.check(last.is_none_or(|last| last < from) && from < until, "spans in order")?;
                last = Some(until);
                // What lies before the decided instants has been counted.
                if from >= bad.decided {
                    bad.change(from, 1);
                } else if until >= bad.decided {
                    bad.now += 1;
                }
                if until >= bad.decided {
                    bad.change(until, -1);
                }
                spans.push((from, until));
            }
            read.check(!spans.is_empty() && bad.things.insert(thing, spans).is_none(), "each thing once")?;
        }
        Ok(bad)
    }
}
