//! The coordinator: judges what all workers found, as one engine over all records would.
//!
//! It feeds an [`Engine`] with the facts in time order and lets time pass to where the slowest of its workers stands.
//! Refuses to know: records, where partials come from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use record::{FormatSet, InstantMs};

use super::fact::Fact;
use super::partial::{Partial, Progress, WorkerName};
use crate::engine::AHEAD_MAX_MS;
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
    /// Facts that the engine has not been told as often as they were found.
    waiting: BTreeSet<(InstantMs, usize, Fact)>,
    base: Option<InstantMs>,
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
            self.waiting.insert((fact.at, rule, fact.clone()));
        }
    }

    /// Tells the engine what it does not know, and that time has come to `base`.
    fn go_on(&mut self, base: InstantMs, out: &mut Vec<Transition>) {
        for progress in self.workers.values() {
            for (format, &at) in &progress.lowest {
                if let Some(format) = self.formats.find(format) {
                    self.engine.open(format, at);
                }
            }
        }
        // A worker that is far behind holds the clock; what the others found meanwhile waits for it.
        let far = base.saturating_add(AHEAD_MAX_MS);
        while let Some((at, ..)) = self.waiting.first()
            && *at <= far
            && let Some((at, rule, fact)) = self.waiting.pop_first()
        {
            let Some(held) = self.facts[rule].get_mut(&fact) else { continue };
            let found = held.sum();
            let new = found.saturating_sub(held.told);
            held.told = found;
            self.engine.feed(rule, &fact, new, base.min(at), out);
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
