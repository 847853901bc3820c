//! What a start finds on disk: journal, trace store, snapshots, opened in the order that keeps them safe.
//!
//! Refuses to know: who listens, and what becomes of the records.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Result, ensure};
use ingest::journal::{Journal, JournalLock, Recovery};
use record::{FormatSet, Lsn};
use sinks::trace_store::TraceReader;
use sinks::trace_store::embedded::{self, EmbeddedWriter};

use crate::config::Config;
use crate::progress::Progress;
use crate::replay::Replay;
use crate::restore::readable;
use crate::snapshot::{self, Snapshot};

/// The node's files, open.
pub(crate) struct Opened {
    /// The journal; `None`: positions are given, nothing is kept.
    pub(crate) journal: Option<Journal>,
    /// The trace store's writer; `None`: switched off, or it cannot be opened.
    pub(crate) store: Option<EmbeddedWriter>,
    /// What pages ask.
    pub(crate) reader: Arc<dyn TraceReader>,
    /// Snapshots that can be read, newest first.
    pub(crate) snapshots: Vec<(PathBuf, Snapshot)>,
    /// The position that the next entry gets.
    pub(crate) next_lsn: Lsn,
}

impl Opened {
    /// Opens everything. Nothing is written before the journal's lock is held: it keeps a second node away from the
    /// files of the one at work.
    pub(crate) fn open(config: &Config, formats: &Arc<FormatSet>, progress: &Progress) -> Result<Self> {
        let lock = if config.journal.enabled { Some(JournalLock::take(&config.journal)?) } else { None };
        let (store, reader) = open_store(config, formats, progress);
        let stored_lsn = store.as_ref().map_or(0, EmbeddedWriter::stored_lsn);
        progress.stored_lsn.store(stored_lsn, Relaxed);
        let Some(lock) = lock else {
            let snapshots = Vec::new();
            return Ok(Self { journal: None, store, reader, snapshots, next_lsn: stored_lsn + 1 });
        };
        let dir = config.snapshot_dir();
        snapshot::remove_unfinished(&dir);
        let snapshots = readable(&dir, progress);
        let judged_lsn = snapshots.first().map_or(0, |(_, snapshot)| snapshot.lsn);
        let unneeded = judged_lsn.min(if config.traces.enabled { stored_lsn } else { Lsn::MAX });
        let (journal, recovery) = Journal::open_locked(lock, &config.journal, unneeded)?;
        say(recovery);
        check_journal_reaches(&journal, stored_lsn, config)?;
        progress.next_lsn.store(journal.next_lsn(), Relaxed);
        progress.durable_lsn.store(journal.durable_lsn(), Relaxed);
        let next_lsn = journal.next_lsn();
        Ok(Self { journal: Some(journal), store, reader, snapshots, next_lsn })
    }

    /// What the journal holds behind a position, up to what is written from now on.
    pub(crate) fn replay(&self, after: Lsn, formats: &Arc<FormatSet>) -> Result<Option<Replay>> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let from = journal.first_lsn().max(after + 1);
        if after > 0 && from > after + 1 {
            tracing::error!(
                "the journal no longer holds the positions {} to {} behind the snapshot: windows lack what they said",
                after + 1,
                from - 1
            );
        }
        Ok(Some(Replay::over(journal.reader(from)?, Arc::clone(formats), from..journal.next_lsn())))
    }
}

/// A store that cannot be opened silences nobody: the node works without it, says so, and its journal keeps everything.
fn open_store(
    config: &Config,
    formats: &Arc<FormatSet>,
    progress: &Progress,
) -> (Option<EmbeddedWriter>, Arc<dyn TraceReader>) {
    if !config.traces.enabled {
        return (None, Arc::new(crate::counters::NoTraces));
    }
    match embedded::open(config.embedded(), Arc::clone(formats)) {
        Ok((writer, reader)) => (Some(writer), Arc::new(reader)),
        Err(error) => {
            let why = format!(
                "{error}; alerts go on, records wait in the journal; move the file away and start again"
            );
            tracing::error!("{why}");
            progress.set_trouble("trace store", Some(why));
            (None, Arc::new(crate::counters::NoTraces))
        }
    }
}

fn say(recovery: Recovery) {
    if recovery.torn_bytes > 0 {
        tracing::warn!(
            "the journal's last commit was cut short by a crash: {} bytes dropped",
            recovery.torn_bytes
        );
    }
    if recovery.damaged_entries > 0 {
        tracing::error!(
            "the journal's last segment is damaged: {} entries cannot be read, all of them judged and stored already; \
             `watchroom journal verify` says where",
            recovery.damaged_entries
        );
    }
}

/// New lines must get positions above those of the stored ones, or the store would take them for repeated.
fn check_journal_reaches(journal: &Journal, stored_lsn: Lsn, config: &Config) -> Result<()> {
    ensure!(
        journal.next_lsn() > stored_lsn,
        "{}: the journal ends at position {}, but the trace store holds records up to {stored_lsn}: the journal was \
         removed or exchanged\nhint: put it back, or move the traces away ({}) to begin anew",
        config.journal.dir.display(),
        journal.next_lsn() - 1,
        config.data_dir.join("traces").display()
    );
    Ok(())
}
