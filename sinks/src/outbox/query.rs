//! What is due, what there is, and forgetting what is old.
//!
//! Refuses to know: sending.

use record::InstantMs;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, params, params_from_iter};

use super::{AttemptRecord, Delivery, DeliveryState, Outbox, OutboxError};
use crate::notification::Status;

/// Due deliveries answered at once, at most.
const DUE_MAX: usize = 64;
/// Finished deliveries forgotten in one go, at most: the database is held no longer than that takes.
const PRUNE_MAX: usize = 1_000;

/// Attempts of one delivery listed at most: the newest.
const ATTEMPTS_MAX: usize = 1_000;

const COLUMNS: &str = "delivery_id, alert_id, status, target, state, attempts, uncertain, created_ms, updated_ms, \
                       next_ms, last_error, (SELECT title FROM alert a WHERE a.alert_id = d.alert_id \
                       AND a.status = d.status)";

/// A resolved delivery waits until the firing one to the same target is sent or given up.
const IN_ORDER: &str = "(d.status = 'firing' OR NOT EXISTS (SELECT 1 FROM delivery f \
                        WHERE f.alert_id = d.alert_id AND f.status = 'firing' AND f.target = d.target \
                        AND f.state NOT IN ('sent', 'dead')))";

/// Which deliveries to list; all given conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// To this receiver.
    pub receiver: Option<String>,
    /// About this alert.
    pub alert_id: Option<String>,
    /// This one.
    pub delivery_id: Option<String>,
    /// At most so many, newest first.
    pub limit: usize,
}

impl Outbox {
    /// Deliveries to a target (`duty/email[0]`) that may be sent now; at most 64. Firing news before resolved news,
    /// for they are the more urgent, each longest due first; the firing news of an alert always comes before its
    /// resolved. What is due further ahead than any backoff is due now: the clock was set back.
    pub fn due(&self, now_ms: InstantMs, target: &str) -> Result<Vec<Delivery>, OutboxError> {
        self.due_at_most(DUE_MAX, now_ms, target)
    }

    /// The one to send next, if one is due.
    pub(super) fn first_due(&self, now_ms: InstantMs, target: &str) -> Result<Option<Delivery>, OutboxError> {
        Ok(self.due_at_most(1, now_ms, target)?.pop())
    }

