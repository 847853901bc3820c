//! A rule after checking: everything resolved to columns, milliseconds and compiled conditions.
//!
//! `spec` makes it, the engine reads it. Refuses to know: YAML, records' windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::{Decimal, Format, FormatId};

use crate::condition::Condition;
use crate::condition::duration::show_duration;
use crate::hours::Hours;

mod composite;
mod things;
mod thresholds;

pub(crate) use composite::{Composite, Expr};
pub(crate) use things::{Allowed, ThingKind, Things};
pub(crate) use thresholds::{Numbers, Row};

/// What annotation places may name besides the fields of `by` and the labels, and what fills them.
pub(crate) const PLACES: [(&str, &str); 9] = [
    ("alertname", "the rule's name"),
    (
        "count",
        "the number that was compared: matches in the window, length of the run, distinct values, bad things",
    ),
    ("value", "the share of `ratio`, the number of `aggregate`; `count` for other kinds"),
    ("distinct", "the distinct values, or the bad things, at most 100"),
    ("distinct_count", "how many there are"),
    ("orders_count", "orders affected"),
    ("amount", "money at risk"),
    ("within", "the rule's `within` (`resolve_after` for `any`)"),
    ("threshold", "the `count` that held, or the bound that was met; nothing for `any`"),
];

/// The names of [`PLACES`].
pub(crate) const TEMPLATE_NAMES: [&str; PLACES.len()] = {
    let mut names = [""; PLACES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = PLACES[at].0;
        at += 1;
    }
    names
};

/// A checked rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// `alert`: its name, unique in the set.
    pub(crate) alert: Arc<str>,
    /// Group it stands in.
    pub(crate) group: Arc<str>,
    /// File it came from.
    pub(crate) file: Arc<str>,
    /// Format whose records it sees.
    pub(crate) format: FormatId,
    /// Which records match.
    pub(crate) filter: Condition,
    /// Key columns with their names.
    pub(crate) by: Vec<(Arc<str>, usize)>,
    /// Its shape.
    pub(crate) kind: Kind,
    /// Lateness of its watermark.
    pub(crate) lateness_ms: i64,
    /// How long an early verdict waits.
    pub(crate) settle_ms: i64,
    /// `for`.
    pub(crate) for_ms: i64,
    /// `keep_firing_for`.
    pub(crate) keep_firing_for_ms: i64,
    /// Constant labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Annotations with `{field}` places.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Judged and recorded, never sent.
    pub(crate) shadow: bool,
    /// Sample lines an alert carries.
    pub(crate) samples: usize,
    /// Column summed as money at risk, once per distinct order.
    pub(crate) sum: Option<usize>,
    /// Column of the order number (`order_no`), if the format has one.
    pub(crate) order: Option<usize>,
    /// Other numbers for some keys; the first row that fits wins.
    pub(crate) thresholds: Arc<[Row]>,
}

/// Named shapes (RULES.md section 4). Durations in milliseconds.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// One match suffices.
    Any {
        /// How long after the last match it stays active.
        resolve_after_ms: i64,
    },
    /// Enough matches in a window.
    Frequency {
        /// Matches needed.
        count: u64,
        /// Window length.
        within_ms: i64,
        /// Distinct values needed besides.
        distinct: Option<Distinct>,
    },
    /// Enough matches in every step of a window.
    Sustained {
        /// Matches needed in each step.
        count: u64,
        /// Step length.
        every_ms: i64,
        /// Window length, a multiple of the step.
        within_ms: i64,
        /// Distinct values needed besides.
        distinct: Option<Distinct>,
    },
    /// Matches in a row without a reset.
    Consecutive {
        /// Run length needed.
        count: u64,
        /// The run must fit into this.
        within_ms: i64,
        /// What breaks a run; need not satisfy the filter.
        reset: Option<Condition>,
    },
    /// Many, or few, distinct values in a window.
    Cardinality {
        /// Column whose non-null values count.
        field: usize,
        /// Window length.
        within_ms: i64,
        /// Active with at least so many.
        min: Option<u64>,
        /// Active with at most so many (and a match).
        max: Option<u64>,
    },
    /// The share of matches for which a second condition holds.
    Ratio {
        /// Which matches are the part; all are the total.
        part: Condition,
        /// Window length.
        within_ms: i64,
        /// What the share is compared with.
        bounds: Bounds,
        /// Matches needed to judge at all.
        min_total: u64,
        /// Compare the end of the interval of this confidence level, instead of the share itself.
        confidence: Option<Decimal>,
    },
    /// A sum, average, extreme or quantile of a field.
    Aggregate {
        /// Which.
        aggregate: Aggregate,
        /// Column of the numbers.
        field: usize,
        /// Window length.
        within_ms: i64,
        /// What it is compared with.
        bounds: Bounds,
        /// Values needed to judge at all.
        min_total: u64,
    },
    /// Too few matches of a key that is expected.
    Flatline {
        /// So many are enough.
        count: u64,
        /// Window length.
        within_ms: i64,
        expect: Expect,
        /// Only windows inside these are judged.
        hours: Option<Arc<Hours>>,
    },
    /// Much more, or much less, than before.
    Spike {
        spike: Spike,
        /// Window length.
        within_ms: i64,
    },
    /// Enough things of a key are bad.
    Things(Things),
    /// Other rules' alerts, combined.
    Composite(Composite),
}

