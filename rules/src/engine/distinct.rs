//! Which values occurred in which buckets, for `distinct`, bounded and still exact for the threshold.
//!
//! A threshold of `min` values cannot need more than `min` of them: of each bucket at most `cap` (at least `min`)
//! are kept, so a bucket that is full satisfies every window that contains it. Refuses to know: counts, time.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::codec::{In, Out, Read};

/// Least number of values kept, so that the numbers shown are exact up to it.
const CAP_MIN: u64 = 1_000;

/// Texts of values, each kept once while it is used.
#[derive(Debug, Default)]
pub(super) struct Values {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    texts: Vec<(Box<[u8]>, u32)>,
    free: Vec<u32>,
}

impl Values {
    fn acquire(&mut self, text: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(text);
        if let Some(&id) = self.table.find(hash, |&id| &*self.texts[id as usize].0 == text) {
            self.texts[id as usize].1 += 1;
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.texts.push((Box::default(), 0));
            u32::try_from(self.texts.len() - 1).expect("fewer than 2^32 values fit into memory")
        });
        self.texts[id as usize] = (text.into(), 1);
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.table.insert_unique(hash, id, |&other| hasher.hash_one(&*texts[other as usize].0));
        id
    }

    fn release(&mut self, id: u32) {
        let (text, uses) = &mut self.texts[id as usize];
        *uses -= 1;
        if *uses == 0 {
            let hash = self.hasher.hash_one(&**text);
            *text = Box::default();
            if let Ok(entry) = self.table.find_entry(hash, |&other| other == id) {
                entry.remove();
            }
            self.free.push(id);
        }
    }

    pub(super) fn text(&self, id: u32) -> &[u8] {
        &self.texts[id as usize].0
    }
}

/// What of settled buckets is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Of each value its newest settled bucket: all windows to come end later.
    Newest,
    /// Of each value the steps (of so many buckets) in which it occurred.
    Steps(i64),
}

/// Values by bucket for one key: sorted by value; buckets of one value in any order, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Occurrences {
    items: Vec<(u32, i64)>,
}

/// How many values are kept for a threshold.
pub(super) fn cap(min: u64) -> usize {
    usize::try_from(min.max(CAP_MIN)).unwrap_or(usize::MAX)
}

impl Occurrences {
    /// A value occurred in a bucket.
    pub(super) fn add(&mut self, text: &[u8], bucket: i64, cap: usize, values: &mut Values) {
        let value = values.acquire(text);
        let at = self.items.partition_point(|&(held, _)| held < value);
        let known =
            self.items[at..].iter().take_while(|&&(held, _)| held == value).any(|&(_, b)| b == bucket);
        let full = self.items.len() >= cap && self.items.iter().filter(|&&(_, b)| b == bucket).count() >= cap;
        if known || full {
            values.release(value);
        } else {
            self.items.insert(at, (value, bucket));
        }
    }

    /// Values with their buckets: as many distinct ones at most.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Distinct values in buckets `from..=to`.
    pub(super) fn count(&self, from: i64, to: i64) -> u64 {
        self.ids(from, to).count() as u64
    }

