//! The journal's writing side: positions are given out here, group commits end here.
//!
//! The caller drives it: `append` buffers, `commit` makes durable; [`Journal::commit_due`] says when. A batch is
//! never split over two segments, and a group commit neither. Refuses to know: threads, clocks, sockets.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use record::{Batch, FormatId, FormatSet, InstantMs, Lsn, Row, RowFlags};

use super::entry::{self, Entry, EntryKind};
use super::error::JournalError;
use super::recover::{Recovery, recover};
use super::segment::{self, SEGMENT_HEADER_BYTES, SegmentFile, TERMINATOR};
use super::{JournalConfig, JournalReader, space};
use crate::kill_point;

/// The smallest segment that makes sense: a full batch of frames fits in.
const MIN_SEGMENT_BYTES: u64 = 64 << 10;

/// So many bytes are written before the kernel is told to forget them.
const FORGET_BYTES: u64 = 4 << 20;

/// The journal, owned by one thread.
#[derive(Debug)]
pub struct Journal {
    config: JournalConfig,
    next_lsn: Lsn,
    durable_lsn: Lsn,
    last_recv_ms: InstantMs,
    /// First position of the group that is not yet committed.
    group_lsn: Lsn,
    /// Receive time of the first entry of the group that was committed last.
    committed_recv_ms: InstantMs,
    /// Receive time of the group's first entry.
    group_recv_ms: InstantMs,
    pending: Vec<u8>,
    failed: bool,
    /// `None`: positions only (`enabled: false`).
    disk: Option<Disk>,
}

#[derive(Debug)]
struct Disk {
    file: File,
    seed: u32,
    /// Where the next commit goes.
    offset: u64,
    /// Up to here the kernel was told to forget.
    remembered_from: u64,
    /// Oldest first; the last is being written.
    segments: VecDeque<SegmentFile>,
    spares: Vec<(PathBuf, u64)>,
    _lock: JournalLock,
}

