//! The judge thread: runs the engine over the journal's order, tells the alert book and the outbox.
//!
//! Refuses to know: how verdicts are reached and how alerts are sent.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use anyhow::{Context, Result};
use ingest::{Parcel, kill_point};
use record::{Batch, InstantMs, RowFlags};
use rules::{Alert, Change, Engine, Transition};
use sinks::alert_book::AlertBook;
use sinks::outbox::OutboxHandle;

use crate::clock::Clock;
use crate::journal_thread::Entry;
use crate::progress::Progress;

/// How often the engine's counts are published.
const PUBLISH_EVERY_MS: i64 = 250;

/// Everything the thread owns.
pub(crate) struct JudgeThread {
    /// Entries in journal order.
    pub(crate) entries: Receiver<Entry>,
    /// The engine, replayed up to the first entry.
    pub(crate) engine: Engine,
    /// Where the batches go next; `None`: their way ends here.
    pub(crate) store: Option<SyncSender<Parcel>>,
    /// Who hears of transitions.
    pub(crate) tellers: Tellers,
    /// How far we are.
    pub(crate) progress: Arc<Progress>,
}

/// Those who hear of transitions.
#[derive(Clone)]
pub(crate) struct Tellers {
    /// What the pages show.
    pub(crate) book: AlertBook,
    /// What is sent.
    pub(crate) outbox: OutboxHandle,
    /// The outbox' clock.
    pub(crate) clock: Clock,
}

impl JudgeThread {
    /// Works until the journal thread has ended and everything is judged.
    pub(crate) fn run(mut self) -> Result<()> {
        let mut transitions = Vec::new();
        let mut published_ms = InstantMs::MIN;
        loop {
            match self.entries.recv_timeout(Duration::from_millis(PUBLISH_EVERY_MS.unsigned_abs())) {
                Ok(Entry::Parcel(parcel)) => {
                    kill_point("K4");
                    self.engine.judge(&parcel.batch, &mut transitions);
                    self.progress.judged.fetch_add(records(&parcel.batch), Relaxed);
                    self.tellers.tell(&mut transitions);
                    if let Some(store) = &self.store {
                        store.send(parcel).ok().context("the trace store's thread has ended")?;
                    }
                }
                Ok(Entry::Tick { lsn, recv_ms }) => {
                    self.engine.tick(lsn, recv_ms, &mut transitions);
                    self.tellers.tell(&mut transitions);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    publish(&self.engine, &self.progress);
                    return Ok(());
                }
            }
            let now_ms = (self.tellers.clock)();
            if now_ms >= published_ms.saturating_add(PUBLISH_EVERY_MS) {
                published_ms = now_ms;
                publish(&self.engine, &self.progress);
            }
        }
    }
}

/// Records of a batch; time entries are none.
pub(crate) fn records(batch: &Batch) -> u64 {
    batch.rows.iter().filter(|row| !row.flags.has(RowFlags::TICK)).count() as u64
}

/// The engine's counts for pages and metrics.
pub(crate) fn publish(engine: &Engine, progress: &Progress) {
    progress.set_counts(engine.counts());
    progress.watermark_ms.store(engine.watermark_ms().unwrap_or(i64::MIN), Relaxed);
}

impl Tellers {
    /// Passes transitions on and forgets them.
    pub(crate) fn tell(&self, transitions: &mut Vec<Transition>) {
        if transitions.is_empty() {
            return;
        }
        self.book.apply(transitions);
        if let Err(error) = self.outbox.enqueue(transitions, (self.clock)()) {
            tracing::error!("{error}; the alerts are kept and will be tried again");
        }
        for transition in transitions.iter() {
            log(transition.change, &transition.alert);
        }
        transitions.clear();
    }
}

fn log(change: Change, alert: &Alert) {
    let word = match change {
        Change::Fired => "FIRING",
        Change::Resolved => "RESOLVED",
        Change::Withdrawn => "WITHDRAWN",
        Change::Pending | Change::Updated | Change::Dropped => return,
    };
    let labels: Vec<String> = alert
        .labels
        .iter()
        .filter(|(name, _)| *name != "alertname")
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    let name = alert.labels.get("alertname").map_or("", |n| n);
    let summary = alert.annotations.get("summary").unwrap_or(&alert.reason.text);
    let money = alert.reason.amount.as_ref().map_or(String::new(), |a| format!(", {a} at risk"));
    let line = format!(
        "{word} {name} {}: {summary} ({} orders{money})",
        labels.join(" "),
        alert.reason.orders_count
    );
    let line = crate::output::visible(&line);
    if change == Change::Fired {
        tracing::warn!(id = %alert.id, "{line}");
    } else {
        tracing::info!(id = %alert.id, "{line}");
    }
}
