//! One rule: what its file says, its keys with their numbers, what it did and what it costs, its alerts.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use rules::{Alert, KeysView, RuleCost};

use super::alert_view::AlertView;
use super::key_view::KeyRow;
use super::rule_backtest::BacktestForm;
use super::rule_explain::ExplainForm;
use super::rules::{RuleLine, nanoseconds, pairs, seen};
use super::{Chrome, fault, render};
use crate::rules_bench::BenchFault;
use crate::rules_view::{RuleRow, RulesView};
use crate::{App, text, times};

/// Alerts on the page.
const ALERTS_MAX: usize = 50;
/// The backtest form begins with this much of the past.
const BACKTEST_MS: i64 = 3_600_000;

#[derive(Template)]
#[template(path = "rule.html")]
struct RulePage {
    chrome: Chrome,
    head: Head,
    facts: Vec<(&'static str, String)>,
    annotations: Vec<(String, String)>,
    yaml: String,
    keys: Vec<KeyRow>,
    keys_total: String,
    keys_more: bool,
    keys_fault: String,
    numbers: Vec<Number>,
    alerts: Vec<AlertView>,
    alerts_more: bool,
    explain: ExplainForm,
    backtest: BacktestForm,
}

/// The rule as the head of its pages shows it.
pub(crate) struct Head {
    pub(crate) row: RuleLine,
    pub(crate) place: String,
}

struct Number {
    name: &'static str,
    value: String,
    bad: bool,
}

/// The page that says that there is no such rule.
pub(crate) fn no_rule(app: &App, depth: usize) -> Response {
    let chrome = Chrome::new(app, "rules", depth, "No such rule");
    let message = "There is no rule of this name. It may have gone with the last reload.";
    fault(chrome, StatusCode::NOT_FOUND, message)
}

/// Status of a fault.
pub(crate) fn status_of(fault: &BenchFault) -> StatusCode {
    match fault {
        BenchFault::NoRule => StatusCode::NOT_FOUND,
        BenchFault::Text(_) | BenchFault::Question(_) => StatusCode::BAD_REQUEST,
        BenchFault::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
        BenchFault::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Head {
    pub(crate) fn new(app: &App, now: &RulesView, rule: &RuleRow<'_>) -> Self {
        let total_ns = now.costs.iter().map(RuleCost::total_ns).sum();
        let of = seen(&app.deps.book).remove(&*rule.info.alert).unwrap_or_default();
        Self {
            row: RuleLine::new(rule, &of, total_ns, (app.deps.clock)(), app.deps.zone),
            place: format!("{}:{}", rule.info.file, rule.info.line),
        }
    }
}

pub(crate) async fn one(State(app): State<App>, Path(name): Path<String>) -> Response {
    let now = (app.deps.rules)();
    let Some(rule) = now.find(&name) else { return no_rule(&app, 2) };
    let rule = &rule;
    let (keys, keys_fault) = match app.bench.keys(name.clone()).await {
        Ok(keys) => (keys, String::new()),
        Err(fault) => (KeysView::default(), fault),
    };
    let (zone, now_ms) = (app.deps.zone, (app.deps.clock)());
    let until_ms = keys.judged_to_ms.or(now.watermark_ms).unwrap_or(now_ms);
    let (alerts, alerts_more) = alerts(&app, &name);
    let head = Head::new(&app, &now, rule);
    let page = RulePage {
        chrome: Chrome::new(&app, "rules", 2, name),
        facts: facts(rule),
        annotations: pairs(rule.info.annotations.iter()),
        yaml: rule.info.text.to_string(),
        keys: keys.keys.iter().map(|key| KeyRow::new(&app, rule, &keys, key)).collect(),
        keys_total: text::grouped(keys.total as u64),
        keys_more: keys.total > keys.keys.len(),
        keys_fault,
        numbers: numbers(rule, &head.row, &keys, &now, zone),
        alerts: alerts.iter().map(|alert| AlertView::new(alert, now_ms, zone)).collect(),
        alerts_more,
        explain: ExplainForm::first(rule, &keys, until_ms, zone),
        backtest: BacktestForm::first(&app, rule, now_ms - BACKTEST_MS, now_ms, zone),
        head,
    };
    render(StatusCode::OK, &page)
}

fn facts(rule: &RuleRow<'_>) -> Vec<(&'static str, String)> {
    let info = &rule.info;
    let by: Vec<&str> = info.by.iter().map(|name| &**name).collect();
    let length = |ms: i64| if ms == 0 { String::new() } else { times::duration(ms) };
    let all = [
        ("Kind", info.kind.to_owned()),
        ("Active when", info.summary.clone()),
        ("Key", if by.is_empty() { "none: one state for all records".to_owned() } else { by.join(", ") }),
        ("Fires after", length(info.for_ms)),
        ("Keeps firing for", length(info.keep_firing_for_ms)),
        ("Mode", if info.shadow { "shadow: judged and recorded, never sent" } else { "live" }.to_owned()),
        ("Group", info.group.to_string()),
        ("File", format!("{}:{}", info.file, info.line)),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn numbers(
    rule: &RuleRow<'_>,
    row: &RuleLine,
    keys: &KeysView,
    now: &RulesView,
    zone: chrono_tz::Tz,
) -> Vec<Number> {
    let counts = &rule.counts;
    let number = |name, value| Number { name, value, bad: false };
    let count = |name, value: u64| number(name, text::grouped(value));
    let bound = |name, value: u64| Number { bad: value > 0, ..count(name, value) };
    let instant =
        |at_ms: Option<i64>| at_ms.map_or("not yet".to_owned(), |at_ms| times::seconds(at_ms, zone));
    let cost = match rule.cost.ns_per_match() {
        Some(ns) => format!("{} a match, {} of all rules", nanoseconds(ns), row.cost_share),
        None => "no sample yet".to_owned(),
    };
    let mut all = vec![
        count("Evaluations", rule.cost.evaluations),
        number("Last evaluated to", instant(keys.judged_to_ms)),
        number("Watermark", instant(now.watermark_ms)),
        number("History since", instant(keys.history_start_ms)),
        count("Matched", counts.matched),
        Number { bad: row.late_bad, ..count("Late", counts.late) },
        count("Keys", counts.keys),
        bound("Keys dropped", counts.keys_dropped),
        count("Fired", counts.fired),
        count("Withdrawn", counts.withdrawn),
        number("Cost", cost),
    ];
    if counts.things > 0 || counts.things_dropped > 0 {
        all.push(count("Things", counts.things));
        all.push(bound("Things dropped", counts.things_dropped));
        all.push(bound("Records of things dropped", counts.thing_records_dropped));
    }
    all
}

/// The newest alerts of a rule, and whether there are more.
fn alerts(app: &App, name: &str) -> (Vec<Arc<Alert>>, bool) {
    let book = &app.deps.book;
    let mut all: Vec<Arc<Alert>> = book.live();
    all.extend(book.resolved());
    all.retain(|alert| alert.labels.get("alertname").is_some_and(|known| known == name));
    let more = all.len() > ALERTS_MAX;
    all.truncate(ALERTS_MAX);
    (all, more)
}
