//! Facts in place of records: what a record is to a rule, and an engine that is told such facts.
//!
//! Refuses to know: who found them, how often they were told before.

use std::sync::Arc;

use record::{Batch, FormatId, FormatSet, InstantMs, RecordRef, RowFlags};

use super::clock::{Clock, NEVER, SKEW_MAX_MS};
use super::recent::Match;
use super::seen::Seen;
use super::sight::{Scratch, sight};
use super::state::{Cause, RuleState, Shape, Sighting};
use super::things::Look;
use super::window::Window;
use super::{Engine, KEYS_MAX};
use crate::index::{Hit, RuleIndex};
use crate::merge::{Fact, ThingFact};
use crate::{RuleSet, Transition};

/// Facts further ahead of the clock wait.
pub(crate) const AHEAD_MAX_MS: i64 = SKEW_MAX_MS;

/// What was found in a record.
#[derive(Debug)]
pub(crate) enum Spotted {
    /// A record of a format, or the first sign of time for it, at that instant.
    Format(u16, InstantMs),
    /// Something that concerns a rule, by its place.
    Fact(usize, Fact),
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
    /// Formats of which something is known.
    opened: Vec<u16>,
    hits: Vec<Hit>,
    scratch: Scratch,
}

impl Scout {
    pub(crate) fn new(rules: Arc<RuleSet>, formats: Arc<FormatSet>) -> Self {
        Self {
            index: RuleIndex::new(&rules.rules),
            units: rules
                .rules
                .iter()
                .map(|rule| Window::of(&rule.kind).map(|window| window.unit_ms))
                .collect(),
            rules,
            formats,
            clock: Clock::new(),
            seen: Seen::default(),
            opened: Vec::new(),
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
        for rule in &self.rules.rules {
            if !self.opened.contains(&rule.format.0) {
                self.opened.push(rule.format.0);
                tell(Spotted::Format(rule.format.0, recv_ms));
            }
        }
    }

    fn record(&mut self, record: &RecordRef<'_>, event_ms: InstantMs, tell: &mut dyn FnMut(Spotted)) {
        self.clock.record(event_ms, record.row.recv_ms);
        let format = record.row.format.0;
        if !self.opened.contains(&format) {
            self.opened.push(format);
        }
        tell(Spotted::Format(format, event_ms));
        let mut hits = std::mem::take(&mut self.hits);
        self.index.hits(record, &mut hits);
        for hit in &hits {
            let at = hit.rule as usize;
            let seen = sight(&self.rules.rules[at], record, *hit, (event_ms, 0), &mut self.scratch);
            tell(Spotted::Fact(at, fact(&seen, self.units[at])));
        }
        self.hits = hits;
    }
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
    fn sighting(&self) -> Sighting<'_> {
        let thing = self.thing.as_deref();
        Sighting {
            found: Match {
                at: self.at,
                lsn: self.lsn,
                line: 0,
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
    /// An engine that is told facts: it has no lines to show.
    pub(crate) fn for_facts(rules: Arc<RuleSet>, formats: Arc<FormatSet>, backtest: bool) -> Self {
        let mut engine = Self::with(rules, formats, backtest, KEYS_MAX);
        engine.states.iter_mut().for_each(|state| state.settings.samples = 0);
        engine
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
        times: u64,
        base: InstantMs,
        out: &mut Vec<Transition>,
    ) {
        let base = base.max(self.clock.base());
        self.pass_to(base, None, out);
        let seen = fact.sighting();
        // To a single thing a record is one, however often it came.
        let times = if seen.look.is_some() { times.min(1) } else { times };
        let state = &mut self.states[rule];
        let mut cause = Cause { lsn: fact.lsn, lines: &self.lines, out };
        state.advance(base, &mut cause);
        for _ in 0..times {
            state.take(&seen, &mut cause);
        }
        self.deadlines.set(u32::try_from(rule).expect("positions of rules fit hits"), state.deadline());
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
