//! Kinds about how much comes: `spike`, `flatline`.

use std::sync::Arc;

use record::Decimal;

use super::fields::{self, Fields};
use super::group::RuleReader;
use super::keys::{self, MAX_BOUND, MAX_COUNT, MAX_EXPECTED, MAX_FACTOR, MILLIONTH};
use super::kind::window;
use super::node::{Content, Entry, Node};
use crate::condition::nearest::did_you_mean;
use crate::engine::{join_key, spike_unit_ms};
use crate::hours::Hours;
use crate::rule::{Expect, Kind, OFFSETS_MAX, Spike};

/// Digits of a factor after the point.
const FACTOR_DIGITS: u32 = 6;
/// Most buckets that an offset may reach back: each is kept.
const MAX_OFFSET_BUCKETS: i64 = 1_000_000;

pub(super) fn spike(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let within_ms = window(rule, "within");
    let factor = factor(rule);
    let direction = match rule.fields.entry("direction") {
        Some(entry) => fields::word(entry, keys::DIRECTIONS, rule.report),
        None => Some("up"),
    };
    let offsets_ms = offsets(rule, within_ms);
    let min_reference = number(&rule.fields, "min_reference", MILLIONTH, rule.report);
    let min_current = number(&rule.fields, "min_current", Decimal::ZERO, rule.report);
    // What is wrong with `sum` is said where the keys of every rule are read.
    let sum = rule.fields.entry("sum").and_then(|entry| match &entry.value.content {
        Content::Scalar { text, .. } => rule.format.column(text),
        _ => None,
    });
    let direction = direction?;
    let spike = Spike {
        sum,
        offsets_ms: offsets_ms?,
        factor: factor?,
        min_reference: min_reference?,
        min_current: min_current?,
        up: direction != "down",
        down: direction != "up",
    };
    Some(Kind::Spike { spike, within_ms: within_ms? })
}

fn factor(rule: &mut RuleReader<'_, '_>) -> Option<Decimal> {
    rule.need("factor").and_then(|entry| factor_of(entry, rule.report))
}

/// Greater than 0, of few digits.
pub(super) fn factor_of(entry: &Entry, report: &mut super::report::Report<'_>) -> Option<Decimal> {
    let factor = fields::decimal(entry, MILLIONTH, MAX_FACTOR, report)?.normalize();
    if factor.scale() > FACTOR_DIGITS {
        let message = format!("`factor` has at most {FACTOR_DIGITS} digits after the point");
        report.error(entry.value.at, message);
        return None;
    }
    Some(factor)
}

fn number(
    fields: &Fields<'_>,
    key: &str,
    least: Decimal,
    report: &mut super::report::Report<'_>,
) -> Option<Decimal> {
    match fields.entry(key) {
        Some(entry) => fields::decimal(entry, least, MAX_BOUND, report),
        None => Some(Decimal::ONE),
    }
}

/// How far back the references are, in the order of the file; all 0 if the rule names none.
fn offsets(rule: &mut RuleReader<'_, '_>, within_ms: Option<i64>) -> Option<[i64; OFFSETS_MAX]> {
    let mut offsets_ms = [0; OFFSETS_MAX];
    let Some(entry) = rule.fields.entry("offset") else { return Some(offsets_ms) };
    let named = fields::seconds_each(entry, rule.report)?;
    if named.is_empty() || named.len() > OFFSETS_MAX {
        rule.report.error(entry.value.at, format!("`offset` expects 1 to {OFFSETS_MAX} durations"));
        return None;
    }
    let unit_ms = spike_unit_ms(within_ms?);
    for (offset, (at, ms)) in offsets_ms.iter_mut().zip(&named) {
        if !(1..=MAX_OFFSET_BUCKETS).contains(&(ms / unit_ms)) {
            let (unit, most) = (unit_ms / 1_000, MAX_OFFSET_BUCKETS);
            let message =
                format!("`offset` is 1 to {most} buckets, which are {unit}s long with this `within`");
            rule.report.error(*at, message);
            return None;
        }
        *offset = *ms;
    }
    Some(offsets_ms)
}

/// How long `expect: seen` remembers a key.
const FORGET_AFTER_MS: i64 = 7 * 86_400_000;

pub(super) fn flatline(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let within_ms = window(rule, "within");
    let count = match rule.fields.entry("count") {
        Some(entry) => fields::whole(entry, 1, MAX_COUNT, rule.report),
        None => Some(1),
    };
    let hours = hours(rule);
    let expect = expect(rule);
    Some(Kind::Flatline { count: count?, within_ms: within_ms?, expect: expect?, hours: hours? })
}

