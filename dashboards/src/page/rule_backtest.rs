//! What a rule, as edited, would have done over what is stored.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono_tz::Tz;
use record::InstantMs;
use rules::{Alert, RuleError};
use serde::Deserialize;

use super::deliveries::STALE;
use super::rule::{Head, no_rule, status_of};
use super::{Chrome, render};
use crate::rules_bench::{BacktestAnswer, BacktestQuestion, BenchFault};
use crate::rules_view::RuleRow;
use crate::{App, text, times};

/// Longest text of rules.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Alerts on the page.
const ALERTS_MAX: usize = 500;
/// Errors on the page.
const ERRORS_MAX: usize = 50;

/// What the form of a backtest holds.
pub(crate) struct BacktestForm {
    /// The rule's name as a path segment.
    pub(crate) href: String,
    pub(crate) token: String,
    pub(crate) text: String,
    /// Lines that the text box shows.
    pub(crate) rows: usize,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl BacktestForm {
    /// The form before anything was asked: the rule as it is.
    pub(crate) fn first(
        app: &App,
        rule: &RuleRow<'_>,
        from_ms: InstantMs,
        to_ms: InstantMs,
        zone: Tz,
    ) -> Self {
        let asked = Asked {
            token: String::new(),
            text: rule.info.text.to_string(),
            from: times::seconds(from_ms, zone),
            to: times::seconds(to_ms, zone),
        };
        Self::asked(app, rule, asked)
    }

    fn asked(app: &App, rule: &RuleRow<'_>, asked: Asked) -> Self {
        Self {
            href: text::percent_encoded(&rule.info.alert),
            token: app.token.as_str().to_owned(),
            rows: (asked.text.lines().count() + 2).clamp(10, 40),
            text: asked.text,
            from: asked.from,
            to: asked.to,
        }
    }
}

/// What the form sends.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    token: String,
    text: String,
    from: String,
    to: String,
}

#[derive(Template)]
#[template(path = "rule_backtest.html")]
struct BacktestPage {
    chrome: Chrome,
    head: Head,
    backtest: BacktestForm,
    fault: String,
    errors: Vec<ErrorView>,
    errors_more: usize,
    answer: Option<AnswerView>,
}

struct ErrorView {
    line: usize,
    column: usize,
    message: String,
    /// The line itself.
    text: String,
}

struct AnswerView {
    summary: String,
    cut: String,
    alerts: Vec<BacktestRow>,
    alerts_more: usize,
}

struct BacktestRow {
    name: String,
    labels: Vec<(String, String)>,
    /// `firing`, `resolved`, or `pending` for one that stayed pending.
    state: &'static str,
    level: &'static str,
    active: String,
    fired: String,
    ended: String,
    lasted: String,
    why: String,
    gate: String,
    orders_count: u64,
    amount: Option<String>,
}

