//! `watchroom backtest`: the production engine over files or over what a node has stored, and the alerts it would have
//! raised.
//!
//! Refuses to know: how a rule is judged, how records are kept.

mod merge;
mod over;
mod parallel;
mod table;

use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail, ensure};
use record::{Batch, FormatSet, InstantMs, Lsn, rfc3339_ms};
use rules::{Engine, RuleSet};

use crate::clock;
use crate::config::Config;
use crate::lines::{LineFile, rule_files};
use crate::output;
use crate::progress_bar::{ProgressBar, grouped};
use crate::sieve::Sieve;
use crate::stored::{Share, Stored, Time};

pub(crate) use over::{Bounds, Cut, Judged, Over, run_over};

/// Arguments of `backtest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files or folders of them
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    records: Records,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: crate::cli::ConfigArg,
}

/// Which records.
#[derive(Debug, clap::Args)]
pub(crate) struct Records {
    /// Files of lines, as modules print them or with syslog headers (told apart line by line); `-` is stdin.
    /// Several files are merged by event time
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present_any = ["from", "to"],
          conflicts_with_all = ["from", "to", "as_file"])]
    file: Vec<PathBuf>,
    /// Instead of files what the node of the configuration has stored (it may be running), from this event time on:
    /// RFC 3339, or `YYYY-MM-DD HH:MM[:SS]` in the platform's zone; default: all that is stored
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// To this event time, exclusive; default: all that is stored
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Judge stored records as lines of a file, by event time alone: none came too late by the clock of the node
    #[arg(long)]
    as_file: bool,
}

/// Runs the rules over the records; exit code 1 if an alert became pending or fired, else 0.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref())?;
    let formats = Arc::new(config.formats()?);
    let files = rule_files(&args.rules)?;
    let rules = match RuleSet::load(&files, &formats) {
        Ok(rules) => Arc::new(rules),
        Err(errors) => {
            crate::check::complain_all(&errors);
            return Ok(ExitCode::from(crate::cli::EXIT_WRONG_USE));
        }
    };
    let engine = Engine::for_backtest(rules, Arc::clone(&formats));
    let mut judge = Judge::new(engine);
    judge.read(&args.records, &config, &formats)?;
    judge.report();
    let alerts = judge.engine.finish();
    let mut out = output::stdout();
    if args.json {
        for alert in &alerts {
            writeln!(out, "{}", rules::backtest_line(alert))?;
        }
    } else {
        table::print(&alerts, &judge.engine.rules().infos(), config.zone, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::from(if alerts.is_empty() { 0 } else { crate::cli::EXIT_FOUND }))
}

/// Takes batches in order and gives them back to be filled again.
type Sink<'a> = &'a mut dyn FnMut(&mut Batch);

/// An engine and what it was given.
struct Judge {
    engine: Engine,
    seen: Seen,
    bar: ProgressBar,
}

impl Judge {
    fn new(engine: Engine) -> Self {
        Self { engine, seen: Seen::default(), bar: ProgressBar::start() }
    }

    /// Judges all that the arguments name.
    fn read(&mut self, records: &Records, config: &Config, formats: &Arc<FormatSet>) -> Result<()> {
        if !records.file.is_empty() {
            return self.files(&records.file, formats);
        }
        let range = range(records.from.as_deref(), records.to.as_deref(), config.zone)?;
        let time = if records.as_file { Time::AsFile } else { Time::AsReceived };
        self.stored(Stored::new(config, formats, range.clone(), time, clock::now_ms()), &range)
    }

    fn files(&mut self, files: &[PathBuf], formats: &Arc<FormatSet>) -> Result<()> {
        let mut ignored = Vec::new();
        let sieve = Sieve::new(self.engine.rules(), formats);
        FileReader::new(files).sifting(sieve).read(files, formats, &mut |batch, share| {
            self.seen.look(batch);
            self.engine.judge(batch, &mut ignored);
            ignored.clear();
            self.bar.show(share.passed, share.total, self.seen.records);
        })
    }

    fn stored(&mut self, mut stored: Stored, range: &Range<InstantMs>) -> Result<()> {
        let mut ignored = Vec::new();
        stored.read(&mut |batch, share| {
            self.seen.look(batch);
            self.engine.judge(batch, &mut ignored);
            ignored.clear();
            self.bar.show(share.passed, share.total, self.seen.records);
            true
        })?;
        look_at_range(&stored, range)?;
        let counts = self.engine.counts();
        if counts.late + counts.skewed > 0 {
            output::note(&format!(
                "{} records came late and {} more than 10 minutes ahead of their receive time: judged as \
                 the node judges them; --as-file judges by event time alone",
                grouped(counts.late),
                grouped(counts.skewed)
            ));
        }
        Ok(())
    }

