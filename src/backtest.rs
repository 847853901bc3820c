//! `watchroom backtest`: the production engine over files, and the alerts it would have raised.
//!
//! Refuses to know: how a rule is judged.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, Result};
use record::{Batch, FormatSet, InstantMs};
use rules::{Alert, Engine, RuleSet};

use crate::lines::{LineFile, rule_files};
use crate::output::{self, Table};

/// Batches on their way from the reader to the judge, and back to be filled again.
const BATCHES_IN_FLIGHT: usize = 4;

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
    let mut inputs = Vec::new();
    for path in &args.file {
        inputs.push(LineFile::open(path, &formats, None)?);
    }
    let engine = Engine::for_backtest(rules, Arc::clone(&formats));
    let alerts = replay(engine, inputs, &formats)?;
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

fn replay(mut engine: Engine, inputs: Vec<LineFile>, formats: &FormatSet) -> Result<Vec<Arc<Alert>>> {
    let (full_tx, full_rx) = sync_channel::<Result<Batch>>(BATCHES_IN_FLIGHT);
    let (empty_tx, empty_rx) = sync_channel::<Batch>(BATCHES_IN_FLIGHT);
    for _ in 0..BATCHES_IN_FLIGHT {
        empty_tx.send(Batch::default()).context("the reader has gone")?;
    }
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        scope.spawn(move || match <[LineFile; 1]>::try_from(inputs) {
            Ok([only]) => read_one(only, &empty_rx, &full_tx),
            Err(several) => merge(several, &empty_rx, &full_tx),
        });
        let mut ignored = Vec::new();
        for batch in full_rx {
            let batch = batch?;
            seen.look(&batch);
            engine.judge(&batch, &mut ignored);
            ignored.clear();
            // The reader has gone when the files have ended: then nobody wants the memory back.
            drop(empty_tx.try_send(batch));
        }
        Ok::<(), anyhow::Error>(())
    })?;
    seen.report(formats);
    Ok(engine.finish())
}

fn read_one(mut file: LineFile, empty: &Receiver<Batch>, full: &SyncSender<Result<Batch>>) {
    while let Ok(mut batch) = empty.recv() {
        let sent = match file.next(&mut batch) {
            Ok(true) => full.send(Ok(batch)),
            Ok(false) => return,
            Err(error) => {
                drop(full.send(Err(error)));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// One stream of several files: always the head with the lowest event time, ties by argument order. A record
/// without event time stays behind the one before it in its file.
fn merge(files: Vec<LineFile>, empty: &Receiver<Batch>, full: &SyncSender<Result<Batch>>) {
    let mut heads: Vec<Head> = files.into_iter().map(Head::new).collect();
    let mut lsn = 0;
    while let Ok(mut out) = empty.recv() {
        out.clear();
        while out.bytes.len() < 1024 * 1024 {
            let mut lowest: Option<(InstantMs, usize)> = None;
            for (index, head) in heads.iter_mut().enumerate() {
                match head.time() {
                    Ok(Some(time)) if lowest.is_none_or(|(t, _)| time < t) => lowest = Some((time, index)),
                    Ok(_) => {}
                    Err(error) => {
                        drop(full.send(Err(error)));
                        return;
                    }
                }
            }
            let Some((_, index)) = lowest else { break };
            lsn += 1;
            heads[index].take_into(&mut out, lsn);
        }
        if out.rows.is_empty() || full.send(Ok(out)).is_err() {
            return;
        }
    }
}

/// The next record of one file of several.
struct Head {
    file: LineFile,
    batch: Batch,
    next: usize,
    time_ms: InstantMs,
}

impl Head {
    fn new(file: LineFile) -> Self {
        Self { file, batch: Batch::default(), next: 0, time_ms: InstantMs::MIN }
    }

    /// Event time that the next record is merged by; `None` at the end of the file.
    fn time(&mut self) -> Result<Option<InstantMs>> {
        if self.next == self.batch.rows.len() {
            self.next = 0;
            if !self.file.next(&mut self.batch)? {
                self.batch.clear();
                return Ok(None);
            }
        }
        let event_ms = self.batch.rows[self.next].event_ms;
        Ok(Some(event_ms.unwrap_or(self.time_ms)))
    }

    fn take_into(&mut self, out: &mut Batch, lsn: record::Lsn) {
        let row = &self.batch.rows[self.next];
        self.time_ms = row.event_ms.unwrap_or(self.time_ms);
        out.copy_row(&self.batch, self.next);
        if let Some(copied) = out.rows.last_mut() {
            copied.lsn = lsn;
        }
        self.next += 1;
    }
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

    fn report(&self, _formats: &FormatSet) {
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
