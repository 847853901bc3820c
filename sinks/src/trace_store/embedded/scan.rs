//! Reading what is stored from one end to the other, in the order of the journal, beside a node that writes.
//!
//! Opens nothing for writing, removes nothing, takes no lock: unfinished files are passed over, and files that were
//! joined or given back since they were listed are listed again. Every record comes once, by its position.
//! Refuses to know: what becomes of the records, the journal.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parquet::file::reader::FileReader;
use record::{InstantMs, Lsn};

use super::files::{FileName, TraceFile, io_error, parse_hour};
use super::groups::{OpenFile, footer_only, summaries};
use super::reader::rows;
use super::schema::col;
use crate::trace_store::{TraceError, TraceRow};

/// How often files may vanish under the reader before it gives up.
const LISTINGS_MAX: usize = 1_000;

/// Goes over the stored records whose event time lies in a half-open range.
#[derive(Debug)]
pub struct TraceScan {
    dir: PathBuf,
    range: Range<InstantMs>,
    /// Everything up to it was handed over or is not wanted.
    done: Lsn,
    files: Vec<TraceFile>,
}

/// Records in the order of their positions, and how far the reader is.
#[derive(Debug)]
pub struct Scanned {
    /// All of them in the range, none twice.
    pub rows: Vec<TraceRow>,
    /// Stored records up to here, those outside the range included.
    pub passed: u64,
    /// Stored records in the files that touch the range.
    pub total: u64,
}

impl TraceScan {
    /// Lists the files of a store. A folder that is not there holds none.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn open(dir: &Path, range: Range<InstantMs>) -> Result<Self, TraceError> {
        let mut scan = Self { dir: dir.to_owned(), range, done: 0, files: Vec::new() };
        scan.list()?;
        Ok(scan)
    }

    /// Looks again which files there are.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn list(&mut self) -> Result<(), TraceError> {
        self.files = list(&self.dir)?;
        Ok(())
    }

    /// The highest position that a file covers; 0 without files.
    pub fn stored_lsn(&self) -> Lsn {
        self.files.last().map_or(0, |file| file.name.last)
    }

    /// Everything up to this position was handed over.
    pub fn done_lsn(&self) -> Lsn {
        self.done
    }

    /// The lowest and the highest event time of all that is stored (receive time where there is none).
    pub fn times_ms(&self) -> Option<(InstantMs, InstantMs)> {
        let with_rows = || self.files.iter().filter(|file| file.name.rows > 0);
        let first = with_rows().map(|file| file.name.event_min).min()?;
        Some((first, with_rows().map(|file| file.name.event_max).max()?))
    }

    /// Hands over what was not yet handed over, some ten thousand records at a time, until `sink` says false.
    /// Afterwards [`TraceScan::done_lsn`] is the last position of the last file, unless it was stopped.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub fn read(&mut self, mut sink: impl FnMut(Scanned) -> bool) -> Result<(), TraceError> {
        let touching = |file: &&TraceFile| file.name.last > self.done && touches(&self.range, &file.name);
        let mut total: u64 = self.files.iter().filter(touching).map(|file| file.name.rows).sum();
        let mut passed = 0;
        for _ in 0..LISTINGS_MAX {
            let files = std::mem::take(&mut self.files);
            let read = self.read_files(&files, (&mut passed, &mut total), &mut sink);
            self.files = files;
            match read {
                Err(error) if is_gone(&error) => self.list()?,
                other => return other.map(drop),
            }
        }
        Err(TraceError::Corrupt {
            path: self.dir.display().to_string(),
            message: "its files change faster than they can be read".to_owned(),
        })
    }

    /// False when the sink has enough.
    fn read_files(
        &mut self,
        files: &[TraceFile],
        (passed, total): (&mut u64, &mut u64),
        sink: &mut impl FnMut(Scanned) -> bool,
    ) -> Result<bool, TraceError> {
        let before = self.done;
        for file in files.iter().filter(|file| file.name.last > before) {
            if touches(&self.range, &file.name) {
                let open = file.open(footer_only())?;
                let mut groups: Vec<(Lsn, Lsn, usize)> = Vec::new();
                let of_file = summaries(open.reader.metadata(), (file.name.event_min, file.name.event_max));
                for (number, group) in of_file.iter().enumerate() {
                    if self.range.start <= group.time_ms.1 && group.time_ms.0 < self.range.end {
                        groups.push((group.lsn.0, group.lsn.1, number));
                    }
                }
                groups.sort_unstable();
                // Groups whose positions lie between each other's are sorted together.
                let mut high = 0;
                for together in groups.chunk_by(|a, b| {
                    high = a.1.max(high);
                    b.0 <= high
                }) {
                    let found = self.rows_of(file, &open, together)?;
                    *passed = (*passed + found.1).min(*total);
                    if let Some(last) = found.0.last() {
                        self.done = last.lsn;
                        if !sink(Scanned { rows: found.0, passed: *passed, total: *total }) {
                            return Ok(false);
                        }
                    }
                }
            }
            self.done = file.name.last;
        }
        Ok(true)
    }

    /// The wanted rows of some groups in the order of their positions, and how many rows the groups hold.
    fn rows_of(
        &self,
        file: &TraceFile,
        open: &OpenFile<'_>,
        groups: &[(Lsn, Lsn, usize)],
    ) -> Result<(Vec<TraceRow>, u64), TraceError> {
        let (mut all, mut held) = (Vec::new(), 0);
        for &(_, _, number) in groups {
            let group = open.group(number)?;
            held += group.rows() as u64;
            let events = group.integers(col::EVENT_MS)?;
            let lsns = group.integers(col::LSN)?;
            let is_wanted = |(event, lsn): (&Option<i64>, &Option<i64>)| {
                event.is_some_and(|at| self.range.contains(&at))
                    && lsn.is_some_and(|lsn| lsn.cast_unsigned() > self.done)
            };
            let pairs = events.iter().zip(&lsns).enumerate();
            let wanted: Vec<usize> = pairs.filter(|(_, pair)| is_wanted(*pair)).map(|(row, _)| row).collect();
            if !wanted.is_empty() {
                all.extend(rows(file, &group, &wanted)?);
            }
        }
        all.sort_unstable_by_key(|row: &TraceRow| row.lsn);
        Ok((all, held))
    }
}

