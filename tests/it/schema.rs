//! The JSON Schema as an editor applies it: a validator of others' making takes what loads and refuses broken rules.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Dir, watchroom};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Judges each document; prints `true` or `false` for each.
const VALIDATE: &str = "
import json, sys, jsonschema
schema, documents = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
print(json.dumps([[str(e.message) for e in validator.iter_errors(d)][:1] for d in documents]))
";

/// What a validator says about each rule file; nothing: it is valid.
fn validate(documents: &[Value]) -> Vec<Option<String>> {
    validate_as("rules", documents)
}

/// As [`validate`], of the files that `watchroom schema` knows under a name.
fn validate_as(of: &str, documents: &[Value]) -> Vec<Option<String>> {
    let dir = Dir::new("schema");
    let (code, schema, err) = watchroom(&["schema", of]);
    assert_eq!(code, 0, "{err}");
    let committed = std::fs::read_to_string(Path::new(ROOT).join(format!("docs/{of}.schema.json")));
    assert_eq!(schema, committed.expect("the schema is committed"), "run `make docs`");
    let schema = dir.write("schema.json", &schema);
    let documents = dir.write("documents.json", &Value::from(documents).to_string());
    let python = Path::new(ROOT).join(".venv/bin/python");
    let output = Command::new(python).args(["-c", VALIDATE]).args([schema, documents]).output();
    let output = output.expect("python of scripts/test-setup.sh");
    let said: Vec<Vec<String>> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    said.into_iter().map(|errors| errors.into_iter().next()).collect()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// A file with one rule.
fn rule(keys: &str) -> Value {
    yaml(&format!("groups: [{{name: g, rules: [{{{keys}}}]}}]"))
}

#[test]
fn what_loads_is_valid() {
    let mut documents: Vec<(String, Value)> = vec![("nothing".to_owned(), Value::Null)];
    for entry in std::fs::read_dir(Path::new(ROOT).join("rules.d")).expect("the shipped rules") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).expect("a rule file");
            documents.push((path.display().to_string(), yaml(&text)));
        }
    }
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/rules.md")).expect("the page");
    for text in page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()) {
        if !text.starts_with("rule_files:") {
            documents.push((text.to_owned(), yaml(text)));
        }
    }
    for keys in [
        "alert: A, kind: any, where: true, for: 0, by: [], labels: {port: 80}",
        "alert: A, kind: any, where: success, for: '0', by: channel, annotations: {n: 1}",
        "alert: A, kind: consecutive, count: 3, within: 1m30s500ms",
        "alert: A, kind: cardinality, field: channel, within: 1h, max: 0",
        "alert: A, kind: aggregate, fn: sum, field: amount, within: 1h, above: -0.5",
        "alert: A, kind: spike, within: 1h, factor: 0.5, offset: 1d",
        "alert: A, kind: transition, field: order_status, allowed: {NEW: [], OLD: NEW}",
        "alert: A, kind: flatline, within: 1m, by: [channel], expect: [GHT, 5, '']",
        "alert: A, kind: flatline, within: 1m, by: [channel, step], expect: [{channel: A, step: B}]",
    ] {
        let document = rule(keys);
        let dir = Dir::new("loads");
        let path = dir.write("r.yaml", &document.to_string()).display().to_string();
        let (code, _, err) = watchroom(&["check", &path]);
        assert_ne!(code, 1, "{keys}: {err}");
        documents.push((keys.to_owned(), document));
    }
    let plain: Vec<Value> = documents.iter().map(|(_, document)| document.clone()).collect();
    for ((name, _), said) in documents.iter().zip(validate(&plain)) {
        assert_eq!(said, None, "{name}");
    }
}

