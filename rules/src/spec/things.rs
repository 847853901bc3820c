//! The kinds about single things: their keys become a [`Kind`].
//!
//! Refuses to know: common keys of rules, what the kinds mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use record::ColumnType;

use super::fields::{self, Fields, Text};
use super::group::RuleReader;
use super::keys::{MAX_COMPARE, MAX_SEQUENCE};
use super::kind::{MAX_COUNT, field};
use super::node::{Content, Entry, Node};
use crate::condition::Condition;
use crate::rule::{Allowed, Kind, ThingKind, Things};

/// How long a thing stays bad.
const RESOLVE_AFTER_MS: i64 = 3_600_000;
/// How far before the start the finish of an order may lie.
const SKEW_MS: i64 = 1_000;
/// How long a value is remembered.
const REMEMBER_MS: i64 = 30 * 86_400_000;
/// How long after history start no value is new.
const LEARN_MS: i64 = 86_400_000;
/// The field that names the thing.
const EACH: &str = "order_no";

pub(super) fn unfinished(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let (start, finish) = (condition(rule, "start"), condition(rule, "finish"));
    let within = needed(rule, "within");
    let skew = duration(rule, "skew", 0, SKEW_MS);
    things(rule, |_| {
        Some(ThingKind::Unfinished { start: start?, finish: finish?, within_ms: within?, skew_ms: skew? })
    })
}

pub(super) fn transition(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let field = rule.need("field").and_then(|entry| field(rule, entry));
    let entry = rule.need("allowed");
    let allowed = entry.and_then(|entry| allowed(rule, entry, field?));
    things(rule, |_| Some(ThingKind::Transition { field: field?, allowed: allowed? }))
}

pub(super) fn sequence(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let steps = rule.need("steps").and_then(|entry| steps(rule, entry));
    let within = needed(rule, "within");
    things(rule, |_| Some(ThingKind::Sequence { steps: steps?, within_ms: within? }))
}

pub(super) fn mismatch(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let (left, right) = (condition(rule, "left"), condition(rule, "right"));
    let compare = rule.need("compare").and_then(|entry| compare(rule, entry));
    let within = needed(rule, "within");
    things(rule, |_| {
        Some(ThingKind::Mismatch { left: left?, right: right?, compare: compare?, within_ms: within? })
    })
}

pub(super) fn new_value(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let field = rule.need("field").and_then(|entry| field(rule, entry));
    let remember = duration(rule, "remember", 1, REMEMBER_MS);
    let learn = duration(rule, "learn", 0, LEARN_MS);
    let kind = ThingKind::NewValue { remember_ms: remember?, learn_ms: learn? };
    common(rule, field, Some(kind))
}

/// The fields that should agree.
fn compare(rule: &mut RuleReader<'_, '_>, entry: &Entry) -> Option<Vec<usize>> {
    let names = fields::texts(entry, rule.report)?;
    if !(1..=MAX_COMPARE).contains(&names.len()) {
        rule.report.error(entry.value.at, format!("`compare` must be 1 to {MAX_COMPARE} fields"));
        return None;
    }
    let found: Vec<Option<usize>> = names.into_iter().map(|name| rule.column(name)).collect();
    found.into_iter().collect()
}

/// A list of conditions.
fn steps(rule: &mut RuleReader<'_, '_>, entry: &Entry) -> Option<Vec<Condition>> {
    let texts = fields::texts(entry, rule.report)?;
    if !(2..=MAX_SEQUENCE).contains(&texts.len()) {
        rule.report.error(entry.value.at, format!("`steps` must be 2 to {MAX_SEQUENCE} conditions"));
        return None;
    }
    let Content::List(items) = &entry.value.content else { return None };
    let one = |node: &Node| Entry { key: entry.key.clone(), key_at: entry.key_at, value: node.clone() };
    let read: Vec<Option<Condition>> = items.iter().map(|node| rule.condition(&one(node))).collect();
    read.into_iter().collect()
}

/// `allowed: {a: [b, ...]}`, as canonical texts of the field's type.
fn allowed(rule: &mut RuleReader<'_, '_>, entry: &Entry, field: usize) -> Option<Allowed> {
    let map = Fields::of(&entry.value, "`allowed`", rule.report)?;
    let mut allowed: BTreeMap<Box<[u8]>, BTreeSet<Box<[u8]>>> = BTreeMap::new();
    let mut fits = true;
    for entry in map.entries() {
        let from = canonical(rule, field, Text { at: entry.key_at, text: &entry.key });
        // A value that nothing may follow: `a: []`.
        let to = fields::texts(entry, rule.report);
        let to: Option<Vec<_>> =
            to.and_then(|texts| texts.into_iter().map(|text| canonical(rule, field, text)).collect());
        match (from, to) {
            (Some(from), Some(to)) => allowed.entry(from).or_default().extend(to),
            _ => fits = false,
        }
    }
    fits.then(|| Arc::new(allowed))
}

/// A value as the engine compares it.
fn canonical(rule: &mut RuleReader<'_, '_>, field: usize, value: Text<'_>) -> Option<Box<[u8]>> {
    let column = &rule.format.columns()[field];
    if column.kind == ColumnType::String {
        return Some(value.text.as_bytes().into());
    }
    match column.kind.parse(value.text) {
        Ok(parsed) => Some(parsed.to_key().label().as_bytes().into()),
        Err(_) => {
            let message =
                format!("`{}` is no {} as `{}` has them", value.text, column.kind.name(), column.name);
            rule.report.error(value.at, message);
            None
        }
    }
}

/// The keys that all of them have, and what is their own.
fn things(
    rule: &mut RuleReader<'_, '_>,
    own: impl FnOnce(&mut RuleReader<'_, '_>) -> Option<ThingKind>,
) -> Option<Kind> {
    let each = match rule.fields.entry("each") {
        Some(entry) => field(rule, entry),
        None => {
            let found = rule.format.column(EACH);
            if found.is_none() {
                rule.missing(&format!("`each`: the format has no `{EACH}`"));
            }
            found
        }
    };
    let kind = own(rule);
    common(rule, each, kind)
}

fn common(rule: &mut RuleReader<'_, '_>, each: Option<usize>, kind: Option<ThingKind>) -> Option<Kind> {
    let count = match rule.fields.entry("count") {
        Some(entry) => fields::whole(entry, 1, MAX_COUNT, rule.report),
        None => Some(1),
    };
    let resolve_after = duration(rule, "resolve_after", 1, RESOLVE_AFTER_MS);
    Some(Kind::Things(Things { each: each?, count: count?, resolve_after_ms: resolve_after?, kind: kind? }))
}

fn condition(rule: &mut RuleReader<'_, '_>, key: &str) -> Option<Condition> {
    rule.need(key).and_then(|entry| rule.condition(entry))
}

fn needed(rule: &mut RuleReader<'_, '_>, key: &str) -> Option<i64> {
    rule.need(key)?;
    duration(rule, key, 1, 0)
}

/// A duration of at least so many milliseconds.
fn duration(rule: &mut RuleReader<'_, '_>, key: &str, least_ms: i64, default_ms: i64) -> Option<i64> {
    let Some(entry) = rule.fields.entry(key) else { return Some(default_ms) };
    let ms = fields::duration(entry, rule.report)?;
    if ms < least_ms {
        rule.report.error(entry.value.at, format!("`{key}` must be at least {least_ms}ms"));
        return None;
    }
    Some(ms)
}
