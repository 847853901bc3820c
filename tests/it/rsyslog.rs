//! Debian's rsyslog forwards a file of lines with the very configurations of docs/rsyslog.md: all lines arrive once,
//! Chinese text intact, and the trail shows them.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Dir, Node, Running, eventually, order_of, traffic};

/// The fenced block of docs/rsyslog.md with this language and name.
pub(crate) fn documented(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rsyslog.md");
    let text = std::fs::read_to_string(path).expect("docs/rsyslog.md is there");
    let fence = format!("```{name}\n");
    let block = text.split(&fence).nth(1).unwrap_or_else(|| panic!("docs/rsyslog.md has no block `{name}`"));
    block.split("```").next().unwrap_or_default().to_owned()
}

/// Starts rsyslogd with a documented configuration; it forwards `file` to `port`.
pub(crate) fn rsyslogd(dir: &Dir, block: &str, file: &Path, port: &str) -> Running {
    let config = documented(&format!("rsyslog {block}"))
        .replace("/var/log/payment/trace.log", &file.display().to_string())
        .replace("port=\"5514\"", &format!("port=\"{port}\""))
        .replace("port=\"2514\"", &format!("port=\"{port}\""));
    rsyslogd_of(dir, &config)
}

/// Starts rsyslogd with a configuration.
pub(crate) fn rsyslogd_of(dir: &Dir, config: &str) -> Running {
    let work = dir.path("rsyslog");
    std::fs::create_dir_all(&work).expect("a folder can be made");
    let config = format!("global(workDirectory=\"{}\")\n{config}", work.display());
    let path = dir.write("rsyslog.conf", &config);
    Running::start(
        Command::new("/usr/sbin/rsyslogd")
            .args(["-n", "-f"])
            .arg(path)
            .arg("-i")
            .arg(dir.path("rsyslog.pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )
}

fn append(path: &Path, lines: &[String]) {
    let file = std::fs::OpenOptions::new().append(true).open(path);
    let text = lines.join("\n") + "\n";
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("lines can be written");
}

fn forwards_everything(block: &str, listener: &str) {
    let dir = Dir::new(block);
    let node = Node::start(&dir, "");
    let (file, lines) = traffic(&dir, "trace.log", &["--seed", "11", "--lines", "6000"]);
    let _rsyslogd = rsyslogd(&dir, block, &file, node.port(listener));
    node.judged(lines.len() as u64);
    all_is_there(&node, listener, &lines);
}

/// Everything was received once, and the trail of an order shows all its lines.
fn all_is_there(node: &Node, listener: &str, lines: &[String]) {
    let received = node.metric("watchroom_input_frames_received_total", listener);
    assert_eq!(received as usize, lines.len(), "each line once, none twice");
    assert_eq!(node.metric("watchroom_input_dropped_total", "") as u64, 0);

    let order = lines.iter().map(|l| order_of(l)).find(|o| !o.is_empty()).expect("traffic has orders");
    let expected: BTreeSet<&str> =
        lines.iter().filter(|l| order_of(l) == order).map(String::as_str).collect();
    assert!(expected.iter().any(|l| !l.is_ascii()), "the order's lines carry Chinese text");
    let stored = eventually("the trail shows every line of the order", || {
        let body = node.get(&format!("/api/trail/{order}"));
        let rows: serde_json::Value = serde_json::from_str(&body).expect("the trail is JSON");
        let stored: BTreeSet<String> = rows["steps"].as_array()?.iter().filter_map(joined).collect();
        (stored.len() >= expected.len()).then_some(stored)
    });
    for line in expected {
        assert!(stored.contains(&masked(line)), "not in the trail: {line}\n{stored:#?}");
    }
}

/// The message of a JSON row as it was sent.
fn joined(row: &serde_json::Value) -> Option<String> {
    Some(masked(row["message"].as_str()?))
}

/// The traffic's own order lines with digits of card-like runs struck out alike on both sides.
fn masked(line: &str) -> String {
    let columns: Vec<String> = line
        .split("||")
        .map(|c| {
            if c.bytes().filter(u8::is_ascii_digit).count() + c.matches('*').count() >= 13 {
                "#".to_owned()
            } else {
                c.to_owned()
            }
        })
        .collect();
    columns.join("||")
}

#[test]
fn tcp_octet_counted() {
    forwards_everything("tcp-octet-counted", "tcp");
}

#[test]
fn tcp_traditional() {
    forwards_everything("tcp-traditional", "tcp");
}

#[test]
fn udp() {
    let dir = Dir::new("udp");
    let node = Node::start(&dir, "");
    let (_, lines) = traffic(&dir, "all.log", &["--seed", "11", "--lines", "3000"]);
    let file = dir.write("trace.log", "");
    let _rsyslogd = rsyslogd(&dir, "udp", &file, node.port("udp"));
    // Nobody promises more than the kernel's buffer holds, and that is a few hundred lines at least.
    for (index, few) in lines.chunks(60).enumerate() {
        append(&file, few);
        node.judged((index * 60 + few.len()) as u64);
    }
    all_is_there(&node, "udp", &lines);
}
