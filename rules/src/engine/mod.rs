//! The engine: records and time in journal order, transitions out.
//!
//! Two layers: settled verdicts (given when the watermark has passed, the same for every order of arrival) and over
//! them early ones (raised by the record that makes a rule active). Decisions where the meaning of rules leaves room:
//! - A record is counted before the buckets that its own receive time closes are settled: it was not late.
//! - Lines without usable time do not count as lines for `idle_after`; they pass time as a tick does.
//! - A journal position is taken once; 0 means that none was assigned and is always new.
//! - Of a rule without orders (`order_no`) every match counts for the money at risk; with orders, matches without one
//!   do not.
//! - The numbers of an alert are the worst so far (the greatest count), looked at once per bucket (1 s for kinds exact to
//!   the millisecond): people see how bad it got, and are not told the same thing twice.
//!
//! Refuses to know: sockets, clocks, who is told.

mod asked;
mod clock;
mod composite;
mod cost;
mod counts;
mod deadlines;
mod distinct;
mod episode;
mod explain;
mod facts;
mod fields;
mod flatline;
mod hash;
mod history;
mod image;
mod keys;
mod life;
mod lines;
mod numbers;
mod ratio;
mod reason;
mod recent;
mod reload;
mod run;
mod schedule;
mod seen;
mod settings;
mod sight;
mod snapshot;
mod spike;
mod state;
mod things;
mod thresholds;
mod window;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use record::{Batch, FormatSet, InstantMs, Lsn, RecordRef, RowFlags};

pub use self::asked::{KeyView, KeysView};
pub use self::cost::RuleCost;
pub(crate) use self::facts::{AHEAD_MAX_MS, Scout, Spotted, units_of};
pub(crate) use self::fields::join_key;
pub use self::reload::{Reloaded, ended_with_its_rule};
pub use self::snapshot::{RestoreReport, SnapshotError};
pub(crate) use self::state::unit_ms_of;
pub(crate) use self::window::spike_unit_ms;

use self::clock::{Clock, DEFAULT_LATENESS_MS, NEVER};
use self::cost::{Sampler, measured};
use self::deadlines::Deadlines;
use self::history::Openings;
use self::lines::Lines;
use self::seen::Seen;
use self::settings::Settings;
use self::sight::{Scratch, sight};
use self::state::{Cause, RuleState};
use crate::index::{Hit, RuleIndex};
use crate::rule::Rule;
use crate::{Alert, RuleSet, Transition};

/// Keys per rule unless said otherwise.
pub const KEYS_MAX: usize = 100_000;

/// What one rule did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Records for which `where` (or `reset`) held.
    pub matched: u64,
    /// Records that came before the watermark.
    pub late: u64,
    /// Keys dropped at the bound.
    pub keys_dropped: u64,
    /// Things dropped at the bound on things (ten for each key that the rule may have).
    pub things_dropped: u64,
    /// Records of things dropped at the bound of 256 a thing.
    pub thing_records_dropped: u64,
    /// Things remembered.
    pub things: u64,
    /// Keys with state.
    pub keys: u64,
    /// Alerts that began to fire.
    pub fired: u64,
    /// Early alerts that were withdrawn.
    pub withdrawn: u64,
}

/// What the engine counted since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineCounts {
    /// Records judged.
    pub records: u64,
    /// Records without event time: stored, not judged.
    pub no_time: u64,
    /// Records more than 10 minutes ahead of their receive time: stored, not judged.
    pub skewed: u64,
    /// Records before the default watermark.
    pub late: u64,
    /// Entries whose journal position was taken before: not judged again.
    pub repeated: u64,
    /// By rule, in the order of [`RuleSet::infos`].
    pub rules: Vec<RuleCounts>,
}

/// Judges records. One engine is one total order.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    formats: Arc<FormatSet>,
    index: RuleIndex,
    states: Vec<RuleState>,
    clock: Clock,
    seen: Seen,
    lines: Lines,
    openings: Openings,
    keys_max: usize,
    counts: EngineCounts,
    /// Clocks at which rules have something to do.
    deadlines: Deadlines,
    /// The rules for which that clock has come.
    due: Vec<u32>,
    hits: Vec<Hit>,
    scratch: Scratch,
    /// Entries up to here are expected again: a replay begins before the snapshot.
    replayed_to: Lsn,
    sampler: Sampler,
}

impl Engine {
    /// An engine with no history.
    pub fn new(rules: Arc<RuleSet>, formats: Arc<FormatSet>) -> Self {
        Self::with(rules, formats, false, KEYS_MAX)
    }

    /// An engine with no history and its own bound on keys per rule.
    pub fn with_keys_max(rules: Arc<RuleSet>, formats: Arc<FormatSet>, keys_max: usize) -> Self {
        Self::with(rules, formats, false, keys_max)
    }

    /// An engine that keeps the settled alerts for [`Engine::finish`] and raises none early.
    pub fn for_backtest(rules: Arc<RuleSet>, formats: Arc<FormatSet>) -> Self {
        Self::with(rules, formats, true, KEYS_MAX)
    }

