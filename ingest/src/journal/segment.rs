//! Segments as files: names, headers, the directory, making and giving back.
//!
//! Refuses to know: what entries say.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use record::Lsn;

use super::entry::{Entry, Probe, probe, view};
use super::error::JournalError;
use crate::kill_point;

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 32;
/// Zeros that end what is written.
pub(super) const TERMINATOR: [u8; 8] = [0; 8];
const MAGIC: &[u8; 8] = b"WRJRNL01";
const SUFFIX: &str = ".journal";
const SPARE_PREFIX: &str = "spare-";
const READ_BYTES: usize = 1 << 20;

/// Path of the segment that starts at an LSN.
pub(super) fn segment_path(dir: &Path, first_lsn: Lsn) -> PathBuf {
    dir.join(format!("{first_lsn:020}{SUFFIX}"))
}

/// Path of a segment given back.
pub(super) fn spare_path(dir: &Path, first_lsn: Lsn) -> PathBuf {
    dir.join(format!("{SPARE_PREFIX}{first_lsn:020}{SUFFIX}"))
}

/// A segment in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub(super) first_lsn: Lsn,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// By LSN.
    pub(super) segments: Vec<SegmentFile>,
    /// Given back, with their sizes.
    pub(super) spares: Vec<(PathBuf, u64)>,
    /// Left by an interrupted creation.
    pub(super) leftovers: Vec<PathBuf>,
}

/// Lists a directory. Names that are not the journal's are left alone.
pub(super) fn list(dir: &Path) -> Result<Listing, JournalError> {
    let fail = |source| JournalError::io("list", dir, source);
    let mut listing = Listing::default();
    for entry in fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(".journal.tmp") {
            listing.leftovers.push(entry.path());
        }
        let Some(stem) = name.strip_suffix(SUFFIX) else { continue };
        // A reader may list while the writer gives segments back: what is gone is no error.
        let Ok(meta) = entry.metadata() else { continue };
        if stem.starts_with(SPARE_PREFIX) {
            listing.spares.push((entry.path(), meta.len()));
        } else if let (20, Ok(first_lsn)) = (stem.len(), stem.parse()) {
            listing.segments.push(SegmentFile { first_lsn, path: entry.path(), bytes: meta.len() });
        }
    }
    listing.segments.sort_by_key(|segment| segment.first_lsn);
    Ok(listing)
}

/// Makes entries of a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    let handle = File::open(dir).map_err(|e| JournalError::io("open", dir, e))?;
    handle.sync_all().map_err(|e| JournalError::sync(dir, e))
}

/// Makes a directory, and the entries of all that had to be made on the way to it durable.
pub(super) fn create_dir(dir: &Path) -> Result<(), JournalError> {
    let dir = std::path::absolute(dir).map_err(|e| JournalError::io("find", dir, e))?;
    let missing: Vec<&Path> = dir.ancestors().take_while(|at| !at.exists()).collect();
    fs::create_dir_all(&dir).map_err(|e| JournalError::io("create", &dir, e))?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_dir)
}

/// Makes the segment that starts at `first_lsn`, from a spare if there is one. When it has its name, its header and
/// its size are durable.
pub(super) fn create(
    dir: &Path,
    first_lsn: Lsn,
    bytes: u64,
    spare: Option<PathBuf>,
) -> Result<(File, u32, PathBuf), JournalError> {
    let path = segment_path(dir, first_lsn);
    let new = spare.is_none();
    let building = spare.unwrap_or_else(|| path.with_extension("journal.tmp"));
    let fail = |action, source| JournalError::io(action, &building, source);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&building)
        .map_err(|e| fail("create", e))?;
    if let Err(error) = reserve(&file, bytes) {
        // What was got of the space must not stay taken: the disk is full for others, too.
        if new {
            fs::remove_file(&building).map_err(|e| fail("remove", e))?;
        }
        return Err(fail("reserve space for", error));
    }
    let salt = RandomState::new().build_hasher().finish();
    let mut header = [0_u8; SEGMENT_HEADER_BYTES as usize + TERMINATOR.len()];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&first_lsn.to_le_bytes());
    header[16..24].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32c::crc32c(&header[..28]);
    header[28..32].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&header, 0).map_err(|e| fail("write", e))?;
    file.sync_all().map_err(|e| JournalError::sync(&building, e))?;
    kill_point("K13-made");
    fs::rename(&building, &path).map_err(|e| fail("rename", e))?;
    kill_point("K13-named");
    sync_dir(dir)?;
    Ok((file, seed(salt), path))
}

