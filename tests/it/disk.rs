//! Disks that are full or fail: what is said, what goes on, and what is there afterwards.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Dir, MailServer, Node, eventually, http_get, soon, traffic, watchroom};

/// A small file system of its own, taken away at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and loudly, where mounting is not allowed.
    fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).expect("a mount point can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(path)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(path.to_owned()));
        }
        shout("a tmpfs cannot be mounted here (not root?): the full disk was NOT tested");
        None
    }

    /// Takes space until `left` bytes are free.
    fn fill(&self, left: usize) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).expect("a file can be made");
        let chunk = vec![7; 64 << 10];
        let mut taken = 0;
        while file.write_all(&chunk).is_ok() {
            taken += chunk.len();
        }
        file.set_len((taken - left) as u64).expect("a file can be cut");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").args(["-l"]).arg(&self.0).status());
    }
}

#[expect(clippy::print_stderr, reason = "a test that does not run must not look like one that passed")]
fn shout(what: &str) {
    eprintln!("SKIPPED: {what}");
}

fn send(address: &str, lines: &[String]) {
    let mut stream = TcpStream::connect(address).expect("the listener accepts");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
}

fn not_ready(node: &Node, why: &str) {
    eventually(&format!("not ready because: {why}"), || {
        let (status, text) = http_get(node.address("web"), "/-/ready");
        (status == 503 && text.contains(why)).then_some(())
    });
}

