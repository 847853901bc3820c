//! What is due, what there is, and forgetting what is old.
//!
//! Refuses to know: sending.

use record::InstantMs;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, params, params_from_iter};

use super::{Delivery, DeliveryState, Outbox, OutboxError};
use crate::notification::Status;

/// Due deliveries answered at once, at most.
const DUE_MAX: usize = 64;
/// Finished deliveries forgotten in one go, at most: the database is held no longer than that takes.
const PRUNE_MAX: usize = 1_000;

const COLUMNS: &str = "delivery_id, alert_id, status, target, state, attempts, uncertain, created_ms, updated_ms, \
                       next_ms, last_error";

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
    /// Deliveries to a target (`duty/email[0]`) that may be sent now, longest due first; at most 64. The firing news
    /// of an alert always comes before the resolved. What is due further ahead than any backoff is due now: the clock
    /// was set back.
    pub fn due(&self, now_ms: InstantMs, target: &str) -> Result<Vec<Delivery>, OutboxError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM delivery d WHERE d.target = ?1 AND d.state IN ('pending', 'retry', 'uncertain') \
             AND (d.next_ms <= ?2 OR d.next_ms > ?3) AND {IN_ORDER} ORDER BY d.next_ms, d.rowid LIMIT {DUE_MAX}"
        );
        let ahead_ms = now_ms.saturating_add(self.config.backoff_max_ms);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![target, now_ms, ahead_ms], delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next delivery to a target is due: `None` if nothing waits. May be in the past.
    pub fn next_due(&self, target: &str) -> Result<Option<InstantMs>, OutboxError> {
        let sql = format!(
            "SELECT next_ms FROM delivery d WHERE d.target = ?1 AND d.state IN ('pending', 'retry', 'uncertain') \
             AND {IN_ORDER} ORDER BY d.next_ms LIMIT 1"
        );
        Ok(self.connection.prepare_cached(&sql)?.query_row([target], |row| row.get(0)).optional()?)
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
            "SELECT {COLUMNS} FROM delivery WHERE {} ORDER BY created_ms DESC, rowid DESC LIMIT ?",
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
        let gone = tx.execute(
            &format!(
                "DELETE FROM delivery WHERE delivery_id IN (SELECT delivery_id FROM delivery \
                 WHERE updated_ms < ?1 AND state IN ('sent', 'dead') ORDER BY updated_ms LIMIT {PRUNE_MAX})"
            ),
            [before_ms],
        )?;
        if gone > 0 {
            tx.execute(
                "DELETE FROM alert WHERE created_ms < ?1 AND NOT EXISTS (SELECT 1 FROM delivery d \
                 WHERE d.alert_id = alert.alert_id AND d.status = alert.status)",
                [before_ms],
            )?;
        }
        tx.commit()?;
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
    })
}
