//! The kinds: which keys each has and how they become a [`Kind`].
//!
//! A new kind is a row in [`KINDS`], its keys in [`keys`], and a function.

use record::Decimal;

use super::composite;
use super::fields::{self, Fields};
use super::group::RuleReader;
use super::keys::{self, Key, MAX_BOUND, MAX_CONFIDENCE, MAX_DISTINCT, MAX_RUN, MILLIONTH, MIN_BOUND};
use super::node::Entry;
use super::things;
use super::volume;
use crate::rule::{Aggregate, Bounds, Distinct, Kind};

/// A kind that can be loaded.
pub(crate) struct KindSpec {
    pub(crate) name: &'static str,
    /// Its keys besides [`keys::RULE`].
    pub(crate) keys: &'static [Key],
    /// Whether it is raised early, in a word or two.
    pub(crate) early: &'static str,
    /// When it is active, in half a sentence.
    pub(crate) active: &'static str,
    /// Reads them. `None` after reporting what is wrong.
    pub(super) read: fn(&mut RuleReader<'_, '_>) -> Option<Kind>,
}

/// Kinds in the order of the documentation.
pub(super) const KINDS: [KindSpec; 15] = [
    KindSpec {
        name: "any",
        keys: keys::ANY,
        early: "yes",
        active: "some match lies less than `resolve_after` back",
        read: any,
    },
    KindSpec {
        name: "frequency",
        keys: keys::FREQUENCY,
        early: "yes",
        active: "the window holds at least `count` matches",
        read: frequency,
    },
    KindSpec {
        name: "sustained",
        keys: keys::SUSTAINED,
        early: "yes",
        active: "every step of the window holds at least `count` matches",
        read: sustained,
    },
    KindSpec {
        name: "consecutive",
        keys: keys::CONSECUTIVE,
        early: "yes",
        active: "the last `count` of matches and resets are all matches, within the window",
        read: consecutive,
    },
    KindSpec {
        name: "cardinality",
        keys: keys::CARDINALITY,
        early: "for `min`",
        active: "the window holds at least `min`, or at most `max`, distinct values of a field",
        read: cardinality,
    },
    KindSpec {
        name: "ratio",
        keys: keys::RATIO,
        early: "no",
        active: "the share of matches for which `match` holds is too small, or too great",
        read: ratio,
    },
    KindSpec {
        name: "aggregate",
        keys: keys::AGGREGATE,
        early: "no",
        active: "a sum, average, extreme or quantile of a field is too great, or too small",
        read: aggregate,
    },
    KindSpec {
        name: "spike",
        keys: keys::SPIKE,
        early: "no",
        active: "much more, or much less, comes than before",
        read: volume::spike,
    },
    KindSpec {
        name: "flatline",
        keys: keys::FLATLINE,
        early: "no",
        active: "fewer than `count` matches come of a key that is expected",
        read: volume::flatline,
    },
    KindSpec {
        name: "unfinished",
        keys: keys::UNFINISHED,
        early: "no",
        active: "things began and did not end in time",
        read: things::unfinished,
    },
    KindSpec {
        name: "sequence",
        keys: keys::SEQUENCE,
        early: "yes",
        active: "records of a thing fit steps, one after the other",
        read: things::sequence,
    },
    KindSpec {
        name: "transition",
        keys: keys::TRANSITION,
        early: "yes",
        active: "a field of a thing changed in a way that is not allowed",
        read: things::transition,
    },
    KindSpec {
        name: "mismatch",
        keys: keys::MISMATCH,
        early: "yes",
        active: "two records of a thing that should agree do not",
        read: things::mismatch,
    },
    KindSpec {
        name: "new_value",
        keys: keys::NEW_VALUE,
        early: "yes",
        active: "a value of a field came that was not there for long",
        read: things::new_value,
    },
    KindSpec {
        name: "composite",
        keys: keys::COMPOSITE,
        early: "yes",
        active: "alerts of other rules fire as an expression says",
        read: composite::read,
    },
];

pub(super) use keys::MAX_COUNT;

/// Every kind.
pub(crate) fn kinds() -> &'static [KindSpec] {
    &KINDS
}

/// How long `any` stays active after a match.
const RESOLVE_AFTER_MS: i64 = 300_000;
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
        Some(entry) => fields::decimal(entry, MILLIONTH, MAX_CONFIDENCE, rule.report).map(Some),
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
    let mut bound = |key: &str| match rule.fields.entry(key) {
        Some(entry) => fields::decimal(entry, MIN_BOUND, MAX_BOUND, rule.report).map(Some),
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
    map.only(if has_steps { keys::DISTINCT_STEPS } else { keys::DISTINCT }, rule.report);
    let field = map.need("field", rule.report).and_then(|entry| field(rule, entry));
    let min = map.need("min", rule.report).and_then(|entry| fields::whole(entry, 1, MAX_COUNT, rule.report));
    let per_step = match has_steps.then(|| map.entry("over")).flatten() {
        Some(entry) => fields::word(entry, keys::OVER, rule.report).map(|word| word == "step"),
        None => Some(false),
    };
    Some(Some(Distinct { field: field?, min: min?, per_step: per_step? }))
}

pub(super) fn field(rule: &mut RuleReader<'_, '_>, entry: &Entry) -> Option<usize> {
    let text = fields::text(entry, rule.report)?;
    rule.column(text)
}
