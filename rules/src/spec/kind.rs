//! The kinds: which keys each has and how they become a [`Kind`].
//!
//! A new kind is a row in [`KINDS`] and a function.

use record::Decimal;

use super::fields::{self, Fields};
use super::group::RuleReader;
use super::node::Entry;
use super::things;
use super::volume;
use crate::rule::{Aggregate, Bounds, Distinct, Kind};

/// A kind that can be loaded.
pub(super) struct KindSpec {
    pub(super) name: &'static str,
    /// Its keys besides [`super::group::COMMON_KEYS`].
    pub(super) keys: &'static [&'static str],
    /// Reads them. `None` after reporting what is wrong.
    pub(super) read: fn(&mut RuleReader<'_, '_>) -> Option<Kind>,
}

/// Kinds in the order of the documentation.
pub(super) const KINDS: [KindSpec; 12] = [
    KindSpec { name: "any", keys: &["resolve_after"], read: any },
    KindSpec { name: "frequency", keys: &["count", "within", "distinct"], read: frequency },
    KindSpec { name: "sustained", keys: &["count", "every", "within", "distinct"], read: sustained },
    KindSpec { name: "consecutive", keys: &["count", "within", "reset"], read: consecutive },
    KindSpec { name: "cardinality", keys: &["field", "within", "min", "max"], read: cardinality },
    KindSpec {
        name: "ratio",
        keys: &["match", "within", "below", "above", "min_total", "confidence"],
        read: ratio,
    },
    KindSpec {
        name: "aggregate",
        keys: &["fn", "field", "within", "above", "below", "min_total"],
        read: aggregate,
    },
    KindSpec {
        name: "spike",
        keys: &["within", "factor", "direction", "offset", "min_reference", "min_current"],
        read: volume::spike,
    },
    KindSpec {
        name: "flatline",
        keys: &["within", "count", "expect", "forget_after", "hours"],
        read: volume::flatline,
    },
    KindSpec {
        name: "unfinished",
        keys: &["each", "start", "finish", "within", "skew", "resolve_after", "count"],
        read: things::unfinished,
    },
    KindSpec {
        name: "sequence",
        keys: &["each", "steps", "within", "resolve_after", "count"],
        read: things::sequence,
    },
    KindSpec {
        name: "transition",
        keys: &["each", "field", "allowed", "resolve_after", "count"],
        read: things::transition,
    },
];

/// Kinds of the specification that are not built yet, refused by name.
pub(super) const PLANNED: [&str; 3] = ["mismatch", "new_value", "composite"];

/// How long `any` stays active after a match.
const RESOLVE_AFTER_MS: i64 = 300_000;
/// Most matches a threshold may ask for.
pub(super) const MAX_COUNT: u64 = 1_000_000_000;
/// Greatest number that an aggregate is compared with: times the number of values it is still exact.
pub(super) const MAX_BOUND: u64 = 1_000_000_000_000_000_000;
/// Most distinct values a threshold may ask for: that many are kept one by one.
const MAX_DISTINCT: u64 = 1_000_000;
/// Longest run: its matches are kept one by one.
const MAX_RUN: u64 = 100_000;
/// Most steps of a `sustained` window.
const MAX_STEPS: i64 = 10_000;

fn any(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let resolve_after_ms = match rule.fields.entry("resolve_after") {
        Some(entry) => fields::seconds(entry, rule.report)?,
        None => RESOLVE_AFTER_MS,
    };
    Some(Kind::Any { resolve_after_ms })
}

fn frequency(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let count = count(rule, MAX_COUNT);
    let within = window(rule, "within");
    let distinct = distinct(rule, false);
    Some(Kind::Frequency { count: count?, within_ms: within?, distinct: distinct? })
}

fn sustained(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let count = count(rule, MAX_COUNT);
    let every = window(rule, "every");
    let within = window(rule, "within");
    let distinct = distinct(rule, true);
    let (every_ms, within_ms) = (every?, within?);
    let at = rule.fields.entry("within").map_or(0, |entry| entry.value.at);
    if within_ms % every_ms != 0 {
        rule.report.error(at, "`within` must be a multiple of `every`");
        return None;
    }
    if within_ms / every_ms > MAX_STEPS {
        rule.report.error(at, format!("`within` must be at most {MAX_STEPS} times `every`"));
        return None;
    }
    Some(Kind::Sustained { count: count?, every_ms, within_ms, distinct: distinct? })
}

fn consecutive(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let count = count(rule, MAX_RUN);
    let within = rule.need("within").and_then(|entry| {
        let ms = fields::duration(entry, rule.report)?;
        if ms < 1 {
            rule.report.error(entry.value.at, "`within` must be at least 1ms");
            return None;
        }
        Some(ms)
    });
    let reset = match rule.fields.entry("reset") {
        Some(entry) => rule.condition(entry).map(Some),
        None => Some(None),
    };
    Some(Kind::Consecutive { count: count?, within_ms: within?, reset: reset? })
}

