//! Answers why a key of a rule was on or not at an instant, by the settled verdicts.
//!
//! A probe sits in the rule's state. When the watermark passes the instant, settling halts there, the numbers are taken,
//! and settling goes on; nothing else changes. State and episodes are those of the settled alerts at the end.
//! Refuses to know: where records come from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use record::{FormatSet, InstantMs, Lsn};

use super::lines::Lines;
use super::state::{Cause, Key, Memory, RuleState, Shape, Sighting};
use super::{Engine, KEYS_MAX, fields};
use crate::condition::nearest::nearest;
use crate::explanation::{SeenKey, State};
use crate::{Alert, Explanation, Question, QuestionError, Reason, RuleSet};

mod gates;
mod names;
mod question;

use names::Named;

/// Keys that are remembered for suggestions.
const SEEN_MAX: usize = 10_000;
/// Matches of the key that are remembered.
const MATCHES_MAX: usize = 10_000;
/// Of which are told.
const RECORDS_MAX: usize = 1_000;

/// What is asked of one rule, and what is known so far.
#[derive(Debug)]
pub(super) struct Probe {
    at_ms: InstantMs,
    /// Last instant of the bucket that holds it; of kinds exact to the millisecond the instant itself.
    last_ms: InstantMs,
    key: Box<[u8]>,
    /// The numbers, once they are taken.
    found: Option<Box<Found>>,
    /// Keys with a match: how many, and when the last.
    seen: HashMap<Box<[u8]>, (u64, InstantMs)>,
    matches: u64,
    /// Times and positions of the key's matches up to the instant.
    near: VecDeque<(InstantMs, Lsn)>,
}

/// The numbers of an instant.
#[derive(Debug)]
struct Found {
    at_ms: InstantMs,
    labels: BTreeMap<String, String>,
    active: bool,
    reason: Reason,
    told: gates::Told,
}

impl Probe {
    /// Takes note of a record that concerns the rule.
    pub(super) fn note(&mut self, seen: &Sighting<'_>) {
        if !seen.matched {
            return;
        }
        let at = seen.found.at;
        let has_room = self.seen.len() < SEEN_MAX;
        match self.seen.get_mut(seen.key) {
            Some((count, last)) => (*count, *last) = (*count + 1, at.max(*last)),
            None if has_room => drop(self.seen.insert(seen.key.into(), (1, at))),
            None => {}
        }
        if *seen.key == *self.key {
            self.matches += 1;
            if at <= self.last_ms {
                if self.near.len() == MATCHES_MAX {
                    self.near.pop_front();
                }
                self.near.push_back((at, seen.found.lsn));
            }
        }
    }
}

impl Engine {
    /// An engine that answers one question after all records ([`Engine::explain`]): it settles as a backtest does.
    ///
    /// # Errors
    /// There is no such rule; the key does not fit its `by`.
    pub fn for_explain(
        rules: &RuleSet,
        formats: Arc<FormatSet>,
        question: &Question,
    ) -> Result<Self, QuestionError> {
        let (place, key) = question::resolve(rules, &formats, question)?;
        let rules = Arc::new(rules.only(place));
        let rule = rules.position(&question.alert).unwrap_or_default();
        let mut engine = Self::with(rules, formats, true, KEYS_MAX);
        let at_ms = question.at_ms;
        let last_ms = match engine.states[rule].shape {
            Shape::Window(window) => (at_ms.div_euclid(window.unit_ms) + 1) * window.unit_ms - 1,
            _ => at_ms,
        };
        engine.states[rule].probe = Some(Box::new(Probe {
            at_ms,
            last_ms,
            key,
            found: None,
            seen: HashMap::new(),
            matches: 0,
            near: VecDeque::new(),
        }));
        Ok(engine)
    }

