//! Kinds in buckets: when they are active, from what one key counted.
//!
//! Refuses to know: keys, alerts, how buckets become instants beyond their length.

use std::cmp::Ordering;

use record::InstantMs;

use super::counts::Counts;
use super::distinct::{Keep, Occurrences, Values, cap};
use super::flatline::FlatlineRule;
use super::numbers::{self, Measured, Numbers};
use super::ratio::RatioRule;
use super::spike::SpikeRule;
use super::state::Sighting;
use crate::codec::{In, Out, Read};
use crate::rule::{Aggregate, Bounds, Distinct, Expect, Kind};

/// Windows have at most about this many buckets.
const BUCKETS_MAX: i64 = 600;
const SECOND_MS: i64 = 1_000;

/// A window in buckets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// Bucket length.
    pub(super) unit_ms: i64,
    /// Buckets in a step; 1 unless `sustained`.
    pub(super) step: i64,
    /// Steps in the window.
    pub(super) steps: i64,
    /// Matches needed: in the window, or in each step.
    pub(super) count: u64,
    pub(super) distinct: Option<Distinct>,
    /// Distinct values kept: as many as some key may need.
    pub(super) kept: u64,
    pub(super) sustained: bool,
    pub(super) decides: Decides,
    /// Since when all is known; no kind that needs to know is judged before it is decided.
    pub(super) start: Option<InstantMs>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Decides {
    /// The number of matches (and of distinct values besides).
    Count,
    /// The number of distinct values: at least, or at most.
    Cardinality { min: Option<u64>, max: Option<u64> },
    /// The share of the matches that are of the part.
    Ratio(RatioRule),
    /// An aggregate of a field's values.
    Aggregate(AggregateRule),
    /// How much there is against how much there was.
    Spike(SpikeRule),
    /// How little there is.
    Flatline(FlatlineRule),
}

/// What a window remembers of one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    /// What the kind needs besides.
    pub(super) extra: Option<Box<Extra>>,
    /// Matches in `counts`, expired but not yet forgotten ones included: an upper bound.
    held: u32,
}

/// Shape of `aggregate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AggregateRule {
    pub(super) aggregate: Aggregate,
    pub(super) bounds: Bounds,
    pub(super) min_total: u64,
}

impl AggregateRule {
    /// The same as comparing the quantile, by counting what lies beyond the bounds.
    fn quantile_holds(&self, percent: u8, tally: &Tally, from: i64, to: i64) -> bool {
        let Some(held) = tally.numbers() else { return false };
        let len = held.len(from, to);
        let rank = numbers::rank(len, percent);
        let Bounds { below, above } = self.bounds;
        len > 0
            && u64::from(len) >= self.min_total
            && (above
                .is_some_and(|above| held.has(u64::from(len) - rank + 1, Ordering::Greater, above, from, to))
                || below.is_some_and(|below| held.has(rank, Ordering::Less, below, from, to)))
    }

    /// The number that is compared, and of how many values it is.
    pub(super) fn measure(&self, tally: &Tally, from: i64, to: i64) -> (Option<Measured>, u32) {
        let held = tally.numbers();
        let measured = held.and_then(|held| held.measure(self.aggregate, from, to));
        (measured, held.map_or(0, |held| held.len(from, to)))
    }

    pub(super) fn is_below(&self, measured: &Measured) -> bool {
        self.bounds.below.is_some_and(|below| measured.cmp(below).is_lt())
    }

    pub(super) fn is_above(&self, measured: &Measured) -> bool {
        self.bounds.above.is_some_and(|above| measured.cmp(above).is_gt())
    }

    fn holds(&self, tally: &Tally, from: i64, to: i64) -> bool {
        if let Aggregate::Quantile(percent) = self.aggregate {
            return self.quantile_holds(percent, tally, from, to);
        }
        let (measured, n) = self.measure(tally, from, to);
        let beyond = |measured: &Measured| self.is_below(measured) || self.is_above(measured);
        u64::from(n) >= self.min_total && measured.as_ref().is_some_and(beyond)
    }
}

/// What one key remembers besides its counts.
#[derive(Debug, Clone)]
pub(super) enum Extra {
    /// Distinct values.
    Values(Occurrences),
    /// Counts of the part.
    Part(Counts),
    /// Values to aggregate.
    Numbers(Numbers),
    /// Bucket of the last match that has left the window.
    Last(i64),
}

