//! The table of keys and the parser say the same.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use record::FormatSet;

use super::*;
use crate::spec::fields::tests::looked_up;
use crate::spec::kind::{KINDS, KindSpec};
use crate::spec::{RuleError, RuleFile, RuleSet};

/// What is said about a rule of a kind with these keys and their values.
fn load(spec: &KindSpec, keys: &[(&str, &str)]) -> Vec<RuleError> {
    let mut text =
        "time_intervals: [{name: office, time_intervals: [{times: [{start_time: '09:00', end_time: '24:00'}],
  weekdays: [monday], days_of_month: ['1:5'], months: ['1'], years: ['2026'], location: UTC}]}]
groups:
- name: g
  labels: {}
  rules:
  -
"
        .to_owned();
    for (name, value) in keys {
        let value = if *name == "kind" { spec.name } else { value };
        text += &format!("    {name}: {value}\n");
    }
    static FORMATS: LazyLock<Arc<FormatSet>> =
        LazyLock::new(|| Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai)));
    let files = [RuleFile { name: "r.yaml".to_owned(), text }];
    RuleSet::load(&files, &FORMATS).err().unwrap_or_default()
}

fn all(spec: &KindSpec) -> Vec<Key> {
    RULE.iter().chain(spec.keys).copied().collect()
}

fn example(spec: &KindSpec) -> Vec<(&'static str, &'static str)> {
    all(spec).iter().map(|key| (key.name, key.example)).collect()
}

/// The example of a kind with another value for one key.
fn with(spec: &KindSpec, key: &str, value: &str) -> Vec<RuleError> {
    let keys = example(spec);
    let keys: Vec<_> =
        keys.into_iter().map(|(name, given)| (name, if name == key { value } else { given })).collect();
    load(spec, &keys)
}

#[test]
fn the_parser_reads_every_key_of_the_table_and_no_other() {
    for spec in KINDS.iter().filter(|spec| spec.name != "composite") {
        looked_up();
        let errors = load(spec, &example(spec));
        assert!(errors.is_empty(), "{}: every key with its example: {errors:?}", spec.name);
        let read = looked_up();
        let expect = |what: &'static str, keys: &[Key]| {
            let read: BTreeSet<&str> =
                read.iter().filter(|(w, _)| *w == what).map(|(_, key)| &**key).collect();
            assert_eq!(read, names(keys).into_iter().collect(), "keys of {what}, kind {}", spec.name);
        };
        expect("a rule", &all(spec));
        expect("a rule file", FILE);
        expect("a group", GROUP);
        expect("a time interval", TIME_INTERVAL);
        expect("an interval", INTERVAL);
        expect("a time of day", TIMES);
        for key in spec.keys.iter().filter(|key| key.name == "distinct") {
            if let Value::Map(keys) = key.value {
                expect("`distinct`", keys);
            }
        }
    }
}

#[test]
fn a_rule_needs_just_the_keys_that_are_required() {
    for spec in KINDS.iter().filter(|spec| spec.name != "composite") {
        let mut found_or = BTreeSet::new();
        let is_needed = |key: &Key| match key.need {
            Need::Required => true,
            Need::Or(other) => !found_or.contains(other) && found_or.insert(key.name),
            Need::Default(_) | Need::Absent(_) => false,
        };
        let needed: Vec<Key> = all(spec).into_iter().filter(is_needed).collect();
        let keys: Vec<(&str, &str)> = needed.iter().map(|key| (key.name, key.example)).collect();
        assert!(load(spec, &keys).is_empty(), "{}: {:?}", spec.name, load(spec, &keys));
        for without in &needed {
            let keys: Vec<_> = keys.iter().copied().filter(|(name, _)| *name != without.name).collect();
            let errors = load(spec, &keys);
            let said = errors.iter().any(|error| error.message.contains(&format!("`{}`", without.name)));
            assert!(said, "{} without {}: {errors:?}", spec.name, without.name);
        }
    }
}

#[test]
fn defaults_and_bounds_are_those_of_the_table() {
    let mut checked = 0;
    for spec in KINDS.iter().filter(|spec| spec.name != "composite") {
        for key in all(spec) {
            let (good, bad): (Vec<String>, Vec<String>) = match key.value {
                Value::Whole(least, most) => {
                    let below = least.checked_sub(1).map_or("-1".to_owned(), |n| n.to_string());
                    (vec![least.to_string(), most.to_string()], vec![below, (most + 1).to_string()])
                }
                Value::Number(least, most) => {
                    let good = vec![least.to_string(), most.to_string()];
                    (good, vec![(least - MILLIONTH).to_string(), (most + MILLIONTH).to_string()])
                }
                Value::Duration(least) => {
                    let bad = if least > 0 { vec!["0".to_owned()] } else { vec![] };
                    (vec![format!("{least}ms")], [bad, vec!["10y1ms".to_owned()]].concat())
                }
                Value::Seconds => (vec![], vec!["0".into(), "999ms".into(), "1500ms".into(), "11y".into()]),
                Value::Word(words) => {
                    (words.iter().map(|w| (*w).to_owned()).collect(), vec!["neither".into()])
                }
                Value::SecondsEach(most) | Value::Fields(most) | Value::Conditions(_, most) => {
                    let item = key.example.trim_matches(['[', ']']).split(", ").next().unwrap_or_default();
                    (vec![], vec![format!("[{}]", vec![item; most + 1].join(", "))])
                }
                Value::Condition | Value::Field | Value::NumberField | Value::Format | Value::Kind => {
                    (vec![], vec!["nosuch".into()])
                }
                _ => continue,
            };
            let default = if let Need::Default(value) = key.need { Some(value.to_owned()) } else { None };
            for value in good.iter().chain(&default) {
                let errors = with(spec, key.name, value);
                assert!(errors.is_empty(), "{} {}: {value}: {errors:?}", spec.name, key.name);
            }
            for value in bad.iter().filter(|_| key.name != "kind") {
                assert!(!with(spec, key.name, value).is_empty(), "{} {}: {value}", spec.name, key.name);
            }
            checked += 1;
        }
    }
    assert!(checked > 150, "{checked}");
}
