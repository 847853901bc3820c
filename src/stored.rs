//! What a node has stored, read from one instant to another: its trace files, and the journal's tail that is in none.
//!
//! Works beside a running node and without one: it reads only what is complete, writes nothing, takes no lock. Store and
//! journal are told apart by position, so no record comes twice. Records come in the order of the journal with their
//! receive times, and where more than a second passes between two of them time passes as the node's ticks made it
//! pass: so they are judged as they were. Refuses to know: rules.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result};
use ingest::journal::{JournalError, JournalReader};
use record::{Batch, Decoder, FormatSet, InstantMs, Lsn, RowFlags, Transport};
use sinks::trace_store::TraceRow;
use sinks::trace_store::embedded::TraceScan;

use crate::config::Config;
use crate::replay::Replay;

/// A node without lines writes a tick this often.
const TICK_MS: i64 = 1_000;
/// How often the journal may give segments back while it is read.
const TURNS_MAX: usize = 1_000;

/// How receive times are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// As the node judged: who came too late for it comes too late here.
    AsReceived,
    /// As a file, which has no receive times: the highest event time alone says how far time has come.
    AsFile,
}

/// What is read, and where.
#[derive(Debug)]
pub(crate) struct Stored {
    config: StoredConfig,
    formats: Arc<FormatSet>,
    range: Range<InstantMs>,
    time: Time,
    /// Lines received later than this are not read: a node at work adds lines for ever.
    until_ms: InstantMs,
    /// Lowest and highest event time that was seen, in the range or not.
    held_ms: Option<(InstantMs, InstantMs)>,
    last_recv_ms: Option<InstantMs>,
    /// Up to here time has passed: the highest receive time seen, ticks included.
    passed_ms: Option<InstantMs>,
    records: u64,
}

/// Folders of a node's data.
#[derive(Debug, Clone)]
struct StoredConfig {
    traces: std::path::PathBuf,
    journal: std::path::PathBuf,
}

/// How far the reading is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) passed: u64,
    /// 0: unknown.
    pub(crate) total: u64,
}

/// Takes batches in order; false: it has enough.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&mut Batch, Share) -> bool;

impl Stored {
    /// Of a node's data, event times in a half-open range, and what was received up to `now_ms`.
    pub(crate) fn new(
        config: &Config,
        formats: &Arc<FormatSet>,
        range: Range<InstantMs>,
        time: Time,
        now_ms: InstantMs,
    ) -> Self {
        Self {
            config: StoredConfig { traces: config.embedded().dir, journal: config.journal.dir.clone() },
            formats: Arc::clone(formats),
            range,
            time,
            until_ms: now_ms,
            held_ms: None,
            last_recv_ms: None,
            passed_ms: None,
            records: 0,
        }
    }

    /// Lowest and highest event time of all that is stored, in the range or not, as far as it was read.
    pub(crate) fn held_ms(&self) -> Option<(InstantMs, InstantMs)> {
        self.held_ms
    }

    /// Up to here it is known what was received; `None` if nothing ever was.
    pub(crate) fn passed_ms(&self) -> Option<InstantMs> {
        self.passed_ms
    }

    /// Records handed over.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Hands over everything in the range, in the order of the journal, until the sink has enough.
    ///
    /// # Errors
    /// Neither folder is there; a file is damaged or cannot be read.
    pub(crate) fn read(&mut self, sink: Sink<'_>) -> Result<()> {
        let StoredConfig { traces, journal } = self.config.clone();
        anyhow::ensure!(
            traces.is_dir() || journal.is_dir(),
            "nothing is stored: there is neither {} nor {}\nhint: name the node's configuration with --config, or \
             files of lines with --file",
            traces.display(),
            journal.display()
        );
        let mut scan = TraceScan::open(&traces, self.range.clone())?;
        let mut done: Lsn = 0;
        for _ in 0..TURNS_MAX {
            self.held_ms = widened(self.held_ms, scan.times_ms());
            let mut more = true;
            scan.read(|scanned| {
                let share = Share { passed: scanned.passed, total: scanned.total };
                more = self.hand_over(&scanned.rows, share, sink);
                more
            })?;
            if !more {
                return Ok(());
            }
            done = done.max(scan.done_lsn()).max(scan.stored_lsn());
            match self.read_journal(&journal, &mut done, sink) {
                // The node stored these meanwhile, or the journal began later.
                Err(JournalError::Released { first, .. }) => {
                    scan.list()?;
                    if scan.stored_lsn() <= done {
                        done = done.max(first.saturating_sub(1));
                    }
                }
                other => return other.context("the journal cannot be read"),
            }
        }
        anyhow::bail!("{}: gives records back faster than they can be read", journal.display())
    }

