//! Traces in Parquet files on this machine's disk, the fresh ones in memory.
//!
//! Layout: `<dir>/2016-07-22T10/<first LSN>_<last LSN>_<first time>_<last time>_<rows>.parquet`. The folder is the
//! receive hour (UTC). A file holds the records of one contiguous range of the journal, ticks included; LSNs have
//! 20 digits; times are event times (receive times where there is none) in ms since the epoch; all ends are
//! inclusive. A file is one or more row groups of about 20,000 rows, in each the rows of an order side by side.
//! Columns: lsn, recv_ms, event_ms, source, host, program, format, flags, message_start, the searched columns of
//! the line (text as it stands there, null where it is empty), elapsed_ms, and the whole masked frame. Any tool
//! that reads Parquet reads them: `select * from 'traces/*/*.parquet' where order_no = '...'`.
//!
//! Safety: a file is written under a temporary name, synced and renamed, so after a crash it is there whole or
//! not at all; what was not yet in a file is fed again from the journal, from [`EmbeddedWriter::stored_lsn`] + 1.
//! Small files of an hour are joined by copying their row groups; the joined file's range covers theirs, so
//! whatever a crash leaves, each record counts once.
//!
//! Refuses to know: the journal, sockets, clocks, threads; what becomes of an answer.

mod bloom;
mod chunk;
mod encode;
mod files;
mod filing;
mod fresh;
mod groups;
mod hybrid;
mod merge;
mod query;
mod reader;

mod scan;
mod schema;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use record::{FormatSet, Lsn};
use serde::{Deserialize, Serialize};

pub use filing::FilingWork;
pub use reader::EmbeddedReader;
pub use scan::{Scanned, TraceScan};
pub use writer::{EmbeddedWriter, StoreStats};

use crate::trace_store::TraceError;
use files::TraceFile;
use filing::{Filed, Sealed};
use fresh::Fresh;

/// Where and how traces are kept on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// Directory of the trace files; made if it is missing. One process at a time writes to it.
    pub dir: PathBuf,
    /// Bytes of records kept in memory before they become a file (1 MiB to 1 GiB, default 16 MiB, about 20,000
    /// records). More compresses a little better; memory use is about twice this. If files cannot be written,
    /// up to twice as much is kept.
    pub max_buffer_bytes: u32,
    /// Seconds after which records become a file even if the buffer is not full (default 600). Searches find
    /// them before that; other tools that read the files do not.
    pub flush_after_s: u32,
    /// Zstandard level, 1 to 22 (default 1; 3 takes a third more time and saves nothing on log lines).
    pub compression_level: i32,
    /// Days that traces are kept (default 30), by receive time, removed by the hour. The newest file stays
    /// whatever its age: it says how much of the journal is stored.
    pub retention_days: u32,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("traces"),
            max_buffer_bytes: 16 << 20,
            flush_after_s: 600,
            compression_level: 1,
            retention_days: 30,
        }
    }
}

impl EmbeddedConfig {
    fn max_buffer(&self) -> usize {
        self.max_buffer_bytes.clamp(1 << 20, 1 << 30) as usize
    }
}

/// Positions of the journal between two files that no file holds, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First missing position.
    pub first: Lsn,
    /// Last missing position.
    pub last: Lsn,
}

/// Opens the store in `config.dir`.
///
/// Unfinished files of a crash are removed. A damaged file is an error that names it: nothing is skipped
/// silently. Positions that no file holds are reported by [`EmbeddedWriter::gaps`] and in the log.
pub fn open(
    config: EmbeddedConfig,
    formats: Arc<FormatSet>,
) -> Result<(EmbeddedWriter, EmbeddedReader), TraceError> {
    let files = files::load(&config.dir)?;
    let state = State {
        files: Arc::new(files),
        sealed: None,
        fresh: Fresh::with_capacity(config.max_buffer()),
        spare: None,
        filed: Filed::default(),
    };
    let shared = Arc::new(Shared { state: RwLock::new(state), formats });
    let reader = EmbeddedReader::new(Arc::clone(&shared));
    Ok((EmbeddedWriter::new(config, shared), reader))
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    formats: Arc<FormatSet>,
}

/// Every record is in exactly one of the three at any time.
#[derive(Debug)]
struct State {
    /// In LSN order.
    files: Arc<Vec<Arc<TraceFile>>>,
    /// Rows that are being written to a file, or wait for that to be tried again.
    sealed: Option<Arc<Sealed>>,
    fresh: Fresh,
    /// Memory of rows that are in a file now.
    spare: Option<Fresh>,
    filed: Filed,
}

impl State {
    /// Everything up to it is in files.
    fn stored_lsn(&self) -> Lsn {
        self.files.last().map_or(0, |file| file.name.last)
    }

    /// Memory that rows take.
    fn used_bytes(&self) -> usize {
        self.in_memory().map(Fresh::used_bytes).sum()
    }

    /// Rows that are in no file, older ones first.
    fn in_memory(&self) -> impl Iterator<Item = &Fresh> {
        self.sealed.as_deref().map(|sealed| &sealed.rows).into_iter().chain([&self.fresh])
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
