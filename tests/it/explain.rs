//! `explain`: why an alert was on or not, over a file and over what a node has stored.

use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;

use crate::support::{Dir, Node, traffic, watchroom};

/// GHT is down from 10:00:42 to 10:00:51.
fn lines(dir: &Dir) -> (String, Vec<String>) {
    let incident = ["--incident", "network:GHT@+20s"];
    let args = ["--seed", "7", "--lines", "12000", "--lines-per-second", "100"];
    let (path, lines) = traffic(dir, "traffic.log", &[&args[..], &incident[..]].concat());
    (path.display().to_string(), lines)
}

fn explain(args: &[&str]) -> (i32, String, String) {
    watchroom(&[&["explain"], args].concat())
}

#[test]
fn a_file_says_why() {
    let dir = Dir::new("explain-file");
    let (file, _) = lines(&dir);
    let on = ["--rules", "rules.d/network.yaml", "--file", &file];
    let (code, out, err) =
        explain(&[&["ChannelNetworkDown", "GHT", "--at", "2026-01-05 10:00:45"], &on[..]].concat());
    assert_eq!(code, 1, "{err}");
    let first = out.lines().next().unwrap_or_default();
    assert_eq!(
        first,
        "ChannelNetworkDown channel=GHT fired at 2026-01-05 10:00:42.000: 13 in a row of at least 12 within 1m \
         (10:00:20.000 to 10:00:44.000)"
    );
    assert!(
        out.contains("active from 2026-01-05 10:00:42.000, fired at once, ended 2026-01-05 10:00:51.008")
    );
    assert!(out.lines().skip(1).all(|line| line.chars().count() <= 120), "{out}");

    let (code, out, _) =
        explain(&[&["ChannelNetworkDown", "channel=GHTT", "--at", "2026-01-05 10:00:45"], &on[..]].concat());
    assert_eq!(code, 0);
    assert!(
        out.starts_with("ChannelNetworkDown channel=GHTT did not fire: 0 in a row of at least 12"),
        "{out}"
    );
    assert!(out.contains("did you mean channel=GHT?"), "{out}");

    let (code, out, _) =
        explain(&[&["NetworkTroubleTotal", "--json", "--at", "2026-01-05T02:00:45Z"], &on[..]].concat());
    assert_eq!(code, 0);
    let told: Value = serde_json::from_str(&out).expect("one JSON object");
    assert_eq!(told["state"], "inactive");
    assert_eq!(told["at"], "2026-01-05T02:00:45.000Z");
    assert_eq!(told["reason"]["count"], 13);
    assert_eq!(told["records"].as_array().map(Vec::len), Some(13));
    let gates: Vec<&Value> =
        told["gates"].as_array().expect("gates").iter().map(|gate| &gate["gate"]).collect();
    assert_eq!(gates, ["count", "distinct"]);
}

#[test]
fn questions_that_make_no_sense_are_wrong_use() {
    let dir = Dir::new("explain-wrong");
    let (file, _) = lines(&dir);
    let ask =
        |args: &[&str]| explain(&[args, &["--rules", "rules.d/network.yaml", "--file", &file]].concat());
    let (code, out, err) = ask(&["ChannelNetworkDown", "--at", "2026-01-05 10:00:45"]);
    assert_eq!(code, 2, "{err}");
    assert!(out.contains("name one of them") && out.contains("channel=GHT"), "{out}");
    for (args, complaint) in [
        (["ChannelNetworkDwn", "GHT", "--at", "2026-01-05"], "did you mean `ChannelNetworkDown`?"),
        (["ChannelNetworkDown", "GHT", "--at", "noon"], "--at: \"noon\" is no time"),
        (["NetworkTrouble", "GHT", "--at", "2026-01-05"], "`GHT` is too much: `NetworkTrouble` has no `by`"),
        (
            ["ChannelNetworkDown", "chanel=GHT", "--at", "2026-01-05"],
            "`chanel` is no field of the key; did you mean `channel`?",
        ),
        (
            ["ChannelNetworkDown", "module=GHT", "--at", "2026-01-05"],
            "`module` is no field of the key; `ChannelNetworkDown` is by channel",
        ),
    ] {
        let (code, out, err) = ask(&args);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.contains(complaint), "{err}");
    }
    let nothing =
        ["NetworkTrouble", "--at", "2026-01-05", "--rules", "rules.d/network.yaml", "--file", "/dev/null"];
    let (code, out, err) = explain(&nothing);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("the files hold no record"), "{err}");
}

#[test]
fn a_backtest_of_nothing_is_no_good_news() {
    let dir = Dir::new("backtest-nothing");
    let garbage = dir.write("garbage.log", "this is no line of ours\nnor is this\n").display().to_string();
    for (file, said) in [("/dev/null", "no record was read"), (&*garbage, "no record has a readable time")] {
        let (code, out, err) = watchroom(&["backtest", "--rules", "rules.d/network.yaml", "--file", file]);
        assert_eq!((code, out.trim_end()), (0, "no alert"), "{err}");
        assert!(err.contains(said), "{err}");
    }
}

#[test]
fn stored_lines_say_the_same_while_the_node_runs_and_after() {
    let dir = Dir::new("explain-stored");
    let (file, lines) = lines(&dir);
    let mut node = Node::start(&dir, "");
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the node listens");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
    node.judged(lines.len() as u64);
    let config = dir.path("watchroom.yaml").display().to_string();
    let check = |key: &str, at: &str| {
        let ask = |source: &[&str]| {
            let asked = ["ChannelNetworkDown", key, "--at", at, "--json"];
            let (code, out, err) = explain(&[&asked[..], source].concat());
            let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
            let what = |name: &str| told[name].clone();
            (code, ["state", "text", "episode", "before", "after", "active", "window", "gates"].map(what))
        };
        let by_file = ask(&["--rules", "rules.d/network.yaml", "--file", &file]);
        assert_eq!(ask(&["--config", &config]), by_file, "{key} at {at}");
        by_file.0
    };
    for _ in 0..2 {
        assert_eq!(check("GHT", "2026-01-05 10:00:45"), 1);
        assert_eq!(check("GHT", "2026-01-05 10:00:41.999"), 0);
        assert_eq!(check("channel=CITIC", "2026-01-05 10:01:00"), 0);
        if node.process.0.try_wait().expect("the node can be asked").is_none() {
            assert_eq!(node.terminate(), Some(0));
        }
    }
}
