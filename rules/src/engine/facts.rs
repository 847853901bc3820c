//! Facts in place of records: what a record is to a rule, and an engine that is told such facts.
//!
//! Refuses to know: who found them, how often they were told before.

use std::sync::Arc;

use record::{Batch, FormatId, FormatSet, InstantMs, Lsn, RecordRef, RowFlags};

use super::clock::{Clock, NEVER, SKEW_MAX_MS};
use super::recent::{Match, UNSHOWN};
use super::seen::Seen;
use super::sight::{Scratch, sight};
use super::state::{Cause, RuleState, Shape, Sighting};
use super::things::Look;
use super::window::Window;
use super::{Engine, KEYS_MAX};
use crate::index::{Hit, RuleIndex};
use crate::merge::{Fact, Shown, ThingFact};
use crate::{RuleSet, Transition};

/// Facts further ahead of the clock wait.
pub(crate) const AHEAD_MAX_MS: i64 = SKEW_MAX_MS;

/// What was found in a record.
#[derive(Debug)]
pub(crate) enum Spotted {
    /// A record of a format at that instant, received then.
    Format(u16, InstantMs, Option<InstantMs>),
    /// Time passed, by the receive time of an entry without a record to judge.
    Tick(InstantMs),
    /// Something that concerns a rule, by its place.
    Fact(usize, Fact),
    /// A match for the reasons of a rule's alerts.
    Shown(usize, Shown),
    /// The line of a record that matched a rule.
    Line(InstantMs, Lsn, String),
}

/// Looks at records as an engine does, and judges nothing.
#[derive(Debug)]
pub(crate) struct Scout {
    rules: Arc<RuleSet>,
    formats: Arc<FormatSet>,
    index: RuleIndex,
    /// By rule: the length of its buckets; `None` if it is exact to the millisecond.
    units: Vec<Option<i64>>,
    clock: Clock,
    seen: Seen,
    hits: Vec<Hit>,
    scratch: Scratch,
}

/// By rule: the length of its buckets; `None` if it is exact to the millisecond.
pub(crate) fn units_of(rules: &RuleSet) -> Vec<Option<i64>> {
    rules.rules.iter().map(|rule| Window::of(&rule.kind).map(|window| window.unit_ms)).collect()
}

impl Scout {
    pub(crate) fn new(rules: Arc<RuleSet>, formats: Arc<FormatSet>) -> Self {
        Self {
            index: RuleIndex::new(&rules.rules),
            units: units_of(&rules),
            rules,
            formats,
            clock: Clock::new(),
            seen: Seen::default(),
            hits: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Where its clock stands, and the highest event time.
    pub(crate) fn clock(&self) -> (Option<InstantMs>, Option<InstantMs>) {
        (Some(self.clock.base()).filter(|&base| base != NEVER), self.clock.highest())
    }

    /// Tells what is in a batch.
    pub(crate) fn look(&mut self, batch: &Batch, tell: &mut dyn FnMut(Spotted)) {
        let formats = Arc::clone(&self.formats);
        for record in batch.records(&formats) {
            let row = record.row;
            let is_tick = row.flags.has(RowFlags::TICK);
            match row.event_ms {
                _ if !self.seen.insert(row.lsn) => {}
                Some(event_ms) if !is_tick && !Clock::is_skewed(event_ms, row.recv_ms) => {
                    self.record(&record, event_ms, tell);
                }
                _ => self.pass(row.recv_ms, tell),
            }
        }
    }

    /// Time passes without a record to judge.
    fn pass(&mut self, recv_ms: Option<InstantMs>, tell: &mut dyn FnMut(Spotted)) {
        let Some(recv_ms) = recv_ms else { return };
        self.clock.tick(recv_ms);
        tell(Spotted::Tick(recv_ms));
    }

    fn record(&mut self, record: &RecordRef<'_>, event_ms: InstantMs, tell: &mut dyn FnMut(Spotted)) {
        self.clock.record(event_ms, record.row.recv_ms);
        tell(Spotted::Format(record.row.format.0, event_ms, record.row.recv_ms));
        let mut hits = std::mem::take(&mut self.hits);
        self.index.hits(record, &mut hits);
        if hits.iter().any(|hit| hit.matched) {
            tell(Spotted::Line(event_ms, record.row.lsn, record.message().to_owned()));
        }
        for hit in &hits {
            let at = hit.rule as usize;
            let seen = sight(&self.rules.rules[at], record, *hit, (event_ms, 0), &mut self.scratch);
            tell(Spotted::Fact(at, fact(&seen, self.units[at])));
            if seen.matched && seen.look.is_none() {
                tell(Spotted::Shown(at, shown(&seen)));
            }
        }
        self.hits = hits;
    }
}

/// What a reason shows of a match.
fn shown(seen: &Sighting<'_>) -> Shown {
    let Match { at, lsn, order, amount, .. } = seen.found;
    Shown { at, lsn, key: seen.key.into(), order: order.into(), amount: amount.into() }
}

/// What a rule with buckets of this length keeps of a record.
fn fact(seen: &Sighting<'_>, unit_ms: Option<i64>) -> Fact {
    let Match { at, lsn, order, amount, .. } = seen.found;
    let thing = seen.look.map(|Look { thing, value, roles }| ThingFact {
        name: thing.into(),
        value: value.into(),
        roles,
        order: order.into(),
        amount: amount.into(),
    });
    Fact {
        at: unit_ms.map_or(at, |unit_ms| at.div_euclid(unit_ms) * unit_ms),
        lsn: if thing.is_some() { lsn } else { 0 },
        key: seen.key.into(),
        matched: seen.matched,
        part: seen.part,
        number: seen.number,
        distinct: seen.distinct.map(Box::from),
        thing: thing.map(Box::new),
    }
}

impl Fact {
    /// `line`: the number of its line, where it is shown by itself (a record of a thing).
    fn sighting(&self, line: u64) -> Sighting<'_> {
        let thing = self.thing.as_deref();
        Sighting {
            found: Match {
                at: self.at,
                lsn: self.lsn,
                line,
                order: thing.map_or(&[], |thing| &thing.order),
                amount: thing.map_or(&[], |thing| &thing.amount),
            },
            key: &self.key,
            distinct: self.distinct.as_deref(),
            matched: self.matched,
            part: self.part,
            number: self.number,
            look: thing.map(|thing| Look { thing: &thing.name, value: &thing.value, roles: thing.roles }),
        }
    }
}

impl Engine {
    /// An engine that is told facts.
    pub(crate) fn for_facts(rules: Arc<RuleSet>, formats: Arc<FormatSet>, backtest: bool) -> Self {
        Self::with(rules, formats, backtest, KEYS_MAX)
    }

