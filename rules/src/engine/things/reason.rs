//! Why a key is active: the things that are bad, in numbers and in words.
//!
//! Refuses to know: whether the alert is early or settled.

use record::InstantMs;

use super::{Bad, ThingRule};
use crate::Reason;
use crate::condition::duration::show_duration;
use crate::engine::reason::{LISTED_MAX, shown};
use crate::engine::recent::Match;
use crate::engine::state::RuleState;
use crate::rule::{Kind, ThingKind};

impl RuleState {
    /// The records that made the things bad which are bad at an instant.
    pub(in crate::engine) fn things_matches(
        &self,
        rule: ThingRule,
        (slot, bad): (u32, &Bad),
        at: InstantMs,
    ) -> Vec<Match<'_>> {
        let mut found = Vec::new();
        for thing in bad.at(at) {
            let entries = self.things.entries(thing);
            let holds = |from: InstantMs, until: InstantMs| from <= at && at < until;
            let spells = self.things.spells(rule, thing).into_iter();
            let of_key =
                spells.filter(|s| holds(s.from, s.until) && entries[s.of].key() == self.keys.bytes(slot));
            let mut shown: Vec<usize> = of_key.map(|spell| spell.shown).collect();
            shown.sort_unstable();
            shown.dedup();
            found.extend(shown.into_iter().map(|i| {
                let entry = &entries[i];
                let (order, amount) = (entry.order(), entry.amount());
                Match { at: entry.at, lsn: entry.lsn, line: entry.line, order, amount }
            }));
        }
        found
    }

    /// Fills in the things that are bad at an instant.
    pub(in crate::engine) fn things_reason(
        &self,
        rule: ThingRule,
        bad: &Bad,
        at: InstantMs,
        reason: &mut Reason,
    ) {
        let name = |thing| shown(rule.name(self.things.things.bytes(thing)));
        let mut names: Vec<String> = bad.at(at).map(name).collect();
        names.sort_unstable();
        reason.count = names.len() as u64;
        reason.distinct_count = reason.count;
        names.truncate(LISTED_MAX);
        reason.distinct = names;
        reason.kind = self.settings.kind.name().into();
        reason.text = self.things_words(reason.count);
    }

    fn things_words(&self, count: u64) -> String {
        let Kind::Things(things) = &self.settings.kind else { return String::new() };
        let each = &self.settings.distinct_name;
        match &things.kind {
            ThingKind::Unfinished { within_ms, .. } => {
                format!("{count} {each} begun and not finished within {}", show_duration(*within_ms))
            }
            ThingKind::Sequence { steps, within_ms } => {
                let (steps, within) = (steps.len(), show_duration(*within_ms));
                format!("{count} {each} through {steps} steps within {within}")
            }
            ThingKind::Mismatch { within_ms, .. } => {
                let (fields, within) = (&self.settings.field_name, show_duration(*within_ms));
                format!("{count} {each} that differ in {fields} within {within}")
            }
            ThingKind::NewValue { remember_ms, .. } => {
                format!("{count} values of {each} not seen in the last {}", show_duration(*remember_ms))
            }
            ThingKind::Transition { .. } => {
                format!("{count} {each} with a change of {} that is not allowed", self.settings.field_name)
            }
        }
    }
}