    /// Says what was read, to somebody who looks.
    fn report(&mut self) {
        std::mem::replace(&mut self.bar, ProgressBar::start()).end();
        self.seen.report();
    }
}

/// Reads files as one stream with positions, and knows how far it is.
pub(crate) struct FileReader {
    next_lsn: Lsn,
    share: Share,
    sieve: Option<Sieve>,
}

impl FileReader {
    /// Nothing is read yet.
    pub(crate) fn new(files: &[PathBuf]) -> Self {
        let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |found| found.len());
        Self { next_lsn: 1, share: Share { passed: 0, total: files.iter().map(size).sum() }, sieve: None }
    }

    /// Of records that concern no rule of the sieve only time and format are kept.
    fn sifting(self, sieve: Option<Sieve>) -> Self {
        Self { sieve, ..self }
    }

    /// Hands all records over, several files merged by event time.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn read(
        &mut self,
        files: &[PathBuf],
        formats: &Arc<FormatSet>,
        sink: &mut dyn FnMut(&mut Batch, Share),
    ) -> Result<()> {
        let (done_bytes, sieve) = (Arc::new(AtomicU64::new(0)), self.sieve.take());
        let mut sink = |batch: &mut Batch| {
            self.next_lsn = crate::lines::number(batch, self.next_lsn);
            self.share.passed = done_bytes.load(Ordering::Relaxed);
            sink(batch, self.share);
        };
        match files {
            [only] => parallel::read(only, formats, sieve.as_ref(), &done_bytes, &mut sink),
            several => {
                let open = |path: &PathBuf| {
                    Ok(LineFile::open(path, formats, None)?.sifting(sieve.clone(), &done_bytes))
                };
                let files: Result<Vec<LineFile>> = several.iter().map(open).collect();
                merge::read(files?, &mut sink)
            }
        }
    }
}

/// The half-open range of event times that two flags name.
///
/// # Errors
/// A text that is no time; a range that holds no instant.
pub(crate) fn range(from: Option<&str>, to: Option<&str>, zone: chrono_tz::Tz) -> Result<Range<InstantMs>> {
    let instant = |name: &str, text: Option<&str>, open: InstantMs| match text {
        None => Ok(open),
        Some(text) => {
            dashboards::times::parse(text, zone).map_err(|error| anyhow::anyhow!("--{name}: {error}"))
        }
    };
    let range = instant("from", from, InstantMs::MIN)?..instant("to", to, InstantMs::MAX)?;
    ensure!(
        range.start < range.end,
        "--from {} is not before --to {}: the range holds no instant",
        rfc3339_ms(range.start),
        rfc3339_ms(range.end)
    );
    Ok(range)
}

/// Complains about a range that holds nothing, and says where what is stored begins if that is within it.
fn look_at_range(stored: &Stored, range: &Range<InstantMs>) -> Result<()> {
    let Some((first, last)) = stored.held_ms() else { bail!("nothing is stored yet") };
    ensure!(
        stored.records() > 0,
        "no stored record has its event time in this range; they run from {} to {}",
        rfc3339_ms(first),
        rfc3339_ms(last)
    );
    if range.start != InstantMs::MIN && range.start < first {
        output::note(&format!(
            "stored records begin at {}, later than --from {}: what came before is not judged",
            rfc3339_ms(first),
            rfc3339_ms(range.start)
        ));
    }
    Ok(())
}

/// What the records were, for the note at the end.
#[derive(Default)]
struct Seen {
    records: u64,
    without_time: u64,
    first_ms: Option<InstantMs>,
    last_ms: Option<InstantMs>,
}

impl Seen {
    fn look(&mut self, batch: &Batch) {
        for row in batch.rows.iter().filter(|row| !row.flags.has(record::RowFlags::TICK)) {
            self.records += 1;
            match row.event_ms {
                None => self.without_time += 1,
                Some(t) => {
                    self.first_ms = Some(self.first_ms.map_or(t, |f| f.min(t)));
                    self.last_ms = Some(self.last_ms.map_or(t, |l| l.max(t)));
                }
            }
        }
    }

    fn report(&self) {
        if self.records == self.without_time {
            // "no alert" would be read as good news.
            let what = if self.records == 0 { "no record was read" } else { "no record has a readable time" };
            output::note(&format!("{what}: nothing was judged; `watchroom parse` shows how lines are read"));
        }
        if !output::is_watched() {
            return;
        }
        let time = |t: Option<InstantMs>| t.map_or_else(|| "-".to_owned(), rfc3339_ms);
        output::note(&format!(
            "{} records from {} to {}, {} without a readable time (not judged)",
            grouped(self.records),
            time(self.first_ms),
            time(self.last_ms),
            grouped(self.without_time)
        ));
    }
}
