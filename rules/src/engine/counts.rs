//! Matches per bucket of one key, as small as they can be: two buckets in place, more on the heap.
//!
//! A bucket number is kept as its low 32 bits and read back relative to a bucket near it (the rule's first unsettled
//! one): all buckets held lie within a window of it. Refuses to know: thresholds, time.

use crate::codec::{In, Out, Read};

/// Restores a bucket number from its low 32 bits; `near` is within 2^31 of it.
pub(super) fn widen(low: u32, near: i64) -> i64 {
    near + i64::from(low.wrapping_sub(near as u32) as i32)
}

/// Counts by bucket, ascending, none of them 0.
#[derive(Debug, Clone)]
pub(super) enum Counts {
    /// At most two buckets.
    Few(u8, [(u32, u32); 2]),
    /// More.
    #[expect(clippy::box_collection, reason = "keeps a key of few buckets at 24 bytes; most keys have few")]
    Many(Box<Vec<(u32, u32)>>),
}

impl Default for Counts {
    fn default() -> Self {
        Counts::Few(0, [(0, 0); 2])
    }
}

impl Counts {
    fn raw(&self) -> &[(u32, u32)] {
        match self {
            Counts::Few(len, items) => &items[..usize::from(*len)],
            Counts::Many(items) => items,
        }
    }

    /// Buckets with their counts, oldest first.
    pub(super) fn iter(&self, near: i64) -> impl DoubleEndedIterator<Item = (i64, u32)> + '_ {
        self.raw().iter().map(move |&(low, count)| (widen(low, near), count))
    }

    /// Oldest bucket.
    pub(super) fn first(&self, near: i64) -> Option<i64> {
        self.raw().first().map(|&(low, _)| widen(low, near))
    }

    /// Newest bucket.
    pub(super) fn last(&self, near: i64) -> Option<i64> {
        self.raw().last().map(|&(low, _)| widen(low, near))
    }

    /// Matches in buckets `from..=to`.
    pub(super) fn sum(&self, from: i64, to: i64, near: i64) -> u64 {
        let first = self.raw().partition_point(|&(low, _)| widen(low, near) < from);
        let inside = self.raw()[first..].iter().take_while(|&&(low, _)| widen(low, near) <= to);
        inside.map(|&(_, count)| u64::from(count)).sum()
    }

    /// First bucket after `bucket`.
    pub(super) fn next_after(&self, bucket: i64, near: i64) -> Option<i64> {
        let after = self.raw().partition_point(|&(low, _)| widen(low, near) <= bucket);
        self.raw().get(after).map(|&(low, _)| widen(low, near))
    }

    /// Counts one match.
    pub(super) fn add(&mut self, bucket: i64, near: i64) {
        let at = self.raw().partition_point(|&(low, _)| widen(low, near) < bucket);
        let low = bucket as u32;
        if self.raw().get(at).is_some_and(|&(held, _)| held == low) {
            let item = match self {
                Counts::Few(_, items) => &mut items[at],
                Counts::Many(items) => &mut items[at],
            };
            item.1 = item.1.saturating_add(1);
            return;
        }
        match self {
            Counts::Few(len @ 0..=1, items) => {
                items.copy_within(at..usize::from(*len), at + 1);
                items[at] = (low, 1);
                *len += 1;
            }
            Counts::Few(_, items) => {
                let mut many = Vec::with_capacity(6);
                many.extend_from_slice(items);
                many.insert(at, (low, 1));
                *self = Counts::Many(Box::new(many));
            }
            Counts::Many(items) => items.insert(at, (low, 1)),
        }
    }

    /// Forgets buckets before `oldest` and joins those at or before `settled` into the first bucket of their step
    /// (`step` buckets, aligned to 0). Returns the matches still held.
    pub(super) fn settle(&mut self, oldest: i64, settled: i64, step: i64, near: i64) -> u64 {
        if step > 1 || self.first(near).is_some_and(|first| first < oldest) {
            let mut kept: Vec<(u32, u32)> = Vec::new();
            let raw = self.raw();
            let mut held = raw.iter().map(|&(low, count)| (widen(low, near), count));
            let expired = held.by_ref().take_while(|&(bucket, _)| bucket < oldest).count();
            if step == 1 {
                return self.drop_front(expired);
            }
            for &(low, count) in &raw[expired..] {
                let bucket = widen(low, near);
                let joined = if bucket <= settled { bucket.div_euclid(step) * step } else { bucket };
                match kept.last_mut() {
                    Some((last, sum)) if *last == joined as u32 => *sum = sum.saturating_add(count),
                    _ => kept.push((joined as u32, count)),
                }
            }
            *self = Counts::of(kept);
        }
        self.held()
    }

    fn drop_front(&mut self, expired: usize) -> u64 {
        match self {
            Counts::Few(len, items) => {
                items.copy_within(expired..usize::from(*len), 0);
                *len -= u8::try_from(expired).expect("no more expire than there are, which is a u8");
            }
            Counts::Many(items) if items.len() == expired => *self = Counts::default(),
            Counts::Many(items) => drop(items.drain(..expired)),
        }
        self.held()
    }

    /// Matches in all buckets.
    pub(super) fn held(&self) -> u64 {
        self.raw().iter().map(|&(_, count)| u64::from(count)).sum()
    }
}

