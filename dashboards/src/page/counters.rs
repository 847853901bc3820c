//! Counters: the loss ledger of every input, formats, ill-typed values, rules, deliveries.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono_tz::Tz;
use record::InstantMs;

use super::{Chrome, render};
use crate::{App, Counters, InputCounters, text, times};

#[derive(Template)]
#[template(path = "counters.html")]
struct CountersPage {
    chrome: Chrome,
    counters: Counters,
    inputs: Vec<LedgerView>,
    /// Name and value.
    stages: Vec<(&'static str, String)>,
    /// Lines kept as `plain`: reason and how many.
    plain: Vec<(String, String)>,
}

/// One input's ledger.
struct LedgerView {
    input: InputCounters,
    rejected: Vec<(String, String)>,
    rejected_total: u64,
    dropped: Vec<(String, String)>,
    dropped_total: u64,
    /// `adds up`, or by how much it does not.
    balance: String,
    balanced: bool,
    last_received: String,
}

impl CountersPage {
    /// Digits in groups.
    fn n(&self, number: &u64) -> String {
        text::grouped(*number)
    }
}

pub(crate) async fn counters(State(app): State<App>) -> Response {
    let deps = &app.deps;
    let now_ms = (deps.clock)();
    let counters = (deps.counters)();
    let page = CountersPage {
        chrome: Chrome::new(&app, "counters", 1, "Counters"),
        inputs: counters.inputs.iter().map(|input| ledger(input, now_ms)).collect(),
        stages: stages(&counters, now_ms, deps.zone),
        plain: pairs(&counters.decode.plain),
        counters,
    };
    render(StatusCode::OK, &page)
}

fn ledger(input: &InputCounters, now_ms: InstantMs) -> LedgerView {
    let imbalance = input.imbalance();
    let ago = |at_ms: InstantMs| format!("{} ago", times::duration((now_ms - at_ms).max(0)));
    LedgerView {
        rejected: pairs(&input.rejected),
        rejected_total: input.rejected_total(),
        dropped: pairs(&input.dropped),
        dropped_total: input.dropped_total(),
        balance: match imbalance {
            0 => "adds up".to_owned(),
            missing if missing > 0 => format!("{missing} unaccounted for"),
            surplus => format!("{} more than received", -surplus),
        },
        balanced: imbalance == 0,
        last_received: input.last_received_ms.map_or("never".to_owned(), ago),
        input: input.clone(),
    }
}

fn pairs(counts: &BTreeMap<String, u64>) -> Vec<(String, String)> {
    counts.iter().map(|(reason, count)| (reason.clone(), text::grouped(*count))).collect()
}

fn stages(counters: &Counters, now_ms: InstantMs, zone: Tz) -> Vec<(&'static str, String)> {
    let (journal, engine, store) = (&counters.journal, &counters.engine, &counters.store);
    let at = |at_ms: Option<InstantMs>| match at_ms {
        Some(at_ms) => {
            format!("{} ({} ago)", times::full(at_ms, zone), times::duration((now_ms - at_ms).max(0)))
        }
        None => "never".to_owned(),
    };
    vec![
        ("Started", at(Some(counters.started_ms))),
        ("Version", counters.version.clone()),
        ("Journal: next position", text::grouped(journal.next_lsn)),
        ("Journal: not yet on disk", text::grouped(journal.undurable())),
        ("Journal: size", text::bytes(journal.bytes)),
        ("Journal: last commit", at(journal.last_commit_ms)),
        ("Judge: records", text::grouped(engine.records)),
        ("Judge: late", text::grouped(engine.late)),
        ("Judge: too far ahead of receive time", text::grouped(engine.skewed)),
        ("Judge: without event time", text::grouped(engine.no_time)),
        ("Judge: watermark", at(engine.watermark_ms)),
        ("Trace store: last position", text::grouped(store.stored_lsn)),
        ("Trace store: rows in memory", text::grouped(store.fresh_rows)),
        ("Trace store: files", text::grouped(store.files)),
        ("Transcoded from GB18030", text::grouped(counters.decode.transcoded)),
        ("Card numbers masked", text::grouped(counters.decode.cards_masked)),
        ("Continued lines joined", text::grouped(counters.decode.continued)),
    ]
}
