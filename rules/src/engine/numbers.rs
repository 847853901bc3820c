//! `aggregate`: sums, extremes and quantiles of a field's values by bucket, for one key.
//!
//! Sums and extremes are exact. Of a bucket's values up to [`EXACT_MAX`] distinct ones are kept as they are; beyond it
//! all of them in bins less than 0.8 % wide, so a quantile is within 0.4 % of a value that is there. Which of the two
//! depends on the set of values alone, not on their order: adding and merging commute. Refuses to know: thresholds,
//! columns.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use record::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::codec::{In, Out, Read};
use crate::rule::Aggregate;

/// Distinct values of a bucket that are kept as they are.
const EXACT_MAX: usize = 128;
/// Bits of a float below those that make its bin: 7 of the mantissa are left.
const BIN_SHIFT: u32 = 45;
/// Units of a [`Sum`]'s fraction: 28 digits, the most that a decimal has.
const UNITS: i128 = 10_i128.pow(28);
const DIGITS: u32 = 28;

/// An exact sum of decimals: whole part and fraction (0 or more, in units of 1e-28).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Sum {
    whole: i128,
    fraction: i128,
}

impl Sum {
    pub(super) fn of(number: Decimal) -> Self {
        let (whole, fraction) = (number.trunc(), number.fract());
        let scale = 10_i128.pow(DIGITS - fraction.scale());
        Self { whole: whole.mantissa(), fraction: 0 }.and(0, fraction.mantissa() * scale)
    }

    fn and(self, whole: i128, fraction: i128) -> Self {
        let fraction = self.fraction + fraction;
        Self {
            whole: self.whole.saturating_add(whole).saturating_add(fraction.div_euclid(UNITS)),
            fraction: fraction.rem_euclid(UNITS),
        }
    }

    pub(super) fn plus(self, other: Sum) -> Self {
        self.and(other.whole, other.fraction)
    }

    /// So many times. `times` is below 2^32.
    pub(super) fn times(self, times: u32) -> Self {
        let whole = self.whole.saturating_mul(i128::from(times));
        Self { whole, fraction: 0 }.and(0, self.fraction * i128::from(times))
    }

    /// As decimal text without trailing zeros.
    pub(super) fn show(self) -> String {
        let is_negative = self.whole < 0;
        let (whole, fraction) = if is_negative && self.fraction > 0 {
            (self.whole + 1, UNITS - self.fraction)
        } else {
            (self.whole, self.fraction)
        };
        let sign = if is_negative { "-" } else { "" };
        let text = format!("{sign}{}.{fraction:028}", whole.unsigned_abs());
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// What is kept of the values of one bucket.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Sum(Sum),
    Extreme(Decimal),
    /// Values with how often they came.
    Exact(BTreeMap<Decimal, u32>),
    /// The same by bin.
    Bins(BTreeMap<i64, u32>),
}

/// Values by bucket: bucket, how many, what of them; ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Numbers {
    cells: Vec<(i64, u32, Cell)>,
}

/// The number that is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Measured {
    /// A sum, or an average as the sum of so many.
    Sum(Sum, u32),
    Value(Decimal),
}

impl Measured {
    /// How it stands to a bound.
    pub(super) fn cmp(&self, bound: Decimal) -> std::cmp::Ordering {
        match *self {
            Measured::Sum(sum, n) => sum.cmp(&Sum::of(bound).times(n)),
            Measured::Value(value) => value.cmp(&bound),
        }
    }

    /// As decimal text; an average to 6 digits.
    pub(super) fn show(&self) -> String {
        match *self {
            Measured::Sum(sum, 1) => sum.show(),
            Measured::Sum(sum, n) => match Decimal::from_str_exact(&sum.show()) {
                Ok(sum) => (sum / Decimal::from(n)).round_dp(6).normalize().to_string(),
                Err(_) => format!("{}/{n}", sum.show()),
            },
            Measured::Value(value) => value.normalize().to_string(),
        }
    }
}

/// The bin of a value: greater values have greater bins.
fn bin(value: Decimal) -> i64 {
    let size = (value.abs().to_f64().unwrap_or_default().to_bits() >> BIN_SHIFT) as i64;
    if value.is_sign_negative() { -size } else { size }
}

/// The middle of a bin.
fn middle(bin: i64) -> Decimal {
    if bin == 0 {
        return Decimal::ZERO;
    }
    let size = f64::from_bits(bin.unsigned_abs() << BIN_SHIFT | 1 << (BIN_SHIFT - 1));
    let size = Decimal::try_from(size).unwrap_or(Decimal::MAX);
    if bin < 0 { -size } else { size }
}

