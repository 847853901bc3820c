//! Other numbers for some keys, some of the time: rows of key values, of which the first that fits wins.
//!
//! Refuses to know: YAML, what is counted, which row applies when (the engine asks).

use std::sync::Arc;

use record::{Decimal, InstantMs};

use super::{Bounds, Distinct, Kind, Spike, Things};

/// One row of `thresholds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// By field of `by`: the canonical text that the key must have there (empty: null); `None`: any.
    pub(crate) by: Vec<Option<Box<str>>>,
    /// First instant at which it holds; `None`: since ever.
    pub(crate) from_ms: Option<InstantMs>,
    /// First instant at which it holds no more; `None`: never.
    pub(crate) until_ms: Option<InstantMs>,
    /// What it overrides.
    pub(crate) numbers: Numbers,
    /// `file:line`, for people.
    pub(crate) place: Arc<str>,
}

/// Numbers of a rule that a row overrides; the others stay the rule's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    pub(crate) count: Option<u64>,
    /// Of `cardinality`, or of `distinct`.
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
    pub(crate) min_total: Option<u64>,
    pub(crate) below: Option<Decimal>,
    pub(crate) above: Option<Decimal>,
    pub(crate) confidence: Option<Decimal>,
    pub(crate) factor: Option<Decimal>,
    pub(crate) min_reference: Option<Decimal>,
    pub(crate) min_current: Option<Decimal>,
}

impl Numbers {
    /// By the names of rule files, decimals without trailing zeros.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, String)> {
        let whole =
            [("count", self.count), ("min", self.min), ("max", self.max), ("min_total", self.min_total)];
        let exact = [
            ("below", self.below),
            ("above", self.above),
            ("confidence", self.confidence),
            ("factor", self.factor),
            ("min_reference", self.min_reference),
            ("min_current", self.min_current),
        ];
        let whole = whole.into_iter().filter_map(|(name, n)| Some((name, n?.to_string())));
        whole.chain(exact.into_iter().filter_map(|(name, n)| Some((name, n?.normalize().to_string()))))
    }

    fn bounds(&self, bounds: Bounds) -> Bounds {
        Bounds { below: self.below.or(bounds.below), above: self.above.or(bounds.above) }
    }

    fn distinct(&self, distinct: Option<Distinct>) -> Option<Distinct> {
        distinct.map(|distinct| Distinct { min: self.min.unwrap_or(distinct.min), ..distinct })
    }
}

impl Kind {
    /// The kind with these numbers in place of its own.
    pub(crate) fn with(&self, numbers: &Numbers) -> Kind {
        let mut kind = self.clone();
        match &mut kind {
            Kind::Frequency { count, distinct, .. } | Kind::Sustained { count, distinct, .. } => {
                *count = numbers.count.unwrap_or(*count);
                *distinct = numbers.distinct(*distinct);
            }
            Kind::Consecutive { count, .. }
            | Kind::Flatline { count, .. }
            | Kind::Things(Things { count, .. }) => *count = numbers.count.unwrap_or(*count),
            Kind::Cardinality { min, max, .. } => {
                (*min, *max) = (numbers.min.or(*min), numbers.max.or(*max));
            }
            Kind::Ratio { bounds, min_total, confidence, .. } => {
                (*bounds, *confidence) = (numbers.bounds(*bounds), numbers.confidence.or(*confidence));
                *min_total = numbers.min_total.unwrap_or(*min_total);
            }
            Kind::Aggregate { bounds, min_total, .. } => {
                *bounds = numbers.bounds(*bounds);
                *min_total = numbers.min_total.unwrap_or(*min_total);
            }
            Kind::Spike { spike, .. } => {
                *spike = Spike {
                    factor: numbers.factor.unwrap_or(spike.factor),
                    min_reference: numbers.min_reference.unwrap_or(spike.min_reference),
                    min_current: numbers.min_current.unwrap_or(spike.min_current),
                    ..*spike
                };
            }
            Kind::Any { .. } | Kind::Composite(_) => {}
        }
        kind
    }
}