impl Tally {
    /// The distinct values, if there are any.
    pub(super) fn values(&self) -> Option<&Occurrences> {
        match self.extra.as_deref()? {
            Extra::Values(values) => Some(values),
            Extra::Part(_) | Extra::Numbers(_) | Extra::Last(_) => None,
        }
    }

    /// Counts of the part, if there are any.
    pub(super) fn part(&self) -> Option<&Counts> {
        match self.extra.as_deref()? {
            Extra::Part(part) => Some(part),
            Extra::Values(_) | Extra::Numbers(_) | Extra::Last(_) => None,
        }
    }

    /// The values to aggregate, if there are any.
    pub(super) fn numbers(&self) -> Option<&Numbers> {
        match self.extra.as_deref()? {
            Extra::Numbers(numbers) => Some(numbers),
            Extra::Values(_) | Extra::Part(_) | Extra::Last(_) => None,
        }
    }

    /// Bucket of the last match that has left the window, if that is kept.
    pub(super) fn last_expired(&self) -> Option<i64> {
        match self.extra.as_deref()? {
            Extra::Last(bucket) => Some(*bucket),
            Extra::Values(_) | Extra::Part(_) | Extra::Numbers(_) => None,
        }
    }

    /// A match has left the window.
    fn expire(&mut self, bucket: i64) {
        let last = self.last_expired().map_or(bucket, |last| last.max(bucket));
        self.extra = Some(Box::new(Extra::Last(last)));
    }

    /// Matches, and those of the part, in buckets `from..=to`.
    pub(super) fn shares(&self, from: i64, to: i64, near: i64) -> (u64, u64) {
        let within = |counts: &Counts| {
            let inside = counts.iter(near).filter(|&(b, _)| b >= from && b <= to);
            inside.map(|(_, count)| u64::from(count)).sum()
        };
        (within(&self.counts), self.part().map_or(0, within))
    }
}

fn ceil_div(a: i64, b: i64) -> i64 {
    (a + b - 1).div_euclid(b)
}

/// Bucket length of `spike`: a tenth of the window, in whole seconds.
pub(crate) fn spike_unit_ms(within_ms: i64) -> i64 {
    SECOND_MS * ceil_div(within_ms, 10 * SECOND_MS).max(1)
}

impl Window {
    /// The window of a kind; `None` for kinds that are not in buckets.
    pub(super) fn of(kind: &Kind) -> Option<Self> {
        let window = |count, within_ms: i64, distinct: Option<Distinct>| {
            let unit_ms = SECOND_MS * ceil_div(within_ms, BUCKETS_MAX * SECOND_MS).max(1);
            let steps = ceil_div(within_ms, unit_ms).max(1);
            let decides = Decides::Count;
            let (start, kept) = (None, distinct.map_or(0, |distinct| distinct.min));
            Window { unit_ms, step: 1, steps, count, distinct, kept, sustained: false, decides, start }
        };
        match *kind {
            // s - resolve_after < bucket(e) <= s: the window of that length, in buckets of 1 s whatever its length
            Kind::Any { resolve_after_ms } => {
                let steps = ceil_div(resolve_after_ms, SECOND_MS).max(1);
                Some(Window { unit_ms: SECOND_MS, steps, ..window(1, resolve_after_ms, None) })
            }
            Kind::Frequency { count, within_ms, distinct } => Some(window(count, within_ms, distinct)),
            Kind::Sustained { count, every_ms, within_ms, distinct } => Some(Window {
                unit_ms: SECOND_MS,
                step: (every_ms / SECOND_MS).max(1),
                steps: (within_ms / every_ms.max(1)).max(1),
                sustained: true,
                ..window(count, within_ms, distinct)
            }),
            Kind::Cardinality { field, within_ms, min, max } => {
                // One more than `max` is enough to know that it is exceeded.
                let kept = min.unwrap_or(1).max(max.map_or(1, |max| max + 1));
                let distinct = Distinct { field, min: kept, per_step: false };
                let decides = Decides::Cardinality { min, max };
                Some(Window { decides, ..window(1, within_ms, Some(distinct)) })
            }
            Kind::Ratio { within_ms, bounds, min_total, confidence, .. } => {
                let decides = Decides::Ratio(RatioRule::new(bounds, min_total, confidence));
                Some(Window { decides, ..window(min_total, within_ms, None) })
            }
            Kind::Aggregate { aggregate, within_ms, bounds, min_total, .. } => {
                let decides = Decides::Aggregate(AggregateRule { aggregate, bounds, min_total });
                Some(Window { decides, ..window(min_total, within_ms, None) })
            }
            Kind::Spike { spike, within_ms } => {
                let unit_ms = spike_unit_ms(within_ms);
                let steps = ceil_div(within_ms, unit_ms).max(1);
                let decides = Decides::Spike(SpikeRule::new(spike, unit_ms, steps));
                Some(Window { unit_ms, steps, decides, ..window(1, within_ms, None) })
            }
            Kind::Flatline { count, within_ms, ref expect, .. } => {
                let forget_after_ms = match *expect {
                    Expect::Keys(_) => None,
                    Expect::Seen { forget_after_ms } => Some(forget_after_ms),
                };
                let decides = Decides::Flatline(FlatlineRule { forget_after_ms });
                Some(Window { decides, ..window(count, within_ms, None) })
            }
            Kind::Consecutive { .. } | Kind::Things(_) | Kind::Composite(_) => None,
        }
    }

