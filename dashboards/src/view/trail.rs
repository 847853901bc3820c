//! The trail of one order: its records in time, modules as lanes, gaps, failures and repeats marked.

use std::collections::HashMap;
use std::sync::Arc;

use chrono_tz::Tz;
use record::{FormatSet, Lsn};
use serde::Serialize;
use sinks::trace_store::Found;

use super::{Outcome, RecordView, Verdict, Viewer, outcome};

/// A pause between two steps of at least this length is marked.
pub const BIG_GAP_MS: i64 = 2_000;
/// Distinct values of a column that a summary lists.
const VALUES_MAX: usize = 5;

/// A trail, ready to be shown. Serialises to the JSON of `/api/trail/{id}` and `watchroom trail --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrailView {
    /// What was asked for: an order, serial, channel serial number or trace id.
    pub id: String,
    /// Zone in which pages show its times.
    #[serde(serialize_with = "zone_name")]
    pub zone: Tz,
    /// There were more records than the limit.
    pub truncated: bool,
    /// The order at a glance.
    pub summary: Summary,
    /// Modules in order of first appearance.
    pub lanes: Vec<Lane>,
    /// Records by event time, ties by LSN.
    pub steps: Vec<Step>,
}

/// The order at a glance. Lists hold the distinct values seen, in order of first sight, at most five.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Order numbers; more than one when a trace id or serial number was asked for.
    pub orders: Vec<String>,
    /// Column `merchant_no`.
    pub merchants: Vec<String>,
    /// Column `channel`.
    pub channels: Vec<String>,
    /// Columns `amount` (where it is a number) and `currency`: `0.01 CNY`.
    pub amounts: Vec<String>,
    /// Last `order_status`.
    pub status: Option<String>,
    /// Last `response_code`.
    pub response_code: Option<String>,
    /// Last `response_message`.
    pub response_message: Option<String>,
    /// Outcome of the last step that names an `order_status`, else of the last step that has an outcome: a merchant who
    /// could not be notified does not undo a payment.
    pub outcome: Option<Outcome>,
    /// From the first step to the last.
    pub total_ms: i64,
    /// Steps.
    pub steps: usize,
    /// Steps that failed; duplicates are not counted again.
    pub failures: usize,
    /// Steps printed twice.
    pub duplicates: usize,
    /// Pauses of at least [`BIG_GAP_MS`].
    pub big_gaps: usize,
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// Its name.
    pub module: String,
    /// Its steps.
    pub steps: usize,
    /// Of these, failed; duplicates are not counted again.
    pub failures: usize,
}

/// One record of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The record.
    #[serde(flatten)]
    pub record: RecordView,
    /// Index of its lane.
    pub lane: usize,
    /// What it is called: column `step` or `act`, else the direction of a message, else the start of the text, else its
    /// format.
    pub name: String,
    /// Since the step before; `None` for the first.
    pub gap_ms: Option<i64>,
    /// Since the first step.
    pub offset_ms: i64,
    /// The pause before it is at least [`BIG_GAP_MS`].
    pub big_gap: bool,
    /// Column `elapsed_ms`.
    pub elapsed_ms: Option<i64>,
    /// Whether it went well.
    pub verdict: Verdict,
    /// The earlier record with the same message.
    pub duplicate_of: Option<Lsn>,
    /// How many times this module has printed this step, this time included; duplicates are not counted.
    pub occurrence: u32,
}

