//! `backtest --from --to`: what a node has stored, while it runs and after.

use std::io::Write;
use std::net::TcpStream;

use crate::support::{Dir, Node, eventually, traffic, watchroom};

/// Some minutes of traffic with an incident, of the past.
fn lines(dir: &Dir) -> (std::path::PathBuf, Vec<String>) {
    let incident = ["--incident", "network:GHT@+20s"];
    let args = ["--seed", "7", "--lines", "12000", "--lines-per-second", "100"];
    traffic(dir, "traffic.log", &[&args[..], &incident[..]].concat())
}

fn send(node: &Node, lines: &[String]) {
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the node listens");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
}

/// Alerts as JSON lines without what differs between a file and a journal: positions.
fn alerts(args: &[&str]) -> Vec<String> {
    let (code, out, err) =
        watchroom(&[&["backtest", "--json", "--rules", "rules.d/network.yaml"], args].concat());
    assert!(code <= 1, "{args:?}: {code} {err}");
    assert_eq!(code == 1, !out.is_empty(), "{out}{err}");
    let positions = |line: &str| {
        let mut alert: serde_json::Value = serde_json::from_str(line).expect("JSON lines");
        for sample in alert["reason"]["samples"].as_array_mut().expect("samples") {
            sample["lsn"] = serde_json::Value::Null;
        }
        alert.to_string()
    };
    out.lines().map(positions).collect()
}

#[test]
fn stored_lines_give_the_alerts_of_the_file() {
    let dir = Dir::new("stored");
    let (file, lines) = lines(&dir);
    let mut node = Node::start(&dir, "");
    let config = dir.path("watchroom.yaml").display().to_string();
    let stored = |range: &[&str]| alerts(&[&["--config", &config], range].concat());
    // The traffic's day. Its lines without a time took that of their receipt: they are of today.
    let all = ["--from", "2026-01-05", "--to", "2026-01-06"];

    // At once: had the node been without lines for ten seconds between, those behind would be late ones.
    send(&node, &lines);
    node.judged(lines.len() as u64);
    // All of it in the journal, nothing in files yet.
    let expected = alerts(&["--file", &file.display().to_string()]);
    assert!(!expected.is_empty());
    assert_eq!(stored(&all), expected);
    assert_eq!(node.terminate(), Some(0));
    // All of it in files, and in the journal still.
    assert_eq!(stored(&all), expected);
    assert_eq!(stored(&["--to", "2026-01-06"]), expected);
    assert_eq!(stored(&["--from", "2000-01-01", "--as-file"]), expected);
    node.restart();
    node.ready();
    assert_eq!(stored(&all), expected);
}

#[test]
fn a_range_is_half_open_and_is_the_whole_stream() {
    let dir = Dir::new("stored-range");
    let (_, lines) = lines(&dir);
    let node = Node::start(&dir, "");
    send(&node, &lines);
    node.judged(lines.len() as u64);
    let config = dir.path("watchroom.yaml").display().to_string();
    // Whole lines of the platform's zone as the file has them: the text sorts as time does.
    let time = |line: &str| line.split("||").next().unwrap_or_default().to_owned();
    let (from, to) = (time(&lines[3_000]), time(&lines[9_000]));
    let within: Vec<&String> = lines.iter().filter(|line| time(line) >= from && time(line) < to).collect();
    let text: String = within.iter().map(|line| format!("{line}\n")).collect();
    let part = dir.write("part.log", &text).display().to_string();
    let found = alerts(&["--config", &config, "--from", &from, "--to", &to]);
    assert_eq!(found, alerts(&["--file", &part]));
}

#[test]
fn a_range_that_holds_nothing_is_named() {
    let dir = Dir::new("stored-nothing");
    let config = dir.path("watchroom.yaml").display().to_string();
    let ask = |range: &[&str]| {
        watchroom(&[&["backtest", "--rules", "rules.d/network.yaml", "--config", &config], range].concat())
    };
    let mut node = Node::start(&dir, "");
    let (_, lines) = lines(&dir);
    send(&node, &lines[..10]);
    node.judged(10);
    let (code, out, err) = ask(&["--from", "2001-01-01", "--to", "2001-01-02"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("no stored record has its event time in this range; they run from "), "{err}");
    let (code, _, err) = ask(&["--from", "2001-01-01"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("stored records begin at ") && err.contains("later than --from 2000-12-31T"),
        "{err}"
    );
    let (code, _, err) = ask(&["--from", "2001-01-02", "--to", "2001-01-02"]);
    assert_eq!(code, 2);
    assert!(err.contains("is not before --to"), "{err}");
    let (code, _, err) = ask(&["--from", "yesterday"]);
    assert_eq!(code, 2);
    assert!(err.contains("--from: \"yesterday\" is no time"), "{err}");
    node.kill();
    std::fs::remove_dir_all(dir.path("data")).expect("the data can be removed");
    let (code, _, err) = ask(&["--from", "2001-01-01"]);
    assert_eq!(code, 2);
    assert!(err.contains("nothing is stored: there is neither"), "{err}");
    assert!(!dir.path("data").exists(), "looking made a folder");
}

#[test]
fn a_node_that_stores_meanwhile_is_not_disturbed() {
    let dir = Dir::new("stored-meanwhile");
    let (file, lines) = lines(&dir);
    let mut node = Node::start(&dir, "");
    let config = dir.path("watchroom.yaml").display().to_string();
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(&node, &lines));
        eventually("something is judged", || {
            (node.metric("watchroom_engine_records_total", "") > 0.0).then_some(())
        });
        // Whatever is there: no line twice, none torn.
        drop(alerts(&["--config", &config, "--from", "2000-01-01"]));
        sender.join()
    });
    sent.expect("the lines were sent");
    node.judged(lines.len() as u64);
    assert_eq!(node.terminate(), Some(0));
    let stored = alerts(&["--config", &config, "--from", "2026-01-05", "--to", "2026-01-06"]);
    assert_eq!(stored, alerts(&["--file", &file.display().to_string()]));
}
