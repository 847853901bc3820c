//! The JSON twins of the pages, metrics and health.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::ask::AskError;
use crate::page::search::SearchForm;
use crate::view::{RecordView, Viewer, trail_view};
use crate::{App, Readiness, SenderCounters, SenderGap, guard, page};

/// Rows of a search when no limit is given.
const ROWS_DEFAULT: usize = 200;

/// Records that satisfied a search.
#[derive(Serialize)]
struct Rows {
    truncated: bool,
    rows: Vec<RecordView>,
}

/// All senders that are remembered: `{"status": "success", "data": {"senders": [...], "forgotten": 0}}`. Instants are
/// RFC 3339; `silent_since` is null while a sender is heard.
pub(crate) async fn senders(State(app): State<App>) -> Json<Value> {
    let counters = (app.deps.counters)();
    let senders: Vec<Value> = counters.senders.iter().map(sender).collect();
    Json(json!({"status": "success", "data": {"senders": senders, "forgotten": counters.senders_forgotten}}))
}

fn sender(sender: &SenderCounters) -> Value {
    let last_heard = record::rfc3339_ms(sender.last_heard_ms);
    let gap = |gap: &SenderGap| {
        let since = record::rfc3339_ms(gap.since_ms);
        json!({"from": gap.from, "to": gap.to, "since": since, "state": if gap.missing { "missing" } else { "awaited" }})
    };
    json!({
        "sender": sender.name,
        "inputs": sender.inputs,
        "last_heard": last_heard,
        "lines": sender.lines,
        "duplicates": sender.duplicates,
        "ids_remembered": sender.eids,
        "missing": sender.missing,
        "missing_total": sender.missing_total,
        "restarts": sender.restarts,
        "gaps": sender.gaps.iter().map(gap).collect::<Vec<Value>>(),
        "gaps_total": sender.gaps_total,
        "numbers_mixed": sender.mixed,
        "silent_since": sender.silent.then_some(&last_heard),
    })
}

/// Where the node stands: positions, the last snapshot with the hash over the state that it holds, whether it is ready.
pub(crate) async fn status(State(app): State<App>) -> Json<Value> {
    let counters = (app.deps.counters)();
    let (journal, snapshot) = (&counters.journal, &counters.snapshots);
    let why_not = match (app.deps.ready)() {
        Readiness::Ready => None,
        Readiness::NotReady(reason) => Some(reason),
    };
    Json(json!({
        "version": counters.version,
        "started_at": record::rfc3339_ms(counters.started_ms),
        "ready": why_not.is_none(),
        "not_ready_because": why_not,
        "journal": {"next_lsn": journal.next_lsn, "durable_lsn": journal.durable_lsn, "bytes": journal.bytes},
        "reload": {
            "ok": counters.reload.problem.is_none(),
            "problem": counters.reload.problem,
            "rules_ok": counters.reload.rules_ok,
            "rules_last_success_at": (counters.reload.rules_success_ms != 0)
                .then(|| record::rfc3339_ms(counters.reload.rules_success_ms)),
            "rules_failed_total": counters.reload.rules_failed,
            "rules": counters.engine.rules.len(),
        },
        "trace_store": {"stored_lsn": counters.store.stored_lsn},
        "snapshot": {
            "lsn": snapshot.lsn,
            "state_hash": format!("{:016x}", snapshot.state_hash),
            "taken_at": snapshot.taken_ms.map(record::rfc3339_ms),
            "bytes": snapshot.bytes,
        },
    }))
}

/// [`crate::view::TrailView`] as JSON.
pub(crate) async fn trail(State(app): State<App>, Path(id): Path<String>) -> Response {
    match app.asker.trail(id.clone(), page::trail::ROWS_MAX).await {
        Ok(found) => Json(trail_view(&id, &found, &app.deps.formats, app.deps.zone)).into_response(),
        Err(error) => no_answer(&error),
    }
}

/// `{truncated, rows: [...]}`; the parameters are those of the page's form, and `limit`.
pub(crate) async fn search(State(app): State<App>, Query(form): Query<SearchForm>) -> Response {
    let question = match form.question(app.deps.zone, ROWS_DEFAULT) {
        Ok(question) => question,
        Err(message) => return failure(StatusCode::BAD_REQUEST, &message),
    };
    match app.asker.search(question).await {
        Ok(found) => {
            let mut viewer = Viewer::new(&app.deps.formats);
            let rows = found.rows.iter().map(|row| viewer.view(row)).collect();
            Json(Rows { truncated: found.truncated, rows }).into_response()
        }
        Err(error) => no_answer(&error),
    }
}

fn no_answer(error: &AskError) -> Response {
    let (status, message) = page::explain(error);
    failure(status, &message)
}

fn failure(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"status": "error", "error": message}))).into_response()
}

/// Prometheus text format 0.0.4.
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (app.deps.metrics)())
}

/// The process answers.
pub(crate) async fn healthy() -> &'static str {
    "healthy\n"
}

/// Reads rules, certificates and allow-lists again: 200, or 500 with what is wrong (nothing has changed then).
pub(crate) async fn reload(State(app): State<App>, request: axum::extract::Request) -> Response {
    if let Err(why) = guard::is_from_here(&request) {
        return (StatusCode::FORBIDDEN, format!("{why}\n")).into_response();
    }
    let reload = app.deps.reload;
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(Ok(())) => "reloaded\n".into_response(),
        Ok(Err(problem)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{problem}\n")).into_response(),
        Err(_panic) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// 200 when the node does its work, else 503 with the reason.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    match (app.deps.ready)() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
        }
    }
}
