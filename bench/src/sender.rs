//! The sender: one TCP connection, the lines in memory before the clock starts, big writes.
//!
//! Its own process, so that its CPU time is not the receiver's. Refuses to know: who receives.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;

use crate::process::{Process, clock, cpu_s};

/// Bytes a write.
const WRITE_BYTES: usize = 1024 * 1024;

/// What to send where.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File of lines.
    #[arg(long)]
    file: PathBuf,
    /// Listener.
    #[arg(long)]
    to: SocketAddr,
}

/// The sender's process: says `ready` when the lines are in memory, sends when it reads a line, tells what it used.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lines = std::fs::read(&args.file)?;
    let mut stream = TcpStream::connect(args.to)?;
    let mut answers = std::io::stdout();
    writeln!(answers, "ready")?;
    std::io::stdin().lock().read_line(&mut String::new())?;
    let cpu_before_s = cpu_s("/proc/self/stat")?;
    let begun = clock();
    for part in lines.chunks(WRITE_BYTES) {
        stream.write_all(part)?;
    }
    let seconds = (clock() - begun).as_secs_f64();
    drop(stream);
    writeln!(answers, "{seconds} {}", cpu_s("/proc/self/stat")? - cpu_before_s)?;
    Ok(ExitCode::SUCCESS)
}

/// A sender's process that is ready.
#[derive(Debug)]
pub(crate) struct Sender {
    process: Process,
    answers: BufReader<std::process::ChildStdout>,
}

/// What a sender used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// CPU seconds.
    pub(crate) cpu_s: f64,
}

impl Sender {
    /// Starts it and waits until it has the lines in memory and a connection.
    pub(crate) fn start(file: &Path, to: SocketAddr) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("send").arg("--file").arg(file).args(["--to", &to.to_string()]);
        Self::start_command(&mut command)
    }

    /// Starts a RELP sender and waits until its session is open.
    pub(crate) fn start_relp(file: &Path, to: SocketAddr, window: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("send-relp").arg("--file").arg(file).args(["--to", &to.to_string()]);
        Self::start_command(command.args(["--window", &window.to_string()]))
    }

    /// Starts another command that speaks as this one does.
    pub(crate) fn start_command(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let stdout = process.child().stdout.take().context("no pipe from the sender")?;
        let mut sender = Self { process, answers: BufReader::new(stdout) };
        anyhow::ensure!(sender.answer()? == "ready", "the sender is not ready");
        Ok(sender)
    }

    /// Lets it send.
    pub(crate) fn go(&mut self) -> anyhow::Result<()> {
        let mut stdin = self.process.child().stdin.take().context("the sender was started before")?;
        writeln!(stdin, "go").context("the sender is gone")
    }

    /// The next line that it says.
    pub(crate) fn answer(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line)?;
        anyhow::ensure!(read > 0, "the sender ended too early");
        Ok(line.trim_end().to_owned())
    }

    /// Waits until everything is sent.
    pub(crate) fn finish(&mut self) -> anyhow::Result<Sent> {
        let answer = self.answer()?;
        let (_, cpu) = answer.split_once(' ').context("the sender's answer is not two numbers")?;
        Ok(Sent { cpu_s: cpu.parse()? })
    }
}