    fn read_journal(
        &mut self,
        dir: &std::path::Path,
        done: &mut Lsn,
        sink: Sink<'_>,
    ) -> Result<(), JournalError> {
        if !dir.is_dir() {
            return Ok(());
        }
        let reader = JournalReader::open(dir, *done + 1)?;
        let mut replay = Replay::over(reader, Arc::clone(&self.formats), *done + 1..Lsn::MAX);
        let mut batch = Batch::default();
        while replay.next(&mut batch)? {
            *done = replay.last();
            let is_last = self.keep_wanted(&mut batch);
            let more = batch.rows.is_empty() || self.pass_on(&mut batch, Share { passed: 0, total: 0 }, sink);
            if is_last || !more {
                break;
            }
        }
        Ok(())
    }

    /// Leaves the records of the range; true if what follows came after the reading began.
    fn keep_wanted(&mut self, batch: &mut Batch) -> bool {
        let newest_ms = batch.rows.iter().filter_map(|row| row.recv_ms).max();
        self.passed_ms = self.passed_ms.max(newest_ms.map(|at| at.min(self.until_ms)));
        for at in batch.rows.iter().filter_map(|row| row.event_ms) {
            self.held_ms = widened(self.held_ms, Some((at, at)));
        }
        let (range, until_ms) = (&self.range, self.until_ms);
        batch.rows.retain(|row| {
            !row.flags.has(RowFlags::TICK)
                && row.event_ms.is_some_and(|at| range.contains(&at))
                && row.recv_ms.is_none_or(|at| at <= until_ms)
        });
        newest_ms.is_some_and(|at| at > until_ms)
    }

    fn hand_over(&mut self, rows: &[TraceRow], share: Share, sink: Sink<'_>) -> bool {
        let mut decoder = self.decoder();
        let plain = self.formats.find("plain").unwrap_or_default();
        let mut batch = Batch::default();
        for row in rows {
            let source = batch.source_index(&Arc::from(row.source.as_str()));
            let format = self.formats.find(&row.format).unwrap_or(plain);
            let (frame, flags) = (row.frame.as_bytes(), RowFlags(row.flags));
            decoder.push_stored(&mut batch, source, format, frame, row.lsn, row.recv_ms, flags);
        }
        self.passed_ms = self.passed_ms.max(rows.iter().filter_map(|row| row.recv_ms).max());
        self.pass_on(&mut batch, share, sink)
    }

    fn pass_on(&mut self, batch: &mut Batch, share: Share, sink: Sink<'_>) -> bool {
        self.records += batch.rows.len() as u64;
        match self.time {
            Time::AsReceived => self.let_time_pass(batch),
            Time::AsFile => self.forget_receive_times(batch),
        }
        sink(batch, share)
    }

    /// Reads the lines anew as those of a file: one without a time of its own, which took that of its receipt, has none.
    fn forget_receive_times(&self, batch: &mut Batch) {
        let mut decoder = self.decoder();
        let mut read = Batch::default();
        for row in &batch.rows {
            let name = batch.sources.get(usize::from(row.source)).cloned().unwrap_or_else(|| Arc::from(""));
            let (source, frame) = (read.source_index(&name), batch.slice(row.frame));
            decoder.push_stored(&mut read, source, row.format, frame, row.lsn, None, row.flags);
        }
        *batch = read;
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(Arc::clone(&self.formats), Transport::Syslog, None)
    }

    /// Puts the last tick of each quiet time before the record that ended it; those before it say less.
    fn let_time_pass(&mut self, batch: &mut Batch) {
        let rows = std::mem::take(&mut batch.rows);
        batch.rows.reserve(rows.len());
        for row in rows {
            if let (Some(before), Some(now)) = (self.last_recv_ms, row.recv_ms)
                && now - before > TICK_MS
            {
                let quiet_ms = (now - before - 1).div_euclid(TICK_MS) * TICK_MS;
                batch.push_tick(0, before + quiet_ms);
            }
            self.last_recv_ms = self.last_recv_ms.max(row.recv_ms);
            batch.rows.push(row);
        }
    }
}

fn widened(
    known: Option<(InstantMs, InstantMs)>,
    more: Option<(InstantMs, InstantMs)>,
) -> Option<(InstantMs, InstantMs)> {
    match (known, more) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (known, more) => known.or(more),
    }
}
