//! `composite`: alerts of other rules, told by their states, become the activity of combinations of labels.
//!
//! Settled verdicts reach as far as those of every rule on which it hangs; no record is looked at. Composites are asked
//! after the rules that they name, each after the composites it names. Refuses to know: records, how verdicts of the
//! named rules are reached.

mod affected;
mod mix;

use std::sync::Arc;

use record::{InstantMs, Lsn};

use affected::Affected;
use mix::News;
pub(super) use mix::{Mix, What};

use super::Engine;
use super::clock::NEVER;
use super::fields::join_key;
use super::life::Life;
use super::reason::LISTED_MAX;
use super::state::{Cause, Key, Memory, RuleState};
use crate::rule::{Composite, Kind};
use crate::{Alert, Reason, Transition};

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;

/// What a rule tells those that name it.
#[derive(Debug, Clone)]
pub(super) struct Told {
    slot: u32,
    alert: Arc<Alert>,
    what: What,
    /// Its matches, where it begins to fire or grows.
    met: Option<Affected>,
}

impl RuleState {
    /// Tells those that name this rule what became of an alert.
    pub(super) fn tell_composites(&mut self, slot: u32, what: What) {
        if self.told.is_none() {
            return;
        }
        let met = match what {
            What::Fired(at) | What::Grown(at) | What::Early(_, Some(at)) => Some(self.met(slot, at)),
            What::Started(_) | What::Early(_, None) | What::Ended(_) | What::Withdrawn => None,
        };
        let episode = self.keys.get(slot).and_then(|key| key.episode.as_ref());
        if let (Some(told), Some(episode)) = (&mut self.told, episode) {
            told.push(Told { slot, alert: Arc::clone(&episode.alert), what, met });
        }
    }

    /// The matches of a key that a reason would show at an instant.
    fn met(&self, slot: u32, at: InstantMs) -> Affected {
        Affected::of(self.shown_matches(slot, at), self.settings.has_orders)
    }

    pub(super) fn composite(&self) -> Option<&Composite> {
        match &self.settings.kind {
            Kind::Composite(composite) => Some(composite),
            _ => None,
        }
    }

    /// Least clock at which all instants before `until` are decided.
    pub(super) fn clock_for(&self, until: InstantMs) -> InstantMs {
        let Some(composite) = self.composite() else { return until + self.settings.lateness_ms };
        let ends = composite.clocks.iter().map(|&(unit_ms, lateness_ms)| {
            let end = until.div_euclid(unit_ms) * unit_ms;
            end + if end < until { unit_ms } else { 0 } + lateness_ms
        });
        ends.max().unwrap_or(until)
    }

    /// The watermark when the clock stands at `base`.
    pub(super) fn watermark_at(&self, base: InstantMs) -> InstantMs {
        let Some(composite) = self.composite() else { return base - self.settings.lateness_ms };
        let to =
            composite.clocks.iter().map(|&(unit_ms, late_ms)| (base - late_ms).div_euclid(unit_ms) * unit_ms);
        to.min().unwrap_or(base)
    }

    /// As far as it is decided when the instants before `known_ms` are known of every rule on which it hangs.
    pub(super) fn decided_by(&self, known_ms: InstantMs) -> InstantMs {
        let Some(composite) = self.composite() else { return known_ms };
        let to = composite.clocks.iter().map(|&(unit_ms, _)| known_ms.div_euclid(unit_ms) * unit_ms);
        to.min().unwrap_or(known_ms)
    }

    /// Without `on` there is one combination, judged from history start.
    pub(super) fn judge_from_history(&mut self, start: InstantMs) {
        let names = match self.composite() {
            Some(composite) if self.settings.by.is_empty() => composite.names.len(),
            _ => return,
        };
        self.settle_no_earlier_than(start - DAY_MS);
        let slot = self.mix_of(&join_key(&[]), names);
        if let Some(Key { memory: Memory::Mix(mix), .. }) = self.keys.get_mut(slot) {
            mix.judge_from(start);
        }
        self.look_at(slot, start.div_euclid(SECOND_MS).max(self.frontier));
    }

