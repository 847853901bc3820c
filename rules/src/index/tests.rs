//! The index against its reference: every rule asked about every record.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, FormatSet};

use super::*;
use crate::spec::{RuleFile, RuleSet};

/// Rules with the given `where` and `reset`.
fn rules(formats: &Arc<FormatSet>, conditions: &[(String, Option<String>)]) -> Vec<Rule> {
    let mut text = "groups:\n- name: g\n  rules:\n".to_owned();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    for (position, (filter, reset)) in conditions.iter().enumerate() {
        let reset = reset.as_ref().map(|reset| format!(", reset: {}", quoted(reset))).unwrap_or_default();
        text.push_str(&format!(
            "  - {{alert: R{position}, kind: consecutive, count: 2, within: 1m, where: {}{reset}}}\n",
            quoted(filter)
        ));
    }
    let file = RuleFile { name: "r.yaml".to_owned(), text };
    RuleSet::load(&[file], formats).unwrap_or_else(|errors| panic!("{}", errors[0])).rules
}

/// What [`RuleIndex::hits`] must answer.
fn reference(rules: &[Rule], record: &RecordRef<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (rule, position) in rules.iter().zip(0..) {
        let of_format = rule.format == record.row.format;
        let matched = of_format && rule.filter.holds(record);
        let reset = match &rule.kind {
            Kind::Consecutive { reset: Some(reset), .. } => of_format && reset.holds(record),
            _ => false,
        };
        if matched || reset {
            hits.push(Hit { rule: position, matched, reset });
        }
    }
    hits
}

fn check(formats: &FormatSet, rules: &[Rule], batch: &Batch) {
    let mut index = RuleIndex::new(rules);
    let mut hits = vec![Hit { rule: 9, matched: true, reset: true }];
    for record in batch.records(formats) {
        index.hits(&record, &mut hits);
        assert_eq!(hits, reference(rules, &record), "{}", record.frame());
    }
}

fn leaf() -> impl Strategy<Value = String> {
    let texts = prop_oneof![Just("channel"), Just("response_code"), Just("response_message")];
    let words =
        prop_oneof![Just("A"), Just("B"), Just("AB"), Just("b"), Just("NET_ERR"), Just("é"), Just("支付")];
    let lower = prop_oneof![Just("a"), Just("b"), Just("ab"), Just("é"), Just("支付")];
    let text_test = prop_oneof![Just("contains"), Just("startsWith"), Just("endsWith"), Just("matches")];
    prop_oneof![
        (texts.clone(), words.clone()).prop_map(|(f, w)| format!("{f} == \"{w}\"")),
        (texts.clone(), words.clone()).prop_map(|(f, w)| format!("{f} != \"{w}\"")),
        (texts.clone(), words.clone()).prop_map(|(f, w)| format!("{f} < \"{w}\"")),
        (texts.clone(), words.clone(), words.clone())
            .prop_map(|(f, v, w)| format!("{f} in [\"{v}\", \"{w}\"]")),
        (texts.clone(), text_test.clone(), words).prop_map(|(f, t, w)| format!("{f}.{t}(\"{w}\")")),
        (texts.clone(), text_test, lower.clone()).prop_map(|(f, t, w)| format!("lower({f}).{t}(\"{w}\")")),
        (texts.clone(), lower).prop_map(|(f, w)| format!("lower({f}) == \"{w}\"")),
        texts.prop_map(|f| format!("has({f})")),
        (0..4).prop_map(|n| format!("amount == {n}.0")),
        (0..4).prop_map(|n| format!("amount in [{n}, 9]")),
        (prop_oneof![Just(">="), Just(">"), Just("<"), Just("<=")], 0..4)
            .prop_map(|(order, n)| format!("amount {order} {n}")),
        (0..4).prop_map(|n| format!("elapsed_ms > {n}")),
        (0..4).prop_map(|n| format!("elapsed_ms == {n}")),
        (0..4).prop_map(|n| format!("client_ip == \"10.0.0.{n}\"")),
        Just("client_ip.inCidr(\"10.0.0.2/31\")".to_owned()),
        Just("success".to_owned()),
        Just("success == false".to_owned()),
        Just("request_time == timestamp(\"2016-07-22T10:15:00Z\")".to_owned()),
        Just("refund_amount == amount".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" || "))),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

