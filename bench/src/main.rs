//! Measures Watchroom beside rsyslog and beside the plain limit of this machine: in one run, on the same lines.
//!
//! Absolute figures drift with the machine; only ratios within one run are compared. Each case runs once a round, the
//! rounds are interleaved, figures are medians with least and most. Refuses to know: how any receiver works inside.

mod case;
mod disk;
mod latency;
mod limit;
mod process;
mod relp;
mod report;
mod restart;
mod rsyslog;
mod rules;
mod sender;
mod statistics;
mod watchroom;
mod webhook;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};

/// Measure Watchroom beside rsyslog and the limit of this machine.
#[derive(Debug, Parser)]
#[command(name = "watchroom-bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    args: Args,
}

/// The parts that are processes of their own, so that each one's CPU time can be told apart.
#[derive(Debug, Subcommand)]
enum Part {
    /// Send a file over TCP (used by the measurement itself)
    #[command(hide = true)]
    Send(sender::Args),
    /// Send a file at a rate, with lines that cross a threshold (used by the measurement itself)
    #[command(hide = true)]
    SendPaced(latency::SendArgs),
    /// Send a file over RELP, at full speed or at a rate (used by the measurement itself)
    #[command(hide = true)]
    SendRelp(relp::SendArgs),
    /// Receive, split, count (used by the measurement itself)
    #[command(hide = true)]
    Limit,
    /// Hold many keys (used by the measurement itself)
    #[command(hide = true)]
    Keys(rules::keys::Args),
}

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The binary to measure.
    #[arg(long, value_name = "PATH", default_value = "target/release/watchroom")]
    watchroom: PathBuf,
    /// Lines a run.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    lines: u64,
    /// Rounds; every case runs once in each.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Only this case; may be given several times. Names: limit, imtcp, imptcp, judged, stored, latency; relp, imrelp,
    /// omrelp, omrelp-imrelp, ack, restart; rules (what rules cost, beside sec, syslog-ng and mawk).
    #[arg(long = "only", value_name = "NAME")]
    only: Vec<String>,
    /// Lines to send instead of generated ones, with RFC 5424 headers as `watchroom generate --with-header` writes them.
    #[arg(long, value_name = "PATH")]
    lines_file: Option<PathBuf>,
    /// Rules to judge by.
    #[arg(long, value_name = "PATH", default_value = "rules.d/network.yaml")]
    rules: PathBuf,
    /// Folder on a disk, for journal and store. A folder inside it is made and removed.
    #[arg(long, value_name = "DIR", default_value = "target")]
    disk: PathBuf,
    /// Folder in memory, for the lines and for what rsyslog writes. A folder inside it is made and removed.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    memory: PathBuf,
    /// Folder with the programs that scripts/bench-setup.sh unpacked.
    #[arg(long, value_name = "DIR", default_value = ".tools/peers/root")]
    peers: PathBuf,
    /// Alerts in the latency case.
    #[arg(long, value_name = "N", default_value_t = 300)]
    alerts: u32,
    /// Load of the latency case, lines per second [default: half of what `stored` took].
    #[arg(long, value_name = "N")]
    latency_rate: Option<f64>,
    /// Lines sent and not yet answered in the RELP cases of our own sender.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    window: usize,
    /// Lines of the case omrelp-imrelp, which takes about two thousand a second.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    omrelp_lines: u64,
    /// Load of the ack case, lines per second, for ten seconds.
    #[arg(long, value_name = "N", default_value_t = 20_000.0)]
    ack_rate: f64,
    /// Also write the figures as JSON lines.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Wait up to this many seconds before each run for others to leave the machine alone.
    #[arg(long, value_name = "S", default_value_t = 5)]
    quiet_s: u64,
    /// End with exit code 1 if a goal is missed.
    #[arg(long)]
    gate: bool,
}

impl Args {
    fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == case)
    }
}

/// The product's allocator: what an engine takes is measured with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Send(args)) => sender::run(&args),
        Some(Part::SendPaced(args)) => latency::send(&args),
        Some(Part::SendRelp(args)) => relp::send(&args),
        Some(Part::Limit) => limit::run(),
        Some(Part::Keys(args)) => rules::keys::run(&args),
        None => measure(&cli.args),
    }
}