pub(crate) async fn run(
    State(app): State<App>,
    Path(name): Path<String>,
    Form(mut asked): Form<Asked>,
) -> Response {
    if !app.token.is(&asked.token) {
        return (StatusCode::FORBIDDEN, STALE).into_response();
    }
    let now = (app.deps.rules)();
    let Some(rule) = now.find(&name) else { return no_rule(&app, 3) };
    let rule = &rule;
    // Browsers end the lines of a text box with CR LF.
    asked.text = asked.text.replace("\r\n", "\n");
    let result = ask(&app, &name, &asked).await;
    let (mut answer, mut fault, mut errors, mut status) = (None, String::new(), Vec::new(), StatusCode::OK);
    match result {
        Ok(view) => answer = Some(view),
        Err(why) => {
            status = status_of(&why);
            match why {
                BenchFault::Text(found) => errors = found,
                other => fault = other.to_string(),
            }
        }
    }
    let page = BacktestPage {
        chrome: Chrome::new(&app, "rules", 3, format!("Backtest: {name}")),
        head: Head::new(&app, &now, rule),
        errors_more: errors.len().saturating_sub(ERRORS_MAX),
        errors: errors.iter().take(ERRORS_MAX).map(|error| ErrorView::new(error, &asked.text)).collect(),
        backtest: BacktestForm::asked(&app, rule, asked),
        fault,
        answer,
    };
    let mut response = render(status, &page);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

async fn ask(app: &App, alert: &str, asked: &Asked) -> Result<AnswerView, BenchFault> {
    let zone = app.deps.zone;
    if asked.text.len() > TEXT_BYTES_MAX {
        let most = text::bytes(TEXT_BYTES_MAX as u64);
        return Err(BenchFault::Question(format!(
            "the text is longer than {most}: test fewer rules at once"
        )));
    }
    let instant = |text: &str| times::parse(text, zone).map_err(BenchFault::Question);
    let (from_ms, to_ms) = (instant(&asked.from)?, instant(&asked.to)?);
    if from_ms >= to_ms {
        let message = "the time range is empty: \"from\" must be before \"until\"";
        return Err(BenchFault::Question(message.to_owned()));
    }
    let question = BacktestQuestion { alert: alert.to_owned(), text: asked.text.clone(), from_ms, to_ms };
    Ok(AnswerView::new(&app.bench.backtest(question).await?, (from_ms, to_ms), zone))
}

impl ErrorView {
    fn new(error: &RuleError, text: &str) -> Self {
        Self {
            line: error.line,
            column: error.column,
            message: error.message.clone(),
            text: error
                .line
                .checked_sub(1)
                .and_then(|line| text.lines().nth(line))
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

impl AnswerView {
    fn new(answer: &BacktestAnswer, (from_ms, to_ms): (InstantMs, InstantMs), zone: Tz) -> Self {
        let records = text::grouped(answer.records);
        let plural = if answer.records == 1 { "" } else { "s" };
        let (from, to) = (times::seconds(from_ms, zone), times::seconds(to_ms, zone));
        let fired = answer.alerts.iter().filter(|alert| alert.fired_ms.is_some()).count();
        let took = times::duration(i64::try_from(answer.took_ms).unwrap_or(i64::MAX));
        let alerts = match (answer.alerts.len(), fired) {
            (0, _) => "No alert".to_owned(),
            (1, 1) => "1 alert would have fired".to_owned(),
            (all, fired) if all == fired => format!("{all} alerts would have fired"),
            (all, fired) => format!("{fired} would have fired, {} stayed pending", all - fired),
        };
        Self {
            summary: format!("{alerts}: {records} record{plural} from {from} to {to}, judged in {took}."),
            cut: answer.cut.clone().unwrap_or_default(),
            alerts: answer.alerts.iter().take(ALERTS_MAX).map(|a| BacktestRow::new(a, zone)).collect(),
            alerts_more: answer.alerts.len().saturating_sub(ALERTS_MAX),
        }
    }
}

impl BacktestRow {
    fn new(alert: &Alert, zone: Tz) -> Self {
        let label = |name: &str| alert.labels.get(name).cloned().unwrap_or_default();
        let day = times::date(alert.active_ms, zone);
        // The day is said once.
        let instant = |at_ms: Option<InstantMs>| match at_ms {
            Some(at_ms) if times::date(at_ms, zone) == day => Some(times::clock(at_ms, zone)),
            other => other.map(|at_ms| times::full(at_ms, zone)),
        };
        let hidden = ["alertname", "severity", "class"];
        let lasted = alert.ended_ms.map(|ended_ms| times::duration(ended_ms - alert.active_ms));
        Self {
            name: label("alertname"),
            labels: super::rules::pairs(
                alert.labels.iter().filter(|(name, _)| !hidden.contains(&name.as_str())),
            ),
            state: match (alert.fired_ms, alert.ended_ms) {
                (None, _) => "pending",
                (_, None) => "firing",
                _ => "resolved",
            },
            level: super::alert_view::level_of(&label("severity")),
            active: times::full(alert.active_ms, zone),
            fired: instant(alert.fired_ms).unwrap_or_else(|| "pending only".to_owned()),
            ended: instant(alert.ended_ms).unwrap_or_else(|| "still on at the end".to_owned()),
            lasted: lasted.unwrap_or_default(),
            why: alert.reason.text.clone(),
            gate: alert.reason.gate.clone(),
            orders_count: alert.reason.orders_count,
            amount: alert.reason.amount.as_deref().map(text::grouped_decimal),
        }
    }
}
