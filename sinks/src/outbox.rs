//! The outbox: every delivery is a row before its first byte leaves, so that no alert is lost and repeats are bounded.
//!
//! A delivery is one alert's firing or resolved news for one integration of one receiver; its id is derived from
//! these, so what is enqueued again after a restart adds nothing. An attempt is committed before its first byte and
//! its result after it: what was under way when the process died is `uncertain` and is sent again under the same id
//! (or held, as its receiver's `on_uncertain` says). Pure with respect to time: `now_ms` is passed in.
//! Refuses to know: mail, HTTP, tasks.

mod backoff;
mod breaker;
mod counts;
mod dead;
mod delivery;
mod enqueue;
mod forgotten;
mod handle;
mod query;
mod reserve;
mod runner;
mod schema;
mod unwritten;

use std::collections::HashMap;
use std::path::Path;

use record::InstantMs;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::Deserialize;

use crate::notification::Notification;
use crate::receivers::OnUncertain;
pub use breaker::{Breaker, BreakerConfig, BreakerState, Permit};
pub use counts::{LATENCY_BOUNDS_MS, LatencyCounts, OutboxCounts, TargetCounts};
pub use dead::Resent;
pub use delivery::{
    Attempt, AttemptRecord, Delivery, DeliveryState, FailReason, IntegrationKind, Outcome, Route, Target,
    delivery_id,
};
pub use forgotten::Forgotten;
pub use handle::{Next, OutboxHandle};
pub use query::Filter;
pub use runner::{Clock, run_receiver};

/// How the outbox keeps and repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxConfig {
    /// First wait after a failed attempt, in milliseconds; it doubles with each. Default 1000.
    pub backoff_min_ms: i64,
    /// Longest wait between attempts, in milliseconds. Default 300000 (5 minutes).
    pub backoff_max_ms: i64,
    /// A delivery that has failed for so long is dead, in milliseconds. Default 86400000 (24 hours).
    pub max_age_ms: i64,
    /// Deliveries that wait for one integration at most; further ones are dead at once. Default 100000.
    pub max_queued: u64,
    /// Finished deliveries are kept so long, in milliseconds. Default 2592000000 (30 days).
    pub retention_ms: i64,
    /// Room that the file keeps for itself, in bytes: so much can still be written when the disk is full. Default
    /// 16777216 (16 MiB); 0: none.
    pub reserve_bytes: u64,
    /// When an integration that fails is left alone.
    pub breaker: BreakerConfig,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            backoff_min_ms: 1_000,
            backoff_max_ms: 300_000,
            max_age_ms: 86_400_000,
            max_queued: 100_000,
            retention_ms: 2_592_000_000,
            reserve_bytes: 16 << 20,
            breaker: BreakerConfig::default(),
        }
    }
}

