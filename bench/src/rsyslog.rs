//! rsyslog as a receiver: TCP to a file in memory, with its defaults.
//!
//! Refuses to know: other receivers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::process::{Process, wait_until};

/// Where Debian puts it.
const PROGRAM: &str = "/usr/sbin/rsyslogd";

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

impl Rsyslog {
    /// Starts it with input module `module` (`imtcp` or `imptcp`) in an empty folder.
    pub(crate) fn start(module: &str, folder: &Path) -> anyhow::Result<Self> {
        let (config, port_file) = (folder.join("rsyslog.conf"), folder.join("port"));
        let output = folder.join("out.log");
        let text = format!(
            "global(workDirectory=\"{folder}\")\n\
             module(load=\"{module}\")\n\
             input(type=\"{module}\" address=\"127.0.0.1\" port=\"0\" listenPortFileName=\"{port}\")\n\
             action(type=\"omfile\" file=\"{output}\")\n",
            folder = folder.display(),
            port = port_file.display(),
            output = output.display(),
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(PROGRAM);
        command.arg("-n").arg("-i").arg(folder.join("pid")).arg("-f").arg(&config);
        let log = std::fs::File::create(folder.join("rsyslogd.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = Process::start(&mut command)?;
        let mut port = None;
        wait_until(
            "port of rsyslog",
            &mut process,
            Duration::from_millis(10),
            Duration::from_secs(20),
            || {
                let text = std::fs::read_to_string(&port_file).unwrap_or_default();
                port = text.trim().parse::<u16>().ok();
                Ok(port.is_some())
            },
        )?;
        let port = port.context("rsyslog said no port")?;
        Ok(Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)), output })
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
