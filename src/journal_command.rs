//! `watchroom journal inspect|verify`: what the journal holds, whether it is whole, whether it gives the state that the
//! node had. Reads only, takes no lock: a node may be at work on it.
//!
//! Refuses to know: how the journal is laid out.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use ingest::journal::{Inspection, JournalReader, SegmentInspection, inspect};
use record::{Batch, InstantMs, Lsn, rfc3339_ms};
use rules::{Engine, RuleSet};
use serde_json::json;

use crate::cli::{ConfigArg, EXIT_FOUND};
use crate::config::Config;
use crate::output::{self, Table};
use crate::replay::Replay;
use crate::snapshot;

/// What is wanted.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the segments: positions, times, bytes, entries by kind, what is torn or damaged
    #[command(after_help = "Examples:\n  watchroom journal inspect --config watchroom.yaml\n  \
        watchroom journal inspect --json var/journal | jq .entries")]
    Inspect(Args),
    /// Read and check every entry; name each damage and what to do about it
    #[command(after_help = "Examples:\n  watchroom journal verify --config watchroom.yaml\n  \
        watchroom journal verify --replay --config watchroom.yaml\n\nExit code 0: whole; 1: damage, or a state that differs; \
        2: it cannot be read.")]
    Verify(VerifyArgs),
}

/// Arguments of both.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory of the journal; default: that of the configuration
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    common: Args,
    /// Judge the whole journal with the configuration's rules from nothing, and compare the state with each snapshot
    /// that the node keeps
    #[arg(long)]
    replay: bool,
}

/// A snapshot against the state that the journal gives at its position.
struct Comparison {
    lsn: Lsn,
    kept: u64,
    replayed: u64,
}

/// Runs either; exit code 0 when all is well, 1 when something is damaged or differs.
pub(crate) fn run(command: &Command) -> Result<ExitCode> {
    let (args, replay) = match command {
        Command::Inspect(args) => (args, None),
        Command::Verify(args) => (&args.common, Some(args.replay)),
    };
    let config = Config::load(args.config.config.as_deref())?;
    let dir = args.dir.as_deref().unwrap_or(&config.journal.dir);
    ensure!(dir.is_dir(), "{}: no such directory; name the journal's, or the configuration", dir.display());
    let found = inspect(dir)?;
    ensure!(
        !found.segments.is_empty(),
        "{}: holds no journal segments (`NNNNNNNNNNNNNNNNNNNN.journal`)",
        dir.display()
    );
    let whole = found.faults().next().is_none();
    let compared = match replay {
        Some(true) if whole => Some(judge(dir, &config, &found)?),
        _ => None,
    };
    let mut out = output::stdout();
    if args.json {
        print_json(&mut out, &found, compared.as_ref())?;
    } else {
        print(&mut out, &found, compared.as_ref(), replay.is_some())?;
    }
    out.flush()?;
    let differs = compared.is_some_and(|(seen, _)| seen.iter().any(|one| one.kept != one.replayed));
    Ok(if whole && !differs { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND) })
}

/// Judges everything from nothing: the states at the snapshots' positions, and the hash at the end.
fn judge(dir: &Path, config: &Config, found: &Inspection) -> Result<(Vec<Comparison>, (Lsn, u64))> {
    let formats = Arc::new(config.formats()?);
    let Ok(rules) = RuleSet::load(&config.rule_files()?, &formats) else {
        bail!("the rules are not right; `watchroom check` says why")
    };
    let first = found.segments.first().map_or(1, |segment| segment.first_lsn);
    let last = found.segments.iter().filter_map(|segment| segment.last_lsn).next_back().unwrap_or(0);
    let mut kept = Vec::new();
    for (lsn, path) in snapshot::list(&config.snapshot_dir())? {
        let snapshot = snapshot::read(&path)?;
        ensure!(snapshot.lsn == lsn, "{}: stands for another position", path.display());
        kept.push((lsn, snapshot.state_hash));
    }
    kept.retain(|(lsn, _)| (first..=last).contains(lsn));
    kept.sort_unstable();
    let mut engine = Engine::new(Arc::new(rules), Arc::clone(&formats));
    let mut replay = Replay::over(JournalReader::open(dir, first)?, formats, first..first);
    let mut compared = Vec::new();
    for (lsn, hash) in kept {
        feed(&mut replay, &mut engine, lsn)?;
        compared.push(Comparison { lsn, kept: hash, replayed: engine.state_hash() });
    }
    feed(&mut replay, &mut engine, last)?;
    Ok((compared, (last, engine.state_hash())))
}