    fn with(rules: Arc<RuleSet>, formats: Arc<FormatSet>, backtest: bool, keys_max: usize) -> Self {
        let state = |rule: &Rule| RuleState::new(Settings::of(rule, &formats), backtest, keys_max);
        let mut engine = Self {
            index: RuleIndex::new(&rules.rules),
            states: rules.rules.iter().map(state).collect(),
            openings: Openings::default(),
            rules,
            formats,
            clock: Clock::new(),
            seen: Seen::default(),
            lines: Lines::default(),
            keys_max,
            counts: EngineCounts::default(),
            deadlines: Deadlines::default(),
            due: Vec::new(),
            hits: Vec::new(),
            scratch: Scratch::default(),
            replayed_to: 0,
            sampler: Sampler::default(),
        };
        engine.open_histories();
        engine
    }

    /// Which rules' history starts are not decided yet.
    fn open_histories(&mut self) {
        let formats = self.rules.rules.iter().map(|rule| rule.format.0);
        self.openings = Openings::of(formats.zip(&self.states));
        self.link_composites();
        self.know_deadlines();
    }

    /// The deadlines of all rules, looked at anew.
    fn know_deadlines(&mut self) {
        self.deadlines = Deadlines::of(self.states.iter().map(RuleState::deadline));
    }

    /// Takes all rows of a batch in order (ticks included) and appends what they cause.
    pub fn judge(&mut self, batch: &Batch, out: &mut Vec<Transition>) {
        if self.is_known(batch) {
            return;
        }
        let formats = Arc::clone(&self.formats);
        for record in batch.records(&formats) {
            let row = record.row;
            match row.event_ms {
                _ if !self.seen.insert(row.lsn) => self.repeated(row.lsn),
                _ if row.flags.has(RowFlags::TICK) => self.pass(row.lsn, row.recv_ms, out),
                None => {
                    self.counts.no_time += 1;
                    self.pass(row.lsn, row.recv_ms, out);
                }
                Some(event_ms) if Clock::is_skewed(event_ms, row.recv_ms) => {
                    self.counts.skewed += 1;
                    self.pass(row.lsn, row.recv_ms, out);
                }
                Some(event_ms) => self.take(&record, event_ms, out),
            }
        }
    }

    /// Takes a time entry.
    pub fn tick(&mut self, lsn: Lsn, recv_ms: InstantMs, out: &mut Vec<Transition>) {
        if self.seen.insert(lsn) {
            self.pass(lsn, Some(recv_ms), out);
        } else {
            self.repeated(lsn);
        }
    }

    /// The rules by which it judges.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// The highest journal position taken; 0 before the first.
    pub fn judged_to(&self) -> Lsn {
        self.seen.highest()
    }

    /// Whether a batch was taken before the snapshot that this engine came from, in one look (a journal's rows are
    /// in order, without gaps).
    fn is_known(&self, batch: &Batch) -> bool {
        let (Some(first), Some(last)) = (batch.rows.first(), batch.rows.last()) else { return true };
        last.lsn <= self.replayed_to
            && self.seen.holds(first.lsn, last.lsn)
            && batch.rows.is_sorted_by_key(|row| row.lsn)
    }

    /// An entry came again; no matter of note if it was taken before the snapshot that this engine came from.
    fn repeated(&mut self, lsn: Lsn) {
        self.counts.repeated += u64::from(lsn > self.replayed_to);
    }

    /// Time passes without a record to judge.
    fn pass(&mut self, lsn: Lsn, recv_ms: Option<InstantMs>, out: &mut Vec<Transition>) {
        if let Some(recv_ms) = recv_ms {
            let base = self.clock.tick(recv_ms);
            self.openings.tick(recv_ms, &mut self.states, &mut self.deadlines);
            self.advance(base, lsn, out);
        }
    }

    /// Takes a record with a time to believe.
    fn take(&mut self, record: &RecordRef<'_>, event_ms: InstantMs, out: &mut Vec<Transition>) {
        let moved = self.clock.record(event_ms, record.row.recv_ms);
        self.counts.records += 1;
        self.counts.late += u64::from(event_ms < moved.before - DEFAULT_LATENESS_MS);
        self.advance(moved.middle, record.row.lsn, out);
        let format = record.row.format.0;
        self.openings.record(format, event_ms, moved.middle, &mut self.states, &mut self.deadlines);
        let mut hits = std::mem::take(&mut self.hits);
        if record.row.flags.has(RowFlags::UNCONCERNED) {
            hits.clear();
        } else {
            self.index.hits(record, &mut hits);
        }
        if !hits.is_empty() {
            // Only matches are shown to people; a reset is the usual case and leaves no line.
            let matched = hits.iter().any(|hit| hit.matched);
            let line = if matched { self.lines.add(record.message()) } else { 0 };
            let sample = self.sampler.record();
            for hit in &hits {
                let took = measured(sample, || self.hit(record, *hit, event_ms, line, moved.middle, out));
                if let Some(ns) = took {
                    self.states[hit.rule as usize].cost.took(ns);
                }
            }
        }
        if !hits.is_empty() {
            self.ask_composites(moved.middle, record.row.lsn, out);
        }
        self.hits = hits;
        self.advance(moved.after, record.row.lsn, out);
    }