/// The keys that a `flatline` expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    /// These: canonical bytes of keys, sorted.
    Keys(Arc<[Box<[u8]>]>),
    /// Each for so long after a match.
    Seen { forget_after_ms: i64 },
}

/// Most offsets of a `spike`.
pub(crate) const OFFSETS_MAX: usize = 8;

/// What `spike` compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spike {
    /// Column whose sum is compared, instead of the number of matches.
    pub(crate) sum: Option<usize>,
    /// How far back the references are, unused ones 0; without any the window just before.
    pub(crate) offsets_ms: [i64; OFFSETS_MAX],
    /// At most 6 digits after the point.
    pub(crate) factor: Decimal,
    /// Greater than 0.
    pub(crate) min_reference: Decimal,
    pub(crate) min_current: Decimal,
    pub(crate) up: bool,
    pub(crate) down: bool,
}

impl Spike {
    /// In words: `up or down by 3 against 1d, 7d before`.
    fn show(&self) -> String {
        let direction = match (self.up, self.down) {
            (true, true) => "up or down",
            (_, true) => "down",
            _ => "up",
        };
        let offsets = self.offsets_ms.iter().filter(|ms| **ms > 0).map(|ms| show_duration(*ms));
        let offsets: Vec<String> = offsets.collect();
        let against = if offsets.is_empty() { "the window".to_owned() } else { offsets.join(", ") };
        format!("{direction} by {} against {against} before", self.factor.normalize())
    }
}

/// `distinct: {field, min, over}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distinct {
    /// Column whose non-null values count.
    pub(crate) field: usize,
    /// Distinct values needed.
    pub(crate) min: u64,
    /// `sustained` only: in each step instead of over the window.
    pub(crate) per_step: bool,
}

/// What is made of the values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Average,
    Least,
    Greatest,
    /// Nearest rank, in hundredths.
    Quantile(u8),
}

impl Aggregate {
    /// All of them by the names of rule files.
    pub(crate) const NAMED: [(&'static str, Self); 8] = [
        ("sum", Aggregate::Sum),
        ("avg", Aggregate::Average),
        ("min", Aggregate::Least),
        ("max", Aggregate::Greatest),
        ("p50", Aggregate::Quantile(50)),
        ("p90", Aggregate::Quantile(90)),
        ("p95", Aggregate::Quantile(95)),
        ("p99", Aggregate::Quantile(99)),
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, aggregate)| *aggregate == self).map_or("", |(name, _)| name)
    }
}

/// `below` and `above`: either suffices; both strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) below: Option<Decimal>,
    pub(crate) above: Option<Decimal>,
}

impl Bounds {
    /// In words: `below 0.9 or above 1`.
    pub(crate) fn show(&self) -> String {
        let text = |bound: Option<Decimal>| bound.map(|bound| bound.normalize().to_string());
        bounds([("below", text(self.below)), ("above", text(self.above))])
    }
}

impl Kind {
    /// Name as in rule files.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::Any { .. } => "any",
            Kind::Frequency { .. } => "frequency",
            Kind::Sustained { .. } => "sustained",
            Kind::Consecutive { .. } => "consecutive",
            Kind::Cardinality { .. } => "cardinality",
            Kind::Ratio { .. } => "ratio",
            Kind::Aggregate { .. } => "aggregate",
            Kind::Spike { .. } => "spike",
            Kind::Things(things) => things.name(),
            Kind::Composite(_) => "composite",
            Kind::Flatline { .. } => "flatline",
        }
    }

    /// The column whose distinct values count.
    pub(crate) fn distinct_field(&self) -> Option<usize> {
        match self {
            Kind::Frequency { distinct, .. } | Kind::Sustained { distinct, .. } => {
                distinct.map(|distinct| distinct.field)
            }
            Kind::Cardinality { field, .. } => Some(*field),
            Kind::Any { .. }
            | Kind::Consecutive { .. }
            | Kind::Ratio { .. }
            | Kind::Aggregate { .. }
            | Kind::Spike { .. }
            | Kind::Flatline { .. }
            | Kind::Composite(_)
            | Kind::Things(_) => None,
        }
    }

    /// The column that names things.
    pub(crate) fn thing_field(&self) -> Option<usize> {
        if let Kind::Things(things) = self { Some(things.each) } else { None }
    }

    /// How far back it looks.
    pub(crate) fn within_ms(&self) -> i64 {
        match *self {
            Kind::Any { resolve_after_ms } => resolve_after_ms,
            Kind::Things(ref things) => things.within_ms(),
            Kind::Composite(_) => 0,
            Kind::Frequency { within_ms, .. }
            | Kind::Sustained { within_ms, .. }
            | Kind::Consecutive { within_ms, .. }
            | Kind::Cardinality { within_ms, .. }
            | Kind::Ratio { within_ms, .. }
            | Kind::Aggregate { within_ms, .. }
            | Kind::Spike { within_ms, .. }
            | Kind::Flatline { within_ms, .. } => within_ms,
        }
    }
}

