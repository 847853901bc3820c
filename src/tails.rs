//! What RELP senders sent last, read back from the journal's end before anything is received.
//!
//! Refuses to know: how a line that was sent again is recognised.

use anyhow::Result;
use ingest::journal::{EntryKind, JournalError};
use ingest::{Journal, Tails};

/// Positions at the journal's end that are read: a sender's window is 128 lines, and a node has many senders.
const RECENT_ENTRIES: u64 = 200_000;

/// Feeds the tails with the journal's last entries.
pub(crate) fn recover(journal: &Journal, tails: &Tails) -> Result<()> {
    let next_lsn = journal.next_lsn();
    let first_lsn = journal.first_lsn().max(next_lsn.saturating_sub(RECENT_ENTRIES));
    if first_lsn >= next_lsn {
        return Ok(());
    }
    let mut reader = journal.reader(first_lsn)?;
    loop {
        match reader.next() {
            Ok(Some(entry)) if entry.kind == EntryKind::Frame => {
                tails.recover(entry.source, entry.flags, entry.frame);
            }
            Ok(Some(_tick)) => {}
            Ok(None) => return Ok(()),
            // If anybody else needs these entries, he will not start without them.
            Err(error @ JournalError::Corrupt { .. }) => {
                tracing::warn!("{error}: what RELP senders without eid send again now is not recognised");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}
