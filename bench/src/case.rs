//! The cases: each starts a receiver, sends it the lines, waits until it is done with them, and reads what it used.
//!
//! Refuses to know: how figures are compared and shown.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::process::{Folder, Process, clock, machine_cpu_s, wait_until};
use crate::relp::Ack;
use crate::rsyslog::{self, Rsyslog};
use crate::sender::Sender;
use crate::watchroom::{Options, Watchroom};
use crate::{Args, Lines};

/// A receiver that takes longer than this for the lines will not do it any more.
const PATIENCE: Duration = Duration::from_secs(300);
/// After everything is judged and on disk, the trace store gets this long to write its last file.
const FILES_PATIENCE: Duration = Duration::from_secs(10);

/// Others' share of the machine beyond which a run is marked: its absolute figures are worth little.
pub(crate) const OTHERS_MAX: f64 = 0.08;
/// How long the machine is looked at to know whether it is quiet.
const QUIET_WINDOW: Duration = Duration::from_millis(250);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Case {
    /// The limit: read, split, count.
    Limit,
    /// rsyslog, imtcp to omfile in memory.
    Imtcp,
    /// rsyslog, imptcp to omfile in memory.
    Imptcp,
    /// Watchroom, journal and store off.
    Judged,
    /// Watchroom, journal and store on a disk.
    Stored,
    /// rsyslog, imrelp to omfile in memory, from our sender.
    Imrelp,
    /// Watchroom, journal and store on a disk, RELP from our sender.
    Relp,
    /// rsyslog, imrelp to omfile in memory, from another rsyslog's omrelp.
    OmrelpImrelp,
    /// Watchroom, journal and store on a disk, from rsyslog's omrelp.
    Omrelp,
}

/// In the order in which they run in a round.
pub(crate) const ALL: [Case; 9] = [
    Case::Limit,
    Case::Imtcp,
    Case::Judged,
    Case::Imptcp,
    Case::Stored,
    Case::Imrelp,
    Case::Relp,
    Case::OmrelpImrelp,
    Case::Omrelp,
];
/// Length of the ack case.
const ACK_S: f64 = 10.0;

impl Case {
    /// One word, for `--only` and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Case::Limit => "limit",
            Case::Imtcp => "imtcp",
            Case::Imptcp => "imptcp",
            Case::Judged => "judged",
            Case::Stored => "stored",
            Case::Imrelp => "imrelp",
            Case::Relp => "relp",
            Case::OmrelpImrelp => "omrelp-imrelp",
            Case::Omrelp => "omrelp",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Case::Limit => "limit: read, split, count",
            Case::Imtcp => "rsyslog imtcp to a file in memory",
            Case::Imptcp => "rsyslog imptcp to a file in memory",
            Case::Judged => "watchroom, journal and store off",
            Case::Stored => "watchroom, journal and store on disk",
            Case::Imrelp => "RELP to rsyslog imrelp",
            Case::Relp => "RELP to watchroom, kept",
            Case::OmrelpImrelp => "omrelp to rsyslog imrelp",
            Case::Omrelp => "omrelp to watchroom, kept",
        }
    }
}

/// One run of a case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// From the first byte sent until the receiver was done with the last line.
    pub(crate) lines_per_s: f64,
    /// CPU seconds of the receiver for a million lines.
    pub(crate) cpu_s_per_million: f64,
    /// CPU seconds of the sender, an rsyslog in between included, for a million lines.
    pub(crate) sender_cpu_s_per_million: f64,
    /// Most memory resident at once.
    pub(crate) resident_bytes: u64,
    /// Share of the machine's two cores (or however many) that others used meanwhile, 0 to 1.
    pub(crate) others: f64,
    /// Until the last line was in a trace file, lines per second; only for `stored`, where it is known.
    pub(crate) to_files_per_s: Option<f64>,
}

/// A run, or why there is none.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It ran.
    Run(Run),
    /// Something is not installed.
    Missing(String),
}

/// What all runs share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bench<'a> {
    /// The command line.
    pub(crate) args: &'a Args,
    /// What is sent.
    pub(crate) lines: &'a Lines,
    /// Few of them, for what is slow.
    pub(crate) few: &'a Lines,
    /// Folder in memory.
    pub(crate) memory: &'a Path,
    /// Folder on a disk.
    pub(crate) disk: &'a Path,
}

