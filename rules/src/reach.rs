//! How far back the verdicts of one instant may look: what must be read to explain it.
//!
//! Refuses to know: what is read, and from where.

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
        let rule = self.rules.iter().find(|rule| *rule.alert == *alert)?;
        Some(reach(rule))
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
