//! What a decoder counts.
//!
//! Refuses to know: who asks, and how it is shown.

use std::collections::BTreeMap;

use super::PlainReason;
use crate::{ColumnType, FormatId, FormatSet, IllTyped, Row, RowFlags};

/// What a decoder counted since it was last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Rows made, by format.
    pub records: BTreeMap<FormatId, u64>,
    /// Ill-typed values, by format, column and reason.
    pub ill_typed: BTreeMap<(FormatId, u16, IllTyped), u64>,
    /// Lines kept as `plain` for a reason.
    pub plain: BTreeMap<PlainReason, u64>,
    /// Short lines, by format.
    pub short: BTreeMap<FormatId, u64>,
    /// Long lines, by format.
    pub long: BTreeMap<FormatId, u64>,
    /// Frames cut at the bound.
    pub truncated: u64,
    /// Frames transcoded from GB18030.
    pub transcoded: u64,
    /// Card numbers masked.
    pub cards_masked: u64,
    /// Frames joined to the one before (continuation).
    pub continued: u64,
}

impl DecodeCounts {
    /// Adds the counts of another decoder of the same format set.
    pub fn merge(&mut self, other: &Self) {
        fn add<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *into.entry(*key).or_default() += count;
            }
        }
        add(&mut self.records, &other.records);
        add(&mut self.ill_typed, &other.ill_typed);
        add(&mut self.plain, &other.plain);
        add(&mut self.short, &other.short);
        add(&mut self.long, &other.long);
        self.truncated += other.truncated;
        self.transcoded += other.transcoded;
        self.cards_masked += other.cards_masked;
        self.continued += other.continued;
    }
}

/// Counts of one format, kept in arrays: the maps are made when somebody asks.
#[derive(Debug, Clone, Default)]
struct FormatTally {
    records: u64,
    short: u64,
    long: u64,
    /// By column; empty until the first.
    ill_typed: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Tally {
    formats: Vec<FormatTally>,
    rest: DecodeCounts,
    pub(super) cards_masked: u64,
    pub(super) continued: u64,
}

impl Tally {
    pub(super) fn new(formats: &FormatSet) -> Self {
        Self {
            formats: vec![FormatTally::default(); formats.len()],
            rest: DecodeCounts::default(),
            cards_masked: 0,
            continued: 0,
        }
    }

    pub(super) fn plain(&mut self, reason: PlainReason) {
        *self.rest.plain.entry(reason).or_default() += 1;
    }

    pub(super) fn row(&mut self, row: &Row) {
        let of_format = &mut self.formats[usize::from(row.format.0)];
        of_format.records += 1;
        of_format.short += u64::from(row.flags.has(RowFlags::SHORT));
        of_format.long += u64::from(row.flags.has(RowFlags::LONG));
        self.rest.truncated += u64::from(row.flags.has(RowFlags::TRUNCATED));
        self.rest.transcoded += u64::from(row.flags.has(RowFlags::TRANSCODED));
        let mut bits = row.ill_typed;
        while bits != 0 {
            of_format.ill_typed.resize(u128::BITS as usize, 0);
            of_format.ill_typed[bits.trailing_zeros() as usize] += 1;
            bits &= bits - 1;
        }
    }

    pub(super) fn take(&mut self, formats: &FormatSet) -> DecodeCounts {
        let mut counts = std::mem::take(&mut self.rest);
        counts.cards_masked = std::mem::take(&mut self.cards_masked);
        counts.continued = std::mem::take(&mut self.continued);
        for ((id, format), tally) in formats.iter().zip(&mut self.formats) {
            let tally = std::mem::take(tally);
            let some = |n: u64| (n > 0).then_some((id, n));
            counts.records.extend(some(tally.records));
            counts.short.extend(some(tally.short));
            counts.long.extend(some(tally.long));
            for (column, count) in tally.ill_typed.into_iter().enumerate().filter(|(_, n)| *n > 0) {
                let reason = format.columns().get(column).and_then(|c| reason(&c.kind));
                let key = u16::try_from(column).ok().zip(reason);
                counts.ill_typed.extend(key.map(|(column, reason)| ((id, column, reason), count)));
            }
        }
        counts
    }
}

/// Why a text does not fit a type.
pub(crate) fn reason(kind: &ColumnType) -> Option<IllTyped> {
    match kind {
        ColumnType::String => None,
        ColumnType::Timestamp { .. } => Some(IllTyped::Timestamp),
        ColumnType::Decimal => Some(IllTyped::Decimal),
        ColumnType::Integer => Some(IllTyped::Integer),
        ColumnType::Bool => Some(IllTyped::Bool),
        ColumnType::Ip => Some(IllTyped::Ip),
    }
}