/// What the outbox cannot do.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// SQLite failed: disk full, file damaged, no permission.
    #[error("outbox: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file comes from a newer version.
    #[error(
        "outbox: {path}: has schema {found}, this version knows up to {known}; start the version that wrote it"
    )]
    Newer {
        /// Which file.
        path: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A stored notification cannot be read.
    #[error("outbox: delivery {delivery_id}: stored notification: {source}")]
    Body {
        /// Which delivery.
        delivery_id: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No such delivery in a state that allows it.
    #[error("outbox: delivery {delivery_id}: {message}")]
    State {
        /// Which delivery.
        delivery_id: String,
        /// What was asked and why not.
        message: &'static str,
    },
    /// The task that ran the call is gone (the runtime shuts down).
    #[error("outbox: the runtime is shutting down")]
    Stopped,
}

/// The deliveries of all receivers in one SQLite file. One connection, owned; share it by [`OutboxHandle`].
#[derive(Debug)]
pub struct Outbox {
    connection: Connection,
    config: OutboxConfig,
    routes: Vec<Route>,
    counts: HashMap<String, TargetCounts>,
}

impl Outbox {
    /// Opens or makes the file; one process at a time (a second one would take the first one's attempts under way for
    /// a crash's). Attempts under way when it was last closed are now `uncertain` and due at once;
    /// deliveries to integrations that are no longer in `routes` are dead.
    pub fn open(path: &Path, config: OutboxConfig, routes: Vec<Route>) -> Result<Self, OutboxError> {
        let mut connection = Connection::open(path)?;
        schema::prepare(&mut connection, &path.display().to_string())?;
        reserve::keep(&connection, config.reserve_bytes, true);
        let mut counts = HashMap::new();
        for route in &routes {
            counts.insert(route.target.to_string(), TargetCounts::new(&route.target));
        }
        let mut outbox = Self { connection, config, routes, counts };
        outbox.recover()?;
        Ok(outbox)
    }

    /// The next attempt of a delivery: committed when this returns, so the first byte may leave.
    pub fn begin_attempt(&mut self, delivery_id: &str, now_ms: InstantMs) -> Result<Attempt, OutboxError> {
        let tx = self.connection.transaction()?;
        let row = tx
            .prepare_cached(
                "UPDATE delivery SET state = 'sending', attempts = attempts + 1, updated_ms = ?2 \
                 WHERE delivery_id = ?1 AND state IN ('pending', 'retry', 'uncertain') \
                 RETURNING target, alert_id, attempts, uncertain, created_ms, \
                 (SELECT body FROM alert a WHERE a.alert_id = delivery.alert_id AND a.status = delivery.status)",
            )?
            .query_row(params![delivery_id, now_ms], |row| {
                let fields: (String, String, u32, u32, i64, String) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
                Ok(fields)
            })
            .optional()?;
        let Some((target, alert_id, number, uncertain, created_ms, body)) = row else {
            return Err(state_error(delivery_id, "is not waiting to be sent"));
        };
        let notification: Notification = match serde_json::from_str(&body) {
            Ok(notification) => notification,
            Err(source) => {
                bury(&tx, delivery_id, &source, now_ms)?;
                tx.commit()?;
                if let Some(counts) = self.counts.get_mut(&target) {
                    counts.died(1);
                }
                return Err(OutboxError::Body { delivery_id: delivery_id.to_owned(), source });
            }
        };
        tx.prepare_cached("INSERT INTO attempt (delivery_id, number, started_ms) VALUES (?1, ?2, ?3)")?
            .execute(params![delivery_id, number, now_ms])?;
        tx.commit()?;
        if let Some(counts) = self.counts.get_mut(&target) {
            counts.attempts_total += 1;
        }
        Ok(Attempt {
            delivery_id: delivery_id.to_owned(),
            firing_id: delivery::delivery_id(&alert_id, crate::notification::Status::Firing, &target),
            number,
            possible_repeat: uncertain > 0,
            created_ms,
            started_ms: now_ms,
            target,
            notification,
        })
    }

    /// Records what came of an attempt and when the delivery is due again. Returns its new state.
    pub fn finish_attempt(
        &mut self,
        attempt: &Attempt,
        outcome: &Outcome,
        now_ms: InstantMs,
    ) -> Result<DeliveryState, OutboxError> {
        let id = &attempt.delivery_id;
        let tx = self.connection.transaction()?;
        let deadline_ms: i64 = tx
            .prepare_cached("SELECT deadline_ms FROM delivery WHERE delivery_id = ?1 AND state = 'sending'")?
            .query_row([id], |row| row.get(0))
            .optional()?
            .ok_or_else(|| state_error(id, "has no attempt under way"))?;
        let next_ms = backoff::next_ms(&self.config, id, attempt.number, outcome, now_ms);
        let resend = resends(&self.routes, &attempt.target, attempt.notification.is_critical());
        let (state, detail) = settle(outcome, next_ms > deadline_ms, resend);
        tx.prepare_cached(
            "UPDATE delivery SET state = ?2, next_ms = ?3, updated_ms = ?4, last_error = ?5, \
             uncertain = uncertain + ?6 WHERE delivery_id = ?1",
        )?
        .execute(params![id, state.as_str(), next_ms, now_ms, detail, outcome.is_uncertain()])?;
        tx.prepare_cached(
            "UPDATE attempt SET ended_ms = ?3, outcome = ?4, detail = ?5 WHERE delivery_id = ?1 AND number = ?2",
        )?
        .execute(params![id, attempt.number, now_ms, outcome.word(), outcome.detail()])?;
        tx.commit()?;
        if let Some(counts) = self.counts.get_mut(&attempt.target) {
            counts.finished(outcome, state, now_ms.saturating_sub(attempt.started_ms));
        }
        Ok(state)
    }

    /// Per integration, in configuration order.
    pub fn counts(&self) -> Vec<TargetCounts> {
        self.routes.iter().filter_map(|r| self.counts.get(&r.target.to_string()).cloned()).collect()
    }

    /// Attempts to a target that nobody attends to any more (their sender ended) are uncertain and due at once.
    /// Returns how many there were.
    pub fn reclaim(&mut self, target: &str) -> Result<usize, OutboxError> {
        let tx = self.connection.transaction()?;
        let (again, held) = abandon(&tx, Some(target), &self.routes)?;
        tx.commit()?;
        if let Some(counts) = self.counts.get_mut(target) {
            counts.died(held as u64);
        }
        Ok(again + held)
    }

    /// Writes something that changes nothing, to see whether the database takes writes.
    pub(super) fn try_write(&self) -> Result<(), OutboxError> {
        self.connection.execute("UPDATE schema_version SET version = version WHERE part = 'outbox'", [])?;
        Ok(())
    }

    /// Fills the file's reserve up if it is used.
    pub(super) fn keep_reserve(&self) {
        reserve::keep(&self.connection, self.config.reserve_bytes, false);
    }

    fn recover(&mut self) -> Result<(), OutboxError> {
        let tx = self.connection.transaction()?;
        abandon(&tx, None, &self.routes)?;
        for (target, waiting) in by_target(&tx, "('pending', 'retry', 'uncertain')")? {
            if let Some(counts) = self.counts.get_mut(&target) {
                counts.queue_length = waiting.unsigned_abs();
            } else {
                tx.execute(
                    "UPDATE delivery SET state = 'dead', last_error = 'this integration is no longer configured' \
                     WHERE target = ?1 AND state IN ('pending', 'retry', 'uncertain')",
                    [&target],
                )?;
            }
        }
        for (target, dead) in by_target(&tx, "('dead')")? {
            if let Some(counts) = self.counts.get_mut(&target) {
                counts.dead_length = dead.unsigned_abs();
            }
        }
        tx.commit()?;
        Ok(())
    }
}

/// Whether an uncertain delivery to a target is sent again by itself.
fn resends(routes: &[Route], target: &str, critical: bool) -> bool {
    let policy = routes.iter().find(|r| r.target.to_string() == target).map(|r| r.on_uncertain);
    match policy.unwrap_or_default() {
        OnUncertain::Resend => true,
        OnUncertain::Hold => false,
        OnUncertain::ResendCritical => critical,
    }
}

/// Attempts under way, of one target or all, become uncertain, or held. Returns how many of each there were.
fn abandon(
    tx: &Transaction<'_>,
    target: Option<&str>,
    routes: &[Route],
) -> Result<(usize, usize), rusqlite::Error> {
    let mut statement = tx.prepare(
        "SELECT d.delivery_id, d.target, a.body FROM delivery d JOIN alert a USING (alert_id, status) \
         WHERE d.state = 'sending' AND (?1 IS NULL OR d.target = ?1)",
    )?;
    let under_way: Vec<(String, String, String)> = statement
        .query_map([target], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut held = 0;
    for (id, target, body) in &under_way {
        // A body that cannot be read is found out, and buried, at the next attempt.
        let critical =
            serde_json::from_str(body).map_or(true, |notification: Notification| notification.is_critical());
        let (state, detail) = if resends(routes, target, critical) {
            ("uncertain", ENDED.to_owned())
        } else {
            held += 1;
            ("dead", held_words(ENDED))
        };
        tx.execute(
            "UPDATE attempt SET outcome = 'uncertain', detail = ?2 WHERE outcome IS NULL AND delivery_id = ?1",
            params![id, ENDED],
        )?;
        tx.execute(
            "UPDATE delivery SET state = ?2, uncertain = uncertain + 1, next_ms = 0, last_error = ?3 \
             WHERE delivery_id = ?1",
            params![id, state, detail],
        )?;
    }
    Ok((under_way.len() - held, held))
}

/// What an attempt came to whose sender ended.
const ENDED: &str = "the sender ended during the attempt";

/// Why a delivery is not sent again though nobody knows whether it arrived.
fn held_words(detail: &str) -> String {
    format!("held: it may have arrived (on_uncertain); send it again if it did not; last: {detail}")
}

/// A notification that cannot be read is dead, so that it does not block those behind it.
fn bury(
    tx: &Transaction<'_>,
    id: &str,
    why: &serde_json::Error,
    now_ms: InstantMs,
) -> Result<(), rusqlite::Error> {
    tx.execute(
        "UPDATE delivery SET state = 'dead', updated_ms = ?2, last_error = ?3 WHERE delivery_id = ?1",
        params![id, now_ms, format!("the stored notification cannot be read: {why}")],
    )
    .map(drop)
}

fn by_target(tx: &Transaction<'_>, states: &str) -> Result<Vec<(String, i64)>, OutboxError> {
    let mut statement = tx
        .prepare(&format!("SELECT target, count(*) FROM delivery WHERE state IN {states} GROUP BY target"))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The state an outcome leads to and the words kept with the delivery; `resend`: an uncertain one is sent again.
fn settle(outcome: &Outcome, too_late: bool, resend: bool) -> (DeliveryState, Option<String>) {
    match outcome {
        Outcome::Sent { .. } => (DeliveryState::Sent, None),
        Outcome::Dead { detail, .. } => (DeliveryState::Dead, Some(detail.clone())),
        Outcome::Uncertain { detail, .. } if !resend => (DeliveryState::Dead, Some(held_words(detail))),
        Outcome::Retry { detail, .. } | Outcome::Uncertain { detail, .. } if too_late => {
            (DeliveryState::Dead, Some(format!("given up after the age limit; last: {detail}")))
        }
        Outcome::Retry { detail, .. } => (DeliveryState::Retry, Some(detail.clone())),
        Outcome::Uncertain { detail, .. } => (DeliveryState::Uncertain, Some(detail.clone())),
    }
}

fn state_error(delivery_id: &str, message: &'static str) -> OutboxError {
    OutboxError::State { delivery_id: delivery_id.to_owned(), message }
}

#[cfg(test)]
pub(crate) mod tests;