#[test]
fn a_full_disk_stops_inputs_and_nothing_else() {
    let dir = Dir::new("full");
    let Some(disk) = SmallDisk::mount(&dir.path("data"), "80m") else { return };
    let mails = MailServer::start(&dir);
    let mut node = Node::start(
        &dir,
        &format!(
            "journal: {{segment_bytes: 1048576, reserve_bytes: 16777216, spare_segments: 0}}\nreceivers:\n  - name: duty\n    \
             email_configs:\n      - {{to: d@example.com, from: w@example.com, smarthost: \"127.0.0.1:{}\", tls: none}}\n",
            mails.port
        ),
    );
    mails.hang(true);
    let start = soon();
    let args = [
        "--seed",
        "41",
        "--lines",
        "40000",
        "--lines-per-second",
        "400",
        "--start",
        &start,
        "--incident",
        "network:GHT@+10s",
    ];
    let (_, lines) = traffic(&dir, "t.log", &args);
    let (first, rest) = lines.split_at(20_000);
    send(node.address("tcp"), first);
    node.judged(20_000);

    let filler = disk.fill(4 << 20);
    not_ready(&node, "reserve_bytes");
    // A start finds the disk full, too: it says the same and goes on.
    node.kill();
    node.restart();
    not_ready(&node, "reserve_bytes");
    node.judged(20_000);
    assert_eq!(node.metric("watchroom_engine_records_total", "") as u64, 20_000);

    let address = node.address("tcp").to_owned();
    std::thread::scope(|scope| {
        scope.spawn(|| send(&address, rest));
        not_ready(&node, "inputs wait");
        mails.hang(false);
        eventually("what was pending is delivered", || {
            mails.mails().iter().any(|mail| mail.contains("Subject: [FIRING]")).then_some(())
        });
        assert_eq!(node.get("/-/healthy"), "healthy\n");
        fs::remove_file(&filler).expect("the filler can be removed");
        node.judged(40_000);
    });
    node.ready();
    assert_eq!(node.metric("watchroom_engine_records_total", "") as u64, 40_000, "each once");
    assert_eq!(node.metric("watchroom_input_unaccounted", "") as i64, 0);
    let firing = mails.mails().iter().filter(|mail| mail.contains("Subject: [FIRING]")).count();
    assert_eq!(firing, 1, "told once");
    assert_eq!(node.terminate(), Some(0));
    let (code, out, err) = watchroom(&[
        "journal",
        "verify",
        "--replay",
        "--config",
        &dir.path("watchroom.yaml").display().to_string(),
    ]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn a_node_told_to_stop_while_the_disk_is_full_gives_up_and_says_what_is_lost() {
    let dir = Dir::new("full-stop");
    let Some(disk) = SmallDisk::mount(&dir.path("data"), "48m") else { return };
    let mut node =
        Node::start(&dir, "journal: {segment_bytes: 1048576, reserve_bytes: 0, spare_segments: 0}\n");
    let (_, lines) = traffic(&dir, "t.log", &["--seed", "43", "--lines", "40000", "--start", &soon()]);
    let (first, rest) = lines.split_at(10_000);
    send(node.address("tcp"), first);
    node.judged(10_000);
    let filler = disk.fill(1 << 20);
    let address = node.address("tcp").to_owned();
    std::thread::scope(|scope| {
        // It is cut off when the node ends: what a TCP sender loses then is not to be known.
        let sender = scope.spawn(move || {
            let mut stream = TcpStream::connect(&address).expect("the listener accepts");
            drop(stream.write_all((rest.join("\n") + "\n").as_bytes()));
        });
        not_ready(&node, "inputs wait");
        assert_eq!(node.terminate(), Some(1), "an end that lost something is no orderly one");
        sender.join().expect("the sender ends with the node");
    });
    let log = fs::read_to_string(dir.path("node.log")).expect("the node logs");
    assert!(log.contains("told to stop while there was no room"), "{log}");
    fs::remove_file(&filler).expect("the filler can be removed");
    node.restart();
    eventually("what was in the journal is judged", || {
        (node.metric("watchroom_engine_records_total", "") >= 10_000.0).then_some(())
    });
    assert_eq!(node.terminate(), Some(0));
}

const PRELOAD: &str = "/usr/lib/fiu/fiu_run_preload.so /usr/lib/fiu/fiu_posix_preload.so";

#[test]
fn a_write_or_sync_that_fails_ends_the_process_and_loses_nothing_committed() {
    if PRELOAD.split(' ').any(|library| !Path::new(library).exists()) {
        return shout("libfiu (Debian package fiu-utils) is not installed: failing disks were NOT tested");
    }
    let dir = Dir::new("eio");
    let mut node = Node::start(&dir, "");
    let (_, lines) = traffic(&dir, "t.log", &["--seed", "42", "--lines", "4000"]);
    let mut sent = 0;
    for fault in ["posix/io/sync/fdatasync", "posix/io/rw/pwrite"] {
        node.kill();
        let pipe = dir.path("fiu").display().to_string();
        node.restart_with(&[("LD_PRELOAD", PRELOAD), ("FIU_CTRL_FIFO", &pipe)]);
        send(node.address("tcp"), &lines[sent..sent + 2_000]);
        sent += 2_000;
        node.judged(sent as u64);
        let told = Command::new("fiu-ctrl")
            .args(["-f", &pipe, "-c", &format!("enable name={fault}"), &node.process.0.id().to_string()])
            .status();
        assert!(told.expect("fiu-ctrl can be run").success());
        // The next commit is that of the tick, a second later at most.
        let code = eventually(&format!("the end by {fault}"), || node.process.0.try_wait().ok().flatten());
        assert_eq!(code.code(), Some(1), "{fault}");
        let log = fs::read_to_string(dir.path("node.log")).expect("the node logs");
        let action = if fault.ends_with("sync") { "cannot sync" } else { "cannot write" };
        assert!(log.contains(action) && log.contains("restart to recover"), "{fault}: {log}");
        node.restart();
        node.judged(sent as u64);
        node.ready();
        assert_eq!(node.metric("watchroom_engine_records_total", "") as usize, sent, "{fault}");
    }
    node.kill();
    let (code, out, err) = watchroom(&[
        "journal",
        "verify",
        "--replay",
        "--config",
        &dir.path("watchroom.yaml").display().to_string(),
    ]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn inspection_finds_what_is_damaged_or_missing() {
    let dir = Dir::new("inspect");
    let mut node = Node::start(&dir, "journal: {segment_bytes: 262144}");
    let (_, lines) = traffic(&dir, "t.log", &["--seed", "43", "--lines", "4000"]);
    send(node.address("tcp"), &lines);
    node.judged(4_000);
    let journal = dir.path("data/journal").display().to_string();
    let (code, out, _) = watchroom(&["journal", "verify", &journal]);
    assert_eq!((code, out.contains(" 0 lost")), (0, true), "beside the node at work: {out}");
    assert_eq!(node.terminate(), Some(0));
    let (_, out, _) = watchroom(&["journal", "inspect", "--json", &journal]);
    let found: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let total = |key: &str| found.iter().filter_map(|line| line[key].as_u64()).sum::<u64>();
    assert_eq!(total("frames"), 4_000, "{out}");
    assert!(found.len() > 5, "several segments: {out}");

    let second = found[1]["path"].as_str().expect("a path").to_owned();
    let mut bytes = fs::read(&second).expect("a segment can be read");
    bytes[1_000] ^= 1;
    fs::write(&second, &bytes).expect("a segment can be written");
    let fifth = found[4]["path"].as_str().expect("a path").to_owned();
    fs::remove_file(&fifth).expect("a segment can be removed");
    let (code, out, _) = watchroom(&["journal", "verify", &journal]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains(&second) && out.contains("checksum") && out.contains("restore the file"), "{out}");
    let name = Path::new(&fifth).file_name().expect("a name").to_string_lossy().into_owned();
    assert!(out.contains(&format!("was segment {name} removed?")), "the missing one is named: {out}");
    // Both are judged and stored: the node starts.
    node.restart();
    node.ready();
    let (code, _, err) = watchroom(&["journal", "verify", "/nonexistent/x"]);
    assert_eq!((code, err.contains("no such directory")), (2, true), "{err}");
}
