//! What rules cost: Watchroom's `backtest` and node beside sec, syslog-ng and mawk, on the same lines in the same run.
//!
//! CPU seconds are those of ended child processes (getrusage(2)), so that a busy machine distorts them little. What
//! loading the rules costs is measured with a file of one line and told beside. Refuses to know: how rules are judged.

pub(crate) mod keys;
mod matches;
mod peers;
mod report;
mod sets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::process::{Folder, clock, wait_until};
use crate::report::progress;
use crate::sender::Sender;
use crate::watchroom::{Options, Watchroom};
use crate::{Args, Lines};
use sets::{Shape, Values};

/// Numbers of rules.
const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Shapes at all numbers of rules.
const COMPARED: [Shape; 3] = [Shape::Mixture, Shape::Matching, Shape::Keywords];
/// SEC's numbers of rules, and the lines that it gets: it takes 0.4 s for a thousand lines at 1,000 rules.
const SEC: [(usize, u64); 3] = [(1, 200_000), (100, 50_000), (1_000, 5_000)];
/// syslog-ng takes about 80,000 lines a second.
const SYSLOG_NG_LINES: u64 = 200_000;
const SYSLOG_NG_PATIENCE: Duration = Duration::from_secs(120);
/// Active keys whose memory is measured.
const KEYS: u64 = 1_000_000;
/// A rule as syslog-ng's grouping-by has it.
const GROUPING_RULE: &str = "groups:\n- name: bench\n  rules:\n  \
    - {alert: R, kind: frequency, count: 12, within: 1m, by: [channel], where: 'response_code == \"NET_ERR\"'}\n";

/// What a run to the end of some lines used.
#[derive(Debug, Clone, Copy)]
struct Ran {
    lines: u64,
    cpu_s: f64,
    wall_s: f64,
}

impl Ran {
    fn cpu_s_per_million(&self) -> f64 {
        self.cpu_s / self.lines as f64 * 1e6
    }
    fn lines_per_s(&self) -> f64 {
        self.lines as f64 / self.wall_s
    }
}

/// Something that is measured once a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Measured {
    /// `backtest` with so many rules.
    Judged(Shape, usize),
    /// The same over one line: what loading costs.
    Loaded(Shape, usize),
    /// SEC with so many rules.
    Sec(usize),
    /// mawk counting one field.
    Mawk,
    /// Watchroom over TCP, journal and store off.
    Node,
    /// syslog-ng over TCP.
    SyslogNg,
}

/// All runs.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    lines: u64,
    runs: BTreeMap<Measured, Vec<Ran>>,
    memory: Option<keys::Memory>,
    /// Of the shapes whose numbers of rules are compared.
    matches: Vec<(Shape, matches::Matches)>,
    /// The conditions of the first ten rules of the mixture.
    first_ten: Vec<String>,
    notes: Vec<String>,
}

/// Lines as modules print them, and some of the first of them.
struct Files {
    all: Lines,
    one: Lines,
    sec: Vec<(usize, Lines)>,
    with_header: Lines,
}

/// Measures all of it.
pub(crate) fn measure(args: &Args, memory: &Path) -> anyhow::Result<Figures> {
    let files = Files::prepare(args, memory)?;
    let values = Values::of(&files.all.path)?;
    let folder = Folder::make(memory)?;
    let bench = Bench { args, files: &files, values: &values, folder: folder.path() };
    let mut figures = Figures { lines: files.all.count, ..Figures::default() };
    figures.memory = Some(keys::measure(KEYS)?);
    figures.first_ten = (0..10).map(|n| values.condition(Shape::Mixture, n)).collect();
    for shape in COMPARED {
        for rules in [10, 10_000] {
            let found = matches::count(&files.all.path, &values.rules(shape, rules))?;
            figures.matches.push((shape, found));
        }
    }
    for round in 1..=args.rounds {
        for measured in bench.all() {
            progress(&format!("round {round} of {}: {measured:?}", args.rounds));
            match bench.run(measured).with_context(|| format!("{measured:?}"))? {
                Ok(ran) => figures.runs.entry(measured).or_default().push(ran),
                Err(why) if figures.notes.contains(&why) => {}
                Err(why) => figures.notes.push(why),
            }
        }
    }
    Ok(figures)
}

impl Files {
    fn prepare(args: &Args, memory: &Path) -> anyhow::Result<Self> {
        let all = Lines::generate(args, memory, "raw.log", args.lines, &[])?;
        let sec = SEC.map(|(rules, lines)| Ok::<_, anyhow::Error>((rules, all.first(lines, memory)?)));
        let with_header = Lines::generate(args, memory, "headed.log", args.lines, &["--with-header"])?;
        Ok(Self {
            one: all.first(1, memory)?,
            sec: sec.into_iter().collect::<anyhow::Result<_>>()?,
            all,
            with_header,
        })
    }
}

struct Bench<'a> {
    args: &'a Args,
    files: &'a Files,
    values: &'a Values,
    folder: &'a Path,
}