/// The right to use a journal's directory: one process at a time has it, until it is dropped.
#[derive(Debug)]
pub struct JournalLock(#[expect(dead_code, reason = "its being open is what locks")] File);

impl Journal {
    /// Opens the journal of a directory, makes it if there is none, cuts what a crash left torn.
    ///
    /// # Errors
    /// Damage that is no torn end, another process in the directory, the disk.
    pub fn open(config: &JournalConfig) -> Result<(Self, Recovery), JournalError> {
        if !config.enabled {
            let recovery = Recovery { first_lsn: 1, next_lsn: 1, ..Recovery::default() };
            return Ok((Self::new(config, recovery, None), recovery));
        }
        Self::open_locked(JournalLock::take(config)?, config, 0)
    }

    /// [`Journal::open`] in two steps, for those who must look at other files of the same owner in between.
    /// `unneeded_lsn`: nobody needs the entries up to there any more; damage among them is counted, not an error.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_locked(
        lock: JournalLock,
        config: &JournalConfig,
        unneeded_lsn: Lsn,
    ) -> Result<(Self, Recovery), JournalError> {
        if config.segment_bytes < MIN_SEGMENT_BYTES {
            let message =
                format!("segment_bytes is {}, must be at least {MIN_SEGMENT_BYTES}", config.segment_bytes);
            return Err(JournalError::Config { message });
        }
        let dir = &config.dir;
        let mut listing = segment::list(dir)?;
        for path in listing.leftovers.drain(..) {
            fs::remove_file(&path).map_err(|e| JournalError::io("remove", &path, e))?;
        }
        let (file, seed, offset, recovery) = match recover(&listing, unneeded_lsn)? {
            Some(tail) => {
                let path = &listing.segments[listing.segments.len() - 1].path;
                let file = OpenOptions::new().read(true).write(true).open(path);
                let file = file.map_err(|e| JournalError::io("open", path, e))?;
                (file, tail.seed, tail.offset, tail.recovery)
            }
            None => {
                let spare = listing.spares.pop().map(|spare| spare.0);
                let (file, seed, path) = segment::create(dir, 1, config.segment_bytes, spare)?;
                listing.segments.push(SegmentFile { first_lsn: 1, path, bytes: config.segment_bytes });
                let bytes = config.segment_bytes;
                let recovery = Recovery { first_lsn: 1, next_lsn: 1, bytes, ..Recovery::default() };
                (file, seed, SEGMENT_HEADER_BYTES, recovery)
            }
        };
        let (segments, spares) = (listing.segments.into(), listing.spares);
        let disk = Disk { file, seed, offset, remembered_from: offset, segments, spares, _lock: lock };
        Ok((Self::new(config, recovery, Some(disk)), recovery))
    }

    fn new(config: &JournalConfig, recovery: Recovery, disk: Option<Disk>) -> Self {
        Self {
            config: config.clone(),
            next_lsn: recovery.next_lsn,
            durable_lsn: recovery.next_lsn - 1,
            last_recv_ms: recovery.last_recv_ms.unwrap_or(InstantMs::MIN),
            group_lsn: recovery.next_lsn,
            committed_recv_ms: InstantMs::MIN,
            group_recv_ms: InstantMs::MIN,
            pending: Vec::new(),
            failed: false,
            disk,
        }
    }

    /// Gives every row its position and buffers its entry. Receive times that would go backwards (or are missing)
    /// are raised to the last one, in the rows too, so that a replay sees what the live path saw.
    ///
    /// # Errors
    /// [`JournalError::is_full`]: no row was touched, call again later. Any other: end the process.
    pub fn append(&mut self, batch: &mut Batch, formats: &FormatSet) -> Result<(), JournalError> {
        self.append_named(batch, |id| formats.get(id).name())
    }

    /// [`Journal::append`] with the names of the formats.
    pub(super) fn append_named<'f>(
        &mut self,
        batch: &mut Batch,
        name: impl Fn(FormatId) -> &'f str,
    ) -> Result<(), JournalError> {
        let Batch { bytes, rows, sources, .. } = batch;
        let parts = |row: &Row| {
            let source = sources.get(usize::from(row.source)).map_or("", |s| &**s);
            (name(row.format), source, &bytes[row.frame.start as usize..row.frame.end as usize])
        };
        if self.disk.is_some() {
            let size = |row: &Row| {
                let (format, source, frame) = parts(row);
                entry::size(format, source, frame)
            };
            self.make_room(rows.iter().map(size).sum())?;
        }
        for row in rows.iter_mut() {
            row.lsn = self.next_lsn;
            let recv_ms = row.recv_ms.unwrap_or(self.last_recv_ms).max(self.last_recv_ms);
            row.recv_ms = Some(recv_ms);
            let (format, source, frame) = parts(row);
            let tick = row.flags.has(RowFlags::TICK);
            let kind = if tick { EntryKind::Tick } else { EntryKind::Frame };
            let format = if tick { "" } else { format };
            self.push(&Entry { lsn: row.lsn, kind, recv_ms, flags: row.flags, format, source, frame });
        }
        Ok(())
    }

    /// Buffers a tick: time passed and nothing arrived.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_tick(&mut self, recv_ms: InstantMs) -> Result<Lsn, JournalError> {
        self.make_room(entry::HEADER_BYTES)?;
        let (lsn, recv_ms) = (self.next_lsn, recv_ms.max(self.last_recv_ms));
        let (kind, flags) = (EntryKind::Tick, RowFlags::TICK);
        self.push(&Entry { lsn, kind, recv_ms, flags, format: "", source: "", frame: &[] });
        Ok(lsn)
    }

    fn push(&mut self, entry: &Entry<'_>) {
        if self.group_lsn == self.next_lsn {
            self.group_recv_ms = entry.recv_ms;
        }
        self.next_lsn += 1;
        self.last_recv_ms = entry.recv_ms;
        if let Some(disk) = &self.disk {
            entry::write(&mut self.pending, disk.seed, self.group_lsn, entry);
        }
    }

    /// Makes durable all that was appended: one write, one fdatasync. Returns the position up to which (inclusive)
    /// all is durable; acknowledge up to there and no further.
    ///
    /// # Errors
    /// [`JournalError::is_full`]: what is pending stays pending, call again later. Any other: end the process.
    pub fn commit(&mut self) -> Result<Lsn, JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        if let Some(disk) = &mut self.disk
            && !self.pending.is_empty()
        {
            let written = disk.write(&mut self.pending);
            self.failed = written.as_ref().is_err_and(|e| !e.is_full());
            written?;
        }
        if self.group_lsn < self.next_lsn {
            self.committed_recv_ms = self.group_recv_ms;
        }
        self.durable_lsn = self.next_lsn - 1;
        self.group_lsn = self.next_lsn;
        Ok(self.durable_lsn)
    }

    /// Whether it is time to commit: enough bytes wait, or the group before began long enough ago.
    pub fn commit_due(&self, now_ms: InstantMs) -> bool {
        self.pending_bytes() >= self.config.commit_bytes || self.commit_wait_ms(now_ms) == Some(0)
    }

    /// How long the caller may wait for more before it commits; `None` if nothing is pending. Groups begin at least
    /// the configured interval apart, so a line that comes alone does not wait at all.
    pub fn commit_wait_ms(&self, now_ms: InstantMs) -> Option<u64> {
        if self.group_lsn == self.next_lsn {
            return None;
        }
        // A clock set back must not stop commits: then it is due at once.
        let since = u64::try_from(now_ms.saturating_sub(self.committed_recv_ms)).unwrap_or(u64::MAX);
        Some(self.config.commit_interval_ms.saturating_sub(since))
    }

    /// Bytes appended and not yet committed.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// The position that the next entry gets.
    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// The position up to which all is durable; 0 if nothing is.
    pub fn durable_lsn(&self) -> Lsn {
        self.durable_lsn
    }

    /// The first position held.
    pub fn first_lsn(&self) -> Lsn {
        let first = self.disk.as_ref().and_then(|disk| disk.segments.front());
        first.map_or(self.next_lsn, |segment| segment.first_lsn)
    }

    /// Bytes of disk taken, spares included.
    pub fn disk_bytes(&self) -> u64 {
        self.disk.as_ref().map_or(0, Disk::bytes)
    }

    /// Gives back whole segments of which every entry is below `up_to`: the snapshot and the trace store both stand
    /// for them. Returns how many.
    ///
    /// # Errors
    /// The disk.
    pub fn release(&mut self, up_to: Lsn) -> Result<usize, JournalError> {
        let spare_segments = self.config.spare_segments;
        let Some(disk) = &mut self.disk else { return Ok(0) };
        let mut released = 0;
        while disk.segments.get(1).is_some_and(|next| next.first_lsn <= up_to)
            && let Some(old) = disk.segments.pop_front()
        {
            let fail = |source| JournalError::io("give back", &old.path, source);
            // Oversize segments (one huge batch) are not worth keeping.
            if disk.spares.len() < spare_segments && old.bytes <= self.config.segment_bytes {
                let spare = segment::spare_path(&self.config.dir, old.first_lsn);
                fs::rename(&old.path, &spare).map_err(fail)?;
                disk.spares.push((spare, old.bytes));
            } else {
                fs::remove_file(&old.path).map_err(fail)?;
            }
            released += 1;
            kill_point("K13-released");
        }
        if released > 0 {
            // A spare may be overwritten only when its old name is gone for good.
            segment::sync_dir(&self.config.dir)?;
        }
        Ok(released)
    }

    /// A reader over the same directory.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn reader(&self, from_lsn: Lsn) -> Result<JournalReader, JournalError> {
        JournalReader::open(&self.config.dir, from_lsn)
    }

    /// Sees to it that `size` more bytes fit in the segment, together with what is pending; starts a new one if not.
    fn make_room(&mut self, size: usize) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Failed);
        }
        let Some(disk) = &self.disk else { return Ok(()) };
        let end = disk.offset + (self.pending.len() + size + TERMINATOR.len()) as u64;
        let empty = disk.offset == SEGMENT_HEADER_BYTES && self.pending.is_empty();
        if end <= self.config.segment_bytes || empty {
            return Ok(());
        }
        self.commit()?;
        let (config, first_lsn) = (&self.config, self.next_lsn);
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let rolled = disk.roll(config, first_lsn);
        self.failed = rolled.as_ref().is_err_and(|e| !e.is_full());
        rolled
    }
}

