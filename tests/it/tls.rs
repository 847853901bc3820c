//! Debian's rsyslog over TLS, with the certificates, the listeners and the configurations of docs/rsyslog.md: every line
//! comes once under its sender's name, strangers are refused and counted, certificates are renewed while lines flow.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use ingest::JournalReader;
use ingest::journal::EntryKind;

use crate::rsyslog::{documented, rsyslogd_of};
use crate::support::{Dir, Node, Running, eventually};

/// Runs the documented commands in a folder of their own.
fn certificates(dir: &Dir, name: &str) -> PathBuf {
    let folder = dir.path(name);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let script = format!("set -e\n{}", documented("sh certificates"));
    let done =
        Command::new("bash").args(["-c", &script]).current_dir(&folder).output().expect("bash can be run");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    folder
}

/// A node with the documented listeners on free ports.
fn node(dir: &Dir, tls: &Path) -> Node {
    let listeners = documented("yaml tls-listeners")
        .replace("listeners:\n", "")
        .replace("0.0.0.0:6514", "127.0.0.1:0")
        .replace("0.0.0.0:20514", "127.0.0.1:0")
        .replace("/etc/watchroom/tls", &tls.display().to_string());
    Node::start_with_listeners(dir, &listeners)
}

/// A sender as documented, with its files in `tls` and `change` made to its configuration.
struct Sender {
    _process: Running,
    file: PathBuf,
    _dir: Dir,
}

impl Sender {
    fn start(block: &str, node: &Node, tls: &Path, change: (&str, &str)) -> Self {
        let dir = Dir::new(block);
        let file = dir.write("trace.log", "");
        let config = documented(&format!("rsyslog {block}"));
        assert!(config.contains(change.0), "{block} has no {} to change", change.0);
        let config = config
            .replace(change.0, change.1)
            .replace("/var/log/payment/trace.log", &file.display().to_string())
            .replace("/etc/rsyslog.d/tls", &tls.display().to_string())
            .replace("target=\"logs.payments.example\"", "target=\"127.0.0.1\"")
            .replace("port=\"6514\"", &format!("port=\"{}\"", node.port("syslog-tls")))
            .replace("port=\"20514\"", &format!("port=\"{}\"", node.port("relp-tls")));
        Self { _process: rsyslogd_of(&dir, &config), file, _dir: dir }
    }

    fn write(&self, lines: &[String]) {
        let file = std::fs::OpenOptions::new().append(true).open(&self.file);
        let text = lines.join("\n") + "\n";
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("lines can be written");
    }
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("order {n} 已支付 {}", "x".repeat(n % 700))).collect()
}

/// What the journal holds of a source: how often each line.
fn journaled(dir: &Dir, source: &str) -> BTreeMap<String, usize> {
    let mut reader = JournalReader::open(&dir.path("data/journal"), 1).expect("the journal can be read");
    let mut held = BTreeMap::new();
    while let Some(entry) = reader.next().expect("the journal is whole") {
        if entry.kind == EntryKind::Frame && entry.source == source {
            let frame = std::str::from_utf8(entry.frame).expect("stored frames are UTF-8");
            let (_header, line) = frame.split_once("order ").expect("a line of this test");
            *held.entry(format!("order {line}")).or_default() += 1;
        }
    }
    held
}

fn failed(node: &Node, labels: &str) -> u64 {
    node.metric("watchroom_input_tls_handshakes_failed_total", labels) as u64
}

fn each_once_under_its_name(block: &str, listener: &str, change: (&str, &str)) {
    let dir = Dir::new(block);
    let tls = certificates(&dir, "tls");
    let mut node = node(&dir, &tls);
    let sender = Sender::start(block, &node, &tls, change);
    let sent = lines(0..6_000);
    sender.write(&sent);
    node.judged(sent.len() as u64);
    assert_eq!(failed(&node, ""), 0);
    drop(sender);
    assert_eq!(node.terminate(), Some(0));
    let held = journaled(&dir, &format!("{listener}/web1.payments.example"));
    let doubled = held.values().filter(|times| **times > 1).count();
    let missing = sent.iter().filter(|line| !held.contains_key(*line)).count();
    assert_eq!((missing, doubled, held.len()), (0, 0, sent.len()), "(missing, doubled, distinct)");
}

#[test]
fn omfwd_gtls() {
    each_once_under_its_name("tls", "syslog-tls", ("\"gtls\"", "\"gtls\""));
}

#[test]
fn omfwd_ossl() {
    each_once_under_its_name("tls", "syslog-tls", ("\"gtls\"", "\"ossl\""));
}

#[test]
fn omrelp_gnutls() {
    each_once_under_its_name("relp-tls", "relp-tls", ("\"gnutls\"", "\"gnutls\""));
}

#[test]
fn omrelp_openssl() {
    each_once_under_its_name("relp-tls", "relp-tls", ("\"gnutls\"", "\"openssl\""));
}

/// A sender with a certificate of another authority (it trusts the node's, or it would refuse first).
fn stranger(dir: &Dir, tls: &Path) -> PathBuf {
    let strange = certificates(dir, "strange");
    std::fs::copy(tls.join("ca.pem"), strange.join("ca.pem")).expect("the authority can be copied");
    strange
}

