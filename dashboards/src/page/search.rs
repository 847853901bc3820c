//! Order search: an id leads to its trail, anything else to a table of records, newest first.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono_tz::Tz;
use record::InstantMs;
use serde::Deserialize;
use sinks::trace_store::Search;

use super::{Chrome, no_answer, render};
use crate::view::{Outcome, RecordView, Viewer, outcome};
use crate::{App, text, times};

/// Rows on the page.
const ROWS_MAX: usize = 200;
/// Rows of one JSON answer.
const API_ROWS_MAX: usize = 5_000;

/// The form as sent; empty fields are conditions not set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SearchForm {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) merchant: String,
    pub(crate) channel: String,
    pub(crate) status: String,
    pub(crate) code: String,
    pub(crate) module: String,
    pub(crate) text: String,
    pub(crate) limit: String,
}

impl SearchForm {
    /// No condition is set.
    pub(crate) fn is_empty(&self) -> bool {
        let fields =
            [&self.from, &self.to, &self.merchant, &self.channel, &self.status, &self.code, &self.module];
        fields.into_iter().chain([&self.text]).all(|field| field.trim().is_empty())
    }

    /// The question, or what is wrong with the form.
    pub(crate) fn question(&self, zone: Tz, limit_default: usize) -> Result<Search, String> {
        let given = |field: &str| Some(field.trim().to_owned()).filter(|field| !field.is_empty());
        let instant = |field: &str| given(field).map(|field| times::parse(&field, zone)).transpose();
        let limit = match given(&self.limit) {
            None => limit_default,
            Some(limit) => match limit.parse() {
                Ok(limit) if (1..=API_ROWS_MAX).contains(&limit) => limit,
                _ => return Err(format!("limit \"{limit}\" is not a number from 1 to {API_ROWS_MAX}")),
            },
        };
        let (from_ms, to_ms) = (instant(&self.from)?, instant(&self.to)?);
        if let (Some(from_ms), Some(to_ms)) = (from_ms, to_ms)
            && from_ms >= to_ms
        {
            return Err("the time range is empty: \"from\" must be before \"to\"".to_owned());
        }
        Ok(Search {
            from_ms,
            to_ms,
            merchant: given(&self.merchant),
            channel: given(&self.channel),
            status: given(&self.status),
            code: given(&self.code),
            module: given(&self.module),
            text: given(&self.text),
            limit,
        })
    }
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    chrome: Chrome,
    /// Text and query of links for the usual ranges.
    presets: Vec<(&'static str, String)>,
    form: SearchForm,
    fault: String,
    searched: bool,
    truncated: bool,
    rows: Vec<RowView>,
}

struct RowView {
    time: String,
    /// Text and link.
    order: Option<(String, String)>,
    module: String,
    step: String,
    merchant: String,
    channel: String,
    amount: String,
    status: String,
    code: String,
    message: String,
    outcome: Outcome,
    elapsed: String,
}

pub(crate) async fn search(State(app): State<App>, Query(form): Query<SearchForm>) -> Response {
    let id = form.id.trim();
    if !id.is_empty() {
        // Relative, so that a path that a proxy puts before the pages is kept.
        let location = format!("orders/{}", text::percent_encoded(id));
        return (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    }
    let zone = app.deps.zone;
    let chrome = Chrome::new(&app, "orders", 1, "Orders");
    let mut page = SearchPage {
        chrome,
        presets: presets((app.deps.clock)(), zone),
        fault: String::new(),
        searched: false,
        truncated: false,
        rows: Vec::new(),
        form,
    };
    if page.form.is_empty() {
        return render(StatusCode::OK, &page);
    }
    let question = match page.form.question(zone, ROWS_MAX) {
        Ok(question) => question,
        Err(fault) => {
            page.fault = fault;
            return render(StatusCode::BAD_REQUEST, &page);
        }
    };
    match app.asker.search(question).await {
        Err(error) => no_answer(page.chrome, &error),
        Ok(found) => {
            let mut viewer = Viewer::new(&app.deps.formats);
            page.searched = true;
            page.truncated = found.truncated;
            page.rows = found.rows.iter().map(|row| row_view(&viewer.view(row), zone)).collect();
            render(StatusCode::OK, &page)
        }
    }
}

fn presets(now_ms: InstantMs, zone: Tz) -> Vec<(&'static str, String)> {
    let since = |from: String| format!("from={}", text::percent_encoded(&from));
    let ago = |minutes: i64| since(times::seconds(now_ms - minutes * 60_000, zone));
    vec![
        ("Last 15 minutes", ago(15)),
        ("Last hour", ago(60)),
        ("Today", since(times::date(now_ms, zone))),
        ("Network errors, last hour", format!("{}&code=NET_ERR", ago(60))),
    ]
}

fn row_view(record: &RecordView, zone: Tz) -> RowView {
    let text = |name: &str| record.get(name).unwrap_or_default().to_owned();
    let ids = ["order_no", "serial_no", "channel_serial_no", "trace_id"];
    let id = ids.iter().find_map(|name| record.get(name));
    let message = ["response_message", "text", "msg", "body"].iter().find_map(|name| record.get(name));
    RowView {
        time: times::full(record.event_ms, zone),
        order: id.map(|id| (id.to_owned(), text::percent_encoded(id))),
        module: record.get("module").unwrap_or(&record.program).to_owned(),
        step: ["step", "act", "direction"]
            .iter()
            .find_map(|name| record.get(name))
            .unwrap_or_default()
            .to_owned(),
        merchant: text("merchant_no"),
        channel: text("channel"),
        amount: text("amount"),
        status: text("order_status"),
        code: text("response_code"),
        message: shortened(message.unwrap_or(if record.columns.0.is_empty() { &record.message } else { "" })),
        outcome: outcome(record).outcome,
        elapsed: record.elapsed_ms().map(times::duration).unwrap_or_default(),
    }
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 160;
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
