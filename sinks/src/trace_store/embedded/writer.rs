//! The writer: takes batches, decides which rows make a file, has it made.
//!
//! While a file is made the next rows are taken; never more than one file's rows wait for that.
//! Refuses to know: how files are encoded and kept, what readers ask, what time it is.

use std::sync::Arc;

use record::{Batch, InstantMs, Lsn, RowFlags};

use super::files::hour_of;
use super::filing::{Desk, Filer, FilingWork, Order, Sealed};
use super::fresh::Fresh;
use super::schema::Places;
use super::{EmbeddedConfig, Gap, Shared};
use crate::trace_store::TraceError;

/// Gaps remembered; more are only counted.
const GAPS_MAX: usize = 100;

/// Counts since the store was opened, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub file_bytes: u64,
    /// Rows in files.
    pub file_rows: u64,
    /// Everything up to this position is in files.
    pub stored_lsn: Lsn,
    /// Rows in memory, those included of which a file is being made.
    pub fresh_rows: usize,
    /// Bytes they take.
    pub fresh_bytes: usize,
    /// Rows taken.
    pub rows_taken: u64,
    /// Rows ignored because they were there already.
    pub rows_repeated: u64,
    /// Times that making a file failed.
    pub flush_failures: u64,
    /// Files made by joining others.
    pub merges: u64,
    /// Files removed because of their age.
    pub expired_files: u64,
    /// Gaps seen.
    pub gaps: u64,
}

/// The only writer of a store; owned by one thread.
#[derive(Debug)]
pub struct EmbeddedWriter {
    config: EmbeddedConfig,
    shared: Arc<Shared>,
    places: Places,
    desk: Desk,
    /// Last position taken.
    last: Lsn,
    /// Receive hour of the rows in memory.
    hour: Option<i64>,
    /// The last such hour: where rows without any time belong.
    latest_hour: i64,
    /// When `maintain` first saw the rows in memory.
    waiting_since_ms: Option<InstantMs>,
    /// No files may be made now.
    held: bool,
    /// Rows were refused; only the next position is taken.
    behind: bool,
    gaps: Vec<Gap>,
    counts: StoreStats,
}

/// Why `take` stopped.
enum Stop {
    End,
    /// At this row: it belongs into another file.
    Cut(usize),
    /// Nothing more can be kept.
    Full,
}

impl EmbeddedWriter {
    pub(super) fn new(config: EmbeddedConfig, shared: Arc<Shared>) -> Self {
        let places = Places::new(&shared.formats);
        let known = Arc::clone(&shared.read().files);
        let desk = Desk::Here(Box::new(Filer::new(config.clone(), Arc::clone(&shared))));
        let mut writer = Self {
            config,
            shared,
            places,
            desk,
            last: known.last().map_or(0, |file| file.name.last),
            hour: None,
            latest_hour: known.last().map_or(0, |file| file.name.hour),
            waiting_since_ms: None,
            held: false,
            behind: false,
            gaps: Vec::new(),
            counts: StoreStats::default(),
        };
        for (a, b) in known.iter().zip(known.iter().skip(1)) {
            writer.see_gap(a.name.last, b.name.first);
        }
        writer
    }

    /// From now on files are made by whoever runs the answer, on a thread of its own, while this takes rows. `None`:
    /// that was asked for before. If the work ends before the writer is dropped, making files fails.
    pub fn split(&mut self) -> Option<FilingWork> {
        self.desk.give_away()
    }

    /// Everything up to this position is durably in files; 0 if nothing is. Replay of the journal starts behind it.
    pub fn stored_lsn(&self) -> Lsn {
        self.shared.read().stored_lsn()
    }

    /// Whether rows wait because making a file of them failed.
    pub fn is_failing(&self) -> bool {
        self.shared.read().filed.failing
    }

    /// Positions that were never fed or whose files are gone (the first hundred).
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// What it holds and what happened.
    pub fn stats(&self) -> StoreStats {
        let state = self.shared.read();
        StoreStats {
            files: state.files.len(),
            file_bytes: state.files.iter().map(|f| f.bytes).sum(),
            file_rows: state.files.iter().map(|f| f.name.rows).sum(),
            stored_lsn: state.stored_lsn(),
            fresh_rows: state.in_memory().map(|fresh| fresh.rows.len()).sum(),
            fresh_bytes: state.used_bytes(),
            flush_failures: state.filed.failures,
            merges: state.filed.merges,
            expired_files: state.filed.expired_files,
            ..self.counts
        }
    }

    /// Takes the rows of a batch, which are in LSN order. Readers see them when this returns.
    ///
    /// Ticks advance the position and are no rows. Positions at or below the last one taken are ignored, so a
    /// replay doubles nothing and feeding a batch again is always safe. A jump ahead is reported as a gap.
    ///
    /// Errors: [`TraceError::Behind`]: rows from `stored_lsn() + 1` or later were refused; stop feeding, call
    /// [`Self::maintain`] or [`Self::flush`] until it works, then feed from `stored_lsn() + 1`; until then later
    /// positions are refused too. [`TraceError::Unnumbered`]: a row has LSN 0, the rows before it were taken.
    /// Any other: all rows were taken and wait in memory, but making a file of them, or of earlier ones, failed; it
    /// is tried again by [`Self::maintain`].
    pub fn append(&mut self, batch: &Batch) -> Result<(), TraceError> {
        let mut failure = self.desk.poll();
        let mut at = 0;
        loop {
            match self.take(batch, at)? {
                Stop::End => return failure,
                Stop::Cut(index) => {
                    at = index;
                    let filed = self.file();
                    if filed.is_err() {
                        failure = filed;
                    }
                }
                Stop::Full => {
                    self.behind = true;
                    let stats = self.stats();
                    return Err(TraceError::Behind {
                        buffered_bytes: stats.fresh_bytes,
                        stored_lsn: stats.stored_lsn,
                    });
                }
            }
        }
    }

