//! The outbox shared by the judge, which fills it, and one sender per integration.
//!
//! One mutex around the one connection. A call holds it for one short transaction: 0.1 to a few milliseconds, the
//! disk's sync; senders make their calls on the runtime's blocking threads, so no worker waits for a disk.
//! What the database refuses (disk full, file locked) is kept in memory, bounded, and tried again before anything
//! newer, once a second.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use record::InstantMs;
use rules::Transition;
use tokio::sync::Notify as Wake;

use super::unwritten::{News, Unwritten};
use super::{
    Attempt, AttemptRecord, Breaker, Delivery, DeliveryState, Filter, Forgotten, Outbox, OutboxConfig,
    OutboxCounts, OutboxError, Outcome, Permit, Resent,
};
use crate::notifier::Integration;

/// News written in one transaction when the database works again.
const FLUSH_MAX: usize = 500;
/// How often old deliveries are forgotten and those beyond their age limit given up.
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
    breakers: HashMap<String, Breaker>,
    unwritten: Unwritten,
    storage_errors_total: u64,
    storage_error: Option<String>,
    pruned_ms: InstantMs,
}

impl OutboxHandle {
    /// Shares an outbox.
    pub fn new(outbox: Outbox) -> Self {
        let targets = || outbox.routes.iter().map(|r| r.target.to_string());
        let wakes = targets().map(|target| (target, Wake::new())).collect();
        let breakers = targets().map(|target| (target, Breaker::new(outbox.config.breaker))).collect();
        let inner = Inner {
            outbox,
            breakers,
            unwritten: Unwritten::default(),
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

    /// Takes transitions and wakes the senders. Blocks for one transaction. What the database refuses is kept in
    /// memory (at most 10,000 news, 64 MiB) and tried again, before anything newer, by each later call, by the senders
    /// and by [`OutboxHandle::retry_unwritten`]: do not hand it in again. Keep no engine snapshot that is newer than
    /// it: see [`OutboxHandle::has_unwritten`].
    pub fn enqueue(&self, transitions: &[Transition], now_ms: InstantMs) -> Result<usize, OutboxError> {
        let news: Vec<News> = transitions.iter().filter_map(News::of).collect();
        if news.is_empty() {
            return Ok(0);
        }
        let added = self.0.lock().enqueue(news, now_ms);
        self.0.wake_if_added(added)
    }

    /// [`Outbox::end_forgotten`], and wakes the senders. Blocks for one transaction.
    pub fn end_forgotten(
        &self,
        is_on: impl Fn(&str) -> bool,
        forgotten: Forgotten<'_>,
        now_ms: InstantMs,
    ) -> Result<Vec<String>, OutboxError> {
        let ended = self.0.lock().outbox.end_forgotten(is_on, forgotten, now_ms)?;
        if !ended.is_empty() {
            self.0.wake();
        }
        Ok(ended)
    }

    /// Whether news that people are to be told are not in the database: kept in memory, or dropped because memory had
    /// no room (then until the next start, whose replay finds them again). While it holds, a snapshot of the engine's
    /// state must not be taken: after a crash the replay would begin behind them.
    pub fn has_unwritten(&self) -> bool {
        self.0.lock().unwritten.any()
    }

    /// News kept in memory because the database refused them.
    pub fn unwritten_len(&self) -> usize {
        self.0.lock().unwritten.len()
    }

    /// Tries to write what was refused, once a second at most. Call it now and then: with one sender, and that one
    /// waiting for its receiver, nobody else would.
    pub fn retry_unwritten(&self, now_ms: InstantMs) -> Result<usize, OutboxError> {
        let added = self.0.lock().flush(now_ms);
        self.0.wake_if_added(added)
    }

    /// The next attempt to a target, begun and committed, or until when there is none.
    pub async fn next(&self, target: &str, now_ms: InstantMs) -> Result<Next, OutboxError> {
        let target = target.to_owned();
        self.blocking(move |shared| {
            let mut inner = shared.lock();
            if let Some(again_ms) = inner.unwritten.ask_again_ms(now_ms) {
                return Ok(Next::Wait(Some(again_ms)));
            }
            if inner.flush(now_ms)? > 0 {
                shared.wake();
            }
            inner.next(&target, now_ms)
        })
        .await
    }

    /// Takes up what an earlier sender of this target left when it ended.
    pub(super) async fn reclaim(&self, target: &str, now_ms: InstantMs) -> Result<usize, OutboxError> {
        let target = target.to_owned();
        self.blocking(move |shared| {
            let mut inner = shared.lock();
            if let Some(breaker) = inner.breakers.get_mut(&target) {
                breaker.abandoned(now_ms);
            }
            let reclaimed = inner.outbox.reclaim(&target);
            inner.note(reclaimed, now_ms)
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
        self.blocking(move |shared| shared.lock().finish(&attempt, &outcome, now_ms)).await
    }

    /// Sends a dead delivery again under its id. Blocks for one transaction.
    pub fn resend(&self, delivery_id: &str, now_ms: InstantMs) -> Result<(), OutboxError> {
        self.0.lock().outbox.resend(delivery_id, now_ms)?;
        self.0.wake();
        Ok(())
    }

    /// [`OutboxHandle::resend`] from a task.
    pub async fn resend_one(&self, delivery_id: String, now_ms: InstantMs) -> Result<(), OutboxError> {
        self.blocking(move |shared| {
            shared.lock().outbox.resend(&delivery_id, now_ms)?;
            shared.wake();
            Ok(())
        })
        .await
    }

    /// Sends all dead deliveries again under their ids, of one receiver or all; in steps, between which others have
    /// their turn.
    pub async fn resend_all(
        &self,
        receiver: Option<String>,
        now_ms: InstantMs,
    ) -> Result<Resent, OutboxError> {
        self.blocking(move |shared| {
            let mut resent = 0;
            loop {
                let some = shared.lock().outbox.resend_dead(receiver.as_deref(), now_ms)?;
                resent += some;
                if some == 0 {
                    break;
                }
                shared.wake();
            }
            Ok(Resent { resent, left: shared.lock().outbox.dead_count(receiver.as_deref())? })
        })
        .await
    }

    /// Deliveries by filter, newest first. Blocks for one query.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Delivery>, OutboxError> {
        self.0.lock().outbox.list(filter)
    }

    /// [`OutboxHandle::list`] from a task.
    pub async fn deliveries(&self, filter: Filter) -> Result<Vec<Delivery>, OutboxError> {
        self.blocking(move |shared| shared.lock().outbox.list(&filter)).await
    }

    /// A delivery's attempts, oldest first.
    pub async fn attempts(&self, delivery_id: String) -> Result<Vec<AttemptRecord>, OutboxError> {
        self.blocking(move |shared| shared.lock().outbox.attempts(&delivery_id)).await
    }

    /// All counters.
    pub fn counts(&self) -> OutboxCounts {
        let inner = self.0.lock();
        let mut targets = inner.outbox.counts();
        for counts in &mut targets {
            if let Some(breaker) = inner.breakers.get(&counts.target.to_string()) {
                counts.breaker = breaker.state();
                counts.breaker_until_ms = breaker.until_ms();
                counts.breaker_opened_total = breaker.opened_total();
            }
        }
        OutboxCounts {
            targets,
            storage_errors_total: inner.storage_errors_total,
            unwritten_length: inner.unwritten.len(),
            unwritten_dropped_total: inner.unwritten.dropped_total(),
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
        self.0
            .lock()
            .outbox
            .connection
            .pragma_update(None, "query_only", broken)
            .expect("`query_only` is a pragma of every SQLite");
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

    fn wake_if_added(&self, added: Result<usize, OutboxError>) -> Result<usize, OutboxError> {
        if added.as_ref().is_ok_and(|n| *n > 0) {
            self.wake();
        }
        added
    }

    fn wake(&self) {
        for wake in self.wakes.values() {
            wake.notify_one();
        }
    }
}

impl Inner {
    fn enqueue(&mut self, news: Vec<News>, now_ms: InstantMs) -> Result<usize, OutboxError> {
        if self.outbox.routes.is_empty() {
            return Ok(0);
        }
        if self.unwritten.len() > 0 || self.unwritten.ask_again_ms(now_ms).is_some() {
            self.unwritten.keep(news);
            return self.flush(now_ms);
        }
        let added = self.outbox.insert(&news, now_ms);
        if added.is_err() {
            self.unwritten.keep(news);
        }
        self.note(added, now_ms)
    }

    /// Writes what was refused, oldest first, unless that was less than a second ago.
    fn flush(&mut self, now_ms: InstantMs) -> Result<usize, OutboxError> {
        if self.unwritten.len() == 0
            && self.unwritten.ask_again_ms(now_ms).is_none()
            && self.storage_error.is_some()
        {
            // Nothing waits to be written, but whoever reads the board wants to know whether it could be.
            let written = self.outbox.try_write();
            self.note(written, now_ms)?;
        }
        let mut total = 0;
        while self.unwritten.len() > 0 && self.unwritten.ask_again_ms(now_ms).is_none() {
            let some = self.unwritten.oldest(FLUSH_MAX);
            let count = some.len();
            let added = self.outbox.insert(some, now_ms);
            total += self.note(added, now_ms)?;
            self.unwritten.written(count);
        }
        Ok(total)
    }

    fn next(&mut self, target: &str, now_ms: InstantMs) -> Result<Next, OutboxError> {
        let next = match self.try_next(target, now_ms) {
            // Only a write shows that the database takes writes.
            Ok(Next::Wait(due_ms)) => Next::Wait(due_ms),
            written => self.note(written, now_ms)?,
        };
        if matches!(next, Next::Wait(_)) && now_ms.saturating_sub(self.pruned_ms) >= PRUNE_EVERY_MS {
            self.pruned_ms = now_ms;
            if let Err(error) = self.keep_house(now_ms) {
                return self.note(Err(error), now_ms);
            }
        }
        Ok(next)
    }

    fn try_next(&mut self, target: &str, now_ms: InstantMs) -> Result<Next, OutboxError> {
        let permit = self.breakers.get(target).map_or(Permit::Send, |b| b.permit(now_ms));
        let delivery = match permit {
            Permit::Send => self.outbox.first_due(now_ms, target)?,
            Permit::Probe => self.outbox.probe(now_ms, target)?,
            Permit::Wait(until_ms) => return Ok(Next::Wait(Some(until_ms))),
            Permit::Probing => return Ok(Next::Wait(None)),
        };
        let Some(delivery) = delivery else { return Ok(Next::Wait(self.outbox.next_due(target)?)) };
        let attempt = self.outbox.begin_attempt(&delivery.id, now_ms)?;
        if let Some(breaker) = self.breakers.get_mut(target) {
            breaker.began();
        }
        Ok(Next::Send(Box::new(attempt)))
    }

    fn finish(
        &mut self,
        attempt: &Attempt,
        outcome: &Outcome,
        now_ms: InstantMs,
    ) -> Result<DeliveryState, OutboxError> {
        let state = self.outbox.finish_attempt(attempt, outcome, now_ms);
        let state = self.note(state, now_ms)?;
        let Some(breaker) = self.breakers.get_mut(&attempt.target) else { return Ok(state) };
        let (to, before) = (&attempt.target, breaker.opened_total());
        let closed = breaker.ended(attempt.started_ms, now_ms, outcome.is_answered());
        if breaker.opened_total() > before {
            tracing::warn!(
                to,
                "the receiver fails again and again: left alone, then tried with one delivery at a time"
            );
        }
        if closed {
            tracing::info!(to, "the receiver answers again: what waits is sent");
            let hastened = self.outbox.hasten(to, now_ms);
            // Its failure delays what waits until each one's own time comes: the outcome is recorded all the same.
            drop(self.note(hastened, now_ms));
        }
        Ok(state)
    }

    /// Forgets what is old, gives up what no attempt will while a breaker is open, keeps the file's reserve filled.
    fn keep_house(&mut self, now_ms: InstantMs) -> Result<(), OutboxError> {
        self.outbox.prune(now_ms)?;
        let left_alone = self.breakers.iter().filter(|(_, b)| b.permit(now_ms) != Permit::Send);
        for (target, _) in left_alone {
            self.outbox.expire(target, now_ms)?;
        }
        self.outbox.keep_reserve();
        Ok(())
    }

    /// Counts a refusal of the database and keeps its words until it works again.
    fn note<T>(&mut self, result: Result<T, OutboxError>, now_ms: InstantMs) -> Result<T, OutboxError> {
        match &result {
            Ok(_) => {
                self.storage_error = None;
                self.unwritten.accepted();
            }
            // About one delivery, not about the database.
            Err(OutboxError::State { .. } | OutboxError::Body { .. }) => {}
            Err(error) => {
                self.storage_errors_total += 1;
                self.storage_error = Some(error.to_string());
                self.unwritten.refused(now_ms);
            }
        }
        result
    }
}
