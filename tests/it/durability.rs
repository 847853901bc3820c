//! kill -9 at any moment: what was committed is stored once, in order, and told once.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    Dir, MailServer, Node, eventually, from_now, http_get, order_of, soon, traffic, watchroom,
};

#[test]
fn kill_9_neither_loses_nor_doubles_what_was_judged() {
    let dir = Dir::new("kill9");
    let mut node = Node::start(&dir, "");
    let (_, lines) = traffic(&dir, "t.log", &["--seed", "21", "--lines", "30000", "--only-order-trace"]);
    let mut sent = 0;
    for chunk in lines.chunks(10_000) {
        let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
        stream.write_all((chunk.join("\n") + "\n").as_bytes()).expect("lines can be sent");
        sent += chunk.len() as u64;
        node.judged(sent);
        node.kill();
        node.restart();
    }
    node.judged(lines.len() as u64);
    node.ready();
    assert_eq!(node.metric("watchroom_engine_records_total", "") as usize, lines.len(), "none twice");
    let orders: BTreeSet<&str> = lines.iter().map(|l| order_of(l)).filter(|o| !o.is_empty()).collect();
    for order in orders.iter().take(5) {
        let sent = lines.iter().filter(|l| order_of(l) == *order).count();
        let body: serde_json::Value =
            serde_json::from_str(&node.get(&format!("/api/trail/{order}"))).expect("the trail is JSON");
        let rows = body["steps"].as_array().map_or(0, Vec::len);
        assert_eq!(rows, sent, "order {order}: each line once");
    }
}

#[test]
fn a_restart_tells_nobody_twice() {
    let dir = Dir::new("twice");
    let mails = MailServer::start(&dir);
    let mut node = Node::start(
        &dir,
        &format!(
            "receivers:\n  - name: duty\n    email_configs:\n      - {{to: d@example.com, from: w@example.com, smarthost: \"127.0.0.1:{}\", tls: none}}\n",
            mails.port
        ),
    );
    let start = soon();
    let args = [
        "--seed",
        "22",
        "--lines",
        "20000",
        "--lines-per-second",
        "400",
        "--start",
        &start,
        "--incident",
        "network:GHT@+10s",
    ];
    let (_, lines) = traffic(&dir, "t.log", &args);
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
    node.judged(lines.len() as u64);
    eventually("the firing mail is sent and known to be sent", || {
        (deliveries(&node, "sent") >= 1).then_some(())
    });
    node.kill();
    node.restart();
    // The replay hands deliveries in again; what it had added would be pending.
    node.judged(lines.len() as u64);
    node.ready();
    assert_eq!(deliveries(&node, "pending"), 0, "the replay added nothing");
    let firing = mails.mails().iter().filter(|m| m.contains("Subject: [FIRING]")).count();
    assert_eq!(firing, 1, "told once");
}

fn deliveries(node: &Node, state: &str) -> u64 {
    node.metric("watchroom_outbox_deliveries", &format!("state=\"{state}\"")) as u64
}

#[test]
fn a_damaged_trace_file_silences_nobody() {
    let dir = Dir::new("damaged");
    let mut node = Node::start(&dir, "");
    let (_, first) = traffic(&dir, "a.log", &["--seed", "23", "--lines", "2000"]);
    send(&node, &first);
    node.judged(2_000);
    assert_eq!(node.terminate(), Some(0));
    let file = parquet(&dir.path("data/traces")).expect("the end filed what was in memory");
    let bytes = std::fs::read(&file).expect("the file can be read");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("the file can be cut");

    node.restart();
    node.judged(2_000);
    let (status, why) = http_get(node.address("web"), "/-/ready");
    assert_eq!(status, 503);
    assert!(why.contains("parquet"), "the file is named: {why}");
    let start = soon();
    let args = [
        "--seed",
        "24",
        "--lines",
        "20000",
        "--lines-per-second",
        "400",
        "--start",
        &start,
        "--incident",
        "network:GHT@+10s",
    ];
    let (_, second) = traffic(&dir, "b.log", &args);
    send(&node, &second);
    node.judged(22_000);
    assert!(node.get("/alerts").contains("ChannelNetworkDown"), "alerts go on");
    node.kill();
    std::fs::remove_file(&file).expect("the file can be moved away");
    node.restart();
    node.judged(22_000);
    node.ready();
    let order = second.iter().map(|l| order_of(l)).find(|o| !o.is_empty()).expect("traffic has orders");
    assert!(node.get(&format!("/api/trail/{order}")).contains(order), "the journal kept what came meanwhile");
}

fn parquet(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            parquet(&path)
        } else {
            path.extension().is_some_and(|e| e == "parquet").then_some(path)
        }
    })
}

