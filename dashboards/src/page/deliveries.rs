//! Deliveries: what was sent to whom and how it went, the dead letters, and sending them again.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono_tz::Tz;
use record::InstantMs;
use serde::Deserialize;
use sinks::outbox::{AttemptRecord, BreakerState, Delivery, DeliveryState, OutboxError};

use super::{Chrome, fault, render};
use crate::delivery_api::{ListForm, explain, find};
use crate::{App, Counters, text, times};

/// The states as the filter offers them.
const STATES: [&str; 6] = ["pending", "sending", "retry", "uncertain", "sent", "dead"];

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    chrome: Chrome,
    form: ListForm,
    /// What is wrong with the query.
    fault: String,
    /// What was just done.
    done: String,
    /// Word, and whether it is chosen.
    states: Vec<(&'static str, bool)>,
    receivers: Vec<ReceiverView>,
    rows: Vec<DeliveryView>,
    truncated: bool,
    dead: u64,
    token: String,
}

/// One integration.
struct ReceiverView {
    target: String,
    /// The receiver's name, for links.
    href: String,
    waiting: String,
    sent: String,
    failed: String,
    uncertain: String,
    dead: u64,
    /// `ok` or `pending`.
    level: &'static str,
    tried: String,
}

/// One delivery.
struct DeliveryView {
    id: String,
    alert_id: String,
    title: String,
    /// `FIRING` or `RESOLVED`.
    word: &'static str,
    target: String,
    state: &'static str,
    /// `ok`, `pending` or `failed`, and its sign.
    level: &'static str,
    sign: &'static str,
    created: String,
    updated: String,
    /// When it is tried again; empty when it is not.
    next: String,
    attempts: u32,
    uncertain: u32,
    error: String,
    dead: bool,
}

impl DeliveryView {
    fn new(delivery: &Delivery, zone: Tz) -> Self {
        let state = delivery.state;
        let (level, sign) = match state {
            DeliveryState::Sent => ("ok", "✓"),
            DeliveryState::Dead => ("failed", "✕"),
            DeliveryState::Uncertain => ("pending", "?"),
            _ => ("pending", "◌"),
        };
        let waits = matches!(state, DeliveryState::Pending | DeliveryState::Retry | DeliveryState::Uncertain);
        Self {
            id: delivery.id.clone(),
            alert_id: delivery.alert_id.clone(),
            title: delivery.title.clone(),
            word: if delivery.status.as_str() == "firing" { "FIRING" } else { "RESOLVED" },
            target: delivery.target.clone(),
            state: state.as_str(),
            level,
            sign,
            created: times::seconds(delivery.created_ms, zone),
            updated: times::seconds(delivery.updated_ms, zone),
            next: if waits { times::seconds(delivery.next_ms, zone) } else { String::new() },
            attempts: delivery.attempts,
            uncertain: delivery.uncertain,
            error: delivery.last_error.clone().unwrap_or_default(),
            dead: state == DeliveryState::Dead,
        }
    }
}

fn receivers(counters: &Counters, now_ms: InstantMs) -> Vec<ReceiverView> {
    let views = counters.outbox.iter().map(|receiver| {
        let tried = match (receiver.breaker, receiver.breaker_until_ms) {
            (BreakerState::Closed, _) => "yes".to_owned(),
            (BreakerState::Open, Some(until_ms)) if until_ms > now_ms => {
                format!(
                    "left alone; tried again in {}",
                    times::duration((until_ms - now_ms + 999) / 1_000 * 1_000)
                )
            }
            _ => "left alone; being tried".to_owned(),
        };
        let name = receiver.receiver.rsplit_once('/').map_or(receiver.receiver.as_str(), |(name, _)| name);
        ReceiverView {
            target: receiver.receiver.clone(),
            href: text::percent_encoded(name),
            waiting: text::grouped(receiver.pending),
            sent: text::grouped(receiver.sent),
            failed: text::grouped(receiver.failed),
            uncertain: text::grouped(receiver.uncertain),
            dead: receiver.dead,
            level: if receiver.breaker == BreakerState::Closed { "ok" } else { "pending" },
            tried,
        }
    });
    views.collect()
}

pub(crate) async fn list(State(app): State<App>, Query(form): Query<ListForm>) -> Response {
    let deps = &app.deps;
    let counters = (deps.counters)();
    let (mut rows, mut truncated, mut wrong) = (Vec::new(), false, String::new());
    match form.filter() {
        Err(message) => wrong = message,
        Ok((filter, limit)) => match deps.outbox.deliveries(filter).await {
            Ok(found) => {
                truncated = found.len() > limit;
                rows = found.iter().take(limit).map(|d| DeliveryView::new(d, deps.zone)).collect();
            }
            Err(error) => return no_answer(&app, 1, &error),
        },
    }
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let page = DeliveriesPage {
        chrome: Chrome::new(&app, "deliveries", 1, "Deliveries"),
        fault: wrong,
        done: done(&form),
        states: STATES.iter().map(|state| (*state, form.state == *state)).collect(),
        receivers: receivers(&counters, (deps.clock)()),
        rows,
        truncated,
        dead: counters.outbox.iter().map(|receiver| receiver.dead).sum(),
        token: app.token.as_str().to_owned(),
        form,
    };
    render(status, &page)
}

