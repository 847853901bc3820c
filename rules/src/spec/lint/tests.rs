//! Each lint finds what it is for, says where, and keeps quiet about what is right.

use std::collections::BTreeSet;
use std::sync::Arc;

use expect_test::{Expect, expect};
use record::FormatSet;

use super::LINTS;
use crate::spec::{RuleFile, RuleSet};

/// 2026-01-01.
const NOW_MS: i64 = 1_767_225_600_000;

fn lints(text: &str) -> Vec<super::Lint> {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let files = [RuleFile { name: "r.yaml".to_owned(), text: text.to_owned() }];
    RuleSet::lint(&files, &formats, NOW_MS).unwrap_or_else(|errors| panic!("{errors:#?}\n{text}")).1
}

/// Lints of rules in flow form, one a line (the first is line 4); rules get what people need.
fn check(rules: &[&str], expect: &Expect) {
    let mut text = "groups:\n- name: g\n  rules:\n".to_owned();
    for (at, rule) in rules.iter().enumerate() {
        text += &format!(
            "  - {{alert: R{at}, {rule}, labels: {{class: alarm, severity: x}}, annotations: {{summary: s}}}}\n"
        );
    }
    let shown: Vec<String> = lints(&text).iter().map(ToString::to_string).collect();
    expect.assert_eq(&shown.join("\n"));
}

fn wheres(conditions: &[&str]) -> Vec<String> {
    let quoted = conditions.iter().enumerate();
    quoted
        .map(|(at, c)| format!("kind: any, resolve_after: {}s, where: '{}'", at + 1, c.replace('\'', "''")))
        .collect()
}

fn check_where(conditions: &[&str], expect: &Expect) {
    let rules = wheres(conditions);
    check(&rules.iter().map(String::as_str).collect::<Vec<_>>(), expect);
}

