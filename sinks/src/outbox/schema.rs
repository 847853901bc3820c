//! The outbox's tables.
//!
//! Refuses to know: the other tables that may live in the same file (its version is kept under its own name).

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::OutboxError;
use super::reserve::{CHECKPOINT_PAGES, WAL_MAX_BYTES};
use crate::kill_point::kill_point;

const VERSION: i64 = 2;

const TABLES: &str = "
CREATE TABLE alert (
  alert_id    TEXT NOT NULL,
  status      TEXT NOT NULL,             -- firing, resolved
  title       TEXT NOT NULL DEFAULT '',  -- in one line, for lists
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
CREATE INDEX delivery_waiting ON delivery (target, status, next_ms) WHERE state IN ('pending', 'retry', 'uncertain');
CREATE INDEX delivery_sending ON delivery (target) WHERE state = 'sending';
CREATE INDEX delivery_updated ON delivery (updated_ms);
CREATE INDEX delivery_created ON delivery (created_ms);
CREATE INDEX delivery_dead ON delivery (target, created_ms) WHERE state = 'dead';
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

/// What leads from each version to the next: the first from 1 to 2.
const STEPS: [&str; 1] = ["
ALTER TABLE alert ADD COLUMN title TEXT NOT NULL DEFAULT '';
UPDATE alert SET title = trim(coalesce(json_extract(body, '$.labels.alertname'), '') || ' ' ||
  coalesce(json_extract(body, '$.annotations.summary'), json_extract(body, '$.reason'), '')) WHERE json_valid(body);
DROP INDEX delivery_waiting;
CREATE INDEX delivery_waiting ON delivery (target, status, next_ms) WHERE state IN ('pending', 'retry', 'uncertain');
CREATE INDEX delivery_created ON delivery (created_ms);
CREATE INDEX delivery_dead ON delivery (target, created_ms) WHERE state = 'dead';
"];

/// The longest wait for another process that holds the file (a backup, somebody's `sqlite3`): the judge waits with it.
const BUSY: std::time::Duration = std::time::Duration::from_millis(250);
/// The same while nothing waits for us yet.
const BUSY_AT_START: std::time::Duration = std::time::Duration::from_secs(5);

/// Durability settings, and the tables if they are not there, in one transaction: a crash leaves the old version or
/// the new one.
pub(super) fn prepare(connection: &mut Connection, path: &str) -> Result<(), OutboxError> {
    connection.busy_timeout(BUSY_AT_START)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_MAX_BYTES.cast_signed())?;
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
        Some(found @ 1..VERSION) => migrate(&tx, found)?,
        Some(VERSION) => {}
        Some(found) => return Err(OutboxError::Newer { path: path.to_owned(), found, known: VERSION }),
    }
    kill_point("K16");
    tx.commit()?;
    connection.busy_timeout(BUSY)?;
    Ok(())
}

fn migrate(tx: &Transaction<'_>, found: i64) -> Result<(), rusqlite::Error> {
    for step in STEPS.iter().skip(usize::try_from(found - 1).unwrap_or(0)) {
        tx.execute_batch(step)?;
    }
    tx.execute("UPDATE schema_version SET version = ?1 WHERE part = 'outbox'", [VERSION])?;
    tracing::info!("outbox: its tables were of version {found} and are of version {VERSION} now");
    Ok(())
}
