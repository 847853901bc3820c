//! Senders: who was heard when, what it sent again, which of its numbered lines are missing, who fell silent.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono_tz::Tz;
use record::InstantMs;

use super::{Chrome, render};
use crate::{App, SenderCounters, SenderGap, text, times};

/// Rows of the page.
const SENDERS_MAX: usize = 500;

#[derive(Template)]
#[template(path = "senders.html")]
struct SendersPage {
    chrome: Chrome,
    senders: Vec<SenderRow>,
    more: u64,
    forgotten: u64,
}

struct SenderRow {
    sender: SenderCounters,
    inputs: String,
    last_heard: String,
    gaps: Vec<String>,
    gaps_more: usize,
    state: String,
    trouble: bool,
}

impl SendersPage {
    /// Digits in groups.
    fn n(&self, number: &u64) -> String {
        text::grouped(*number)
    }
}

pub(crate) async fn senders(State(app): State<App>) -> Response {
    let deps = &app.deps;
    let now_ms = (deps.clock)();
    let mut counters = (deps.counters)();
    let mut senders = std::mem::take(&mut counters.senders);
    let trouble = |sender: &SenderCounters| sender.silent || sender.missing > 0 || sender.mixed;
    senders.sort_by_key(|s| (!trouble(s), std::cmp::Reverse(s.last_heard_ms), s.name.clone()));
    let more = senders.len().saturating_sub(SENDERS_MAX) as u64;
    senders.truncate(SENDERS_MAX);
    let page = SendersPage {
        chrome: Chrome::new(&app, "senders", 1, "Senders"),
        senders: senders.into_iter().map(|sender| row(sender, now_ms, deps.zone)).collect(),
        more,
        forgotten: counters.senders_forgotten,
    };
    render(StatusCode::OK, &page)
}

fn row(sender: SenderCounters, now_ms: InstantMs, zone: Tz) -> SenderRow {
    let ago = times::duration((now_ms - sender.last_heard_ms).max(0));
    let (state, trouble) = match (sender.silent, sender.missing, sender.mixed) {
        (true, _, _) => (format!("silent for {ago}"), true),
        (_, 1.., _) => ("lines are missing".to_owned(), true),
        (_, _, true) => ("numbers of several senders mixed".to_owned(), true),
        _ => ("well".to_owned(), false),
    };
    SenderRow {
        inputs: sender.inputs.join(", "),
        last_heard: format!("{ago} ago"),
        gaps: sender.gaps.iter().map(|gap| shown(gap, zone)).collect(),
        gaps_more: sender.gaps_total - sender.gaps.len().min(sender.gaps_total),
        state,
        trouble,
        sender,
    }
}

fn shown(gap: &SenderGap, zone: Tz) -> String {
    let SenderGap { from, to, since_ms, missing } = *gap;
    let numbers = if from == to { from.to_string() } else { format!("{from} to {to}") };
    let at = times::seconds(since_ms, zone);
    if missing { format!("{numbers} missing since {at}") } else { format!("{numbers} awaited since {at}") }
}