    /// The answer, after all records. `known_to_ms`: up to this instant all records are known to have been read, though
    /// none came; `None`: the end of a file decides. `None` if the engine was not made by [`Engine::for_explain`]. To be
    /// asked once.
    pub fn explain(&mut self, known_to_ms: Option<InstantMs>) -> Option<Explanation> {
        let rule = self.states.iter().position(|state| state.probe.is_some())?;
        if let Some(known_ms) = known_to_ms {
            self.settle_all(known_ms);
        }
        let alerts = self.finish();
        let state = &mut self.states[rule];
        let mut probe = state.probe.take()?;
        let is_decided = probe.found.is_some();
        let found = match probe.found.take() {
            Some(found) => *found,
            None => {
                let at_ms = probe.at_ms.min(state.decided_to().saturating_sub(1));
                state.look(&probe.key, at_ms, &self.lines)
            }
        };
        if let Some(named) = Named::of(state, &alerts) {
            probe.seen = named.seen();
            probe.matches = probe.seen.get(&probe.key).map_or(0, |(count, _)| *count);
        }
        let told = state.answer(&probe, found, is_decided, &alerts);
        state.probe = Some(probe);
        Some(told)
    }

    /// The keys of the rule that was asked about which had a match, most matches first; to be asked after
    /// [`Engine::explain`].
    pub fn seen_keys(&self) -> Vec<SeenKey> {
        let asked = self.states.iter().find_map(|state| Some((state, state.probe.as_ref()?)));
        let Some((state, probe)) = asked else { return Vec::new() };
        let mut keys: Vec<SeenKey> = Vec::with_capacity(probe.seen.len());
        for (key, &(matches, last)) in &probe.seen {
            keys.push(SeenKey { labels: state.labels_of(key).into_iter().collect(), matches, last });
        }
        keys.sort_by(|a, b| b.matches.cmp(&a.matches).then_with(|| a.labels.cmp(&b.labels)));
        keys
    }

    /// Everything before an instant is known.
    fn settle_all(&mut self, known_ms: InstantMs) {
        let mut out = Vec::new();
        for state in self.states.iter_mut().filter(|state| state.composite().is_none()) {
            state.decide_history(known_ms);
            if known_ms > state.watermark {
                state.settle_until(known_ms, &mut Cause { lsn: 0, lines: &self.lines, out: &mut out });
            }
        }
        let rules = Arc::clone(&self.rules);
        for &at in &rules.composites {
            self.tell_composite(at as usize, 0, &mut out);
            let state = &mut self.states[at as usize];
            let known_ms = state.decided_by(known_ms);
            state.decide_history(known_ms);
            if known_ms > state.watermark {
                state.settle_until(known_ms, &mut Cause { lsn: 0, lines: &self.lines, out: &mut out });
            }
        }
        self.forget_told();
    }
}

impl RuleState {
    /// The watermark comes to `watermark`: if it passes the instant that is asked about, settling halts there.
    pub(super) fn probe(&mut self, watermark: InstantMs, cause: &mut Cause<'_>) {
        let Some(mut probe) = self.probe.take() else { return };
        let unit_ms = self.unit_ms();
        let start_ms = probe.at_ms.div_euclid(unit_ms) * unit_ms;
        let is_exact = !matches!(self.shape, Shape::Window(_));
        let needed_ms = if is_exact { probe.at_ms + 1 } else { start_ms + unit_ms };
        if probe.found.is_none() && watermark >= needed_ms {
            let halt_ms = if is_exact { start_ms } else { needed_ms };
            if halt_ms > self.watermark {
                self.settle_until(halt_ms, cause);
            }
            if let Some(slot) = self.keys.find(&probe.key).filter(|_| is_exact) {
                self.decide(slot, needed_ms, cause);
            }
            probe.found = Some(Box::new(self.look(&probe.key, probe.at_ms, cause.lines)));
        }
        self.probe = Some(probe);
    }

    /// Instants before it are decided.
    fn decided_to(&self) -> InstantMs {
        match self.shape {
            Shape::Window(_) => self.frontier.saturating_mul(self.unit_ms()),
            _ => self.watermark,
        }
    }

    /// The numbers of a key at a decided instant, whether it has state or not.
    fn look(&mut self, key: &[u8], at_ms: InstantMs, lines: &Lines) -> Found {
        let held = self.keys.find(key);
        let slot = held.unwrap_or_else(|| {
            let new = Key::new(self.memory());
            self.insert_key(key, new, true)
        });
        let active = self
            .keys
            .get(slot)
            .and_then(|key| key.episode.as_ref())
            .is_some_and(|episode| episode.life.is_active());
        let reason = self.reason(slot, at_ms, lines);
        let told = self.told(slot, at_ms, active, &reason);
        let labels = self.labels(slot);
        if held.is_none() {
            self.forget(slot);
        }
        Found { at_ms, labels, active, reason, told }
    }

