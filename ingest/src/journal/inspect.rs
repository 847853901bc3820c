//! Looking at a journal without using it: what is there, and is all of it whole?
//!
//! Changes nothing and takes no lock, so it also serves beside a running node.

use std::path::{Path, PathBuf};

use record::{InstantMs, Lsn};

use super::entry::EntryKind;
use super::error::JournalError;
use super::segment::{self, Front, SegmentFile, SegmentReader};

/// What a journal directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspection {
    /// By position.
    pub segments: Vec<SegmentInspection>,
    /// Segments kept to be overwritten.
    pub spares: usize,
    /// Bytes of disk taken, spares included.
    pub disk_bytes: u64,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInspection {
    /// Its file.
    pub path: PathBuf,
    /// Position of its first entry (as its name says).
    pub first_lsn: Lsn,
    /// Position of its last entry; `None` if it has none.
    pub last_lsn: Option<Lsn>,
    /// How many entries are whole and in order.
    pub entries: u64,
    /// How many of them are ticks.
    pub ticks: u64,
    /// How many entries are damaged or missing.
    pub lost: u64,
    /// Bytes used by them.
    pub used_bytes: u64,
    /// Size of the file.
    pub file_bytes: u64,
    /// Receive times of the first and the last entry.
    pub recv_ms: Option<(InstantMs, InstantMs)>,
    /// The last commit is torn (last segment only): recovery will cut it.
    pub torn: bool,
    /// The first damage in it, with file, offset and what to do.
    pub fault: Option<String>,
}

impl Inspection {
    /// Whole entries in all segments.
    pub fn entries(&self) -> u64 {
        self.segments.iter().map(|segment| segment.entries).sum()
    }

    /// What is damaged, oldest first.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| segment.fault.as_deref())
    }
}

/// Reads every entry of a journal and checks it. Goes on behind damage with what can be read.
///
/// # Errors
/// The directory cannot be listed.
pub fn inspect(dir: &Path) -> Result<Inspection, JournalError> {
    let listing = segment::list(dir)?;
    let segments = listing.segments.iter().enumerate();
    let segments = segments.filter_map(|(i, file)| inspect_one(file, listing.segments.get(i + 1))).collect();
    let disk_bytes = listing.segments.iter().map(|s| s.bytes).chain(listing.spares.iter().map(|s| s.1)).sum();
    Ok(Inspection { segments, spares: listing.spares.len(), disk_bytes })
}

/// `None`: the node has given the segment back meanwhile.
fn inspect_one(file: &SegmentFile, next: Option<&SegmentFile>) -> Option<SegmentInspection> {
    let mut found = SegmentInspection {
        path: file.path.clone(),
        first_lsn: file.first_lsn,
        last_lsn: None,
        entries: 0,
        ticks: 0,
        lost: 0,
        used_bytes: 0,
        file_bytes: file.bytes,
        recv_ms: None,
        torn: false,
        fault: None,
    };
    let outcome = read(file, next, &mut found);
    if !file.path.exists() {
        return None;
    }
    if let Err(error) = outcome {
        found.fault.get_or_insert(error.to_string());
    }
    Some(found)
}

fn read(
    file: &SegmentFile,
    next: Option<&SegmentFile>,
    found: &mut SegmentInspection,
) -> Result<(), JournalError> {
    let mut reader = SegmentReader::open(&file.path, file.first_lsn)?;
    let end = loop {
        let front = read_on(&mut reader, found)?;
        let Some(proof) = reader.later_group()? else { break front };
        // A node at work may have written between the two looks.
        let front = reader.look()?;
        if front == Front::Entry {
            continue;
        }
        let damage = reader.corrupt(segment::proven(front, proof)).to_string();
        found.fault.get_or_insert(damage);
        let Some(lost) = reader.skip(Lsn::MAX)? else { break front };
        found.lost += lost;
    };
    match next {
        Some(next) if next.first_lsn == reader.expected() => {}
        Some(next) => {
            found.lost += next.first_lsn.saturating_sub(reader.expected());
            return Err(reader.gap(end, next.first_lsn));
        }
        None => found.torn = matches!(end, Front::Bad(_)),
    }
    Ok(())
}

fn read_on(reader: &mut SegmentReader, found: &mut SegmentInspection) -> Result<Front, JournalError> {
    loop {
        let front = reader.look()?;
        let Some(entry) = reader.take() else { return Ok(front) };
        found.entries += 1;
        found.ticks += u64::from(entry.kind == EntryKind::Tick);
        found.last_lsn = Some(entry.lsn);
        let first = found.recv_ms.map_or(entry.recv_ms, |(first, _)| first);
        found.recv_ms = Some((first, entry.recv_ms));
        found.used_bytes = reader.offset();
    }
}
