//! Reading the journal: from a position to what is there now, and on when more has come.
//!
//! A reader needs no writer and disturbs none: it reads only what is complete and passes its checksum.

use std::path::{Path, PathBuf};

use record::Lsn;

use super::entry::Entry;
use super::error::JournalError;
use super::segment::{self, Front, SegmentReader};

/// Entries in order.
#[derive(Debug)]
pub struct JournalReader {
    dir: PathBuf,
    from_lsn: Lsn,
    current: Option<SegmentReader>,
}

/// What the end of the current segment means.
enum Turn {
    /// Look again: there is more.
    Go,
    /// No more for now.
    Wait,
}

impl JournalReader {
    /// Starts at `from_lsn` (1: at the start). A position beyond the end waits there.
    ///
    /// # Errors
    /// [`JournalError::Released`] if that position is no longer held; a damaged segment header; the disk.
    pub fn open(dir: &Path, from_lsn: Lsn) -> Result<Self, JournalError> {
        let mut reader = Self { dir: dir.to_path_buf(), from_lsn, current: None };
        reader.find_start()?;
        Ok(reader)
    }

    fn find_start(&mut self) -> Result<(), JournalError> {
        let listing = segment::list(&self.dir)?;
        let Some(first) = listing.segments.first() else { return Ok(()) };
        let held = listing.segments.iter().rev().find(|segment| segment.first_lsn <= self.from_lsn);
        let Some(held) = held else {
            return Err(JournalError::Released { lsn: self.from_lsn, first: first.first_lsn });
        };
        self.current = Some(SegmentReader::open(&held.path, held.first_lsn)?);
        Ok(())
    }

    /// The next entry; `None` when there is no more for now (call again later). The entry is borrowed from the
    /// reader's buffer.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] when an entry that was durable cannot be read; [`JournalError::Released`] when
    /// the segment was given back meanwhile; the disk.
    #[expect(
        clippy::should_implement_trait,
        reason = "the entry borrows the buffer; an Iterator cannot lend"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, JournalError> {
        if !self.seek()? {
            return Ok(None);
        }
        Ok(self.current.as_mut().and_then(SegmentReader::take))
    }

    /// Brings the wanted entry to the front of the buffer; `false` if it is not there yet.
    fn seek(&mut self) -> Result<bool, JournalError> {
        loop {
            if self.current.is_none() {
                self.find_start()?;
            }
            let Some(current) = &mut self.current else { return Ok(false) };
            let front = current.look()?;
            match front {
                Front::Entry if current.expected() >= self.from_lsn => return Ok(true),
                Front::Entry => drop(current.take()),
                Front::End | Front::Bad(_) => match self.turn(front) {
                    Ok(Turn::Go) => {}
                    Ok(Turn::Wait) => return Ok(false),
                    Err(error) if !self.pass_over(&error)? => return Err(error),
                    Err(_unneeded) => {}
                },
            }
        }
    }

    /// Damage before the wanted position concerns nobody: goes on behind it. False if it may reach beyond.
    fn pass_over(&mut self, error: &JournalError) -> Result<bool, JournalError> {
        let Some(current) = &mut self.current else { return Ok(false) };
        let before = matches!(error, JournalError::Corrupt { .. }) && current.expected() < self.from_lsn;
        Ok(before && current.skip(self.from_lsn - 1)?.is_some())
    }

    /// At the end of what the current segment has: is there a next one, more to come, or damage?
    fn turn(&mut self, front: Front) -> Result<Turn, JournalError> {
        let Some(current) = &mut self.current else { return Ok(Turn::Wait) };
        let (expected, first_lsn) = (current.expected(), current.first_lsn);
        let next_path = segment::segment_path(&self.dir, expected);
        if expected > first_lsn && next_path.exists() {
            self.current = Some(SegmentReader::open(&next_path, expected)?);
            return Ok(Turn::Go);
        }
        let listing = segment::list(&self.dir)?;
        if !listing.segments.iter().any(|segment| segment.first_lsn == first_lsn) {
            let first = listing.segments.first().map_or(expected, |s| s.first_lsn);
            return Err(JournalError::Released { lsn: expected, first });
        }
        let later = listing.segments.iter().find(|segment| segment.first_lsn > first_lsn);
        let later_lsn = later.map(|later| later.first_lsn);
        let proof = match (later_lsn, front) {
            (None, Front::Bad(_)) => current.later_group()?,
            _ => None,
        };
        if later_lsn.is_none() && proof.is_none() {
            return Ok(Turn::Wait);
        }
        // The writer may have gone on between the two looks: what has proof behind it must be there by now.
        let front = match current.look()? {
            Front::Entry => return Ok(Turn::Go),
            _ if expected > first_lsn && next_path.exists() => return Ok(Turn::Go),
            front => front,
        };
        Err(match (later_lsn, proof) {
            (Some(later_lsn), _) => current.gap(front, later_lsn),
            (None, proof) => current.corrupt(segment::proven(front, proof.unwrap_or_default())),
        })
    }
}
