//! kill -9 at any moment: what was committed is stored once, in order, and told once.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;

use crate::support::{Dir, MailServer, Node, eventually, http_get, order_of, soon, traffic, watchroom};

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
