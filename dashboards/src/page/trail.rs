//! The trail page: modules as lanes, steps in time with gaps and elapsed, failures marked.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono_tz::Tz;

use super::alert_view::percent;
use super::{Chrome, no_answer, render};
use crate::view::{ColumnView, Lane, Outcome, Step, TrailView, trail_view};
use crate::{App, text, times};

/// Records of one trail at most.
pub(crate) const ROWS_MAX: usize = 2_000;
/// Lanes with a column of their own; further modules share the last.
const LANES_MAX: usize = 12;

#[derive(Template)]
#[template(path = "trail.html")]
struct TrailPage {
    chrome: Chrome,
    id: String,
    href: String,
    zone: &'static str,
    truncated: bool,
    /// `succeeded`, `pending`, `failed`, or empty, and the class of its colour.
    ended: (&'static str, &'static str),
    facts: Vec<(&'static str, String, &'static str)>,
    lanes: Vec<LaneView>,
    /// Columns of the grid.
    columns: usize,
    /// Names of the modules in the last column, when they share it.
    shared: Vec<String>,
    rows: Vec<StepView>,
    big_gap: String,
}

/// A module's row of the overview, drawn to scale.
struct LaneView {
    module: String,
    column: usize,
    steps: usize,
    failures: usize,
    marks: Vec<Mark>,
}

struct Mark {
    x: String,
    /// Start and width of the bar of its `elapsed_ms`.
    bar: Option<(String, String)>,
    outcome: Outcome,
    anchor: u64,
    title: String,
}

/// One step of the trail.
struct StepView {
    /// Date, where it differs from that of the step before.
    date: Option<String>,
    time: String,
    offset: String,
    gap: String,
    big_gap: bool,
    /// The gap without its sign.
    pause: String,
    lane: usize,
    lanes_before: Vec<usize>,
    module: String,
    name: String,
    outcome: Outcome,
    reasons: String,
    code: String,
    message: String,
    status: String,
    elapsed: String,
    duplicate_of: Option<u64>,
    occurrence: u32,
    ill_typed: usize,
    lsn: u64,
    source: String,
    format: String,
    received: Option<String>,
    flags: String,
    columns: Vec<ColumnView>,
    body: Option<String>,
    extras: Vec<String>,
    raw: String,
}

pub(crate) async fn trail(State(app): State<App>, Path(id): Path<String>) -> Response {
    let chrome = Chrome::new(&app, "orders", 2, id.clone());
    match app.asker.trail(id.clone(), ROWS_MAX).await {
        Err(error) => no_answer(chrome, &error),
        Ok(found) => {
            let view = trail_view(&id, &found, &app.deps.formats, app.deps.zone);
            let status = if view.steps.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
            render(status, &trail_page(chrome, view))
        }
    }
}

fn trail_page(chrome: Chrome, view: TrailView) -> TrailPage {
    let columns = view.lanes.len().clamp(1, LANES_MAX);
    let shared = view.lanes.get(LANES_MAX - 1..).filter(|rest| rest.len() > 1).unwrap_or_default();
    let mut date_before = String::new();
    let mut rows = Vec::with_capacity(view.steps.len());
    let lanes = view.lanes.iter().enumerate().map(|(index, lane)| lane_view(&view, index, lane)).collect();
    for step in &view.steps {
        let mut row = step_view(step, &view.lanes, columns, view.zone);
        let date = times::date(step.record.event_ms, view.zone);
        if date != date_before {
            date_before.clone_from(&date);
            row.date = Some(date);
        }
        rows.push(row);
    }
    TrailPage {
        chrome,
        href: text::percent_encoded(&view.id),
        zone: view.zone.name(),
        truncated: view.truncated,
        ended: match view.summary.outcome {
            Some(Outcome::Ok) => ("succeeded", "ok"),
            Some(Outcome::Pending) => ("pending", "pending"),
            Some(Outcome::Failed) => ("failed", "failed"),
            Some(Outcome::Unknown) | None => ("", ""),
        },
        facts: facts(&view),
        lanes,
        columns,
        shared: shared.iter().map(|lane| lane.module.clone()).collect(),
        rows,
        big_gap: times::duration(crate::view::BIG_GAP_MS),
        id: view.id,
    }
}