impl Cell {
    fn of(aggregate: Aggregate, value: Decimal) -> Self {
        match aggregate {
            Aggregate::Sum | Aggregate::Average => Cell::Sum(Sum::of(value)),
            Aggregate::Least | Aggregate::Greatest => Cell::Extreme(value),
            Aggregate::Quantile(_) => Cell::Exact(BTreeMap::from([(value.normalize(), 1)])),
        }
    }

    fn add(&mut self, aggregate: Aggregate, value: Decimal) {
        match self {
            Cell::Sum(sum) => *sum = sum.plus(Sum::of(value)),
            Cell::Extreme(held) if aggregate == Aggregate::Least => *held = (*held).min(value),
            Cell::Extreme(held) => *held = (*held).max(value),
            Cell::Bins(bins) => one_more(bins.entry(bin(value)).or_default()),
            Cell::Exact(values) => {
                one_more(values.entry(value.normalize()).or_default());
                if values.len() > EXACT_MAX {
                    let mut bins = BTreeMap::<i64, u32>::new();
                    for (value, count) in values {
                        let held = bins.entry(bin(*value)).or_default();
                        *held = held.saturating_add(*count);
                    }
                    *self = Cell::Bins(bins);
                }
            }
        }
    }
}

/// Nearest rank, from 1.
pub(super) fn rank(len: u32, percent: u8) -> u64 {
    (u64::from(len) * u64::from(percent)).div_ceil(100)
}

fn sum<'a, K: 'a>(counted: impl Iterator<Item = (&'a K, &'a u32)>) -> u64 {
    counted.map(|(_, n)| u64::from(*n)).sum()
}

fn one_more(count: &mut u32) {
    *count = count.saturating_add(1);
}

impl Numbers {
    pub(super) fn add(&mut self, aggregate: Aggregate, bucket: i64, value: Decimal) {
        let at = self.cells.partition_point(|(held, ..)| *held < bucket);
        match self.cells.get_mut(at) {
            Some((held, n, cell)) if *held == bucket => {
                one_more(n);
                cell.add(aggregate, value);
            }
            _ => self.cells.insert(at, (bucket, 1, Cell::of(aggregate, value))),
        }
    }

    /// Forgets buckets before `oldest`.
    pub(super) fn settle(&mut self, oldest: i64) {
        let expired = self.cells.partition_point(|(bucket, ..)| *bucket < oldest);
        self.cells.drain(..expired);
    }

    /// How many values there are in buckets `from..=to`.
    pub(super) fn len(&self, from: i64, to: i64) -> u32 {
        self.inside(from, to).fold(0, |sum, (_, n, _)| sum.saturating_add(*n))
    }

    fn inside(&self, from: i64, to: i64) -> impl Iterator<Item = &(i64, u32, Cell)> {
        let first = self.cells.partition_point(|(bucket, ..)| *bucket < from);
        self.cells[first..].iter().take_while(move |(bucket, ..)| *bucket <= to)
    }

    /// Whether at least `enough` values in buckets `from..=to` stand so (greater or less) to a bound. Of a quantile's
    /// values; nothing is sorted for it.
    pub(super) fn has(&self, enough: u64, order: Ordering, bound: Decimal, from: i64, to: i64) -> bool {
        let mut found = 0;
        self.inside(from, to).any(|(.., cell)| {
            found += match cell {
                Cell::Exact(values) => match order {
                    Ordering::Greater => sum(values.range((Bound::Excluded(bound), Bound::Unbounded))),
                    _ => sum(values.range(..bound)),
                },
                Cell::Bins(bins) => {
                    let edge = bin(bound);
                    let at_edge = bins.get(&edge).filter(|_| middle(edge).cmp(&bound) == order);
                    let beyond = match order {
                        Ordering::Greater => sum(bins.range(edge + 1..)),
                        _ => sum(bins.range(..edge)),
                    };
                    beyond + at_edge.map_or(0, |n| u64::from(*n))
                }
                Cell::Sum(_) | Cell::Extreme(_) => 0,
            };
            found >= enough
        })
    }

