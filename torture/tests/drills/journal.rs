//! F10: bits flipped, bytes cut, garbage written in a journal of a killed node. What comes back is what was written, up
//! to the last commit at most; what was durable before it is never silently missing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ingest::journal::{Journal, JournalConfig, JournalReader};
use torture::drill::{Drill, Fate};
use torture::rng::Rng;

use torture::load::{LISTENERS, Load, lines, sound, takes_all};

/// Damaged copies.
const COPIES: u64 = 400;

/// An entry as its bytes say: where it is, its position, the first position of its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Raw {
    at: usize,
    end: usize,
    lsn: u64,
    commit: u64,
}

/// Reads a segment by the layout that the journal documents, without its code.
fn walk(bytes: &[u8]) -> Vec<Raw> {
    let number = |at: usize, len: usize| {
        let mut le = [0; 8];
        le[..len].copy_from_slice(&bytes[at..at + len]);
        u64::from_le_bytes(le)
    };
    let mut entries = Vec::new();
    let mut at = 32;
    while at + 36 <= bytes.len() && number(at, 4) > 0 {
        let (end, lsn) = (at + 8 + number(at, 4) as usize, number(at + 8, 8));
        entries.push(Raw { at, end, lsn, commit: lsn - number(at + 24, 4) });
        at = end;
    }
    entries
}

/// What the journal's own reader gives: position, receive time, frame.
fn read(dir: &Path) -> Result<Vec<(u64, i64, Vec<u8>)>> {
    let mut reader = JournalReader::open(dir, 1)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next()? {
        entries.push((entry.lsn, entry.recv_ms, entry.frame.to_vec()));
    }
    Ok(entries)
}

/// One damage; answers the first byte that is not as it was, and whether bytes are missing rather than wrong.
fn damage(bytes: &mut Vec<u8>, used: usize, tail: usize, rng: &mut Rng) -> (usize, bool) {
    // Half of them near the end.
    let low = if rng.percent(50) { tail } else { 32 };
    let at = rng.range(low as u64, used as u64) as usize;
    match rng.range(0, 4) {
        0 => bytes[at] ^= 1 << rng.range(0, 8),
        1 => {
            for byte in bytes[at..].iter_mut().take(rng.range(1, 65) as usize) {
                *byte = rng.number() as u8;
            }
        }
        2 => {
            bytes[at..].fill(0);
            return (at, true);
        }
        _ => {
            bytes.truncate(at);
            return (at, true);
        }
    }
    (at, false)
}

fn check(segment: &Path, copy: &Path, seed: u64) -> Result<()> {
    let mut rng = Rng::new(seed);
    let mut bytes = fs::read(segment)?;
    let original = bytes.clone();
    let entries = walk(&original);
    let whole = read(segment.parent().context("a segment lies in a folder")?)?;
    ensure!(entries.len() == whole.len() && whole.len() > 300, "{} of {}", entries.len(), whole.len());
    let last = entries.last().context("entries")?;
    let (used, durable) = (last.end, last.commit - 1);
    let tail = entries.iter().find(|e| e.lsn == last.commit).context("the last commit")?.at;
    let (at, missing) = damage(&mut bytes, used, tail, &mut rng);
    if bytes == original {
        return Ok(());
    }
    drop(fs::remove_dir_all(copy));
    fs::create_dir_all(copy)?;
    fs::write(copy.join(segment.file_name().context("a name")?), &bytes)?;
    let config =
        JournalConfig { dir: copy.to_path_buf(), segment_bytes: 1 << 20, ..JournalConfig::default() };
    let hit = entries.iter().find(|e| e.end > at).map_or(last.lsn, |e| e.lsn);
    match Journal::open(&config) {
        Err(error) if hit > durable => bail!("damage within the last commit stops the node: {error}"),
        Err(error) => ensure!(error.to_string().contains("damaged"), "not named as damage: {error}"),
        Ok((_, recovery)) => {
            let back = read(copy)?;
            ensure!(whole.starts_with(&back), "{} entries come back that nobody wrote", back.len());
            ensure!(recovery.next_lsn == back.len() as u64 + 1, "{recovery:?}, {} read", back.len());
            let lost = back.len() < whole.len();
            // Bytes that are gone leave nothing that could prove them; on a disk that keeps its word only the last
            // commit can be gone.
            ensure!(missing || back.len() as u64 >= durable, "durable until {durable}, {} back", back.len());
            ensure!(!lost || missing || recovery.torn_bytes > 0, "cut and not counted: {recovery:?}");
        }
    }
    Ok(())
}

/// A journal of one segment from a node that was killed at work.
fn journal() -> Result<(Drill, PathBuf)> {
    let mut drill = Drill::new("journal", LISTENERS, takes_all(), None)?;
    let mut load = Load::default();
    load.relp(&drill, lines("TA"), 1_500, sound())?;
    drill.keep_up(|_| Fate::Live, |_| Ok(load.progress()))?;
    drill.node.kill()?;
    let segment = drill.node.data().join("journal/00000000000000000001.journal");
    // Most of a segment is still empty: damaged copies need not hold that.
    let bytes = fs::read(&segment)?;
    let used = walk(&bytes).last().context("entries")?.end + 4_096;
    let kept = drill.scratch().path("kept");
    fs::create_dir_all(&kept)?;
    let path = kept.join("00000000000000000001.journal");
    fs::write(&path, &bytes[..used.min(bytes.len())])?;
    Ok((drill, path))
}

#[test]
fn damage_is_found() {
    let run = || -> Result<()> {
        let (mut drill, segment) = journal()?;
        let copy = drill.scratch().path("copy");
        for seed in 0..COPIES {
            check(&segment, &copy, seed).with_context(|| format!("copy {seed}"))?;
        }
        // The node itself: refuses a journal damaged in the middle, and says where.
        let own = drill.node.data().join("journal/00000000000000000001.journal");
        drop(fs::remove_dir_all(drill.node.data().join("snapshots")));
        let mut bytes = fs::read(&own)?;
        let entry = walk(&bytes)[100].clone();
        bytes[entry.at + 40] ^= 4;
        fs::write(&own, &bytes)?;
        let end = drill.node.start("")?;
        ensure!(end == Some(torture::node::End::Exit(2)), "a damaged journal: {end:?}");
        let said = drill.node.said()?;
        ensure!(said.contains("damaged") && said.contains(&entry.at.to_string()), "{said}");
        bytes[entry.at + 40] ^= 4;
        fs::write(&own, &bytes)?;
        drill.node.up()?;
        drill.stop()
    };
    run().unwrap_or_else(|e| panic!("{e:#}"));
}