/// The summary as name, value and class.
fn facts(view: &TrailView) -> Vec<(&'static str, String, &'static str)> {
    let summary = &view.summary;
    let time = |step: Option<&Step>| {
        step.map(|step| times::full(step.record.event_ms, view.zone)).unwrap_or_default()
    };
    let answer = [&summary.response_code, &summary.response_message].into_iter().flatten();
    let answer: Vec<&str> = answer.map(String::as_str).collect();
    let marked = |count: usize| if count > 0 { count.to_string() } else { String::new() };
    let orders = if summary.orders == [view.id.as_str()] { String::new() } else { summary.orders.join(", ") };
    let facts = vec![
        ("Order", orders, ""),
        ("Merchant", summary.merchants.join(", "), ""),
        ("Channel", summary.channels.join(", "), ""),
        ("Amount", summary.amounts.join(", "), ""),
        ("Status", summary.status.clone().unwrap_or_default(), ""),
        ("Last answer", answer.join(" "), ""),
        ("First step", time(view.steps.first()), ""),
        ("Last step", time(view.steps.last()), ""),
        ("Total", times::duration(summary.total_ms), ""),
        ("Steps", summary.steps.to_string(), ""),
        ("Failures", summary.failures.to_string(), if summary.failures > 0 { "failed" } else { "" }),
        ("Long gaps", marked(summary.big_gaps), "pending"),
        ("Duplicates", marked(summary.duplicates), "pending"),
    ];
    facts.into_iter().filter(|(_, value, _)| !value.is_empty()).collect()
}

fn lane_view(view: &TrailView, index: usize, lane: &Lane) -> LaneView {
    let total_ms = view.summary.total_ms.max(1) as f64;
    let at = |offset_ms: i64| (offset_ms as f64 / total_ms * 100.0).clamp(0.0, 100.0);
    let steps = view.steps.iter().filter(|step| step.lane == index);
    let marks = steps.map(|step| {
        let end = at(step.offset_ms);
        let bar = step.elapsed_ms.filter(|elapsed_ms| *elapsed_ms > 0).map(|elapsed_ms| {
            let start = at(step.offset_ms.saturating_sub(elapsed_ms));
            (percent(start), percent(end - start))
        });
        let time = times::clock(step.record.event_ms, view.zone);
        Mark {
            x: percent(end),
            bar,
            outcome: step.verdict.outcome,
            anchor: step.record.lsn,
            title: format!("{time} {} ({})", step.name, step.verdict.outcome.name()),
        }
    });
    let mut marks: Vec<Mark> = marks.collect();
    // Drawn in this order: a failure lies on top.
    marks.sort_by_key(|mark| mark.outcome == Outcome::Failed);
    LaneView {
        module: lane.module.clone(),
        column: index.min(LANES_MAX - 1),
        steps: lane.steps,
        failures: lane.failures,
        marks,
    }
}

fn step_view(step: &Step, lanes: &[Lane], columns: usize, zone: Tz) -> StepView {
    let record = &step.record;
    let module = &lanes[step.lane].module;
    let text = |name: &str| record.get(name).unwrap_or_default().to_owned();
    let lane = step.lane.min(columns - 1);
    // Modules put their own name before the step: the lane says it already.
    let bare =
        step.name.strip_prefix(module.as_str()).map(|name| name.trim_start_matches(['-', ' ', ':', '.']));
    StepView {
        date: None,
        time: times::clock(record.event_ms, zone),
        offset: times::duration(step.offset_ms),
        gap: step.gap_ms.map(|gap_ms| format!("+{}", times::duration(gap_ms))).unwrap_or_default(),
        big_gap: step.big_gap,
        pause: step.gap_ms.map(times::duration).unwrap_or_default(),
        lane,
        lanes_before: (0..columns).filter(|other| *other != lane).collect(),
        module: module.clone(),
        name: bare.filter(|name| !name.is_empty()).unwrap_or(&step.name).to_owned(),
        outcome: step.verdict.outcome,
        reasons: step.verdict.reasons.join(", "),
        code: text("response_code"),
        message: text("response_message"),
        status: text("order_status"),
        elapsed: step.elapsed_ms.map(times::duration).unwrap_or_default(),
        duplicate_of: step.duplicate_of,
        occurrence: step.occurrence,
        ill_typed: record.ill_typed.len(),
        lsn: record.lsn,
        source: record.source.clone(),
        format: record.format.clone(),
        received: record.recv_ms.map(|recv_ms| times::full(recv_ms, zone)),
        flags: record.flags.join(", "),
        columns: record.columns.0.iter().filter(|column| &*column.name != "body").cloned().collect(),
        body: record.get("body").map(str::to_owned),
        extras: record.extras.clone(),
        raw: record.message.clone(),
    }
}
