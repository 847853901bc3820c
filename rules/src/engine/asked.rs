//! What people ask of a rule: its keys, in which state each of them is, and why.
//!
//! Reads the state and changes nothing. Refuses to know: who asks.

use std::collections::BTreeMap;

use record::InstantMs;

use super::Engine;
use super::state::{RuleState, Shape};
use crate::{Alert, AlertState, Reason};

/// The keys of one rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeysView {
    /// How many keys have state.
    pub total: usize,
    /// Those with an alert that is on, firing first, then the most recently active ones: as many as were asked for.
    pub keys: Vec<KeyView>,
    /// Up to where the rule is judged (settled), event time; `None` before its first verdict.
    pub judged_to_ms: Option<InstantMs>,
    /// Since when it knows everything; `None` until that is decided.
    pub history_start_ms: Option<InstantMs>,
}

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyView {
    /// Its `by` fields; a null one is absent.
    pub labels: BTreeMap<String, String>,
    /// Pending or firing; `None`: inactive.
    pub state: Option<AlertState>,
    /// The alert that is on.
    pub alert_id: Option<String>,
    /// Since when it is active.
    pub active_ms: Option<InstantMs>,
    /// The time of its last match, as far as it is remembered.
    pub last_match_ms: Option<InstantMs>,
    /// The numbers of its last verdict: of the alert that is on, else of the last settled instant.
    pub reason: Reason,
}

impl Engine {
    /// Up to `limit` keys of a rule (by its place in the set). `None`: there is no such rule. Takes time in proportion to
    /// the keys of the rule (to find those that are on), and to `limit`.
    pub fn keys(&self, rule: usize, limit: usize) -> Option<KeysView> {
        let state = self.states.get(rule)?;
        let mut on: Vec<(&Alert, u32)> = state
            .keys
            .iter()
            .filter_map(|(slot, _, key)| key.episode.as_ref().map(|episode| (&*episode.alert, slot)))
            .collect();
        on.sort_by_key(|(alert, slot)| (alert.state != AlertState::Firing, -alert.active_ms, *slot));
        let on = on.into_iter().map(|(_, slot)| slot);
        let keys = on.chain(state.keys.newest_first()).take(limit).map(|slot| self.key(state, slot));
        Some(KeysView {
            total: state.keys.len(),
            keys: keys.collect(),
            judged_to_ms: state.judged_to(),
            history_start_ms: state.history.start(),
        })
    }

    fn key(&self, state: &RuleState, slot: u32) -> KeyView {
        let alert = state.keys.get(slot).and_then(|key| key.episode.as_ref()).map(|episode| &episode.alert);
        let reason = match (alert, state.judged_to()) {
            (Some(alert), _) => alert.reason.clone(),
            (None, Some(judged_to_ms)) => state.reason(slot, judged_to_ms - 1, &self.lines),
            (None, None) => Reason::default(),
        };
        let last_match = state.keys.get(slot).map(|key| key.last_match);
        KeyView {
            labels: state.key_labels(slot).into_iter().collect(),
            state: alert.map(|alert| alert.state),
            alert_id: alert.map(|alert| alert.id.clone()),
            active_ms: alert.map(|alert| alert.active_ms),
            last_match_ms: last_match
                .and_then(|last| state.recent.of_key(slot, last).next())
                .map(|found| found.at),
            reason,
        }
    }
}

impl RuleState {
    /// Instants before it are settled; `None` before the first.
    fn judged_to(&self) -> Option<InstantMs> {
        if self.frontier == super::NEVER {
            return None;
        }
        match self.shape {
            Shape::Window(_) => self.frontier.checked_mul(self.unit_ms()),
            Shape::Run(_) | Shape::Things(_) | Shape::Composite => Some(self.watermark),
        }
    }
}
