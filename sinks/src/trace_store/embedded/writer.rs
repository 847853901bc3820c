//! The writer: takes batches, makes files, keeps them few and young enough.
//!
//! Refuses to know: how files are encoded, what readers ask, what time it is.

use std::collections::VecDeque;
use std::sync::Arc;

use record::{Batch, InstantMs, Lsn, RowFlags};

use super::encode::encode;
use super::files::{self, FileName, TraceFile, hour_of, hour_start_ms};
use super::fresh::Fresh;
use super::schema::Places;
use super::{EmbeddedConfig, Gap, Shared, merge};
use crate::trace_store::TraceError;

/// Gaps remembered; more are only counted.
const GAPS_MAX: usize = 100;
const DAY_MS: i64 = 86_400_000;

/// Counts since the store was opened, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub file_bytes: u64,
    /// Rows in files.
    pub file_rows: u64,
    /// Rows in memory.
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
    /// Last position in files.
    stored: Lsn,
    /// Last position taken.
    last: Lsn,
    /// Receive hour of the rows in memory.
    hour: Option<i64>,
    /// The last such hour: where rows without any time belong.
    latest_hour: i64,
    /// When `maintain` first saw the rows in memory.
    waiting_since_ms: Option<InstantMs>,
    /// Making a file failed and has not worked since.
    failing: bool,
    /// No files may be made now.
    held: bool,
    /// Rows were refused; only the next position is taken.
    behind: bool,
    /// Files that are no longer part of the store but may still be read.
    retired: VecDeque<Arc<TraceFile>>,
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
        let stored = known.last().map_or(0, |file| file.name.last);
        let mut writer = Self {
            config,
            shared,
            places,
            stored,
            last: stored,
            hour: None,
            latest_hour: known.last().map_or(0, |file| file.name.hour),
            waiting_since_ms: None,
            failing: false,
            held: false,
            behind: false,
            retired: VecDeque::new(),
            gaps: Vec::new(),
            counts: StoreStats::default(),
        };
        for (a, b) in known.iter().zip(known.iter().skip(1)) {
            writer.see_gap(a.name.last, b.name.first);
        }
        writer
    }

    /// Everything up to this position is durably in files; 0 if nothing is. Replay of the journal starts behind it.
    pub fn stored_lsn(&self) -> Lsn {
        self.stored
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
            fresh_rows: state.fresh.rows.len(),
            fresh_bytes: state.fresh.used_bytes(),
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
    /// Any other: all rows were taken and wait in memory, but making a file of them failed; it is tried again
    /// by [`Self::maintain`].
    pub fn append(&mut self, batch: &Batch) -> Result<(), TraceError> {
        let mut failure = Ok(());
        let mut at = 0;
        loop {
            match self.take(batch, at)? {
                Stop::End => return failure,
                Stop::Cut(index) => {
                    at = index;
                    let flushed = self.flush();
                    if flushed.is_err() {
                        failure = flushed;
                    }
                }
                Stop::Full => {
                    self.behind = true;
                    return Err(TraceError::Behind {
                        buffered_bytes: self.shared.read().fresh.used_bytes(),
                        stored_lsn: self.stored,
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
        for (index, row) in batch.rows.iter().enumerate().skip(at) {
            if row.lsn == 0 {
                return Err(TraceError::Unnumbered);
            }
            if row.lsn <= self.last {
                self.counts.rows_repeated += u64::from(!row.flags.has(RowFlags::TICK));
                continue;
            }
            let jump = self.last != 0 && row.lsn != self.last + 1;
            if jump && (self.behind || self.failing) {
                return Ok(Stop::Full);
            }
            let tick = row.flags.has(RowFlags::TICK);
            let hour = row.recv_ms.or(row.event_ms).map_or(self.latest_hour, hour_of);
            let full = state.fresh.used_bytes() >= self.config.max_buffer();
            let other_hour = !tick && self.hour.is_some_and(|open| hour > open || hour < open - 1);
            if !self.failing && !state.fresh.rows.is_empty() && (full || other_hour || jump) {
                return Ok(Stop::Cut(index));
            }
            if self.failing && state.fresh.used_bytes() >= 2 * self.config.max_buffer() {
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

    /// Makes a file of the rows in memory, durably. Nothing to do is fine. After an error they stay in memory.
    pub fn flush(&mut self) -> Result<(), TraceError> {
        if self.held && !self.shared.read().fresh.rows.is_empty() {
            self.failing = true;
            self.counts.flush_failures += 1;
            return Err(TraceError::NoRoom);
        }
        let Some(sealed) = self.seal() else { return Ok(()) };
        let written = self.write(&sealed);
        let mut state = self.shared.write();
        state.sealed = None;
        let mut rows = Arc::try_unwrap(sealed).unwrap_or_else(|shared| (*shared).clone());
        match written {
            Ok(file) => {
                self.stored = file.name.last;
                Arc::make_mut(&mut state.files).push(Arc::new(file));
                rows.clear();
                state.fresh = rows;
                self.hour = None;
                self.waiting_since_ms = None;
                self.failing = false;
                Ok(())
            }
            Err(error) => {
                state.fresh = rows;
                self.failing = true;
                self.counts.flush_failures += 1;
                Err(error)
            }
        }
    }

    /// Rows in memory are fixed while they are written; readers go on seeing them.
    fn seal(&self) -> Option<Arc<Fresh>> {
        let mut state = self.shared.write();
        if state.fresh.rows.is_empty() {
            return None;
        }
        let sealed = Arc::new(std::mem::take(&mut state.fresh));
        state.sealed = Some(Arc::clone(&sealed));
        Some(sealed)
    }

    fn write(&self, rows: &Arc<Fresh>) -> Result<TraceFile, TraceError> {
        let times = || rows.rows.iter().map(super::fresh::FreshRow::filing_ms);
        let (first, last) = rows.range.unwrap_or_default();
        let name = FileName {
            hour: self.hour.unwrap_or_default(),
            first,
            last,
            event_min: times().min().unwrap_or_default(),
            event_max: times().max().unwrap_or_default(),
            rows: rows.rows.len() as u64,
        };
        let level = self.config.compression_level.clamp(1, 22);
        files::create(&self.config.dir, name, |file| encode(rows, &self.shared.formats, level, file))
    }

    /// What has to be done now and then (once a second is right): makes a file of rows that waited long enough
    /// or whose file failed, joins small files, removes old ones. `now_ms`: the time.
    pub fn maintain(&mut self, now_ms: InstantMs) -> Result<(), TraceError> {
        self.expire(now_ms);
        self.remove_retired()?;
        if self.shared.read().fresh.rows.is_empty() {
            self.waiting_since_ms = None;
        } else {
            let since = *self.waiting_since_ms.get_or_insert(now_ms);
            let waited_ms = now_ms.saturating_sub(since);
            if self.failing || waited_ms >= i64::from(self.config.flush_after_s) * 1_000 {
                self.flush()?;
            }
        }
        self.join()
    }

    /// Takes files whose hour is too long ago out of the store.
    fn expire(&mut self, now_ms: InstantMs) {
        let kept_ms = i64::from(self.config.retention_days).saturating_mul(DAY_MS);
        let oldest_ms = now_ms.saturating_sub(kept_ms);
        let old = |file: &TraceFile| hour_start_ms(file.name.hour + 1) <= oldest_ms;
        let files = Arc::clone(&self.shared.read().files);
        let newest = files.len().saturating_sub(1);
        if !files.iter().take(newest).any(|file| old(file)) {
            return;
        }
        let (mut kept, mut gone) = (Vec::with_capacity(files.len()), 0);
        for (index, file) in files.iter().enumerate() {
            if index < newest && old(file) {
                self.retired.push_back(Arc::clone(file));
                gone += 1;
            } else {
                kept.push(Arc::clone(file));
            }
        }
        self.counts.expired_files += gone;
        self.shared.write().files = Arc::new(kept);
    }

    /// Joins one run of small files, if there is one.
    fn join(&mut self) -> Result<(), TraceError> {
        let files = Arc::clone(&self.shared.read().files);
        let Some(run) = merge::pick(&files).filter(|_| !self.held) else { return Ok(()) };
        let parts = &files[run.clone()];
        let joined = merge::join(&self.config.dir, parts)?;
        self.counts.merges += 1;
        self.retired.extend(parts.iter().cloned());
        let mut after = (*files).clone();
        after.splice(run, [Arc::new(joined)]);
        self.shared.write().files = Arc::new(after);
        drop(files);
        self.remove_retired()
    }

    /// Deletes retired files that nobody reads any more.
    fn remove_retired(&mut self) -> Result<(), TraceError> {
        for _ in 0..self.retired.len() {
            let Some(file) = self.retired.pop_front() else { break };
            if Arc::strong_count(&file) > 1 {
                self.retired.push_back(file);
            } else if let Err(error) = files::remove(&file) {
                self.retired.push_back(file);
                return Err(error);
            }
        }
        Ok(())
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
