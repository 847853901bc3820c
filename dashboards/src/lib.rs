//! Pages and their JSON twins: the board, alerts, order search, trails, deliveries, counters.
//!
//! Rendered on the server, no front-end build, usable without a mouse and without scripts. [`router`] answers from
//! what [`Deps`] hands it; [`serve`] puts it on a listener. Log text is never HTML: templates escape every value, and
//! every page passes [`text::visible`] as a whole.
//! Refuses to know: how lines arrive, how verdicts are reached, where records are kept, and the clock.

mod api;
mod ask;
mod ask_bench;
mod changes;
mod counters;
mod delivery_api;
mod guard;
mod page;
mod rules_api;
mod rules_bench;
mod rules_view;
mod serve;
pub mod text;
pub mod times;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use chrono_tz::Tz;
use record::{FormatSet, InstantMs};
use sinks::alert_book::AlertBook;
use sinks::outbox::OutboxHandle;
use sinks::trace_store::TraceReader;

pub use counters::{
    Counters, DecodeCounters, EngineCounters, FormatCounters, IllTypedCounter, InputCounters,
    JournalCounters, OutboxFileCounters, ReceiverCounters, ReloadCounters, RuleCounters, SenderCounters,
    SenderGap, SnapshotCounters, StoreCounters,
};
pub use rules_bench::{
    BacktestAnswer, BacktestQuestion, BenchFault, ExplainAnswer, ExplainQuestion, RulesBench,
};
pub use rules_view::{AskKeys, KEYS_SHOWN_MAX, RuleRow, RulesView};
pub use serve::{CONNECTIONS_MAX, serve};

/// Whether the node does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// Not yet, or no longer; the text says why, for people.
    NotReady(String),
}

/// What the pages answer from. Functions are asked at every page and must not block.
#[derive(Clone)]
pub struct Deps {
    /// The trace store.
    pub reader: Arc<dyn TraceReader>,
    /// The alerts.
    pub book: AlertBook,
    /// The deliveries.
    pub outbox: OutboxHandle,
    /// The formats that stored rows name.
    pub formats: Arc<FormatSet>,
    /// Reads all counters. A ledger that does not add up is shown as a fault: read each input's numbers together.
    pub counters: Arc<dyn Fn() -> Counters + Send + Sync>,
    /// The rules, as the judge last wrote down.
    pub rules: Arc<dyn Fn() -> Arc<RulesView> + Send + Sync>,
    /// Asks the judge for the keys of a rule; may block for a fraction of a second.
    pub ask_keys: AskKeys,
    /// Explanations and backtests.
    pub bench: Arc<dyn RulesBench>,
    /// Body of `/metrics`, Prometheus text format 0.0.4.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether the node does its work.
    pub ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Reads what can be read again while the node works (rules, certificates, allow-lists); may block. An error says what is
    /// wrong, and nothing has changed then.
    pub reload: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The clock.
    pub clock: Arc<dyn Fn() -> InstantMs + Send + Sync>,
    /// The platform's zone: pages show and read times in it.
    pub zone: Tz,
    /// Address under which people reach the pages, as `https://ops.example/watchroom/`; empty if there is none.
    /// Its host is accepted in `Host` when the pages listen on loopback. Links are relative, so a path before the
    /// pages needs no key.
    pub external_url: String,
}

/// What every handler gets.
#[derive(Clone)]
struct App {
    deps: Deps,
    asker: ask::Asker,
    bench: ask_bench::BenchAsker,
    token: changes::Token,
}

/// All routes. What is read is read by GET; what changes something is a POST behind [`changes::own`], or, for
/// `/-/reload`, open only to a visitor on this machine.
pub fn router(deps: Deps) -> Router {
    let asker = ask::Asker::new(Arc::clone(&deps.reader));
    let bench = ask_bench::BenchAsker::new(Arc::clone(&deps.bench), Arc::clone(&deps.ask_keys));
    let app = App { deps, asker, bench, token: changes::Token::new() };
    let changes = Router::new()
        .route("/deliveries/resend", post(page::deliveries::resend_all))
        .route("/deliveries/{id}/resend", post(page::deliveries::resend))
        .route("/rules/{name}/backtest", post(page::rule_backtest::run))
        .route("/api/v1/deliveries/resend", post(delivery_api::resend_all))
        .route("/api/v1/deliveries/{id}/resend", post(delivery_api::resend))
        .route_layer(axum::middleware::from_fn_with_state(app.clone(), changes::own));
    Router::new()
        .route("/", get(page::board::board))
        .route("/alerts", get(page::alerts::list))
        .route("/alerts/{id}", get(page::alerts::one))
        .route("/orders", get(page::search::search))
        .route("/orders/{id}", get(page::trail::trail))
        .route("/rules", get(page::rules::list))
        .route("/rules/{name}", get(page::rule::one))
        .route("/rules/{name}/explain", get(page::rule_explain::explain))
        .route("/deliveries", get(page::deliveries::list))
        .route("/deliveries/{id}", get(page::deliveries::one))
        .route("/counters", get(page::counters::counters))
        .route("/senders", get(page::senders::senders))
        .route("/assets/style.css", get(page::style))
        .route("/assets/board.js", get(page::script))
        .route("/assets/icon.svg", get(page::icon))
        .route("/api/v1/alerts", get(rules_api::alerts))
        .route("/api/v1/rules", get(rules_api::rules))
        .route("/api/v1/senders", get(api::senders))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/deliveries", get(delivery_api::list))
        .route("/api/v1/deliveries/{id}", get(delivery_api::one))
        .route("/api/trail/{id}", get(api::trail))
        .route("/api/search", get(api::search))
        .route("/metrics", get(api::metrics))
        .route("/-/healthy", get(api::healthy))
        .route("/-/ready", get(api::ready))
        .route("/-/reload", post(api::reload))
        .merge(changes)
        .fallback(page::not_found)
        .layer(axum::middleware::map_response(guard::headers))
        .with_state(app)
}
