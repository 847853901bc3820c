//! The commands as a user meets them: what they print and how they fail.

use serde_json::Value;

use crate::support::{Dir, watchroom};

#[test]
fn golden_sample_reads_as_by_eye() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/ingest/record/corpus/golden.log");
    let (_, out, err) = watchroom(&["parse", "--json", sample]);
    let record: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out} {err}"));
    assert_eq!(record["format"], "order-trace");
    assert_eq!(record["event_time"], "2016-07-22T10:15:00.512Z");
    let expected = [
        ("thread", "pool-73-thread-4"),
        ("module", "通道适配器"),
        ("step", "通道适配器-发三方后"),
        ("order_no", "CEX16XXXXXXX5751"),
        ("serial_no", "16201XXXX337"),
        ("order_status", "04"),
        ("response_code", "9000"),
        ("response_message", "【结算平台消息】处理中"),
        ("merchant_no", "0000105"),
        ("account_no", "98XX543210"),
        ("channel", "GHT"),
        ("payer_name", "张张"),
        ("success", "true"),
        ("amount", "0.01"),
        ("elapsed_ms", "240"),
        ("sent_at", "2016-07-22 18:15:00.170"),
    ];
    for (column, text) in expected {
        assert_eq!(record["columns"][column], text, "{column}");
    }
    let ill_typed: Vec<&String> = record["ill_typed"].as_object().expect("an object").keys().collect();
    assert_eq!(ill_typed, ["client_ip", "order_created_at", "replied_at", "settled_at"]);
    assert_eq!(record["columns"]["client_ip"], "10.999.140.101", "an ill-typed value keeps its text");
}

#[test]
fn a_bad_rule_is_refused_with_its_place_and_what_to_do() {
    let dir = Dir::new("badrule");
    let rule = "groups:\n  - name: g\n    rules:\n      - alert: A\n        kind: frequency\n        where: respnse_code == \"X\"\n        count: 3\n        within: 1m\n";
    let path = dir.write("bad.yaml", rule);
    let (code, _, err) = watchroom(&["check", &path.display().to_string()]);
    assert_eq!(code, 1);
    assert!(err.contains("bad.yaml:6:16") && err.contains("response_code"), "{err}");
}

#[test]
fn a_bad_configuration_is_refused_with_its_place() {
    let dir = Dir::new("badconfig");
    let path = dir.write(
        "watchroom.yaml",
        "data_dir: x\nlisteners:\n  - {name: a, protocoll: udp, address: \"127.0.0.1:0\"}\n",
    );
    let (code, _, err) = watchroom(&["run", "--config", &path.display().to_string()]);
    assert_eq!(code, 2);
    assert!(err.contains("watchroom.yaml:3:") && err.contains("protocol"), "{err}");
}

#[test]
fn a_missing_file_is_named() {
    let (code, _, err) = watchroom(&["parse", "no-such-file.log"]);
    assert_eq!(code, 2);
    assert!(err.contains("no-such-file.log"), "{err}");
}

#[test]
fn help_has_examples() {
    for command in ["run", "generate", "parse", "check", "test", "backtest", "trail", "search"] {
        let (code, out, _) = watchroom(&[command, "--help"]);
        assert_eq!(code, 0, "{command}");
        assert!(out.contains("Examples:"), "{command}: {out}");
    }
}