fn fields() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let text = prop_oneof![
        Just(""),
        Just("A"),
        Just("B"),
        Just("AB"),
        Just("ab"),
        Just("xABb"),
        Just("NET_ERR"),
        Just("É"),
        Just("支付失败")
    ];
    let number =
        prop_oneof![Just(""), Just("0"), Just("1.0"), Just("2.00"), Just("3"), Just("9"), Just("none")];
    let ip = prop_oneof![
        Just(""),
        Just("10.0.0.1"),
        Just("10.0.0.2"),
        Just("10.0.0.3"),
        Just("10.999.0.1"),
        Just("::1")
    ];
    let success = prop_oneof![Just(""), Just("true"), Just("false"), Just("perhaps")];
    let time =
        prop_oneof![Just(""), Just("2016-07-22 18:15:00"), Just("2016-07-22 18:15:00.000"), Just("soon")];
    ((text.clone(), text.clone(), text), (number.clone(), number.clone(), number), (ip, success, time))
        .prop_map(|((a, b, c), (d, e, f), (g, h, i))| {
            let names = [
                ("channel", a),
                ("response_code", b),
                ("response_message", c),
                ("amount", d),
                ("elapsed_ms", e),
                ("refund_amount", f),
                ("client_ip", g),
                ("success", h),
                ("request_time", i),
            ];
            names.into_iter().map(|(name, text)| (name, text.to_owned())).collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_index_finds_what_asking_every_rule_finds(
        conditions in prop::collection::vec((condition(), prop::option::of(condition())), 1..12),
        records in prop::collection::vec(fields(), 1..12),
    ) {
        let formats = sample::formats();
        let trace = formats.find("order-trace").unwrap();
        let rules = rules(&formats, &conditions);
        let mut batch = Batch::default();
        for record in &records {
            let named: Vec<(&str, &str)> = record.iter().map(|(name, text)| (*name, text.as_str())).collect();
            sample::push(&mut batch, &formats, trace, &named);
        }
        check(&formats, &rules, &batch);
    }
}

#[test]
fn records_of_another_format_concern_no_rule() {
    let formats = sample::formats();
    let rules = rules(&formats, &[("true".to_owned(), None)]);
    let mut batch = sample::record(&formats, formats.find("plain").unwrap(), &[("text", "A")]);
    sample::push(&mut batch, &formats, formats.find("order-trace").unwrap(), &[]);
    check(&formats, &rules, &batch);
}

#[test]
fn equal_conditions_are_one_and_shared_parts_are_one_node() {
    let formats = sample::formats();
    let condition = |text: &str| (text.to_owned(), Some("response_code == \"0000\"".to_owned()));
    let rules = rules(
        &formats,
        &[
            condition("channel == \"A\" && fee == amount"),
            condition("fee == amount && channel == 'A'"),
            condition("channel == \"B\" && fee == amount"),
        ],
    );
    let index = RuleIndex::new(&rules);
    let format = &index.formats[usize::from(rules[0].format.0)];
    // Two distinct filters and one reset. What is left to ask of the filters is one part, of the reset nothing.
    assert_eq!((format.roots.len(), format.shared.len(), format.always.len()), (3, 2, 0));
}

#[test]
fn a_number_is_asked_of_those_bounds_only_that_it_meets() {
    let formats = sample::formats();
    let bounds = |n: u32| [format!("amount > {n}.5"), format!("channel == \"A\" && elapsed_ms >= {n}")];
    let conditions: Vec<_> = (0..100).flat_map(bounds).map(|text| (text, None)).collect();
    let rules = rules(&formats, &conditions);
    let mut index = RuleIndex::new(&rules);
    let trace = formats.find("order-trace").unwrap();
    let batch = sample::record(&formats, trace, &[("channel", "A"), ("amount", "1.6"), ("elapsed_ms", "2")]);
    let mut hits = Vec::new();
    index.hits(&batch.record(0, &formats), &mut hits);
    let found: Vec<u32> = hits.iter().map(|hit| hit.rule).collect();
    assert_eq!(found, [0, 1, 2, 3, 5]);
    assert_eq!(index.formats[usize::from(trace.0)].candidates.len(), 5);
}

#[test]
fn the_rarest_key_is_chosen() {
    let formats = sample::formats();
    let conditions: Vec<_> = (0..100)
        .map(|n| (format!("response_code == \"NET_ERR\" && merchant_no == \"M{n}\""), None))
        .collect();
    let rules = rules(&formats, &conditions);
    let mut index = RuleIndex::new(&rules);
    let trace = formats.find("order-trace").unwrap();
    let batch = sample::record(&formats, trace, &[("response_code", "NET_ERR"), ("merchant_no", "M7")]);
    let mut hits = Vec::new();
    index.hits(&batch.record(0, &formats), &mut hits);
    assert_eq!(hits, [Hit { rule: 7, matched: true, reset: false }]);
    assert_eq!(index.formats[usize::from(trace.0)].candidates.len(), 1);
}

#[test]
fn record_numbers_begin_anew_without_a_trace_of_the_past() {
    let formats = sample::formats();
    let rules =
        rules(&formats, &[("channel == \"A\"".to_owned(), None), ("channel != \"A\"".to_owned(), None)]);
    let trace = formats.find("order-trace").unwrap();
    let mut batch = Batch::default();
    for channel in ["A", "B", "A", "", "B", "A"] {
        sample::push(&mut batch, &formats, trace, &[("channel", channel)]);
    }
    let mut index = RuleIndex::new(&rules);
    index.formats[usize::from(trace.0)].shared.skip_to_end();
    let mut hits = Vec::new();
    for record in batch.records(&formats) {
        index.hits(&record, &mut hits);
        assert_eq!(hits, reference(&rules, &record));
    }
}
