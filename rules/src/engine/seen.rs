//! Which journal positions were taken already: a repeated entry is not counted twice.
//!
//! Journals are dense and in order, so the set is one range nearly always. Refuses to know: what the entries hold.

use record::Lsn;

use crate::codec::{In, Out, Read};

/// Gaps remembered; beyond it the oldest gap counts as seen.
const RANGES_MAX: usize = 1024;

/// A set of positions as ranges, ascending.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    ranges: Vec<(Lsn, Lsn)>,
}

impl Seen {
    /// Adds a position; false if it was there. 0 means that none was assigned, and is always new.
    pub(super) fn insert(&mut self, lsn: Lsn) -> bool {
        if lsn == 0 {
            return true;
        }
        match self.ranges.last_mut() {
            Some((_, high)) if lsn == *high + 1 => *high = lsn,
            Some((_, high)) if lsn <= *high => return self.insert_inside(lsn),
            _ => {
                self.ranges.push((lsn, lsn));
                self.bound();
            }
        }
        true
    }

    /// The highest position taken; 0 before the first.
    pub(super) fn highest(&self) -> Lsn {
        self.ranges.last().map_or(0, |&(_, high)| high)
    }

    /// Whether all of these positions were taken, in one look.
    pub(super) fn holds(&self, from: Lsn, to: Lsn) -> bool {
        let at = self.ranges.partition_point(|&(_, high)| high < to);
        from > 0 && from <= to && self.ranges.get(at).is_some_and(|&(low, _)| low <= from)
    }

    fn insert_inside(&mut self, lsn: Lsn) -> bool {
        let at = self.ranges.partition_point(|&(_, high)| high < lsn);
        if self.ranges[at].0 <= lsn {
            return false;
        }
        let joins_next = self.ranges[at].0 == lsn + 1;
        let joins_last = at > 0 && self.ranges[at - 1].1 + 1 == lsn;
        match (joins_last, joins_next) {
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = lsn,
            (false, true) => self.ranges[at].0 = lsn,
            (false, false) => {
                self.ranges.insert(at, (lsn, lsn));
                self.bound();
            }
        }
        true
    }

    fn bound(&mut self) {
        if self.ranges.len() > RANGES_MAX {
            self.ranges[1].0 = self.ranges[0].0;
            self.ranges.remove(0);
        }
    }
}

impl Seen {
    pub(super) fn write(&self, out: &mut Out<'_>) {
        out.len(self.ranges.len());
        let mut last = 0;
        for &(low, high) in &self.ranges {
            out.number(low - last);
            out.number(high - low);
            last = high;
        }
    }

    pub(super) fn read(read: &mut In<'_>) -> Read<Self> {
        let len = read.len(2)?;
        read.check(len <= RANGES_MAX, "fewer gaps")?;
        let (mut ranges, mut last): (Vec<(Lsn, Lsn)>, Lsn) = (Vec::new(), 0);
        for _ in 0..len {
            // Ranges that touch would be one: there is a gap before each.
            let (gap, more) = (read.counter()?, read.counter()?);
            let range = last.checked_add(gap).and_then(|low| low.checked_add(more).map(|high| (low, high)));
            match range {
                Some((low, high)) if low > last + u64::from(last > 0) && high <= u64::MAX / 2 => {
                    ranges.push((low, high));
                    last = high;
                }
                _ => return read.damage("ranges of positions in order"),
            }
        }
        Ok(Self { ranges })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn like_a_set(lsns in proptest::collection::vec(1u64..200, 0..300)) {
            let (mut seen, mut set) = (Seen::default(), BTreeSet::new());
            for lsn in lsns {
                prop_assert_eq!(seen.insert(lsn), set.insert(lsn));
            }
        }
    }

    #[test]
    fn bounded() {
        let mut seen = Seen::default();
        for i in 1..10_000u64 {
            assert!(seen.insert(i * 2));
        }
        assert!(seen.ranges.len() <= RANGES_MAX);
        assert!(!seen.insert(3), "the oldest gaps count as seen");
        assert!(seen.insert(19_997));
    }
}
