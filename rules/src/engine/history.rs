//! History start: since when a rule knows everything, so that an empty window means that nothing came.
//!
//! It is the lowest event time among the records of the rule's format, whether or not they concern it, that are known
//! when the bucket which holds it is settled. A tick that comes before any of them counts as one at its receive time:
//! where nothing ever came history starts when time began to pass. Of a rule that is new to a running engine it does
//! not start before the clock stood where the rule was added. Refuses to know: conditions, keys, windows.

use record::InstantMs;

use super::clock::NEVER;
use super::deadlines::Deadlines;
use super::state::RuleState;
use crate::codec::{In, Out, Read};

/// Since when one rule knows everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct History {
    lowest: Option<InstantMs>,
    /// What came before it was not seen.
    floor: InstantMs,
    /// The start will not move any more.
    is_decided: bool,
}

impl History {
    /// Of a rule that sees what comes when the clock has come to `floor`.
    pub(super) fn new(floor: InstantMs) -> Self {
        Self { lowest: None, floor, is_decided: false }
    }

    /// The start by what is known.
    pub(super) fn lowest(&self) -> Option<InstantMs> {
        self.lowest
    }

    /// Where the clock stood when the rule was added.
    pub(super) fn floor(&self) -> InstantMs {
        self.floor
    }

    /// The start once it is decided.
    pub(super) fn start(&self) -> Option<InstantMs> {
        self.lowest.filter(|_| self.is_decided)
    }

    /// Takes a record of the rule's format.
    pub(super) fn record(&mut self, event_ms: InstantMs) {
        if !self.is_decided {
            let at = event_ms.max(self.floor);
            self.lowest = Some(self.lowest.map_or(at, |lowest| lowest.min(at)));
        }
    }

    /// Takes the receive time of a tick.
    fn tick(&mut self, recv_ms: InstantMs) {
        if self.lowest.is_none() {
            self.record(recv_ms);
        }
    }

    /// The watermark at which the start is decided, with buckets of this length.
    pub(super) fn due(&self, unit_ms: i64) -> Option<InstantMs> {
        let lowest = self.lowest.filter(|_| !self.is_decided)?;
        Some((lowest.div_euclid(unit_ms) + 1) * unit_ms)
    }

    /// The watermark has come so far; the start if it is decided by that.
    pub(super) fn decide(&mut self, watermark: InstantMs, unit_ms: i64) -> Option<InstantMs> {
        let due = self.due(unit_ms)?;
        self.is_decided = due <= watermark;
        self.start()
    }

    /// Numbers that stand for all of it.
    pub(super) fn hash_numbers(&self) -> [i64; 3] {
        [self.lowest.unwrap_or(NEVER), self.floor, i64::from(self.is_decided)]
    }

    pub(super) fn write(&self, out: &mut Out<'_>) {
        out.maybe(self.lowest);
        out.signed(self.floor);
        out.flag(self.is_decided);
    }

    pub(super) fn read(read: &mut In<'_>) -> Read<Self> {
        let history =
            Self { lowest: read.maybe_instant()?, floor: read.instant()?, is_decided: read.flag()? };
        let fits = history.lowest.map_or(!history.is_decided, |lowest| lowest >= history.floor);
        read.check(fits, "a history start").map(|()| history)
    }
}

/// The rules whose history start is not decided, by format: after the first moments there are none, and a record
/// costs one look.
#[derive(Debug, Default)]
pub(super) struct Openings {
    by_format: Vec<Open>,
}

/// Those of one format.
#[derive(Debug, Default)]
struct Open {
    rules: Vec<u32>,
    /// The lowest event time that they were told: a later one can tell them nothing, so that a record does not cost
    /// a look at each of 10,000 rules.
    told: Option<InstantMs>,
}

impl Openings {
    /// Of the rules with their formats.
    pub(super) fn of<'a>(rules: impl Iterator<Item = (u16, &'a RuleState)>) -> Self {
        let mut by_format: Vec<Open> = Vec::new();
        for (rule, (format, _)) in (0u32..)
            .zip(rules)
            .filter(|(_, (_, state))| !state.history.is_decided && state.composite().is_none())
        {
            let format = usize::from(format);
            by_format.resize_with(by_format.len().max(format + 1), Open::default);
            by_format[format].rules.push(rule);
        }
        Self { by_format }
    }

    /// Tells a record of a format, with the clock as it stood when it was read.
    pub(super) fn record(
        &mut self,
        format: u16,
        event_ms: InstantMs,
        base: InstantMs,
        states: &mut [RuleState],
        deadlines: &mut Deadlines,
    ) {
        match self.by_format.get_mut(usize::from(format)) {
            Some(open) if !open.rules.is_empty() && open.told.is_none_or(|told| event_ms < told) => {
                open.told = Some(event_ms);
                tell(&mut open.rules, states, deadlines, |state| {
                    state.history.record(event_ms);
                    state.opens_late(base);
                });
            }
            _ => {}
        }
    }

    /// Tells a tick.
    pub(super) fn tick(&mut self, recv_ms: InstantMs, states: &mut [RuleState], deadlines: &mut Deadlines) {
        for open in &mut self.by_format {
            tell(&mut open.rules, states, deadlines, |state| state.history.tick(recv_ms));
        }
    }
}

fn tell(
    open: &mut Vec<u32>,
    states: &mut [RuleState],
    deadlines: &mut Deadlines,
    what: impl Fn(&mut RuleState),
) {
    open.retain(|&rule| {
        let state = &mut states[rule as usize];
        what(state);
        deadlines.set(rule, state.deadline());
        !state.history.is_decided
    });
}