#[test]
fn the_documented_configuration_loads() {
    let doc = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md"));
    let doc = doc.expect("docs/configuration.md is there");
    let yaml =
        doc.split("```yaml\n").nth(1).and_then(|b| b.split("```").next()).expect("it holds a whole file");
    let dir = Dir::new("documented");
    let password = dir.write("smtp.password", "secret\n");
    let yaml = yaml
        .replace("/etc/watchroom/rules.d", concat!(env!("CARGO_MANIFEST_DIR"), "/rules.d"))
        .replace("/etc/watchroom/smtp.password", &password.display().to_string());
    let path = dir.write("watchroom.yaml", &yaml);
    let path = path.display().to_string();
    let (code, _, err) = watchroom(&["check", "--lint=none", "--config", &path]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = watchroom(&["check", "--config", &path]);
    let line = yaml.lines().position(|line| line.contains("certificate: ")).expect("a tls section") + 1;
    let expect = format!("watchroom.yaml:{line}:20: lint certificate: listener `syslog-tls`: ");
    assert!(code == 3 && err.contains(&expect), "its certificates are not on this machine: {err}");
}

#[test]
fn a_fault_of_the_configuration_is_an_object_with_its_place() {
    let dir = Dir::new("config-faults");
    let check = |text: &[u8]| {
        let path = dir.path("c.yaml");
        std::fs::write(&path, text).expect("a file");
        let (code, out, err) = watchroom(&["check", "--json", "--config", &path.display().to_string()]);
        assert_eq!((code, &*err), (1, ""), "{out}");
        let object: Value = serde_json::from_str(&out).expect("one object");
        let told = object["message"].as_str().unwrap_or_default().to_owned();
        (object["line"].as_u64(), object["column"].as_u64(), told)
    };
    let (line, column, told) = check(b"data_dir: x\nweb:\n  listen_adress: x\n");
    assert_eq!((line, column), (Some(3), Some(3)));
    assert!(told.contains("unknown key `listen_adress`; did you mean `listen_address`?"), "{told}");
    let (line, column, told) = check(b"data_dir: x # \xe4\n");
    assert!((line, column) == (Some(1), Some(15)) && told.contains("UTF-8"), "{told}");
    assert!(check(b"in_flight_bytes: 0\n").2.contains("in_flight_bytes: 0 is too small"));
}

#[test]
fn check_tells_lints_from_errors() {
    let dir = Dir::new("lint");
    let rule = |keys: &str| format!("groups:\n- name: g\n  rules:\n  - {{alert: A, kind: any, {keys}}}\n");
    let check = |text: &str, flags: &[&str]| {
        let path = dir.write("r.yaml", text).display().to_string();
        watchroom(&[&["check"], flags, &[&path]].concat())
    };
    let never = rule("where: success && !success");
    let (code, out, err) = check(&never, &[]);
    assert_eq!((code, &*out), (3, ""), "{err}");
    assert!(
        err.contains("r.yaml:4:34: lint never-holds: ") && err.contains("ok: 1 rule in 1 file, 1 lint"),
        "{err}"
    );
    assert_eq!(check(&never, &["--lint", "none"]).0, 0);
    assert_eq!(check(&never, &["--lint=same-meaning,for-too-long"]).0, 0);
    assert_eq!(check(&never, &["--lint=same-meaning,never-holds"]).0, 3);
    assert_eq!(check(&never, &["--lint=nosuch"]).0, 2);
    let (code, out, err) = check(&never, &["--json"]);
    assert_eq!((code, &*err), (3, ""), "{out}");
    let object: Value = serde_json::from_str(&out).expect("one object");
    assert_eq!(
        (&object["severity"], &object["name"], &object["line"]),
        (&"lint".into(), &"never-holds".into(), &4.into())
    );
    let plain = rule("where: success");
    assert_eq!(check(&plain, &[]).0, 0, "style is looked for only when asked");
    let (code, _, err) = check(&plain, &["--lint", "all"]);
    assert!(code == 3 && err.contains("lint no-summary"), "{err}");
    let (code, out, _) = check(&rule("wehre: success"), &["--json", "--lint", "all"]);
    assert!(
        code == 1 && out.contains("\"severity\":\"error\"") && out.contains("did you mean `where`?"),
        "{out}"
    );
}

#[test]
fn the_shipped_rules_are_what_they_should_be() {
    let (code, _, err) =
        watchroom(&["check", "--lint", "all", concat!(env!("CARGO_MANIFEST_DIR"), "/rules.d")]);
    assert_eq!(code, 0, "{err}");
}
