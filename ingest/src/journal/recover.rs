//! What an opened journal holds: where it goes on, what a crash left half written.
//!
//! Only the last segment (the one before it too, if it is empty) is read: all before it were complete and synced
//! when their successor was made, and are checked whenever they are read.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use record::{InstantMs, Lsn};

use super::error::JournalError;
use super::segment::{self, Front, Listing, SegmentReader};

/// What was found at opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// First position held (= `next_lsn` if nothing is).
    pub first_lsn: Lsn,
    /// The position that the next entry gets.
    pub next_lsn: Lsn,
    /// How many entries are held.
    pub entries: u64,
    /// Bytes of a commit that a crash interrupted. They were never acknowledged; they are cut.
    pub torn_bytes: u64,
    /// Entries of the last segment that are damaged, but that nobody needs any more.
    pub damaged_entries: u64,
    /// Receive time of the last entry.
    pub last_recv_ms: Option<InstantMs>,
    /// Bytes of disk taken, spares included.
    pub bytes: u64,
}

/// Where the last segment goes on.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) offset: u64,
    pub(super) seed: u32,
    pub(super) recovery: Recovery,
}

/// Reads the end of the journal, cuts what is torn. `None` if there is no segment yet.
/// Damage up to `unneeded_lsn` is passed over and counted.
pub(super) fn recover(listing: &Listing, unneeded_lsn: Lsn) -> Result<Option<Tail>, JournalError> {
    let Some(last) = listing.segments.last() else { return Ok(None) };
    let mut reader = SegmentReader::open(&last.path, last.first_lsn)?;
    let (mut last_recv_ms, mut end) = read_through(&mut reader)?;
    let mut damaged_entries = 0;
    while let Some(lost) = reader.skip(unneeded_lsn)? {
        damaged_entries += lost;
        let (recv_ms, behind) = read_through(&mut reader)?;
        (last_recv_ms, end) = (recv_ms.or(last_recv_ms), behind);
    }
    if let Some(proof) = reader.later_group()? {
        return Err(reader.corrupt(segment::proven(end, proof)));
    }
    let torn_bytes = if matches!(end, Front::Bad(_)) { cut(&reader)? } else { 0 };
    if reader.expected() == last.first_lsn
        && let Some(before) = listing.segments.iter().rev().nth(1)
    {
        let whole = SegmentReader::open(&before.path, before.first_lsn)
            .and_then(|mut before| complete(&mut before, last.first_lsn));
        match whole {
            Ok(recv_ms) => last_recv_ms = recv_ms,
            // Its entries are of no use any more; readers name the damage if they come by it.
            Err(JournalError::Corrupt { .. }) if unneeded_lsn + 1 >= last.first_lsn => {}
            Err(error) => return Err(error),
        }
    }
    let first_lsn = listing.segments.first().map_or(last.first_lsn, |s| s.first_lsn);
    let next_lsn = reader.expected();
    let segments: u64 = listing.segments.iter().map(|s| s.bytes).sum();
    let spares: u64 = listing.spares.iter().map(|s| s.1).sum();
    let recovery = Recovery {
        first_lsn,
        next_lsn,
        entries: next_lsn - first_lsn,
        torn_bytes,
        damaged_entries,
        last_recv_ms,
        bytes: segments + spares,
    };
    Ok(Some(Tail { offset: reader.offset(), seed: reader.seed(), recovery }))
}

/// Reads to the end of what is good. Receive time of the last entry, and what stands behind it.
fn read_through(reader: &mut SegmentReader) -> Result<(Option<InstantMs>, Front), JournalError> {
    let mut last_recv_ms = None;
    loop {
        let front = reader.look()?;
        match reader.take() {
            Some(entry) => last_recv_ms = Some(entry.recv_ms),
            None => return Ok((last_recv_ms, front)),
        }
    }
}

/// Reads a segment that must be whole up to `next_lsn`.
fn complete(reader: &mut SegmentReader, next_lsn: Lsn) -> Result<Option<InstantMs>, JournalError> {
    let (last_recv_ms, end) = read_through(reader)?;
    if reader.expected() == next_lsn {
        return Ok(last_recv_ms);
    }
    Err(reader.gap(end, next_lsn))
}

/// Overwrites all behind the last good entry with zeros, so that nothing of it can ever be read again.
/// Returns how many bytes up to the last that was not zero.
fn cut(reader: &SegmentReader) -> Result<u64, JournalError> {
    let fail = |source| JournalError::io("cut the torn end of", reader.path(), source);
    let file = OpenOptions::new().read(true).write(true).open(reader.path()).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    let mut rest = vec![0; usize::try_from(length - reader.offset()).unwrap_or(0)];
    file.read_exact_at(&mut rest, reader.offset()).map_err(fail)?;
    let torn = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    rest[..torn].fill(0);
    file.write_all_at(&rest[..torn], reader.offset()).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    Ok(torn as u64)
}