    /// Lets one rule take a record that concerns it.
    fn hit(
        &mut self,
        record: &RecordRef<'_>,
        hit: Hit,
        event_ms: InstantMs,
        line: u64,
        base: InstantMs,
        out: &mut Vec<Transition>,
    ) {
        let at = hit.rule as usize;
        let (rule, state) = (&self.rules.rules[at], &mut self.states[at]);
        let seen = sight(rule, record, hit, (event_ms, line), &mut self.scratch);
        let mut cause = Cause { lsn: record.row.lsn, lines: &self.lines, out };
        state.advance_for_record(base, &mut cause);
        state.take(&seen, &mut cause);
        self.deadlines.set(hit.rule, state.deadline());
    }

    /// The clock has come to `base`: the rules that are due go on.
    fn advance(&mut self, base: InstantMs, lsn: Lsn, out: &mut Vec<Transition>) {
        if base < self.deadlines.first() {
            return;
        }
        let sample = self.sampler.settling();
        let mut due = std::mem::take(&mut self.due);
        self.deadlines.take(base, &mut due);
        for &rule in &due {
            let state = &mut self.states[rule as usize];
            // Composites after those that they name.
            if state.composite().is_some() {
                continue;
            }
            if state.deadline() <= base {
                let mut cause = Cause { lsn, lines: &self.lines, out };
                if let Some(ns) = measured(sample, || state.advance(base, &mut cause)) {
                    state.cost.settled(ns);
                }
            }
            self.deadlines.set(rule, state.deadline());
        }
        self.due = due;
        self.ask_composites(base, lsn, out);
    }

    /// End of a file: settles what is decided and returns the settled alerts of the whole run, sorted by active_at,
    /// alert, labels: what `backtest` prints. Without any record the watermark stays where ticks have brought it. The
    /// engine must have been made by [`Engine::for_backtest`].
    pub fn finish(&mut self) -> Vec<Arc<Alert>> {
        let highest = self.clock.highest();
        let mut out = Vec::new();
        let mut alerts = Vec::new();
        for state in self.states.iter_mut().filter(|state| state.composite().is_none()) {
            let mut cause = Cause { lsn: 0, lines: &self.lines, out: &mut out };
            alerts.extend(state.finish(highest, &mut cause));
        }
        let rules = Arc::clone(&self.rules);
        for &at in &rules.composites {
            self.tell_composite(at as usize, 0, &mut out);
            let mut cause = Cause { lsn: 0, lines: &self.lines, out: &mut out };
            alerts.extend(self.states[at as usize].finish(highest, &mut cause));
        }
        self.forget_told();
        alerts.sort_by(|a, b| {
            let order = |alert: &Alert| (alert.active_ms, alert.labels.get("alertname").cloned());
            order(a).cmp(&order(b)).then_with(|| a.labels.cmp(&b.labels))
        });
        alerts
    }

    /// Pending and firing alerts as people should see them now, in rule order.
    pub fn alerts(&self) -> Vec<Arc<Alert>> {
        self.states.iter().flat_map(RuleState::alerts).collect()
    }

    /// The watermark of the default lateness; `None` before the first record.
    pub fn watermark_ms(&self) -> Option<InstantMs> {
        Some(self.clock.base()).filter(|&base| base != NEVER).map(|base| base - DEFAULT_LATENESS_MS)
    }

    /// A number over all that later verdicts depend on: equal after the same entries, however they were batched.
    pub fn state_hash(&self) -> u64 {
        let clock = [self.clock.base(), self.clock.highest().unwrap_or(NEVER)];
        self.states
            .iter()
            .fold(hash::numbers(0, clock), |sum, state| hash::numbers(sum, [state.hash() as i64]))
    }

    /// Measures what each rule costs from here on. `nanos`: nanoseconds since any moment; it is asked at samples only.
    pub fn measure(&mut self, nanos: fn() -> u64) {
        self.sampler = Sampler::new(nanos);
    }

    /// What each rule costs, in the order of [`RuleSet::infos`]; zeros unless it is measured.
    pub fn costs(&self) -> Vec<RuleCost> {
        self.states.iter().map(|state| state.cost).collect()
    }

    /// Counters since the engine began.
    pub fn counts(&self) -> EngineCounts {
        let of = |state: &RuleState| RuleCounts {
            keys: state.keys.len() as u64,
            things: state.things.len() as u64,
            ..state.counts.clone()
        };
        EngineCounts { rules: self.states.iter().map(of).collect(), ..self.counts.clone() }
    }
}