fn send(node: &Node, lines: &[String]) {
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
}

#[test]
fn a_second_node_on_the_same_data_is_refused_and_changes_nothing() {
    let dir = Dir::new("second");
    let node = Node::start(&dir, "");
    let unfinished = dir.path("data/traces/2016-07-22T10/being-written.parquet.tmp");
    std::fs::create_dir_all(dir.path("data/traces/2016-07-22T10")).expect("the folder can be made");
    std::fs::write(&unfinished, b"half a file").expect("a file can be written");
    let (code, _, err) = watchroom(&["run", "--config", &dir.path("watchroom.yaml").display().to_string()]);
    assert_eq!(code, 2);
    assert!(err.contains("used by another process"), "{err}");
    assert!(unfinished.exists(), "a file that the node at work may be writing was removed");
    assert_eq!(node.get("/-/healthy"), "healthy\n");
}

/// Lines with an incident.
fn incident(dir: &Dir, name: &str, seed: &str, lines: &str, incident: &str) -> Vec<String> {
    let start = soon();
    let args = [
        "--seed",
        seed,
        "--lines",
        lines,
        "--lines-per-second",
        "400",
        "--start",
        &start,
        "--incident",
        incident,
    ];
    traffic(dir, name, &args).1
}

fn status(node: &Node) -> Value {
    serde_json::from_str(&node.get("/api/v1/status")).expect("the status is JSON")
}

/// Waits for a snapshot that stands for everything received so far.
fn snapshot_of_everything(node: &Node) -> Value {
    let durable = status(node)["journal"]["durable_lsn"].as_u64().expect("a position");
    eventually("a snapshot of everything received", || {
        let status = status(node);
        (status["snapshot"]["lsn"].as_u64()? >= durable).then_some(status)
    })
}

/// The states of the snapshots, and what judging the whole journal from nothing gives at their positions.
fn verified(dir: &Dir) -> Vec<Value> {
    let config = dir.path("watchroom.yaml").display().to_string();
    let (code, out, err) = watchroom(&["journal", "verify", "--replay", "--json", "--config", &config]);
    assert_eq!(code, 0, "{out}{err}");
    out.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn alerts(node: &Node) -> Vec<(String, String, String)> {
    let body: Value = serde_json::from_str(&node.get("/api/v1/alerts")).expect("alerts are JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = body["data"]["alerts"].as_array().expect("a list").iter();
    alerts.map(|a| (text(&a["labels"]["channel"]), text(&a["state"]), text(&a["activeAt"]))).collect()
}

#[test]
fn a_restart_goes_on_from_the_snapshot_with_the_same_state() {
    let dir = Dir::new("snapshot");
    let mut node = Node::start(&dir, "snapshot_interval_ms: 200");
    let lines = incident(&dir, "t.log", "31", "30000", "network:GHT@+10s");
    let (first, rest) = lines.split_at(15_000);
    send(&node, first);
    node.judged(15_000);
    let kept = snapshot_of_everything(&node);
    let fired = alerts(&node);
    assert!(fired.iter().any(|(channel, state, _)| channel == "GHT" && state == "firing"), "{fired:?}");
    node.kill();
    node.restart();
    node.ready();
    assert_eq!(alerts(&node), fired, "the firing alert goes on as it was");
    assert!(
        node.metric("watchroom_snapshot_lsn", "") as u64 >= kept["snapshot"]["lsn"].as_u64().unwrap_or(0)
    );
    send(&node, rest);
    node.judged(30_000);
    assert_eq!(node.metric("watchroom_engine_records_total", "") as u64, 30_000, "none twice");
    node.kill();
    node.restart();
    node.ready();
    let last = snapshot_of_everything(&node);
    // A node at work takes the older ones away, perhaps before they are compared.
    node.kill();
    let found = verified(&dir);
    let snapshots: Vec<&Value> = found.iter().filter(|line| line["kind"] == "snapshot").collect();
    assert!(!snapshots.is_empty(), "there is something to compare: {found:?}");
    assert!(snapshots.iter().all(|line| line["identical"] == true), "{snapshots:?}");
    let same = snapshots.iter().find(|line| line["lsn"] == last["snapshot"]["lsn"]);
    if let Some(same) = same {
        assert_eq!(same["replayed_hash"], last["snapshot"]["state_hash"], "what the node says of itself");
    }
    // An orderly end leaves a snapshot of everything.
    node.restart();
    node.ready();
    assert_eq!(node.terminate(), Some(0));
    let found = verified(&dir);
    let newest = found.iter().rfind(|line| line["kind"] == "snapshot").expect("a snapshot is there");
    let last_lsn = &found.last().expect("a summary")["replayed_to"];
    assert_eq!(&newest["lsn"], last_lsn, "{found:?}");
}

#[test]
fn a_damaged_snapshot_is_named_and_the_one_before_taken() {
    let dir = Dir::new("snapdamage");
    let mut node = Node::start(&dir, "snapshot_interval_ms: 100");
    let lines = incident(&dir, "t.log", "32", "20000", "network:GHT@+10s");
    send(&node, &lines);
    node.judged(20_000);
    snapshot_of_everything(&node);
    eventually("two snapshots", || {
        (node.metric("watchroom_snapshots_written_total", "") >= 2.0).then_some(())
    });
    let fired = alerts(&node);
    node.kill();
    let folder = dir.path("data/snapshots");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("there are snapshots")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "snap"))
        .map(|path| (path.clone(), std::fs::read(path).expect("it can be read")))
        .collect();
    files.sort();
    // A node that is killed between a new one and taking the oldest away leaves three.
    let mut files = files.split_off(files.len() - 2);
    // The newest loses a bit, then both.
    for damaged in [1, 0] {
        let middle = files[damaged].1.len() / 2;
        files[damaged].1[middle] ^= 4;
        std::fs::remove_dir_all(&folder).expect("the folder can be emptied");
        std::fs::create_dir(&folder).expect("and made again");
        for (path, bytes) in &files {
            std::fs::write(path, bytes).expect("a file can be written");
        }
        node.restart();
        node.ready();
        assert_eq!(alerts(&node), fired);
        let unusable =
            node.metric("watchroom_snapshots_missed_total", "reason=\"unusable_at_start\"") as usize;
        assert_eq!(unusable, 2 - damaged);
        assert_eq!(node.metric("watchroom_engine_records_total", "") as u64, 20_000);
        node.kill();
    }
    let log = std::fs::read_to_string(dir.path("node.log")).expect("the node logs");
    assert!(log.contains("is damaged: its checksum does not fit"), "{log}");
}