    /// The values in buckets `from..=to`, each once.
    pub(super) fn ids(&self, from: i64, to: i64) -> impl Iterator<Item = u32> + '_ {
        let mut last = None;
        self.items.iter().filter_map(move |&(value, bucket)| {
            let counts = bucket >= from && bucket <= to && last != Some(value);
            counts.then(|| {
                last = Some(value);
                value
            })
        })
    }

    /// Whether each of `steps` steps of `step` buckets from step number `first` has `min` distinct values in
    /// buckets at or before `to`.
    pub(super) fn each_step(&self, first: i64, steps: i64, step: i64, to: i64, min: u64) -> bool {
        let in_steps = |&(value, bucket): &(u32, i64)| {
            let at = bucket.div_euclid(step) - first;
            ((0..steps).contains(&at) && bucket <= to).then_some((at, value))
        };
        let mut by_step: Vec<(i64, u32)> = self.items.iter().filter_map(in_steps).collect();
        by_step.sort_unstable();
        by_step.dedup();
        let enough = by_step.chunk_by(|a, b| a.0 == b.0).filter(|values| values.len() as u64 >= min).count();
        enough as i64 == steps
    }

    /// Forgets what lies before `oldest` and joins what lies at or before `settled`.
    pub(super) fn settle(&mut self, oldest: i64, settled: i64, keep: Keep, cap: usize, values: &mut Values) {
        if let Keep::Steps(step) = keep {
            for (_, bucket) in self.items.iter_mut().filter(|(_, bucket)| *bucket <= settled) {
                *bucket = bucket.div_euclid(step) * step;
            }
        }
        self.items.sort_unstable();
        let mut kept: Vec<(u32, i64)> = Vec::with_capacity(self.items.len());
        for &(value, bucket) in &self.items {
            let last = kept.last().copied().filter(|&(held, _)| held == value);
            if bucket < oldest || last == Some((value, bucket)) {
                values.release(value);
            } else if keep == Keep::Newest && last.is_some() && bucket <= settled {
                values.release(value);
                kept.pop();
                kept.push((value, bucket));
            } else {
                kept.push((value, bucket));
            }
        }
        self.items = kept;
        if self.items.len() > 2 * cap {
            self.trim(settled, keep, cap, values);
        }
    }

    /// Keeps the bound: of the newest settled buckets as many as make up `cap` values; of each step `cap` values.
    fn trim(&mut self, settled: i64, keep: Keep, cap: usize, values: &mut Values) {
        let mut buckets: Vec<i64> = self.items.iter().map(|&(_, b)| b).filter(|&b| b <= settled).collect();
        buckets.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = match keep {
            Keep::Newest => buckets.get(cap - 1).copied().unwrap_or(i64::MIN),
            Keep::Steps(_) => i64::MIN,
        };
        let mut room: Vec<(i64, usize)> = buckets.chunk_by(|a, b| a == b).map(|run| (run[0], cap)).collect();
        self.items.retain(|&(value, bucket)| {
            let full = match room.binary_search_by(|&(held, _)| bucket.cmp(&held)) {
                Ok(at) if room[at].1 == 0 => true,
                Ok(at) => {
                    room[at].1 -= 1;
                    false
                }
                Err(_) => false,
            };
            let goes = bucket < oldest || full;
            if goes {
                values.release(value);
            }
            !goes
        });
    }

    /// Values with their buckets, in no order that means something.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.items.iter().copied()
    }

    /// Gives all values back.
    pub(super) fn clear(&mut self, values: &mut Values) {
        for (value, _) in self.items.drain(..) {
            values.release(value);
        }
    }
}

impl Values {
    /// The texts with their numbers, and the free numbers in the order of their use. How often a text is used is not
    /// written: [`Values::use_again`] counts it.
    pub(super) fn write(&self, out: &mut Out<'_>) {
        out.len(self.texts.len());
        for (text, uses) in &self.texts {
            out.flag(*uses > 0);
            if *uses > 0 {
                out.blob(text);
            }
        }
        self.free.iter().for_each(|&id| out.number(u64::from(id)));
    }

    pub(super) fn read(read: &mut In<'_>) -> Read<Self> {
        let mut values = Self::default();
        let len = read.len(1)?;
        let mut unused = 0;
        for id in 0..len {
            let used = read.flag()?;
            unused += usize::from(!used);
            let text = if used { read.blob()? } else { &[] };
            values.texts.push((text.into(), 0));
            if used {
                values.file(u32::try_from(id).or_else(|_| read.damage("fewer values"))?, read)?;
            }
        }
        let mut free = vec![false; len];
        for _ in 0..unused {
            let id = read.number_u32()?;
            let is_free = !values.is_filed(id) && free.get(id as usize) == Some(&false);
            read.check(is_free, "the number of a value that is not used")?;
            free[id as usize] = true;
            values.free.push(id);
        }
        Ok(values)
    }

    /// Makes a text known by its number; it must not be known already.
    fn file(&mut self, id: u32, read: &In<'_>) -> Read<()> {
        let text = &*self.texts[id as usize].0;
        let hash = self.hasher.hash_one(text);
        let known = self.table.find(hash, |&other| &*self.texts[other as usize].0 == text).is_some();
        read.check(!known, "each value once")?;
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.table.insert_unique(hash, id, |&other| hasher.hash_one(&*texts[other as usize].0));
        Ok(())
    }

