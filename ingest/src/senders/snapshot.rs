//! What is known of senders, written down: a file that stands for a position of the journal.
//!
//! [`Senders::freeze`] is quick (full blocks of ids are shared, not copied); another thread writes what it gives. The
//! file appears whole: temporary name, sync, rename. Refuses to know: when to write, threads.
//!
//! # On disk
//! All integers little endian; texts are a length (u16) and UTF-8.
//! ```text
//! magic "WRSNDR01", LSN that it stands for (u64), then sections: kind (u8), length of the body (u64), body.
//! kind 1, a sender:  name; inputs: count (u8), texts; last heard, heard since (i64, ms); lines, duplicates (u64);
//!                    missing, filled, restarts (u64); numberings: count (u8), each: next, floor (u64), begun (i64),
//!                    gaps: count (u32), each: from, to (u64), since (i64), missing (u8);
//!                    ids: count (u32), each 16 bytes, the oldest first
//! kind 2, tails of sessions: as whoever keeps them wrote them
//! kind 0, the end: no body; then the crc32c of all before (u32)
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use record::Lsn;

use super::sender::Sender;
use super::sequence::{Gap, Run};
use super::window::{Window, WindowIds};
use super::{Senders, SendersConfig};
use crate::kill_point;

const MAGIC: &[u8; 8] = b"WRSNDR01";
const END: u8 = 0;
const SENDER: u8 = 1;
const TAILS: u8 = 2;

/// Senders at one position, to be written.
#[derive(Debug)]
pub struct FrozenSenders {
    lsn: Lsn,
    /// Of each sender all but the ids, and the ids.
    senders: Vec<(Vec<u8>, WindowIds)>,
    tails: Vec<u8>,
}

/// What a file held.
#[derive(Debug)]
pub struct Restored {
    /// The senders.
    pub senders: Senders,
    /// The position that they stand for.
    pub lsn: Lsn,
    /// Tails of sessions, as they were given to [`Senders::freeze`].
    pub tails: Vec<u8>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("is damaged, or was written by another version: {0}")]
    Damaged(&'static str),
}

impl Senders {
    /// What is known now. `lsn`: the last position that was taken in, and is durable; `tails`: written along.
    pub fn freeze(&self, lsn: Lsn, tails: Vec<u8>) -> FrozenSenders {
        let senders = self.senders.iter().map(|sender| (head(sender), sender.window.ids())).collect();
        FrozenSenders { lsn, senders, tails }
    }

    /// Reads a file that [`FrozenSenders::save`] wrote; `None` if there is none.
    ///
    /// # Errors
    /// The disk; a file that is damaged or of another version.
    pub fn load(path: &Path, config: &SendersConfig) -> Result<Option<Restored>, SnapshotError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::new(config).restore(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Fills senders that know nobody yet.
    pub(super) fn restore(mut self, bytes: &[u8]) -> Result<Restored, SnapshotError> {
        let damaged = |why| SnapshotError::Damaged(why);
        let (body, crc) = bytes.split_last_chunk().ok_or(damaged("it is too short"))?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(damaged("its checksum does not fit"));
        }
        let mut all = Cursor(body);
        if all.take(8) != Some(MAGIC) {
            return Err(damaged("it begins with something else"));
        }
        let lsn = all.u64().ok_or(damaged("it is too short"))?;
        let mut tails = Vec::new();
        loop {
            let section = all
                .u8()
                .zip(all.u64())
                .and_then(|(kind, length)| Some((kind, all.take(usize::try_from(length).ok()?)?)));
            match section.ok_or(damaged("it ends too early"))? {
                (END, _) => return Ok(Restored { senders: self, lsn, tails }),
                (SENDER, body) => {
                    let sender = sender(&mut Cursor(body), self.window_eids);
                    self.put(sender.ok_or(damaged("a sender's part cannot be read"))?);
                }
                (TAILS, body) => tails = body.to_vec(),
                // A later version may say more.
                _ => {}
            }
        }
    }

    fn put(&mut self, sender: Sender) {
        let place = self.place(&format!("/{}", sender.name));
        if let Some(known) = self.senders.get_mut(place) {
            *known = sender;
        }
    }
}

