//! `thresholds:` of a rule: rows of key values with the numbers that they override, and when.
//!
//! ```yaml
//! thresholds:
//!   - {channel: GHT, count: 30, valid_from: 2026-11-11, valid_to: 2026-11-12}
//!   - {channel: GHT, count: 12}
//! ```
//! Refuses to know: which row applies to what (the engine asks), records.

use std::sync::Arc;

use chrono::DateTime;
use record::{ColumnType, Format, InstantMs};

use super::fields::{self, Fields, Text};
use super::group::{RuleReader, list};
use super::keys::{self, Key, MAX_COUNT, MAX_ROWS, Value};
use super::kind::KINDS;
use super::node::{Content, Entry};
use super::volume;
use crate::rule::{Kind, Numbers, Row};

const VALID_FROM: &str = "valid_from";
const VALID_TO: &str = "valid_to";
/// Keys of durations: what they say cannot be overridden.
const DURATIONS: [&str; 14] = [
    "within",
    "every",
    "for",
    "keep_firing_for",
    "lateness",
    "settle",
    "resolve_after",
    "forget_after",
    "offset",
    "skew",
    "remember",
    "learn",
    "hours",
    "expect",
];

/// The numbers of a kind that a row may override, and what each takes.
fn numbers_of(kind: &Kind) -> Vec<(&'static str, Value)> {
    let keys = KINDS.iter().find(|spec| spec.name == kind.name()).map_or(&[][..], |spec| spec.keys);
    let find = |keys: &[Key], name: &str| keys.iter().find(|key| key.name == name).map(|key| key.value);
    let Some(Value::Thresholds(names)) = find(keys, "thresholds") else { return Vec::new() };
    let value = |name: &'static str| {
        let value = match (name, kind) {
            // None at all is enough: the key is not expected for a while.
            ("count", Kind::Flatline { .. }) => Value::Whole(0, MAX_COUNT),
            ("min", Kind::Frequency { distinct, .. } | Kind::Sustained { distinct, .. }) => {
                distinct.and(find(keys::DISTINCT, name))?
            }
            _ => find(keys, name)?,
        };
        Some((name, value))
    };
    names.iter().filter_map(|name| value(name)).collect()
}

/// The rows of a rule; none where it has no `thresholds`. `None` after reporting what is wrong.
pub(super) fn read(
    rule: &mut RuleReader<'_, '_>,
    kind: &Kind,
    by: &[(Arc<str>, usize)],
) -> Option<Arc<[Row]>> {
    let numbers = numbers_of(kind);
    if numbers.is_empty() {
        // That there is such a key is said where the keys of every rule are checked.
        return Some(Arc::from([]));
    }
    let Some(entry) = rule.fields.entry("thresholds") else { return Some(Arc::from([])) };
    let names = numbers.iter().map(|(name, _)| *name).chain([VALID_FROM, VALID_TO, "distinct"]);
    if let Some(name) = names.into_iter().find(|name| by.iter().any(|(field, _)| **field == **name)) {
        let message = format!("`thresholds` cannot tell the field `{name}` of `by` from the number `{name}`");
        rule.report.error(entry.key_at, message);
        return None;
    }
    let Content::List(items) = &entry.value.content else {
        // Says what is wrong with it.
        if list(entry, rule.report).is_empty() && entry.value.content == Content::Null {
            rule.report.error(entry.key_at, "`thresholds` has no rows; add one, or remove it");
        }
        return None;
    };
    if items.is_empty() || items.len() > MAX_ROWS {
        rule.report.error(entry.value.at, format!("`thresholds` has 1 to {MAX_ROWS} rows"));
        return None;
    }
    let mut reader = RowReader { rule, numbers: &numbers, by };
    let rows: Vec<Option<Row>> = items
        .iter()
        .map(|item| {
            let fields = Fields::of(item, "a row of `thresholds`", reader.rule.report)?;
            reader.row(fields)
        })
        .collect();
    rows.into_iter().collect()
}

struct RowReader<'a, 'b, 'r> {
    rule: &'a mut RuleReader<'b, 'r>,
    numbers: &'a [(&'static str, Value)],
    by: &'a [(Arc<str>, usize)],
}