    fn is_filed(&self, id: u32) -> bool {
        let Some((text, _)) = self.texts.get(id as usize) else { return true };
        self.table.find(self.hasher.hash_one(&**text), |&other| other == id).is_some()
    }

    /// A value read back is used: false if there is none.
    fn use_again(&mut self, id: u32) -> bool {
        let is_filed = self.is_filed(id);
        if is_filed && let Some((_, uses)) = self.texts.get_mut(id as usize) {
            *uses += 1;
            return true;
        }
        false
    }

    /// Whether every text is used.
    pub(super) fn all_used(&self) -> bool {
        self.table.iter().all(|&id| self.texts[id as usize].1 > 0)
    }
}

impl Occurrences {
    pub(super) fn write(&self, near: i64, out: &mut Out<'_>) {
        out.len(self.items.len());
        for &(value, bucket) in &self.items {
            out.number(u64::from(value));
            out.signed(bucket - near);
        }
    }

    pub(super) fn read(near: i64, values: &mut Values, read: &mut In<'_>) -> Read<Self> {
        let len = read.len(2)?;
        let mut items: Vec<(u32, i64)> = Vec::with_capacity(len);
        for _ in 0..len {
            let (value, bucket) = (read.number_u32()?, near.saturating_add(read.signed()?));
            read.check((bucket - near).unsigned_abs() < 1 << 31, "a bucket near the others")?;
            let in_order = items.last().is_none_or(|&(last, _)| last <= value);
            read.check(in_order && values.use_again(value), "values in order")?;
            items.push((value, bucket));
        }
        Ok(Self { items })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    type Log = Vec<(i64, u8)>;

    fn distinct(log: &Log, from: i64, to: i64) -> usize {
        log.iter().filter(|&&(b, _)| b >= from && b <= to).map(|&(_, v)| v).collect::<BTreeSet<_>>().len()
    }

    proptest! {
        /// Time goes on bucket by bucket, records come a little out of order; the threshold must be exact though
        /// only `cap` values are kept.
        #[test]
        fn exact_up_to_the_cap(
            records in proptest::collection::vec((0i64..4, -2i64..3, 0u8..9), 0..150),
            cap in 1usize..6,
            width in 1i64..12,
        ) {
            let (mut held, mut values, mut log, mut now) = (Occurrences::default(), Values::default(), Log::new(), 0i64);
            for (pass, offset, value) in records {
                for _ in 0..pass {
                    let expect = distinct(&log, now - width + 1, now).min(cap);
                    prop_assert_eq!((held.count(now - width + 1, now) as usize).min(cap), expect);
                    held.settle(now + 2 - width, now, Keep::Newest, cap, &mut values);
                    now += 1;
                }
                let bucket = now + offset;
                if bucket > now - width {
                    held.add(&[value], bucket, cap, &mut values);
                }
                log.push((bucket, value));
            }
            held.clear(&mut values);
            prop_assert_eq!(values.table.len(), 0);
        }

        #[test]
        fn exact_by_steps(
            records in proptest::collection::vec((0i64..4, -2i64..3, 0u8..9), 0..150),
            cap in 1usize..6,
            step in 1i64..5,
            steps in 1i64..4,
        ) {
            let (mut held, mut values, mut log, mut now) = (Occurrences::default(), Values::default(), Log::new(), 0i64);
            for (pass, offset, value) in records {
                for _ in 0..pass {
                    let j = now.div_euclid(step);
                    for end in [j, j - 1] {
                        let (from, to) = ((end - steps + 1) * step, now.min((end + 1) * step - 1));
                        let expect = distinct(&log, from, to).min(cap);
                        prop_assert_eq!((held.count(from, to) as usize).min(cap), expect);
                        let each = (0..steps).all(|i| {
                            let at = (end - steps + 1 + i) * step;
                            distinct(&log, at, now.min(at + step - 1)) >= cap
                        });
                        prop_assert_eq!(held.each_step(end - steps + 1, steps, step, now, cap as u64), each);
                    }
                    let oldest = ((now + 1).div_euclid(step) - steps) * step;
                    held.settle(oldest, now, Keep::Steps(step), cap, &mut values);
                    now += 1;
                }
                let bucket = now + offset;
                if bucket >= (now.div_euclid(step) - steps) * step {
                    held.add(&[value], bucket, cap, &mut values);
                }
                log.push((bucket, value));
            }
        }
    }
}
