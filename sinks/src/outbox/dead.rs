//! Dead letters: giving up what has waited too long, sending again what was given up.
//!
//! Refuses to know: who asks for it.

use std::collections::HashMap;

use record::InstantMs;
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::{Outbox, OutboxError, state_error};

/// Dead letters put back into the queue in one go, at most: the database is held no longer than that takes.
pub(super) const RESEND_MAX: usize = 500;

/// The firing news of an alert whose resolved news may have arrived is not sent any more: it would raise an alert
/// that is over.
const IS_OVER: &str = "(status = 'firing' AND EXISTS (SELECT 1 FROM delivery r WHERE r.alert_id = delivery.alert_id \
                       AND r.status = 'resolved' AND r.target = delivery.target \
                       AND (r.state IN ('sent', 'sending') OR r.uncertain > 0)))";

/// What came of sending dead letters again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Resent {
    /// Put back into the queue, under their ids.
    pub resent: u64,
    /// Left dead: firing news of alerts whose end was told already, or integrations that are no longer configured.
    pub left: u64,
}

impl Outbox {
    /// Puts a dead delivery back into the queue under the same id, with a new age limit.
    pub fn resend(&mut self, delivery_id: &str, now_ms: InstantMs) -> Result<(), OutboxError> {
        let tx = self.connection.transaction()?;
        let found: Option<(String, String, bool)> = tx
            .prepare_cached(&format!("SELECT target, state, {IS_OVER} FROM delivery WHERE delivery_id = ?1"))?
            .query_row([delivery_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let refusal = match &found {
            None => Some("there is no such delivery"),
            Some((_, state, _)) if state != "dead" => Some("is not dead; only the dead are sent again"),
            Some((_, _, true)) => {
                Some("says FIRING and the receiver has been told RESOLVED; it is not sent any more")
            }
            Some((target, ..)) if !self.counts.contains_key(target) => {
                Some("is for an integration that is no longer configured")
            }
            Some(_) => None,
        };
        if let Some(message) = refusal {
            return Err(state_error(delivery_id, message));
        }
        tx.execute(
            "UPDATE delivery SET state = 'retry', next_ms = ?2, updated_ms = ?2, deadline_ms = ?3 \
             WHERE delivery_id = ?1",
            params![delivery_id, now_ms, now_ms.saturating_add(self.config.max_age_ms)],
        )?;
        tx.commit()?;
        if let Some(counts) = found.and_then(|(target, ..)| self.counts.get_mut(&target)) {
            counts.revived(1);
        }
        Ok(())
    }

    /// Puts dead deliveries, of one receiver or all, back into the queue, at most 500 at a call; returns how many:
    /// call it until it answers 0.
    pub fn resend_dead(&mut self, receiver: Option<&str>, now_ms: InstantMs) -> Result<u64, OutboxError> {
        let deadline_ms = now_ms.saturating_add(self.config.max_age_ms);
        let targets: Vec<String> = self
            .routes
            .iter()
            .filter(|r| receiver.is_none_or(|name| r.target.receiver == name))
            .map(|r| r.target.to_string())
            .collect();
        let tx = self.connection.transaction()?;
        let mut revived: HashMap<&str, u64> = HashMap::new();
        for target in &targets {
            let left = RESEND_MAX - revived.values().sum::<u64>() as usize;
            let count = tx
                .prepare_cached(&format!(
                    "UPDATE delivery SET state = 'retry', next_ms = ?2, updated_ms = ?2, deadline_ms = ?3 \
                     WHERE delivery_id IN (SELECT delivery_id FROM delivery \
                     WHERE state = 'dead' AND target = ?1 AND NOT {IS_OVER} ORDER BY rowid LIMIT {left})"
                ))?
                .execute(params![target, now_ms, deadline_ms])?;
            revived.insert(target, count as u64);
        }
        tx.commit()?;
        for (target, count) in &revived {
            if let Some(counts) = self.counts.get_mut(*target) {
                counts.revived(*count);
            }
        }
        Ok(revived.values().sum())
    }

    /// Dead deliveries kept, of one receiver or all.
    pub fn dead_count(&self, receiver: Option<&str>) -> Result<u64, OutboxError> {
        let count: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM delivery WHERE state = 'dead' AND (?1 IS NULL OR receiver = ?1)",
            )?
            .query_row([receiver], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Gives up what waits for a target beyond its age limit: while the breaker is open no attempt would. Returns how
    /// many there were.
    pub fn expire(&mut self, target: &str, now_ms: InstantMs) -> Result<usize, OutboxError> {
        let dead = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = 'dead', updated_ms = ?2, last_error = \
                 'given up after the age limit; last: ' || coalesce(last_error, 'the receiver did not answer others') \
                 WHERE target = ?1 AND state IN ('pending', 'retry', 'uncertain') AND deadline_ms < ?2",
            )?
            .execute(params![target, now_ms])?;
        if let Some(counts) = self.counts.get_mut(target) {
            counts.died(dead as u64);
        }
        Ok(dead)
    }

    /// The receiver is back: what waits for its next attempt is due now.
    pub fn hasten(&mut self, target: &str, now_ms: InstantMs) -> Result<usize, OutboxError> {
        Ok(self
            .connection
            .prepare_cached(
                "UPDATE delivery SET next_ms = ?2 \
                 WHERE target = ?1 AND state IN ('retry', 'uncertain') AND next_ms > ?2",
            )?
            .execute(params![target, now_ms])?)
    }
}