fn feed(replay: &mut Replay, engine: &mut Engine, to: Lsn) -> Result<()> {
    replay.go_on_to(to);
    let (mut batch, mut transitions) = (Batch::default(), Vec::new());
    while replay.next(&mut batch)? {
        engine.judge(&batch, &mut transitions);
        transitions.clear();
    }
    ensure!(replay.left() == 0, "the journal was given back while it was read; try again");
    Ok(())
}

type Compared = (Vec<Comparison>, (Lsn, u64));

fn print(out: &mut impl Write, found: &Inspection, compared: Option<&Compared>, verify: bool) -> Result<()> {
    if !verify {
        let mut table = Table::new(&[
            "segment", "first", "last", "frames", "ticks", "lost", "used", "of", "received", "state",
        ]);
        for segment in &found.segments {
            table.row(&cells(segment));
        }
        table.print(out)?;
    }
    for segment in &found.segments {
        if let Some(fault) = &segment.fault {
            writeln!(out, "damage: {fault} ({} entries lost in this segment)", segment.lost)?;
        } else if segment.torn {
            writeln!(
                out,
                "torn: {} ends within its last commit, as after a crash; the next start cuts it off",
                segment.path.display()
            )?;
        }
    }
    let lost: u64 = found.segments.iter().map(|segment| segment.lost).sum();
    writeln!(
        out,
        "{} segments, {} spare, {} bytes of disk; {} entries whole, {lost} lost",
        found.segments.len(),
        found.spares,
        found.disk_bytes,
        found.entries()
    )?;
    if let Some((compared, (last, hash))) = compared {
        for one in compared {
            let verdict = if one.kept == one.replayed {
                "identical"
            } else {
                "DIFFERENT (rules changed since the journal began, or a fault)"
            };
            writeln!(
                out,
                "state at {}: snapshot {:016x}, replayed {:016x}: {verdict}",
                one.lsn, one.kept, one.replayed
            )?;
        }
        writeln!(out, "state at {last}: replayed {hash:016x}")?;
    }
    Ok(())
}

fn cells(segment: &SegmentInspection) -> Vec<String> {
    let state = match (&segment.fault, segment.torn) {
        (Some(_), _) => "damaged",
        (None, true) => "torn",
        (None, false) => "whole",
    };
    let received = segment
        .recv_ms
        .map_or_else(String::new, |(first, last)| format!("{} to {}", rfc3339_ms(first), rfc3339_ms(last)));
    vec![
        segment.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        segment.first_lsn.to_string(),
        segment.last_lsn.map_or_else(String::new, |lsn| lsn.to_string()),
        (segment.entries - segment.ticks).to_string(),
        segment.ticks.to_string(),
        segment.lost.to_string(),
        segment.used_bytes.to_string(),
        segment.file_bytes.to_string(),
        received,
        state.to_owned(),
    ]
}

fn print_json(out: &mut impl Write, found: &Inspection, compared: Option<&Compared>) -> Result<()> {
    let time = |at: Option<InstantMs>| at.map(rfc3339_ms);
    for segment in &found.segments {
        let line = json!({
            "kind": "segment",
            "path": segment.path,
            "first_lsn": segment.first_lsn,
            "last_lsn": segment.last_lsn,
            "entries": segment.entries,
            "frames": segment.entries - segment.ticks,
            "ticks": segment.ticks,
            "lost": segment.lost,
            "used_bytes": segment.used_bytes,
            "file_bytes": segment.file_bytes,
            "first_received_at": time(segment.recv_ms.map(|times| times.0)),
            "last_received_at": time(segment.recv_ms.map(|times| times.1)),
            "torn": segment.torn,
            "damage": segment.fault,
        });
        writeln!(out, "{line}").context("stdout")?;
    }
    for one in compared.iter().flat_map(|(compared, _)| compared) {
        let line = json!({
            "kind": "snapshot",
            "lsn": one.lsn,
            "state_hash": format!("{:016x}", one.kept),
            "replayed_hash": format!("{:016x}", one.replayed),
            "identical": one.kept == one.replayed,
        });
        writeln!(out, "{line}")?;
    }
    let line = json!({
        "kind": "summary",
        "segments": found.segments.len(),
        "spares": found.spares,
        "disk_bytes": found.disk_bytes,
        "entries": found.entries(),
        "lost": found.segments.iter().map(|segment| segment.lost).sum::<u64>(),
        "damaged_segments": found.faults().count(),
        "replayed_to": compared.map(|(_, (last, _))| last),
        "replayed_hash": compared.map(|(_, (_, hash))| format!("{hash:016x}")),
    });
    writeln!(out, "{line}")?;
    Ok(())
}