impl Rule {
    /// Its shape in words: `at least 12 in a row within 1m, by channel`.
    pub(crate) fn summary(&self, format: &Format) -> String {
        let mut text = self.shape(format);
        if !self.by.is_empty() {
            let names: Vec<&str> = self.by.iter().map(|(name, _)| &**name).collect();
            text.push_str(&format!(", by {}", names.join(", ")));
        }
        match self.thresholds.len() {
            0 => {}
            1 => text.push_str(", other numbers in 1 row"),
            rows => text.push_str(&format!(", other numbers in {rows} rows")),
        }
        text
    }

    /// What its kind asks for, in words.
    fn shape(&self, format: &Format) -> String {
        let column = |column: usize| format.columns().get(column).map_or("", |column| &*column.name);
        let show_distinct = |distinct: &Option<Distinct>| match distinct {
            Some(d) => {
                let step = if d.per_step { " in each" } else { "" };
                format!(", over at least {} values of {}{step}", d.min, column(d.field))
            }
            None => String::new(),
        };
        match &self.kind {
            Kind::Any { resolve_after_ms } => {
                format!("any match, until {} without one", show_duration(*resolve_after_ms))
            }
            Kind::Frequency { count, within_ms, distinct } => {
                format!("at least {count} within {}{}", show_duration(*within_ms), show_distinct(distinct))
            }
            Kind::Sustained { count, every_ms, within_ms, distinct } => format!(
                "at least {count} in every {} for {}{}",
                show_duration(*every_ms),
                show_duration(*within_ms),
                show_distinct(distinct)
            ),
            Kind::Consecutive { count, within_ms, reset } => {
                let reset = if reset.is_some() { " without a reset" } else { "" };
                format!("at least {count} in a row{reset} within {}", show_duration(*within_ms))
            }
            Kind::Cardinality { field, within_ms, min, max } => {
                let bounds = bounds([
                    ("at least", min.map(|n| n.to_string())),
                    ("at most", max.map(|n| n.to_string())),
                ]);
                format!("{bounds} distinct values of {} within {}", column(*field), show_duration(*within_ms))
            }
            Kind::Ratio { within_ms, bounds, min_total, confidence, .. } => {
                let sure = confidence
                    .map_or(String::new(), |level| format!(" with confidence {}", level.normalize()));
                let within = show_duration(*within_ms);
                format!("share {}{sure} of at least {min_total} within {within}", bounds.show())
            }
            Kind::Aggregate { aggregate, field, within_ms, bounds, min_total } => {
                let (name, within) = (aggregate.name(), show_duration(*within_ms));
                let (field, bounds) = (column(*field), bounds.show());
                format!("{name} of {field} {bounds}, of at least {min_total} within {within}")
            }
            Kind::Flatline { count, within_ms, expect, hours } => {
                let keys = match expect {
                    Expect::Keys(_) if self.by.is_empty() => String::new(),
                    Expect::Keys(keys) => format!(" of each of {} keys", keys.len()),
                    Expect::Seen { forget_after_ms } => {
                        format!(" of each key seen in the last {}", show_duration(*forget_after_ms))
                    }
                };
                let hours =
                    hours.as_ref().map_or(String::new(), |hours| format!(", in {}", hours.names.join(", ")));
                format!("fewer than {count} within {}{keys}{hours}", show_duration(*within_ms))
            }
            Kind::Spike { spike, within_ms } => {
                let what = spike.sum.map_or("number".to_owned(), |field| format!("sum of {}", column(field)));
                format!("{what} within {} {}", show_duration(*within_ms), spike.show())
            }
            Kind::Things(things) => things.summary(format),
            Kind::Composite(composite) => composite.text.to_string(),
        }
    }
}

/// Bounds of which either suffices, in words: `at least 3 or at most 1`.
pub(crate) fn bounds<'a>(named: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let there = named.into_iter().filter_map(|(name, bound)| bound.map(|bound| format!("{name} {bound}")));
    there.collect::<Vec<_>>().join(" or ")
}
