//! Why a key's alert was on at an instant, or was not: in words first, then in numbers. Asked by GET, so that the answer
//! can be linked.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono_tz::Tz;
use record::InstantMs;
use rules::KeysView;

use super::alert_view::Bars;
use super::rule::{Head, no_rule, status_of};
use super::rules::pairs;
use super::{Chrome, render};
use crate::rules_bench::{BenchFault, ExplainAnswer, ExplainQuestion};
use crate::rules_view::RuleRow;
use crate::view::Viewer;
use crate::{App, text, times};

/// What the form of an explanation holds.
pub(crate) struct ExplainForm {
    /// The rule's name as a path segment.
    pub(crate) href: String,
    pub(crate) at: String,
    /// Fields of the key and their values.
    pub(crate) key: Vec<(String, String)>,
}

impl ExplainForm {
    /// The form before anything was asked: the first key, the last instant.
    pub(crate) fn first(rule: &RuleRow<'_>, keys: &KeysView, until_ms: InstantMs, zone: Tz) -> Self {
        let known = keys.keys.first().map(|key| key.labels.clone()).unwrap_or_default();
        let key = |name: &str| (name.to_owned(), known.get(name).cloned().unwrap_or_default());
        Self {
            href: text::percent_encoded(&rule.info.alert),
            at: times::full(until_ms - 1, zone),
            key: rule.info.by.iter().map(|name| key(name)).collect(),
        }
    }

    fn asked(rule: &RuleRow<'_>, query: &[(String, String)]) -> Self {
        let value = |name: &str| {
            let found = query.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        Self {
            href: text::percent_encoded(&rule.info.alert),
            at: value("at"),
            key: rule.info.by.iter().map(|name| (name.to_string(), value(&format!("key.{name}")))).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "rule_explain.html")]
struct ExplainPage {
    chrome: Chrome,
    head: Head,
    explain: ExplainForm,
    fault: String,
    answer: Option<AnswerView>,
}

struct AnswerView {
    sentence: String,
    state: String,
    at: String,
    key: Vec<(String, String)>,
    gates: Vec<String>,
    text: String,
    measured: String,
    thresholds: Vec<(String, String)>,
    bars: Option<Bars>,
    facts: Vec<(String, String)>,
    labels: Vec<(String, String)>,
    distinct: Vec<String>,
    distinct_count: u64,
    orders: Vec<(String, String)>,
    orders_count: u64,
    amount: Option<String>,
    samples: Vec<SampleView>,
}

struct SampleView {
    at: String,
    lsn: u64,
    line: String,
    order: Option<(String, String)>,
}

pub(crate) async fn explain(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let now = (app.deps.rules)();
    let Some(rule) = now.find(&name) else { return no_rule(&app, 3) };
    let rule = &rule;
    let mut form = ExplainForm::asked(rule, &query);
    if !query.iter().any(|(name, _)| name == "at") {
        // Nobody said when: now.
        form.at = times::full(now.at_ms, app.deps.zone);
    }
    let (answer, fault, status) = match ask(&app, &name, &form).await {
        Ok(answer) => (Some(answer), String::new(), StatusCode::OK),
        Err(fault) => (None, fault.to_string(), status_of(&fault)),
    };
    let page = ExplainPage {
        chrome: Chrome::new(&app, "rules", 3, format!("Why: {name}")),
        head: Head::new(&app, &now, rule),
        explain: form,
        fault,
        answer,
    };
    render(status, &page)
}

async fn ask(app: &App, alert: &str, form: &ExplainForm) -> Result<AnswerView, BenchFault> {
    let zone = app.deps.zone;
    let at_ms = times::parse(&form.at, zone).map_err(BenchFault::Question)?;
    let given = form.key.iter().filter(|(_, value)| !value.is_empty());
    let key: BTreeMap<String, String> = given.cloned().collect();
    let question = ExplainQuestion { alert: alert.to_owned(), key, at_ms };
    let answer = app.bench.explain(question).await?;
    Ok(AnswerView::new(app, form, &answer, times::full(at_ms, zone)))
}

impl AnswerView {
    fn new(app: &App, form: &ExplainForm, answer: &ExplainAnswer, at: String) -> Self {
        let (zone, reason) = (app.deps.zone, &answer.reason);
        let instants = [
            ("Active since", answer.active_ms),
            ("Fired", answer.fired_ms),
            ("Ended", answer.ended_ms),
            ("History since", answer.history_start_ms),
        ];
        let mut facts: Vec<(String, String)> = instants
            .into_iter()
            .filter_map(|(name, at_ms)| Some((name.to_owned(), times::full(at_ms?, zone))))
            .collect();
        facts.extend(reason.threshold_row.iter().map(|row| ("Threshold's row".to_owned(), row.clone())));
        facts.extend(answer.facts.iter().cloned());
        let mut viewer = Viewer::new(&app.deps.formats);
        let samples = reason.samples.iter().map(|sample| SampleView {
            at: times::full(sample.at, zone),
            lsn: sample.lsn,
            line: sample.line.clone(),
            order: viewer.order_no(&sample.line).map(|order| (order.clone(), text::percent_encoded(&order))),
        });
        Self {
            sentence: answer.sentence.clone(),
            state: answer.state.clone(),
            at,
            key: form.key.clone(),
            gates: answer.gates.clone(),
            text: reason.text.clone(),
            measured: reason.value.clone().unwrap_or_else(|| text::grouped(reason.count)),
            thresholds: pairs(reason.thresholds.iter()),
            bars: Bars::new(reason, zone),
            facts,
            labels: pairs(answer.labels.iter()),
            distinct: reason.distinct.clone(),
            distinct_count: reason.distinct_count,
            orders: reason.orders.iter().map(|order| (order.clone(), text::percent_encoded(order))).collect(),
            orders_count: reason.orders_count,
            amount: reason.amount.as_deref().map(text::grouped_decimal),
            samples: samples.collect(),
        }
    }
}
