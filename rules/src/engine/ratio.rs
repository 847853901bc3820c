//! `ratio`: whether a share of the matches is too low or too high.
//!
//! Without `confidence` the comparison is exact; with it, the end of the interval is compared. Refuses to know:
//! windows, keys.

use std::collections::BTreeMap;

use record::Decimal;

use crate::rule::Bounds;
use crate::wilson;

/// Digits of a share that are shown.
const SHOWN_DIGITS: u32 = 6;

/// What the share is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RatioRule {
    bounds: Bounds,
    min_total: u64,
    confidence: Option<Decimal>,
    z: f64,
}

impl RatioRule {
    pub(super) fn new(bounds: Bounds, min_total: u64, confidence: Option<Decimal>) -> Self {
        let z = confidence.map_or(0.0, |level| wilson::z_of(float(level)));
        Self { bounds, min_total, confidence, z }
    }

    /// Whether a share of so many makes the rule active.
    pub(super) fn holds(&self, part: u64, total: u64) -> bool {
        total >= self.min_total && (self.is_below(part, total) || self.is_above(part, total))
    }

    fn is_below(&self, part: u64, total: u64) -> bool {
        self.bounds.below.is_some_and(|below| match self.confidence {
            Some(_) => wilson::interval(part, total, self.z).1 < float(below),
            None => Decimal::from(part) < below * Decimal::from(total),
        })
    }

    fn is_above(&self, part: u64, total: u64) -> bool {
        self.bounds.above.is_some_and(|above| match self.confidence {
            Some(_) => wilson::interval(part, total, self.z).0 > float(above),
            None => Decimal::from(part) > above * Decimal::from(total),
        })
    }

    /// Whether one share is worse than another: lower where too low is bad, higher where too high is.
    pub(super) fn is_worse(&self, (part, total): (u64, u64), told: &str) -> bool {
        let Ok(told) = Decimal::from_str_exact(told) else { return true };
        let share = share(part, total);
        if self.is_below(part, total) { share < told } else { share > told }
    }

    /// The share as decimal text, the bounds that it meets by name (all if none), and both in words.
    pub(super) fn tell(&self, part: u64, total: u64) -> (String, BTreeMap<String, String>, String) {
        let (is_below, is_above) = (self.is_below(part, total), self.is_above(part, total));
        let none = !is_below && !is_above;
        let bounds = Bounds {
            below: self.bounds.below.filter(|_| is_below || none),
            above: self.bounds.above.filter(|_| is_above || none),
        };
        let named = [
            ("below", bounds.below),
            ("above", bounds.above),
            ("confidence", self.confidence),
            ("min_total", Some(Decimal::from(self.min_total))),
        ];
        let thresholds = named
            .into_iter()
            .filter_map(|(name, number)| number.map(|n| (name.to_owned(), n.normalize().to_string())));
        let value = share(part, total).to_string();
        let mut words = format!("{value} ({part} of {total}) {}", bounds.show());
        if let (Some(level), true) = (self.confidence, total > 0) {
            let (lower, upper) = wilson::interval(part, total, self.z);
            words.push_str(&format!("; {lower:.4} to {upper:.4} with confidence {}", level.normalize()));
        }
        (value, thresholds.collect(), words)
    }
}

fn share(part: u64, total: u64) -> Decimal {
    (Decimal::from(part) / Decimal::from(total.max(1))).round_dp(SHOWN_DIGITS).normalize()
}

fn float(number: Decimal) -> f64 {
    number.to_string().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_strict_and_exact() {
        let decimal = |text: &str| Decimal::from_str_exact(text).expect("a number");
        let rule = |below: Option<&str>, above: Option<&str>, min_total| {
            RatioRule::new(Bounds { below: below.map(decimal), above: above.map(decimal) }, min_total, None)
        };
        let third = rule(Some("0.3"), Some("0.7"), 10);
        for (part, expect) in [(2, true), (3, false), (7, false), (8, true)] {
            assert_eq!(third.holds(part, 10), expect, "{part} of 10");
        }
        assert!(!third.holds(0, 9), "too few to judge");
        assert!(!rule(Some("1"), None, 1).holds(5, 5));
        assert!(rule(None, Some("0"), 1).holds(1, 1_000_000));
    }
}
