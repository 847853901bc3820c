//! `watchroom backtest`: the production engine over files, and the alerts it would have raised.
//!
//! Refuses to know: how a rule is judged.

mod merge;
mod parallel;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use record::{Batch, InstantMs};
use rules::{Alert, Engine, RuleSet};

use crate::lines::{LineFile, rule_files};
use crate::output::{self, Table};

/// Arguments of `backtest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files or folders of them
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Files of lines, as modules print them or with syslog headers (told apart line by line); `-` is stdin.
    /// Several files are merged by event time
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    file: Vec<PathBuf>,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: crate::cli::ConfigArg,
}

/// Runs the rules over the files; exit code 1 if an alert became pending or fired, else 0.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let config = crate::config::Config::load(args.config.config.as_deref())?;
    let formats = Arc::new(config.formats()?);
    let files = rule_files(&args.rules)?;
    let rules = match RuleSet::load(&files, &formats) {
        Ok(rules) => Arc::new(rules),
        Err(errors) => return Ok(crate::check::complain_all(&errors)),
    };
    let engine = Engine::for_backtest(rules, Arc::clone(&formats));
    let alerts = match &*args.file {
        [only] => judge(engine, |sink| parallel::read(only, &formats, sink))?,
        several => {
            let files: Result<Vec<LineFile>> =
                several.iter().map(|path| LineFile::open(path, &formats, None)).collect();
            let files = files?;
            judge(engine, |sink| merge::read(files, sink))?
        }
    };
    let mut out = output::stdout();
    if args.json {
        for alert in &alerts {
            writeln!(out, "{}", rules::backtest_line(alert))?;
        }
    } else {
        print_table(&alerts, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::from(if alerts.is_empty() { 0 } else { crate::cli::EXIT_FOUND }))
}

/// Takes batches in order and gives them back to be filled again.
type Sink<'a> = &'a mut dyn FnMut(&mut Batch);

/// Lets the engine judge all that `read` brings.
fn judge(mut engine: Engine, read: impl FnOnce(Sink<'_>) -> Result<()>) -> Result<Vec<Arc<Alert>>> {
    let mut seen = Seen::default();
    let mut ignored = Vec::new();
    let mut next_lsn = 1;
    read(&mut |batch: &mut Batch| {
        next_lsn = crate::lines::number(batch, next_lsn);
        seen.look(batch);
        engine.judge(batch, &mut ignored);
        ignored.clear();
    })?;
    seen.report();
    Ok(engine.finish())
}

/// What the files held, for the note at the end.
#[derive(Default)]
struct Seen {
    records: u64,
    without_time: u64,
    first_ms: Option<InstantMs>,
    last_ms: Option<InstantMs>,
}

impl Seen {
    fn look(&mut self, batch: &Batch) {
        for row in &batch.rows {
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
        use std::io::IsTerminal;
        if !std::io::stderr().is_terminal() {
            return;
        }
        let time = |t: Option<InstantMs>| t.map_or_else(|| "-".to_owned(), record::rfc3339_ms);
        output::note(&format!(
            "{} records from {} to {}, {} without a readable time (not judged)",
            self.records,
            time(self.first_ms),
            time(self.last_ms),
            self.without_time
        ));
    }
}

fn print_table(alerts: &[Arc<Alert>], out: &mut impl Write) -> Result<()> {
    let mut table = Table::new(&["ALERT", "LABELS", "ACTIVE", "FIRED", "ENDED", "REASON"]);
    for alert in alerts {
        let name = alert.labels.get("alertname").cloned().unwrap_or_default();
        let labels: Vec<String> =
            alert.labels.iter().filter(|(k, _)| *k != "alertname").map(|(k, v)| format!("{k}={v}")).collect();
        let time = |t: Option<InstantMs>, none: &str| t.map_or_else(|| none.to_owned(), record::rfc3339_ms);
        table.row(&[
            name,
            labels.join(" "),
            record::rfc3339_ms(alert.active_ms),
            time(alert.fired_ms, "pending only"),
            time(alert.ended_ms, "still on"),
            alert.reason.text.clone(),
        ]);
    }
    if alerts.is_empty() {
        writeln!(out, "no alert")?;
        return Ok(());
    }
    table.print(out)?;
    Ok(())
}