    fn due_at_most(
        &self,
        limit: usize,
        now_ms: InstantMs,
        target: &str,
    ) -> Result<Vec<Delivery>, OutboxError> {
        let ahead_ms = now_ms.saturating_add(self.config.backoff_max_ms);
        let mut found = Vec::new();
        // One status at a time, so that the index gives the order and nothing behind the first is looked at.
        for status in ["firing", "resolved"] {
            let sql = format!(
                "SELECT {COLUMNS} FROM delivery d WHERE d.target = ?1 AND d.status = '{status}' \
                 AND d.state IN ('pending', 'retry', 'uncertain') \
                 AND (d.next_ms <= ?2 OR d.next_ms > ?3) AND {IN_ORDER} ORDER BY d.next_ms, d.rowid LIMIT ?4"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let rest = (limit - found.len()).cast_signed() as i64;
            for row in statement.query_map(params![target, now_ms, ahead_ms, rest], delivery)? {
                found.push(row?);
            }
            if found.len() == limit {
                break;
            }
        }
        Ok(found)
    }

    /// The one to try a receiver with: what is due, else whatever waits, its own backoff notwithstanding. What may
    /// have arrived keeps its backoff, or each probe would be another repeat.
    pub(super) fn probe(&self, now_ms: InstantMs, target: &str) -> Result<Option<Delivery>, OutboxError> {
        if let Some(due) = self.first_due(now_ms, target)? {
            return Ok(Some(due));
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM delivery d WHERE d.target = ?1 AND d.state IN ('pending', 'retry') \
             AND {IN_ORDER} ORDER BY d.status, d.next_ms LIMIT 1"
        );
        Ok(self.connection.prepare_cached(&sql)?.query_row([target], delivery).optional()?)
    }

    /// When the next delivery to a target is due: `None` if nothing waits. May be in the past.
    pub fn next_due(&self, target: &str) -> Result<Option<InstantMs>, OutboxError> {
        let sql = format!(
            "SELECT next_ms FROM delivery d WHERE d.target = ?1 AND d.state IN ('pending', 'retry', 'uncertain') \
             AND {IN_ORDER} ORDER BY d.next_ms LIMIT 1"
        );
        Ok(self.connection.prepare_cached(&sql)?.query_row([target], |row| row.get(0)).optional()?)
    }

    /// Attempts of a delivery, oldest first, the newest 1,000.
    pub fn attempts(&self, delivery_id: &str) -> Result<Vec<AttemptRecord>, OutboxError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number, started_ms, ended_ms, outcome, detail FROM attempt WHERE delivery_id = ?1 \
             ORDER BY number DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![delivery_id, ATTEMPTS_MAX.cast_signed() as i64], |row| {
            Ok(AttemptRecord {
                number: row.get(0)?,
                started_ms: row.get(1)?,
                ended_ms: row.get(2)?,
                outcome: row.get(3)?,
                detail: row.get(4)?,
            })
        })?;
        let mut attempts: Vec<AttemptRecord> = rows.collect::<Result<_, _>>()?;
        attempts.reverse();
        Ok(attempts)
    }

    /// Deliveries by [`Filter`], newest first.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Delivery>, OutboxError> {
        let mut conditions = vec!["1"];
        let mut values: Vec<Value> = Vec::new();
        let mut add = |condition, value: Option<String>| {
            if let Some(value) = value {
                conditions.push(condition);
                values.push(value.into());
            }
        };
        add("state = ?", filter.state.map(|s| s.as_str().to_owned()));
        add("receiver = ?", filter.receiver.clone());
        add("alert_id = ?", filter.alert_id.clone());
        add("delivery_id = ?", filter.delivery_id.clone());
        let sql = format!(
            "SELECT {COLUMNS} FROM delivery d WHERE {} ORDER BY created_ms DESC, rowid DESC LIMIT ?",
            conditions.join(" AND ")
        );
        values.push(i64::try_from(filter.limit).unwrap_or(i64::MAX).into());
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets deliveries finished longer ago than the retention, at most 1,000 at a call; returns how many.
    pub fn prune(&mut self, now_ms: InstantMs) -> Result<usize, OutboxError> {
        let before_ms = now_ms.saturating_sub(self.config.retention_ms);
        let tx = self.connection.transaction()?;
        let mut statement = tx.prepare(&format!(
            "DELETE FROM delivery WHERE delivery_id IN (SELECT delivery_id FROM delivery \
             WHERE updated_ms < ?1 AND state IN ('sent', 'dead') ORDER BY updated_ms LIMIT {PRUNE_MAX}) \
             RETURNING target, state"
        ))?;
        let rows = statement.query_map([before_ms], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let forgotten: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
        drop(statement);
        let gone = forgotten.len();
        if gone > 0 {
            tx.execute(
                "DELETE FROM alert WHERE created_ms < ?1 AND NOT EXISTS (SELECT 1 FROM delivery d \
                 WHERE d.alert_id = alert.alert_id AND d.status = alert.status)",
                [before_ms],
            )?;
        }
        tx.commit()?;
        for (target, _) in forgotten.iter().filter(|(_, state)| state == "dead") {
            if let Some(counts) = self.counts.get_mut(target) {
                counts.dead_length = counts.dead_length.saturating_sub(1);
            }
        }
        Ok(gone)
    }
}

fn delivery(row: &Row<'_>) -> Result<Delivery, rusqlite::Error> {
    let status: String = row.get(2)?;
    let state: String = row.get(4)?;
    Ok(Delivery {
        id: row.get(0)?,
        alert_id: row.get(1)?,
        status: if status == "firing" { Status::Firing } else { Status::Resolved },
        target: row.get(3)?,
        state: DeliveryState::from_word(&state).expect("the table's check allows only these words"),
        attempts: row.get(5)?,
        uncertain: row.get(6)?,
        created_ms: row.get(7)?,
        updated_ms: row.get(8)?,
        next_ms: row.get(9)?,
        last_error: row.get(10)?,
        title: row.get::<_, Option<String>>(11)?.unwrap_or_default(),
    })
}