/// A node whose one rule fires later, and a mail server that hears of it.
fn later(dir: &Dir) -> (Node, MailServer) {
    let mails = MailServer::start(dir);
    let rules = dir.write(
        "rules.yaml",
        "groups:\n  - name: later\n    rules:\n      - alert: FiresLater\n        kind: frequency\n        \
         where: response_code in [\"NET_ERR\", \"TIMEOUT\"]\n        by: [channel]\n        count: 3\n        \
         within: 10s\n        for: 15s\n        labels: {severity: critical}\n",
    );
    let more = format!(
        "snapshot_interval_ms: 200\nreceivers:\n  - name: duty\n    email_configs:\n      - {{to: d@example.com, from: \
         w@example.com, smarthost: \"127.0.0.1:{}\", tls: none}}\n",
        mails.port
    );
    (Node::start_with_rules(dir, &rules, &more), mails)
}

/// What the log says of alerts, and what people were told, when all is over.
fn told(dir: &Dir, node: &Node, mails: &MailServer) -> (BTreeSet<String>, Vec<String>) {
    // Idle time settles what the last lines left open.
    let log = || std::fs::read_to_string(dir.path("node.log")).expect("the node logs");
    eventually("the resolution", || log().contains("RESOLVED").then_some(()));
    eventually("everybody was told", || (deliveries(node, "pending") == 0).then_some(()));
    let lives = log()
        .lines()
        .filter_map(|line| {
            let word = ["FIRING", "RESOLVED", "WITHDRAWN"].into_iter().find(|word| line.contains(word))?;
            Some(format!("{word} {}", line.split("id=").nth(1)?.trim()))
        })
        .collect();
    let mut subjects: Vec<String> = mails
        .mails()
        .iter()
        .filter_map(|mail| mail.lines().find(|line| line.starts_with("Subject: ")).map(str::to_owned))
        .collect();
    subjects.sort();
    (lives, subjects)
}

