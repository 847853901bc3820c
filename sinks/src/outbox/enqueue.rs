//! Transitions become deliveries: the step on the alert's own path, one transaction for a whole batch.
//!
//! Refuses to know: who sends them.

use record::InstantMs;
use rules::Transition;
use rusqlite::{Transaction, params};

use super::unwritten::News;
use super::{Outbox, OutboxError, Route, delivery_id};
use crate::kill_point::kill_point;
use crate::notification::Status;

const QUEUE_FULL: &str = "the queue of this integration is full";
const IS_OVER: &str = "the receiver was told RESOLVED before; FIRING would raise an alert that is over";

impl Outbox {
    /// Adds a delivery per integration for each transition people are told about, in one transaction. What is
    /// already there stays as it is. Returns how many were added.
    pub fn enqueue(&mut self, transitions: &[Transition], now_ms: InstantMs) -> Result<usize, OutboxError> {
        let news: Vec<News> = transitions.iter().filter_map(News::of).collect();
        self.insert(&news, now_ms)
    }

    /// [`Outbox::enqueue`] for news that are made already.
    pub(super) fn insert(&mut self, news: &[News], now_ms: InstantMs) -> Result<usize, OutboxError> {
        if news.is_empty() || self.routes.is_empty() {
            return Ok(0);
        }
        let deadline_ms = now_ms.saturating_add(self.config.max_age_ms);
        let mut added = vec![Added::default(); self.routes.len()];
        let tx = self.connection.transaction()?;
        for news in news {
            insert_alert(&tx, news, now_ms)?;
            for (route, added) in self.routes.iter().zip(&mut added) {
                if news.status == Status::Resolved && !route.send_resolved {
                    continue;
                }
                let target = route.target.to_string();
                let waiting = self.counts.get(&target).map_or(0, |c| c.queue_length) + added.queued;
                let refusal = if waiting >= self.config.max_queued {
                    Some(QUEUE_FULL)
                } else if news.status == Status::Firing && is_over(&tx, &news.alert_id, &target)? {
                    Some(IS_OVER)
                } else {
                    None
                };
                let rows = insert_delivery(&tx, news, route, &target, refusal, (now_ms, deadline_ms))?;
                added.count(rows as u64, refusal);
            }
        }
        kill_point("K5");
        tx.commit()?;
        for (route, added) in self.routes.iter().zip(&added) {
            if let Some(counts) = self.counts.get_mut(&route.target.to_string()) {
                counts.enqueued_total += added.queued + added.refused;
                counts.queue_length += added.queued + added.refused;
                counts.overflow_total += added.overflow;
                counts.died(added.refused);
            }
        }
        Ok(added.iter().map(|a| (a.queued + a.refused) as usize).sum())
    }
}

/// Rows added for one integration.
#[derive(Debug, Clone, Copy, Default)]
struct Added {
    queued: u64,
    refused: u64,
    /// Of the refused, those for which there was no room.
    overflow: u64,
}

impl Added {
    fn count(&mut self, rows: u64, refusal: Option<&str>) {
        match refusal {
            None => self.queued += rows,
            Some(why) => {
                self.refused += rows;
                self.overflow += if why == QUEUE_FULL { rows } else { 0 };
            }
        }
    }
}

/// Whether a target may have been told already that an alert is over.
fn is_over(tx: &Transaction<'_>, alert_id: &str, target: &str) -> Result<bool, rusqlite::Error> {
    tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM delivery WHERE alert_id = ?1 AND status = 'resolved' AND target = ?2 \
         AND (state IN ('sent', 'sending') OR uncertain > 0))",
    )?
    .query_row([alert_id, target], |row| row.get(0))
}

fn insert_alert(tx: &Transaction<'_>, news: &News, now_ms: InstantMs) -> Result<(), rusqlite::Error> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO alert (alert_id, status, title, body, cause_lsn, created_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        news.alert_id,
        news.status.as_str(),
        news.title,
        news.body,
        news.lsn.cast_signed(),
        now_ms
    ])?;
    Ok(())
}

fn insert_delivery(
    tx: &Transaction<'_>,
    news: &News,
    route: &Route,
    target: &str,
    refusal: Option<&str>,
    (now_ms, deadline_ms): (InstantMs, InstantMs),
) -> Result<usize, rusqlite::Error> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO delivery (delivery_id, alert_id, status, target, state, next_ms, created_ms, \
         updated_ms, deadline_ms, last_error, receiver) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        delivery_id(&news.alert_id, news.status, target),
        news.alert_id,
        news.status.as_str(),
        target,
        if refusal.is_some() { "dead" } else { "pending" },
        now_ms,
        deadline_ms,
        refusal,
        route.target.receiver,
    ])
}
