//! The journal thread: gives positions, makes batches durable, passes them to the judge in order.
//!
//! Refuses to know: what the records say.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, SyncSender};
use std::time::Duration;

use anyhow::{Context, Result};
use ingest::journal::{Journal, JournalError};
use ingest::{InboxReceiver, Parcel, Senders, Tails, kill_point};
use record::{FormatSet, InstantMs, Lsn};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::progress::Progress;
use crate::senders_thread::SenderSnapshots;

/// Without a frame for so long, time itself becomes an entry.
const TICK_MS: i64 = 1_000;
/// How long a full disk is left alone before the next try.
const FULL_RETRY: Duration = Duration::from_millis(500);
/// So many tries are made after the node was told to stop: 10 seconds. Whoever stops it does not wait for ever.
const STOP_TRIES_MAX: u32 = 20;
/// A group commit takes what waits, up to this many bytes: on a slow disk one sync then carries more lines.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// How often room is made in the journal, and senders are looked at.
const RELEASE_EVERY_MS: i64 = 1_000;

/// What the judge gets, in journal order.
pub(crate) enum Entry {
    /// Records.
    Parcel(Parcel),
    /// Time.
    Tick {
        /// Its position.
        lsn: Lsn,
        /// The receive time that it stands for.
        recv_ms: InstantMs,
    },
}

/// Everything the thread owns.
pub(crate) struct JournalThread {
    /// Where parcels come from.
    pub(crate) inbox: InboxReceiver,
    /// The journal; `None`: positions are given, nothing is kept.
    pub(crate) journal: Option<Journal>,
    /// First position without a journal.
    pub(crate) next_lsn: Lsn,
    /// Bytes at which the journal keeps only what a restart needs.
    pub(crate) crowded_bytes: u64,
    /// Records of this much receive time are kept even if no restart needs them.
    pub(crate) retention_ms: i64,
    /// Whether somebody stores records (else the journal alone decides what is kept).
    pub(crate) store_enabled: bool,
    /// The judge.
    pub(crate) judge: SyncSender<Entry>,
    /// Formats of the records.
    pub(crate) formats: Arc<FormatSet>,
    /// The clock of tick entries.
    pub(crate) clock: Clock,
    /// Whether the node was told to stop.
    pub(crate) shutdown: watch::Receiver<bool>,
    /// How far we are.
    pub(crate) progress: Arc<Progress>,
    /// Who sends; recognises what was sent again.
    pub(crate) senders: Senders,
    /// The ends of RELP sessions as far as they are in the journal, to be written down along with the senders.
    pub(crate) tails: Tails,
    /// Writes down what is known of senders; `None` without a journal.
    pub(crate) sender_snapshots: Option<SenderSnapshots>,
}

/// Positions that a receive time had reached, to know what is old enough to go.
struct Marks(VecDeque<(InstantMs, Lsn)>);

impl JournalThread {
    /// Works until all listeners are gone and everything they handed over is durable and passed on.
    pub(crate) fn run(mut self) -> Result<()> {
        let mut waiting: Vec<Entry> = Vec::new();
        let mut last_entry_ms = (self.clock)();
        let mut released_ms = last_entry_ms;
        let mut marks = Marks(VecDeque::new());
        loop {
            let now_ms = (self.clock)();
            let ended =
                match self.inbox.recv_timeout(self.patience(now_ms, last_entry_ms, !waiting.is_empty())) {
                    Ok(parcel) => {
                        self.take(parcel, &mut waiting)?;
                        last_entry_ms = now_ms;
                        false
                    }
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => true,
                };
            let now_ms = (self.clock)();
            if !ended && waiting.is_empty() && now_ms - last_entry_ms >= TICK_MS {
                let lsn = self.tick(now_ms)?;
                waiting.push(Entry::Tick { lsn, recv_ms: now_ms });
                last_entry_ms = now_ms;
            }
            if ended || self.commit_due(now_ms, !waiting.is_empty()) {
                self.commit(&mut waiting)?;
            }
            if let Some(snapshots) = self.sender_snapshots.as_mut().filter(|_| waiting.is_empty()) {
                snapshots.look(&self.senders, &self.tails, &self.progress, now_ms);
            }
            if now_ms - released_ms >= RELEASE_EVERY_MS {
                released_ms = now_ms;
                self.senders.tick(now_ms);
                self.progress.set_senders(self.senders.view(now_ms));
                marks.note(now_ms, self.progress.durable_lsn.load(Relaxed));
                self.release(&mut marks, now_ms)?;
            }
            if ended {
                if let Some(snapshots) = self.sender_snapshots.take() {
                    snapshots.finish(&self.senders, &self.tails, &self.progress);
                }
                return Ok(());
            }
        }
    }