/// The same journal, with the time that passed in it, is judged by a node that nobody kills.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "lines of the past stay in time only while no ten seconds pass"
)]
fn kills_change_nothing_that_people_are_told() {
    let dir = Dir::new("broken");
    let start = from_now(-240);
    let args = [
        "--seed",
        "33",
        "--lines",
        "48000",
        "--lines-per-second",
        "400",
        "--start",
        &start,
        "--incident",
        "network:GHT@+10sx40s",
        "--only-order-trace",
    ];
    let (_, lines) = traffic(&dir, "t.log", &args);
    let (mut node, mails) = later(&dir);
    let mut sent = 0;
    let mut in_time = true;
    for (cut, state) in [(8_000, "pending"), (14_000, "firing"), (19_500, "firing")] {
        let sending = Instant::now();
        send(&node, &lines[sent..cut]);
        sent = cut;
        node.judged(sent as u64);
        let before = alerts(&node);
        // A mail under way would rightly be sent again, saying that it may be a repeat.
        eventually("no mail is under way", || (deliveries(&node, "pending") == 0).then_some(()));
        node.kill();
        node.restart();
        node.ready();
        let after = alerts(&node);
        // Longer without lines, and the node goes by the clock: then alerts rightly go on.
        in_time &= sending.elapsed() < Duration::from_secs(9);
        if in_time {
            assert!(before.iter().any(|alert| alert.1 == state), "after {cut} lines: {before:?}");
            assert_eq!(after, before, "after {cut} lines");
        }
    }
    send(&node, &lines[sent..]);
    node.judged(lines.len() as u64);
    let broken = told(&dir, &node, &mails);
    assert_eq!(node.terminate(), Some(0));

    let whole = Dir::new("unbroken");
    std::fs::create_dir(whole.path("data")).expect("a folder can be made");
    std::fs::rename(dir.path("data/journal"), whole.path("data/journal")).expect("a journal can be moved");
    let (node, mails) = later(&whole);
    node.judged(lines.len() as u64);
    let unbroken = told(&whole, &node, &mails);
    assert!(unbroken.0.iter().any(|life| life.starts_with("RESOLVED")), "{unbroken:?}");
    assert_eq!(broken, unbroken);
}

#[test]
fn rules_that_stay_keep_their_state_and_alerts_of_others_end() {
    let dir = Dir::new("rules");
    let rule = |name: &str, count: u32| {
        format!(
            "      - alert: {name}\n        kind: consecutive\n        where: response_code in [\"NET_ERR\", \
             \"TIMEOUT\"]\n        reset: response_code == \"0000\"\n        by: [channel]\n        count: {count}\n        \
             within: 1m\n"
        )
    };
    let rules = |of: &[String]| format!("groups:\n  - name: g\n    rules:\n{}", of.concat());
    let file = dir.write("rules.yaml", &rules(&[rule("Stays", 5), rule("Goes", 5)]));
    let mut node = Node::start_with_rules(&dir, &file, "snapshot_interval_ms: 100");
    let lines = incident(&dir, "t.log", "34", "14000", "network:GHT@+10sx40s");
    send(&node, &lines);
    node.judged(14_000);
    snapshot_of_everything(&node);
    assert_eq!(alerts(&node).len(), 2, "{:?}", alerts(&node));
    node.kill();
    dir.write("rules.yaml", &rules(&[rule("Stays", 5), rule("Comes", 6)]));
    node.restart();
    node.ready();
    let log = std::fs::read_to_string(dir.path("node.log")).expect("the node logs");
    assert!(log.contains("`Comes` is new") && log.contains("`Goes` is no more"), "{log}");
    let live = node.get("/api/v1/alerts");
    assert!(live.contains("Stays") && !live.contains("Goes") && !live.contains("Comes"), "{live}");
    assert!(node.get("/alerts").contains("Goes"), "the ended one is among the resolved");
}

#[test]
fn a_quiet_second_is_no_gap_in_the_trace_store() {
    let dir = Dir::new("quiet");
    let mut node = Node::start(&dir, "");
    let (_, lines) = traffic(&dir, "t.log", &["--seed", "5", "--lines", "30", "--only-order-trace"]);
    let position = |node: &Node| {
        let status: Value = serde_json::from_str(&node.get("/api/v1/status")).expect("the status is JSON");
        status["journal"]["durable_lsn"].as_u64().expect("a position")
    };
    for (index, chunk) in lines.chunks(10).enumerate() {
        let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
        stream.write_all((chunk.join("\n") + "\n").as_bytes()).expect("lines can be sent");
        node.judged(10 * (index as u64 + 1));
        let after = position(&node);
        eventually("a time entry", || (position(&node) > after).then_some(()));
    }
    assert_eq!(node.terminate(), Some(0));
    let hours = std::fs::read_dir(dir.path("data/traces")).expect("traces are kept");
    let mut ranges: Vec<(u64, u64)> = hours
        .flat_map(|hour| std::fs::read_dir(hour.expect("an hour").path()).into_iter().flatten())
        .filter_map(|file| {
            let name = file.expect("a file").file_name().to_string_lossy().into_owned();
            let mut parts = name.strip_suffix(".parquet")?.split('_').map(|part| part.parse().ok());
            Some((parts.next()??, parts.next()??))
        })
        .collect();
    ranges.sort_unstable();
    assert_eq!(ranges.first().map(|(first, _)| *first), Some(1), "{ranges:?}");
    assert!(ranges.windows(2).all(|pair| pair[1].0 == pair[0].1 + 1), "positions without a file: {ranges:?}");
}
