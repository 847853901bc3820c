//! What logic says of a condition is true of records.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::Condition;
use crate::index::sample;

fn leaves() -> impl Strategy<Value = String> {
    let text = prop::sample::select(&["A", "B", "AB", "BA", "C"][..]);
    let number = prop::sample::select(&["1", "2", "2.0", "3"][..]);
    let order = prop::sample::select(&["==", "!=", "<", "<=", ">", ">="][..]);
    prop_oneof![
        (order.clone(), text.clone()).prop_map(|(op, v)| format!("channel {op} \"{v}\"")),
        (text.clone(), text.clone()).prop_map(|(v, w)| format!("channel in [\"{v}\", \"{w}\"]")),
        (prop::sample::select(&["startsWith", "endsWith", "contains"][..]), text.clone())
            .prop_map(|(f, v)| format!("channel.{f}(\"{v}\")")),
        (prop::sample::select(&["==", "!="][..]), text)
            .prop_map(|(op, v)| format!("lower(channel) {op} \"{}\"", v.to_lowercase())),
        (order, number.clone()).prop_map(|(op, v)| format!("amount {op} {v}")),
        (number.clone(), number).prop_map(|(v, w)| format!("amount in [{v}, {w}]")),
        prop::sample::select(
            &[
                "success",
                "success == false",
                "has(channel)",
                "has(amount)",
                "has(success)",
                "amount < fee",
                "amount == fee",
                "client_ip.inCidr(\"10.0.0.0/8\")",
                "client_ip == \"10.0.0.1\"",
                "client_ip == \"192.168.0.1\"",
            ][..]
        )
        .prop_map(str::to_owned),
    ]
}

fn conditions() -> impl Strategy<Value = String> {
    leaves().prop_recursive(3, 16, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 2..4);
        let joined = |join: &'static str| {
            move |parts: Vec<String>| {
                let parts: Vec<String> = parts.into_iter().map(|part| format!("({part})")).collect();
                parts.join(join)
            }
        };
        prop_oneof![
            some().prop_map(joined(" && ")),
            some().prop_map(joined(" || ")),
            inner.clone().prop_map(|one| format!("!({one})")),
        ]
    })
}

/// Every record of a small world.
fn world() -> Vec<Vec<(&'static str, &'static str)>> {
    let mut all = Vec::new();
    for channel in ["", "A", "a", "B", "AB", "ABA", "C", "D"] {
        for amount in ["", "0", "1.00", "1.5", "2", "3", "4"] {
            for success in ["", "true", "false"] {
                for (fee, ip) in [("", ""), ("2", "10.0.0.1"), ("1", "192.168.0.1"), ("3", "10.9.9.9")] {
                    let fields = [
                        ("channel", channel),
                        ("amount", amount),
                        ("success", success),
                        ("fee", fee),
                        ("client_ip", ip),
                    ];
                    all.push(fields.into_iter().filter(|(_, text)| !text.is_empty()).collect());
                }
            }
        }
    }
    all
}

#[test]
fn what_is_said_of_conditions_is_true_of_records() {
    let formats = sample::formats();
    let id = formats.find("order-trace").unwrap();
    let format = formats.get(id);
    let batches: Vec<_> = world().iter().map(|fields| sample::record(&formats, id, fields)).collect();
    let channel = format.column("channel").unwrap();
    let said = Cell::new([0_u32; 3]);
    let config = ProptestConfig::with_cases(3_000);
    proptest!(config, |(text in conditions())| {
        let condition = Condition::compile(&text, format).unwrap();
        let test = condition.test();
        let verdicts: Vec<bool> = batches.iter().map(|batch| condition.holds(&batch.record(0, &formats))).collect();
        let mut count = said.get();
        if never(&[test]) {
            count[0] += 1;
            prop_assert!(!verdicts.contains(&true), "{} holds for some record", text);
        }
        if always(test) {
            count[1] += 1;
            prop_assert!(!verdicts.contains(&false), "{} does not hold for every record", text);
        }
        if always_with(test, channel) {
            count[2] += 1;
            for (batch, holds) in batches.iter().zip(&verdicts) {
                prop_assert!(*holds || batch.record(0, &formats).raw(channel).is_none(), "{}", text);
            }
        }
        said.set(count);
    });
    assert!(said.get().iter().all(|count| *count > 20), "too little was said: {:?}", said.get());
}
