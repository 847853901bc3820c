//! Figures, ratios, goals: for people as a table, for machines as JSON lines.
//!
//! Refuses to know: how figures are gained.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::case::{ALL, Case, OTHERS_MAX, Run};
use crate::disk::Disk;
use crate::latency::Latency;
use crate::relp::Ack;
use crate::restart::Restarts;
use crate::rules::Figures;
use crate::statistics::Spread;
use crate::{Args, Lines};

/// Goal: resident memory, bytes.
const RESIDENT_MAX: u64 = 300_000_000;

/// Says what is being done, on standard error.
pub(crate) fn progress(text: &str) {
    // Nobody reads it if standard error is closed.
    let _closed = writeln!(std::io::stderr(), "{text}");
}

/// A goal and what became of it.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) target: f64,
    /// More than the target.
    pub(crate) stretch: Option<f64>,
    /// At least the target, else at most.
    pub(crate) at_least: bool,
}

impl Goal {
    fn reaches(&self, target: f64) -> bool {
        if self.at_least { self.value >= target } else { self.value <= target }
    }

    fn verdict(&self) -> &'static str {
        match self.stretch {
            Some(stretch) if self.reaches(stretch) => "met, stretch too",
            _ if self.reaches(self.target) => "met",
            _ => "MISSED",
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({"goal": self.name, "value": self.value, "target": self.target, "verdict": self.verdict()})
    }
}

fn show_goals(goals: &[Goal], out: &mut String) -> std::fmt::Result {
    if !goals.is_empty() {
        writeln!(out, "\n{:<40}{:>10}{:>10}{:>10}  verdict", "goal", "value", "target", "stretch")?;
    }
    for goal in goals {
        let sign = if goal.at_least { ">=" } else { "<=" };
        let target = format!("{sign} {}", goal.target);
        let stretch = goal.stretch.map_or_else(|| "-".to_owned(), |s| s.to_string());
        writeln!(out, "{:<40}{:>10.2}{target:>10}{stretch:>10}  {}", goal.name, goal.value, goal.verdict())?;
    }
    Ok(())
}

