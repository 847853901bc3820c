//! F3: kill -9 of a real rsyslog that sends over RELP from a disk queue, and of the node. An id given before the queue
//! makes that nothing is counted twice, whatever rsyslog sends again.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn, sockopt};
use torture::checker::{Sent, Violations};
use torture::clock::eventually;
use torture::drill::{Drill, Fate};
use torture::driver::tcp::{Framing, Sender};
use torture::load::{LISTENERS, lines, report, sound, takes_all};
use torture::proxy::Proxy;
use torture::rng::Rng;
use torture::scratch::Scratch;

const RSYSLOGD: &str = "/usr/sbin/rsyslogd";
const LINES: u64 = 6_000;
const KILLS: u32 = 5;

/// A port that stays rsyslog's own while it is down: bound and not listening, so that nobody is given it.
struct HeldPort {
    address: SocketAddr,
    _socket: OwnedFd,
}

impl HeldPort {
    fn new() -> Result<Self> {
        let (family, flags) = (AddressFamily::Inet, SockFlag::SOCK_CLOEXEC);
        let socket = socket::socket(family, SockType::Stream, flags, None)?;
        // rsyslog sets the same: then both may be bound.
        socket::setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        socket::bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))?;
        let bound: SockaddrIn = socket::getsockname(socket.as_raw_fd())?;
        Ok(Self { address: SocketAddr::from((bound.ip(), bound.port())), _socket: socket })
    }
}

/// A running rsyslogd; killed with its handle.
struct Rsyslog(Child);

impl Rsyslog {
    fn start(scratch: &Scratch, config: &Path) -> Result<Self> {
        let pid = scratch.path("rsyslog.pid");
        if pid.exists() {
            fs::remove_file(&pid)?;
        }
        let child = Command::new(RSYSLOGD)
            .args(["-n", "-f"])
            .arg(config)
            .arg("-i")
            .arg(pid)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("rsyslogd cannot be started; run `make test` once")?;
        Ok(Self(child))
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Lines come in over TCP, get their id, are queued on disk, go out over RELP to `port`.
fn config(scratch: &Scratch, input: u16, port: u16) -> Result<std::path::PathBuf> {
    let work = scratch.path("rsyslog");
    fs::create_dir_all(&work)?;
    let text = format!(
        r#"global(workDirectory="{work}" maxMessageSize="64k")
main_queue(queue.type="Direct")
module(load="imptcp")
module(load="omrelp")
template(name="T" type="string" string="<%PRI%>1 %TIMESTAMP:::date-rfc3339% %HOSTNAME% %APP-NAME% %PROCID% %MSGID% [lc@32473 eid=\"%$!eid%\"] %msg%")
input(type="imptcp" address="127.0.0.1" port="{input}" ruleset="fwd")
ruleset(name="fwd" queue.type="Direct") {{
  set $!eid = $uuid;
  action(type="omrelp" target="127.0.0.1" port="{port}" template="T"
         queue.type="Disk" queue.filename="fwd" queue.checkpointInterval="100" queue.maxDiskSpace="1g"
         action.resumeRetryCount="-1" action.resumeInterval="1")
}}
"#,
        work = work.display()
    );
    let path = scratch.path("rsyslog.conf");
    fs::write(&path, text)?;
    Ok(path)
}

#[test]
fn kill_9_of_rsyslog_counts_nothing_twice() {
    let run = || -> Result<()> {
        let mut rng = Rng::new(3);
        let mut drill = Drill::new("rsyslog", LISTENERS, takes_all(), None)?;
        let proxy = Proxy::start(drill.node.front(), "relp", sound())?;
        let input = HeldPort::new()?;
        let config = config(drill.scratch(), input.address.port(), proxy.address().port())?;
        drill.node.up()?;
        let lines = lines("TA").calm().without_cards();
        let address = input.address;
        let pace = Duration::from_millis(5);
        let sender =
            Sender::start(move || Some(address), lines.clone(), 0..LINES, Framing::Lf, pace, rng.fork())?;
        let mut rsyslog = Some(Rsyslog::start(drill.scratch(), &config)?);
        let mut kills = 0;
        while !sender.done() {
            let goal = sender.written() + rng.range(200, 900);
            eventually("rsyslog takes lines", || {
                Ok((sender.done() || sender.written() > goal).then_some(()))
            })?;
            if kills < KILLS {
                kills += 1;
                drop(rsyslog.take());
                if kills % 2 == 0 {
                    drill.node.kill()?;
                    drill.node.up()?;
                }
                rsyslog = Some(Rsyslog::start(drill.scratch(), &config)?);
            }
        }
        // At rest: lines came, and nothing new for three seconds.
        let mut last = (0, torture::clock::now());
        drill.keep_up(
            |_| Fate::Live,
            |node| {
                let received = node.metric("watchroom_input_frames_received_total", "relp").unwrap_or(last.0);
                if received != last.0 {
                    last = (received, torture::clock::now());
                }
                let at_rest = received > 0 && last.1.elapsed() >= Duration::from_secs(3);
                Ok((!at_rest).then_some(received))
            },
        )?;
        drop(rsyslog);
        sender.finish()?;
        let sent = [Sent::Relayed { lines, numbers: 0..LINES, damaged: kills as usize }];
        let passed = drill.finish_with(&sent, false, Violations::default())?;
        report("rsyslog", &format!("{kills} kills of rsyslog, {LINES} lines"), &passed);
        // A kill of rsyslog loses what it had not yet on disk or answered; how much is its own affair.
        ensure!(passed.records > 0, "{passed:?}");
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{e:#}"));
}
