//! Engine snapshots as files: `engine-<lsn>.snap`, the last two of them, with the alerts that the pages showed.
//!
//! ```text
//!  0  8  magic "WRSNAP01"
//!  8  4  crc32c of everything behind it
//! 12  4  zero
//! 16  8  LSN of the last entry judged: the snapshot stands for everything up to it
//! 24  8  hash over the engine's state
//! 32  8  records judged since the journal began
//! 40  8  when it was taken, ms since the epoch
//! 48  8  length of the engine's part
//! 56  .  the engine's part, then the alert book: one alert a line, JSON
//! ```
//! Integers little endian. A file has its name only when it is whole and durable. Refuses to know: what the engine's
//! part says, and when a snapshot is taken.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use ingest::kill_point;
use record::{InstantMs, Lsn};
use rules::Alert;

/// Snapshots kept: if the newest is damaged, the one before has to do.
pub(crate) const KEPT: usize = 2;
const MAGIC: &[u8; 8] = b"WRSNAP01";
const HEADER_BYTES: usize = 56;

/// What a restart needs of the judge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Everything up to this position has been judged; nothing behind it.
    pub(crate) lsn: Lsn,
    /// [`rules::Engine::state_hash`] at that moment.
    pub(crate) state_hash: u64,
    /// Records judged since the journal began.
    pub(crate) judged: u64,
    /// When it was taken.
    pub(crate) taken_ms: InstantMs,
    /// The engine's own bytes.
    pub(crate) engine: Vec<u8>,
    /// The alert book.
    pub(crate) alerts: Vec<Arc<Alert>>,
}

/// Makes the snapshot durable and removes those that are no longer kept. Returns its size.
pub(crate) fn write(dir: &Path, snapshot: &Snapshot) -> Result<u64> {
    let bytes = encode(snapshot)?;
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let path = dir.join(format!("engine-{:020}.snap", snapshot.lsn));
    let temporary = path.with_extension("snap.tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    if let Err(error) = written {
        // What was got of the disk must not stay taken.
        drop(fs::remove_file(&temporary));
        return Err(error).with_context(|| format!("{} cannot be written", temporary.display()));
    }
    kill_point("S1");
    fs::rename(&temporary, &path)
        .and_then(|()| File::open(dir)?.sync_all())
        .with_context(|| format!("{} cannot be put in place", path.display()))?;
    for (_, old) in list(dir)?.into_iter().skip(KEPT) {
        fs::remove_file(&old).with_context(|| format!("{} cannot be removed", old.display()))?;
    }
    Ok(bytes.len() as u64)
}

/// Snapshots of a directory, newest first, unread. No directory: none.
pub(crate) fn list(dir: &Path) -> Result<Vec<(Lsn, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be listed", dir.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{} cannot be listed", dir.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let lsn = name.strip_prefix("engine-").and_then(|name| name.strip_suffix(".snap"));
        if let Some(lsn) = lsn.and_then(|digits| digits.parse().ok()) {
            found.push((lsn, path));
        }
    }
    found.sort_by_key(|(lsn, _)| std::cmp::Reverse(*lsn));
    Ok(found)
}

/// Removes what an interrupted [`write`] left. The caller is the directory's only writer.
pub(crate) fn remove_unfinished(dir: &Path) {
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "tmp") {
            // It is in nobody's way; the next try comes with the next start.
            drop(fs::remove_file(path));
        }
    }
}

/// Reads and checks a snapshot.
pub(crate) fn read(path: &Path) -> Result<Snapshot> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    decode(&bytes).with_context(|| format!("{} is damaged", path.display()))
}

fn encode(snapshot: &Snapshot) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + snapshot.engine.len() + 4_096 * snapshot.alerts.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[0; 8]);
    let engine_bytes = snapshot.engine.len() as u64;
    let taken = snapshot.taken_ms.cast_unsigned();
    for number in [snapshot.lsn, snapshot.state_hash, snapshot.judged, taken, engine_bytes] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&snapshot.engine);
    for alert in &snapshot.alerts {
        serde_json::to_writer(&mut bytes, alert).context("an alert cannot be written as JSON")?;
        bytes.push(b'\n');
    }
    let crc = crc32c::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Snapshot> {
    ensure!(bytes.len() >= HEADER_BYTES, "it is shorter than its header");
    ensure!(bytes[..8] == MAGIC[..], "it does not start as a snapshot of this version");
    ensure!(crc32c::crc32c(&bytes[12..]).to_le_bytes() == bytes[8..12], "its checksum does not fit");
    let number = |at: usize| {
        bytes[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).context("its header is cut")
    };
    let rest = &bytes[HEADER_BYTES..];
    let Some((engine, book)) = usize::try_from(number(48)?).ok().and_then(|at| rest.split_at_checked(at))
    else {
        bail!("its parts do not fit")
    };
    let mut alerts = Vec::new();
    for line in book.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(alert) => alerts.push(Arc::new(alert)),
            // A page without one old alert is better than a judge without its memory.
            Err(error) => tracing::warn!("snapshot: an alert cannot be read and will not be shown: {error}"),
        }
    }
    Ok(Snapshot {
        lsn: number(16)?,
        state_hash: number(24)?,
        judged: number(32)?,
        taken_ms: number(40)?.cast_signed(),
        engine: engine.to_vec(),
        alerts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(lsn: Lsn) -> Snapshot {
        Snapshot { lsn, state_hash: 7, judged: 9, taken_ms: -3, engine: vec![1; 300], alerts: Vec::new() }
    }

    #[test]
    fn the_last_two_are_kept_and_read_back() {
        let dir = std::env::temp_dir().join(format!("watchroom-snapshots-{}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        assert!(list(&dir).unwrap().is_empty(), "no directory yet");
        for lsn in [5, 70, 600] {
            write(&dir, &snapshot(lsn)).unwrap();
        }
        fs::write(dir.join("engine-00000000000000000700.snap.tmp"), b"half").unwrap();
        remove_unfinished(&dir);
        let lsns: Vec<Lsn> = list(&dir).unwrap().iter().map(|(lsn, _)| *lsn).collect();
        assert_eq!((lsns, fs::read_dir(&dir).unwrap().count()), (vec![600, 70], 2));
        let back = read(&list(&dir).unwrap()[0].1).unwrap();
        assert_eq!((back.lsn, back.state_hash, back.judged, back.taken_ms), (600, 7, 9, -3));
        assert_eq!(back.engine, vec![1; 300]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_flipped_bit_or_a_missing_byte_is_found() {
        let whole = encode(&snapshot(5)).unwrap();
        assert!(decode(&whole).is_ok());
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(decode(&damaged).is_err(), "byte {at}");
            assert!(decode(&whole[..at]).is_err(), "cut at {at}");
        }
    }
}