    /// Oldest bucket that the verdict of bucket `s` looks at.
    pub(super) fn oldest(&self, s: i64) -> i64 {
        match self.decides {
            Decides::Spike(rule) => s - rule.reach(),
            _ if self.sustained => (s.div_euclid(self.step) - self.steps) * self.step,
            _ => s - self.steps + 1,
        }
    }

    /// Whether all that the verdict of bucket `s` looks at is known.
    fn is_covered(&self, s: i64) -> bool {
        self.start.is_some_and(|start| self.oldest(s).saturating_mul(self.unit_ms) >= start)
    }

    /// The first bucket whose verdict looks at nothing before history start.
    pub(super) fn first_covered(&self) -> Option<i64> {
        let start = self.start?;
        Some(ceil_div(start, self.unit_ms) - self.oldest(0))
    }

    /// The last bucket that the verdict of bucket `s` looks at is this one or later: `sustained` may be active by the
    /// step before.
    pub(super) fn end_at_least(&self, s: i64) -> i64 {
        if self.sustained { s.div_euclid(self.step) * self.step - 1 } else { s }
    }

    /// First bucket whose verdict no longer looks at `bucket`.
    fn expiry(&self, bucket: i64) -> i64 {
        if self.sustained {
            (bucket.div_euclid(self.step) + self.steps + 1) * self.step
        } else {
            bucket + self.steps
        }
    }

    /// Whether a match in this bucket is too old for every verdict from bucket `s` on.
    pub(super) fn is_past(&self, bucket: i64, s: i64) -> bool {
        let is_remembered = match self.decides {
            Decides::Flatline(rule) => {
                rule.forget_after_ms.is_some() && s < rule.forgets(bucket, self.unit_ms)
            }
            _ => false,
        };
        bucket < self.oldest(s) && !is_remembered
    }

    /// Counts a match.
    pub(super) fn add(
        &self,
        tally: &mut Tally,
        bucket: i64,
        seen: &Sighting<'_>,
        near: i64,
        values: &mut Values,
    ) {
        if let Decides::Flatline(rule) = &self.decides
            && bucket < self.oldest(near)
        {
            if rule.forget_after_ms.is_some() {
                tally.expire(bucket);
            }
            return;
        }
        tally.counts.add(bucket, near);
        tally.held = tally.held.saturating_add(1);
        if let (Some(_), Some(text)) = (&self.distinct, seen.distinct) {
            let extra = tally.extra.get_or_insert_with(|| Box::new(Extra::Values(Occurrences::default())));
            if let Extra::Values(held) = &mut **extra {
                held.add(text, bucket, cap(self.kept), values);
            }
        }
        let summed = match self.decides {
            Decides::Aggregate(rule) => Some(rule.aggregate),
            Decides::Spike(_) => Some(Aggregate::Sum),
            _ => None,
        };
        if let (Some(aggregate), Some(number)) = (summed, seen.number) {
            let extra = tally.extra.get_or_insert_with(|| Box::new(Extra::Numbers(Numbers::default())));
            if let Extra::Numbers(held) = &mut **extra {
                held.add(aggregate, bucket, number);
            }
        }
        if seen.part {
            let extra = tally.extra.get_or_insert_with(|| Box::new(Extra::Part(Counts::default())));
            if let Extra::Part(part) = &mut **extra {
                part.add(bucket, near);
            }
        }
    }

