//! rsyslog with its defaults: as a receiver, TCP or RELP to a file in memory; as a sender, TCP to omrelp.
//!
//! Refuses to know: other receivers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::process::{Process, wait_until};

/// Where Debian puts it.
const PROGRAM: &str = "/usr/sbin/rsyslogd";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running rsyslogd of our own: its configuration, files and process id are in a folder of ours.
#[derive(Debug)]
pub(crate) struct Rsyslog {
    /// Its process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it writes.
    pub(crate) output: PathBuf,
}

/// What its default template (RSYSLOG_FileFormat) leaves of `lines` messages of `bytes` with an RFC 5424 header: time,
/// host, program and text stay, `<134>1 ` and `- - - ` go.
pub(crate) fn written_bytes(lines: u64, bytes: u64) -> u64 {
    bytes - lines * ("<134>1 ".len() + "- - - ".len()) as u64
}

/// Whether it is installed; if not, what to do.
pub(crate) fn missing() -> Option<String> {
    (!Path::new(PROGRAM).exists()).then(|| format!("{PROGRAM} is not there: apt-get install rsyslog"))
}

/// Whether its RELP modules are installed; if not, what to do.
pub(crate) fn relp_missing() -> Option<String> {
    let there =
        ["/usr/lib/x86_64-linux-gnu/rsyslog", "/usr/lib/aarch64-linux-gnu/rsyslog", "/usr/lib/rsyslog"]
            .iter()
            .any(|folder| Path::new(folder).join("imrelp.so").exists());
    missing().or_else(|| (!there).then(|| "imrelp is not there: apt-get install rsyslog-relp".to_owned()))
}

impl Rsyslog {
    /// Starts it with input module `module` (`imtcp`, `imptcp` or `imrelp`) in an empty folder.
    pub(crate) fn start(module: &str, folder: &Path) -> anyhow::Result<Self> {
        let output = folder.join("out.log");
        let action = format!("action(type=\"omfile\" file=\"{}\")\n", output.display());
        if module != "imrelp" {
            return Self::listen(module, folder, &action);
        }
        // imrelp does not say which port it got: one that was free a moment ago is asked for.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let input = format!(
            "module(load=\"imrelp\")\ninput(type=\"imrelp\" address=\"127.0.0.1\" port=\"{}\")\n",
            free.port()
        );
        let mut process = Self::run(folder, &format!("{input}{action}"))?;
        wait_until("listener of imrelp", &mut process, Duration::from_millis(10), PATIENCE, || {
            Ok(TcpStream::connect(free).is_ok())
        })?;
        Ok(Self { process, address: free, output })
    }

    /// Starts it as a sender: what comes over TCP goes on through omrelp, with its defaults, to `to`.
    pub(crate) fn start_omrelp(folder: &Path, to: SocketAddr) -> anyhow::Result<Self> {
        let action = format!(
            "module(load=\"omrelp\")\naction(type=\"omrelp\" target=\"{}\" port=\"{}\")\n",
            to.ip(),
            to.port()
        );
        Self::listen("imptcp", folder, &action)
    }

    fn listen(module: &str, folder: &Path, action: &str) -> anyhow::Result<Self> {
        let port_file = folder.join("port");
        let input = format!(
            "module(load=\"{module}\")\n\
             input(type=\"{module}\" address=\"127.0.0.1\" port=\"0\" listenPortFileName=\"{port}\")\n",
            port = port_file.display(),
        );
        let mut process = Self::run(folder, &format!("{input}{action}"))?;
        let mut port = None;
        wait_until("port of rsyslog", &mut process, Duration::from_millis(10), PATIENCE, || {
            let text = std::fs::read_to_string(&port_file).unwrap_or_default();
            port = text.trim().parse::<u16>().ok();
            Ok(port.is_some())
        })?;
        let port = port.context("rsyslog said no port")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self { process, address, output: folder.join("out.log") })
    }

    fn run(folder: &Path, text: &str) -> anyhow::Result<Process> {
        let config = folder.join("rsyslog.conf");
        std::fs::write(&config, format!("global(workDirectory=\"{}\")\n{text}", folder.display()))?;
        let mut command = Command::new(PROGRAM);
        command.arg("-n").arg("-i").arg(folder.join("pid")).arg("-f").arg(&config);
        let log = std::fs::File::create(folder.join("rsyslogd.log"))?;
        Process::start(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
    }

    /// Waits until the output has `bytes` (see [`written_bytes`]).
    pub(crate) fn wait_for(&mut self, bytes: u64) -> anyhow::Result<()> {
        let output = &self.output;
        let patience = Duration::from_secs(120);
        wait_until(
            "complete output of rsyslog",
            &mut self.process,
            Duration::from_millis(5),
            patience,
            || Ok(std::fs::metadata(output).is_ok_and(|file| file.len() >= bytes)),
        )
    }
}