#[test]
fn conditions_that_never_or_always_hold_are_found() {
    check_where(
        &[
            r#"channel == "A" && channel == "B""#,
            r#"channel in ["A", "B"] && !(channel in ["A", "B", "C"])"#,
            "amount > 5 && amount < 5",
            "amount > 5 && amount <= 5",
            "success && !success",
            "success == true && success == false",
            r#"has(channel) && !has(channel)"#,
            r#"!has(channel) && channel != "A""#,
            r#"channel.startsWith("A") && channel.startsWith("B")"#,
            r#"channel == "GHT" && channel.contains("X")"#,
            r#"client_ip == "10.0.0.1" && client_ip.inCidr("192.168.0.0/16")"#,
            r#"(channel == "A" || channel == "B") && channel == "C""#,
            r#"success || channel == "A" && channel == "B""#,
            "success || !success",
            r#"response_code != "0000" || response_code != "9000""#,
            "has(amount) && (amount >= 5 || amount < 10)",
            "false",
            "true",
        ],
        &expect![[r#"
            r.yaml:4:54: lint never-holds: no record meets `where`: look at `channel`; correct it
            r.yaml:5:54: lint never-holds: no record meets `where`: look at `channel`; correct it
            r.yaml:6:54: lint never-holds: no record meets `where`: look at `amount`; correct it
            r.yaml:7:54: lint never-holds: no record meets `where`: look at `amount`; correct it
            r.yaml:8:54: lint never-holds: no record meets `where`: look at `success`; correct it
            r.yaml:9:54: lint never-holds: no record meets `where`: look at `success`; correct it
            r.yaml:10:54: lint never-holds: no record meets `where`: look at `channel`; correct it
            r.yaml:11:54: lint never-holds: no record meets `where`: look at `channel`; correct it
            r.yaml:12:54: lint never-holds: no record meets `where`: look at `channel`; correct it
            r.yaml:13:55: lint never-holds: no record meets `where`: look at `channel`; correct it
            r.yaml:14:56: lint never-holds: no record meets `where`: look at `client_ip`; correct it
            r.yaml:15:56: lint never-holds: no record meets `where`: look at `channel`; correct it
            r.yaml:16:56: lint never-holds: a part of `where` holds for no record: look at `channel`; correct it
            r.yaml:17:56: lint always-holds: every record meets `where`; remove it, or correct it
            r.yaml:18:56: lint always-holds: what `where` asks of `response_code` holds for every record that has it; write has(response_code), or `&&` for `||`
            r.yaml:19:56: lint always-holds: what `where` asks of `amount` holds for every record that has it; write has(amount), or `&&` for `||`
            r.yaml:20:56: lint never-holds: no record meets `where`; correct it
            r.yaml:21:56: lint always-holds: every record meets `where`; remove it, or correct it"#]],
    );
}

#[test]
fn conditions_that_may_hold_are_left_alone() {
    check_where(
        &[
            r#"channel == "A" || channel == "B""#,
            "amount >= 5 && amount <= 5",
            "amount > 5 && amount < 6",
            r#"!(channel == "A") && !(channel == "B")"#,
            r#"channel.startsWith("A") && channel.startsWith("AB")"#,
            r#"!has(channel) || channel != "A""#,
            r#"lower(channel) == "ght" && channel == "GHT""#,
            "refund_amount > amount && refund_amount < amount || fee > 0",
            r#"response_code.matches("^9+") && response_code.startsWith("8")"#,
        ],
        &expect![""],
    );
}

#[test]
fn keys_that_surprise_are_found() {
    check(
        &[
            "kind: any, where: success, for: 5m",
            "kind: any, where: success, for: 4m",
            "kind: consecutive, where: success, count: 3, within: 1m, for: 1m",
            "kind: unfinished, start: 'step == \"A\"', finish: 'step == \"B\"', within: 1m, for: 2h",
            "kind: ratio, match: success, within: 1m, below: 0.5, settle: 2s",
            "kind: ratio, where: 'has(success)', match: '!has(success)', within: 1m, below: 0.5",
            "kind: frequency, where: success, count: 5, within: 1m, by: [order_no]",
            "kind: frequency, where: 'response_message.matches(\"timeout\")', count: 5, within: 1m",
            "kind: frequency, where: success, count: 7, within: 1m",
            "kind: frequency, where: 'success == true', count: 7, within: 60s",
        ],
        &expect![[r#"
            r.yaml:4:49: lint for-too-long: one match keeps the rule active for 5m at most (`resolve_after`), so that alone it never fires with `for: 5m`; shorten `for`, or lengthen `resolve_after`
            r.yaml:6:79: lint for-too-long: one run keeps the rule active for 1m at most (`within`), so that alone it never fires with `for: 1m`; shorten `for`, or lengthen `within`
            r.yaml:7:97: lint for-too-long: one thing keeps the rule active for 1h at most (`resolve_after`), so that alone it never fires with `for: 2h`; shorten `for`, or lengthen `resolve_after`
            r.yaml:8:78: lint unused-key: kind `ratio` is never raised early, so `settle` changes nothing; remove it
            r.yaml:9:60: lint never-holds: no record meets both `where` and `match`; change one of them
            r.yaml:10:76: lint wide-key: `by` has a key for each `order_no`, of which there is no end (100,000 keys are kept); count by something else, or use a kind about single things with `each: order_no`
            r.yaml:11:41: lint plain-pattern: the pattern "timeout" needs no pattern; write response_message.contains("timeout")
            r.yaml:13:13: lint same-meaning: it means the same as `R8` (r.yaml:12:13); remove one"#]],
    );
}

#[test]
fn what_people_need_is_asked_for() {
    let text = "groups:\n- name: g\n  rules:\n  - {alert: A, kind: any, labels: {class: alarum}}\n";
    let names: Vec<&str> = lints(text).iter().map(|lint| lint.name).collect();
    assert_eq!(names, ["no-summary", "no-class", "no-severity"]);
    let text = "groups:\n- name: g\n  labels: {class: notice, severity: info}\n  rules:\n  - {alert: A, kind: any, annotations: {summary: s}}\n";
    assert_eq!(lints(text), [], "labels of the group count");
}

#[test]
fn comments_allow_lints() {
    let rule = |name: &str| format!("  - alert: {name}\n    kind: any\n    for: 5m\n");
    let head = "groups:\n- name: g\n  labels: {class: alarm, severity: x}\n  rules:\n";
    let found = |text: &str| -> BTreeSet<String> {
        let hit = lints(text).into_iter().filter(|lint| lint.name == "for-too-long");
        hit.map(|lint| lint.line.to_string()).collect()
    };
    let (a, b, c) = (rule("A"), rule("B"), rule("C"));
    assert_eq!(found(&format!("{head}{a}{b}{c}")).len(), 3);
    let above = format!("{head}{a}  # why\n  # lint: allow for-too-long\n{b}{c}");
    assert_eq!(found(&above), ["7".to_owned(), "15".to_owned()].into(), "{above}");
    let within =
        format!("{head}{a}{}{c}", b.replace("any\n", "any   # lint: allow no-summary, for-too-long\n"));
    assert_eq!(found(&within).len(), 2);
    assert_eq!(found(&format!("# lint: allow for-too-long\n{head}{a}{b}{c}")).len(), 0);
    assert_eq!(found(&format!("# lint: allow no-summary\n{head}{a}{b}{c}")).len(), 3);
}

#[test]
fn an_interval_that_nobody_names_is_found() {
    let text = "time_intervals:\n- {name: day, time_intervals: [{months: [may]}]}\n- {name: night, time_intervals: [{months: [june]}]}\n\
        groups:\n- name: g\n  rules:\n  - {alert: A, kind: flatline, within: 1m, hours: night}\n";
    let found: Vec<String> =
        lints(text).iter().filter(|l| l.name == "unused-interval").map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["r.yaml:2:10: lint unused-interval: no rule of this file names `day` in `hours`; remove it"]
    );
}

#[test]
fn rows_that_never_hold_are_found() {
    let text = "groups:
- name: g
  rules:
  - alert: A
    kind: frequency
    count: 5
    within: 1m
    by: [channel, step]
    thresholds:
    - {channel: A, step: S, count: 1}
    - {channel: A, count: 2, valid_to: 2025-12-31}
    - {channel: A, count: 3}
    - {channel: A, step: T, count: 4}
    - {channel: A, count: 4, valid_from: 2026-01-01}
    - {step: T, count: 4}
";
    let found = lints(text).into_iter().filter(|lint| lint.name.starts_with("threshold"));
    let shown: Vec<String> =
        found.map(|lint| format!("{}:{} {}", lint.line, lint.column, lint.name)).collect();
    assert_eq!(shown, ["11:7 threshold-expired", "13:7 threshold-unreachable", "14:7 threshold-unreachable"]);
}

#[test]
fn names_are_unique() {
    assert_eq!(LINTS.iter().map(|lint| lint.name).collect::<BTreeSet<_>>().len(), LINTS.len());
}

#[test]
fn labels_that_no_named_alert_has_are_found() {
    let rules = "groups:
- name: g
  rules:
  - {alert: A, kind: any, resolve_after: 1s, by: [channel], labels: {area: X, team: T}}
  - {alert: B, kind: any, resolve_after: 2s}
  - {alert: C1, kind: composite, expr: A && !B, on: [channel, area, team]}
  - {alert: C2, kind: composite, expr: A && !B, on: [chanel, merchant_no]}
  - {alert: C3, kind: composite, expr: B, on: channel}
  - {alert: C4, kind: composite, expr: C1 || C2, on: [channel]}
  - {alert: C5, kind: composite, expr: C2 || A, on: [merchant_no]}   # C2 never has it either
  # lint: allow unknown-label
  - {alert: C6, kind: composite, expr: A, on: [other]}
";
    let found = lints(rules).into_iter().filter(|lint| lint.name == "unknown-label");
    let shown: Vec<String> = found.map(|lint| lint.to_string()).collect();
    expect![[r#"
        r.yaml:7:54: lint unknown-label: no alert that `C2` names has a label `chanel`: it is always empty; did you mean `channel`?
        r.yaml:7:62: lint unknown-label: no alert that `C2` names has a label `merchant_no`: it is always empty
        r.yaml:8:47: lint unknown-label: no alert that `C3` names has a label `channel`: it is always empty
        r.yaml:10:54: lint unknown-label: no alert that `C5` names has a label `merchant_no`: it is always empty"#]]
    .assert_eq(&shown.join("\n"));
}