/// Prints what rules cost when nothing else was measured.
pub(crate) fn only_rules(rules: &Figures, args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = rules.show()?;
    let goals = rules.goals();
    show_goals(&goals, &mut out)?;
    std::io::stdout().write_all(out.as_bytes())?;
    if let Some(path) = &args.json {
        let lines = rules.json().into_iter().chain(goals.iter().map(Goal::json));
        std::fs::write(path, lines.map(|line| format!("{line}\n")).collect::<String>())?;
    }
    let missed = goals.iter().any(|goal| goal.verdict() == "MISSED");
    Ok(if args.gate && missed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// All figures of a measurement.
#[derive(Debug)]
pub(crate) struct Report {
    lines: u64,
    bytes: u64,
    runs: BTreeMap<Case, Vec<Run>>,
    notes: Vec<String>,
    /// What the disk does.
    pub(crate) disk: Option<Disk>,
    /// From due time to alert.
    pub(crate) latency: Option<Latency>,
    /// From due time to RELP's answer.
    pub(crate) acks: Vec<(Case, Ack)>,
    /// After kill -9.
    pub(crate) restarts: Option<Restarts>,
    /// What rules cost.
    pub(crate) rules: Option<Figures>,
}

impl Report {
    /// Nothing is measured yet.
    pub(crate) fn new(lines: &Lines) -> Self {
        let (lines, bytes) = (lines.count, lines.bytes);
        Self {
            lines,
            bytes,
            runs: BTreeMap::new(),
            notes: Vec::new(),
            disk: None,
            latency: None,
            acks: Vec::new(),
            restarts: None,
            rules: None,
        }
    }

    /// A run of a case.
    pub(crate) fn add(&mut self, case: Case, run: Run) {
        self.runs.entry(case).or_default().push(run);
    }

    /// A case that cannot run.
    pub(crate) fn missing(&mut self, case: Case, why: &str) {
        let note = format!("{}: {why}", case.name());
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Something to tell.
    pub(crate) fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    /// Lines per second of a case.
    pub(crate) fn median_rate(&self, case: Case) -> Option<f64> {
        self.spread(case, |run| run.lines_per_s).map(|spread| spread.median)
    }

    fn spread(&self, case: Case, value: impl Fn(&Run) -> f64) -> Option<Spread> {
        Spread::of(&self.runs.get(&case)?.iter().map(value).collect::<Vec<_>>())
    }

    /// The rsyslog input that took more lines.
    fn faster_rsyslog(&self) -> Option<Case> {
        let rate = |case: &Case| self.median_rate(*case);
        let both = [Case::Imtcp, Case::Imptcp].into_iter().filter(|case| rate(case).is_some());
        both.max_by(|a, b| rate(a).unwrap_or(0.0).total_cmp(&rate(b).unwrap_or(0.0)))
    }

    /// A figure of `case` by the same figure of `of`, round by round.
    fn ratio(&self, case: Case, of: Case, value: impl Fn(&Run) -> f64) -> Option<Spread> {
        let pairs = self.runs.get(&case)?.iter().zip(self.runs.get(&of)?);
        Spread::of(&pairs.map(|(a, b)| value(a) / value(b)).collect::<Vec<_>>())
    }

    fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        let mut goal = |name, value: Option<f64>, target, stretch, at_least| {
            goals.extend(value.map(|value| Goal { name, value, target, stretch, at_least }));
        };
        let rsyslog = self.faster_rsyslog();
        let rate = |case| self.ratio(case, rsyslog?, |run| run.lines_per_s).map(|s| s.median);
        let cpu = |case| self.ratio(case, rsyslog?, |run| run.cpu_s_per_million).map(|s| s.median);
        goal("judged: lines/s, of rsyslog's", rate(Case::Judged), 3.0, Some(4.0), true);
        goal("judged: CPU a line, of rsyslog's", cpu(Case::Judged), 0.25, None, false);
        goal("stored: lines/s, of rsyslog's", rate(Case::Stored), 1.0, Some(1.5), true);
        goal("stored: CPU a line, of rsyslog's", cpu(Case::Stored), 0.75, None, false);
        let latency = self.latency.as_ref();
        goal("alert: p99 from due time, ms", latency.map(|l| l.p99_ms), 20.0, Some(10.0), false);
        let lost = latency.map(|l| (l.due - l.came) as f64);
        goal("alert: due and not come", lost, 0.0, None, false);
        let relp = |case, of| self.ratio(case, of, |run| run.lines_per_s).map(|s| s.median);
        goal("relp: lines/s, of imrelp's", relp(Case::Relp, Case::Imrelp), 3.0, None, true);
        goal("omrelp: lines/s, of those to imrelp", relp(Case::Omrelp, Case::OmrelpImrelp), 40.0, None, true);
        let ack = self.acks.iter().find(|(case, _)| *case == Case::Relp).map(|(_, ack)| ack.p99_ms);
        goal("relp: answer p99 from due time, ms", ack, 50.0, None, false);
        let restarts = self.restarts.as_ref();
        let listening = restarts.map(|r| r.crashed.listening_s.max(r.bare.listening_s));
        goal("restart: listening after, s", listening, 2.0, None, false);
        let per_million = restarts.map(|r| r.bare.judged_s / r.records as f64 * 1e6);
        goal("replay of 1M records, s", per_million, 10.0, None, false);
        let resident = self.resident_bytes().map(|bytes| bytes as f64 / 1e6);
        goal("resident memory, MB", resident, RESIDENT_MAX as f64 / 1e6, None, false);
        goals.extend(self.rules.iter().flat_map(Figures::goals));
        goals
    }

    fn resident_bytes(&self) -> Option<u64> {
        let runs = [Case::Judged, Case::Stored].into_iter().filter_map(|case| self.runs.get(&case)).flatten();
        runs.map(|run| run.resident_bytes).chain(self.latency.as_ref().map(|l| l.resident_bytes)).max()
    }

    /// Whether a goal is missed.
    pub(crate) fn misses_a_goal(&self) -> bool {
        self.goals().iter().any(|goal| goal.verdict() == "MISSED")
    }

    /// Prints the table on standard output and writes JSON lines to `json`.
    pub(crate) fn print(&self, json: Option<&Path>) -> anyhow::Result<()> {
        let mut out = String::new();
        self.head(&mut out)?;
        self.cases(&mut out)?;
        self.rest(&mut out)?;
        std::io::stdout().write_all(out.as_bytes())?;
        if let Some(path) = json {
            std::fs::write(path, self.json())?;
        }
        Ok(())
    }

    fn head(&self, out: &mut String) -> std::fmt::Result {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let each = self.bytes as f64 / self.lines as f64;
        writeln!(
            out,
            "{} lines of {each:.0} bytes (syslog header included), one connection, {cores} cores,",
            self.lines
        )?;
        writeln!(out, "sender included. Figures: median (least to most) of the rounds.\n")?;
        let title =
            ["case", "lines/s", "CPU s/M lines", "sender", "of rsyslog", "of limit", "RSS MB", "others"];
        let [a, b, c, d, e, f, g, h] = title;
        writeln!(out, "{a:<37}{b:>24}{c:>20}{d:>8}{e:>20}{f:>10}{g:>8}{h:>8}")
    }

    fn cases(&self, out: &mut String) -> std::fmt::Result {
        let thousands = |v: f64| format!("{:.0}k", v / 1e3);
        let two = |v: f64| format!("{v:.2}");
        for case in ALL.into_iter().filter(|case| self.runs.contains_key(case)) {
            let show = |spread: Option<Spread>, f: &dyn Fn(f64) -> String| {
                spread.map_or_else(
                    || "-".to_owned(),
                    |s| format!("{} ({}-{})", f(s.median), f(s.min), f(s.max)),
                )
            };
            let middle = |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), |s| two(s.median));
            let rate = show(self.spread(case, |run| run.lines_per_s), &thousands);
            let cpu = show(self.spread(case, |run| run.cpu_s_per_million), &two);
            let sender = middle(self.spread(case, |run| run.sender_cpu_s_per_million));
            let rsyslog = self.faster_rsyslog();
            let ratio = show(rsyslog.and_then(|r| self.ratio(case, r, |run| run.lines_per_s)), &two);
            let share = middle(self.ratio(case, Case::Limit, |run| run.lines_per_s));
            let resident = self.spread(case, |run| run.resident_bytes as f64).map_or(0.0, |s| s.max / 1e6);
            let others = self.spread(case, |run| run.others).map_or(0.0, |s| s.max);
            let mark = if others > OTHERS_MAX { "!" } else { "" };
            let others = format!("{:.0}%{mark}", others * 100.0);
            let title = case.title();
            writeln!(
                out,
                "{title:<37}{rate:>24}{cpu:>20}{sender:>8}{ratio:>20}{share:>10}{resident:>8.0}{others:>8}"
            )?;
        }
        Ok(())
    }

    fn rest(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out)?;
        let to_files: Vec<f64> =
            self.runs.get(&Case::Stored).into_iter().flatten().filter_map(|run| run.to_files_per_s).collect();
        if let Some(spread) = Spread::of(&to_files) {
            writeln!(
                out,
                "stored, until the last line was in a trace file: {:.0}k lines/s",
                spread.median / 1e3
            )?;
        }
        if let Some(disk) = &self.disk {
            let ((a, b), (c, d)) = (disk.small_ms, disk.large_ms);
            writeln!(
                out,
                "disk, append and fdatasync: 4 KiB p50 {a:.2} ms p99 {b:.2}, 256 KiB p50 {c:.2} ms p99 {d:.2}"
            )?;
        }
        if let Some(l) = &self.latency {
            writeln!(
                out,
                "alert from due time at {:.0}k lines/s, journal and store on: p50 {:.1} ms, p99 {:.1}, max {:.1}; \
                 {} of {} came; the sender was late by {:.1} ms at most",
                l.rate / 1e3,
                l.p50_ms,
                l.p99_ms,
                l.max_ms,
                l.came,
                l.due,
                l.sender_late_ms
            )?;
        }
        self.relp_and_restart(out)?;
        for note in &self.notes {
            writeln!(out, "not measured: {note}")?;
        }
        if let Some(rules) = &self.rules {
            writeln!(out, "\n{}", rules.show()?)?;
        }
        show_goals(&self.goals(), out)
    }

    fn relp_and_restart(&self, out: &mut String) -> std::fmt::Result {
        for (case, ack) in &self.acks {
            writeln!(
                out,
                "{}, answer from due time: p50 {:.2} ms, p99 {:.2}, max {:.1}; the sender was late by {:.1} ms at most",
                case.title(),
                ack.p50_ms,
                ack.p99_ms,
                ack.max_ms,
                ack.sender_late_ms
            )?;
        }
        if let Some(r) = &self.restarts {
            for (what, run) in [("kill -9", r.crashed), ("kill -9, only the journal left", r.bare)] {
                writeln!(
                    out,
                    "{what}, {} records: listening after {:.2} s, all judged after {:.2} s, all stored after {:.2} s",
                    r.records, run.listening_s, run.judged_s, run.stored_s
                )?;
            }
        }
        Ok(())
    }

    fn json(&self) -> String {
        let mut out = String::new();
        let mut push = |value: serde_json::Value| {
            out.push_str(&value.to_string());
            out.push('\n');
        };
        push(json!({"lines": self.lines, "bytes": self.bytes}));
        for (case, runs) in &self.runs {
            for (round, run) in runs.iter().enumerate() {
                push(json!({
                    "case": case.name(), "round": round + 1, "lines_per_s": run.lines_per_s,
                    "cpu_s_per_million": run.cpu_s_per_million,
                    "sender_cpu_s_per_million": run.sender_cpu_s_per_million,
                    "resident_bytes": run.resident_bytes, "others": run.others, "to_files_per_s": run.to_files_per_s,
                }));
            }
        }
        if let Some(l) = &self.latency {
            push(json!({
                "case": "latency", "rate": l.rate, "due": l.due, "came": l.came, "p50_ms": l.p50_ms, "p99_ms": l.p99_ms,
                "max_ms": l.max_ms, "sender_late_ms": l.sender_late_ms, "resident_bytes": l.resident_bytes,
            }));
        }
        for (case, a) in &self.acks {
            push(json!({
                "case": "ack", "of": case.name(), "p50_ms": a.p50_ms, "p99_ms": a.p99_ms, "max_ms": a.max_ms,
                "sender_late_ms": a.sender_late_ms,
            }));
        }
        if let Some(r) = &self.restarts {
            for (without, run) in [(false, r.crashed), (true, r.bare)] {
                push(json!({
                    "case": "restart", "only_journal": without, "records": r.records, "listening_s": run.listening_s,
                    "judged_s": run.judged_s, "stored_s": run.stored_s,
                }));
            }
        }
        if let Some(d) = &self.disk {
            push(
                json!({"fdatasync_4k_ms": [d.small_ms.0, d.small_ms.1], "fdatasync_256k_ms": [d.large_ms.0, d.large_ms.1]}),
            );
        }
        self.rules.iter().flat_map(Figures::json).for_each(&mut push);
        self.goals().iter().map(Goal::json).for_each(push);
        out
    }
}
