//! The outbox of a node that is down.
//!
//! Refuses to know: what receivers say of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The alert it is about.
    pub alert_id: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// `receiver/integration[index]`.
    pub target: String,
    /// Its state.
    pub state: String,
    /// Attempts on record.
    pub attempts: u64,
    /// Attempts whose outcome nobody knows.
    pub uncertain: u64,
}

/// Deliveries by id. The file is read as it is; a node that is up may be at work on it.
///
/// # Errors
/// It is no outbox.
pub fn all(data: &Path) -> Result<BTreeMap<String, Delivery>> {
    let path = data.join("outbox.db");
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .with_context(|| path.display().to_string())?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let mut statement = connection.prepare(
        "SELECT delivery_id, alert_id, status, target, state, \
         (SELECT count(*) FROM attempt a WHERE a.delivery_id = d.delivery_id), \
         (SELECT count(*) FROM attempt a WHERE a.delivery_id = d.delivery_id \
            AND (a.outcome = 'uncertain' OR a.outcome IS NULL)) FROM delivery d",
    )?;
    let rows = statement.query_map([], |row| {
        let delivery = Delivery {
            alert_id: row.get(1)?,
            status: row.get(2)?,
            target: row.get(3)?,
            state: row.get(4)?,
            attempts: row.get::<_, i64>(5)?.unsigned_abs(),
            uncertain: row.get::<_, i64>(6)?.unsigned_abs(),
        };
        Ok((row.get::<_, String>(0)?, delivery))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
