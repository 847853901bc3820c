//! The coordinator: judges what all workers found, as one engine over all records would.
//!
//! It feeds an [`Engine`] with the facts in time order and lets time pass to where the slowest of its workers stands.
//! Refuses to know: records, where partials come from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use record::{FormatSet, InstantMs};

use super::fact::{Fact, Shown};
use super::partial::{LinePlace, Partial, Progress, WorkerName, bound_lines, least};
use crate::engine::{AHEAD_MAX_MS, units_of};
use crate::{Alert, Engine, RuleSet, Transition};

/// What is known of one fact.
#[derive(Debug, Default)]
struct Held {
    found: BTreeMap<WorkerName, u64>,
    /// How often the engine was told.
    told: u64,
}

impl Held {
    fn sum(&self) -> u64 {
        self.found.values().fold(0, |sum, &n| sum.saturating_add(n))
    }
}

/// What waits: of one bucket the facts come first, so that the keys are there whose matches are to be shown.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Fact(Fact),
    Shown(Shown, WorkerName),
}

/// Settles the verdicts of several workers.
#[derive(Debug)]
pub struct Coordinator {
    engine: Engine,
    formats: Arc<FormatSet>,
    workers: BTreeMap<WorkerName, Progress>,
    /// Places of rules by their fingerprints.
    rules: HashMap<u64, usize>,
    /// By rule.
    facts: Vec<BTreeMap<Fact, Held>>,
    /// By rule: matches for reasons.
    shown: Vec<BTreeSet<(Shown, WorkerName)>>,
    /// Lines, and the numbers by which the engine knows them.
    lines: BTreeMap<LinePlace, (Arc<str>, Option<u64>)>,
    /// What the engine has not been told, or not as often as it was found; by the start of the bucket.
    waiting: BTreeSet<(InstantMs, usize, Item)>,
    base: Option<InstantMs>,
    /// By rule: bucket length; `None` if it is exact to the millisecond.
    units: Vec<Option<i64>>,
}

impl Coordinator {
    /// Of these workers: time passes when all of them have said how far they have come. With `backtest` it keeps the
    /// settled alerts for [`Coordinator::finish`] and raises none early.
    pub fn new(rules: Arc<RuleSet>, formats: Arc<FormatSet>, workers: &[WorkerName], backtest: bool) -> Self {
        let fingerprint =
            |(i, rule): (usize, &crate::rule::Rule)| (rule.fingerprint(formats.get(rule.format)), i);
        Self {
            rules: rules.rules.iter().enumerate().map(fingerprint).collect(),
            facts: rules.rules.iter().map(|_| BTreeMap::new()).collect(),
            shown: rules.rules.iter().map(|_| BTreeSet::new()).collect(),
            units: units_of(&rules),
            lines: BTreeMap::new(),
            engine: Engine::for_facts(rules, Arc::clone(&formats), backtest),
            formats,
            workers: workers.iter().map(|name| (Arc::clone(name), Progress::default())).collect(),
            waiting: BTreeSet::new(),
            base: None,
        }
    }

    /// Takes what workers know, in any order, again and again, and appends what it causes. Facts of rules that it does
    /// not have (a worker with other rules) and of workers that are not its own are passed over.
    pub fn take(&mut self, partial: &Partial, out: &mut Vec<Transition>) {
        for (name, progress) in &partial.workers {
            if let Some(known) = self.workers.get_mut(name) {
                known.merge(progress);
            }
        }
        for (fingerprint, facts) in &partial.facts {
            let Some(&rule) = self.rules.get(fingerprint) else { continue };
            for (fact, found) in facts {
                self.learn(rule, fact, found);
            }
        }
        for ((at, lsn, worker), line) in &partial.lines {
            let place = (*at, *lsn, Arc::clone(worker));
            self.lines.entry(place).or_insert_with(|| (Arc::clone(line), None));
        }
        bound_lines(&mut self.lines);
        for (fingerprint, shown) in &partial.shown {
            let Some(&rule) = self.rules.get(fingerprint) else { continue };
            shown.iter().for_each(|(shown, worker)| self.learn_shown(rule, shown, worker));
        }
        let base = self.workers.values().map(|worker| worker.base).min().flatten();
        let Some(base) = base.max(self.base) else { return };
        self.go_on(base, out);
    }

    fn learn(&mut self, rule: usize, fact: &Fact, found: &BTreeMap<WorkerName, u64>) {
        // What was past when it was told, and let go of, stays past: it is not told again.
        if self.engine.is_fact_past(rule, fact.at) {
            return;
        }
        let held = self.facts[rule].entry(fact.clone()).or_default();
        for (worker, &n) in found.iter().filter(|(worker, _)| self.workers.contains_key(*worker)) {
            let known = held.found.entry(Arc::clone(worker)).or_default();
            *known = n.max(*known);
        }
        if held.sum() > held.told {
            self.waiting.insert((fact.at, rule, Item::Fact(fact.clone())));
        }
    }

