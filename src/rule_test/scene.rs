//! The lines of a test as records, and the alerts that the production engine makes of them.
//!
//! Refuses to know: what is expected.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use chrono_tz::Tz;
use record::{Batch, Decoder, FormatId, FormatSet, InstantMs, Lsn, Transport};
use rules::{Alert, Engine, RuleSet};

use super::spec::{Input, Test, TestFile};

/// Format of `fields` that name none.
const DEFAULT_FORMAT: &str = "order-trace";
/// How far time goes on after the last line and the last expectation, so that every verdict is settled.
const AFTERWARDS_MS: i64 = 3_600_000;
/// Two time entries at least so far apart let the clock follow time without lines.
const IDLE_MS: i64 = 60_000;

/// The lines of one test, in the order of their event times.
pub(super) struct Scene {
    batch: Batch,
}

impl Scene {
    pub(super) fn of(test: &Test, file: &TestFile, formats: &Arc<FormatSet>, zone: Tz) -> Result<Self> {
        let mut batch = Batch::default();
        for (number, input) in test.input.iter().enumerate() {
            add(&mut batch, input, file, formats, zone).with_context(|| format!("input {}", number + 1))?;
        }
        batch.rows.sort_by_key(|row| row.event_ms);
        for (lsn, row) in (1..).zip(&mut batch.rows) {
            row.lsn = lsn;
        }
        Ok(Self { batch })
    }

    /// All alerts that became pending or fired, time having gone on well beyond `last_ms`.
    pub(super) fn alerts(
        &self,
        rules: &Arc<RuleSet>,
        formats: &Arc<FormatSet>,
        last_ms: InstantMs,
    ) -> Vec<Arc<Alert>> {
        let mut engine = Engine::for_backtest(Arc::clone(rules), Arc::clone(formats));
        let mut ignored = Vec::new();
        engine.judge(&self.batch, &mut ignored);
        let last_line_ms = self.batch.rows.iter().filter_map(|row| row.event_ms).max();
        let end_ms = last_line_ms.unwrap_or(last_ms).max(last_ms) + AFTERWARDS_MS;
        let lsn = self.batch.rows.len() as Lsn + 1;
        engine.tick(lsn, end_ms - IDLE_MS, &mut ignored);
        engine.tick(lsn + 1, end_ms, &mut ignored);
        engine.finish()
    }
}

/// Appends the rows of one input.
fn add(batch: &mut Batch, input: &Input, file: &TestFile, formats: &Arc<FormatSet>, zone: Tz) -> Result<()> {
    let named = input.format.as_deref();
    let format = named
        .map(|name| {
            formats.find(name).ok_or_else(|| anyhow!("no format `{name}`; known: {}", known(formats)))
        })
        .transpose()?;
    let at_ms = input.at.as_deref().map(|at| file.instant(at, zone)).transpose()?;
    let every_ms = match input.every.as_deref() {
        Some(every) => {
            rules::parse_duration(every).ok_or_else(|| anyhow!("`every`: `{every}` is no duration"))?
        }
        None => 0,
    };
    let source = batch.source_index(&Arc::from("test"));
    for i in 0..i64::from(input.repeat) {
        let line_ms = at_ms.map(|at| at + i * every_ms);
        let (line, format) = text(input, format, i, line_ms, formats)?;
        let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, format);
        let before = batch.rows.len();
        decoder.push(batch, source, line.as_bytes(), None, false);
        decoder.flush(batch, source);
        for row in &mut batch.rows[before..] {
            row.event_ms = line_ms.or(row.event_ms);
            ensure!(row.event_ms.is_some(), "the line has no readable time: give `at`");
        }
    }
    Ok(())
}

/// The i-th line of an input, and the format to read it by.
fn text(
    input: &Input,
    format: Option<FormatId>,
    i: i64,
    line_ms: Option<InstantMs>,
    formats: &FormatSet,
) -> Result<(String, Option<FormatId>)> {
    let number = i.to_string();
    match (&input.line, &input.fields) {
        (Some(line), None) => Ok((line.replace("{i}", &number), format)),
        (None, Some(fields)) => {
            let id = format.or_else(|| formats.find(DEFAULT_FORMAT)).context("no format order-trace")?;
            let format = formats.get(id);
            let at = line_ms.context("`fields` need `at`")?;
            let mut values: Vec<(usize, String)> = Vec::new();
            if let Some(column) = format.time_column() {
                values.push((column, dashboards::times::full(at, formats.zone())));
            }
            for (name, value) in fields {
                let column = format
                    .column(name)
                    .ok_or_else(|| anyhow!("format {} has no column `{name}`", format.name()))?;
                values.push((column, value.to_string().replace("{i}", &number)));
            }
            let texts: Vec<(usize, &str)> = values.iter().map(|(c, t)| (*c, t.as_str())).collect();
            let line = format.render(&texts).ok_or_else(|| {
                anyhow!("format {}: `fields` cannot be written as a line; use `line`", format.name())
            })?;
            Ok((line, Some(id)))
        }
        _ => Err(anyhow!("give either `line` or `fields`")),
    }
}

fn known(formats: &FormatSet) -> String {
    formats.iter().map(|(_, format)| format.name()).collect::<Vec<_>>().join(", ")
}