/// A run under way.
struct Stopwatch<'a> {
    sender: Sender,
    /// Passes on what the sender sends.
    relay: Option<(&'a Process, f64)>,
    begun: Instant,
    receiver_cpu_s: f64,
    machine_cpu_s: f64,
}

impl<'a> Stopwatch<'a> {
    /// Starts a sender and, when it is ready, the clock and the sending.
    fn start(bench: &Bench<'_>, to: SocketAddr, receiver: &Process) -> anyhow::Result<Self> {
        Self::start_with(Sender::start(&bench.lines.path, to)?, None, receiver)
    }

    fn start_with(
        mut sender: Sender,
        relay: Option<&'a Process>,
        receiver: &Process,
    ) -> anyhow::Result<Self> {
        let relay = relay.map(|relay| Ok::<_, anyhow::Error>((relay, relay.cpu_s()?))).transpose()?;
        let (receiver_cpu_s, machine_cpu_s) = (receiver.cpu_s()?, machine_cpu_s()?);
        let begun = clock();
        sender.go()?;
        Ok(Self { sender, relay, begun, receiver_cpu_s, machine_cpu_s })
    }

    /// The receiver was done after `took`; it and the sender still run.
    fn stop(mut self, bench: &Bench<'_>, receiver: &Process, took: Duration) -> anyhow::Result<Run> {
        let mut sent = self.sender.finish()?;
        if let Some((relay, before_s)) = self.relay {
            sent.cpu_s += relay.cpu_s()? - before_s;
        }
        let cpu_s = receiver.cpu_s()? - self.receiver_cpu_s;
        let all_cpu_s = machine_cpu_s()? - self.machine_cpu_s;
        let cores = std::thread::available_parallelism()?.get() as f64;
        let window_s = (clock() - self.begun).as_secs_f64();
        let lines = bench.lines.count as f64;
        Ok(Run {
            lines_per_s: lines / took.as_secs_f64(),
            cpu_s_per_million: cpu_s / lines * 1e6,
            sender_cpu_s_per_million: sent.cpu_s / lines * 1e6,
            resident_bytes: receiver.peak_resident_bytes()?,
            others: ((all_cpu_s - cpu_s - sent.cpu_s) / (window_s * cores)).max(0.0),
            to_files_per_s: None,
        })
    }
}