    fn learn_shown(&mut self, rule: usize, shown: &Shown, worker: &WorkerName) {
        let start = self.start(rule, shown.at);
        if !self.workers.contains_key(worker) || self.engine.is_fact_past(rule, start) {
            return;
        }
        if self.shown[rule].insert((shown.clone(), Arc::clone(worker))) {
            self.waiting.insert((start, rule, Item::Shown(shown.clone(), Arc::clone(worker))));
        }
    }

    /// Where the fact of a match stands: of kinds in buckets at the start of the bucket.
    fn start(&self, rule: usize, at: InstantMs) -> InstantMs {
        self.units[rule].map_or(at, |unit_ms| at.div_euclid(unit_ms) * unit_ms)
    }

    /// The number of a line, if it is at hand.
    fn line(&mut self, place: &LinePlace) -> Option<u64> {
        let (line, number) = self.lines.get_mut(place)?;
        Some(*number.get_or_insert_with(|| self.engine.keep_line(line)))
    }

    /// Tells the engine one thing.
    fn tell(&mut self, rule: usize, item: Item, base: InstantMs, out: &mut Vec<Transition>) {
        match item {
            Item::Fact(fact) => {
                let Some(held) = self.facts[rule].get_mut(&fact) else { return };
                let found = held.sum();
                let new = found.saturating_sub(held.told);
                held.told = found;
                let finder = held.found.keys().next().filter(|_| fact.thing.is_some()).cloned();
                let line = finder.and_then(|worker| self.line(&(fact.at, fact.lsn, worker)));
                self.engine.feed(rule, &fact, (new, line), base.min(fact.at), out);
            }
            Item::Shown(shown, worker) => {
                let line = self.line(&(shown.at, shown.lsn, worker));
                self.engine.show(rule, &shown, line);
            }
        }
    }

    /// Where the histories of formats start, by what is known: a tick counts if it came before every record.
    fn open(&mut self) {
        let first_tick = self.workers.values().filter_map(|worker| worker.first_tick).min();
        for (id, format) in Arc::clone(&self.formats).iter() {
            let heard = self.workers.values().filter_map(|worker| worker.formats.get(format.name()));
            let (mut lowest, mut first) = (None, None);
            for heard in heard {
                lowest = least(lowest, Some(heard.lowest));
                first = Some(first.map_or(heard.first, |first: Option<_>| first.min(heard.first)));
            }
            let tick = first_tick.filter(|tick| first.is_none_or(|first| first.is_some_and(|at| *tick < at)));
            if let Some(at) = least(lowest, tick) {
                self.engine.open(id, at);
            }
        }
    }

    /// Tells the engine what it does not know, and that time has come to `base`.
    fn go_on(&mut self, base: InstantMs, out: &mut Vec<Transition>) {
        self.open();
        // A worker that is far behind holds the clock; what the others found meanwhile waits for it.
        let far = base.saturating_add(AHEAD_MAX_MS);
        while let Some((at, ..)) = self.waiting.first()
            && *at <= far
            && let Some((_, rule, item)) = self.waiting.pop_first()
        {
            self.tell(rule, item, base, out);
        }
        let highest = self.workers.values().filter_map(|worker| worker.highest).max();
        self.engine.pass_to(base, highest, out);
        self.base = Some(base);
        for (rule, facts) in self.facts.iter_mut().enumerate() {
            while let Some(first) =
                facts.first_entry().filter(|first| self.engine.is_fact_past(rule, first.key().at))
            {
                first.remove();
            }
        }
        for rule in 0..self.shown.len() {
            while let Some((shown, _)) = self.shown[rule].first()
                && self.engine.is_fact_past(rule, self.start(rule, shown.at))
            {
                self.shown[rule].pop_first();
            }
        }
    }

    /// End of a file: all workers have told all. The settled alerts as [`Engine::finish`] has them.
    pub fn finish(&mut self) -> Vec<Arc<Alert>> {
        let mut out = Vec::new();
        if let Some(base) = self.workers.values().filter_map(|worker| worker.highest).max().max(self.base) {
            self.go_on(base, &mut out);
        }
        self.engine.finish()
    }

    /// Pending and firing alerts now.
    pub fn alerts(&self) -> Vec<Arc<Alert>> {
        self.engine.alerts()
    }

    /// Facts that are remembered.
    pub fn len(&self) -> usize {
        self.facts.iter().map(BTreeMap::len).sum()
    }

    /// Whether no fact is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
