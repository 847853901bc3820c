//! The lines of a test as records, and the alerts that the production engine makes of them.
//!
//! Refuses to know: what is expected.

use std::sync::Arc;

use record::{Batch, Decoder, FormatId, FormatSet, InstantMs, Lsn, Transport};
use rules::{Alert, Engine, Placed, RuleError, RuleSet, TestCase, TestInput, TestText, no_field};

use super::spec::Instants;

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
    /// The lines of a test; of each input only the first, if they are only to be `checked`. `Err` holds every fault.
    pub(super) fn of(
        test: &TestCase,
        file: &str,
        instants: Instants<'_>,
        formats: &Arc<FormatSet>,
        checked: bool,
    ) -> Result<Self, Vec<RuleError>> {
        let mut scene = Self { batch: Batch::default() };
        let mut faults = Vec::new();
        for input in &test.input {
            let lines = Lines { input, file, instants, formats };
            faults.extend(lines.add(&mut scene.batch, checked).err());
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        scene.batch.rows.sort_by_key(|row| row.event_ms);
        for (lsn, row) in (1..).zip(&mut scene.batch.rows) {
            row.lsn = lsn;
        }
        Ok(scene)
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

/// One input and what it takes to read it.
struct Lines<'a> {
    input: &'a Placed<TestInput>,
    file: &'a str,
    instants: Instants<'a>,
    formats: &'a Arc<FormatSet>,
}

impl Lines<'_> {
    /// Appends the rows; only the first, if they are only to be checked.
    fn add(&self, batch: &mut Batch, checked: bool) -> Result<(), RuleError> {
        let input = &self.input.value;
        let format = input.format.as_ref().map(|name| self.format(name)).transpose()?;
        let at_ms = input.at.as_ref().map(|at| self.instants.read(at)).transpose()?;
        let source = batch.source_index(&Arc::from("test"));
        let repeat = if checked { 1 } else { input.repeat };
        for i in 0..i64::from(repeat) {
            let line_ms = at_ms.map(|at| at + i * input.every_ms);
            let (line, format) = self.line(format, i, line_ms)?;
            let mut decoder = Decoder::new(Arc::clone(self.formats), Transport::File, format);
            let before = batch.rows.len();
            decoder.push(batch, source, line.as_bytes(), None, false);
            decoder.flush(batch, source);
            for row in &mut batch.rows[before..] {
                row.event_ms = line_ms.or(row.event_ms);
                if row.event_ms.is_none() {
                    return Err(self.input.fault(self.file, "the line has no readable time: give `at`"));
                }
            }
        }
        Ok(())
    }

    fn format(&self, name: &Placed<String>) -> Result<FormatId, RuleError> {
        self.formats.find(&name.value).ok_or_else(|| {
            let known: Vec<&str> = self.formats.iter().map(|(_, format)| format.name()).collect();
            let hint = rules::did_you_mean(&name.value, known.iter().copied());
            let list = if hint.is_empty() { format!("; there are {}", known.join(", ")) } else { hint };
            name.fault(self.file, format!("there is no format `{}`{list}", name.value))
        })
    }

    /// The i-th line, and the format to read it by.
    fn line(
        &self,
        format: Option<FormatId>,
        i: i64,
        line_ms: Option<InstantMs>,
    ) -> Result<(String, Option<FormatId>), RuleError> {
        let number = i.to_string();
        let fault = |message: String| self.input.fault(self.file, message);
        let fields = match &self.input.value.text {
            TestText::Line(line) => return Ok((line.replace("{i}", &number), format)),
            TestText::Fields(fields) => fields,
        };
        let id = format
            .or_else(|| self.formats.find(DEFAULT_FORMAT))
            .ok_or_else(|| fault(format!("there is no format {DEFAULT_FORMAT}; name one with `format`")))?;
        let format = self.formats.get(id);
        let at = line_ms.ok_or_else(|| fault("`fields` need `at`".to_owned()))?;
        let mut values: Vec<(usize, String)> = Vec::new();
        if let Some(column) = format.time_column() {
            values.push((column, dashboards::times::full(at, self.formats.zone())));
        }
        for (name, value) in fields {
            let column = format
                .column(&name.value)
                .ok_or_else(|| name.fault(self.file, no_field(format, &name.value)))?;
            values.push((column, value.replace("{i}", &number)));
        }
        let texts: Vec<(usize, &str)> = values.iter().map(|(c, t)| (*c, t.as_str())).collect();
        let line = format.render(&texts).ok_or_else(|| {
            fault(format!("format {}: `fields` cannot be written as a line; use `line`", format.name()))
        })?;
        Ok((line, Some(id)))
    }
}