impl Bench<'_> {
    /// Runs a case once, after a wait for a quiet machine.
    pub(crate) fn run(&self, case: Case) -> anyhow::Result<Outcome> {
        wait_for_quiet(Duration::from_secs(self.args.quiet_s))?;
        match case {
            Case::Limit => self.limit().map(Outcome::Run),
            Case::Imtcp | Case::Imptcp => match rsyslog::missing() {
                Some(why) => Ok(Outcome::Missing(why)),
                None => self.rsyslog(case.name()).map(Outcome::Run),
            },
            Case::Imrelp | Case::OmrelpImrelp | Case::Omrelp if rsyslog::relp_missing().is_some() => {
                Ok(Outcome::Missing(rsyslog::relp_missing().unwrap_or_default()))
            }
            Case::Judged | Case::Stored | Case::Relp | Case::Omrelp if !self.args.watchroom.exists() => {
                Ok(Outcome::Missing(format!(
                    "{} is not there: cargo build --release",
                    self.args.watchroom.display()
                )))
            }
            Case::Judged => self.judged().map(Outcome::Run),
            Case::Stored | Case::Relp | Case::Omrelp => self.stored(case).map(Outcome::Run),
            Case::Imrelp => self.imrelp().map(Outcome::Run),
            Case::OmrelpImrelp => Bench { lines: self.few, ..*self }.omrelp_imrelp().map(Outcome::Run),
        }
    }

    fn limit(&self) -> anyhow::Result<Run> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("limit").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let stdout = process.child().stdout.take().context("no pipe from the limit")?;
        let mut answers = BufReader::new(stdout).lines();
        let mut answer = || answers.next().context("the limit ended too early")?.map_err(anyhow::Error::from);
        let address = answer()?.parse()?;
        let stopwatch = Stopwatch::start(self, address, &process)?;
        let counted = answer()?;
        let took = clock() - stopwatch.begun;
        let lines: u64 = counted.split(' ').next().unwrap_or_default().parse()?;
        ensure!(lines == self.lines.count, "the limit saw {lines} of {} lines", self.lines.count);
        stopwatch.stop(self, &process, took)
    }

    fn rsyslog(&self, module: &str) -> anyhow::Result<Run> {
        let folder = Folder::make(self.memory)?;
        let mut rsyslog = Rsyslog::start(module, folder.path())?;
        let stopwatch = Stopwatch::start(self, rsyslog.address, &rsyslog.process)?;
        let bytes = rsyslog::written_bytes(self.lines.count, self.lines.bytes);
        rsyslog.wait_for(bytes)?;
        let took = clock() - stopwatch.begun;
        let run = stopwatch.stop(self, &rsyslog.process, took)?;
        let written = crate::limit::count_lines(&rsyslog.output)?;
        ensure!(
            written == (self.lines.count, bytes),
            "rsyslog wrote {} lines, {} bytes",
            written.0,
            written.1
        );
        rsyslog.process.end()?;
        Ok(run)
    }

    fn imrelp(&self) -> anyhow::Result<Run> {
        let folder = Folder::make(self.memory)?;
        let mut rsyslog = Rsyslog::start("imrelp", folder.path())?;
        let sender = Sender::start_relp(&self.lines.path, rsyslog.address, self.args.window)?;
        let stopwatch = Stopwatch::start_with(sender, None, &rsyslog.process)?;
        rsyslog.wait_for(rsyslog::written_bytes(self.lines.count, self.lines.bytes))?;
        let took = clock() - stopwatch.begun;
        let run = stopwatch.stop(self, &rsyslog.process, took)?;
        let written = crate::limit::count_lines(&rsyslog.output)?.0;
        ensure!(written == self.lines.count, "rsyslog wrote {written} lines");
        rsyslog.process.end()?;
        Ok(run)
    }

    /// TCP to one rsyslog, RELP from there to another.
    fn omrelp_imrelp(&self) -> anyhow::Result<Run> {
        let (folder, relay_folder) = (Folder::make(self.memory)?, Folder::make(self.memory)?);
        let mut rsyslog = Rsyslog::start("imrelp", folder.path())?;
        let mut relay = Rsyslog::start_omrelp(relay_folder.path(), rsyslog.address)?;
        let sender = Sender::start(&self.lines.path, relay.address)?;
        let stopwatch = Stopwatch::start_with(sender, Some(&relay.process), &rsyslog.process)?;
        let begun = stopwatch.begun;
        let output = rsyslog.output.clone();
        wait_until(
            "all lines from omrelp",
            &mut rsyslog.process,
            Duration::from_millis(20),
            PATIENCE,
            || Ok(crate::limit::count_lines(&output).is_ok_and(|(lines, _)| lines >= self.lines.count)),
        )?;
        let took = clock() - begun;
        let run = stopwatch.stop(self, &rsyslog.process, took)?;
        relay.process.end()?;
        rsyslog.process.end()?;
        Ok(run)
    }

    /// Time to an answer at a steady rate: of Watchroom, journal and store on a disk, and of imrelp.
    pub(crate) fn acks(&self) -> anyhow::Result<Vec<(Case, Ack)>> {
        let mut acks = Vec::new();
        if rsyslog::relp_missing().is_none() {
            let folder = Folder::make(self.memory)?;
            let mut rsyslog = Rsyslog::start("imrelp", folder.path())?;
            acks.push((Case::Imrelp, self.ack(rsyslog.address)?));
            rsyslog.process.end()?;
        }
        let folder = Folder::make(self.disk)?;
        let options = Options { keeps: true, webhook: None };
        let mut watchroom = Watchroom::start(&self.args.watchroom, &self.args.rules, folder.path(), options)?;
        acks.push((Case::Relp, self.ack(watchroom.relp)?));
        watchroom.process.end()?;
        Ok(acks)
    }

    fn ack(&self, to: SocketAddr) -> anyhow::Result<Ack> {
        let mut command = Command::new(std::env::current_exe()?);
        let count = (self.args.ack_rate * ACK_S).min(self.lines.count as f64);
        command.arg("send-relp").arg("--file").arg(&self.lines.path).args(["--to", &to.to_string()]);
        command.args(["--window", &self.args.window.to_string()]);
        command.args(["--rate", &self.args.ack_rate.to_string(), "--lines", &count.to_string()]);
        let mut sender = Sender::start_command(&mut command)?;
        sender.go()?;
        sender.finish()?;
        sender.answer()?.parse()
    }

    fn judged(&self) -> anyhow::Result<Run> {
        let folder = Folder::make(self.memory)?;
        let options = Options { keeps: false, webhook: None };
        let mut watchroom = Watchroom::start(&self.args.watchroom, &self.args.rules, folder.path(), options)?;
        let before = watchroom.progress()?;
        let stopwatch = Stopwatch::start(self, watchroom.address, &watchroom.process)?;
        let judged = before.judged + self.lines.count;
        watchroom.wait_for("judgement of all lines", PATIENCE, |progress| progress.judged >= judged)?;
        let took = clock() - stopwatch.begun;
        let run = stopwatch.stop(self, &watchroom.process, took)?;
        none_late(&watchroom)?;
        watchroom.process.end()?;
        Ok(run)
    }

    /// Done means judged, on disk in the journal, and with the trace store. What the store still held in memory then
    /// is less than a file; it is written out before CPU time is read, so that it is not a present.
    fn stored(&self, case: Case) -> anyhow::Result<Run> {
        let folder = Folder::make(self.disk)?;
        let options = Options { keeps: true, webhook: None };
        let mut watchroom = Watchroom::start(&self.args.watchroom, &self.args.rules, folder.path(), options)?;
        let before = watchroom.progress()?;
        let count = self.lines.count;
        let relay_folder = Folder::make(self.memory)?;
        let mut relay = match case {
            Case::Omrelp => Some(Rsyslog::start_omrelp(relay_folder.path(), watchroom.relp)?),
            _ => None,
        };
        let sender = match (case, &relay) {
            (Case::Relp, _) => Sender::start_relp(&self.lines.path, watchroom.relp, self.args.window)?,
            (_, Some(relay)) => Sender::start(&self.lines.path, relay.address)?,
            (_, None) => Sender::start(&self.lines.path, watchroom.address)?,
        };
        let relaying = relay.as_ref().map(|relay| &relay.process);
        let stopwatch = Stopwatch::start_with(sender, relaying, &watchroom.process)?;
        let (judged, last_lsn) = (before.judged + count, before.durable_lsn + count);
        watchroom.wait_for("everything judged, on disk and with the store", PATIENCE, |progress| {
            let with_store = progress.stored_lsn.max(before.durable_lsn) + progress.fresh_rows;
            progress.judged >= judged && progress.durable_lsn >= last_lsn && with_store >= last_lsn
        })?;
        let took = clock() - stopwatch.begun;
        let begun = stopwatch.begun;
        let in_files = watchroom.wait_for("files of the store", FILES_PATIENCE, |p| p.stored_lsn >= last_lsn);
        let to_files = in_files.is_ok().then(|| count as f64 / (clock() - begun).as_secs_f64());
        let run = stopwatch.stop(self, &watchroom.process, took)?;
        match &mut relay {
            // It has a connection for each of its workers: lines of two may overtake each other.
            Some(relay) => relay.process.end()?,
            None => none_late(&watchroom)?,
        }
        watchroom.process.end()?;
        Ok(Run { to_files_per_s: to_files, ..run })
    }
}

/// Late records are judged less than others: a run with many of them would look better than it is.
fn none_late(watchroom: &Watchroom) -> anyhow::Result<()> {
    let late = watchroom.progress()?.late;
    ensure!(late == 0, "{late} records were late: the stream paused, measure again");
    Ok(())
}

/// Waits until all processes together use little of the machine, or until `patience` ends: then the runs are marked.
fn wait_for_quiet(patience: Duration) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get() as f64;
    let begun = clock();
    while clock() - begun < patience {
        let (before_s, since) = (machine_cpu_s()?, clock());
        std::thread::sleep(QUIET_WINDOW);
        let used = (machine_cpu_s()? - before_s) / ((clock() - since).as_secs_f64() * cores);
        if used <= OTHERS_MAX {
            break;
        }
    }
    Ok(())
}
