//! `spike`: how much there is now against how much there was before.
//!
//! Counts, sums, means and factors are compared as exact numbers, multiplied out. Refuses to know: keys, records,
//! which windows are covered.

use std::collections::BTreeMap;

use record::Decimal;

use super::numbers::{Measured, Sum};
use super::window::Tally;
use crate::condition::duration::show_duration;
use crate::rule::{Aggregate, OFFSETS_MAX, Spike};

/// Digits of a factor after the point.
const FACTOR_DIGITS: u32 = 6;
const FACTOR_UNITS: u32 = 10_u32.pow(FACTOR_DIGITS);

/// Shape of the rule, in buckets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SpikeRule {
    /// How far before the current window the references end; the first `references` are used.
    offsets: [u32; OFFSETS_MAX],
    references: u8,
    /// Buckets in a window.
    steps: i64,
    /// The factor in millionths.
    factor: u32,
    min_reference: Decimal,
    min_current: Decimal,
    up: bool,
    down: bool,
    pub(super) is_of_sum: bool,
}

/// The two numbers that are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    pub(super) current: Sum,
    /// Of all references together.
    reference: Sum,
}

impl SpikeRule {
    pub(super) fn new(spike: Spike, unit_ms: i64, steps: i64) -> Self {
        let (mut offsets, mut references) = ([0; OFFSETS_MAX], 0);
        for (offset, ms) in offsets.iter_mut().zip(spike.offsets_ms.iter().filter(|ms| **ms > 0)) {
            *offset = u32::try_from(ms.div_euclid(unit_ms)).unwrap_or(u32::MAX);
            references += 1;
        }
        if references == 0 {
            (offsets[0], references) = (u32::try_from(steps).unwrap_or(1), 1);
        }
        let factor = (spike.factor * Decimal::from(FACTOR_UNITS)).trunc();
        let factor = u32::try_from(factor).unwrap_or(u32::MAX);
        Self {
            offsets,
            references,
            steps,
            factor,
            min_reference: spike.min_reference,
            min_current: spike.min_current,
            up: spike.up,
            down: spike.down,
            is_of_sum: spike.sum.is_some(),
        }
    }

    fn offsets(&self) -> impl Iterator<Item = i64> + Clone {
        self.offsets.into_iter().take(usize::from(self.references)).map(i64::from)
    }

    /// Buckets before `s` that the verdict of bucket `s` looks at.
    pub(super) fn reach(&self) -> i64 {
        self.offsets().max().unwrap_or_default() + self.steps - 1
    }

    /// How much is compared at bucket `s`.
    pub(super) fn levels(&self, tally: &Tally, s: i64, near: i64) -> Levels {
        let level = |end: i64| {
            let from = end - self.steps + 1;
            if !self.is_of_sum {
                return Sum::of(Decimal::from(tally.counts.sum(from, end, near)));
            }
            match tally.numbers().and_then(|held| held.measure(Aggregate::Sum, from, end)) {
                Some(Measured::Sum(sum, _)) => sum,
                _ => Sum::default(),
            }
        };
        let reference = self.offsets().map(|offset| level(s - offset));
        Levels { current: level(s), reference: reference.fold(Sum::default(), Sum::plus) }
    }

    fn has_reference(&self, levels: &Levels) -> bool {
        levels.reference >= Sum::of(self.min_reference).times(self.references())
    }

    fn references(&self) -> u32 {
        u32::from(self.references)
    }

    pub(super) fn is_up(&self, levels: &Levels) -> bool {
        let enough = self.has_reference(levels) && levels.current >= Sum::of(self.min_current);
        let current = levels.current.times(FACTOR_UNITS).times(self.references());
        self.up && enough && current >= levels.reference.times(self.factor)
    }

    fn is_down(&self, levels: &Levels) -> bool {
        let current = levels.current.times(self.factor).times(self.references());
        self.down && self.has_reference(levels) && current <= levels.reference.times(FACTOR_UNITS)
    }

    pub(super) fn holds(&self, tally: &Tally, s: i64, near: i64) -> bool {
        let levels = self.levels(tally, s, near);
        self.is_up(&levels) || self.is_down(&levels)
    }

    /// The next bucket after `s` at which something enters or leaves one of the windows.
    pub(super) fn next_change(&self, tally: &Tally, s: i64) -> Option<i64> {
        let entering = std::iter::once(0).chain(self.offsets());
        let borders = entering.flat_map(|offset| [offset, offset + self.steps]);
        let next = |border: i64| Some(tally.counts.next_after(s - border, s)? + border);
        borders.filter_map(next).min()
    }

    /// Both numbers in words, and the thresholds that applied by name.
    pub(super) fn tell(
        &self,
        spike: &Spike,
        levels: &Levels,
        within_ms: i64,
    ) -> (String, BTreeMap<String, String>) {
        let factor = Decimal::new(i64::from(self.factor), FACTOR_DIGITS).normalize();
        let show = |number: Decimal| number.normalize().to_string();
        let mut named = vec![("factor", factor.to_string()), ("min_reference", show(self.min_reference))];
        let (is_up, is_down) = (self.is_up(levels), self.is_down(levels));
        let against = if is_down && !is_up {
            format!("at most 1/{factor} of")
        } else {
            named.push(("min_current", show(self.min_current)));
            format!("at least {factor} times")
        };
        let reference = Measured::Sum(levels.reference, self.references()).show();
        let before = spike.offsets_ms.iter().filter(|ms| **ms > 0).map(|ms| show_duration(*ms));
        let before: Vec<String> = before.collect();
        let before = match before.len() {
            0 => "before".to_owned(),
            1 => format!("{} before", before[0]),
            _ => format!("on average {} before", before.join(", ")),
        };
        let words = format!(
            "{} in {}, {against} {reference} {before}",
            levels.current.show(),
            show_duration(within_ms)
        );
        (words, named.into_iter().map(|(name, text)| (name.to_owned(), text)).collect())
    }

    /// Whether the current number is further off than one that was told.
    pub(super) fn is_worse(&self, levels: &Levels, told: &str) -> bool {
        let Ok(told) = Decimal::from_str_exact(told) else { return false };
        if self.is_up(levels) { levels.current > Sum::of(told) } else { levels.current < Sum::of(told) }
    }
}
