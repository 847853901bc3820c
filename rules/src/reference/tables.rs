//! Tables of keys, kinds, durations, places and fields.

use record::FormatSet;

use super::{grouped, table};
use crate::condition::duration::UNITS;
use crate::rule::PLACES;
use crate::spec::LINTS;
use crate::spec::keys::{self, Key, MAX_BOUND, Need, Value};
use crate::spec::kinds;

/// Keys of the mappings around rules.
pub(super) fn file_keys() -> String {
    let mut rows = Vec::new();
    for (of, keys) in [
        ("a file", keys::FILE),
        ("a group", keys::GROUP),
        ("`time_intervals`", keys::TIME_INTERVAL),
        ("one of its `time_intervals`", keys::INTERVAL),
        ("one of its `times`", keys::TIMES),
    ] {
        rows.extend(of_mapping(of, keys));
    }
    table(&["of", "key", "meaning", "takes", "default"], rows)
}

/// Keys of the mappings of a test file.
pub(super) fn test_keys() -> String {
    let rows = [
        ("a test file", keys::TEST_FILE),
        ("one of its `tests`", keys::TEST),
        ("one of `input`", keys::TEST_INPUT),
        ("one of `expect`", keys::TEST_EXPECT),
    ]
    .into_iter()
    .flat_map(|(of, keys)| of_mapping(of, keys));
    table(&["of", "key", "meaning", "takes", "default"], rows)
}

/// Keys of every rule.
pub(super) fn rule_keys() -> String {
    let rows = of_mapping("", keys::RULE).into_iter().map(|row| row.into_iter().skip(1).collect());
    table(&["key", "meaning", "takes", "default"], rows)
}

/// Keys of each kind.
pub(super) fn kind_keys() -> String {
    let rows = kinds().iter().flat_map(|kind| of_mapping(&format!("`{}`", kind.name), kind.keys));
    table(&["kind", "key", "meaning", "takes", "default"], rows)
}

/// The kinds.
pub(super) fn kinds_table() -> String {
    let rows = kinds()
        .iter()
        .map(|kind| vec![format!("`{}`", kind.name), kind.active.to_owned(), kind.early.to_owned()]);
    table(&["kind", "active when", "raised early"], rows)
}

/// Rows of a mapping's keys and of the mappings in them; `of` stands in the first only.
fn of_mapping(of: &str, keys: &[Key]) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for key in keys {
        let of = if rows.is_empty() { of.to_owned() } else { String::new() };
        rows.push(vec![
            of,
            format!("`{}`", key.name),
            key.about.to_owned(),
            takes(&key.value),
            without(&key.need),
        ]);
        let inner = match key.value {
            Value::Map(inner) => inner,
            Value::Maps(inner) if key.name == "thresholds" => inner,
            _ => continue,
        };
        rows.extend(inner.iter().map(|inner| {
            let name = format!("`{}.{}`", key.name, inner.name);
            vec![String::new(), name, inner.about.to_owned(), takes(&inner.value), without(&inner.need)]
        }));
    }
    rows
}

fn without(need: &Need) -> String {
    match need {
        Need::Required => "required".to_owned(),
        Need::Or(other) => format!("it or `{other}` required"),
        Need::Default(value) => format!("`{value}`"),
        Need::Absent(words) => (*words).to_owned(),
    }
}

fn words(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// What a key takes, in words.
fn takes(value: &Value) -> String {
    match value {
        Value::Text => "text".to_owned(),
        Value::Word(all) => words(all),
        Value::Kind => "a kind".to_owned(),
        Value::Format => "a format".to_owned(),
        Value::Whole(least, most) => format!("{} to {}", grouped(*least), grouped(*most)),
        Value::Number(_, most) if *most == MAX_BOUND => "a number up to 10^18".to_owned(),
        Value::Number(least, most) => format!("a number from {least} to {most}"),
        Value::Duration(0) => "a duration".to_owned(),
        Value::Duration(least) => format!("a duration, at least `{least}ms`"),
        Value::Seconds => "whole seconds, at least `1s`".to_owned(),
        Value::SecondsEach(most) => format!("one or up to {most} of whole seconds"),
        Value::Condition => "a [condition](#conditions)".to_owned(),
        Value::Conditions(least, most) => format!("{least} to {most} [conditions](#conditions)"),
        Value::Field => "a field".to_owned(),
        Value::NumberField => "a decimal or integer field".to_owned(),
        Value::Fields(most) => format!("a field, or up to {most}"),
        Value::Labels | Value::Annotations => {
            "names and texts, see [below](#labels-and-annotations)".to_owned()
        }
        Value::Texts => "names and texts".to_owned(),
        Value::Map(keys) => format!("`{{{}}}`", keys::names(keys).join(", ")),
        Value::Maps(_) => "a list".to_owned(),
        Value::Allowed => "`{a: [b, ...]}`, values of the field's type".to_owned(),
        Value::Thresholds(names) => format!("rows of `by` values with {}", words(names)),
        Value::Expect(most) => format!("`seen`, or 1 to {} keys", grouped(*most as u64)),
        Value::Names => "a name, or several".to_owned(),
        Value::Ranges => "values, or ranges `from:to`".to_owned(),
        Value::TimeOfDay => "`00:00` to `24:00`".to_owned(),
        Value::Zone => "a time zone".to_owned(),
    }
}

/// Units of durations.
pub(super) fn durations() -> String {
    let rows = UNITS.iter().map(|(unit, ms)| vec![format!("`{unit}`"), grouped((*ms).unsigned_abs())]);
    table(&["unit", "milliseconds"], rows)
}

/// What fills the places of annotations.
pub(super) fn places() -> String {
    let first = [
        ("`{channel}`, any field of `by`", "the key's value; nothing where it is null"),
        ("`{severity}`, any label", "its value"),
    ];
    let first = first.map(|(place, about)| vec![place.to_owned(), about.to_owned()]);
    let rest = PLACES.iter().map(|(name, about)| vec![format!("`{{{name}}}`"), (*about).to_owned()]);
    table(&["place", "filled with"], first.into_iter().chain(rest))
}

/// Fields of the formats by type.
pub(super) fn fields(formats: &FormatSet) -> String {
    let mut head = vec!["type".to_owned()];
    head.extend(formats.iter().map(|(_, format)| format!("fields of `{}`", format.name())));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows = ["timestamp", "decimal", "integer", "bool", "ip", "string"].map(|kind| {
        let mut row = vec![kind.to_owned()];
        row.extend(formats.iter().map(|(_, format)| {
            let named = format.columns().iter().filter(|column| column.kind.name() == kind);
            named.map(|column| format!("`{}`", column.name)).collect::<Vec<_>>().join(", ")
        }));
        row
    });
    table(&head, rows)
}

/// What `watchroom check` looks for besides faults.
pub(super) fn lints() -> String {
    let rows = LINTS.iter().map(|lint| {
        let when = if lint.style { "`all`" } else { "`default`" };
        vec![format!("`{}`", lint.name), lint.about.to_owned(), when.to_owned()]
    });
    table(&["lint", "finds", "looked for with"], rows)
}