    /// Bucket `s` is settled: forgets what neither it nor a later one needs (what leaves the window after `s` is
    /// still needed to know when it leaves).
    pub(super) fn settle(&self, tally: &mut Tally, s: i64, values: &mut Values) {
        let oldest = self.oldest(s);
        if let Decides::Flatline(FlatlineRule { forget_after_ms: Some(_) }) = self.decides
            && let Some((last, _)) = tally.counts.iter(s).take_while(|&(bucket, _)| bucket < oldest).last()
        {
            tally.expire(last);
        }
        tally.held = u32::try_from(tally.counts.settle(oldest, s, self.step, s)).unwrap_or(u32::MAX);
        match (tally.extra.as_deref_mut(), &self.distinct) {
            (Some(Extra::Values(held)), Some(_)) => {
                let keep = if self.sustained { Keep::Steps(self.step) } else { Keep::Newest };
                held.settle(oldest, s, keep, cap(self.kept), values);
            }
            (Some(Extra::Part(part)), _) => {
                part.settle(oldest, s, self.step, s);
            }
            (Some(Extra::Numbers(held)), _) => held.settle(oldest),
            _ => {}
        }
    }

    /// Whether there can be activity at all: cheap, never wrongly false.
    pub(super) fn may_be_active(&self, tally: &Tally) -> bool {
        if let Decides::Flatline(_) = self.decides {
            return true;
        }
        let needed = if self.sustained { self.count.saturating_mul(self.steps as u64) } else { self.count };
        if let Decides::Cardinality { min: Some(min), max: None } = self.decides {
            return tally.values().is_some_and(|held| held.len() as u64 >= min);
        }
        tally.held == u32::MAX || u64::from(tally.held) >= needed
    }

    /// The verdict of bucket `s`.
    pub(super) fn is_active(&self, tally: &Tally, s: i64, near: i64) -> bool {
        self.may_be_active(tally) && self.active_end(tally, s, near).is_some()
    }

    /// The last step of the window by which bucket `s` is active: of `sustained` the step of `s` or the one before.
    pub(super) fn active_end(&self, tally: &Tally, s: i64, near: i64) -> Option<i64> {
        let end = s.div_euclid(self.step);
        let ends = if self.sustained { [Some(end), Some(end - 1)] } else { [Some(end), None] };
        ends.into_iter().flatten().find(|&end| self.holds(tally, end, s, near))
    }

    /// Whether the steps that end with step `end` have enough in buckets at or before `s`.
    fn holds(&self, tally: &Tally, end: i64, s: i64, near: i64) -> bool {
        let first = end - self.steps + 1;
        let (from, to) = (first * self.step, s.min((end + 1) * self.step - 1));
        let mut inside = tally.counts.iter(near).skip_while(|&(b, _)| b < from).take_while(|&(b, _)| b <= to);
        if let Decides::Cardinality { min, max } = self.decides {
            let found = tally.values().map_or(0, |held| held.count(from, to));
            let fits = min.is_some_and(|min| found >= min) || max.is_some_and(|max| found <= max);
            return fits && inside.next().is_some();
        }
        if let Decides::Ratio(rule) = &self.decides {
            let (total, part) = tally.shares(from, to, near);
            return rule.holds(part, total);
        }
        if let Decides::Aggregate(rule) = &self.decides {
            return rule.holds(tally, from, to);
        }
        if let Decides::Flatline(rule) = &self.decides {
            return self.is_covered(s) && rule.holds(self, tally, s, near);
        }
        if let Decides::Spike(rule) = &self.decides {
            return self.is_covered(s) && rule.holds(tally, s, near);
        }
        let enough = if self.sustained {
            self.each_step_has_enough(first, inside)
        } else {
            inside.map(|(_, count)| u64::from(count)).sum::<u64>() >= self.count
        };
        enough && self.distinct.is_none_or(|distinct| self.distinct_holds(tally, distinct, first, from, to))
    }

    fn each_step_has_enough(&self, first: i64, inside: impl Iterator<Item = (i64, u32)>) -> bool {
        let (mut step, mut sum) = (first, 0u64);
        for (bucket, count) in inside {
            let at = bucket.div_euclid(self.step);
            if at != step {
                if sum < self.count || at != step + 1 {
                    return false;
                }
                (step, sum) = (at, 0);
            }
            sum += u64::from(count);
        }
        step == first + self.steps - 1 && sum >= self.count
    }