/// `hours: [names]`; `Some(None)` when the rule has none.
fn hours(rule: &mut RuleReader<'_, '_>) -> Option<Option<Arc<Hours>>> {
    let Some(entry) = rule.fields.entry("hours") else { return Some(None) };
    let mut hours = Hours { names: Vec::new(), intervals: Vec::new() };
    let texts = fields::texts(entry, rule.report)?;
    if texts.is_empty() {
        rule.report.error(entry.value.at, "`hours` is empty; remove it, or name time intervals");
        return None;
    }
    for name in texts {
        let Some(found) = rule.intervals.get(name.text) else {
            let hint = did_you_mean(name.text, rule.intervals.keys().map(String::as_str));
            let message =
                format!("no time interval `{}` is in `time_intervals` of this file{hint}", name.text);
            rule.report.error(name.at, message);
            return None;
        };
        hours.names.push(name.text.to_owned());
        hours.intervals.extend(found.iter().cloned());
    }
    Some(Some(Arc::new(hours)))
}

fn expect(rule: &mut RuleReader<'_, '_>) -> Option<Expect> {
    let forget_after = rule.fields.entry("forget_after");
    let by = by(rule);
    let entry = match rule.fields.entry("expect") {
        Some(entry) => entry,
        None if by.as_ref().is_some_and(|by| !by.is_empty()) => {
            rule.missing("`expect`");
            return None;
        }
        None => {
            if let Some(entry) = forget_after {
                rule.report.error(entry.key_at, "`forget_after` belongs to `expect: seen`");
            }
            return Some(Expect::Keys(Arc::from([join_key(&[])])));
        }
    };
    if let Content::Scalar { text, quoted: false } = &entry.value.content
        && text == "seen"
    {
        let forget_after_ms = match forget_after {
            Some(entry) => fields::seconds(entry, rule.report)?,
            None => FORGET_AFTER_MS,
        };
        return Some(Expect::Seen { forget_after_ms });
    }
    if let Some(entry) = forget_after {
        rule.report.error(entry.key_at, "`forget_after` belongs to `expect: seen`");
    }
    let Content::List(items) = &entry.value.content else {
        rule.report.error(entry.value.at, "`expect` is a list of keys, or `seen`");
        return None;
    };
    let by = by?;
    if by.is_empty() || items.is_empty() || items.len() > MAX_EXPECTED {
        let message = format!("`expect` lists 1 to {MAX_EXPECTED} keys, of the fields that `by` names");
        rule.report.error(entry.value.at, message);
        return None;
    }
    let mut keys = items.iter().map(|item| key(rule, &by, item)).collect::<Option<Vec<_>>>()?;
    keys.sort_unstable();
    keys.dedup();
    Some(Expect::Keys(keys.into()))
}

/// The key fields, if nothing is wrong with them; what is, is said where the keys of every rule are read.
fn by(rule: &RuleReader<'_, '_>) -> Option<Vec<(String, usize)>> {
    let Some(entry) = rule.fields.entry("by") else { return Some(Vec::new()) };
    let items = match &entry.value.content {
        Content::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    let column = |item: &Node| match &item.content {
        Content::Scalar { text, .. } => Some((text.clone(), rule.format.column(text)?)),
        _ => None,
    };
    items.iter().map(column).collect()
}

/// A key as the engine holds it.
fn key(rule: &mut RuleReader<'_, '_>, by: &[(String, usize)], item: &Node) -> Option<Box<[u8]>> {
    match (&item.content, by) {
        (Content::Scalar { text, .. }, [(_, column)]) => {
            Some(join_key(&[value(rule, item.at, *column, text)?]))
        }
        (Content::Map(entries), _) => {
            if let Some(entry) = entries.iter().find(|entry| !by.iter().any(|(name, _)| *name == entry.key)) {
                rule.report.error(entry.key_at, format!("`{}` is not a field of `by`", entry.key));
                return None;
            }
            let mut texts = Vec::new();
            for (name, column) in by {
                let entry = entries.iter().find(|entry| entry.key == *name);
                let Some(Node { at, content: Content::Scalar { text, .. } }) =
                    entry.map(|entry| &entry.value)
                else {
                    rule.report.error(item.at, format!("a key of `expect` needs a value of `{name}`"));
                    return None;
                };
                texts.push(value(rule, *at, *column, text)?);
            }
            Some(join_key(&texts))
        }
        _ => {
            let message =
                "a key of `expect` is a value of the field of `by`, or a mapping of fields to values";
            rule.report.error(item.at, message);
            None
        }
    }
}

/// A value in the form in which values of its column are compared; empty: null.
pub(super) fn value(rule: &mut RuleReader<'_, '_>, at: usize, column: usize, text: &str) -> Option<String> {
    let column = &rule.format.columns()[column];
    if text.is_empty() {
        return Some(String::new());
    }
    match column.kind.parse(text) {
        Ok(value) => Some(value.to_key().label()),
        Err(_) => {
            let message =
                format!("`{text}` is not a value of `{}`, which is a {}", column.name, column.kind.name());
            rule.report.error(at, message);
            None
        }
    }
}