impl Disk {
    fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        segments + self.spares.iter().map(|spare| spare.1).sum::<u64>()
    }

    /// Writes and syncs what is pending, and empties it.
    fn write(&mut self, pending: &mut Vec<u8>) -> Result<(), JournalError> {
        let length = pending.len();
        let path = self.segments.back().map_or(Path::new(""), |segment| &segment.path);
        pending.extend_from_slice(&TERMINATOR);
        let outcome = self.file.write_all_at(pending, self.offset);
        pending.truncate(length);
        outcome.map_err(|e| JournalError::io("write", path, e))?;
        kill_point("K2");
        self.file.sync_data().map_err(|source| {
            // Even a full disk is no reason to go on here: what a failed sync has dropped, no later one reports.
            JournalError::sync(path, source)
        })?;
        self.offset += length as u64;
        pending.clear();
        self.forget();
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes = segment.bytes.max(self.offset);
        }
        Ok(())
    }

    /// Gives back the kernel's copy of what is durable, now and then: only a restart reads it again, and the next
    /// commit is copied into memory that is at hand instead of memory that was never touched.
    fn forget(&mut self) {
        if self.offset < self.remembered_from + FORGET_BYTES {
            return;
        }
        // The end of the last time's range may have been in use then.
        let from = self.remembered_from.saturating_sub(FORGET_BYTES);
        let range = (i64::try_from(from), i64::try_from(self.offset - from));
        self.remembered_from = self.offset;
        if let (Ok(from), Ok(length)) = range
            && let Err(error) =
                posix_fadvise(&self.file, from, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        {
            tracing::trace!(%error, "the journal's pages stay in memory");
        }
    }

    /// Starts the next segment.
    fn roll(&mut self, config: &JournalConfig, first_lsn: Lsn) -> Result<(), JournalError> {
        let bytes = config.segment_bytes;
        if self.spares.is_empty() && self.bytes() + bytes > config.max_bytes {
            return Err(JournalError::Full { bytes: self.bytes(), max_bytes: config.max_bytes });
        }
        if self.spares.is_empty() {
            space::check(&config.dir, bytes, config.reserve_bytes)?;
        }
        let spare = self.spares.last().map(|spare| spare.0.clone());
        let (file, seed, path) = segment::create(&config.dir, first_lsn, bytes, spare)?;
        self.spares.pop();
        self.file = file;
        self.seed = seed;
        self.offset = SEGMENT_HEADER_BYTES;
        self.remembered_from = 0;
        self.segments.push_back(SegmentFile { first_lsn, path, bytes });
        Ok(())
    }
}

impl JournalLock {
    /// Makes the directory if it is not there, and takes the lock.
    ///
    /// # Errors
    /// [`JournalError::Locked`]: another process has it; the disk.
    pub fn take(config: &JournalConfig) -> Result<Self, JournalError> {
        let dir = &config.dir;
        segment::create_dir(dir)?;
        let path = dir.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| JournalError::io("open", &path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(JournalError::Locked { dir: dir.clone() }),
            Err(TryLockError::Error(e)) => Err(JournalError::io("lock", &path, e)),
        }
    }
}