    /// Where nothing was settled yet, settling begins with the second of an instant.
    fn settle_no_earlier_than(&mut self, at: InstantMs) {
        if self.frontier == NEVER {
            self.frontier = at.div_euclid(SECOND_MS);
            self.watermark = self.frontier * SECOND_MS;
        }
    }

    fn mix_of(&mut self, bytes: &[u8], names: usize) -> u32 {
        if let Some(slot) = self.keys.find(bytes) {
            self.keys.touch(slot);
            return slot;
        }
        let mut mix = Mix::new(self.watermark, names);
        if let Some(start) = self.history.start().filter(|_| self.settings.by.is_empty()) {
            mix.judge_from(start);
        }
        self.insert_key(bytes, Key::new(Memory::Mix(Box::new(mix))), false)
    }

    /// Takes what became of an alert of a named rule; the combination that it may raise early, or take back.
    fn take_told(&mut self, name: u32, told: &Told) -> Option<u32> {
        let composite = self.composite()?;
        let names = composite.names.len();
        let text = |label: &Arc<str>| told.alert.labels.get(&**label).cloned().unwrap_or_default();
        let bytes = join_key(&self.settings.by.iter().map(text).collect::<Vec<_>>());
        let begins = match told.what {
            What::Started(at) | What::Early(at, _) => Some(at),
            _ => None,
        };
        if let Some(at) = begins {
            // History may turn out to have begun somewhat earlier.
            self.settle_no_earlier_than(at - DAY_MS);
        } else {
            self.keys.find(&bytes)?;
        }
        let by_alerts = !self.settings.by.is_empty();
        let slot = self.mix_of(&bytes, names);
        let Some(Key { memory: Memory::Mix(mix), .. }) = self.keys.get_mut(slot) else { return None };
        let (of, what, text) = ((name, told.slot), told.what, shown(&told.alert));
        mix.take(News { of, what, text: &text, met: told.met.as_ref() }, by_alerts);
        let due = mix.next_due();
        let due = due.unwrap_or(self.watermark).div_euclid(SECOND_MS);
        self.look_at(slot, due.max(self.frontier));
        self.bound();
        Some(slot)
    }

    /// Looks early at combinations of which something was told.
    fn reconsider_told(&mut self, slots: &mut Vec<u32>, cause: &mut Cause<'_>) {
        slots.sort_unstable();
        slots.dedup();
        for slot in slots.drain(..) {
            let Some(key) = self.keys.get(slot).filter(|_| self.over.is_none()) else { continue };
            if key.episode.as_ref().is_none_or(|episode| episode.life == Life::Idle) {
                self.reconsider(slot, cause);
            }
        }
    }

    /// Fills in the alerts that fire at an instant.
    pub(super) fn mix_reason(&self, mix: &Mix, at: InstantMs, reason: &mut Reason) {
        let mut on: Vec<String> = mix.at(at).map(str::to_owned).collect();
        on.sort_unstable();
        reason.count = on.len() as u64;
        reason.distinct_count = reason.count;
        on.truncate(LISTED_MAX);
        reason.kind = "composite".into();
        let text = self.composite().map_or("", |composite| &composite.text);
        let listed = if on.is_empty() { "none of them fires".to_owned() } else { on.join(", ") };
        reason.text = format!("{text}: {listed}");
        reason.distinct = on;
    }
}

/// An alert by its name and other labels.
fn shown(alert: &Alert) -> String {
    let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let name = alert.labels.get("alertname").map_or("", String::as_str);
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(", ")) }
}

impl Engine {
    /// Rules that composites name remember what they have to tell.
    pub(super) fn link_composites(&mut self) {
        let mut named = vec![false; self.states.len()];
        for &at in &self.rules.composites {
            if let Kind::Composite(composite) = &self.rules.rules[at as usize].kind {
                composite.members.iter().for_each(|&member| named[member as usize] = true);
            }
        }
        for (state, named) in self.states.iter_mut().zip(named) {
            state.told = named.then(|| state.told.take().unwrap_or_default());
        }
    }

