//! A worker: takes its share of the records and tells what of them concerns which rule.
//!
//! Refuses to know: what the others found, windows, verdicts.

use std::sync::Arc;

use record::{Batch, FormatSet};

use super::partial::{Heard, Partial, Progress, WorkerName, bound_lines, least};
use crate::RuleSet;
use crate::engine::{Scout, Spotted};

/// Finds facts in its share of the records.
#[derive(Debug)]
pub struct Worker {
    name: WorkerName,
    scout: Scout,
    /// By rule.
    fingerprints: Vec<u64>,
    /// By format.
    formats: Vec<Arc<str>>,
    known: Partial,
    changed: Partial,
}

impl Worker {
    /// A worker that has seen nothing.
    pub fn new(name: WorkerName, rules: Arc<RuleSet>, formats: Arc<FormatSet>) -> Self {
        let fingerprints =
            rules.rules.iter().map(|rule| rule.fingerprint(formats.get(rule.format))).collect();
        let names = formats.iter().map(|(_, format)| format.name().into()).collect();
        Self {
            name,
            scout: Scout::new(rules, formats),
            fingerprints,
            formats: names,
            known: Partial::default(),
            changed: Partial::default(),
        }
    }

    /// Takes records and time entries of its share. A record is of one worker's share; it may come again and again.
    pub fn take(&mut self, batch: &Batch) {
        let Self { name, scout, fingerprints, formats, known, changed } = self;
        let (mut changes, mut passed) = (Vec::new(), Progress::default());
        let mut seen = Partial::default();
        scout.look(batch, &mut |spotted| match spotted {
            Spotted::Tick(recv_ms) => passed.first_tick = least(passed.first_tick, Some(recv_ms)),
            Spotted::Format(format, at, recv_ms) => {
                let name = formats.get(usize::from(format)).into_iter();
                name.for_each(|name| passed.hear(name, Heard { lowest: at, first: recv_ms }));
            }
            Spotted::Fact(rule, fact) => changes.push((fingerprints[rule], fact)),
            Spotted::Shown(rule, shown) => seen.show(fingerprints[rule], shown, name),
            Spotted::Line(at, lsn, line) => {
                seen.lines.insert((at, lsn, Arc::clone(name)), line.into());
                bound_lines(&mut seen.lines);
            }
        });
        (passed.base, passed.highest) = scout.clock();
        seen.workers.insert(Arc::clone(name), passed);
        seen.bound();
        known.merge(&seen);
        changed.merge(&seen);
        if let Some(progress) = known.workers.get(name) {
            changed.workers.insert(Arc::clone(name), progress.clone());
        }
        for (rule, fact) in changes {
            let found = known.facts.entry(rule).or_default().entry(fact.clone()).or_default();
            let n = found.entry(Arc::clone(name)).or_default();
            *n += 1;
            let told = changed.facts.entry(rule).or_default().entry(fact).or_default();
            told.insert(Arc::clone(name), *n);
        }
    }

    /// All that it knows.
    pub fn partial(&self) -> &Partial {
        &self.known
    }

    /// What changed since this was last asked. Numbers are whole, not differences, so it may be merged again and again;
    /// but it says how far the worker has come, and so vouches for what was told before: merge it after that, in order,
    /// and if some of it was lost, all of [`Worker::partial`].
    pub fn changes(&mut self) -> Partial {
        std::mem::take(&mut self.changed)
    }

    /// Lets go of facts before an instant: what the coordinator no longer needs.
    pub fn forget(&mut self, before: record::InstantMs) {
        self.known.forget(before);
    }
}
