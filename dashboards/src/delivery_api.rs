//! Deliveries as JSON: what was sent to whom and how it went; sending dead ones again.
//!
//! Refuses to know: how they are sent.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use record::{InstantMs, rfc3339_ms};
use serde::Deserialize;
use serde_json::{Value, json};
use sinks::outbox::{AttemptRecord, Delivery, DeliveryState, Filter, OutboxError};

use crate::App;

/// Deliveries of a list when no limit is given.
const ROWS_DEFAULT: usize = 200;
/// Deliveries of a list at most.
const ROWS_MAX: usize = 5_000;

/// What to list: the query of the page and of the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListForm {
    /// A delivery's state; empty: any.
    pub(crate) state: String,
    /// A receiver's name; empty: any.
    pub(crate) receiver: String,
    /// An alert's id; empty: any.
    pub(crate) alert: String,
    /// Rows at most; empty: 200.
    pub(crate) limit: String,
    /// How many were just sent again, for the page's words; the API does not read it.
    pub(crate) resent: Option<u64>,
    /// How many of them could not.
    pub(crate) left: Option<u64>,
}

impl ListForm {
    /// The filter, which asks for one row more than the limit, and the limit; or what is wrong with the query.
    pub(crate) fn filter(&self) -> Result<(Filter, usize), String> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let state = match given(&self.state) {
            None => None,
            Some(word) => Some(DeliveryState::from_word(&word).ok_or_else(|| {
                format!("{word:?} is no state: pending, sending, sent, retry, uncertain or dead")
            })?),
        };
        let limit = match given(&self.limit) {
            None => ROWS_DEFAULT,
            Some(text) => text.parse().map_err(|_none| format!("{text:?} is no number of rows"))?,
        };
        let limit = limit.clamp(1, ROWS_MAX);
        let (receiver, alert_id) = (given(&self.receiver), given(&self.alert));
        Ok((Filter { state, receiver, alert_id, delivery_id: None, limit: limit + 1 }, limit))
    }
}

/// `{status, data: {truncated, deliveries: [...]}}`, newest first; `?state=dead&receiver=duty&alert=ID&limit=200`.
pub(crate) async fn list(State(app): State<App>, Query(form): Query<ListForm>) -> Response {
    let (filter, limit) = match form.filter() {
        Ok(filter) => filter,
        Err(message) => return failure(StatusCode::BAD_REQUEST, &message),
    };
    match app.deps.outbox.deliveries(filter).await {
        Ok(mut found) => {
            let truncated = found.len() > limit;
            found.truncate(limit);
            let deliveries: Vec<Value> = found.iter().map(delivery_json).collect();
            success(&json!({"truncated": truncated, "deliveries": deliveries}))
        }
        Err(error) => refused(&error),
    }
}

/// One delivery with its attempts, oldest first.
pub(crate) async fn one(State(app): State<App>, Path(id): Path<String>) -> Response {
    match find(&app, id).await {
        Ok(Some((delivery, attempts))) => {
            let mut data = delivery_json(&delivery);
            data["attempt_list"] = attempts.iter().map(attempt_json).collect();
            success(&data)
        }
        Ok(None) => failure(StatusCode::NOT_FOUND, "there is no such delivery"),
        Err(error) => refused(&error),
    }
}

/// Puts a dead delivery back into the queue under its id; 409 and why if that cannot be.
pub(crate) async fn resend(State(app): State<App>, Path(id): Path<String>) -> Response {
    match app.deps.outbox.resend_one(id.clone(), (app.deps.clock)()).await {
        Ok(()) => {
            tracing::info!(delivery = id, "delivery: sent again by hand");
            success(&json!({"id": id}))
        }
        Err(error) => refused(&error),
    }
}

/// Whose dead letters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Whose {
    receiver: String,
}

/// Puts all dead deliveries back into the queue, `?receiver=duty`: of one receiver; `{resent, left}`.
pub(crate) async fn resend_all(State(app): State<App>, Query(whose): Query<Whose>) -> Response {
    let receiver = (!whose.receiver.is_empty()).then_some(whose.receiver);
    match app.deps.outbox.resend_all(receiver, (app.deps.clock)()).await {
        Ok(resent) => {
            tracing::info!("deliveries: {} dead ones sent again by hand", resent.resent);
            success(&json!(resent))
        }
        Err(error) => refused(&error),
    }
}

/// A delivery and its attempts.
pub(crate) async fn find(
    app: &App,
    id: String,
) -> Result<Option<(Delivery, Vec<AttemptRecord>)>, OutboxError> {
    let filter = Filter { delivery_id: Some(id.clone()), limit: 1, ..Filter::default() };
    match app.deps.outbox.deliveries(filter).await?.pop() {
        Some(delivery) => Ok(Some((delivery, app.deps.outbox.attempts(id).await?))),
        None => Ok(None),
    }
}

/// Status and words of a question or change that the outbox refused. The database's own words go to the log.
pub(crate) fn explain(error: &OutboxError) -> (StatusCode, String) {
    match error {
        OutboxError::State { message, .. } if message.starts_with("there is no") => {
            (StatusCode::NOT_FOUND, (*message).to_owned())
        }
        OutboxError::State { message, .. } => (StatusCode::CONFLICT, format!("this delivery {message}")),
        other => {
            tracing::error!(error = %other, "pages: the outbox gave no answer");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the outbox cannot do that now: the node's log says why; try again".to_owned(),
            )
        }
    }
}

fn refused(error: &OutboxError) -> Response {
    let (status, message) = explain(error);
    failure(status, &message)
}

fn success(data: &Value) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

fn failure(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"status": "error", "error": message}))).into_response()
}

fn delivery_json(delivery: &Delivery) -> Value {
    let over = matches!(delivery.state, DeliveryState::Sent | DeliveryState::Dead);
    json!({
        "id": delivery.id,
        "alert_id": delivery.alert_id,
        "status": delivery.status,
        "target": delivery.target,
        "title": delivery.title,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "uncertain": delivery.uncertain,
        "created_at": rfc3339_ms(delivery.created_ms),
        "updated_at": rfc3339_ms(delivery.updated_ms),
        "next_at": (!over).then(|| rfc3339_ms(delivery.next_ms)),
        "last_error": delivery.last_error,
    })
}

fn attempt_json(attempt: &AttemptRecord) -> Value {
    let instant = |at_ms: Option<InstantMs>| at_ms.map(rfc3339_ms);
    json!({
        "number": attempt.number,
        "started_at": rfc3339_ms(attempt.started_ms),
        "ended_at": instant(attempt.ended_ms),
        "outcome": attempt.outcome,
        "detail": attempt.detail,
    })
}
