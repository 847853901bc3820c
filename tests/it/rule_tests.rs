//! `watchroom test` as an SRE meets it: the shipped rules' tests pass, wrong expectations fail and say why.

use crate::support::{Dir, watchroom};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.d/network.yaml");

#[test]
fn the_shipped_rules_do_what_their_author_expects() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.d/tests");
    let (code, out, err) = watchroom(&["test", folder]);
    assert_eq!(code, 0, "{out}{err}");
    for file in std::fs::read_dir(folder).expect("the tests of the shipped rules") {
        let name = file.expect("an entry").path().display().to_string();
        assert!(out.contains(&format!("ok      {name}: ")), "{name} was not run");
    }
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
fn a_diff_tells_what_came_instead_once_and_beside_what_was_expected() {
    let body = format!(
        "{TWELVE}    expect:\n      - {{at: 11s, alert: ChannelNetworkDown, labels: {{channel: UMP}}}}\n\
         \x20     - {{at: 11s, alert: ChannelNetworkDown, state: none}}\n      - {{at: 3s, alert: NetworkTrouble}}\n"
    );
    let (code, out, _) = check(&body, &["--diff"]);
    assert_eq!(code, 1);
    let expect = "
  @@ at 2026-01-01 00:00:03.000 NetworkTrouble
  -NetworkTrouble firing
  @@ at 2026-01-01 00:00:11.000 ChannelNetworkDown
  -ChannelNetworkDown{channel=\"UMP\"} firing
  -ChannelNetworkDown none
  +ChannelNetworkDown{channel=\"GHT\", class=\"alarm\", severity=\"critical\"} firing
0 passed, 1 failed
";
    assert!(out.ends_with(expect), "{out}");
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_its_place() {
    let expect = "    expect: [{at: 0s, alert: ChannelNetworkDown, state: none}]\n";
    let input = |line: &str| format!("    input: [{line}]\n{expect}");
    let cases = [
        (
            format!("    inputs: []\n{expect}"),
            "test.yaml:4:5: unknown key `inputs` in a test; did you mean `input`?",
        ),
        (String::new(), "test.yaml:3:5: a test needs the key `expect`"),
        ("    expect: []\n".to_owned(), "test.yaml:4:5: `expect` is empty: such a test cannot fail"),
        (
            "    expect: [{at: 0s, alert: ChanelNetworkDown}]\n".to_owned(),
            ":4:30: no rule is called `ChanelNetworkDown`; did you mean `ChannelNetworkDown`?",
        ),
        ("    expect: [{at: 0s, alert: Nobody}]\n".to_owned(), "no rule is called `Nobody`; known: "),
        ("    expect: [{at: soon, alert: ChannelNetworkDown}]\n".to_owned(), ":4:19: neither a duration"),
        (
            "    expect: [{at: 0s, alert: ChannelNetworkDown, state: fring}]\n".to_owned(),
            ":4:57: `state` is one of firing, pending, resolved, none, found `fring`; did you mean `firing`?",
        ),
        (
            "    expect: [{at: 0s, alert: ChannelNetworkDown, labels: {chanel: GHT}}]\n".to_owned(),
            ":4:59: alerts of `ChannelNetworkDown` have no label `chanel`; did you mean `channel`?",
        ),
        (
            "    expect: [{at: 0s, alert: ChannelNetworkDown, annotations: {sumary: GHT}}]\n".to_owned(),
            ":4:64: `ChannelNetworkDown` has no annotation `sumary`; did you mean `summary`?",
        ),
        (
            input("{at: 0s, fields: {chanel: GHT}}"),
            ":4:31: format `order-trace` has no field `chanel`; did you mean `channel`?",
        ),
        (input("{fields: {channel: GHT}}"), ":4:13: `fields` need `at`"),
        (input("{at: 0s}"), ":4:13: give either `line` or `fields`"),
        (input("{line: no time in here}"), ":4:13: the line has no readable time: give `at`"),
        (input("{at: 0s, line: x, repeat: 0}"), ":4:39: `repeat` must be at least 1"),
        (input("{at: 0s, line: x, every: 5}"), ":4:38: `every` is a duration and needs a unit"),
        (
            input("{at: 0s, line: x, format: order-trase}"),
            ":4:39: there is no format `order-trase`; did you mean `order-trace`?",
        ),
    ];
    for (body, complaint) in cases {
        let (code, out, err) = check(&body, &[]);
        assert_eq!((code, &*out), (2, ""), "{body}: {err}");
        assert!(err.contains(complaint), "{body}: {err}");
    }
}

#[test]
fn all_faults_of_test_files_are_told_at_once() {
    let body = "    input: [{at: soon, fields: {channel: GHT}}, {at: 0s, fields: {chanel: GHT}}]\n\
                \x20   expect: [{at: 0s, alert: Nobody}, {at: later, alert: ChannelNetworkDown, labels: {x: y}}]\n";
    let (code, _, err) = check(body, &["--json"]);
    assert_eq!(code, 2);
    assert_eq!(err.matches("test.yaml:").count(), 5, "{err}");
    let dir = Dir::new("rule-test-faults");
    dir.write("a.yaml", "tests: [{name: a, expect: []}]\n");
    dir.write("b.yaml", &format!("rule_files: [{RULES}]\ntests: []\nstart: [1]\nx: 1\n"));
    dir.write("c.yaml", "rule_files: [");
    let (code, _, err) = watchroom(&["test", &dir.path("").display().to_string()]);
    assert_eq!(code, 2);
    for said in [
        "a.yaml:1:1: a test file needs the key `rule_files`",
        "a.yaml:1:19: `expect` is empty",
        "b.yaml:3:8: `start` expects a single value",
        "b.yaml:4:1: unknown key `x`",
        "c.yaml:1:13: not valid YAML",
    ] {
        assert!(err.contains(said), "{said}: {err}");
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
    assert!(xml.contains("<testsuites tests=\"1\" failures=\"1\">"), "{xml}");
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

#[test]
fn incident_traffic_raises_the_alerts_of_its_incident_and_no_other() {
    let dir = Dir::new("incidents");
    let incidents = ["slow:UMP@+5mx4m", "silent:GHT@+5mx5m", "decline:ALI@+5mx4m", "network:WXP@+5m"];
    let length = ["--seed", "3", "--duration", "11m", "--lines-per-second", "400", "--only-order-trace"];
    let orders = incidents.iter().flat_map(|incident| ["--incident", incident]);
    let args: Vec<&str> = length.into_iter().chain(orders).collect();
    let (path, _) = crate::support::traffic(&dir, "traffic.log", &args);
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.d");
    let path = path.display().to_string();
    let (code, out, err) = watchroom(&["backtest", "--rules", rules, "--file", &path, "--json"]);
    assert_eq!(code, 1, "{err}");
    let alerts: std::collections::BTreeSet<(String, String)> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object a line"))
        .filter(|alert| !alert["fired_at"].is_null())
        .map(|alert| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&alert["alert"]), text(&alert["labels"]["channel"]))
        })
        .collect();
    let expect = [
        ("AbnormalVolume", "GHT"),
        ("ChannelNetworkDown", "WXP"),
        ("ChannelSlow", "UMP"),
        ("Failures", "ALI"),
        ("OrderNotFinished", "WXP"),
        ("SuccessRateLow", "ALI"),
    ];
    assert_eq!(alerts, expect.map(|(alert, channel)| (alert.to_owned(), channel.to_owned())).into());
}