    /// Keeps a line; its number.
    pub(crate) fn keep_line(&mut self, line: &str) -> u64 {
        self.lines.add(line)
    }

    /// A match for reasons, after its fact; `line`: the number of its line.
    pub(crate) fn show(&mut self, rule: usize, shown: &Shown, line: Option<u64>) {
        let state = &mut self.states[rule];
        let Some(slot) = state.keys.find(&shown.key) else { return };
        let Some(key) = state.keys.get_mut(slot) else { return };
        let found = Match {
            at: shown.at,
            lsn: shown.lsn,
            line: line.unwrap_or(UNSHOWN - 1),
            order: &shown.order,
            amount: &shown.amount,
        };
        key.last_match = state.recent.add(slot, key.last_match, found);
    }

    /// There is a record of a format at that time.
    pub(crate) fn open(&mut self, format: FormatId, lowest: InstantMs) {
        let base = self.clock.base();
        self.openings.record(format.0, lowest, base, &mut self.states, &mut self.deadlines);
    }

    /// Takes a fact that was found so many times; time has come to `base`, which is not after it.
    pub(crate) fn feed(
        &mut self,
        rule: usize,
        fact: &Fact,
        (times, line): (u64, Option<u64>),
        base: InstantMs,
        out: &mut Vec<Transition>,
    ) {
        let base = base.max(self.clock.base());
        self.pass_to(base, None, out);
        let line = if fact.thing.is_some() { line.unwrap_or(UNSHOWN - 1) } else { UNSHOWN };
        let seen = fact.sighting(line);
        // To a single thing a record is one, however often it came.
        let times = if seen.look.is_some() { times.min(1) } else { times };
        let state = &mut self.states[rule];
        let mut cause = Cause { lsn: fact.lsn, lines: &self.lines, out };
        state.advance(base, &mut cause);
        for _ in 0..times {
            state.take(&seen, &mut cause);
        }
        self.deadlines.set(u32::try_from(rule).expect("positions of rules fit hits"), state.deadline());
        if !self.rules.composites.is_empty() {
            self.ask_composites(base, fact.lsn, out);
        }
    }

    /// The clock has come to `base`, the highest event time to `highest`.
    pub(crate) fn pass_to(&mut self, base: InstantMs, highest: Option<InstantMs>, out: &mut Vec<Transition>) {
        self.clock.stand(base, highest);
        self.advance(base, 0, out);
    }

    /// Whether a fact of that time can change no verdict to come.
    pub(crate) fn is_fact_past(&self, rule: usize, at: InstantMs) -> bool {
        self.states[rule].is_fact_past(at)
    }
}

impl RuleState {
    fn is_fact_past(&self, at: InstantMs) -> bool {
        if self.watermark == NEVER {
            return false;
        }
        match self.shape {
            Shape::Things(rule) => rule.is_past(at, self.settled_ms()),
            _ => self.is_past(at),
        }
    }
}
