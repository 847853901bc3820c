//! `flatline`: which keys are expected, and when the verdict about a silent one may change.
//!
//! Refuses to know: records, labels, what an interval of hours is made of.

use record::InstantMs;

use super::state::{Key, RuleState, Shape};
use super::window::{Tally, Window};
use crate::rule::{Expect, Kind};

/// Shape of the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FlatlineRule {
    /// `expect: seen`: a key is expected for so long after a match.
    pub(super) forget_after_ms: Option<i64>,
}

/// Whether the window of bucket `at` is inside the rule's hours, and the first bucket for which that may be otherwise.
/// Kept for the keys of one bucket only: what is done when must not depend on what was asked before.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoursNow {
    at: i64,
    until: i64,
    inside: bool,
}

impl FlatlineRule {
    /// First bucket at which a match in `bucket` no longer makes its key expected.
    pub(super) fn forgets(&self, bucket: i64, unit_ms: i64) -> i64 {
        let ms = self.forget_after_ms.unwrap_or_default();
        bucket.saturating_add((ms + unit_ms - 1).div_euclid(unit_ms))
    }

    /// Last bucket of a match at or before `s`.
    fn last(tally: &Tally, s: i64, near: i64) -> Option<i64> {
        let held = tally.counts.iter(near).take_while(|&(bucket, _)| bucket <= s).last();
        held.map(|(bucket, _)| bucket).max(tally.last_expired())
    }

    /// Whether bucket `s` expects a match.
    pub(super) fn is_expected(&self, tally: &Tally, s: i64, near: i64, unit_ms: i64) -> bool {
        self.forget_after_ms.is_none()
            || Self::last(tally, s, near).is_some_and(|last| s < self.forgets(last, unit_ms))
    }

    /// Whether too few came in the window that ends at bucket `s`.
    pub(super) fn holds(&self, window: &Window, tally: &Tally, s: i64, near: i64) -> bool {
        tally.counts.sum(s - window.steps + 1, s, near) < window.count
            && self.is_expected(tally, s, near, window.unit_ms)
    }

    /// The next bucket after `s` at which the verdict may change, but for the hours; `None` if only a match can.
    pub(super) fn next_change(&self, window: &Window, tally: &Tally, s: i64) -> Option<i64> {
        let Some(covered) = window.first_covered() else { return Some(s + 1) };
        let forgotten = self.forget_after_ms.and_then(|_| Self::last(tally, s, s));
        let forgotten = forgotten.map(|last| self.forgets(last, window.unit_ms)).filter(|&at| at > s);
        let touched = tally.counts.next_after(s, s);
        let leaves = tally.counts.first(s).map(|oldest| oldest + window.steps);
        // A key that nobody expects is kept for what its window holds: the next match makes it expected again.
        let is_expected = self.forget_after_ms.is_none() || forgotten.is_some();
        let covered = Some(covered).filter(|&at| at > s && is_expected);
        [forgotten, touched, leaves, covered].into_iter().flatten().min()
    }
}

impl RuleState {
    /// The keys that the rule lists.
    pub(super) fn listed(&self) -> Option<&[Box<[u8]>]> {
        match &self.settings.kind {
            Kind::Flatline { expect: Expect::Keys(keys), .. } => Some(keys),
            _ => None,
        }
    }

    /// History start was decided: the keys that the rule lists are looked at from the first covered bucket on.
    pub(super) fn expect_listed(&mut self, start: InstantMs) {
        let Shape::Window(window) = self.shape else { return };
        let (Some(covered), Some(keys)) = (window.first_covered(), self.listed()) else { return };
        let keys = keys.to_vec();
        if self.frontier == super::clock::NEVER {
            self.frontier = start.div_euclid(window.unit_ms);
        }
        for bytes in keys {
            let slot = self.keys.find(&bytes).unwrap_or_else(|| {
                let key = Key::new(self.memory());
                self.insert_key(&bytes, key, false)
            });
            self.look_at(slot, covered.max(self.frontier));
        }
    }

    /// Whether the window of bucket `s` lies inside the rule's hours, and the first bucket where that may change.
    pub(super) fn hours(&mut self, s: i64) -> (bool, Option<i64>) {
        let (Kind::Flatline { hours: Some(hours), .. }, Shape::Window(window)) =
            (&self.settings.kind, self.shape)
        else {
            return (true, None);
        };
        let known = self.hours_now.filter(|now| now.at == s);
        let now = known.unwrap_or_else(|| {
            let (inside, until) = hours.of_window(s, window.steps, window.unit_ms);
            HoursNow { at: s, until, inside }
        });
        self.hours_now = Some(now);
        (now.inside, Some(now.until))
    }
}
