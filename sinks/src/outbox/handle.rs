//! The outbox shared by the judge, which fills it, and one sender per integration.
//!
//! One mutex around the one connection. A call holds it for one short transaction: 0.1 to a few milliseconds, the
//! disk's sync; senders make their calls on the runtime's blocking threads, so no worker waits for a disk.
//! What the database refuses (disk full) is kept in memory, bounded, and tried again before anything newer.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use record::InstantMs;
use rules::Transition;
use tokio::sync::Notify as Wake;

use super::{
    Attempt, Delivery, DeliveryState, Filter, Outbox, OutboxConfig, OutboxCounts, OutboxError, Outcome,
};
use crate::notifier::Integration;

/// Transitions kept in memory while the database refuses them.
const BACKLOG_MAX: usize = 10_000;
/// How often old deliveries are forgotten.
const PRUNE_EVERY_MS: i64 = 60_000;

/// What a sender does next.
#[derive(Debug)]
pub enum Next {
    /// This, now: the attempt is committed.
    Send(Box<Attempt>),
    /// Nothing before this instant, unless something new comes.
    Wait(Option<InstantMs>),
}

/// Shares an [`Outbox`]; cheap to clone.
#[derive(Debug, Clone)]
pub struct OutboxHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    wakes: HashMap<String, Wake>,
}

#[derive(Debug)]
struct Inner {
    outbox: Outbox,
    backlog: VecDeque<Transition>,
    backlog_dropped_total: u64,
    storage_errors_total: u64,
    storage_error: Option<String>,
    pruned_ms: InstantMs,
}

impl OutboxHandle {
    /// Shares an outbox.
    pub fn new(outbox: Outbox) -> Self {
        let wakes = outbox.routes.iter().map(|r| (r.target.to_string(), Wake::new())).collect();
        let inner = Inner {
            outbox,
            backlog: VecDeque::new(),
            backlog_dropped_total: 0,
            storage_errors_total: 0,
            storage_error: None,
            pruned_ms: InstantMs::MIN,
        };
        Self(Arc::new(Shared { inner: Mutex::new(inner), wakes }))
    }

    /// Opens an outbox ([`Outbox::open`]) for integrations and shares it.
    pub fn open(
        path: &Path,
        config: OutboxConfig,
        integrations: &[Integration],
    ) -> Result<Self, OutboxError> {
        let routes = integrations.iter().map(|i| i.route.clone()).collect();
        Ok(Self::new(Outbox::open(path, config, routes)?))
    }

    /// Takes transitions and wakes the senders. Blocks for one transaction. After an error the transitions are kept
    /// in memory (at most 10,000) and tried again by each later call and by the senders; do not hand them in again,
    /// and keep no engine snapshot that is newer than them while [`OutboxHandle::backlog_len`] is not 0.
    pub fn enqueue(&self, transitions: &[Transition], now_ms: InstantMs) -> Result<usize, OutboxError> {
        if transitions.is_empty() {
            return Ok(0);
        }
        let added = self.0.lock().enqueue(transitions, now_ms);
        if added.as_ref().is_ok_and(|n| *n > 0) {
            self.0.wake();
        }
        added
    }

    /// Transitions the database has not taken yet.
    pub fn backlog_len(&self) -> usize {
        self.0.lock().backlog.len()
    }

    /// The next attempt to a target, begun and committed, or until when there is none.
    pub async fn next(&self, target: &str, now_ms: InstantMs) -> Result<Next, OutboxError> {
        let target = target.to_owned();
        self.blocking(move |shared| {
            let mut inner = shared.lock();
            if inner.flush(now_ms)? > 0 {
                shared.wake();
            }
            inner.next(&target, now_ms)
        })
        .await
    }

    /// Takes up what an earlier sender of this target left when it ended.
    pub(super) async fn reclaim(&self, target: &str) -> Result<usize, OutboxError> {
        let target = target.to_owned();
        self.blocking(move |shared| {
            let mut inner = shared.lock();
            let reclaimed = inner.outbox.reclaim(&target);
            inner.note(reclaimed)
        })
        .await
    }