/// Takes the space now, so that a full disk shows here and not in the middle of a commit.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => file.set_len(bytes.max(file.metadata()?.len())),
        outcome => outcome.map_err(io::Error::from),
    }
}

fn seed(salt: u64) -> u32 {
    crc32c::crc32c(&salt.to_le_bytes())
}

/// What stands at a reader's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    /// The expected entry, whole.
    Entry,
    /// Nothing was written here.
    End,
    /// Something is there, but not the expected entry.
    Bad(&'static str),
}

impl Front {
    /// What is wrong, for messages.
    pub(super) fn fault(self) -> &'static str {
        match self {
            Self::Bad(fault) => fault,
            Self::Entry | Self::End => "it is missing",
        }
    }
}

/// Says what is wrong with an entry, and what proves that it was durable.
pub(super) fn proven(front: Front, (later_lsn, at): (Lsn, u64)) -> String {
    format!("{}, but entry {later_lsn} of a later commit stands at byte {at}", front.fault())
}

/// Reads one segment from its start, entry by entry.
#[derive(Debug)]
pub(super) struct SegmentReader {
    file: File,
    path: PathBuf,
    pub(super) first_lsn: Lsn,
    seed: u32,
    /// LSN of the entry that must come next.
    expected: Lsn,
    /// File position of `buf[start]`.
    offset: u64,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    /// Length of the entry at the front, once it was found whole; else 0.
    ready: usize,
}