    /// Lets the composites know what became of the alerts that they name; `base`: the clock.
    pub(super) fn ask_composites(&mut self, base: InstantMs, lsn: Lsn, out: &mut Vec<Transition>) {
        let rules = Arc::clone(&self.rules);
        for &at in &rules.composites {
            self.tell_composite(at as usize, lsn, out);
            let state = &mut self.states[at as usize];
            if state.deadline() <= base {
                state.advance(base, &mut Cause { lsn, lines: &self.lines, out });
            }
            self.deadlines.set(at, state.deadline());
        }
        self.forget_told();
    }

    /// Everything told was heard.
    pub(super) fn forget_told(&mut self) {
        if !self.rules.composites.is_empty() {
            self.states.iter_mut().filter_map(|state| state.told.as_mut()).for_each(Vec::clear);
        }
    }

    /// Hands one composite what its members have to tell.
    pub(super) fn tell_composite(&mut self, at: usize, lsn: Lsn, out: &mut Vec<Transition>) {
        let rules = Arc::clone(&self.rules);
        let Kind::Composite(composite) = &rules.rules[at].kind else { return };
        if self.states[at].history.start().is_none() {
            let starts =
                composite.leaves.iter().filter_map(|&leaf| self.states[leaf as usize].history.lowest());
            if let Some(start) = starts.min() {
                self.states[at].history.record(start);
            }
        }
        let mut slots = Vec::new();
        for (name, &member) in (0u32..).zip(&composite.members) {
            let member = member as usize;
            let Some(told) = self.states[member].told.take_if(|told| !told.is_empty()) else { continue };
            slots.extend(told.iter().filter_map(|one| self.states[at].take_told(name, one)));
            self.states[member].told = Some(told);
        }
        // All that was told first: between two pieces of news (an early alert begins, then it fires) nothing is so.
        self.states[at].reconsider_told(&mut slots, &mut Cause { lsn, lines: &self.lines, out });
    }

    /// The composites that are not among those that go on where they were.
    pub(super) fn seed_composites(&mut self, kept: &[Arc<str>]) {
        let rules = Arc::clone(&self.rules);
        for &at in &rules.composites {
            if !kept.contains(&self.states[at as usize].settings.alert) {
                self.seed_composite(at as usize);
            }
        }
    }

    /// A composite that begins with nothing while its members go on: it learns what is on.
    fn seed_composite(&mut self, at: usize) {
        let base = self.clock.base();
        let rules = Arc::clone(&self.rules);
        let Kind::Composite(composite) = &rules.rules[at].kind else { return };
        if base == NEVER {
            return;
        }
        let decided = self.states[at].watermark_at(base);
        self.states[at].settle_no_earlier_than(decided);
        for (name, &member) in (0u32..).zip(&composite.members) {
            let mut told = Vec::new();
            let state = &self.states[member as usize];
            // What it shows now: what it showed when it began may be forgotten.
            let now_ms = state.watermark - 1;
            for (slot, _, key) in state.keys.iter() {
                let Some(episode) = &key.episode else { continue };
                let alert = &episode.alert;
                let met = Some(state.met(slot, now_ms.max(alert.active_ms)));
                let mut tell =
                    |what| told.push(Told { slot, alert: Arc::clone(alert), what, met: met.clone() });
                if episode.life == Life::Idle {
                    tell(What::Early(alert.active_ms, alert.fired_ms));
                } else {
                    tell(What::Started(alert.active_ms.max(decided)));
                    if let Some(at) = alert.fired_ms {
                        tell(What::Fired(at));
                    }
                }
            }
            for one in &told {
                let _nothing_is_raised_here = self.states[at].take_told(name, one);
            }
        }
    }
}