fn touches(range: &Range<InstantMs>, name: &FileName) -> bool {
    name.rows > 0 && range.start <= name.event_max && name.event_min < range.end
}

fn is_gone(error: &TraceError) -> bool {
    matches!(error, TraceError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// The complete files in the order of their positions; of a file and one that holds all of it, the latter.
fn list(dir: &Path) -> Result<Vec<TraceFile>, TraceError> {
    let mut files = Vec::new();
    for folder in entries(dir)? {
        let hour = folder.file_name().and_then(|name| name.to_str()).and_then(parse_hour);
        let Some(hour) = hour.filter(|_| folder.is_dir()) else { continue };
        for path in entries(&folder)? {
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.and_then(|name| FileName::parse(hour, name)) {
                files.push(TraceFile { path, name, bytes: 0, groups: OnceLock::new() });
            }
        }
    }
    files.sort_by_key(|file| (file.name.first, std::cmp::Reverse(file.name.last)));
    let mut kept: Vec<TraceFile> = Vec::with_capacity(files.len());
    for file in files {
        if kept.last().is_none_or(|before| before.name.last < file.name.last) {
            kept.push(file);
        }
    }
    Ok(kept)
}

/// What is in a folder; nothing if it is not there (any more).
fn entries(dir: &Path) -> Result<Vec<PathBuf>, TraceError> {
    let listed = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(io_error(dir))?,
    };
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry.map_err(io_error(dir))?.path());
    }
    Ok(paths)
}
