//! Transitions become deliveries: the step on the alert's own path, one transaction for a whole batch.
//!
//! Refuses to know: who sends them.

use record::InstantMs;
use rules::Transition;
use rusqlite::{Transaction, params};

use super::{Outbox, OutboxError, delivery_id};
use crate::kill_point::kill_point;
use crate::notification::{Notification, Status};

impl Outbox {
    /// Adds a delivery per integration for each transition people are told about, in one transaction. What is
    /// already there stays as it is. Returns how many were added.
    pub fn enqueue(&mut self, transitions: &[Transition], now_ms: InstantMs) -> Result<usize, OutboxError> {
        let news: Vec<_> =
            transitions.iter().filter_map(|t| Some((t.lsn, Notification::from_transition(t)?))).collect();
        if news.is_empty() || self.routes.is_empty() {
            return Ok(0);
        }
        let deadline_ms = now_ms.saturating_add(self.config.max_age_ms);
        let mut added = vec![Added::default(); self.routes.len()];
        let tx = self.connection.transaction()?;
        for (lsn, notification) in &news {
            insert_alert(&tx, *lsn, notification, now_ms)?;
            for (route, added) in self.routes.iter().zip(&mut added) {
                if notification.status == Status::Resolved && !route.send_resolved {
                    continue;
                }
                let target = route.target.to_string();
                let waiting = self.counts.get(&target).map_or(0, |c| c.queue_length) + added.queued;
                let full = waiting >= self.config.max_queued;
                let id = delivery_id(&notification.alert_id, notification.status, &target);
                let rows = tx
                    .prepare_cached(
                        "INSERT OR IGNORE INTO delivery (delivery_id, alert_id, status, target, state, next_ms, \
                         created_ms, updated_ms, deadline_ms, last_error, receiver) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6, ?7, ?8, ?9)",
                    )?
                    .execute(params![
                        id,
                        notification.alert_id,
                        notification.status.as_str(),
                        target,
                        if full { "dead" } else { "pending" },
                        now_ms,
                        deadline_ms,
                        full.then_some("the queue of this integration is full"),
                        route.target.receiver,
                    ])?;
                added.count(rows as u64, full);
            }
        }
        kill_point("K5");
        tx.commit()?;
        for (route, added) in self.routes.iter().zip(&added) {
            if let Some(counts) = self.counts.get_mut(&route.target.to_string()) {
                counts.enqueued_total += added.queued + added.overflow;
                counts.queue_length += added.queued;
                counts.overflow_total += added.overflow;
                counts.dead_total += added.overflow;
            }
        }
        Ok(added.iter().map(|a| (a.queued + a.overflow) as usize).sum())
    }
}

/// Rows added for one integration.
#[derive(Debug, Clone, Copy, Default)]
struct Added {
    queued: u64,
    overflow: u64,
}

impl Added {
    fn count(&mut self, rows: u64, full: bool) {
        if full {
            self.overflow += rows;
        } else {
            self.queued += rows;
        }
    }
}

fn insert_alert(
    tx: &Transaction<'_>,
    lsn: record::Lsn,
    notification: &Notification,
    now_ms: InstantMs,
) -> Result<(), rusqlite::Error> {
    let body = serde_json::to_string(notification).expect("maps with text keys always serialize");
    tx.prepare_cached(
        "INSERT OR IGNORE INTO alert (alert_id, status, body, cause_lsn, created_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![notification.alert_id, notification.status.as_str(), body, lsn.cast_signed(), now_ms])?;
    Ok(())
}
