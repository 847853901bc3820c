//! Alerts that people were told of and that no rule goes on with: their end is told, once, at a start.
//!
//! A rule that was changed or removed while the node was down, or whose state was lost with the snapshots, will never
//! end what it raised. Refuses to know: rules.

use record::{InstantMs, Lsn};

use super::unwritten::News;
use super::{Outbox, OutboxError};
use crate::notification::{Notification, Status};

/// Alerts ended at once, at most: the others at the next start.
const FORGOTTEN_MAX: usize = 10_000;

/// When and why forgotten alerts end.
#[derive(Debug, Clone, Copy)]
pub struct Forgotten<'a> {
    /// For people.
    pub why: &'a str,
    /// Event time of their end; it is not before they began.
    pub ends_ms: InstantMs,
    /// The journal's position.
    pub lsn: Lsn,
}

impl Outbox {
    /// Adds RESOLVED for every alert of which FIRING is there and RESOLVED is not, unless it is on. Returns their titles.
    pub fn end_forgotten(
        &mut self,
        is_on: impl Fn(&str) -> bool,
        forgotten: Forgotten<'_>,
        now_ms: InstantMs,
    ) -> Result<Vec<String>, OutboxError> {
        let mut statement = self.connection.prepare(
            "SELECT alert_id, title, body FROM alert a WHERE status = 'firing' AND NOT EXISTS \
             (SELECT 1 FROM alert r WHERE r.alert_id = a.alert_id AND r.status = 'resolved')",
        )?;
        let rows = statement.query_map([], |row| {
            let found: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(found)
        })?;
        let mut news = Vec::new();
        for row in rows {
            let (alert_id, title, body) = row?;
            // One that cannot be read is found out, and buried, at its next attempt.
            let Ok(mut told) = serde_json::from_str::<Notification>(&body) else { continue };
            if is_on(&alert_id) || news.len() >= FORGOTTEN_MAX {
                continue;
            }
            told.status = Status::Resolved;
            told.ends_ms = Some(forgotten.ends_ms.max(told.starts_ms));
            forgotten.why.clone_into(&mut told.gate);
            let body = serde_json::to_string(&told).expect("maps with text keys always serialize");
            news.push(News { lsn: forgotten.lsn, alert_id, status: Status::Resolved, title, body });
        }
        drop(statement);
        self.insert(&news, now_ms)?;
        Ok(news.into_iter().map(|news| news.title).collect())
    }
}