    /// The aggregate of the values in buckets `from..=to`; `None` of none.
    pub(super) fn measure(&self, aggregate: Aggregate, from: i64, to: i64) -> Option<Measured> {
        let len = self.len(from, to);
        if len == 0 {
            return None;
        }
        let cells = self.inside(from, to).map(|(.., cell)| cell);
        let sum = |cell: &Cell| if let Cell::Sum(sum) = cell { *sum } else { Sum::default() };
        let extreme = |cell: &Cell| if let Cell::Extreme(value) = cell { Some(*value) } else { None };
        match aggregate {
            Aggregate::Sum => Some(Measured::Sum(cells.map(sum).fold(Sum::default(), Sum::plus), 1)),
            Aggregate::Average => Some(Measured::Sum(cells.map(sum).fold(Sum::default(), Sum::plus), len)),
            Aggregate::Least => cells.filter_map(extreme).min().map(Measured::Value),
            Aggregate::Greatest => cells.filter_map(extreme).max().map(Measured::Value),
            Aggregate::Quantile(percent) => {
                let mut values: Vec<(Decimal, u32)> = Vec::new();
                for cell in cells {
                    match cell {
                        Cell::Exact(held) => values.extend(held.iter().map(|(value, n)| (*value, *n))),
                        Cell::Bins(held) => values.extend(held.iter().map(|(bin, n)| (middle(*bin), *n))),
                        Cell::Sum(_) | Cell::Extreme(_) => {}
                    }
                }
                values.sort_unstable();
                let rank = rank(len, percent);
                let mut before = 0;
                let found = values.iter().find(|(_, n)| {
                    before += u64::from(*n);
                    before >= rank
                });
                found.or(values.last()).map(|(value, _)| Measured::Value(*value))
            }
        }
    }

    /// Numbers that stand for all of it.
    pub(super) fn hash_numbers(&self) -> impl Iterator<Item = i64> + '_ {
        self.cells.iter().flat_map(|(bucket, n, cell)| {
            let mut all = vec![*bucket, i64::from(*n)];
            let mut wide = |number: i128| all.extend([number as i64, (number >> 64) as i64]);
            match cell {
                Cell::Sum(sum) => [sum.whole, sum.fraction].into_iter().for_each(wide),
                Cell::Extreme(value) => wide(value.normalize().mantissa()),
                Cell::Exact(values) => {
                    values.iter().for_each(|(value, n)| wide(value.mantissa() ^ i128::from(*n)));
                }
                Cell::Bins(bins) => bins.iter().for_each(|(bin, n)| all.extend([*bin, i64::from(*n)])),
            }
            all
        })
    }
}

fn write_decimal(value: Decimal, out: &mut Out<'_>) {
    out.bytes.extend_from_slice(&value.serialize());
}

fn read_decimal(read: &mut In<'_>) -> Read<Decimal> {
    let bytes: [u8; 16] = read.array()?;
    // The flags hold the scale; a greater one than a decimal has is refused.
    read.check(
        bytes[0] == 0 && bytes[1] == 0 && u32::from(bytes[2]) <= DIGITS && bytes[3] & 0x7f == 0,
        "a decimal",
    )?;
    Ok(Decimal::deserialize(bytes))
}

impl Numbers {
    pub(super) fn write(&self, near: i64, out: &mut Out<'_>) {
        out.len(self.cells.len());
        for (bucket, n, cell) in &self.cells {
            out.signed(bucket - near);
            out.number(u64::from(*n));
            match cell {
                Cell::Sum(sum) => {
                    out.byte(0);
                    out.bytes.extend_from_slice(&sum.whole.to_le_bytes());
                    out.bytes.extend_from_slice(&sum.fraction.to_le_bytes());
                }
                Cell::Extreme(value) => {
                    out.byte(1);
                    write_decimal(*value, out);
                }
                Cell::Exact(values) => {
                    out.byte(2);
                    out.len(values.len());
                    for (value, n) in values {
                        write_decimal(*value, out);
                        out.number(u64::from(*n));
                    }
                }
                Cell::Bins(bins) => {
                    out.byte(3);
                    out.len(bins.len());
                    for (bin, n) in bins {
                        out.signed(*bin);
                        out.number(u64::from(*n));
                    }
                }
            }
        }
    }

    pub(super) fn read(near: i64, read: &mut In<'_>) -> Read<Self> {
        let len = read.len(3)?;
        let mut cells: Vec<(i64, u32, Cell)> = Vec::new();
        for _ in 0..len {
            let bucket = near.saturating_add(read.signed()?);
            read.check((bucket - near).unsigned_abs() < 1 << 31, "a bucket near the others")?;
            read.check(cells.last().is_none_or(|(last, ..)| *last < bucket), "buckets in order")?;
            cells.push((bucket, read.number_u32()?, Self::read_cell(read)?));
        }
        Ok(Self { cells })
    }