impl Counts {
    fn of(items: Vec<(u32, u32)>) -> Self {
        match *items {
            [] => Counts::default(),
            [one] => Counts::Few(1, [one, (0, 0)]),
            [one, two] => Counts::Few(2, [one, two]),
            _ => Counts::Many(Box::new(items)),
        }
    }

    pub(super) fn write(&self, near: i64, out: &mut Out<'_>) {
        out.len(self.raw().len());
        let mut last = near;
        for (bucket, count) in self.iter(near) {
            out.signed(bucket - last);
            out.number(u64::from(count));
            last = bucket;
        }
    }

    pub(super) fn read(near: i64, read: &mut In<'_>) -> Read<Self> {
        let len = read.len(2)?;
        let (mut items, mut last): (Vec<(u32, u32)>, i64) = (Vec::with_capacity(len), near);
        for i in 0..len {
            let step = read.signed()?;
            read.check(i == 0 || step > 0, "buckets in order")?;
            last = last.saturating_add(step);
            read.check((last - near).unsigned_abs() < 1 << 31, "a bucket near the others")?;
            let count = read.number_u32()?;
            read.check(count > 0, "a count")?;
            items.push((last as u32, count));
        }
        Ok(Self::of(items))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn like_a_map(
            origin in -5_000_000_000i64..5_000_000_000,
            steps in proptest::collection::vec((0i64..40, any::<bool>()), 0..80),
            step in 1i64..4,
        ) {
            let (mut counts, mut model) = (Counts::default(), BTreeMap::<i64, u32>::new());
            let mut oldest = origin;
            for (offset, settle) in steps {
                let bucket = oldest + offset;
                if settle {
                    oldest += offset / 8;
                    let settled = oldest + 5;
                    let mut joined = BTreeMap::new();
                    for (&b, &n) in model.iter().filter(|&(&b, _)| b >= oldest) {
                        let to = if b <= settled { b.div_euclid(step) * step } else { b };
                        *joined.entry(to).or_default() += n;
                    }
                    model = joined;
                    let held = counts.settle(oldest, settled, step, origin);
                    prop_assert_eq!(held, model.values().map(|&n| u64::from(n)).sum::<u64>());
                } else {
                    counts.add(bucket, origin);
                    *model.entry(bucket).or_default() += 1;
                }
                let got: Vec<_> = counts.iter(origin).collect();
                prop_assert_eq!(&got, &model.iter().map(|(&b, &n)| (b, n)).collect::<Vec<_>>());
                let next = model.range(bucket + 1..).next().map(|(&b, _)| b);
                prop_assert_eq!(counts.next_after(bucket, origin), next);
                let sum: u64 = model.range(bucket - 9..=bucket + 3).map(|(_, &n)| u64::from(n)).sum();
                prop_assert_eq!(counts.sum(bucket - 9, bucket + 3, origin), sum);
            }
        }
    }

    #[test]
    fn small() {
        assert_eq!(size_of::<Counts>(), 24);
    }
}