    /// How long nothing needs to be done unless a parcel comes.
    fn patience(&self, now_ms: InstantMs, last_entry_ms: InstantMs, uncommitted: bool) -> Duration {
        let until_tick = (last_entry_ms + TICK_MS - now_ms).clamp(1, TICK_MS);
        let until_commit = match &self.journal {
            Some(journal) if uncommitted => journal.commit_wait_ms(now_ms).unwrap_or(0),
            _ => u64::MAX,
        };
        Duration::from_millis(until_commit.min(until_tick.unsigned_abs()))
    }

    /// Appends a parcel, and those that wait behind it while the group has room.
    fn take(&mut self, first: Parcel, waiting: &mut Vec<Entry>) -> Result<()> {
        let mut next = Some(first);
        while let Some(mut parcel) = next {
            kill_point("K1");
            self.senders.filter(&mut parcel);
            if let Some(snapshots) = &mut self.sender_snapshots {
                snapshots.bytes += parcel.batch.bytes.len() as u64;
            }
            self.append(&mut parcel)?;
            self.tails.note(&parcel.batch);
            waiting.push(Entry::Parcel(parcel));
            let room = self.journal.as_ref().is_none_or(|j| j.pending_bytes() < GROUP_BYTES_MAX);
            next = if room && waiting.len() < 64 { self.inbox.try_recv().ok() } else { None };
        }
        Ok(())
    }

    fn append(&mut self, parcel: &mut Parcel) -> Result<()> {
        let Some(journal) = &mut self.journal else {
            for row in &mut parcel.batch.rows {
                row.lsn = self.next_lsn;
                self.next_lsn += 1;
            }
            return Ok(());
        };
        let (formats, batch) = (&self.formats, &mut parcel.batch);
        let room =
            Room { progress: &self.progress, store_enabled: self.store_enabled, shutdown: &self.shutdown };
        room.wait(journal, |journal| journal.append(batch, formats)).context("the journal cannot be written")
    }

    fn tick(&mut self, now_ms: InstantMs) -> Result<Lsn> {
        let Some(journal) = &mut self.journal else {
            self.next_lsn += 1;
            return Ok(self.next_lsn - 1);
        };
        let room =
            Room { progress: &self.progress, store_enabled: self.store_enabled, shutdown: &self.shutdown };
        room.wait(journal, |journal| journal.append_tick(now_ms)).context("the journal cannot be written")
    }

    /// Parcels of which nothing was left do not wait: what they repeat is durable when nothing is pending.
    fn commit_due(&self, now_ms: InstantMs, uncommitted: bool) -> bool {
        let due = |journal: &Journal| {
            journal.commit_due(now_ms) || uncommitted && journal.commit_wait_ms(now_ms).is_none()
        };
        self.journal.as_ref().is_none_or(due)
    }

    /// Makes durable what was appended, and passes it on in order.
    fn commit(&mut self, waiting: &mut Vec<Entry>) -> Result<()> {
        let (durable, next) = match &mut self.journal {
            Some(journal) => {
                let room = Room {
                    progress: &self.progress,
                    store_enabled: self.store_enabled,
                    shutdown: &self.shutdown,
                };
                let durable = room.wait(journal, Journal::commit).context(
                    "the journal cannot be made durable; what was not acknowledged will be sent again",
                )?;
                (durable, journal.next_lsn())
            }
            None => (self.next_lsn - 1, self.next_lsn),
        };
        let now_ms = (self.clock)();
        self.progress.durable_lsn.store(durable, Relaxed);
        self.progress.next_lsn.store(next, Relaxed);
        self.progress.commit_ms.store(now_ms, Relaxed);
        kill_point("K3");
        for mut entry in waiting.drain(..) {
            if let Entry::Parcel(parcel) = &mut entry {
                parcel.durable();
                let rows = &parcel.batch.rows;
                let recv_ms = rows.last().and_then(|row| row.recv_ms);
                parcel.ledger().add_committed(rows.len() as u64, parcel.repeated, recv_ms);
                if rows.is_empty() {
                    continue;
                }
            }
            self.judge.send(entry).ok().context("the judge has ended")?;
        }
        Ok(())
    }

