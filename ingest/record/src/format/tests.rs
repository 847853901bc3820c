//! Formats of the configuration: what they become, and what errors say.

use expect_test::{Expect, expect};

use super::*;

fn shipped() -> FormatSet {
    FormatSet::shipped(chrono_tz::Asia::Shanghai)
}

fn load(yaml: &str) -> Result<FormatSet, FormatError> {
    shipped().with(vec![serde_saphyr::from_str(yaml).expect("the test's own YAML")])
}

#[expect(clippy::needless_pass_by_value, reason = "`expect!` makes values")]
fn refuses(yaml: &str, expect: Expect) {
    expect.assert_eq(&load(yaml).expect_err("it is refused").message);
}

#[test]
fn shipped_formats() {
    let set = shipped();
    let names: Vec<&str> = set.iter().map(|(_, f)| f.name()).collect();
    assert_eq!(names, ["order-trace", "order-message", "logfmt", "plain"]);
    let trace = set.get(set.find("order-trace").unwrap());
    assert_eq!(trace.columns().len(), 66);
    assert_eq!(trace.time_column(), Some(0));
    let of = |kind: &str| -> Vec<&str> {
        trace.columns().iter().filter(|c| c.kind.name() == kind).map(|c| &*c.name).collect()
    };
    let stamps = ["log_time", "request_time", "order_created_at", "sent_at", "replied_at", "settled_at"];
    assert_eq!(of("timestamp"), stamps);
    assert_eq!(of("decimal"), ["amount", "fee", "refund_amount"]);
    assert_eq!(of("integer"), ["elapsed_ms"]);
    assert_eq!(of("bool"), ["success"]);
    assert_eq!(of("ip"), ["host_ip", "client_ip"]);
    for (name, position) in
        [("order_no", 5), ("channel", 14), ("amount", 31), ("card_no", 49), ("callback_token", 61)]
    {
        assert_eq!(trace.column(name), Some(position - 1));
    }
}

#[test]
fn a_format_is_added_or_replaces_one() {
    let set = load("{name: refunds, delimiter: '|', time: at, columns: [{name: at, type: timestamp, zone: UTC}, {name: no}]}")
        .unwrap();
    assert_eq!(set.iter().count(), 5);
    let format = set.get(set.find("refunds").unwrap());
    assert_eq!(format.columns()[0].kind, ColumnType::Timestamp { zone: chrono_tz::UTC, pattern: "".into() });
    let set = load("{name: order-trace, zone: UTC, time: t, columns: [{name: t, type: timestamp}]}").unwrap();
    assert_eq!(set.iter().count(), 4);
    assert_eq!(set.get(set.find("order-trace").unwrap()).columns().len(), 1);
}

#[test]
fn errors_name_the_format_the_key_and_the_nearest_name() {
    refuses(
        "{name: f, time: log_tme, columns: [{name: log_time, type: timestamp}]}",
        expect!["format `f`: time: `log_tme` is not known; did you mean `log_time`?"],
    );
    refuses(
        "{name: f, columns: [{name: a, type: decimel}]}",
        expect!["format `f`: columns[0] `a`: type: `decimel` is not known; did you mean `decimal`?"],
    );
    refuses(
        "{name: f, zone: Asia/Shangai, columns: [{name: a}]}",
        expect!["format `f`: zone: `Asia/Shangai` is not known; did you mean `Asia/Shanghai`?"],
    );
    refuses(
        "{name: f, columns: [{name: a, type: timestamp, zone: utcc}]}",
        expect!["format `f`: columns[0] `a`: zone: `utcc` is not known; did you mean `UTC`?"],
    );
    refuses(
        "{name: f, columns: [{name: a, type: timestamp, pattern: '%Y-%Q'}]}",
        expect![
            "format `f`: columns[0] `a`: pattern: `%Y-%Q` is no strftime pattern; an example: %d/%m/%Y %H:%M:%S"
        ],
    );
    refuses(
        "{name: f, columns: [{name: a, type: timestamp, pattern: 'YYYY'}]}",
        expect![
            "format `f`: columns[0] `a`: pattern: `YYYY` has no `%` field; an example: %d/%m/%Y %H:%M:%S"
        ],
    );
    refuses(
        "{name: f, columns: [{name: a, pattern: '%Y'}]}",
        expect![
            "format `f`: columns[0] `a`: type: zone and pattern are for timestamps; add `type: timestamp`"
        ],
    );
    refuses(
        "{name: f, columns: [{name: a}, {name: a}]}",
        expect!["format `f`: columns[1].name: `a` is there twice"],
    );
    refuses("{name: f, columns: [{name: ''}]}", expect!["format `f`: columns[0] ``: name: is empty"]);
    refuses("{name: f, columns: []}", expect!["format `f`: columns: must be 1 to 1024, not 0"]);
    refuses("{name: '', columns: [{name: a}]}", expect!["format ``: name: is empty"]);
    refuses("{name: f, delimiter: '', columns: [{name: a}]}", expect!["format `f`: delimiter: is empty"]);
    refuses(
        "{name: f, time: a, columns: [{name: a}]}",
        expect!["format `f`: time: column `a` is no timestamp; give it `type: timestamp`"],
    );
    refuses(
        "{name: plain, columns: [{name: a}]}",
        expect![
            "format `plain`: every other line is kept in it, so it cannot be replaced; choose another name"
        ],
    );
    refuses(
        "{name: f, grammar: plain, columns: [{name: a}]}",
        expect!["format `f`: grammar: `plain` is for the shipped format only; use delimited or logfmt"],
    );
    refuses(
        "{name: f, columns: [{name: a}], detect: {columns: 3}}",
        expect!["format `f`: detect.columns: needs a time column; name it with `time`"],
    );
    refuses(
        "{name: f, columns: [{name: kind}], detect: {field: {column: knd, values: [x]}}}",
        expect!["format `f`: detect.field.column: `knd` is not known; did you mean `kind`?"],
    );
    let many: Vec<String> = (0..129).map(|i| format!("{{name: c{i}, type: integer}}")).collect();
    refuses(
        &format!("{{name: f, columns: [{}]}}", many.join(", ")),
        expect!["format `f`: columns[128] `c128`: type: columns from the 129th on are strings"],
    );
    let twice: FormatConfig = serde_saphyr::from_str("{name: f, columns: [{name: a}]}").unwrap();
    assert!(shipped().with(vec![twice.clone(), twice]).unwrap_err().message.contains("described twice"));
}

#[test]
fn unknown_keys_are_refused() {
    let read = |yaml| serde_saphyr::from_str::<FormatConfig>(yaml).unwrap_err().to_string();
    assert!(read("{name: f, delimeter: '|', columns: [{name: a}]}").contains("delimeter"));
    assert!(read("{name: f, columns: [{name: a, tipe: ip}]}").contains("tipe"));
    assert!(read("{name: f, columns: [{name: a}], detect: {prgram: [a]}}").contains("prgram"));
}
