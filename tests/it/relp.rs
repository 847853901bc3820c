//! Debian's rsyslog with omrelp at its default window: every line is stored once, whatever dies in between.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use ingest::JournalReader;
use ingest::journal::EntryKind;

use crate::rsyslog::rsyslogd;
use crate::support::{Dir, Node, eventually};

/// Unequal lines of many sizes.
fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("order {n} 已支付 {}", "x".repeat(n % 700))).collect()
}

fn append(path: &Path, lines: &[String]) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let text = lines.join("\n") + "\n";
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("lines can be written");
}

/// What the journal holds: how often each line came through RELP.
fn journaled(dir: &Dir) -> BTreeMap<String, usize> {
    let mut reader = JournalReader::open(&dir.path("data/journal"), 1).expect("the journal can be read");
    let mut held = BTreeMap::new();
    while let Some(entry) = reader.next().expect("the journal is whole") {
        if entry.kind == EntryKind::Frame && entry.source.starts_with("relp/") {
            let frame = std::str::from_utf8(entry.frame).expect("stored frames are UTF-8");
            let (_header, line) = frame.split_once("order ").expect("a line of this test");
            *held.entry(format!("order {line}")).or_default() += 1;
        }
    }
    held
}

/// Nothing is lost, and at most so many lines are there twice.
fn assert_each_once(dir: &Dir, sent: &[String], doubled_by_sender: usize) {
    let held = journaled(dir);
    let missing = sent.iter().filter(|line| !held.contains_key(*line)).count();
    let doubled = held.values().filter(|times| **times > 1).count();
    assert_eq!((missing, held.len()), (0, sent.len()), "(missing, distinct)");
    assert!(doubled <= doubled_by_sender, "{doubled} lines are there twice");
}

#[test]
fn omrelp_delivers_each_line_once() {
    let dir = Dir::new("relp");
    let mut node = Node::start(&dir, "");
    let file = dir.path("trace.log");
    let sent = lines(0..20_000);
    append(&file, &sent);
    let rsyslogd = rsyslogd(&dir, "relp", &file, node.port("relp"));
    node.judged(sent.len() as u64);
    eventually("everything is acknowledged", || {
        (node.metric("watchroom_input_frames_stored_total", "relp") as usize == sent.len()).then_some(())
    });
    drop(rsyslogd);
    assert_eq!(node.terminate(), Some(0));
    assert_each_once(&dir, &sent, 0);
}

#[test]
fn kill_9_of_the_node_loses_nothing_and_stores_no_replay() {
    let dir = Dir::new("relp-kill");
    let mut node = Node::start(&dir, "");
    node.pin("relp");
    let file = dir.path("trace.log");
    let sent = lines(0..30_000);
    append(&file, &sent[..10]);
    let rsyslogd = rsyslogd(&dir, "relp", &file, node.port("relp"));
    for (index, chunk) in sent[10..].chunks(10_000).enumerate() {
        append(&file, chunk);
        let some = (index * 10_000 + 2_000) as u64;
        node.judged(some);
        node.kill();
        node.restart();
    }
    node.judged(sent.len() as u64);
    drop(rsyslogd);
    assert_eq!(node.terminate(), Some(0));
    // omrelp itself may send the line at hand twice when a session breaks: with the window that librelp sends again,
    // and as a new line. Only an id in the line can tell.
    assert_each_once(&dir, &sent, 3);
}