impl Bench<'_> {
    /// What is measured in a round, those that are compared beside each other.
    fn all(&self) -> Vec<Measured> {
        let mut all = Vec::new();
        for (rules, _) in SEC {
            all.extend([Measured::Loaded(Shape::Equality, rules), Measured::Judged(Shape::Equality, rules)]);
            all.push(Measured::Sec(rules));
        }
        for shape in COMPARED {
            all.extend(COUNTS.iter().flat_map(|&n| [Measured::Loaded(shape, n), Measured::Judged(shape, n)]));
        }
        all.extend([Measured::Mawk, Measured::Node, Measured::SyslogNg]);
        all
    }

    /// Runs it, or says why it cannot run.
    fn run(&self, measured: Measured) -> anyhow::Result<Result<Ran, String>> {
        let files = self.files;
        let peers = &self.args.peers;
        let find = |name: &str| peers::find(name, peers).ok_or_else(|| peers::missing(name));
        match measured {
            Measured::Judged(shape, count) => self.backtest(shape, count, &files.all).map(Ok),
            Measured::Loaded(shape, count) => self.backtest(shape, count, &files.one).map(Ok),
            Measured::Mawk => match find("mawk") {
                Ok(mawk) => to_end(&mut peers::mawk(&mawk, &files.all.path), &files.all).map(Ok),
                Err(why) => Ok(Err(why)),
            },
            Measured::Sec(count) => match find("sec") {
                Ok(sec) => {
                    let rules =
                        self.write("sec.conf", &self.values.sec(count, &self.folder.join("sec.out")))?;
                    let (_, lines) =
                        files.sec.iter().find(|(rules, _)| *rules == count).context("no lines")?;
                    to_end(&mut peers::sec(&sec, &rules, &lines.path), lines).map(Ok)
                }
                Err(why) => Ok(Err(why)),
            },
            Measured::Node => self.node().map(Ok),
            Measured::SyslogNg => match find("syslog-ng") {
                Ok(program) => self.syslog_ng(&program).map(Ok),
                Err(why) => Ok(Err(why)),
            },
        }
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    fn backtest(&self, shape: Shape, count: usize, lines: &Lines) -> anyhow::Result<Ran> {
        let rules = self.write("rules.yaml", &self.values.rules(shape, count))?;
        let mut command = Command::new(&self.args.watchroom);
        command.arg("backtest").arg("--rules").arg(rules).arg("--file").arg(&lines.path);
        to_end(&mut command, lines)
    }

    /// A node with the rule that syslog-ng has, over TCP.
    fn node(&self) -> anyhow::Result<Ran> {
        let folder = Folder::make(self.folder)?;
        let rules = self.write("grouping.yaml", GROUPING_RULE)?;
        let options = Options { keeps: false, webhook: None };
        let mut node = Watchroom::start(&self.args.watchroom, &rules, folder.path(), options)?;
        let lines = &self.files.with_header;
        let before = node.progress()?.judged;
        let mut sender = Sender::start(&lines.path, node.address)?;
        let (cpu_s, begun) = (node.process.cpu_s()?, clock());
        sender.go()?;
        node.wait_for("judgement of all lines", SYSLOG_NG_PATIENCE, |p| p.judged >= before + lines.count)?;
        let wall_s = (clock() - begun).as_secs_f64();
        let cpu_s = node.process.cpu_s()? - cpu_s;
        node.process.end()?;
        Ok(Ran { lines: lines.count, cpu_s, wall_s })
    }

    fn syslog_ng(&self, program: &Path) -> anyhow::Result<Ran> {
        let folder = Folder::make(self.folder)?;
        let lines = self.files.with_header.first(SYSLOG_NG_LINES, self.folder)?;
        let mut peer = peers::SyslogNg::start(program, folder.path(), &self.args.peers)?;
        let control = peer.control();
        let before = control.processed()?;
        let mut sender = Sender::start(&lines.path, peer.address)?;
        let (cpu_s, begun) = (peer.process.cpu_s()?, clock());
        sender.go()?;
        let every = Duration::from_millis(50);
        wait_until("syslog-ng with all lines", &mut peer.process, every, SYSLOG_NG_PATIENCE, || {
            Ok(control.processed()? >= before + lines.count)
        })?;
        let wall_s = (clock() - begun).as_secs_f64();
        let cpu_s = peer.process.cpu_s()? - cpu_s;
        peer.process.end()?;
        Ok(Ran { lines: lines.count, cpu_s, wall_s })
    }
}

/// Runs a program to its end; exit code 1 says that something was found.
fn to_end(command: &mut Command, lines: &Lines) -> anyhow::Result<Ran> {
    let (cpu_s, begun) = (children_cpu_s()?, clock());
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    let wall_s = (clock() - begun).as_secs_f64();
    let cpu_s = children_cpu_s()? - cpu_s;
    let ended = matches!(output.status.code(), Some(0 | 1));
    ensure!(ended, "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(Ran { lines: lines.count, cpu_s, wall_s })
}

/// CPU seconds of all children that have ended.
fn children_cpu_s() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