    /// Gives back segments that no restart needs and that are old enough; when the journal is crowded, whatever their age.
    fn release(&mut self, marks: &mut Marks, now_ms: InstantMs) -> Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let bytes = journal.disk_bytes();
        self.progress.journal_bytes.store(bytes, Relaxed);
        let old = marks.reached(now_ms.saturating_sub(self.retention_ms));
        let crowded = bytes > self.crowded_bytes;
        self.progress.journal_crowded.store(crowded, Relaxed);
        let unneeded = self.progress.unneeded_lsn(self.store_enabled, crowded);
        let up_to = if crowded { unneeded } else { old.min(unneeded) };
        journal.release(up_to + 1).context("old journal segments cannot be removed")?;
        Ok(())
    }
}

/// What a write that finds no room looks at while it waits.
struct Room<'a> {
    progress: &'a Progress,
    store_enabled: bool,
    shutdown: &'a watch::Receiver<bool>,
}

impl Room<'_> {
    /// Repeats a write while the disk, or what the journal may take of it, is full. Inputs wait meanwhile; pages and
    /// deliveries go on, and what is judged and filed meanwhile makes room. A node that was told to stop gives up after
    /// a while, and with it what was received but is not in the journal: only RELP senders send that again.
    fn wait<T>(
        &self,
        journal: &mut Journal,
        mut write: impl FnMut(&mut Journal) -> Result<T, JournalError>,
    ) -> Result<T> {
        let mut full = false;
        let mut tries_left = STOP_TRIES_MAX;
        loop {
            match write(journal) {
                Err(error) if error.is_full() => {
                    if !std::mem::replace(&mut full, true) {
                        self.tell(Some(format!("{error}; inputs wait until there is room")));
                    }
                    if *self.shutdown.borrow() {
                        tries_left -= 1;
                        if tries_left == 0 {
                            return Err(error).context(
                                "told to stop while there was no room: what was not acknowledged is given up, RELP \
                                 senders will send it again; make room before the next start",
                            );
                        }
                    }
                    std::thread::sleep(FULL_RETRY);
                    journal.release(self.progress.unneeded_lsn(self.store_enabled, true) + 1)?;
                }
                done => {
                    if full {
                        tracing::info!("the journal has room again");
                        self.tell(None);
                    }
                    return Ok(done?);
                }
            }
        }
    }

    /// Says on the board, in the log and in the metrics whether inputs wait.
    fn tell(&self, why: Option<String>) {
        if let Some(why) = &why {
            tracing::error!("{why}");
        }
        self.progress.journal_blocked.store(why.is_some(), Relaxed);
        self.progress.set_trouble("journal", why);
    }
}

impl Marks {
    /// At `now_ms` everything up to `lsn` had been received.
    fn note(&mut self, now_ms: InstantMs, lsn: Lsn) {
        if self.0.back().is_none_or(|(at_ms, _)| now_ms - at_ms >= 60_000) {
            self.0.push_back((now_ms, lsn));
        }
    }

    /// The position that was reached at `instant_ms`; 0 if that is not known.
    fn reached(&mut self, instant_ms: InstantMs) -> Lsn {
        let mut lsn = 0;
        while let Some((_, reached)) = self.0.front().filter(|(at_ms, _)| *at_ms <= instant_ms) {
            lsn = *reached;
            if self.0.get(1).is_none_or(|(at_ms, _)| *at_ms > instant_ms) {
                break;
            }
            self.0.pop_front();
        }
        lsn
    }
}
