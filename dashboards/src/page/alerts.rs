//! The alerts: a list, and each with its reason, orders and sample lines.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use rules::Alert;

use super::alert_view::{AlertView, Bars};
use super::{Chrome, fault, render};
use crate::view::Viewer;
use crate::{App, text, times};

/// Resolved alerts on the list.
const RESOLVED_MAX: usize = 200;

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    chrome: Chrome,
    live: Vec<AlertView>,
    resolved: Vec<AlertView>,
    resolved_more: usize,
}

pub(crate) async fn list(State(app): State<App>) -> Response {
    let deps = &app.deps;
    let now_ms = (deps.clock)();
    let resolved = deps.book.resolved();
    let page = AlertsPage {
        chrome: Chrome::new(&app, "alerts", 1, "Alerts"),
        live: deps.book.live().iter().map(|alert| AlertView::new(alert, now_ms, deps.zone)).collect(),
        resolved: resolved.iter().take(RESOLVED_MAX).map(|a| AlertView::new(a, now_ms, deps.zone)).collect(),
        resolved_more: resolved.len().saturating_sub(RESOLVED_MAX),
    };
    render(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "alert.html")]
struct AlertPage {
    chrome: Chrome,
    alert: AlertView,
    all_labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    raised: String,
    fired: Option<String>,
    kind: String,
    text: String,
    count: String,
    thresholds: Vec<(String, String)>,
    /// Of `thresholds`; empty: the rule's own.
    row: String,
    /// The rule, if it is still in use: a link.
    rule: Option<String>,
    gate: String,
    bars: Option<Bars>,
    distinct: Vec<String>,
    distinct_count: u64,
    /// Text and link of each.
    orders: Vec<(String, String)>,
    orders_count: u64,
    samples: Vec<SampleView>,
}

struct SampleView {
    at: String,
    lsn: u64,
    line: String,
    /// Order number and link to its trail, where the line names one.
    order: Option<(String, String)>,
}

pub(crate) async fn one(State(app): State<App>, Path(id): Path<String>) -> Response {
    match app.deps.book.find(&id) {
        Some(alert) => render(StatusCode::OK, &alert_page(&app, &alert)),
        None => {
            let chrome = Chrome::new(&app, "alerts", 2, "No such alert");
            let message = "No such alert is kept: the last 1,000 resolved ones are.";
            fault(chrome, StatusCode::NOT_FOUND, message)
        }
    }
}

fn alert_page(app: &App, alert: &Alert) -> AlertPage {
    let deps = &app.deps;
    let view = AlertView::new(alert, (deps.clock)(), deps.zone);
    let reason = &alert.reason;
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    AlertPage {
        chrome: Chrome::new(app, "alerts", 2, view.name.clone()),
        all_labels: pairs(&alert.labels),
        annotations: pairs(&alert.annotations),
        raised: times::full(alert.raised_ms, deps.zone),
        fired: alert.fired_ms.map(|fired_ms| times::full(fired_ms, deps.zone)),
        kind: reason.kind.clone(),
        text: reason.text.clone(),
        count: text::grouped(reason.count),
        thresholds: pairs(&reason.thresholds),
        row: reason.threshold_row.clone().unwrap_or_default(),
        rule: (deps.rules)().find(&view.name).map(|_| text::percent_encoded(&view.name)),
        gate: reason.gate.clone(),
        bars: Bars::new(reason, deps.zone),
        distinct: reason.distinct.clone(),
        distinct_count: reason.distinct_count,
        orders: reason.orders.iter().map(|order| (order.clone(), text::percent_encoded(order))).collect(),
        orders_count: reason.orders_count,
        samples: samples(app, alert),
        alert: view,
    }
}

fn samples(app: &App, alert: &Alert) -> Vec<SampleView> {
    let mut viewer = Viewer::new(&app.deps.formats);
    let samples = alert.reason.samples.iter().map(|sample| {
        let order_no = viewer.order_no(&sample.line);
        SampleView {
            at: times::full(sample.at, app.deps.zone),
            lsn: sample.lsn,
            line: sample.line.clone(),
            order: order_no.map(|order_no| (order_no.clone(), text::percent_encoded(&order_no))),
        }
    });
    samples.collect()
}
