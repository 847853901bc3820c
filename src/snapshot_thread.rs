//! Taking snapshots: the judge's side says when and copies the state, a thread of its own writes it down.
//!
//! The judge is held up only while it copies: at most one part in [`SHARE`] of its time. The same thread looks after the
//! room on the disk. Refuses to know: what a snapshot holds.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use ingest::journal::free_bytes;
use record::Lsn;

use crate::clock::Stopwatch;
use crate::progress::Progress;
use crate::snapshot::{self, Snapshot};

/// Taking one may cost one part in so many of the judge's time.
const SHARE: u64 = 20;
/// No position: whatever is judged, a snapshot is due.
const NONE: Lsn = Lsn::MAX;
/// How often the room on the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The judge's side.
pub(crate) struct Snapshots {
    jobs: SyncSender<Snapshot>,
    /// Whether the writer still has one to write.
    busy: Arc<AtomicBool>,
    progress: Arc<Progress>,
    /// The least time between two; `None`: none are taken.
    interval_ms: Option<u64>,
    /// Time until the next one.
    wait_ms: u64,
    since: Stopwatch,
    last_lsn: Lsn,
}

/// The writer's side.
pub(crate) struct SnapshotThread {
    jobs: Receiver<Snapshot>,
    busy: Arc<AtomicBool>,
    /// Where the files go.
    dir: PathBuf,
    /// The directory whose file system must not run full, and the bytes that must stay free.
    room: (PathBuf, u64),
    progress: Arc<Progress>,
}

/// Both sides. `interval_ms`: the least time between two snapshots, `None`: none are taken; `from_lsn`: what the newest one on disk stands for.
pub(crate) fn snapshots(
    dir: PathBuf,
    room: (PathBuf, u64),
    interval_ms: Option<u64>,
    from_lsn: Lsn,
    progress: &Arc<Progress>,
) -> (Snapshots, SnapshotThread) {
    let (jobs, receiver) = std::sync::mpsc::sync_channel(1);
    let busy = Arc::new(AtomicBool::new(false));
    let side = Snapshots {
        jobs,
        busy: Arc::clone(&busy),
        progress: Arc::clone(progress),
        interval_ms,
        wait_ms: interval_ms.unwrap_or(u64::MAX),
        since: Stopwatch::start(),
        last_lsn: from_lsn,
    };
    let thread = SnapshotThread { jobs: receiver, busy, dir, room, progress: Arc::clone(progress) };
    (side, thread)
}

impl Snapshots {
    /// Takes one if it is time, something was judged since the last, and the writer is free. `take` copies the state as
    /// of a position; `None`: it cannot be taken now.
    pub(crate) fn when_due(&mut self, lsn: Lsn, take: impl FnOnce() -> Option<Snapshot>) {
        if lsn == self.last_lsn || self.since.elapsed_ms() < self.wait_ms {
            return;
        }
        self.since = Stopwatch::start();
        self.wait_ms = self.interval_ms.unwrap_or(u64::MAX);
        if self.busy.load(Relaxed) {
            self.progress.note_snapshot(|known| known.skipped += 1);
            return;
        }
        self.take(lsn, take);
    }

    /// Takes one at once: what is on disk means something else. If it cannot be taken now, it is as soon as it can.
    pub(crate) fn now(&mut self, lsn: Lsn, take: impl FnOnce() -> Option<Snapshot>) {
        if self.interval_ms.is_some() {
            (self.last_lsn, self.wait_ms) = (NONE, 0);
            self.take(lsn, take);
        }
    }

    /// Takes the last one of an orderly end, waiting for the writer if it must.
    pub(crate) fn last(mut self, lsn: Lsn, take: impl FnOnce() -> Option<Snapshot>) {
        if lsn != self.last_lsn && self.interval_ms.is_some() {
            self.take(lsn, take);
        }
    }

    fn take(&mut self, lsn: Lsn, take: impl FnOnce() -> Option<Snapshot>) {
        let watch = Stopwatch::start();
        let Some(snapshot) = take() else { return };
        let took_ms = watch.elapsed_ms();
        self.wait_ms = self.interval_ms.unwrap_or(u64::MAX).max(SHARE * took_ms);
        self.last_lsn = lsn;
        self.progress.note_snapshot(|known| known.took_ms = took_ms);
        self.busy.store(true, Relaxed);
        // The writer ends after the judge; if it is gone, the process is ending because it panicked.
        drop(self.jobs.send(snapshot));
    }
}

impl SnapshotThread {
    /// Works until the judge has ended.
    pub(crate) fn run(self) {
        let mut low = None;
        loop {
            match self.jobs.recv_timeout(LOOK_EVERY) {
                Ok(snapshot) => {
                    self.write(&snapshot);
                    self.busy.store(false, Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_at_room(&mut low);
        }
    }

    fn write(&self, taken: &Snapshot) {
        let watch = Stopwatch::start();
        match snapshot::write(&self.dir, taken) {
            Ok(bytes) => {
                let before = self.progress.snapshot_lsn.swap(taken.lsn, Relaxed);
                // One of the same position takes the place of the last, and leaves the one before it where it is.
                if before != taken.lsn {
                    self.progress.snapshot_before_lsn.store(before, Relaxed);
                }
                self.progress.set_trouble("snapshots", None);
                self.progress.note_snapshot(|known| {
                    known.lsn = taken.lsn;
                    known.state_hash = taken.state_hash;
                    known.taken_ms = Some(taken.taken_ms);
                    known.bytes = bytes;
                    known.wrote_ms = watch.elapsed_ms();
                    known.written += 1;
                });
            }
            Err(error) => {
                let why = format!("{error:#}; a restart replays more of the journal, which is kept for it");
                tracing::error!("snapshots: {why}");
                self.progress.set_trouble("snapshots", Some(why));
                self.progress.note_snapshot(|known| known.failed += 1);
            }
        }
    }

    /// Says when the disk is so full that only pages, deliveries and snapshots may still grow.
    fn look_at_room(&self, low: &mut Option<bool>) {
        let (dir, reserve_bytes) = &self.room;
        let Ok(free) = free_bytes(dir) else { return };
        let short = free < *reserve_bytes;
        self.progress.no_room.store(short, Relaxed);
        if low.replace(short) == Some(short) {
            return;
        }
        let why = short.then(|| {
            format!(
                "{} has {free} bytes free, less than journal.reserve_bytes ({reserve_bytes}): no new journal segment and no \
                 trace file is begun, inputs wait when the open segment is full; free some",
                dir.display()
            )
        });
        match &why {
            Some(why) => tracing::error!("disk: {why}"),
            None => tracing::info!("disk: {free} bytes free in {}", dir.display()),
        }
        self.progress.set_trouble("disk", why);
    }
}
