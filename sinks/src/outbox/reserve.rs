//! Room kept inside the outbox's file for the day the disk is full: no other file can take it.
//!
//! Free pages of the database and a write-ahead log that stays long. Refuses to know: what is written there.

use rusqlite::Connection;

/// The write-ahead log is checkpointed at this length, in pages of 4 KiB (SQLite's default).
pub(super) const CHECKPOINT_PAGES: u32 = 1_000;
/// The write-ahead log's file is cut to this length when it is longer: it grows under a burst and comes back.
pub(super) const WAL_MAX_BYTES: u64 = 32 << 20;
/// The write-ahead log between two checkpoints needs so much; SQLite removes the file at an orderly end.
const WAL_RESERVE_BYTES: u64 = 5 << 20;

/// Fills the reserve up if less than half of it is left, and, `at_start`, the write-ahead log. A disk that has no room
/// for it is no error: what there is, is there; the next call tries again.
pub(super) fn keep(connection: &Connection, reserve_bytes: u64, at_start: bool) {
    if let Err(error) = fill(connection, reserve_bytes, at_start) {
        tracing::warn!(%error, "outbox: no room for its reserve of {reserve_bytes} bytes; deliveries go on");
    }
}

fn fill(connection: &Connection, reserve_bytes: u64, at_start: bool) -> Result<(), rusqlite::Error> {
    connection.execute_batch("DROP TABLE IF EXISTS reserve")?;
    if reserve_bytes == 0 {
        return Ok(());
    }
    if free_bytes(connection)? < reserve_bytes / 2 {
        write(connection, reserve_bytes)?;
    } else if at_start {
        write(connection, WAL_RESERVE_BYTES.min(reserve_bytes / 2))?;
    }
    Ok(())
}

/// Pages in the file that hold nothing.
pub(super) fn free_bytes(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok((pragma("freelist_count")? * pragma("page_size")?).unsigned_abs())
}

/// Writes so many bytes, and frees their pages in a transaction of its own: SQLite would not write what one
/// transaction both takes and frees.
fn write(connection: &Connection, bytes: u64) -> Result<(), rusqlite::Error> {
    connection.execute_batch("CREATE TABLE reserve (filler BLOB NOT NULL)")?;
    let filled = connection
        .execute("INSERT INTO reserve (filler) VALUES (zeroblob(?1))", [bytes.cast_signed()])
        .and_then(|_one| connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_row| Ok(())));
    connection.execute_batch("DROP TABLE reserve")?;
    filled
}