    /// Copies rows from `at` on as long as they belong into the same file.
    fn take(&mut self, batch: &Batch, at: usize) -> Result<Stop, TraceError> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        let mut sources = vec![u32::MAX; batch.sources.len()];
        let failing = state.filed.failing;
        for (index, row) in batch.rows.iter().enumerate().skip(at) {
            if row.lsn == 0 {
                return Err(TraceError::Unnumbered);
            }
            if row.lsn <= self.last {
                self.counts.rows_repeated += u64::from(!row.flags.has(RowFlags::TICK));
                continue;
            }
            let jump = self.last != 0 && row.lsn != self.last + 1;
            if jump && (self.behind || failing) {
                return Ok(Stop::Full);
            }
            let tick = row.flags.has(RowFlags::TICK);
            let hour = row.recv_ms.or(row.event_ms).map_or(self.latest_hour, hour_of);
            let full = state.fresh.used_bytes() >= self.config.max_buffer();
            let other_hour = !tick && self.hour.is_some_and(|open| hour > open || hour < open - 1);
            if !failing && !state.fresh.rows.is_empty() && (full || other_hour || jump) {
                return Ok(Stop::Cut(index));
            }
            if failing && state.used_bytes() >= 2 * self.config.max_buffer() {
                return Ok(Stop::Full);
            }
            if jump {
                state.fresh.range = None;
                self.see_gap(self.last, row.lsn);
            }
            self.behind = false;
            self.last = row.lsn;
            if tick {
                state.fresh.cover(row.lsn);
                continue;
            }
            self.latest_hour = *self.hour.get_or_insert(hour);
            self.counts.rows_taken += 1;
            let record = batch.record(index, &shared.formats);
            let source = source(&mut state.fresh, batch, row.source, &mut sources);
            state.fresh.push(record, source, self.places.of(row.format));
        }
        Ok(Stop::End)
    }

    /// Whether to make no files from now on because the disk must not run full: flushing fails, rows stay in memory.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Makes files of all rows in memory, durably. Nothing to do is fine. After an error they stay in memory.
    pub fn flush(&mut self) -> Result<(), TraceError> {
        if let Err(error) = self.desk.settle() {
            tracing::debug!(%error, "tried again");
        }
        self.allowed()?;
        // Rows that are still sealed could not be written before.
        let sealed = self.shared.read().sealed.is_some();
        if sealed {
            self.desk.give(Order::File)?;
            self.desk.settle()?;
        }
        self.file()?;
        self.desk.settle()
    }

    /// Begins to make a file of the rows in memory; waits for the one before it.
    fn file(&mut self) -> Result<(), TraceError> {
        self.desk.settle()?;
        self.allowed()?;
        if self.seal() { self.desk.give(Order::File) } else { Ok(()) }
    }

    /// An error if there is something to file and it must not be.
    fn allowed(&mut self) -> Result<(), TraceError> {
        let mut state = self.shared.write();
        if !self.held || state.in_memory().all(|fresh| fresh.rows.is_empty()) {
            return Ok(());
        }
        state.filed.failing = true;
        state.filed.failures += 1;
        Err(TraceError::NoRoom)
    }

    /// Sealed rows are fixed; readers go on seeing them. False: there is nothing to seal, or no room for it.
    fn seal(&mut self) -> bool {
        let mut state = self.shared.write();
        if state.fresh.rows.is_empty() || state.sealed.is_some() {
            return false;
        }
        let spare = state.spare.take().unwrap_or_default();
        let rows = std::mem::replace(&mut state.fresh, spare);
        state.sealed = Some(Arc::new(Sealed { rows, hour: self.hour.take().unwrap_or_default() }));
        self.waiting_since_ms = None;
        true
    }

    /// What has to be done now and then (once a second is right): makes a file of rows that waited long enough
    /// or whose file failed, joins small files, removes old ones. `now_ms`: the time.
    ///
    /// Errors: as [`Self::append`], and what keeps files from being joined or removed.
    pub fn maintain(&mut self, now_ms: InstantMs) -> Result<(), TraceError> {
        self.desk.poll()?;
        let (failing, waiting) = {
            let state = self.shared.read();
            (state.filed.failing, !state.fresh.rows.is_empty())
        };
        if failing {
            self.flush()?;
        } else if waiting {
            let since = *self.waiting_since_ms.get_or_insert(now_ms);
            let waited_ms = now_ms.saturating_sub(since);
            if waited_ms >= i64::from(self.config.flush_after_s) * 1_000 {
                self.file()?;
            }
        }
        if self.desk.is_busy() {
            return Ok(());
        }
        self.desk.give(Order::Tidy { now_ms, join: !self.held })
    }

    fn see_gap(&mut self, before: Lsn, after: Lsn) {
        if after <= before + 1 {
            return;
        }
        let gap = Gap { first: before + 1, last: after - 1 };
        tracing::warn!(
            first = gap.first,
            last = gap.last,
            "positions of the journal are not in the trace store"
        );
        self.counts.gaps += 1;
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(gap);
        }
    }
}

/// Index of a batch's source among the sources in memory; looked up once a batch.
fn source(fresh: &mut Fresh, batch: &Batch, index: u16, known: &mut [u32]) -> u32 {
    match known.get_mut(usize::from(index)) {
        Some(slot) if *slot != u32::MAX => *slot,
        Some(slot) => {
            *slot = fresh.source(&batch.sources[usize::from(index)]);
            *slot
        }
        None => fresh.source(&Arc::from("")),
    }
}
