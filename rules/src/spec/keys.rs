//! Every key of a rule file, and of a test file, as data: where it stands, what it takes, within which bounds, its default, and a sentence.
//!
//! The parser refuses what is not here and takes its bounds from here; the JSON Schema and the tables of docs/rules.md
//! are made from it. A new key is a row here and its reading in `kind`, `things`, ...; a test compares the two.
//! Refuses to know: how values are read.

mod kinds;
mod test_files;
#[cfg(test)]
mod tests;

use record::Decimal;

pub(crate) use kinds::*;
pub(crate) use test_files::*;

/// A key of a mapping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// As it is written.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) value: Value,
    /// Whether it must be there, and what holds if it is not.
    pub(crate) need: Need,
    /// A value that fits, as YAML.
    pub(crate) example: &'static str,
    /// One sentence without a full stop, in Markdown.
    pub(crate) about: &'static str,
}

/// What holds without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It must be there.
    Required,
    /// It, or the other, or both.
    Or(&'static str),
    /// This value, as YAML.
    Default(&'static str),
    /// What is said here, in words.
    Absent(&'static str),
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value {
    /// A single value, read as text; not empty.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a kind.
    Kind,
    /// The name of a format.
    Format,
    /// A whole number within bounds.
    Whole(u64, u64),
    /// An exact number within bounds.
    Number(Decimal, Decimal),
    /// A duration of at least so many milliseconds.
    Duration(i64),
    /// A duration of whole seconds, at least one.
    Seconds,
    /// One or several such durations, at most so many.
    SecondsEach(usize),
    /// A condition.
    Condition,
    /// A list of conditions; least and greatest number of them.
    Conditions(usize, usize),
    /// A field of the format.
    Field,
    /// A decimal or integer field of the format.
    NumberField,
    /// A field, or a list of fields; at most so many.
    Fields(usize),
    /// Label names and their texts.
    Labels,
    /// Names and templates.
    Annotations,
    /// Names and their texts, which may be empty.
    Texts,
    /// A mapping with these keys.
    Map(&'static [Key]),
    /// A list of mappings with these keys.
    Maps(&'static [Key]),
    /// Values and what may follow each.
    Allowed,
    /// Rows of `by` values with the numbers that they override: those keys of the kind (`min` may be that of
    /// `distinct`), besides `valid_from` and `valid_to`.
    Thresholds(&'static [&'static str]),
    /// `seen`, or a list of at most so many keys.
    Expect(usize),
    /// A name, or a list of names.
    Names,
    /// A list of values or `from:to` ranges, written as in the example.
    Ranges,
    /// A time of day, to 24:00.
    TimeOfDay,
    /// A time zone of the IANA database.
    Zone,
}

/// The longest duration a rule may name: ten years.
pub(crate) const MAX_DURATION_MS: i64 = 10 * 365 * 86_400_000;
/// Most matches a threshold may ask for.
pub(crate) const MAX_COUNT: u64 = 1_000_000_000;
/// Most distinct values a threshold may ask for: that many are kept one by one.
pub(crate) const MAX_DISTINCT: u64 = 1_000_000;
/// Longest run: its matches are kept one by one.
pub(crate) const MAX_RUN: u64 = 100_000;
/// Greatest number that an aggregate is compared with: times the number of values it is still exact.
pub(crate) const MAX_BOUND: Decimal = Decimal::from_parts(0xa764_0000, 0x0de0_b6b3, 0, false, 0);
/// [`MAX_BOUND`] below zero.
pub(crate) const MIN_BOUND: Decimal = Decimal::from_parts(0xa764_0000, 0x0de0_b6b3, 0, true, 0);
/// The least number greater than 0 that factors and levels of confidence tell apart.
pub(crate) const MILLIONTH: Decimal = Decimal::from_parts(1, 0, 0, false, 6);
/// Greatest level of confidence.
pub(crate) const MAX_CONFIDENCE: Decimal = Decimal::from_parts(999_999, 0, 0, false, 6);
/// Greatest factor.
pub(crate) const MAX_FACTOR: Decimal = Decimal::ONE_THOUSAND;
/// Most sample lines of an alert.
pub(crate) const MAX_SAMPLES: u64 = 100;
/// Most key columns.
pub(crate) const MAX_BY: usize = 16;
/// Most fields that a `mismatch` compares.
pub(crate) const MAX_COMPARE: usize = 16;
/// Most steps of a `sequence`.
pub(crate) const MAX_SEQUENCE: usize = 16;
/// Most rows of `thresholds`.
pub(crate) const MAX_ROWS: usize = 10_000;
/// Most keys that `expect` lists.
pub(crate) const MAX_EXPECTED: usize = 10_000;

/// Modes of a rule, the default first.
pub(crate) const MODES: &[&str] = &["live", "shadow"];

pub(super) const fn required(
    name: &'static str,
    value: Value,
    example: &'static str,
    about: &'static str,
) -> Key {
    Key { name, value, need: Need::Required, example, about }
}

pub(super) const fn optional(
    name: &'static str,
    value: Value,
    need: Need,
    example: &'static str,
    about: &'static str,
) -> Key {
    Key { name, value, need, example, about }
}

/// A rule file.
pub(crate) const FILE: &[Key] = &[
    required("groups", Value::Maps(GROUP), "[]", "groups of rules, in the order of their judging"),
    optional(
        "time_intervals",
        Value::Maps(TIME_INTERVAL),
        Need::Absent("none"),
        "[]",
        "named hours of this file, for `hours` of `flatline`, in Alertmanager's form",
    ),
];

/// A group.
pub(crate) const GROUP: &[Key] = &[
    required("name", Value::Text, "network", "name of the group, unique in its file"),
    optional(
        "labels",
        Value::Labels,
        Need::Absent("none"),
        "{team: payments}",
        "labels given to every rule of the group",
    ),
    required("rules", Value::Maps(RULE), "[]", "the rules"),
];

/// Keys that every rule may have.
pub(crate) const RULE: &[Key] = &[
    required(
        "alert",
        Value::Text,
        "ChannelDown",
        "name of the rule and of its alerts, unique over all files",
    ),
    required("kind", Value::Kind, "any", "how matches are counted, see [Kinds](#kinds)"),
    optional(
        "format",
        Value::Format,
        Need::Default("order-trace"),
        "order-trace",
        "the format whose records the rule sees",
    ),
    optional(
        "where",
        Value::Condition,
        Need::Absent("every record of the format"),
        "'has(channel)'",
        "which records match",
    ),
    optional(
        "by",
        Value::Fields(MAX_BY),
        Need::Absent("none: one key"),
        "[channel]",
        "fields by whose values matches are told apart, none twice; each combination of values is a *key* and is judged for itself",
    ),
    optional(
        "lateness",
        Value::Duration(0),
        Need::Default("5s"),
        "10s",
        "how far the watermark stays behind",
    ),
    optional("settle", Value::Duration(0), Need::Default("0"), "2s", "how long an early verdict waits"),
    optional(
        "for",
        Value::Duration(0),
        Need::Default("0"),
        "1m",
        "how long it must be active before it fires",
    ),
    optional(
        "keep_firing_for",
        Value::Duration(0),
        Need::Default("0"),
        "5m",
        "how long it stays on after it ceased to be active",
    ),
    optional(
        "labels",
        Value::Labels,
        Need::Absent("none"),
        "{class: alarm, severity: critical}",
        "constant labels of the alerts; they win over those of the group",
    ),
    optional(
        "annotations",
        Value::Annotations,
        Need::Absent("none"),
        "{summary: '{count} errors'}",
        "texts for people, with places to fill",
    ),
    optional(
        "mode",
        Value::Word(MODES),
        Need::Default("live"),
        "shadow",
        "`shadow`: judged, shown and recorded, nobody is told",
    ),
    optional(
        "samples",
        Value::Whole(0, MAX_SAMPLES),
        Need::Default("5"),
        "10",
        "lines that an alert carries",
    ),
    optional(
        "sum",
        Value::NumberField,
        Need::Absent("`amount` where that is a number"),
        "amount",
        "field shown as money at risk, once per distinct `order_no`; for `spike` the field whose sum is compared",
    ),
];

/// A named time interval.
pub(crate) const TIME_INTERVAL: &[Key] = &[
    required("name", Value::Text, "office", "its name, unique in the file"),
    required("time_intervals", Value::Maps(INTERVAL), "[]", "it is the time in any of these"),
];

/// What must hold of an instant that is in an interval.
pub(crate) const INTERVAL: &[Key] = &[
    optional(
        "times",
        Value::Maps(TIMES),
        Need::Absent("all day"),
        "[{start_time: '09:00', end_time: '17:30'}]",
        "times of day",
    ),
    optional(
        "weekdays",
        Value::Ranges,
        Need::Absent("all"),
        "['monday:friday', sunday]",
        "days of the week by name",
    ),
    optional(
        "days_of_month",
        Value::Ranges,
        Need::Absent("all"),
        "['1:5', '-3:-1']",
        "days from 1, or from the end of the month from -1",
    ),
    optional(
        "months",
        Value::Ranges,
        Need::Absent("all"),
        "['january:march', '12']",
        "months by name or number",
    ),
    optional("years", Value::Ranges, Need::Absent("all"), "['2026:2028']", "years from 1970"),
    optional(
        "location",
        Value::Zone,
        Need::Default("UTC"),
        "Asia/Shanghai",
        "time zone in which all of this is meant",
    ),
];

/// A time of day.
pub(crate) const TIMES: &[Key] = &[
    required("start_time", Value::TimeOfDay, "'09:00'", "the first minute"),
    required(
        "end_time",
        Value::TimeOfDay,
        "'17:30'",
        "the first minute that is no longer in it, later than `start_time`; `24:00` is midnight",
    ),
];

/// The names of keys.
pub(crate) fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}
