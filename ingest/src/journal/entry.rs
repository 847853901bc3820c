//! One entry: its bytes, written and read. The layout is in the module's documentation.
//!
//! Refuses to know: files.

use record::{InstantMs, Lsn, RowFlags};

/// Bytes before the names.
pub(super) const HEADER_BYTES: usize = 36;
/// Bytes that the length does not count.
const PREFIX_BYTES: usize = 8;
/// No entry is longer; a greater length is no length.
pub(super) const MAX_ENTRY_BYTES: usize = 64 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A frame as decoded.
    Frame,
    /// Time alone: no frame arrived for a second.
    Tick,
}

/// An entry, read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its position.
    pub lsn: Lsn,
    /// Frame or tick.
    pub kind: EntryKind,
    /// When it was received.
    pub recv_ms: InstantMs,
    /// Flags of its row.
    pub flags: RowFlags,
    /// Name of its format; empty for a tick.
    pub format: &'a str,
    /// Who sent it: `input/peer`; empty for a tick.
    pub source: &'a str,
    /// The frame: masked, UTF-8.
    pub frame: &'a [u8],
}

/// What [`probe`] found at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// A whole entry that passes its checksum.
    Whole { total: usize, lsn: Lsn, group: Lsn },
    /// The buffer must hold so many bytes to tell.
    Short { wanted: usize },
    /// Nothing was written here.
    End,
    /// No entry.
    Bad(&'static str),
}

/// Size of an entry on disk.
pub(super) fn size(format: &str, source: &str, frame: &[u8]) -> usize {
    HEADER_BYTES + format.len().min(255) + source.len().min(65_535) + frame.len()
}

/// Appends an entry. Names longer than their length field are cut.
pub(super) fn write(buf: &mut Vec<u8>, seed: u32, group: Lsn, entry: &Entry<'_>) {
    let start = buf.len();
    let format = &entry.format.as_bytes()[..entry.format.len().min(255)];
    let source = &entry.source.as_bytes()[..entry.source.len().min(65_535)];
    let length = HEADER_BYTES - PREFIX_BYTES + format.len() + source.len() + entry.frame.len();
    let mut head = [0_u8; HEADER_BYTES];
    head[0..4].copy_from_slice(&(length as u32).to_le_bytes());
    head[8..16].copy_from_slice(&entry.lsn.to_le_bytes());
    head[16..24].copy_from_slice(&entry.recv_ms.to_le_bytes());
    head[24..28].copy_from_slice(&((entry.lsn - group) as u32).to_le_bytes());
    head[28..30].copy_from_slice(&entry.flags.0.to_le_bytes());
    head[30] = match entry.kind {
        EntryKind::Frame => 1,
        EntryKind::Tick => 2,
    };
    head[31] = format.len() as u8;
    head[32..34].copy_from_slice(&(source.len() as u16).to_le_bytes());
    buf.extend_from_slice(&head);
    buf.extend_from_slice(format);
    buf.extend_from_slice(source);
    buf.extend_from_slice(entry.frame);
    let crc = crc32c::crc32c_append(seed, &buf[start + PREFIX_BYTES..]);
    buf[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Looks at the front of `buf`.
pub(super) fn probe(buf: &[u8], seed: u32) -> Probe {
    let Some(length) = u32_at(buf, 0) else { return Probe::Short { wanted: 4 } };
    if length == 0 {
        return Probe::End;
    }
    let total = PREFIX_BYTES + length as usize;
    if !(HEADER_BYTES..=MAX_ENTRY_BYTES).contains(&total) {
        return Probe::Bad("its length is impossible");
    }
    let Some(entry) = buf.get(..total) else { return Probe::Short { wanted: total } };
    if Some(crc32c::crc32c_append(seed, &entry[PREFIX_BYTES..])) != u32_at(entry, 4) {
        return Probe::Bad("its checksum does not fit");
    }
    let names = usize::from(entry[31]) + usize::from(u16::from_le_bytes([entry[32], entry[33]]));
    if HEADER_BYTES + names > total || !(1..=2).contains(&entry[30]) {
        return Probe::Bad("its parts do not fit; was it written by a newer version?");
    }
    let lsn = u64_at(entry, 8);
    let back = u32_at(entry, 24).unwrap_or_default();
    Probe::Whole { total, lsn, group: lsn.saturating_sub(u64::from(back)) }
}

/// Reads an entry that [`probe`] found whole.
pub(super) fn view(entry: &[u8]) -> Entry<'_> {
    let format_end = HEADER_BYTES + usize::from(entry[31]);
    let source_end = format_end + usize::from(u16::from_le_bytes([entry[32], entry[33]]));
    Entry {
        lsn: u64_at(entry, 8),
        kind: if entry[30] == 2 { EntryKind::Tick } else { EntryKind::Frame },
        recv_ms: u64_at(entry, 16).cast_signed(),
        flags: RowFlags(u16::from_le_bytes([entry[28], entry[29]])),
        format: std::str::from_utf8(&entry[HEADER_BYTES..format_end]).unwrap_or_default(),
        source: std::str::from_utf8(&entry[format_end..source_end]).unwrap_or_default(),
        frame: &entry[source_end..],
    }
}

/// Searches `buf` for an entry that proves `lsn` to have been durable: one of a later group commit.
/// Returns its position and where it is.
pub(super) fn find_later_group(buf: &[u8], seed: u32, lsn: Lsn) -> Option<(Lsn, usize)> {
    let last = buf.len().checked_sub(HEADER_BYTES)?;
    let mut at = 0;
    while at <= last {
        // Most of what is searched is zeros or text: skip zeros fast, and look at the cheap fields first.
        if buf[at] == 0 && buf[at..].first_chunk::<64>().is_some_and(|chunk| *chunk == [0; 64]) {
            at += 56;
            continue;
        }
        let head = &buf[at..at + HEADER_BYTES];
        let later = u64_at(head, 8);
        let plausible = (1..=2).contains(&head[30]) && head[34..36] == [0, 0] && later > lsn;
        if plausible
            && let Probe::Whole { group, .. } = probe(&buf[at..], seed)
            && group > lsn
        {
            return Some((later, at));
        }
        at += 1;
    }
    None
}

fn u32_at(buf: &[u8], at: usize) -> Option<u32> {
    buf.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(buf: &[u8], at: usize) -> u64 {
    buf.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
