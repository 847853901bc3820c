//! The pages: one module each, its handler beside what its template shows.

pub(crate) mod alert_view;
pub(crate) mod alerts;
pub(crate) mod board;
pub(crate) mod counters;
pub(crate) mod deliveries;
pub(crate) mod key_view;
pub(crate) mod rule;
pub(crate) mod rule_backtest;
pub(crate) mod rule_explain;
pub(crate) mod rules;
pub(crate) mod search;
pub(crate) mod senders;
pub(crate) mod trail;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};

use crate::ask::AskError;
use crate::{App, Readiness, text, times};

/// What every page shows around its content.
pub(crate) struct Chrome {
    /// Path from the page to the root: `./`, `../` or `../../`; links are relative, so that a proxy may put a path before them.
    pub(crate) up: &'static str,
    /// Which entry of the menu it belongs to.
    pub(crate) section: &'static str,
    pub(crate) title: String,
    pub(crate) now: String,
    pub(crate) zone: &'static str,
    /// Why the node is not ready; empty when it is.
    pub(crate) not_ready: String,
}

impl Chrome {
    /// `depth`: slashes in the page's path.
    pub(crate) fn new(app: &App, section: &'static str, depth: usize, title: impl Into<String>) -> Self {
        let deps = &app.deps;
        let not_ready = match (deps.ready)() {
            Readiness::Ready => String::new(),
            Readiness::NotReady(reason) if reason.is_empty() => "no reason given".to_owned(),
            Readiness::NotReady(reason) => reason,
        };
        Self {
            up: match depth {
                0 | 1 => "./",
                2 => "../",
                _ => "../../",
            },
            section,
            title: title.into(),
            now: times::seconds((deps.clock)(), deps.zone),
            zone: deps.zone.name(),
            not_ready,
        }
    }
}

/// Renders a page and makes its hidden characters visible.
pub(crate) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, Html(text::visible(&html).into_owned())).into_response(),
        Err(error) => {
            tracing::error!(%error, "pages: a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be rendered\n").into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage {
    chrome: Chrome,
    heading: String,
    message: String,
}

/// A page that says what went wrong.
pub(crate) fn fault(chrome: Chrome, status: StatusCode, message: impl Into<String>) -> Response {
    let reason = status.canonical_reason().unwrap_or("Error");
    let page =
        FaultPage { chrome, heading: format!("{} {reason}", status.as_u16()), message: message.into() };
    render(status, &page)
}

/// A page for a question that the trace store did not answer. Its own words name files: they go to the log.
pub(crate) fn no_answer(chrome: Chrome, error: &AskError) -> Response {
    let (status, message) = explain(error);
    fault(chrome, status, message)
}

/// Status and text for a visitor of a question without answer.
pub(crate) fn explain(error: &AskError) -> (StatusCode, String) {
    match error {
        AskError::Busy => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        AskError::Store(_) | AskError::Lost => {
            tracing::error!(%error, "pages: the trace store gave no answer");
            let text = "the trace store could not answer: the node's log says why";
            (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned())
        }
    }
}

pub(crate) async fn not_found(State(app): State<App>, uri: Uri) -> Response {
    let depth = uri.path().matches('/').count();
    if depth > 2 {
        return (StatusCode::NOT_FOUND, "there is no such page\n").into_response();
    }
    fault(Chrome::new(&app, "", depth, "Not found"), StatusCode::NOT_FOUND, "There is no such page.")
}

pub(crate) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../assets/style.css"))
}

pub(crate) async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../../assets/board.js"))
}

pub(crate) async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("../../assets/icon.svg"))
}
