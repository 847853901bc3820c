//! A key of a rule as the table of its states shows it.

use rules::{AlertState, KeyView, KeysView};

use crate::rules_view::RuleRow;
use crate::view::Viewer;
use crate::{App, text, times};

/// Sample lines linked in a row.
const LINES_MAX: usize = 3;

/// One key, ready for a template.
pub(crate) struct KeyRow {
    /// Name and value; a null one reads `(empty)`.
    pub(crate) labels: Vec<(String, String)>,
    /// `firing`, `pending` or `inactive`.
    pub(crate) state: &'static str,
    pub(crate) level: &'static str,
    pub(crate) since: String,
    pub(crate) lasted: String,
    pub(crate) alert_id: Option<String>,
    /// What is compared.
    pub(crate) measured: String,
    pub(crate) thresholds: Vec<(String, String)>,
    /// The row of `thresholds` that they come from; empty: the rule itself.
    pub(crate) row: String,
    pub(crate) why: String,
    pub(crate) gate: String,
    pub(crate) last_match: String,
    pub(crate) orders_count: u64,
    pub(crate) amount: Option<String>,
    /// Time, text and link of sample lines.
    pub(crate) lines: Vec<LineLink>,
    /// Query of the explanation.
    pub(crate) why_query: String,
}

/// A sample line and the trail that it belongs to.
pub(crate) struct LineLink {
    pub(crate) at: String,
    pub(crate) lsn: u64,
    /// Order number and link.
    pub(crate) order: Option<(String, String)>,
}

impl KeyRow {
    pub(crate) fn new(app: &App, rule: &RuleRow<'_>, keys: &KeysView, key: &KeyView) -> Self {
        let (zone, now_ms) = (app.deps.zone, (app.deps.clock)());
        let reason = &key.reason;
        let value = |name: &str| key.labels.get(name).cloned().unwrap_or_else(|| "(empty)".to_owned());
        let severity = rule.info.labels.get("severity").map_or("", |severity| severity);
        // An instant at which the state is as shown: the last settled one, and of an early alert its first.
        let settled_ms = keys.judged_to_ms.map_or(now_ms, |to_ms| to_ms - 1);
        let at_ms = key.active_ms.map_or(settled_ms, |active_ms| settled_ms.max(active_ms));
        Self {
            labels: rule.info.by.iter().map(|name| (name.to_string(), value(name))).collect(),
            state: match key.state {
                Some(AlertState::Firing) => "firing",
                Some(AlertState::Pending) => "pending",
                Some(AlertState::Resolved) | None => "inactive",
            },
            level: super::alert_view::level_of(severity),
            since: key.active_ms.map(|at_ms| times::seconds(at_ms, zone)).unwrap_or_default(),
            lasted: key
                .active_ms
                .map(|at_ms| times::duration((now_ms - at_ms).max(0) / 1000 * 1000))
                .unwrap_or_default(),
            alert_id: key.alert_id.clone(),
            measured: reason.value.clone().unwrap_or_else(|| text::grouped(reason.count)),
            thresholds: super::rules::pairs(reason.thresholds.iter()),
            row: reason.threshold_row.clone().unwrap_or_default(),
            why: reason.text.clone(),
            gate: reason.gate.clone(),
            last_match: key.last_match_ms.map(|at_ms| times::full(at_ms, zone)).unwrap_or_default(),
            orders_count: reason.orders_count,
            amount: reason.amount.as_deref().map(text::grouped_decimal),
            lines: lines(app, key),
            why_query: why_query(key, &times::full(at_ms, zone)),
        }
    }
}

/// The newest sample lines.
fn lines(app: &App, key: &KeyView) -> Vec<LineLink> {
    let mut viewer = Viewer::new(&app.deps.formats);
    let newest = key.reason.samples.iter().rev().take(LINES_MAX);
    let links = newest.map(|sample| LineLink {
        at: times::clock(sample.at, app.deps.zone),
        lsn: sample.lsn,
        order: viewer.order_no(&sample.line).map(|order| (order.clone(), text::percent_encoded(&order))),
    });
    links.collect()
}

/// `at=...&key.channel=GHT`.
fn why_query(key: &KeyView, at: &str) -> String {
    let mut query = format!("at={}", text::percent_encoded(at));
    for (name, value) in &key.labels {
        query.push_str(&format!("&key.{}={}", text::percent_encoded(name), text::percent_encoded(value)));
    }
    query
}