fn measure(args: &Args) -> anyhow::Result<ExitCode> {
    let memory = process::Folder::make(&args.memory)?;
    let rules = args.wants("rules").then(|| rules::measure(args, memory.path())).transpose()?;
    if let (Some(rules), ["rules"]) = (&rules, &*args.only.iter().map(String::as_str).collect::<Vec<_>>()) {
        return report::only_rules(rules, args);
    }
    let disk = process::Folder::make(&args.disk)?;
    let lines = Lines::prepare(args, memory.path())?;
    let mut report = report::Report::new(&lines);
    report.rules = rules;
    report.disk = Some(disk::measure(disk.path())?);
    let few = lines.first(args.omrelp_lines, memory.path())?;
    let bench = case::Bench { args, lines: &lines, few: &few, memory: memory.path(), disk: disk.path() };
    for round in 1..=args.rounds {
        for case in case::ALL.iter().filter(|case| args.wants(case.name())) {
            report::progress(&format!("round {round} of {}: {}", args.rounds, case.name()));
            match bench.run(*case).with_context(|| format!("case {}", case.name()))? {
                case::Outcome::Run(run) => report.add(*case, run),
                case::Outcome::Missing(why) => report.missing(*case, &why),
            }
        }
    }
    if args.wants("latency") {
        let rate =
            args.latency_rate.or_else(|| report.median_rate(case::Case::Stored).map(|rate| rate / 2.0));
        match rate {
            Some(rate) => {
                report::progress(&format!("latency at {rate:.0} lines/s"));
                report.latency = Some(latency::measure(&bench, rate)?);
            }
            None => {
                report
                    .note("latency: no load known; measure `stored` in the same run or give --latency-rate");
            }
        }
    }
    if args.wants("ack") {
        report::progress(&format!("acknowledgements at {:.0} lines/s", args.ack_rate));
        report.acks = bench.acks()?;
    }
    if args.wants("restart") {
        report::progress("restart after kill -9");
        report.restarts = Some(restart::measure(&bench)?);
    }
    report.print(args.json.as_deref())?;
    Ok(if args.gate && report.misses_a_goal() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The lines that every receiver gets.
#[derive(Debug)]
pub(crate) struct Lines {
    /// The file, in memory.
    path: PathBuf,
    /// How many.
    count: u64,
    /// Their bytes, line ends included.
    bytes: u64,
}

impl Lines {
    fn prepare(args: &Args, memory: &Path) -> anyhow::Result<Self> {
        let path = memory.join("lines.log");
        if let Some(given) = &args.lines_file {
            std::fs::copy(given, &path).with_context(|| format!("cannot copy {}", given.display()))?;
        } else {
            return Self::generate(args, memory, "lines.log", args.lines, &["--with-header"]);
        }
        Self::of(path)
    }

    /// So many generated lines.
    fn generate(
        args: &Args,
        memory: &Path,
        name: &str,
        count: u64,
        options: &[&str],
    ) -> anyhow::Result<Self> {
        let path = memory.join(name);
        ensure!(args.watchroom.exists(), "{} is not there: cargo build --release", args.watchroom.display());
        let status = Command::new(&args.watchroom)
            .args(["generate", "--only-order-trace", "--lines", &count.to_string()])
            .args(options)
            .arg("--file")
            .arg(&path)
            .status()
            .with_context(|| format!("cannot run {}", args.watchroom.display()))?;
        ensure!(status.success(), "generating the lines failed");
        Self::of(path)
    }

    /// The first `most` of them, in a file beside.
    fn first(&self, most: u64, memory: &Path) -> anyhow::Result<Self> {
        let path = memory.join(format!("first-{most}.log"));
        let text = std::fs::read(&self.path)?;
        let few = usize::try_from(most)?;
        let end = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(few.saturating_sub(1));
        std::fs::write(&path, &text[..end.map_or(text.len(), |(at, _)| at + 1)])?;
        Self::of(path)
    }

    fn of(path: PathBuf) -> anyhow::Result<Self> {
        let (count, bytes) = limit::count_lines(&path)?;
        ensure!(count > 0, "{} has no lines", path.display());
        Ok(Self { path, count, bytes })
    }
}