    fn read_cell(read: &mut In<'_>) -> Read<Cell> {
        Ok(match read.byte()? {
            0 => {
                let (whole, fraction) =
                    (i128::from_le_bytes(read.array()?), i128::from_le_bytes(read.array()?));
                read.check((0..UNITS).contains(&fraction), "the fraction of a sum")?;
                Cell::Sum(Sum { whole, fraction })
            }
            1 => Cell::Extreme(read_decimal(read)?),
            2 => {
                let values =
                    (0..read.len(17)?).map(|_| Ok((read_decimal(read)?.normalize(), read.number_u32()?)));
                Cell::Exact(values.collect::<Read<_>>()?)
            }
            3 => {
                let bins = (0..read.len(2)?).map(|_| Ok((read.signed()?, read.number_u32()?)));
                let bins: BTreeMap<i64, u32> = bins.collect::<Read<_>>()?;
                let fits = bins.keys().all(|bin| bin.unsigned_abs() < 1 << (63 - BIN_SHIFT));
                read.check(fits, "a bin")?;
                Cell::Bins(bins)
            }
            _ => return read.damage("values of a bucket"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_are_exact(values in proptest::collection::vec((-10_000_000_000i64..10_000_000_000, 0u32..6), 1..50)) {
            let exact: i128 = values.iter().map(|&(v, scale)| i128::from(v) * 10i128.pow(6 - scale)).sum();
            let sum = values.iter().fold(Sum::default(), |sum, &(v, scale)| sum.plus(Sum::of(Decimal::new(v, scale))));
            let expect = Decimal::from_i128_with_scale(exact, 6).normalize();
            prop_assert_eq!(sum.show(), expect.to_string());
            prop_assert_eq!(sum, Sum::of(expect));
        }

        #[test]
        fn quantiles_are_within_one_percent_whatever_the_order(
            mut values in proptest::collection::vec((-1_000_000_000i64..1_000_000_000, 0u32..8), 1..600),
            percent in prop_oneof![Just(50u8), Just(90), Just(95), Just(99)],
        ) {
            let fill = |values: &[(i64, u32)]| {
                let mut numbers = Numbers::default();
                for &(v, scale) in values {
                    numbers.add(Aggregate::Quantile(percent), v.rem_euclid(2), Decimal::new(v, scale));
                }
                numbers
            };
            let numbers = fill(&values);
            let got = numbers.measure(Aggregate::Quantile(percent), 0, 1).unwrap();
            let mut sorted: Vec<Decimal> = values.iter().map(|&(v, scale)| Decimal::new(v, scale)).collect();
            sorted.sort_unstable();
            let rank = (sorted.len() * usize::from(percent)).div_ceil(100);
            let expect = sorted[rank - 1];
            let Measured::Value(got) = got else { panic!("{got:?}") };
            prop_assert!((got - expect).abs() <= expect.abs() * Decimal::new(1, 2), "{got} for {expect}");
            // What is asked of a bound is what comparing the quantile says.
            let (len, rank) = (values.len() as u32, rank as u64);
            for bound in [got, expect, sorted[0], sorted[sorted.len() / 2], got + Decimal::ONE, got - Decimal::new(1, 9)] {
                let above = numbers.has(u64::from(len) - rank + 1, Ordering::Greater, bound, 0, 1);
                prop_assert_eq!(above, got > bound, "{} above {}", got, bound);
                let below = numbers.has(rank, Ordering::Less, bound, 0, 1);
                prop_assert_eq!(below, got < bound, "{} below {}", got, bound);
            }
            values.reverse();
            prop_assert_eq!(fill(&values), numbers.clone());
            let mut bytes = Vec::new();
            numbers.write(7, &mut Out { bytes: &mut bytes });
            prop_assert_eq!(Numbers::read(7, &mut In::new(&bytes)), Ok(numbers));
        }
    }

    #[test]
    fn the_nearest_rank() {
        let mut numbers = Numbers::default();
        for v in 1..=10 {
            numbers.add(Aggregate::Quantile(90), 0, Decimal::from(v));
        }
        let shown = |percent| numbers.measure(Aggregate::Quantile(percent), 0, 0).map(|m| m.show());
        assert_eq!([50, 90, 95, 99].map(shown), ["5", "9", "10", "10"].map(|s| Some(s.to_owned())));
        assert_eq!(numbers.measure(Aggregate::Quantile(50), 1, 9), None);
    }
}
