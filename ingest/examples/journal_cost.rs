//! What the local journal costs here: append, commit (new and recycled segments), replay, recovery.
//!
//! `cargo run --release -p ingest --example journal_cost [DIR [ENTRIES [COMMIT_KIB]]]`. DIR must be on the disk in
//! question, not on tmpfs.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program reads clocks and prints"
)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::{Journal, JournalConfig, JournalReader};
use record::{Batch, FormatId, FormatSet, Row, RowFlags, Span};

const FRAME_BYTES: usize = 660;
const ROWS: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(|| std::env::temp_dir().join("journal-cost"), PathBuf::from);
    let entries: usize = args.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let commit_kib: usize = args.next().map_or(Ok(256), |n| n.parse())?;
    if dir.exists() {
        return Err(format!("{} exists; name a directory to be made and removed", dir.display()).into());
    }
    let config = JournalConfig {
        dir: dir.clone(),
        commit_bytes: commit_kib << 10,
        spare_segments: entries * (FRAME_BYTES + 80) / (64 << 20) + 2,
        ..JournalConfig::default()
    };
    println!("{entries} entries of {FRAME_BYTES} bytes, commit every {commit_kib} KiB, {}", dir.display());
    let (mut journal, _) = Journal::open(&config)?;
    fill(&mut journal, &config, entries, "new segments")?;
    replay(&dir, "replay")?;
    journal.release(journal.next_lsn())?;
    fill(&mut journal, &config, entries, "recycled segments")?;
    let first = journal.first_lsn();
    drop(journal);
    let started = Instant::now();
    let (_journal, recovery) = Journal::open(&config)?;
    println!("open: {:.1} ms, {} entries", ms(started.elapsed()), recovery.next_lsn - first);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn fill(
    journal: &mut Journal,
    config: &JournalConfig,
    entries: usize,
    name: &str,
) -> Result<(), Box<dyn Error>> {
    let formats = FormatSet::shipped("Asia/Shanghai".parse()?);
    let mut batch = batch();
    let mut appends = Vec::new();
    let mut commits = Vec::new();
    let started = Instant::now();
    for _ in 0..entries / ROWS {
        let at = Instant::now();
        journal.append(&mut batch, &formats)?;
        appends.push(at.elapsed());
        if journal.pending_bytes() >= config.commit_bytes {
            let at = Instant::now();
            journal.commit()?;
            commits.push(at.elapsed());
        }
    }
    journal.commit()?;
    let took = started.elapsed();
    commits.sort();
    appends.sort();
    // The median: what a busy machine takes away in between is not the journal's cost.
    let append = appends[appends.len() / 2].as_nanos() as usize / ROWS;
    let bytes = entries as f64 * FRAME_BYTES as f64;
    let at = |q: f64| ms(commits.get(((commits.len() - 1) as f64 * q) as usize).copied().unwrap_or_default());
    println!(
        "{name}: {:.0} entries/s, {:.0} MB/s; append {append} ns/entry; {:.0} commits/s, p50 {:.2} p99 {:.2} \
         max {:.1} ms",
        entries as f64 / took.as_secs_f64(),
        bytes / took.as_secs_f64() / 1e6,
        commits.len() as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
    Ok(())
}

fn replay(dir: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let mut reader = JournalReader::open(dir, 1)?;
    let (mut entries, mut bytes) = (0_u64, 0);
    while let Some(entry) = reader.next()? {
        entries += 1;
        bytes += entry.frame.len();
    }
    let took = started.elapsed();
    println!(
        "{name}: {entries} entries in {:.0} ms = {:.1} M/s, {:.2} GB/s",
        ms(took),
        entries as f64 / took.as_secs_f64() / 1e6,
        bytes as f64 / took.as_secs_f64() / 1e9
    );
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn batch() -> Batch {
    let mut batch = Batch::default();
    let source = batch.source_index(&Arc::from("tcp-514/10.0.0.7"));
    for i in 0..ROWS {
        let start = (i * FRAME_BYTES) as u32;
        batch.bytes.extend((0..FRAME_BYTES).map(|byte| b' ' + ((byte * 7 + i) % 90) as u8));
        let frame = Span { start, end: start + FRAME_BYTES as u32 };
        batch.rows.push(Row {
            lsn: 0,
            recv_ms: Some(1_700_000_000_000),
            event_ms: None,
            frame,
            message: frame,
            host: Span::default(),
            program: Span::default(),
            structured_data: Span::default(),
            pri: None,
            format: FormatId(0),
            source,
            flags: RowFlags::default(),
            spans_start: 0,
            spans_len: 0,
            ill_typed: 0,
        });
    }
    batch
}
