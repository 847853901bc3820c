//! What can go wrong with the journal, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use record::Lsn;

/// Why the journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused. After a failed write or sync nobody knows what is on the disk: end the process and start
    /// again, recovery reads what is really there. Never sync again and hope.
    #[error("journal: cannot {action} {}: {source}; restart to recover from what is on the disk", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full. Nothing is lost: keep the batch, stop reading, call again when space is free.
    #[error("journal: no space left on the disk of {}; free some, inputs wait meanwhile", path.display())]
    NoSpace {
        /// Which file could not grow.
        path: PathBuf,
    },
    /// A new segment would take what is kept free for deliveries, snapshots and pages. Nothing is lost: keep the batch,
    /// stop reading, call again when space is free.
    #[error(
        "journal: {free} bytes are free on the disk of {}, a new segment would leave less than {reserve_bytes} \
         (journal.reserve_bytes); free some, inputs wait meanwhile",
        dir.display()
    )]
    Reserve {
        /// The journal's directory.
        dir: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        reserve_bytes: u64,
    },
    /// The journal has reached its own bound. Nothing is lost: keep the batch, stop reading, call again after
    /// [`crate::journal::Journal::release`].
    #[error(
        "journal: full at {bytes} of {max_bytes} bytes (journal.max_bytes); inputs wait until the trace store has \
         caught up"
    )]
    Full {
        /// Bytes held.
        bytes: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// Something that was durable cannot be read.
    #[error(
        "journal: {} is damaged at byte {offset} (lsn {lsn}): {what}; restore the file from a copy, or move it and all later \
         segments out of the directory to go on without them",
        path.display()
    )]
    Corrupt {
        /// Which segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// Which entry should be there.
        lsn: Lsn,
        /// What is wrong.
        what: String,
    },
    /// Another process has the directory.
    #[error("journal: {} is used by another process; end it or give this one another journal.dir", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The asked position is no longer held.
    #[error("journal: lsn {lsn} is no longer held, the first is {first}")]
    Released {
        /// What was asked for.
        lsn: Lsn,
        /// The first that is held.
        first: Lsn,
    },
    /// A configuration that cannot work.
    #[error("journal: {message}")]
    Config {
        /// What is wrong and what to do.
        message: String,
    },
    /// An earlier error ended this journal.
    #[error("journal: an earlier write failed; restart to recover from what is on the disk")]
    Failed,
}

impl JournalError {
    /// Whether the same call may succeed later without a restart (the disk or the journal is full).
    pub fn is_full(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Reserve { .. } | Self::Full { .. })
    }

    /// A sync that failed, whatever the reason: a later one may report success for what this one has dropped.
    pub(super) fn sync(path: &Path, source: io::Error) -> Self {
        Self::Io { action: "sync", path: path.to_path_buf(), source }
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path: path.to_path_buf() }
            }
            _ => Self::Io { action, path: path.to_path_buf(), source },
        }
    }
}
