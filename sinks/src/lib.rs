//! Where things end up: records in the trace store, alerts at people.
//!
//! Refuses to know: how lines arrive and how verdicts are reached.

pub mod alert_book;
mod kill_point;
pub mod notification;
pub mod notifier;
pub mod outbox;
pub mod receivers;
pub mod trace_store;