impl SegmentReader {
    /// Opens a segment and checks its header against its name.
    pub(super) fn open(path: &Path, first_lsn: Lsn) -> Result<Self, JournalError> {
        let mut file = File::open(path).map_err(|e| JournalError::io("open", path, e))?;
        let mut header = [0_u8; SEGMENT_HEADER_BYTES as usize];
        let corrupt = |what: &str| JournalError::Corrupt {
            path: path.to_path_buf(),
            offset: 0,
            lsn: first_lsn,
            what: what.to_owned(),
        };
        file.read_exact(&mut header).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => corrupt("it is shorter than its header"),
            _ => JournalError::io("read", path, e),
        })?;
        let (body, crc) = header.split_at(28);
        if body[..8] != MAGIC[..] {
            return Err(corrupt("it does not start as a journal segment of this version"));
        }
        if crc32c::crc32c(body).to_le_bytes() != crc || body[8..16] != first_lsn.to_le_bytes() {
            return Err(corrupt("its header does not fit its checksum or its name"));
        }
        let mut salt = [0; 8];
        salt.copy_from_slice(&body[16..24]);
        Ok(Self {
            file,
            path: path.to_path_buf(),
            first_lsn,
            seed: seed(u64::from_le_bytes(salt)),
            expected: first_lsn,
            offset: SEGMENT_HEADER_BYTES,
            buf: Vec::new(),
            start: 0,
            end: 0,
            ready: 0,
        })
    }

    /// Reads until it is clear what stands at the current position. After `End` or `Bad` the next call reads the
    /// file anew.
    pub(super) fn look(&mut self) -> Result<Front, JournalError> {
        if self.ready > 0 {
            return Ok(Front::Entry);
        }
        let front = loop {
            match probe(&self.buf[self.start..self.end], self.seed) {
                Probe::Whole { total, lsn, .. } if lsn == self.expected => {
                    self.ready = total;
                    return Ok(Front::Entry);
                }
                Probe::Whole { .. } => break Front::Bad("another entry stands in its place"),
                Probe::Bad(fault) => break Front::Bad(fault),
                Probe::End => break Front::End,
                Probe::Short { wanted } => {
                    if !self.fill(wanted)? {
                        let torn = self.buf[self.start..self.end].iter().any(|byte| *byte != 0);
                        break if torn { Front::Bad("the file ends within it") } else { Front::End };
                    }
                }
            }
        };
        self.start = 0;
        self.end = 0;
        Ok(front)
    }

    /// The entry that [`SegmentReader::look`] found; `None` before it has found one.
    pub(super) fn take(&mut self) -> Option<Entry<'_>> {
        let total = std::mem::take(&mut self.ready);
        if total == 0 {
            return None;
        }
        let from = self.start;
        self.start += total;
        self.offset += total as u64;
        self.expected += 1;
        Some(view(&self.buf[from..from + total]))
    }

    /// Looks behind the current position for proof that the expected entry was durable.
    pub(super) fn later_group(&self) -> Result<Option<(Lsn, u64)>, JournalError> {
        let mut rest = Vec::new();
        let length = self.file.metadata().map_err(|e| JournalError::io("read", &self.path, e))?.len();
        rest.resize(usize::try_from(length.saturating_sub(self.offset)).unwrap_or(0), 0);
        let read = self.read_at(&mut rest, self.offset)?;
        let found = super::entry::find_later_group(&rest[..read], self.seed, self.expected);
        Ok(found.map(|(lsn, at)| (lsn, self.offset + at as u64)))
    }

    /// Goes on behind damage if all entries that it took are at or below `unneeded_lsn`; how many they are.
    /// `None`: an entry is damaged that somebody needs, or nothing readable stands behind it.
    pub(super) fn skip(&mut self, unneeded_lsn: Lsn) -> Result<Option<u64>, JournalError> {
        match self.later_group()? {
            Some((lsn, at)) if lsn <= unneeded_lsn.saturating_add(1) => {
                let lost = lsn - self.expected;
                (self.expected, self.offset) = (lsn, at);
                (self.start, self.end, self.ready) = (0, 0, 0);
                Ok(Some(lost))
            }
            _ => Ok(None),
        }
    }

    /// What is wrong at the end of a segment that should reach to the entry before `next_lsn`.
    pub(super) fn gap(&self, front: Front, next_lsn: Lsn) -> JournalError {
        let (fault, expected) = (front.fault(), self.expected);
        let lost = match front {
            Front::End if expected > self.first_lsn => {
                format!("; was segment {expected:020}{SUFFIX} removed?")
            }
            _ => String::new(),
        };
        self.corrupt(format!("{fault}, but segment {next_lsn:020} exists{lost}"))
    }

    /// The error that says the expected entry is damaged.
    pub(super) fn corrupt(&self, what: String) -> JournalError {
        JournalError::Corrupt { path: self.path.clone(), offset: self.offset, lsn: self.expected, what }
    }

    /// LSN of the entry that must come next.
    pub(super) fn expected(&self) -> Lsn {
        self.expected
    }

    /// File position of the entry that must come next.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What starts the checksums of this segment.
    pub(super) fn seed(&self) -> u32 {
        self.seed
    }

    /// Its file name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads until the buffer holds `wanted` bytes; `false` if the file has not so many.
    fn fill(&mut self, wanted: usize) -> Result<bool, JournalError> {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buf.len() < wanted.max(READ_BYTES) {
            self.buf.resize(wanted.max(READ_BYTES), 0);
        }
        let at = self.offset + self.end as u64;
        let mut tail = std::mem::take(&mut self.buf);
        let read = self.read_at(&mut tail[self.end..], at);
        self.buf = tail;
        self.end += read?;
        Ok(self.end >= wanted)
    }

    fn read_at(&self, buf: &mut [u8], at: u64) -> Result<usize, JournalError> {
        let mut read = 0;
        while read < buf.len() {
            match self.file.read_at(&mut buf[read..], at + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(JournalError::io("read", &self.path, e)),
            }
        }
        Ok(read)
    }
}
