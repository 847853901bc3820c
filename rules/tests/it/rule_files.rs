//! Faults of rule files: `rule_files.txt` holds files and what is said about each, with line and column.
//!
//! A case is `=== what it is about`, the file, `---`, and the answers: `line:column: message`, or the rules loaded.
//! After a wanted change of messages run with `UPDATE_EXPECT=1` and read the difference.

use expect_test::expect_file;
use rules::{RuleFile, RuleSet};

use crate::sample;

/// What loading a file says.
fn check(text: &str) -> String {
    let formats = sample::formats();
    let mut answer = String::new();
    match RuleSet::load(&[RuleFile { name: "r.yaml".to_owned(), text: text.to_owned() }], &formats) {
        Ok(set) => {
            for rule in set.infos() {
                answer += &format!("{} {}: {} {:?}\n", rule.kind, rule.alert, rule.summary, rule.labels);
            }
            answer += &format!("{} rules\n", set.len());
        }
        Err(errors) => {
            for error in errors {
                answer += &format!("{}:{}: {}\n", error.line, error.column, error.message);
            }
        }
    }
    answer
}

#[test]
fn every_fault_is_named_with_its_place() {
    let source = include_str!("rule_files.txt");
    let mut answered = String::new();
    let mut count = 0;
    for (position, case) in source.split("=== ").enumerate() {
        if position == 0 {
            answered.push_str(case);
            continue;
        }
        let (title, rest) = case.split_once('\n').expect("a title");
        let (file, _) = rest.split_once("---\n").expect("answers");
        let answer = check(file);
        count += answer.lines().count();
        answered += &format!("=== {title}\n{file}---\n{answer}\n");
    }
    assert!(count >= 30, "only {count} answers");
    let answered = format!("{}\n", answered.trim_end());
    expect_file!["rule_files.txt"].assert_eq(&answered);
}

#[test]
fn all_errors_of_all_files_are_returned_in_file_order() {
    let formats = sample::formats();
    let file = |name: &str, text: &str| RuleFile { name: name.to_owned(), text: text.to_owned() };
    let files = [
        file("a.yaml", "groups: [{name: g, rules: [{alert: A, kind: any, where: nope, for: 5}]}]"),
        file("b.yaml", "groups: ["),
        file("c.yaml", "groups: [{name: g, rules: [{alert: A, kind: any}]}]"),
    ];
    let errors = RuleSet::load(&files, &formats).unwrap_err();
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expect_test::expect![[r#"
        a.yaml:1:57: format `order-trace` has no field `nope`; `watchroom parse FILE` and docs/rules.md show its fields
        a.yaml:1:68: `for` is a duration and needs a unit: `5s`, `5m`, ...
        b.yaml:1:9: not valid YAML: unclosed bracket '['
        c.yaml:1:36: alert `A` is defined already at a.yaml:1:36; names are unique"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn windows_line_ends_and_marks_do_not_move_places() {
    let text =
        "groups:\r\n- name: g\r\n  rules:\r\n  - alert: A\r\n    kind: any\r\n    where: chanel == \"A\"\r\n";
    assert_eq!(check(text), "6:12: format `order-trace` has no field `chanel`; did you mean `channel`?\n");
}

#[test]
fn one_condition_may_serve_many_rules_and_a_file_may_be_large() {
    let mut text = "groups:\n- name: g\n  rules:\n  - {alert: R, kind: any, where: &net 'response_code == \"NET_ERR\"'}\n"
        .to_owned();
    for n in 0..150 {
        text += &format!("  - {{alert: R{n}, kind: any, where: *net, by: [channel, module]}}\n");
    }
    let expect: String = (0..10_000).map(|n| format!("{{channel: C{n}, module: M}}, ")).collect();
    for n in 0..6 {
        text += &format!(
            "  - {{alert: F{n}, kind: flatline, by: [channel, module], within: 1m, expect: [{expect}]}}\n"
        );
    }
    assert_eq!(check(&text).lines().last(), Some("157 rules"));
    let bomb: String =
        (1..9).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))).collect();
    let said = check(&format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{bomb}groups: *a8\n"));
    assert!(said.contains("the file holds too much"), "{said}");
}

#[test]
fn a_byte_that_is_no_text_has_its_place() {
    let said = check("groups:\n- name: g\n  rules:\n  - {alert: A, kind: any, where: 'channel == \"\0\"'}\n");
    assert_eq!(said, "4:47: here stands a byte that is no text in UTF-8; save the file as UTF-8\n");
}
