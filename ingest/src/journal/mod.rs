//! The local journal: every frame is here before anything acts on it.
//!
//! One thread owns [`Journal`] and appends; anybody reads with [`JournalReader`]. Positions (LSN) are dense and
//! start at 1. Refuses to know: sockets, rules, stores, clocks (receive times come with the rows).
//!
//! # On disk
//! A directory of segments `NNNNNNNNNNNNNNNNNNNN.journal` (20 digits: LSN of the first entry), `spare-*.journal`
//! (segments given back, to be overwritten: syncing an overwrite is 2 to 5 times faster than syncing growth), and
//! `lock`. All integers little endian.
//!
//! Segment header, 32 bytes:
//! ```text
//!  0  8  magic "WRJRNL01"
//!  8  8  LSN of the first entry (as in the file name)
//! 16  8  salt: random; starts every checksum of the segment, so that what an overwritten segment held before,
//!        or bytes that a sender made to look like an entry, never pass for an entry
//! 24  4  zero
//! 28  4  crc32c of bytes 0..28
//! ```
//! Entry:
//! ```text
//!  0  4  length of all that follows byte 8
//!  4  4  crc32c of all that follows, started with the crc32c of the salt
//!  8  8  LSN
//! 16  8  receive time, ms since the epoch (signed); never less than that of the entry before
//! 24  4  LSN minus the LSN of the first entry of the same group commit
//! 28  2  row flags (see `record::RowFlags`)
//! 30  1  kind: 1 frame, 2 tick
//! 31  1  length of the format's name
//! 32  2  length of the source
//! 34  2  zero
//! 36  .  format name, source, frame (masked, UTF-8), back to back
//! ```
//! After the last entry stand eight zero bytes, unless the file ends.
//!
//! # What recovery can tell apart
//! Every entry names the start C of its group commit, and a group is written only when all groups before it are
//! synced. So if the entry X cannot be read: a readable entry behind it whose C is above X proves that X was durable
//! and has been damaged since (an error; nothing is skipped). No such entry: X belongs to the last group, whose
//! write the crash interrupted; it is cut, with all behind it, and counted. Damage within the last group of all
//! cannot be told from a torn write; it is cut and counted too.

mod entry;
mod error;
mod inspect;
mod reader;
mod recover;
mod segment;
mod space;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;

pub use entry::{Entry, EntryKind};
pub use error::JournalError;
pub use inspect::{Inspection, SegmentInspection, inspect};
pub use reader::JournalReader;
pub use recover::Recovery;
pub use space::free_bytes;
pub use writer::{Journal, JournalLock};

/// The local journal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Whether frames are journaled on this node's disk. `false`: positions are given out but nothing is kept, so
    /// a restart forgets what was not yet stored; for trials and where Kafka is the journal.
    pub enabled: bool,
    /// Directory of the journal. One process at a time; on a local disk. Default: `journal` in the `data_dir`.
    pub dir: PathBuf,
    /// Size of a segment. Space is taken and given back in segments.
    pub segment_bytes: u64,
    /// Syncs are at least this far apart, unless `commit_bytes` wait; a frame that comes alone does not wait.
    pub commit_interval_ms: u64,
    /// So many bytes are synced without waiting for more.
    pub commit_bytes: usize,
    /// The journal never takes more disk than this. When it is full, inputs stop reading until the trace store has
    /// caught up.
    pub max_bytes: u64,
    /// No new segment is taken if the file system would then have fewer bytes free than this: deliveries, snapshots and
    /// pages live on them. Inputs wait until there is room; the trace store makes no files meanwhile either.
    pub reserve_bytes: u64,
    /// Seconds of receive time that are kept although no restart needs them any more (default 2 hours), unless the
    /// journal has come to 80 % of `max_bytes`.
    pub retention_s: u32,
    /// How many segments no longer needed are kept to be overwritten instead of deleted.
    pub spare_segments: usize,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: PathBuf::new(),
            segment_bytes: 64 << 20,
            commit_interval_ms: 5,
            commit_bytes: 256 << 10,
            max_bytes: 16 << 30,
            reserve_bytes: 64 << 20,
            retention_s: 2 * 3_600,
            spare_segments: 4,
        }
    }
}
