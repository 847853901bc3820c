//! How far back the verdicts of one instant may look: what must be read to explain it.
//!
//! Refuses to know: what is read, and from where.

use std::collections::HashMap;

use crate::RuleSet;
use crate::rule::{Expect, Kind, Rule, Spike, ThingKind, Things};

/// A change that is not allowed is seen only if the value before it is; it may be any time ago.
const TRANSITION_MS: i64 = 86_400_000;
/// More than this is not read beyond what a verdict looks at.
const MORE_MAX_MS: i64 = 3_600_000;

/// What must be read around an instant so that a rule's verdict about it is the one that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// So long before the instant. What began to be on earlier is on, but its beginning may be older than what was read.
    pub back_ms: i64,
    /// So long behind it: late records, and how long an alert is kept on.
    pub ahead_ms: i64,
    /// How far the rule's watermark stays behind.
    pub lateness_ms: i64,
}

impl RuleSet {
    /// That of a rule; `None`: there is no such rule.
    pub fn reach(&self, alert: &str) -> Option<Reach> {
        let place = self.position(alert)?;
        let kept = self.hangs_on(place);
        let own = |at: &usize| (*at, reach(&self.rules[*at]));
        let mut known: HashMap<usize, Reach> = kept.iter().map(own).collect();
        for &at in self.composites.iter().filter(|&&at| kept.contains(&(at as usize))) {
            let at = at as usize;
            let (Kind::Composite(composite), own) = (&self.rules[at].kind, known[&at]) else { continue };
            // It looks at the alerts of others, and they at records or at others again.
            let members = composite.members.iter().filter_map(|&member| known.get(&(member as usize)));
            let whole = members.fold(own, |sum, member| Reach {
                back_ms: sum.back_ms.max(own.back_ms.saturating_add(member.back_ms)),
                ahead_ms: sum.ahead_ms.max(own.ahead_ms.saturating_add(member.ahead_ms)),
                lateness_ms: sum.lateness_ms.max(member.lateness_ms),
            });
            known.insert(at, whole);
        }
        known.get(&place).copied()
    }
}

fn reach(rule: &Rule) -> Reach {
    let within_ms = rule.kind.within_ms();
    let looked_ms = match &rule.kind {
        // The step before counts too.
        Kind::Sustained { every_ms, .. } => within_ms + 2 * every_ms,
        Kind::Spike { spike: Spike { offsets_ms, .. }, .. } => {
            2 * within_ms + offsets_ms.iter().max().unwrap_or(&0)
        }
        Kind::Flatline { expect: Expect::Seen { forget_after_ms }, .. } => within_ms + forget_after_ms,
        Kind::Things(Things { resolve_after_ms, kind, .. }) => {
            let before_ms = match kind {
                ThingKind::NewValue { remember_ms, learn_ms } => *remember_ms.max(learn_ms),
                ThingKind::Transition { .. } => TRANSITION_MS,
                _ => 2 * within_ms,
            };
            before_ms + resolve_after_ms
        }
        _ => within_ms,
    };
    let waits_ms = rule.for_ms + rule.keep_firing_for_ms;
    // More than it looks at, so that what is on when the reading begins has had time to end; and buckets at both ends.
    let back_ms = looked_ms + looked_ms.min(MORE_MAX_MS) + 2 * waits_ms + rule.lateness_ms + 120_000;
    let bucket_ms = within_ms / 5 + 2_000;
    Reach { back_ms, ahead_ms: bucket_ms + waits_ms + rule.lateness_ms, lateness_ms: rule.lateness_ms }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use record::FormatSet;

    use crate::{RuleFile, RuleSet};

    /// How far back rules look, in seconds, besides what is read anyway.
    fn check(rule: &str, expect_s: i64) {
        let formats = Arc::new(FormatSet::shipped(chrono_tz::UTC));
        let text = format!("groups: [{{name: g, rules: [{{alert: A, lateness: 0, {rule}}}]}}]");
        let rules = RuleSet::load(&[RuleFile { name: "r".into(), text }], &formats).unwrap();
        assert_eq!(rules.reach("A").unwrap().back_ms, (expect_s + 120) * 1_000, "{rule}");
        assert_eq!(rules.reach("B"), None);
    }

    #[test]
    fn rules_look_back_as_far_as_their_kind_says() {
        check("kind: frequency, count: 2, within: 10m", 1_200);
        check("kind: frequency, count: 2, within: 10m, for: 1m, keep_firing_for: 2m", 1_560);
        check("kind: sustained, count: 2, every: 1m, within: 10m", 1_440);
        check("kind: spike, factor: 2, within: 10m, offset: [1d]", 86_400 + 1_200 + 3_600);
        check("kind: new_value, field: channel, remember: 2d, learn: 1d", 2 * 86_400 + 3_600 + 3_600);
    }
}
