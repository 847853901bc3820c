//! Kinds about how much comes: `spike`.

use record::Decimal;

use super::fields::{self, Fields};
use super::group::RuleReader;
use super::kind::{MAX_BOUND, window};
use crate::engine::spike_unit_ms;
use crate::rule::{Kind, OFFSETS_MAX, Spike};

/// Digits of a factor after the point.
const FACTOR_DIGITS: u32 = 6;
/// Greatest factor.
const MAX_FACTOR: i64 = 1_000;
/// Most buckets that an offset may reach back: each is kept.
const MAX_OFFSET_BUCKETS: i64 = 1_000_000;

pub(super) fn spike(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    let within_ms = window(rule, "within");
    let factor = factor(rule);
    let direction = match rule.fields.entry("direction") {
        Some(entry) => fields::word(entry, &["up", "down", "both"], rule.report),
        None => Some("up"),
    };
    let offsets_ms = offsets(rule, within_ms);
    let least = Decimal::new(1, 6);
    let min_reference = number(&rule.fields, "min_reference", least, rule.report);
    let min_current = number(&rule.fields, "min_current", Decimal::ZERO, rule.report);
    // What is wrong with `sum` is said where the keys of every rule are read.
    let sum = rule.fields.entry("sum").and_then(|entry| match &entry.value.content {
        super::node::Content::Scalar { text, .. } => rule.format.column(text),
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
    let entry = rule.need("factor")?;
    let most = Decimal::from(MAX_FACTOR);
    let factor = fields::decimal(entry, Decimal::new(1, FACTOR_DIGITS), most, rule.report)?.normalize();
    if factor.scale() > FACTOR_DIGITS {
        let message = format!("`factor` has at most {FACTOR_DIGITS} digits after the point");
        rule.report.error(entry.value.at, message);
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
        Some(entry) => fields::decimal(entry, least, Decimal::from(MAX_BOUND), report),
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
