//! Keys of the kinds, besides those of every rule.
//!
//! Refuses to know: how values are read.

use super::*;
use crate::rule::OFFSETS_MAX;

const WITHIN: Key = required("within", Value::Seconds, "10m", "length of the window");
const WITHIN_MS: Key = required("within", Value::Duration(1), "30s", "how far apart its records may lie");
const MIN_TOTAL: Key = optional(
    "min_total",
    Value::Whole(1, MAX_COUNT),
    Need::Default("1"),
    "20",
    "so many there must be in the window to judge at all",
);
const fn thresholds(numbers: &'static [&'static str]) -> Key {
    optional(
        "thresholds",
        Value::Thresholds(numbers),
        Need::Absent("none"),
        "[{valid_from: 2026-11-11}]",
        "other numbers for some keys, some of the time; the first row that fits wins, see [Thresholds](#thresholds)",
    )
}
const COUNT: Key = required("count", Value::Whole(1, MAX_COUNT), "25", "matches needed in the window");

const DISTINCT_KEYS: [Key; 2] = [
    required("field", Value::Field, "channel", "the field whose distinct non-null values count"),
    required("min", Value::Whole(1, MAX_COUNT), "3", "distinct values needed"),
];
/// `distinct` of a window.
pub(crate) const DISTINCT: &[Key] = &DISTINCT_KEYS;
/// `distinct` of a window of steps.
pub(crate) const DISTINCT_STEPS: &[Key] = &[
    DISTINCT_KEYS[0],
    DISTINCT_KEYS[1],
    optional(
        "over",
        Value::Word(OVER),
        Need::Default("window"),
        "step",
        "over all steps together, or in each of them",
    ),
];
/// Over what distinct values count, the default first.
pub(crate) const OVER: &[&str] = &["window", "step"];

pub(crate) const ANY: &[Key] = &[optional(
    "resolve_after",
    Value::Seconds,
    Need::Default("5m"),
    "10m",
    "active for so long after the last match",
)];

pub(crate) const FREQUENCY: &[Key] = &[
    COUNT,
    WITHIN,
    optional(
        "distinct",
        Value::Map(DISTINCT),
        Need::Absent("none"),
        "{field: channel, min: 3}",
        "so many distinct values are needed besides",
    ),
    thresholds(&["count", "min"]),
];

pub(crate) const SUSTAINED: &[Key] = &[
    required("count", Value::Whole(1, MAX_COUNT), "3", "matches needed in each step"),
    required("every", Value::Seconds, "1m", "length of a step"),
    required(
        "within",
        Value::Seconds,
        "10m",
        "length of the window, a multiple of `every`, at most 10,000 steps",
    ),
    optional(
        "distinct",
        Value::Map(DISTINCT_STEPS),
        Need::Absent("none"),
        "{field: channel, min: 3, over: step}",
        "so many distinct values are needed besides",
    ),
    thresholds(&["count", "min"]),
];

pub(crate) const CONSECUTIVE: &[Key] = &[
    required("count", Value::Whole(1, MAX_RUN), "12", "matches in a row needed"),
    required("within", Value::Duration(1), "1m", "the run must fit into this"),
    optional(
        "reset",
        Value::Condition,
        Need::Absent("none"),
        "'response_code == \"0000\"'",
        "what breaks a run; such a record need not satisfy `where`",
    ),
    thresholds(&["count"]),
];

pub(crate) const CARDINALITY: &[Key] = &[
    required("field", Value::Field, "channel", "the field whose distinct non-null values count"),
    WITHIN,
    optional("min", Value::Whole(1, MAX_DISTINCT), Need::Or("max"), "10", "active with at least so many"),
    optional(
        "max",
        Value::Whole(0, MAX_DISTINCT),
        Need::Or("min"),
        "1",
        "active with at most so many, and a match",
    ),
    thresholds(&["min", "max"]),
];

pub(crate) const RATIO: &[Key] = &[
    required("match", Value::Condition, "'success'", "which of the matches are the part"),
    WITHIN,
    optional(
        "below",
        Value::Number(Decimal::ZERO, Decimal::ONE),
        Need::Or("above"),
        "0.9",
        "the share is less than this",
    ),
    optional(
        "above",
        Value::Number(Decimal::ZERO, Decimal::ONE),
        Need::Or("below"),
        "0.95",
        "the share is more than this",
    ),
    MIN_TOTAL,
    optional(
        "confidence",
        Value::Number(MILLIONTH, MAX_CONFIDENCE),
        Need::Absent("none: the share itself"),
        "0.95",
        "compare the end of the Wilson interval of this two-sided level",
    ),
    thresholds(&["below", "above", "min_total", "confidence"]),
];

pub(crate) const AGGREGATE: &[Key] = &[
    required("fn", Value::Word(AGGREGATES), "p95", "what is made of the values"),
    required("field", Value::NumberField, "amount", "the field"),
    WITHIN,
    optional("above", Value::Number(MIN_BOUND, MAX_BOUND), Need::Or("below"), "3000", "it is more than this"),
    optional("below", Value::Number(MIN_BOUND, MAX_BOUND), Need::Or("above"), "10", "it is less than this"),
    MIN_TOTAL,
    thresholds(&["above", "below", "min_total"]),
];
/// What may be made of the values of a field.
pub(crate) const AGGREGATES: &[&str] = &["sum", "avg", "min", "max", "p50", "p90", "p95", "p99"];

