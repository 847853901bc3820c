//! The outbox's tables.
//!
//! Refuses to know: the other tables that may live in the same file (its version is kept under its own name).

use rusqlite::{Connection, OptionalExtension as _};

use super::OutboxError;
use crate::kill_point::kill_point;

const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE alert (
  alert_id    TEXT NOT NULL,
  status      TEXT NOT NULL,             -- firing, resolved
  body        TEXT NOT NULL,             -- the notification as JSON
  cause_lsn   INTEGER NOT NULL,          -- the journal entry that caused it
  created_ms  INTEGER NOT NULL,
  PRIMARY KEY (alert_id, status)
);
CREATE TABLE delivery (
  delivery_id TEXT PRIMARY KEY,
  alert_id    TEXT NOT NULL,
  status      TEXT NOT NULL,
  receiver    TEXT NOT NULL,
  target      TEXT NOT NULL,             -- receiver/integration[index]
  state       TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'retry', 'uncertain', 'dead')),
  next_ms     INTEGER NOT NULL,
  attempts    INTEGER NOT NULL DEFAULT 0,
  uncertain   INTEGER NOT NULL DEFAULT 0,
  created_ms  INTEGER NOT NULL,
  updated_ms  INTEGER NOT NULL,
  deadline_ms INTEGER NOT NULL,
  last_error  TEXT,
  UNIQUE (alert_id, status, target),
  FOREIGN KEY (alert_id, status) REFERENCES alert (alert_id, status)
);
CREATE INDEX delivery_waiting ON delivery (target, next_ms) WHERE state IN ('pending', 'retry', 'uncertain');
CREATE INDEX delivery_sending ON delivery (target) WHERE state = 'sending';
CREATE INDEX delivery_updated ON delivery (updated_ms);
CREATE TABLE attempt (
  delivery_id TEXT NOT NULL REFERENCES delivery (delivery_id) ON DELETE CASCADE,
  number      INTEGER NOT NULL,
  started_ms  INTEGER NOT NULL,
  ended_ms    INTEGER,
  outcome     TEXT,                      -- sent, retry, uncertain, dead; null while it is under way
  detail      TEXT,
  PRIMARY KEY (delivery_id, number)
) WITHOUT ROWID;
";

/// Durability settings, and the tables if they are not there.
pub(super) fn prepare(connection: &mut Connection, path: &str) -> Result<(), OutboxError> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let tx = connection.transaction()?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (part TEXT PRIMARY KEY, version INTEGER NOT NULL)",
    )?;
    let found: Option<i64> = tx
        .query_row("SELECT version FROM schema_version WHERE part = 'outbox'", [], |row| row.get(0))
        .optional()?;
    match found {
        None => {
            tx.execute_batch(TABLES)?;
            tx.execute("INSERT INTO schema_version (part, version) VALUES ('outbox', ?1)", [VERSION])?;
        }
        Some(VERSION) => {}
        Some(found) => return Err(OutboxError::Newer { path: path.to_owned(), found, known: VERSION }),
    }
    kill_point("K16");
    tx.commit()?;
    Ok(())
}
