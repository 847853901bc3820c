//! The half of the writer that touches the disk: makes files of sealed rows, joins small ones, removes old ones.
//!
//! It works where it is called, or by orders from another thread, one at a time; it alone changes the list of files,
//! so positions enter it in order. Refuses to know: which thread it is on, what time it is, who seals rows and when.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use record::InstantMs;

use super::encode::Encoder;
use super::files::{self, FileName, TraceFile, hour_start_ms};
use super::fresh::{Fresh, FreshRow};
use super::groups::parquet_error;
use super::{EmbeddedConfig, Shared, merge};
use crate::trace_store::TraceError;

const DAY_MS: i64 = 86_400_000;

/// Rows that are complete and wait to become a file; readers see them.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) rows: Fresh,
    /// Receive hour.
    pub(super) hour: i64,
}

/// What has been done since the store was opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filed {
    pub(super) failures: u64,
    pub(super) merges: u64,
    pub(super) expired_files: u64,
    /// The last try to make a file failed: its rows are still sealed.
    pub(super) failing: bool,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Make a file of the sealed rows.
    File,
    /// Remove what is too old, and join what is small if there is room for it; the time.
    Tidy { now_ms: InstantMs, join: bool },
}

/// Who does it.
#[derive(Debug)]
pub(super) enum Desk {
    /// We, at once.
    Here(Box<Filer>),
    /// Another thread.
    There {
        orders: SyncSender<Order>,
        reports: Receiver<Result<(), TraceError>>,
        /// An order was given and not reported yet.
        busy: bool,
    },
}

/// Makes files until the writer that it belongs to is gone; [`FilingWork::run`] on a thread of its own.
#[derive(Debug)]
pub struct FilingWork {
    filer: Box<Filer>,
    orders: Receiver<Order>,
    reports: SyncSender<Result<(), TraceError>>,
}

impl FilingWork {
    /// Works until the writer is dropped. Orders that were given before are carried out.
    pub fn run(mut self) {
        while let Ok(order) = self.orders.recv() {
            if self.reports.send(self.filer.obey(order)).is_err() {
                break;
            }
        }
    }
}

impl Desk {
    /// Gives the work away. `None`: it is given away already.
    pub(super) fn give_away(&mut self) -> Option<FilingWork> {
        if matches!(self, Desk::There { .. }) {
            return None;
        }
        // One order at a time: the bound of what waits is the writer's buffer.
        let (orders, orders_rx) = sync_channel(1);
        let (reports_tx, reports) = sync_channel(1);
        match std::mem::replace(self, Desk::There { orders, reports, busy: false }) {
            Desk::Here(filer) => Some(FilingWork { filer, orders: orders_rx, reports: reports_tx }),
            Desk::There { .. } => None,
        }
    }

    /// Whether an order is being carried out. Call [`Desk::poll`] first.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Desk::There { busy: true, .. })
    }

    /// Takes the report if there is one.
    pub(super) fn poll(&mut self) -> Result<(), TraceError> {
        let Desk::There { reports, busy, .. } = self else { return Ok(()) };
        if !*busy {
            return Ok(());
        }
        match reports.try_recv() {
            Ok(report) => {
                *busy = false;
                report
            }
            Err(TryRecvError::Empty) => Ok(()),
            Err(TryRecvError::Disconnected) => Err(gone()),
        }
    }

    /// Waits until the last order is carried out; what became of it.
    pub(super) fn settle(&mut self) -> Result<(), TraceError> {
        let Desk::There { reports, busy, .. } = self else { return Ok(()) };
        if !std::mem::take(busy) {
            return Ok(());
        }
        reports.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Carries an order out, or passes it on; call only when it is not busy.
    pub(super) fn give(&mut self, order: Order) -> Result<(), TraceError> {
        match self {
            Desk::Here(filer) => filer.obey(order),
            Desk::There { orders, busy, .. } => {
                orders.send(order).map_err(|_| gone())?;
                *busy = true;
                Ok(())
            }
        }
    }
}

fn gone() -> TraceError {
    TraceError::Io {
        path: "the thread that makes trace files".to_owned(),
        source: std::io::Error::other("it has ended"),
    }
}

/// Owns the list of files; nobody else changes it.
#[derive(Debug)]
pub(super) struct Filer {
    config: EmbeddedConfig,
    shared: Arc<Shared>,
    /// Made when it is first needed.
    encoder: Option<Encoder>,
    /// Files that are no longer part of the store but may still be read.
    retired: VecDeque<Arc<TraceFile>>,
}

impl Filer {
    pub(super) fn new(config: EmbeddedConfig, shared: Arc<Shared>) -> Self {
        Self { config, shared, encoder: None, retired: VecDeque::new() }
    }

    fn obey(&mut self, order: Order) -> Result<(), TraceError> {
        match order {
            Order::File => self.file(),
            Order::Tidy { now_ms, join } => {
                self.expire(now_ms);
                self.remove_retired()?;
                if join { self.join() } else { Ok(()) }
            }
        }
    }

    /// Makes a file of the sealed rows. After an error they stay sealed.
    fn file(&mut self) -> Result<(), TraceError> {
        let Some(sealed) = self.shared.read().sealed.clone() else { return Ok(()) };
        let written = self.write(&sealed);
        let mut state = self.shared.write();
        state.filed.failing = written.is_err();
        match written {
            Ok(file) => {
                state.sealed = None;
                Arc::make_mut(&mut state.files).push(Arc::new(file));
                // Its memory is used again.
                if let Ok(sealed) = Arc::try_unwrap(sealed) {
                    let mut rows = sealed.rows;
                    rows.clear();
                    state.spare = Some(rows);
                }
                Ok(())
            }
            Err(error) => {
                state.filed.failures += 1;
                Err(error)
            }
        }
    }

    fn write(&mut self, sealed: &Sealed) -> Result<TraceFile, TraceError> {
        let rows = &sealed.rows;
        let times = || rows.rows.iter().map(FreshRow::filing_ms);
        let (first, last) = rows.range.unwrap_or_default();
        let name = FileName {
            hour: sealed.hour,
            first,
            last,
            event_min: times().min().unwrap_or_default(),
            event_max: times().max().unwrap_or_default(),
            rows: rows.rows.len() as u64,
        };
        let parquet = |error| parquet_error(&name.path(&self.config.dir), error);
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(Encoder::new(self.config.compression_level.clamp(1, 22)).map_err(parquet)?),
        };
        let content = encoder.encode(rows, &self.shared.formats).map_err(parquet)?;
        files::create(&self.config.dir, name, |mut file| {
            std::io::Write::write_all(&mut file, content)?;
            Ok(file)
        })
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
        let mut state = self.shared.write();
        state.filed.expired_files += gone;
        state.files = Arc::new(kept);
    }

    /// Joins one run of small files, if there is one.
    fn join(&mut self) -> Result<(), TraceError> {
        let files = Arc::clone(&self.shared.read().files);
        let Some(run) = merge::pick(&files) else { return Ok(()) };
        let parts = &files[run.clone()];
        let joined = merge::join(&self.config.dir, parts)?;
        self.retired.extend(parts.iter().cloned());
        let mut after = (*files).clone();
        after.splice(run, [Arc::new(joined)]);
        let mut state = self.shared.write();
        state.filed.merges += 1;
        state.files = Arc::new(after);
        drop(state);
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
}
