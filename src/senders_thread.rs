//! What is known of senders over restarts: read at the start, brought up to the journal's end, written now and then.
//!
//! Refuses to know: what is known of senders.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};

use anyhow::{Context, Result};
use ingest::journal::{Entry, Journal};
use ingest::senders::{FrozenSenders, Restored};
use ingest::{Senders, SendersConfig, Tails};
use record::InstantMs;

use crate::clock::{Clock, Stopwatch};
use crate::progress::Progress;

/// Name of the file in the data folder.
const FILE: &str = "senders.snapshot";
/// The file is written when so much was journaled since, for a restart reads that again.
const EVERY_BYTES: u64 = 256 << 20;
/// It is written when anything was journaled and so much time has passed since.
const EVERY_MS: i64 = 60_000;
/// Writing takes at most one part in so many of the time.
const REST: u64 = 20;

/// Senders, and the tails of RELP sessions, as the file and the journal know them. A file that cannot be used is put aside, and what the journal still
/// holds is read instead.
pub(crate) fn open(
    data_dir: &Path,
    config: &SendersConfig,
    journal: Option<&Journal>,
    tails: &Tails,
    progress: &Progress,
) -> Result<Senders> {
    let Some(journal) = journal else { return Ok(Senders::new(config)) };
    let path = &data_dir.join(FILE);
    let fresh = || Restored { senders: Senders::new(config), lsn: 0, tails: Vec::new() };
    let restored = match Senders::load(path, config) {
        Ok(Some(restored)) if restored.lsn < journal.next_lsn() => restored,
        Ok(Some(restored)) => {
            tracing::warn!(
                "{}: stands for position {}, the journal ends at {}: another journal's, not used",
                path.display(),
                restored.lsn,
                journal.next_lsn() - 1
            );
            fresh()
        }
        Ok(None) => fresh(),
        Err(error) => {
            let aside = path.with_extension("snapshot.bad");
            tracing::warn!("{}: {error}; put aside as {}", path.display(), aside.display());
            std::fs::rename(path, &aside).ok();
            fresh()
        }
    };
    let Restored { mut senders, lsn, tails: written } = restored;
    if !tails.decode(&written) {
        tracing::warn!(
            "{}: the tails of RELP sessions cannot be read: lines that are sent again now may be counted twice",
            path.display()
        );
    }
    progress.senders_lsn.store(lsn, Relaxed);
    let from = (lsn + 1).max(journal.first_lsn());
    let mut reader = journal.reader(from)?;
    let each = |entry: &Entry<'_>| tails.recover(entry.source, entry.flags, entry.frame);
    senders.replay(&mut reader, each).context("senders cannot be read from the journal")?;
    Ok(senders)
}

/// The two sides of writing; the first is `None` without a journal.
pub(crate) fn snapshots(
    data_dir: &Path,
    journaled: bool,
    clock: &Clock,
    progress: &Arc<Progress>,
) -> (Option<SenderSnapshots>, SendersThread) {
    let (jobs, receiver) = std::sync::mpsc::sync_channel(1);
    // The first one is due as soon as anything comes: a start without one reads the whole journal.
    let snapshots = SenderSnapshots { jobs, bytes: 0, begun_ms: clock() - EVERY_MS };
    let thread = SendersThread { jobs: receiver, path: data_dir.join(FILE), progress: Arc::clone(progress) };
    (journaled.then_some(snapshots), thread)
}

/// When the file is written, and by whom; owned by the journal thread.
pub(crate) struct SenderSnapshots {
    /// The thread that writes; one job at most waits.
    jobs: SyncSender<FrozenSenders>,
    /// Bytes journaled since the last one.
    pub(crate) bytes: u64,
    /// When the last one was begun.
    begun_ms: InstantMs,
}

impl SenderSnapshots {
    /// Whether it is time. `changed`: anything was journaled since the last one.
    fn due(&self, progress: &Progress, now_ms: InstantMs) -> bool {
        let passed_ms = now_ms - self.begun_ms;
        // Once the journal is full nothing is committed and no file comes any more: its segments must be free before.
        let hurry = passed_ms >= EVERY_MS || progress.journal_crowded.load(Relaxed);
        let wanted = self.bytes >= EVERY_BYTES || (self.bytes > 0 && hurry);
        let writing = progress.senders_writing.load(Relaxed);
        wanted && !writing && passed_ms.unsigned_abs() >= REST * progress.senders_write_ms.load(Relaxed)
    }

    /// Gives the writer what is known now, if it is time. Call it right after a commit: `senders` and `tails` have taken in all up
    /// to the last durable position, and nothing else.
    pub(crate) fn look(&mut self, senders: &Senders, tails: &Tails, progress: &Progress, now_ms: InstantMs) {
        if self.due(progress, now_ms) {
            progress.senders_writing.store(true, Relaxed);
            let frozen = senders.freeze(progress.durable_lsn.load(Relaxed), tails.encode());
            // Its place is free: the last job is done.
            self.jobs.try_send(frozen).ok();
            (self.bytes, self.begun_ms) = (0, now_ms);
        }
    }

    /// The last one, at the orderly end.
    pub(crate) fn finish(self, senders: &Senders, tails: &Tails, progress: &Progress) {
        // If the writer is gone it has said why.
        self.jobs.send(senders.freeze(progress.durable_lsn.load(Relaxed), tails.encode())).ok();
    }
}

/// The thread that writes.
pub(crate) struct SendersThread {
    jobs: Receiver<FrozenSenders>,
    path: PathBuf,
    progress: Arc<Progress>,
}

impl SendersThread {
    /// Writes until the journal thread has ended. A file that cannot be written is said, not fatal: the journal keeps
    /// what it should stand for.
    pub(crate) fn run(self) {
        let mut failed = false;
        for frozen in &self.jobs {
            let watch = Stopwatch::start();
            match frozen.save(&self.path) {
                Ok(_bytes) => self.progress.senders_lsn.store(frozen.lsn(), Relaxed),
                Err(error) if !failed => {
                    tracing::error!("{}: cannot be written: {error}; trying again", self.path.display());
                }
                Err(_) => {}
            }
            failed = self.progress.senders_lsn.load(Relaxed) != frozen.lsn();
            self.progress.senders_write_ms.store(watch.elapsed_ms(), Relaxed);
            self.progress.senders_writing.store(false, Relaxed);
        }
    }
}