fn done(form: &ListForm) -> String {
    let Some(resent) = form.resent else { return String::new() };
    let plural = if resent == 1 { "delivery waits" } else { "deliveries wait" };
    let mut words = format!("{} {plural} to be sent again, under the same id.", text::grouped(resent));
    if let Some(left @ 1..) = form.left {
        let left = text::grouped(left);
        words.push_str(&format!(
            " {left} stay dead: their alert is over and was told so, or their receiver is gone."
        ));
    }
    words
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    chrome: Chrome,
    delivery: DeliveryView,
    attempts: Vec<AttemptView>,
    /// Earlier attempts that are not listed.
    hidden: u32,
    token: String,
}

/// One attempt.
struct AttemptView {
    number: u32,
    started: String,
    took: String,
    outcome: String,
    level: &'static str,
    detail: String,
}

impl AttemptView {
    fn new(attempt: &AttemptRecord, zone: Tz) -> Self {
        let took = attempt.ended_ms.map(|ended_ms| times::duration((ended_ms - attempt.started_ms).max(0)));
        let outcome = attempt.outcome.clone().unwrap_or_else(|| "under way".to_owned());
        Self {
            number: attempt.number,
            started: times::full(attempt.started_ms, zone),
            took: took.unwrap_or_default(),
            level: match outcome.as_str() {
                "sent" => "ok",
                "dead" => "failed",
                _ => "pending",
            },
            outcome,
            detail: attempt.detail.clone().unwrap_or_default(),
        }
    }
}

pub(crate) async fn one(State(app): State<App>, Path(id): Path<String>) -> Response {
    let zone = app.deps.zone;
    match find(&app, id).await {
        Ok(Some((delivery, attempts))) => {
            let page = DeliveryPage {
                chrome: Chrome::new(&app, "deliveries", 2, "Delivery"),
                hidden: delivery.attempts.saturating_sub(u32::try_from(attempts.len()).unwrap_or(u32::MAX)),
                delivery: DeliveryView::new(&delivery, zone),
                attempts: attempts.iter().rev().map(|attempt| AttemptView::new(attempt, zone)).collect(),
                token: app.token.as_str().to_owned(),
            };
            render(StatusCode::OK, &page)
        }
        Ok(None) => {
            let chrome = Chrome::new(&app, "deliveries", 2, "No such delivery");
            fault(chrome, StatusCode::NOT_FOUND, "No such delivery is kept: finished ones are for 30 days.")
        }
        Err(error) => no_answer(&app, 2, &error),
    }
}

/// What a button sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Button {
    /// Shows that one of our pages sent it.
    token: String,
    /// The list's filter, to come back to it; for all dead letters: whose.
    state: String,
    receiver: String,
}

impl Button {
    fn list(&self, up: &str, resent: u64, left: u64) -> String {
        let (state, receiver) = (text::percent_encoded(&self.state), text::percent_encoded(&self.receiver));
        format!("{up}deliveries?state={state}&receiver={receiver}&resent={resent}&left={left}")
    }
}

pub(crate) async fn resend(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(button): Form<Button>,
) -> Response {
    if !app.token.is(&button.token) {
        return (StatusCode::FORBIDDEN, STALE).into_response();
    }
    match app.deps.outbox.resend_one(id.clone(), (app.deps.clock)()).await {
        Ok(()) => {
            tracing::info!(delivery = id, "delivery: sent again by hand");
            see(&button.list("../../", 1, 0))
        }
        Err(error) => {
            let (status, message) = explain(&error);
            let chrome = Chrome::new(&app, "deliveries", 3, "Deliveries");
            fault(chrome, status, message)
        }
    }
}

pub(crate) async fn resend_all(State(app): State<App>, Form(button): Form<Button>) -> Response {
    if !app.token.is(&button.token) {
        return (StatusCode::FORBIDDEN, STALE).into_response();
    }
    let receiver = (!button.receiver.is_empty()).then(|| button.receiver.clone());
    match app.deps.outbox.resend_all(receiver, (app.deps.clock)()).await {
        Ok(resent) => {
            tracing::info!("deliveries: {} dead ones sent again by hand", resent.resent);
            see(&button.list("../", resent.resent, resent.left))
        }
        Err(error) => no_answer(&app, 2, &error),
    }
}

/// The token is of an earlier start of the node, or no page of ours sent the form.
pub(crate) const STALE: &str =
    "refused: this page is from before the node's last start; load it again and press again\n";

fn see(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location.to_owned())]).into_response()
}

fn no_answer(app: &App, depth: usize, error: &OutboxError) -> Response {
    let (status, message) = explain(error);
    fault(Chrome::new(app, "deliveries", depth, "Deliveries"), status, message)
}