    fn answer(&self, probe: &Probe, found: Found, is_decided: bool, alerts: &[Arc<Alert>]) -> Explanation {
        let Found { at_ms, labels, active, reason, mut told } = found;
        let own: Vec<&Alert> =
            alerts.iter().map(|alert| &**alert).filter(|alert| alert.labels == labels).collect();
        let on = own.iter().find(|alert| names::state_at(alert, probe.at_ms) != State::Inactive);
        let state = on.map_or(State::Inactive, |alert| names::state_at(alert, probe.at_ms));
        let times = |alert: &&Alert| names::times(alert);
        let before = own.iter().rfind(|alert| alert.ended_ms.is_some_and(|ended| ended <= probe.at_ms));
        let after = own.iter().find(|alert| alert.active_ms > probe.at_ms);
        let (episode, before, after) = (on.map(times), before.map(times), after.map(times));
        let (mut expr, mut of_names) = (String::new(), Vec::new());
        if let (Some(named), Some(composite)) = (Named::of(self, alerts), self.composite()) {
            let key = fields::split_key(&probe.key, self.settings.by.len());
            let key: Vec<String> = key.into_iter().map(super::reason::shown).collect();
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            expr = composite.text.to_string();
            of_names = named.at(&key, at_ms);
            if !active {
                let from = named.judged_from(&key).filter(|_| !key.is_empty());
                told.gates = vec![self.members_gate(&expr, &of_names, at_ms, !key.is_empty(), from)];
            }
        }
        if !is_decided {
            told.gates.push(self.undecided(at_ms));
        }
        let own_matches = probe.matches > 0;
        let window = told.window;
        let is_inside = |at: InstantMs| window.is_none_or(|w| w.from <= at && at < w.until);
        let mut near: Vec<(InstantMs, Lsn)> =
            probe.near.iter().copied().filter(|(at, _)| is_inside(*at)).collect();
        near.sort_unstable();
        let skipped = near.len().saturating_sub(RECORDS_MAX);
        let mut explanation = Explanation {
            alert: self.settings.alert.to_string(),
            kind: self.settings.kind.name().to_owned(),
            key: self.labels_of(&probe.key).into_iter().collect(),
            labels,
            at: probe.at_ms,
            state,
            text: String::new(),
            active,
            decided: is_decided,
            reason,
            gates: told.gates,
            window,
            things: told.things,
            expr,
            names: of_names,
            episode,
            may_be_older: false,
            before,
            after,
            history_start: self.history.start(),
            records: near[skipped..].iter().map(|(_, lsn)| *lsn).collect(),
            matches: probe.matches,
            other_keys: probe.seen.len() - usize::from(probe.seen.contains_key(&probe.key)),
            did_you_mean: (!own_matches).then(|| self.nearest_key(probe)).flatten(),
        };
        explanation.gates.extend(self.waits(&explanation));
        explanation.text = self.sentence(&explanation);
        explanation
    }

    /// `field=value` pairs of the seen key that looks most like the one asked about.
    fn nearest_key(&self, probe: &Probe) -> Option<String> {
        let texts = |key: &[u8]| -> Vec<String> {
            let values = fields::split_key(key, self.settings.by.len());
            values.into_iter().map(super::reason::shown).collect()
        };
        let mut known: Vec<(String, &[u8])> =
            probe.seen.keys().map(|key| (texts(key).join(" "), &**key)).collect();
        known.sort_unstable();
        let near = nearest(&texts(&probe.key).join(" "), known.iter().map(|(text, _)| text.as_str()))?;
        let (_, key) = known.iter().find(|(text, _)| text == near)?;
        let named = self.labels_of(key).into_iter().map(|(name, value)| format!("{name}={value}"));
        Some(named.collect::<Vec<_>>().join(" "))
    }

    /// `by` fields of key bytes; a null one is left out.
    fn labels_of(&self, key: &[u8]) -> Vec<(String, String)> {
        let texts = fields::split_key(key, self.settings.by.len());
        let named = self.settings.by.iter().zip(texts).filter(|(_, text)| !text.is_empty());
        named.map(|(name, text)| (name.to_string(), super::reason::shown(text))).collect()
    }
}

impl Memory {
    /// The things of a key.
    fn as_bad(&self) -> Option<&super::things::Bad> {
        if let Memory::Bad(bad) = self { Some(bad) } else { None }
    }
}
