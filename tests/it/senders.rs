//! rsyslog with ids and numbers, exactly as docs/rsyslog.md has it: whatever dies, each line is stored once, and what
//! rsyslog itself lost shows as missing numbers. And the loss ledger of a flooded UDP listener.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::UdpSocket;
use std::path::Path;

use ingest::JournalReader;
use ingest::journal::EntryKind;
use serde_json::Value;

use crate::rsyslog::rsyslogd;
use crate::support::{Dir, Node, eventually};

fn append(path: &Path, numbers: std::ops::Range<u64>) {
    let text: String =
        numbers.map(|n| format!("order {n} 已支付 {}\n", "x".repeat((n % 300) as usize))).collect();
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("lines can be written");
}

/// What the journal holds: how often each line. No id is there twice: that is the promise.
fn journaled(dir: &Dir) -> BTreeMap<u64, usize> {
    let mut reader = JournalReader::open(&dir.path("data/journal"), 1).expect("the journal can be read");
    let (mut held, mut ids) = (BTreeMap::new(), BTreeSet::new());
    while let Some(entry) = reader.next().expect("the journal is whole") {
        if entry.kind == EntryKind::Frame {
            let frame = std::str::from_utf8(entry.frame).expect("stored frames are UTF-8");
            assert!(frame.contains("[lc@32473 eid=\"") && frame.contains("\" seq=\""), "{frame}");
            let id = frame.split("eid=\"").nth(1).and_then(|rest| rest.split('"').next());
            assert!(ids.insert(id.expect("an id").to_owned()), "stored twice: {frame}");
            let number = frame.split("order ").nth(1).and_then(|rest| rest.split(' ').next());
            let number = number.and_then(|n| n.parse().ok()).expect("a line of this test");
            *held.entry(number).or_default() += 1;
        }
    }
    held
}

fn senders(node: &Node) -> Value {
    serde_json::from_str(&node.get("/api/v1/senders")).expect("senders are JSON")
}

/// Numbers that the node knows to be skipped.
fn skipped(node: &Node) -> u64 {
    let known = senders(node);
    let gaps = known["data"]["senders"][0]["gaps"].as_array().cloned().unwrap_or_default();
    let bound = |gap: &Value, name: &str| gap[name].as_u64().expect("a gap has bounds");
    gaps.iter().map(|gap| bound(gap, "to") - bound(gap, "from") + 1).sum()
}

/// The equation of the ledger, as `/metrics` shows it.
fn assert_balanced(node: &Node, input: &str) {
    let label = format!("input=\"{input}\"");
    let of = |name: &str| node.metric(&format!("watchroom_input_{name}"), &label) as u64;
    assert_eq!(of("unaccounted"), 0);
    let known = ["frames_stored_total", "joined_total", "rejected_total", "duplicate_total", "dropped_total"];
    assert_eq!(of("frames_received_total"), known.map(of).iter().sum::<u64>(), "{}", node.get("/metrics"));
    assert!(node.get("/counters").contains("adds up"));
}

#[test]
fn whatever_is_restarted_each_line_is_stored_once() {
    let dir = Dir::new("numbered");
    let mut node = Node::start(&dir, "");
    node.pin("relp");
    let file = dir.path("trace.log");
    append(&file, 0..10);
    let mut rsyslog = rsyslogd(&dir, "relp-numbered", &file, node.port("relp"));
    for round in 0..3_u64 {
        append(&file, 10 + round * 5_000..10 + (round + 1) * 5_000);
        node.judged(round * 5_000 + 1_000);
        node.kill();
        node.restart();
        if round == 1 {
            // When all is answered: an rsyslog that is stopped before forgets its window.
            eventually("all that was written has come", || (journaled(&dir).len() == 10_010).then_some(()));
            rsyslog.signal("-TERM");
            rsyslog.0.wait().expect("rsyslog can be waited for");
            rsyslog = rsyslogd(&dir, "relp-numbered", &file, node.port("relp"));
        }
    }
    eventually("every line has come", || {
        let held = journaled(&dir);
        (held.len() == 15_010).then_some(())
    });
    let held = journaled(&dir);
    let doubled = held.values().filter(|times| **times > 1).count();
    assert_eq!(doubled, 0, "lines stored twice");
    eventually("no number is awaited", || (skipped(&node) == 0).then_some(()));
    assert_eq!(node.metric("watchroom_sender_missing_total", "") as u64, 0);
    assert_balanced(&node, "relp");
    drop(rsyslog);
}