pub(crate) const SPIKE: &[Key] = &[
    WITHIN,
    required(
        "factor",
        Value::Number(MILLIONTH, MAX_FACTOR),
        "3",
        "so many times as much, or as little; at most 6 digits after the point",
    ),
    optional(
        "direction",
        Value::Word(DIRECTIONS),
        Need::Default("up"),
        "both",
        "which way it must have gone",
    ),
    optional(
        "offset",
        Value::SecondsEach(OFFSETS_MAX),
        Need::Absent("the window just before"),
        "[1d, 7d]",
        "compare with the mean at so long ago; each 1 to 1,000,000 buckets",
    ),
    optional(
        "min_reference",
        Value::Number(MILLIONTH, MAX_BOUND),
        Need::Default("1"),
        "20",
        "so much there must have been before",
    ),
    optional(
        "min_current",
        Value::Number(Decimal::ZERO, MAX_BOUND),
        Need::Default("1"),
        "10",
        "`up`: so much there must be now",
    ),
    thresholds(&["factor", "min_reference", "min_current"]),
];
/// Which way, the default first.
pub(crate) const DIRECTIONS: &[&str] = &["up", "down", "both"];

pub(crate) const FLATLINE: &[Key] = &[
    WITHIN,
    optional("count", Value::Whole(1, MAX_COUNT), Need::Default("1"), "5", "so many matches are enough"),
    optional(
        "expect",
        Value::Expect(MAX_EXPECTED),
        Need::Absent("with `by` required, else the one key"),
        "seen",
        "the keys that must come: values of the field of `by`, or mappings of fields to values, or `seen`",
    ),
    optional(
        "forget_after",
        Value::Seconds,
        Need::Default("7d"),
        "1d",
        "with `expect: seen`: a key is expected for so long after a match",
    ),
    optional(
        "hours",
        Value::Names,
        Need::Absent("always"),
        "[office]",
        "names of `time_intervals` of the same file: only windows inside them are judged",
    ),
    thresholds(&["count"]),
];

const EACH: Key = optional(
    "each",
    Value::Field,
    Need::Default("order_no"),
    "serial_no",
    "the field that names the thing; records without it are not looked at",
);
const THINGS: Key = optional(
    "count",
    Value::Whole(1, MAX_COUNT),
    Need::Default("1"),
    "2",
    "bad things of a key needed at once",
);
const RESOLVE_AFTER: Key = optional(
    "resolve_after",
    Value::Duration(1),
    Need::Default("1h"),
    "30m",
    "a thing stays bad for so long",
);

pub(crate) const UNFINISHED: &[Key] = &[
    EACH,
    required("start", Value::Condition, "'step == \"SEND\"'", "what begins a thing"),
    required("finish", Value::Condition, "'step == \"RESULT\"'", "what ends it"),
    required("within", Value::Duration(1), "30s", "the time it has"),
    optional(
        "skew",
        Value::Duration(0),
        Need::Default("1s"),
        "2s",
        "a finish may lie so far before its start",
    ),
    RESOLVE_AFTER,
    THINGS,
    thresholds(&["count"]),
];

pub(crate) const SEQUENCE: &[Key] = &[
    EACH,
    required(
        "steps",
        Value::Conditions(2, MAX_SEQUENCE),
        "['step == \"A\"', 'step == \"B\"']",
        "conditions, one for each step",
    ),
    WITHIN_MS,
    RESOLVE_AFTER,
    THINGS,
    thresholds(&["count"]),
];

pub(crate) const TRANSITION: &[Key] = &[
    EACH,
    required("field", Value::Field, "order_status", "the field whose changes are watched"),
    required(
        "allowed",
        Value::Allowed,
        "{NEW: [PAYING], PAYING: [SUCCESS, FAIL]}",
        "what may follow each value; nothing may follow a value that is not named",
    ),
    RESOLVE_AFTER,
    THINGS,
    thresholds(&["count"]),
];

pub(crate) const MISMATCH: &[Key] = &[
    EACH,
    required("left", Value::Condition, "'step == \"RESULT\"'", "which records are compared"),
    required("right", Value::Condition, "'step == \"SETTLE\"'", "with which records"),
    required(
        "compare",
        Value::Fields(MAX_COMPARE),
        "[amount, channel]",
        "the field or fields that should be equal; null equals only null",
    ),
    WITHIN_MS,
    RESOLVE_AFTER,
    THINGS,
    thresholds(&["count"]),
];

pub(crate) const COMPOSITE: &[Key] = &[
    required(
        "expr",
        Value::Text,
        "'NetworkTrouble && !Maintenance'",
        "names of alerts with `&&`, `||`, `!` and parentheses",
    ),
    optional(
        "on",
        Value::Names,
        Need::Absent("none: one combination"),
        "[channel]",
        "labels of the named alerts; each combination of their values is judged for itself",
    ),
];

pub(crate) const NEW_VALUE: &[Key] = &[
    required("field", Value::Field, "response_code", "the field whose values of each key are the things"),
    optional(
        "remember",
        Value::Duration(1),
        Need::Default("30d"),
        "14d",
        "a value that was not seen for so long is new again",
    ),
    optional(
        "learn",
        Value::Duration(0),
        Need::Default("1d"),
        "2d",
        "for so long after history start nothing is new",
    ),
    RESOLVE_AFTER,
    THINGS,
    thresholds(&["count"]),
];
