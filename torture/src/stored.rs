//! What a node that is down has kept: its journal, its trace files, the records in them; read back as a user would.
//!
//! Refuses to know: what should be there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ingest::journal::{EntryKind, JournalReader};
use serde_json::Value;

use crate::node::Node;

/// More records than any drill stores.
const ROWS_MAX: &str = "10000000";

/// One stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its position.
    pub lsn: u64,
    /// `input/peer`.
    pub source: String,
    /// The order number, if it has one.
    pub order_no: String,
    /// The message as stored.
    pub message: String,
    /// What is special about it.
    pub flags: Vec<String>,
}

/// The journal's entries.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    /// First position held.
    pub first: u64,
    /// Position after the last.
    pub end: u64,
    /// Positions of frames, with their bytes.
    pub frames: BTreeMap<u64, Vec<u8>>,
}

/// All records of the trace store by position. The node is down; a position that comes twice is an error here.
///
/// # Errors
/// The store cannot be read; a position stands twice.
pub fn rows(node: &Node) -> Result<BTreeMap<u64, Row>> {
    let config = node.config().display().to_string();
    let (code, out, err) = node.command(&["search", "--json", "--limit", ROWS_MAX, "--config", &config])?;
    ensure!(code == 0, "search: {err}");
    ensure!(!err.contains("there is more"), "search: {err}");
    let mut rows = BTreeMap::new();
    for line in out.lines() {
        let value: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lsn = value["lsn"].as_u64().with_context(|| format!("a record without a position: {line}"))?;
        let flags = value["flags"].as_array().map(|flags| flags.iter().map(text).collect());
        let row = Row {
            lsn,
            source: text(&value["source"]),
            order_no: text(&value["columns"]["order_no"]),
            message: text(&value["message"]),
            flags: flags.unwrap_or_default(),
        };
        if rows.insert(lsn, row).is_some() {
            bail!("the trace store answers position {lsn} twice");
        }
    }
    Ok(rows)
}

/// All entries that the journal holds, read as recovery would. An entry out of order is an error.
///
/// # Errors
/// The journal is damaged.
pub fn entries(dir: &Path) -> Result<Entries> {
    let first = first_lsn(dir)?;
    let mut reader = JournalReader::open(dir, first)?;
    let mut entries = Entries { first, end: first, frames: BTreeMap::new() };
    while let Some(entry) = reader.next()? {
        ensure!(entry.lsn == entries.end, "after {} comes entry {}", entries.end, entry.lsn);
        entries.end += 1;
        if entry.kind == EntryKind::Frame {
            entries.frames.insert(entry.lsn, entry.frame.to_vec());
        }
    }
    Ok(entries)
}

/// First position that the journal of a folder holds, by the names of its segments; 1 if there is none.
///
/// # Errors
/// The disk.
pub fn first_lsn(dir: &Path) -> Result<u64> {
    let mut first = None;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if let Some(lsn) = name.strip_suffix(".journal").and_then(|stem| stem.parse::<u64>().ok()) {
            first = Some(first.map_or(lsn, |f: u64| f.min(lsn)));
        }
    }
    Ok(first.unwrap_or(1))
}

/// The ranges that the names of the trace files claim, in order.
///
/// # Errors
/// The disk.
pub fn file_ranges(traces: &Path) -> Result<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    if !traces.exists() {
        return Ok(ranges);
    }
    for hour in fs::read_dir(traces)? {
        let hour = hour?.path();
        if !hour.is_dir() {
            continue;
        }
        for file in fs::read_dir(hour)? {
            let name = file?.file_name().into_string().unwrap_or_default();
            let mut parts = name.split('_');
            let range =
                (parts.next().and_then(|n| n.parse().ok()), parts.next().and_then(|n| n.parse().ok()));
            if let (Some(first), Some(last), true) = (range.0, range.1, name.ends_with(".parquet")) {
                ranges.push((first, last));
            }
        }
    }
    ranges.sort_unstable();
    Ok(ranges)
}

/// Calls `see` with every file below a folder.
///
/// # Errors
/// The disk, or what `see` fails with.
pub fn each_file(folder: &Path, see: &mut impl FnMut(&Path, &[u8]) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            each_file(&path, see)?;
        } else {
            see(&path, &fs::read(&path)?)?;
        }
    }
    Ok(())
}