#[test]
fn strangers_are_refused_and_counted() {
    let dir = Dir::new("tls-strangers");
    let tls = certificates(&dir, "tls");
    let strange = stranger(&dir, &tls);
    let node = node(&dir, &tls);
    let mut senders = Vec::new();
    for (block, listener, change) in [
        ("tls", "syslog-tls", ("\"gtls\"", "\"gtls\"")),
        ("tls", "syslog-tls", ("\"gtls\"", "\"ossl\"")),
        ("relp-tls", "relp-tls", ("\"gnutls\"", "\"gnutls\"")),
        ("relp-tls", "relp-tls", ("\"gnutls\"", "\"openssl\"")),
    ] {
        let labels = format!("input=\"{listener}\",reason=\"unknown_ca\"");
        let before = failed(&node, &labels);
        let sender = Sender::start(block, &node, &strange, change);
        sender.write(&lines(0..10));
        eventually(&format!("{block} {change:?} refused"), || {
            (failed(&node, &labels) > before).then_some(())
        });
        senders.push(sender);
    }
    // omrelp that is told nothing but tls="on" tries anonymous Diffie-Hellman.
    let config = documented("rsyslog relp-tls");
    let (_, from) = config.split_once("tls=\"on\"").expect("documented");
    let (certificates, _) = from.split_once("template=").expect("documented");
    let anonymous = Sender::start("relp-tls", &node, &tls, (certificates, "\n"));
    anonymous.write(&lines(0..10));
    eventually("anonymous TLS refused", || (failed(&node, "reason=\"no_cipher\"") > 0).then_some(()));
    assert_eq!(node.metric("watchroom_input_frames_received_total", "") as u64, 0);
    let log = std::fs::read_to_string(dir.path("node.log")).expect("the node has a log");
    assert!(log.contains("is not in tls.client_ca") && log.contains("sign it with that authority"), "{log}");
}

#[test]
fn certificates_are_renewed_while_lines_flow() {
    let dir = Dir::new("tls-renew");
    let tls = certificates(&dir, "tls");
    let mut node = node(&dir, &tls);
    let sent = lines(0..9_000);
    let (old, relp) = (
        Sender::start("tls", &node, &tls, ("\"gtls\"", "\"ossl\"")),
        Sender::start("relp-tls", &node, &tls, ("\"gnutls\"", "\"openssl\"")),
    );
    old.write(&sent[..3_000]);
    relp.write(&sent[..3_000]);
    node.judged(6_000);
    let (ends, reloaded) = (not_after(&node), last_reload(&node));

    // The new certificate is in place and its key is not yet: nothing changes.
    let renewed = renewed(&tls);
    replace(&renewed.0, &tls.join("watchroom.pem"));
    node.process.signal("-HUP");
    eventually("the failed reload is known", || {
        (node.metric("watchroom_config_last_reload_successful", "") as u64 == 0).then_some(())
    });
    assert!(node.get("/").contains("The last reload failed"), "the board says so");
    assert_eq!((not_after(&node), last_reload(&node)), (ends, reloaded));
    assert_eq!(node.get("/-/ready"), "ready\n");
    old.write(&sent[3_000..6_000]);
    let other = Sender::start("tls", &node, &tls, ("\"gtls\"", "\"gtls\""));
    other.write(&sent[..1_000]);
    node.judged(10_000);

    replace(&renewed.1, &tls.join("watchroom.key"));
    node.process.signal("-HUP");
    eventually("the reload is known", || {
        (node.metric("watchroom_config_last_reload_successful", "") as u64 == 1).then_some(())
    });
    assert!(not_after(&node) > ends + 100.0 * 86_400.0, "the new certificate is in use");
    assert!(last_reload(&node) > reloaded);
    // The old sessions stand, and new ones come.
    let connections = node.metric("watchroom_input_connections", "syslog-tls");
    old.write(&sent[6_000..]);
    relp.write(&sent[3_000..]);
    node.judged(19_000);
    assert_eq!(node.metric("watchroom_input_connections", "syslog-tls"), connections);
    let newcomer = Sender::start("tls", &node, &tls, ("\"gtls\"", "\"ossl\""));
    newcomer.write(&sent[..1_000]);
    node.judged(20_000);
    assert_eq!(failed(&node, ""), 0);
    drop((old, relp, other, newcomer));
    assert_eq!(node.terminate(), Some(0));
    let held = journaled(&dir, "relp-tls/web1.payments.example");
    assert!(sent.iter().all(|line| held.get(line) == Some(&1)), "RELP: each line once");
    assert_eq!(journaled(&dir, "syslog-tls/web1.payments.example").values().sum::<usize>(), 11_000);
}

/// A certificate of the same names for another key, of more days.
fn renewed(tls: &Path) -> (PathBuf, PathBuf) {
    let commands = "set -e\n\
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=new -keyout new.key -out new.csr\n\
        openssl x509 -req -in new.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 797 -extfile watchroom.ext -out new.pem";
    let done =
        Command::new("bash").args(["-c", commands]).current_dir(tls).output().expect("bash can be run");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    (tls.join("new.pem"), tls.join("new.key"))
}

fn replace(new: &Path, old: &Path) {
    std::fs::rename(new, old).expect("a file can be replaced");
}

fn not_after(node: &Node) -> f64 {
    node.metric("watchroom_input_tls_certificate_not_after_timestamp_seconds", "syslog-tls")
}

fn last_reload(node: &Node) -> f64 {
    node.metric("watchroom_config_last_reload_success_timestamp_seconds", "")
}
