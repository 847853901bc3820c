//! The store thread: gives the judged batches to the store; when the store fails, feeds it again from the journal.
//!
//! Files are made on the filing thread meanwhile. Refuses to know: how records are kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Result;
use ingest::Parcel;
use ingest::journal::{JournalError, JournalReader};
use record::{Batch, FormatSet, InstantMs, Lsn};
use sinks::trace_store::TraceError;
use sinks::trace_store::embedded::EmbeddedWriter;

use crate::clock::Clock;
use crate::progress::Progress;
use crate::replay::Replay;

/// How often the store looks after its files, and tries again after a failure.
const MAINTAIN_EVERY_MS: i64 = 1_000;

/// What the store gets, in journal order.
pub(crate) enum Judged {
    /// Records.
    Parcel(Parcel),
    /// Positions that hold time only: no rows, and no gap either.
    Ticks(RangeInclusive<Lsn>),
}

/// Everything the thread owns.
pub(crate) struct StoreThread {
    /// Judged batches in journal order.
    pub(crate) judged: Receiver<Judged>,
    /// The store.
    pub(crate) writer: EmbeddedWriter,
    /// The journal's folder; `None` without a journal.
    pub(crate) journal_dir: Option<PathBuf>,
    /// Formats of the records.
    pub(crate) formats: Arc<FormatSet>,
    /// When to maintain.
    pub(crate) clock: Clock,
    /// How far we are.
    pub(crate) progress: Arc<Progress>,
    /// What is wrong now.
    pub(crate) trouble: Option<String>,
    /// Whether the journal holds records that the store does not: they are taken up first, and what comes meanwhile with
    /// them.
    pub(crate) behind: bool,
}

impl StoreThread {
    /// Works until the judge has ended; then files what is left.
    pub(crate) fn run(mut self) -> Result<()> {
        // While the store refuses rows, batches pass by: the journal holds them.
        let mut behind = self.behind;
        if behind {
            let done = self.catch_up();
            behind = done.is_err();
            self.say(done);
        }
        self.publish();
        let mut maintained_ms = InstantMs::MIN;
        loop {
            let ended =
                match self.judged.recv_timeout(Duration::from_millis(MAINTAIN_EVERY_MS.unsigned_abs())) {
                    Ok(judged) => {
                        if !behind {
                            let appended = self.append(judged);
                            behind = matches!(appended, Err(TraceError::Behind { .. }));
                            self.say(appended);
                        }
                        false
                    }
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => true,
                };
            let now_ms = (self.clock)();
            if ended || now_ms >= maintained_ms.saturating_add(MAINTAIN_EVERY_MS) {
                maintained_ms = now_ms;
                self.writer.hold(self.progress.no_room.load(Relaxed));
                // A journal that can take nothing more waits for what is in memory here.
                let blocked = self.progress.journal_blocked.load(Relaxed);
                let mut done =
                    if ended || blocked { self.writer.flush() } else { self.writer.maintain(now_ms) };
                if behind && done.is_ok() {
                    done = self.catch_up();
                    behind = done.is_err();
                }
                self.say(done);
                self.publish();
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn append(&mut self, judged: Judged) -> Result<(), TraceError> {
        match judged {
            Judged::Parcel(parcel) => self.writer.append(&parcel.batch),
            Judged::Ticks(positions) => {
                let mut ticks = Batch::default();
                for lsn in positions {
                    ticks.push_tick(lsn, 0);
                }
                self.writer.append(&ticks)
            }
        }
    }

    /// Says it when something failed, and when it goes again.
    fn say(&mut self, done: Result<(), TraceError>) {
        let rescue = match self.journal_dir {
            Some(_) => "the journal keeps the records meanwhile",
            None => "there is no journal: what does not fit into memory is lost",
        };
        // Taking rows works while making files of them does not: that is no recovery.
        if done.is_ok() && self.writer.is_failing() {
            return;
        }
        let why = done.err().map(|error| format!("{error}; {rescue}"));
        if why != self.trouble {
            match &why {
                Some(why) => tracing::error!("{why}"),
                None => tracing::info!("trace store: works again"),
            }
            self.progress.set_trouble("trace store", why.clone());
            self.trouble = why;
        }
    }

    /// Feeds the store from the journal with everything after what it holds.
    fn catch_up(&mut self) -> Result<(), TraceError> {
        self.writer.flush()?;
        let Some(dir) = &self.journal_dir else { return Ok(()) };
        let from: Lsn = self.writer.stored_lsn() + 1;
        let corrupt = |error: &dyn std::fmt::Display| TraceError::Corrupt {
            path: dir.display().to_string(),
            message: error.to_string(),
        };
        let reader = match JournalReader::open(dir, from) {
            // Positions that nobody holds any more: the store reports the gap.
            Err(JournalError::Released { first, .. }) => JournalReader::open(dir, first),
            opened => opened,
        };
        let mut replay = Replay::new(reader.map_err(|e| corrupt(&e))?, Arc::clone(&self.formats));
        let mut batch = Batch::default();
        loop {
            // What comes meanwhile is in the journal already: it must not wait here and hold up the listeners.
            while self.judged.try_recv().is_ok() {}
            if !replay.next(&mut batch).map_err(|e| corrupt(&e))? {
                return Ok(());
            }
            self.writer.append(&batch)?;
        }
    }

    fn publish(&self) {
        let stats = self.writer.stats();
        self.progress.stored_lsn.store(stats.stored_lsn, Relaxed);
        self.progress.fresh_rows.store(stats.fresh_rows as u64, Relaxed);
        self.progress.files.store(stats.files as u64, Relaxed);
    }
}