impl FrozenSenders {
    /// The position that it stands for.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Writes the file: under a temporary name, synced, renamed. Returns its size.
    ///
    /// # Errors
    /// The disk.
    pub fn save(&self, path: &Path) -> io::Result<u64> {
        let temporary = path.with_extension("snapshot.tmp");
        let mut out =
            Checked { inner: BufWriter::with_capacity(1 << 20, File::create(&temporary)?), crc: 0, bytes: 0 };
        self.write(&mut out)?;
        let bytes = out.bytes;
        let file = out.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        kill_point("S2");
        std::fs::rename(&temporary, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(bytes)
    }

    fn write(&self, out: &mut Checked<impl Write>) -> io::Result<()> {
        out.put(MAGIC)?;
        out.put(&self.lsn.to_le_bytes())?;
        for (head, ids) in &self.senders {
            out.put(&[SENDER])?;
            out.put(&((head.len() + 4 + ids.len() * 16) as u64).to_le_bytes())?;
            out.put(head)?;
            out.put(&(ids.len() as u32).to_le_bytes())?;
            for eid in ids.iter() {
                out.put(&eid.to_le_bytes())?;
            }
        }
        out.put(&[TAILS])?;
        out.put(&(self.tails.len() as u64).to_le_bytes())?;
        out.put(&self.tails)?;
        out.put(&[END])?;
        out.put(&0_u64.to_le_bytes())?;
        let crc = out.crc;
        out.put(&crc.to_le_bytes())
    }
}

/// Keeps the checksum of what goes through.
struct Checked<W> {
    inner: W,
    crc: u32,
    bytes: u64,
}

impl<W: Write> Checked<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }
}

/// A sender's part but for the ids.
fn head(sender: &Sender) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let text = |out: &mut Vec<u8>, text: &str| {
        let text = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text);
    };
    text(&mut out, &sender.name);
    out.push(sender.inputs.len() as u8);
    sender.inputs.iter().for_each(|input| text(&mut out, input));
    let sequence = &sender.sequence;
    for instant_ms in [sender.last_heard_ms, sender.heard_since_ms] {
        out.extend_from_slice(&instant_ms.to_le_bytes());
    }
    for count in [sender.lines, sender.duplicates, sequence.missing, sequence.filled, sequence.restarts] {
        out.extend_from_slice(&count.to_le_bytes());
    }
    out.push(sequence.runs.len() as u8);
    for run in &sequence.runs {
        out.extend_from_slice(&run.next.to_le_bytes());
        out.extend_from_slice(&run.floor.to_le_bytes());
        out.extend_from_slice(&run.begun_ms.to_le_bytes());
        out.extend_from_slice(&(run.gaps.len() as u32).to_le_bytes());
        for gap in &run.gaps {
            out.extend_from_slice(&gap.from.to_le_bytes());
            out.extend_from_slice(&gap.to.to_le_bytes());
            out.extend_from_slice(&gap.since_ms.to_le_bytes());
            out.push(u8::from(gap.missing));
        }
    }
    out
}

/// Reads a sender's part; `None` if it is not one.
fn sender(part: &mut Cursor<'_>, window_eids: usize) -> Option<Sender> {
    let mut sender = Sender::new(part.text()?, window_eids);
    for _ in 0..part.u8()? {
        sender.inputs.push(part.text()?);
    }
    (sender.last_heard_ms, sender.heard_since_ms) = (part.i64()?, part.i64()?);
    (sender.lines, sender.duplicates) = (part.u64()?, part.u64()?);
    let sequence = &mut sender.sequence;
    (sequence.missing, sequence.filled, sequence.restarts) = (part.u64()?, part.u64()?, part.u64()?);
    sequence.filled = sequence.filled.min(sequence.missing);
    for _ in 0..part.u8()? {
        let mut run = Run { next: part.u64()?, floor: part.u64()?, begun_ms: part.i64()?, gaps: Vec::new() };
        for _ in 0..part.u32()? {
            let (from, to, since_ms) = (part.u64()?, part.u64()?, part.i64()?);
            run.gaps.push(Gap { from, to, since_ms, missing: part.u8()? == 1 });
        }
        let ascending =
            run.gaps.is_sorted_by(|a, b| a.to < b.from) && run.gaps.iter().all(|g| g.from <= g.to);
        sequence.runs.push(Some(run).filter(|_| ascending)?);
    }
    let ids = part.u32()? as usize;
    sender.window = Window::new(window_eids);
    for _ in 0..ids {
        sender.window.insert(u128::from_le_bytes(*part.take(16)?.first_chunk()?));
    }
    part.0.is_empty().then_some(sender)
}

/// Reads from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.take(4)?.first_chunk()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    fn i64(&mut self) -> Option<i64> {
        Some(self.u64()?.cast_signed())
    }

    fn text(&mut self) -> Option<Arc<str>> {
        let length = u16::from_le_bytes(*self.take(2)?.first_chunk()?);
        Some(std::str::from_utf8(self.take(usize::from(length))?).ok()?.into())
    }
}