/// Puts the answer of [`sinks::trace_store::TraceReader::trail`] in order. `id` is what was asked for.
pub fn trail_view(id: &str, found: &Found, formats: &Arc<FormatSet>, zone: Tz) -> TrailView {
    let mut viewer = Viewer::new(formats);
    let mut records: Vec<RecordView> = found.rows.iter().map(|row| viewer.view(row)).collect();
    records.sort_by_key(|record| (record.event_ms, record.lsn));
    let mut lanes: Vec<Lane> = Vec::new();
    let mut printed: HashMap<(String, String), Lsn> = HashMap::new();
    let mut occurrences: HashMap<(usize, String), u32> = HashMap::new();
    let first_ms = records.first().map_or(0, |record| record.event_ms);
    let mut before_ms = None;
    let mut steps = Vec::with_capacity(records.len());
    for record in records {
        let lane = lane_of(&mut lanes, &record);
        let name = step_name(&record);
        let gap_ms = before_ms.map(|before_ms| record.event_ms - before_ms);
        before_ms = Some(record.event_ms);
        let message = (record.format.clone(), record.message.clone());
        let duplicate_of = printed.get(&message).copied();
        let occurrence = occurrences.entry((lane, name.clone())).or_default();
        if duplicate_of.is_none() {
            printed.insert(message, record.lsn);
            *occurrence += 1;
        }
        let verdict = outcome(&record);
        lanes[lane].steps += 1;
        lanes[lane].failures += usize::from(verdict.outcome == Outcome::Failed && duplicate_of.is_none());
        steps.push(Step {
            lane,
            name,
            gap_ms,
            offset_ms: record.event_ms - first_ms,
            big_gap: gap_ms.is_some_and(|gap_ms| gap_ms >= BIG_GAP_MS),
            elapsed_ms: record.elapsed_ms(),
            verdict,
            duplicate_of,
            occurrence: *occurrence,
            record,
        });
    }
    TrailView { id: id.to_owned(), zone, truncated: found.truncated, summary: summary(&steps), lanes, steps }
}

/// The lane of a record: its column `module`, else its program, else its format.
fn lane_of(lanes: &mut Vec<Lane>, record: &RecordView) -> usize {
    let program = (!record.program.is_empty()).then_some(record.program.as_str());
    let module = record.get("module").or(program).unwrap_or(&record.format);
    lanes.iter().position(|lane| lane.module == module).unwrap_or_else(|| {
        lanes.push(Lane { module: module.to_owned(), steps: 0, failures: 0 });
        lanes.len() - 1
    })
}

fn step_name(record: &RecordView) -> String {
    const TEXT_MAX: usize = 80;
    if let Some(step) = record.get("step").or_else(|| record.get("act")) {
        return step.to_owned();
    }
    if let Some(direction) = record.get("direction") {
        return format!("message: {direction}");
    }
    let text = record.get("text").or_else(|| record.get("msg"));
    let untold = if record.columns.0.is_empty() { &record.message } else { &record.format };
    let text = text.unwrap_or(untold);
    let mut name: String = text.chars().take(TEXT_MAX).collect();
    if name.len() < text.len() {
        name.push('…');
    }
    name
}

fn summary(steps: &[Step]) -> Summary {
    let records = || steps.iter().map(|step| &step.record);
    let last = |name| records().rev().find_map(|record| record.get(name)).map(str::to_owned);
    let decided = || steps.iter().rev().filter(|step| step.verdict.outcome != Outcome::Unknown);
    let deciding =
        decided().find(|step| step.record.get("order_status").is_some()).or_else(|| decided().next());
    let count = |holds: fn(&Step) -> bool| steps.iter().filter(|step| holds(step)).count();
    Summary {
        orders: distinct(records().filter_map(|record| record.get("order_no").map(str::to_owned))),
        merchants: distinct(records().filter_map(|record| record.get("merchant_no").map(str::to_owned))),
        channels: distinct(records().filter_map(|record| record.get("channel").map(str::to_owned))),
        amounts: distinct(records().filter_map(amount)),
        status: last("order_status"),
        response_code: last("response_code"),
        response_message: last("response_message"),
        outcome: deciding.map(|step| step.verdict.outcome),
        total_ms: steps.last().map_or(0, |step| step.offset_ms),
        steps: steps.len(),
        failures: count(|step| step.verdict.outcome == Outcome::Failed && step.duplicate_of.is_none()),
        duplicates: count(|step| step.duplicate_of.is_some()),
        big_gaps: count(|step| step.big_gap),
    }
}

fn amount(record: &RecordView) -> Option<String> {
    let amount = record.typed("amount")?;
    Some(match record.get("currency") {
        Some(currency) => format!("{amount} {currency}"),
        None => amount.to_owned(),
    })
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for value in values {
        if seen.len() < VALUES_MAX && !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

fn zone_name<S: serde::Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.name())
}
