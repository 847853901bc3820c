//! Other rules for an engine at work: between two entries, all at once.
//!
//! A rule that means the same (its fingerprint) keeps its state, to the last number, whatever file it is in now. Changed
//! and new ones start with nothing where the clock stands; the alerts of those that were changed or removed end, and it
//! is said of each: nobody else would ever end it. A restart from a snapshot under other rules comes to the same state.
//! Refuses to know: files, and who is told.

use std::collections::HashMap;
use std::sync::Arc;

use record::{InstantMs, Lsn};

use super::history::History;
use super::state::RuleState;
use super::{Engine, RestoreReport};
use crate::alert::Change;
use crate::{Alert, AlertState, RuleSet, Transition};

/// What came of giving an engine other rules.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// What became of the rules' states.
    pub report: RestoreReport,
    /// What people are to be told: alerts that ended with their rules, and those whose words changed.
    pub transitions: Vec<Transition>,
}

impl Engine {
    /// Goes on under other rules. For an engine whose next entry can wait; where it cannot, make the new engine on
    /// another thread and use [`Engine::take_over`].
    pub fn reload(mut self, rules: Arc<RuleSet>) -> (Engine, Reloaded) {
        let formats = Arc::clone(&self.formats);
        let mut fresh = Engine::with(rules, formats, self.is_backtest(), self.keys_max);
        let reloaded = fresh.take_over(&mut self);
        (fresh, reloaded)
    }

    /// For an engine that has judged nothing and has the rules to come: goes on where `before`, an engine of the same
    /// formats, stands. Moves states, copies none: takes time in proportion to the number of rules, and of alerts that are
    /// on. `before` is of no more use; dropping it takes time in proportion to the keys of rules that are no more.
    pub fn take_over(&mut self, before: &mut Engine) -> Reloaded {
        let Reloaded { mut report, mut transitions } = Reloaded::default();
        let mut old: HashMap<Arc<str>, usize> = HashMap::with_capacity(before.states.len());
        old.extend(
            before.states.iter().enumerate().map(|(at, state)| (Arc::clone(&state.settings.alert), at)),
        );
        let ends = Ends { at_ms: before.watermark_ms(), lsn: before.judged_to() };
        for state in &mut self.states {
            let name = Arc::clone(&state.settings.alert);
            match old.remove(&name).map(|at| &mut before.states[at]) {
                Some(known) if known.settings.meaning == state.settings.meaning => {
                    state.take_over(known, ends.lsn, &mut transitions);
                    report.kept.push(name);
                    continue;
                }
                Some(known) => {
                    transitions.extend(ends.all(known, CHANGED));
                    report.changed.push(name);
                }
                None => report.added.push(name),
            }
            state.history = History::new(before.clock.base());
        }
        let mut gone: Vec<usize> = old.into_values().collect();
        gone.sort_unstable();
        for at in gone {
            transitions.extend(ends.all(&before.states[at], REMOVED));
            report.removed.push(Arc::clone(&before.states[at].settings.alert));
        }
        self.clock = before.clock;
        self.seen = std::mem::take(&mut before.seen);
        self.lines = std::mem::take(&mut before.lines);
        self.counts = std::mem::take(&mut before.counts);
        (self.replayed_to, self.sampler) = (before.replayed_to, before.sampler);
        self.open_histories();
        self.seed_composites(&report.kept);
        self.know_deadlines();
        Reloaded { report, transitions }
    }

    fn is_backtest(&self) -> bool {
        self.states.iter().any(|state| state.over.is_some())
    }
}

/// What ended the alert of a rule that means something else now.
const CHANGED: &str = "its rule was changed";
/// What ended the alert of a rule that is no more.
const REMOVED: &str = "its rule was removed";

/// When and by what alerts end with their rules.
struct Ends {
    at_ms: Option<InstantMs>,
    lsn: Lsn,
}

impl Ends {
    fn all(&self, state: &RuleState, why: &str) -> Vec<Transition> {
        let end = |alert: &Arc<Alert>| ended_with_its_rule(alert, why, self.at_ms, self.lsn);
        state.alerts().iter().map(end).collect::<Vec<_>>()
    }
}

/// The end of an alert that no rule goes on with; `why` for people, `at_ms`: the watermark.
pub fn ended_with_its_rule(alert: &Alert, why: &str, at_ms: Option<InstantMs>, lsn: Lsn) -> Transition {
    let mut ended = alert.clone();
    let change = if ended.state == AlertState::Firing { Change::Resolved } else { Change::Dropped };
    ended.state = AlertState::Resolved;
    ended.ended_ms = Some(at_ms.unwrap_or(alert.active_ms).max(alert.active_ms));
    why.clone_into(&mut ended.reason.gate);
    Transition { change, early: false, lsn, alert: Arc::new(ended) }
}

impl RuleState {
    /// Goes on where the state of the same rule stands, in the words that the rule has now.
    fn take_over(&mut self, before: &mut RuleState, lsn: Lsn, transitions: &mut Vec<Transition>) {
        std::mem::swap(self, before);
        std::mem::swap(&mut self.settings, &mut before.settings);
        self.thresholds.stand_at(&self.settings.thresholds);
        self.cost = super::RuleCost::default();
        if self.settings.annotations == before.settings.annotations {
            return;
        }
        let on: Vec<u32> =
            self.keys.iter().filter(|(_, _, key)| key.episode.is_some()).map(|(slot, ..)| slot).collect();
        for slot in on {
            let Some(alert) = self.keys.get(slot).and_then(|key| key.episode.as_ref()).map(|on| &on.alert)
            else {
                continue;
            };
            let annotations = self.annotations(&alert.labels, &alert.reason);
            if annotations == alert.annotations {
                continue;
            }
            let alert = Arc::new(Alert { annotations, ..(**alert).clone() });
            if let Some(episode) = self.keys.get_mut(slot).and_then(|key| key.episode.as_mut()) {
                episode.alert = Arc::clone(&alert);
            }
            transitions.push(Transition { change: Change::Updated, early: false, lsn, alert });
        }
    }
}