    /// Records what came of an attempt.
    pub async fn finish(
        &self,
        attempt: &Attempt,
        outcome: &Outcome,
        now_ms: InstantMs,
    ) -> Result<DeliveryState, OutboxError> {
        let (attempt, outcome) = (attempt.clone(), outcome.clone());
        self.blocking(move |shared| {
            let mut inner = shared.lock();
            let state = inner.outbox.finish_attempt(&attempt, &outcome, now_ms);
            inner.note(state)
        })
        .await
    }

    /// Sends a dead delivery again under its id.
    pub fn resend(&self, delivery_id: &str, now_ms: InstantMs) -> Result<(), OutboxError> {
        self.0.lock().outbox.resend(delivery_id, now_ms)?;
        self.0.wake();
        Ok(())
    }

    /// Deliveries by filter, newest first. Blocks for one query.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Delivery>, OutboxError> {
        self.0.lock().outbox.list(filter)
    }

    /// All counters.
    pub fn counts(&self) -> OutboxCounts {
        let inner = self.0.lock();
        OutboxCounts {
            targets: inner.outbox.counts(),
            storage_errors_total: inner.storage_errors_total,
            backlog_length: inner.backlog.len(),
            backlog_dropped_total: inner.backlog_dropped_total,
            storage_error: inner.storage_error.clone(),
        }
    }

    /// Returns when something new may be due for a target; at once if that happened since the last call.
    pub(super) async fn woken(&self, target: &str) {
        match self.0.wakes.get(target) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Makes the database refuse every write, as a full disk does.
    #[cfg(test)]
    pub(super) fn break_for_test(&self, broken: bool) {
        self.0.lock().outbox.connection.pragma_update(None, "query_only", broken).expect("a pragma");
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Shared) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let shared = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || call(&shared)).await.map_err(|_gone| OutboxError::Stopped)?
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        for wake in self.wakes.values() {
            wake.notify_one();
        }
    }
}

impl Inner {
    fn enqueue(&mut self, transitions: &[Transition], now_ms: InstantMs) -> Result<usize, OutboxError> {
        if self.backlog.is_empty() {
            let added = self.outbox.enqueue(transitions, now_ms);
            if added.is_err() {
                self.keep(transitions);
            }
            return self.note(added);
        }
        self.keep(transitions);
        self.flush(now_ms)
    }

    fn keep(&mut self, transitions: &[Transition]) {
        let room = BACKLOG_MAX - self.backlog.len();
        self.backlog.extend(transitions.iter().take(room).cloned());
        self.backlog_dropped_total += transitions.len().saturating_sub(room) as u64;
    }

    fn flush(&mut self, now_ms: InstantMs) -> Result<usize, OutboxError> {
        if self.backlog.is_empty() {
            return Ok(0);
        }
        let added = self.outbox.enqueue(self.backlog.make_contiguous(), now_ms);
        if added.is_ok() {
            self.backlog.clear();
        }
        self.note(added)
    }

    fn next(&mut self, target: &str, now_ms: InstantMs) -> Result<Next, OutboxError> {
        let next = self.try_next(target, now_ms);
        let next = self.note(next)?;
        if matches!(next, Next::Wait(_)) && now_ms.saturating_sub(self.pruned_ms) >= PRUNE_EVERY_MS {
            self.pruned_ms = now_ms;
            let pruned = self.outbox.prune(now_ms);
            self.note(pruned)?;
        }
        Ok(next)
    }

    fn try_next(&mut self, target: &str, now_ms: InstantMs) -> Result<Next, OutboxError> {
        match self.outbox.due(now_ms, target)?.first() {
            Some(delivery) => Ok(Next::Send(Box::new(self.outbox.begin_attempt(&delivery.id, now_ms)?))),
            None => Ok(Next::Wait(self.outbox.next_due(target)?)),
        }
    }

    /// Counts a refusal of the database and keeps its words until it works again.
    fn note<T>(&mut self, result: Result<T, OutboxError>) -> Result<T, OutboxError> {
        match &result {
            Ok(_) => self.storage_error = None,
            Err(error) => {
                self.storage_errors_total += 1;
                self.storage_error = Some(error.to_string());
            }
        }
        result
    }
}