#[test]
fn what_rsyslog_loses_when_it_is_killed_is_seen_to_be_missing() {
    let dir = Dir::new("rsyslog-kill");
    let node = Node::start(&dir, "");
    let file = dir.path("trace.log");
    append(&file, 0..10);
    let mut rsyslog = rsyslogd(&dir, "relp-numbered", &file, node.port("relp"));
    node.judged(10);
    // The node stands still, so that rsyslog has a window of unanswered lines and a queue behind it.
    node.process.signal("-STOP");
    append(&file, 10..6_000);
    eventually("the last line is in rsyslog's queue", || {
        let files = std::fs::read_dir(dir.path("rsyslog")).ok()?;
        files
            .flatten()
            .any(|f| {
                let bytes = std::fs::read(f.path()).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains("order 5999 ")
            })
            .then_some(())
    });
    rsyslog.0.kill().expect("rsyslog is alive");
    rsyslog.0.wait().expect("rsyslog can be waited for");
    node.process.signal("-CONT");
    let _rsyslog = rsyslogd(&dir, "relp-numbered", &file, node.port("relp"));
    append(&file, 6_000..6_010);
    eventually("what rsyslog still had has come", || {
        let held = journaled(&dir);
        (6_000..6_010).all(|n| held.contains_key(&n)).then_some(())
    });
    let held = journaled(&dir);
    // Where a killed rsyslog begins to write its queue again, a new id may stand before the text of an old line.
    let spliced = held.values().map(|times| times - 1).sum::<usize>() as u64;
    assert!(spliced <= 1, "{spliced} lines stored twice");
    // Lines were numbered as they stand in the file. What is lost behind the last that came cannot be known.
    let last = *held.range(..6_000).next_back().expect("lines came").0;
    let lost = (0..=last).filter(|n| !held.contains_key(n)).count() as u64;
    assert!(lost <= 300, "more than a window was lost: {lost}");
    eventually(&format!("{lost} lost lines are known to be skipped"), || {
        (skipped(&node).abs_diff(lost) <= spliced).then_some(())
    });
    eventually("rsyslog is known to have begun anew", || {
        (senders(&node)["data"]["senders"][0]["restarts"] == 1).then_some(())
    });
    assert_balanced(&node, "relp");
}

#[test]
fn a_flooded_udp_listener_knows_what_the_kernel_dropped() {
    let dir = Dir::new("flood");
    let node = Node::start(&dir, "");
    let more = std::fs::read_to_string(dir.path("watchroom.yaml")).expect("the config can be read");
    drop(node);
    let small = more.replace(
        "protocol: udp, address: \"127.0.0.1:0\"",
        "protocol: udp, receive_buffer_bytes: 8192, address: \"127.0.0.1:0\"",
    );
    assert_ne!(small, more);
    dir.write("watchroom.yaml", &small);
    let node = Node::start_as_configured(&dir);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(node.address("udp")).expect("an address");
    let line = format!("<14>Jul 22 18:15:00 host app: {}", "x".repeat(600));
    let sent = 50_000;
    for _ in 0..sent {
        socket.send(line.as_bytes()).expect("loopback takes it");
    }
    let of = |name: &str, label: &str| node.metric(&format!("watchroom_input_{name}"), label) as u64;
    let dropped = eventually("what was sent is stored or known to be dropped", || {
        let stored = of("frames_stored_total", "input=\"udp\"");
        let dropped = of("dropped_total", "input=\"udp\",reason=\"kernel\"");
        (stored + dropped == sent).then_some(dropped)
    });
    assert!(dropped > 0, "the buffer was not small enough to be flooded");
    assert_eq!(of("frames_received_total", "input=\"udp\""), sent);
    assert_balanced(&node, "udp");
    assert!(node.get("/counters").contains(&format!("kernel {}", grouped(dropped))));
}

/// Digits in groups, as pages show them.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