impl RowReader<'_, '_, '_> {
    fn row(&mut self, fields: Fields<'_>) -> Option<Row> {
        let errors_before = self.rule.report.errors.len();
        let place = self.rule.report.source.place(fields.at);
        let mut row = Row {
            by: vec![None; self.by.len()],
            from_ms: None,
            until_ms: None,
            numbers: Numbers::default(),
            place: format!("{}:{}", self.rule.report.file, place.line).into(),
        };
        for entry in fields.entries() {
            let field = self.by.iter().position(|(name, _)| **name == *entry.key);
            let number = self.numbers.iter().find(|(name, _)| *name == entry.key);
            match (field, number, &*entry.key) {
                (Some(field), ..) => row.by[field] = self.value(entry, self.by[field].1),
                (None, Some((name, value)), _) => self.number(entry, name, *value, &mut row.numbers),
                (None, None, VALID_FROM) => row.from_ms = self.instant(entry),
                (None, None, VALID_TO) => row.until_ms = self.instant(entry),
                (None, None, "distinct") if self.numbers.iter().any(|(name, _)| *name == "min") => {
                    self.distinct(entry, &mut row.numbers);
                }
                _ => self.unknown(entry),
            }
        }
        if let (Some(from), Some(until)) = (row.from_ms, row.until_ms)
            && from >= until
        {
            let at = fields.entry(VALID_TO).map_or(fields.at, |entry| entry.value.at);
            let message = "`valid_to` is the first instant at which the row no longer holds: it must be after \
                           `valid_from`";
            self.rule.report.error(at, message);
        }
        (self.rule.report.errors.len() == errors_before).then_some(row)
    }

    /// What a key must have in a field of `by`; empty: nothing.
    fn value(&mut self, entry: &Entry, column: usize) -> Option<Box<str>> {
        match &entry.value.content {
            Content::Scalar { text, .. } => {
                volume::value(self.rule, entry.value.at, column, text).map(String::into_boxed_str)
            }
            Content::Null => {
                let message =
                    format!("`{}` has no value; '' means an absent one, a key left out any", entry.key);
                self.rule.report.error(entry.key_at, message);
                None
            }
            other => {
                let message = format!("`{}` expects a single value, found {}", entry.key, other.name());
                self.rule.report.error(entry.value.at, message);
                None
            }
        }
    }

    fn number(&mut self, entry: &Entry, name: &str, value: Value, numbers: &mut Numbers) {
        let report = &mut *self.rule.report;
        let (mut whole, mut exact) = (None, None);
        match value {
            Value::Whole(least, most) => whole = fields::whole(entry, least, most, report),
            _ if name == "factor" => exact = volume::factor_of(entry, report),
            Value::Number(least, most) => exact = fields::decimal(entry, least, most, report),
            _ => {}
        }
        match name {
            "count" => numbers.count = whole,
            "min" => numbers.min = whole,
            "max" => numbers.max = whole,
            "min_total" => numbers.min_total = whole,
            "below" => numbers.below = exact,
            "above" => numbers.above = exact,
            "confidence" => numbers.confidence = exact,
            "factor" => numbers.factor = exact,
            "min_reference" => numbers.min_reference = exact,
            _ => numbers.min_current = exact,
        }
    }

    /// `distinct: {min: 5}` is another way to write `min: 5`.
    fn distinct(&mut self, entry: &Entry, numbers: &mut Numbers) {
        let Some(map) = Fields::of(&entry.value, "`distinct` of a row", self.rule.report) else { return };
        map.only(&keys::DISTINCT[1..], self.rule.report);
        if let Some(min) = map.need("min", self.rule.report) {
            if numbers.min.is_some() {
                self.rule.report.error(min.key_at, "`min` stands in this row twice; remove one");
            }
            numbers.min = fields::whole(min, 1, MAX_COUNT, self.rule.report);
        }
    }

    fn instant(&mut self, entry: &Entry) -> Option<InstantMs> {
        let text = fields::text(entry, self.rule.report)?;
        let found = instant(text, self.rule.format);
        if found.is_none() {
            let message = format!(
                "`{}` is a date (2026-11-11), a time (2026-11-11 08:30[:00[.000]]) in the format's zone, or one with \
                 its own offset (2026-11-11T08:30:00+08:00), found `{}`",
                entry.key, text.text
            );
            self.rule.report.error(text.at, message);
        }
        found
    }

    fn unknown(&mut self, entry: &Entry) {
        if DURATIONS.contains(&&*entry.key) {
            let message = format!("`{}` cannot be overridden, only numbers can", entry.key);
            self.rule.report.error(entry.key_at, message);
            return;
        }
        let fields = self.by.iter().map(|(name, _)| &**name);
        let numbers = self.numbers.iter().map(|(name, _)| *name);
        let known: Vec<&str> = fields.chain(numbers).chain([VALID_FROM, VALID_TO]).collect();
        fields::unknown_key(entry, "a row of `thresholds`", &known, self.rule.report);
    }
}

/// An instant with its own offset, or a local time or date of the zone in which the format's lines tell the time.
fn instant(text: Text<'_>, format: &Format) -> Option<InstantMs> {
    // Seconds may be left out before an offset too.
    let with_seconds = match (text.text.get(..16), text.text.get(16..)) {
        (Some(minute), Some(offset)) if offset.starts_with(['+', '-', 'Z', 'z']) => {
            format!("{minute}:00{offset}")
        }
        _ => text.text.to_owned(),
    };
    if let Ok(instant) = DateTime::parse_from_rfc3339(&with_seconds) {
        return Some(instant.timestamp_millis());
    }
    let zone = match format.time_column().and_then(|column| format.columns().get(column)).map(|c| &c.kind) {
        Some(ColumnType::Timestamp { zone, .. }) => *zone,
        _ => chrono_tz::UTC,
    };
    let local = text.text.replacen('T', " ", 1);
    let whole = match local.len() {
        10 => format!("{local} 00:00:00"),
        16 => format!("{local}:00"),
        _ => local,
    };
    record::parse_timestamp(whole.as_bytes(), zone)
}