#[test]
fn broken_rules_are_not_valid() {
    let frequency = "alert: A, kind: frequency, within: 1m";
    let mut documents: Vec<Value> = [
        "kind: any",
        "alert: A",
        "alert: A, kind: anny",
        "alert: A, kind: any, within: 1m",
        "alert: A, kind: any, wehre: success",
        "alert: A, kind: any, for: 5",
        "alert: A, kind: any, for: 5 minutes",
        "alert: A, kind: any, for: 1h1d",
        "alert: A, kind: any, mode: dark",
        "alert: A, kind: any, samples: 101",
        "alert: A, kind: any, samples: 1.5",
        "alert: A, kind: any, samples: '5'",
        "alert: A, kind: any, labels: {alertname: B}",
        "alert: A, kind: any, labels: {a-b: B}",
        "alert: A, kind: any, labels: [a]",
        "alert: A, kind: any, by: {a: b}",
        "alert: A, kind: any, where: [success]",
        "alert: '', kind: any",
        "alert: A, kind: ratio, match: success, within: 1m",
        "alert: A, kind: ratio, match: success, within: 1m, below: 1.5",
        "alert: A, kind: sequence, steps: [success], within: 1m",
        "alert: A, kind: spike, within: 1m, factor: 2, offset: []",
        "alert: A, kind: sustained, count: 1, every: 1m, within: 5m, distinct: {field: channel, min: 2, over: all}",
        "alert: A, kind: flatline, within: 1m, expect: some",
    ]
    .map(rule)
    .into();
    documents.extend(
        [
            "",
            ", count: 0",
            ", count: '3'",
            ", count: 1000000001",
            ", count: 3, every: 1m",
            ", count: 3, distinct: 3",
        ]
        .map(|more| rule(&format!("{frequency}{more}"))),
    );
    documents.extend([
        json!([]),
        json!({}),
        json!({"groups": {}}),
        json!({"groups": [], "rules": []}),
        json!({"groups": [{"name": "g"}]}),
        json!({"groups": [{"name": "g", "rules": [], "interval": "1m"}]}),
        json!({"groups": [], "time_intervals": [{"name": "n", "time_intervals": [{"times": [{"start_time": "9:00", "end_time": "17:00"}]}]}]}),
        json!({"groups": [], "time_intervals": [{"name": "n", "time_intervals": [{"day": "monday"}]}]}),
    ]);
    for (document, said) in documents.iter().zip(validate(&documents)) {
        assert!(said.is_some(), "valid, though broken: {document}");
        let dir = Dir::new("broken");
        let path = dir.write("r.yaml", &document.to_string()).display().to_string();
        let (code, _, _) = watchroom(&["check", &path]);
        assert_eq!(code, 1, "check takes {document}");
    }
}

#[test]
fn test_files_that_run_are_valid_and_broken_ones_are_not() {
    let tests = Path::new(ROOT).join("rules.d/tests");
    let shipped = std::fs::read_dir(tests).expect("the tests of the shipped rules");
    let mut good: Vec<Value> = shipped
        .map(|entry| yaml(&std::fs::read_to_string(entry.expect("an entry").path()).expect("a test file")))
        .collect();
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/rules.md")).expect("the page");
    let examples = page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    good.extend(examples.filter(|text| text.starts_with("rule_files:")).map(yaml));
    for (document, said) in good.iter().zip(validate_as("tests", &good)) {
        assert_eq!(said, None, "{document}");
    }
    let of = |test: &str| format!("{{rule_files: r.yaml, tests: [{{name: t, {test}}}]}}");
    let input = |line: &str| of(&format!("input: [{line}], expect: [{{at: 0s, alert: A}}]"));
    let broken = [
        "{tests: []}".to_owned(),
        "{rule_files: r.yaml, tests: [], test: []}".to_owned(),
        of("input: []"),
        of("expect: []"),
        of("expect: [{at: 0s}]"),
        of("expect: [{at: 0s, alert: A, state: on}]"),
        of("expect: [{at: 0s, alert: A, labels: [a]}]"),
        input("{at: 0s}"),
        input("{at: 0s, line: x, fields: {a: b}}"),
        input("{at: 0s, line: x, repeat: 0}"),
        input("{at: 0s, line: x, every: soon}"),
        input("{at: 0s, line: x, evry: 1s}"),
    ];
    let broken: Vec<Value> = broken.iter().map(|text| yaml(text)).collect();
    let dir = Dir::new("broken-tests");
    dir.write("r.yaml", "groups: [{name: g, rules: [{alert: A, kind: any}]}]");
    for (document, said) in broken.iter().zip(validate_as("tests", &broken)) {
        assert!(said.is_some(), "valid, though broken: {document}");
        let path = dir.write("t.yaml", &document.to_string()).display().to_string();
        assert_eq!(watchroom(&["test", &path]).0, 2, "test takes {document}");
    }
}
