//! Every key of a test file of `watchroom test`, as data.

use super::{Key, Need, Value, optional, required};

/// Most lines of one input.
pub(crate) const MAX_REPEAT: u64 = 1_000_000;
/// States that a test may expect, the default first.
pub(crate) const STATES: &[&str] = &["firing", "pending", "resolved", "none"];

/// A test file.
pub(crate) const TEST_FILE: &[Key] = &[
    required(
        "rule_files",
        Value::Names,
        "[../network.yaml]",
        "rule files or folders of them, relative to the test file",
    ),
    optional(
        "start",
        Value::Text,
        Need::Default("2026-01-01 00:00:00"),
        "'2026-11-11 08:00:00'",
        "what durations in `at` count from, in the platform's zone",
    ),
    required("tests", Value::Maps(TEST), "[]", "the tests, each with an engine of its own"),
];

/// A test.
pub(crate) const TEST: &[Key] = &[
    required("name", Value::Text, "twelve errors in a row", "what is tested"),
    optional("input", Value::Maps(TEST_INPUT), Need::Absent("nothing comes"), "[]", "the lines that come"),
    required("expect", Value::Maps(TEST_EXPECT), "[]", "what is to be seen; at least one"),
];

/// A line of a test, or several of a kind.
pub(crate) const TEST_INPUT: &[Key] = &[
    optional(
        "at",
        Value::Text,
        Need::Absent("the line's own time"),
        "10s",
        "time of the first: a duration from the start, or an instant",
    ),
    optional(
        "line",
        Value::Text,
        Need::Or("fields"),
        "'2026-01-01 00:00:00.000||main'",
        "a line as a module prints it; `{i}` is its number among the repeated, from 0",
    ),
    optional(
        "fields",
        Value::Texts,
        Need::Or("line"),
        "{channel: GHT, order_no: 'A{i}'}",
        "columns and their texts instead of a line; `{i}` as in `line`",
    ),
    optional(
        "format",
        Value::Format,
        Need::Absent("`order-trace` for `fields`, told by its looks for `line`"),
        "plain",
        "format of the line",
    ),
    optional("repeat", Value::Whole(1, MAX_REPEAT), Need::Default("1"), "12", "how many"),
    optional("every", Value::Duration(0), Need::Default("0"), "5s", "time between them"),
];

/// What a test expects.
pub(crate) const TEST_EXPECT: &[Key] = &[
    required("at", Value::Text, "1m", "when: a duration from the start, or an instant"),
    required("alert", Value::Text, "ChannelDown", "name of the rule"),
    optional(
        "state",
        Value::Word(STATES),
        Need::Default("firing"),
        "resolved",
        "what the alert is in; `none`: neither pending nor firing",
    ),
    optional(
        "labels",
        Value::Texts,
        Need::Absent("any"),
        "{channel: GHT}",
        "labels that it has, among others",
    ),
    optional(
        "annotations",
        Value::Texts,
        Need::Absent("any"),
        "{summary: '12 errors'}",
        "annotations that it has, among others",
    ),
];
