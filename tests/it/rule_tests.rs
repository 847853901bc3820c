//! `watchroom test` as an SRE meets it: the shipped rules' tests pass, wrong expectations fail and say why.

use crate::support::{Dir, watchroom};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.d/network.yaml");

#[test]
fn the_shipped_rules_do_what_their_author_expects() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.d/tests");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the tests of the shipped rules")
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut arguments = vec!["test"];
    arguments.extend(files.iter().map(String::as_str));
    let (code, out, err) = watchroom(&arguments);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.ends_with(" 0 failed\n"), "{out}");
}

#[test]
fn every_shipped_rule_has_a_test_that_sees_it_fire_a_class_and_a_paragraph() {
    let text = |path: &std::path::Path| std::fs::read_to_string(path).expect("a file of the repository");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = |path: std::path::PathBuf| {
        let entries = std::fs::read_dir(path).expect("a folder of the repository");
        let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
        files.map(|path| text(&path)).collect::<Vec<String>>().join("\n")
    };
    let (rules, tests) = (folder(root.join("rules.d")), folder(root.join("rules.d/tests")));
    let docs = text(&root.join("docs/watch-points.md"));
    let mut names = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.split_whitespace().next().expect("a name");
        names += 1;
        let expects_it =
            |line: &str| line.contains(&format!("alert: {name}")) && !line.contains("state: none");
        let flat = tests.replace("\n        alert:", " alert:");
        assert!(flat.lines().any(expects_it), "no test in rules.d/tests sees {name} fire");
        let class = if rule.contains("class: alarm") { "alarm" } else { "notice" };
        assert!(rule.contains(&format!("class: {class}")), "{name} has no class");
        assert!(
            docs.contains(&format!("**{name}** ({class}).")),
            "docs/watch-points.md: no paragraph on {name}"
        );
    }
    assert!(names >= 20, "{names}");
}

/// Runs a test file whose only test has this body; returns exit code, output and errors.
fn check(body: &str, arguments: &[&str]) -> (i32, String, String) {
    let dir = Dir::new("rule-test");
    let text = format!("rule_files: [{RULES}]\ntests:\n  - name: it\n{body}");
    let path = dir.write("test.yaml", &text).display().to_string();
    let mut all = vec!["test"];
    all.extend(arguments);
    all.push(&path);
    watchroom(&all)
}

const TWELVE: &str =
    "    input:\n      - {at: 0s, fields: {channel: GHT, response_code: NET_ERR}, repeat: 12, every: 1s}\n";

#[test]
fn a_wrong_expectation_fails_and_says_what_was_there() {
    let body = format!(
        "{TWELVE}    expect:\n      - {{at: 11s, alert: ChannelNetworkDown, labels: {{channel: UMP}}}}\n"
    );
    let (code, out, _) = check(&body, &[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("expected ChannelNetworkDown{channel=\"UMP\"} firing, found nothing"), "{out}");
    assert!(
        out.contains("not expected: ChannelNetworkDown{channel=\"GHT\""),
        "an alert nobody expected: {out}"
    );
    let (code, out, _) = check(&body, &["--diff"]);
    assert_eq!(code, 1);
    assert!(out.contains("\n  -ChannelNetworkDown{channel=\"UMP\"} firing\n"), "{out}");
    assert!(out.contains("\n  +ChannelNetworkDown{channel=\"GHT\""), "{out}");
}

#[test]
fn lines_carry_their_own_time_or_take_the_tests() {
    let line = "2026-01-01 00:00:00.000||t||m||s||O{i}||||||||||NET_ERR||||||||GHT";
    let expect = "    expect:\n      - {at: 11s, alert: ChannelNetworkDown, labels: {channel: GHT}}\n";
    let moved = format!("    input:\n      - {{at: 0s, line: \"{line}\", repeat: 12, every: 1s}}\n{expect}");
    let (code, out, err) = check(&moved, &[]);
    assert_eq!(code, 0, "{out}{err}");
    let own = format!("    input:\n      - {{line: \"{line}\", repeat: 12}}\n{expect}");
    let (code, out, err) = check(&own, &["--json"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("\"passed\":true"), "{out}");
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_its_place() {
    let cases = [
        ("    inputs: []\n", "test.yaml:4:"),
        ("    expect: [{at: 0s, alert: Nobody}]\n", "no rule is called `Nobody`"),
        ("    expect: [{at: soon, alert: ChannelNetworkDown}]\n", "`soon`"),
        ("    input: [{at: 0s, fields: {chanel: GHT}}]\n", "no column `chanel`"),
        ("    input: [{fields: {channel: GHT}}]\n", "`fields` need `at`"),
        ("    input: [{at: 0s}]\n", "give either `line` or `fields`"),
        ("    input: [{line: no time in here}]\n", "give `at`"),
    ];
    for (body, complaint) in cases {
        let (code, out, err) = check(body, &[]);
        assert_eq!(code, 2, "{body}: {out}{err}");
        assert!(err.contains(complaint), "{body}: {err}");
    }
}

#[test]
fn junit_is_well_formed_and_escaped() {
    let dir = Dir::new("junit");
    let junit = dir.write("junit.xml", "").display().to_string();
    let body = format!("{TWELVE}    expect:\n      - {{at: 11s, alert: ChannelNetworkDown, state: none}}\n");
    let (code, _, _) = check(&body, &["--junit", &junit]);
    assert_eq!(code, 1);
    let xml = std::fs::read_to_string(&junit).expect("written");
    assert!(xml.contains("tests=\"1\" failures=\"1\"") && xml.contains("channel=&quot;GHT&quot;"), "{xml}");
}

#[test]
fn the_example_of_the_rules_page_passes() {
    let page = include_str!("../../docs/rules.md");
    let examples = page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    let examples: Vec<&str> = examples.filter(|text| text.starts_with("rule_files:")).collect();
    assert!(!examples.is_empty(), "the page shows how rules are tested");
    for text in examples {
        let dir = Dir::new("page");
        let text = text.replace("../network.yaml", RULES);
        let path = dir.write("test.yaml", &text).display().to_string();
        let (code, out, err) = watchroom(&["test", &path]);
        assert_eq!(code, 0, "{out}{err}\n{text}");
    }
}