    fn distinct_holds(&self, tally: &Tally, distinct: Distinct, first: i64, from: i64, to: i64) -> bool {
        let Some(held) = tally.values() else { return distinct.min == 0 };
        if self.sustained && distinct.per_step {
            held.each_step(first, self.steps, self.step, to, distinct.min)
        } else {
            held.count(from, to) >= distinct.min
        }
    }

    /// The part of the rule that is raised early: what more records of the same time can only confirm.
    fn early(&self) -> Option<Window> {
        match self.decides {
            Decides::Count | Decides::Cardinality { min: Some(_), max: None } => Some(*self),
            Decides::Cardinality { min: None, .. } | Decides::Ratio(_) | Decides::Aggregate(_) => None,
            Decides::Spike(_) | Decides::Flatline(_) => None,
            Decides::Cardinality { min, .. } => {
                Some(Window { decides: Decides::Cardinality { min, max: None }, ..*self })
            }
        }
    }

    /// The first bucket at or after `from` that is active by what is known now, if that is to be raised early.
    /// Activity begins only with a match or, by a late match, at `from` itself.
    pub(super) fn first_active(&self, tally: &Tally, from: i64, near: i64) -> Option<i64> {
        let early = self.early().filter(|early| early.may_be_active(tally))?;
        let later = tally.counts.iter(near).map(|(bucket, _)| bucket).filter(|&bucket| bucket > from);
        std::iter::once(from).chain(later).find(|&s| early.is_active(tally, s, near))
    }

    /// Whether bucket `s` is active by what is known now, if that is to be raised early.
    pub(super) fn is_active_early(&self, tally: &Tally, s: i64, near: i64) -> bool {
        self.early().is_some_and(|early| early.is_active(tally, s, near))
    }

    /// Whether activity can also begin because something leaves the window, or end because something comes.
    fn is_two_sided(&self) -> bool {
        matches!(
            self.decides,
            Decides::Cardinality { max: Some(_), .. } | Decides::Ratio(_) | Decides::Aggregate(_)
        )
    }

    /// The next bucket at which the verdict may change after bucket `s` was settled, or at which nothing is left;
    /// `None` if nothing is left already.
    pub(super) fn next_due(&self, tally: &Tally, s: i64, active: bool) -> Option<i64> {
        if let Decides::Flatline(rule) = &self.decides {
            return rule.next_change(self, tally, s);
        }
        if let Decides::Spike(rule) = &self.decides {
            let change = rule.next_change(tally, s)?;
            return Some(self.first_covered().filter(|&first| first > s).map_or(change, |f| f.min(change)));
        }
        let touched = tally.counts.next_after(s, s);
        let change = if self.is_two_sided() {
            tally.counts.first(s).map(|oldest| self.expiry(oldest))
        } else if !active {
            tally.counts.last(s).map(|newest| self.expiry(newest))
        } else if self.sustained {
            Some((s.div_euclid(self.step) + 1) * self.step)
        } else {
            tally.counts.first(s).map(|oldest| self.expiry(oldest))
        };
        touched.into_iter().chain(change).min()
    }
}

impl Tally {
    pub(super) fn write(&self, near: i64, out: &mut Out<'_>) {
        self.counts.write(near, out);
        match self.extra.as_deref() {
            None => out.byte(0),
            Some(Extra::Values(held)) => {
                out.byte(1);
                held.write(near, out);
            }
            Some(Extra::Part(part)) => {
                out.byte(2);
                part.write(near, out);
            }
            Some(Extra::Numbers(held)) => {
                out.byte(3);
                held.write(near, out);
            }
            Some(Extra::Last(bucket)) => {
                out.byte(4);
                out.signed(*bucket);
            }
        }
    }

    pub(super) fn read(near: i64, values: &mut Values, read: &mut In<'_>) -> Read<Self> {
        let counts = Counts::read(near, read)?;
        let extra = match read.byte()? {
            0 => None,
            1 => Some(Extra::Values(Occurrences::read(near, values, read)?)),
            2 => Some(Extra::Part(Counts::read(near, read)?)),
            3 => Some(Extra::Numbers(Numbers::read(near, read)?)),
            4 => {
                let bucket = read.instant()?;
                Some(Extra::Last(bucket))
            }
            _ => return read.damage("what a key remembers besides"),
        };
        let held = u32::try_from(counts.held()).unwrap_or(u32::MAX);
        Ok(Self { counts, extra: extra.map(Box::new), held })
    }
}