fn cardinality(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let field = rule.need("field").and_then(|entry| field(rule, entry));
    let within = window(rule, "within");
    let mut bound = |key: &str, least: u64| match rule.fields.entry(key) {
        Some(entry) => fields::whole(entry, least, MAX_DISTINCT, rule.report).map(Some),
        None => Some(None),
    };
    let (min, max) = (bound("min", 1), bound("max", 0));
    either(rule, "min", "max")?;
    Some(Kind::Cardinality { field: field?, within_ms: within?, min: min?, max: max? })
}

fn ratio(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let part = rule.need("match").and_then(|entry| rule.condition(entry));
    let within = window(rule, "within");
    let mut share = |key: &str| match rule.fields.entry(key) {
        Some(entry) => fields::decimal(entry, Decimal::ZERO, Decimal::ONE, rule.report).map(Some),
        None => Some(None),
    };
    let (below, above) = (share("below"), share("above"));
    let confidence = match rule.fields.entry("confidence") {
        Some(entry) => {
            let (least, most) = (Decimal::new(1, 6), Decimal::new(999_999, 6));
            fields::decimal(entry, least, most, rule.report).map(Some)
        }
        None => Some(None),
    };
    let min_total = min_total(rule);
    either(rule, "below", "above")?;
    let bounds = Bounds { below: below?, above: above? };
    Some(Kind::Ratio {
        part: part?,
        within_ms: within?,
        bounds,
        min_total: min_total?,
        confidence: confidence?,
    })
}

fn aggregate(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let names = Aggregate::NAMED.map(|(name, _)| name);
    let named = rule.need("fn").and_then(|entry| fields::word(entry, &names, rule.report));
    let aggregate = named.and_then(|name| Aggregate::NAMED.iter().find(|(known, _)| *known == name));
    let field = rule.need("field").and_then(|entry| {
        let name = fields::text(entry, rule.report)?;
        let column = rule.column(name)?;
        rule.is_number(column, "field", name).then_some(column)
    });
    let within = window(rule, "within");
    let most = Decimal::from(MAX_BOUND);
    let mut bound = |key: &str| match rule.fields.entry(key) {
        Some(entry) => fields::decimal(entry, -most, most, rule.report).map(Some),
        None => Some(None),
    };
    let (below, above) = (bound("below"), bound("above"));
    let min_total = min_total(rule);
    either(rule, "below", "above")?;
    Some(Kind::Aggregate {
        aggregate: aggregate?.1,
        field: field?,
        within_ms: within?,
        bounds: Bounds { below: below?, above: above? },
        min_total: min_total?,
    })
}

fn min_total(rule: &mut RuleReader<'_, '_>) -> Option<u64> {
    match rule.fields.entry("min_total") {
        Some(entry) => fields::whole(entry, 1, MAX_COUNT, rule.report),
        None => Some(1),
    }
}

/// A kind with two bounds needs at least one of them.
fn either(rule: &mut RuleReader<'_, '_>, one: &str, other: &str) -> Option<()> {
    if rule.fields.entry(one).is_none() && rule.fields.entry(other).is_none() {
        rule.missing(&format!("`{one}` or `{other}`"));
        return None;
    }
    Some(())
}

fn count(rule: &mut RuleReader<'_, '_>, most: u64) -> Option<u64> {
    let entry = rule.need("count")?;
    fields::whole(entry, 1, most, rule.report)
}

pub(super) fn window(rule: &mut RuleReader<'_, '_>, key: &str) -> Option<i64> {
    let entry = rule.need(key)?;
    fields::seconds(entry, rule.report)
}

/// `distinct: {field, min, over}`; `Some(None)` when the rule has none.
fn distinct(rule: &mut RuleReader<'_, '_>, has_steps: bool) -> Option<Option<Distinct>> {
    let Some(entry) = rule.fields.entry("distinct") else { return Some(None) };
    let map = Fields::of(&entry.value, "`distinct`", rule.report)?;
    let known: &[&str] = if has_steps { &["field", "min", "over"] } else { &["field", "min"] };
    map.only(known, rule.report);
    let field = map.need("field", rule.report).and_then(|entry| field(rule, entry));
    let min = map.need("min", rule.report).and_then(|entry| fields::whole(entry, 1, MAX_COUNT, rule.report));
    let per_step = match map.entry("over").filter(|_| has_steps) {
        Some(entry) => fields::word(entry, &["window", "step"], rule.report).map(|word| word == "step"),
        None => Some(false),
    };
    Some(Some(Distinct { field: field?, min: min?, per_step: per_step? }))
}

pub(super) fn field(rule: &mut RuleReader<'_, '_>, entry: &Entry) -> Option<usize> {
    let text = fields::text(entry, rule.report)?;
    rule.column(text)
}
