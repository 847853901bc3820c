//! Names, safe writing and the opening check of trace files.
//!
//! `2016-07-22T10/<first LSN>_<last LSN>_<first event>_<last event>_<rows>.parquet`: the folder is the receive
//! hour (UTC), LSNs have 20 digits, events are milliseconds since the epoch, both ends inclusive.
//! Refuses to know: what is in the files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use record::{InstantMs, Lsn};

use super::groups::GroupSummary;
use crate::kill_point::kill_point;
use crate::trace_store::TraceError;

/// Ends the name of a file that is being written.
const TEMPORARY: &str = ".tmp";
const HOUR_MS: i64 = 3_600_000;
const MAGIC: &[u8; 4] = b"PAR1";

/// What the name of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileName {
    /// Receive hour, in hours since the epoch.
    pub(super) hour: i64,
    /// First and last position covered, ticks included.
    pub(super) first: Lsn,
    pub(super) last: Lsn,
    /// Lowest and highest filing time of its rows.
    pub(super) event_min: InstantMs,
    pub(super) event_max: InstantMs,
    pub(super) rows: u64,
}

/// A complete file.
#[derive(Debug)]
pub(super) struct TraceFile {
    pub(super) path: PathBuf,
    pub(super) name: FileName,
    pub(super) bytes: u64,
    /// What its footer says of its row groups; read when first asked.
    pub(super) groups: OnceLock<Vec<GroupSummary>>,
}

impl FileName {
    /// Folder and name below the store's directory.
    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        let Self { first, last, event_min, event_max, rows, .. } = self;
        hour_dir(dir, self.hour)
            .join(format!("{first:020}_{last:020}_{event_min}_{event_max}_{rows}.parquet"))
    }

    pub(super) fn parse(hour: i64, name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".parquet")?.split('_');
        let (first, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (event_min, event_max) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let rows = parts.next()?.parse().ok()?;
        (parts.next().is_none() && first <= last).then_some(Self {
            hour,
            first,
            last,
            event_min,
            event_max,
            rows,
        })
    }

    fn holds(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// Receive hour of an instant.
pub(super) fn hour_of(instant_ms: InstantMs) -> i64 {
    instant_ms.div_euclid(HOUR_MS)
}

/// First instant of an hour.
pub(super) fn hour_start_ms(hour: i64) -> InstantMs {
    hour.saturating_mul(HOUR_MS)
}

fn hour_dir(dir: &Path, hour: i64) -> PathBuf {
    let start = chrono::DateTime::from_timestamp_millis(hour_start_ms(hour)).unwrap_or_default();
    dir.join(start.format("%Y-%m-%dT%H").to_string())
}

pub(super) fn parse_hour(name: &str) -> Option<i64> {
    let start = chrono::NaiveDateTime::parse_from_str(&format!("{name}:00"), "%Y-%m-%dT%H:%M").ok()?;
    Some(hour_of(start.and_utc().timestamp_millis()))
}

/// An I/O error with its path.
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> TraceError {
    let path = path.display().to_string();
    move |source| TraceError::Io { path, source }
}

/// A damaged file.
pub(super) fn corrupt(path: &Path, message: impl Into<String>) -> TraceError {
    TraceError::Corrupt { path: path.display().to_string(), message: message.into() }
}

/// Writes a file under a temporary name, then makes it durable and gives it its name: it is there whole or not
/// at all, whatever breaks. `fill` writes it and hands it back.
pub(super) fn create(
    dir: &Path,
    name: FileName,
    fill: impl FnOnce(File) -> Result<File, parquet::errors::ParquetError>,
) -> Result<TraceFile, TraceError> {
    let path = name.path(dir);
    let mut temporary = path.clone().into_os_string();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let folder = hour_dir(dir, name.hour);
    if !folder.is_dir() {
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        sync_dir(dir)?;
    }
    let written = write(&temporary, &path, fill);
    if written.is_err() {
        let removed = fs::remove_file(&temporary);
        tracing::debug!(path = %temporary.display(), ?removed, "unfinished trace file");
    }
    let bytes = written?;
    kill_point("K9");
    sync_dir(&folder)?;
    Ok(TraceFile { path, name, bytes, groups: OnceLock::new() })
}

fn write(
    temporary: &Path,
    path: &Path,
    fill: impl FnOnce(File) -> Result<File, parquet::errors::ParquetError>,
) -> Result<u64, TraceError> {
    let file = File::create(temporary).map_err(io_error(temporary))?;
    let file = fill(file).map_err(|error| super::groups::parquet_error(temporary, error))?;
    file.sync_all().map_err(io_error(temporary))?;
    let bytes = file.metadata().map_err(io_error(temporary))?.len();
    kill_point("K8");
    fs::rename(temporary, path).map_err(io_error(path))?;
    Ok(bytes)
}

fn sync_dir(dir: &Path) -> Result<(), TraceError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error(dir))
}

/// Removes a file, and its folder when nothing is left in it.
pub(super) fn remove(file: &TraceFile) -> Result<(), TraceError> {
    match fs::remove_file(&file.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&file.path)(error)),
        _ => {}
    }
    if let Some(folder) = file.path.parent() {
        match fs::remove_dir(folder) {
            Ok(()) => {}
            Err(error) => tracing::trace!(%error, folder = %folder.display(), "folder stays"),
        }
    }
    Ok(())
}

/// All files in LSN order, each position in one file only. Unfinished files and those whose content a merged
/// file holds are removed; a damaged or half-overlapping file is an error; strangers are left alone.
pub(super) fn load(dir: &Path) -> Result<Vec<Arc<TraceFile>>, TraceError> {
    fs::create_dir_all(dir).map_err(io_error(dir))?;
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error(dir))? {
        let entry = entry.map_err(io_error(dir))?;
        let hour = entry.file_name().to_str().and_then(parse_hour);
        if let Some(hour) = hour.filter(|_| entry.path().is_dir()) {
            load_hour(&entry.path(), hour, &mut files)?;
        }
    }
    files.sort_by_key(|file| (file.name.first, std::cmp::Reverse(file.name.last)));
    let mut kept: Vec<Arc<TraceFile>> = Vec::with_capacity(files.len());
    for file in files {
        match kept.last() {
            Some(before) if before.name.holds(&file.name) => remove(&file)?,
            Some(before) if before.name.last >= file.name.first => {
                let other = before.path.display();
                return Err(corrupt(
                    &file.path,
                    format!("holds records that {other} holds too; move one of them away"),
                ));
            }
            _ => kept.push(Arc::new(file)),
        }
    }
    Ok(kept)
}

fn load_hour(folder: &Path, hour: i64, files: &mut Vec<TraceFile>) -> Result<(), TraceError> {
    for entry in fs::read_dir(folder).map_err(io_error(folder))? {
        let path = entry.map_err(io_error(folder))?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        if name.ends_with(TEMPORARY) {
            fs::remove_file(&path).map_err(io_error(&path))?;
            tracing::info!(path = %path.display(), "unfinished trace file removed");
        } else if let Some(name) = FileName::parse(hour, name) {
            let bytes = check(&path)?;
            files.push(TraceFile { path, name, bytes, groups: OnceLock::new() });
        } else {
            tracing::warn!(path = %path.display(), "not a trace file, left alone");
        }
    }
    Ok(())
}

/// A Parquet file begins and ends with its mark, and its footer fits into it.
fn check(path: &Path) -> Result<u64, TraceError> {
    let file = File::open(path).map_err(io_error(path))?;
    let bytes = file.metadata().map_err(io_error(path))?.len();
    let cut = || {
        corrupt(
            path,
            "cut off or damaged; move it away and its records are taken from the journal again if it still has them",
        )
    };
    let mut tail = [0; 8];
    if bytes < 12 {
        return Err(cut());
    }
    file.read_exact_at(&mut tail, bytes - 8).map_err(io_error(path))?;
    let (length, magic) = tail.split_at(4);
    let footer = u64::from(u32::from_le_bytes([length[0], length[1], length[2], length[3]]));
    if magic != MAGIC || footer + 12 > bytes {
        return Err(cut());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_was_made_of() {
        let name = FileName {
            hour: hour_of(1_469_182_500_512),
            first: 1,
            last: 50_000,
            event_min: -5,
            event_max: 1_469_182_500_512,
            rows: 49_999,
        };
        let path = name.path(Path::new("/t"));
        expect_test::expect![[
            "/t/2016-07-22T10/00000000000000000001_00000000000000050000_-5_1469182500512_49999.parquet"
        ]]
        .assert_eq(path.to_str().unwrap());
        let hour = parse_hour("2016-07-22T10").unwrap();
        assert_eq!(FileName::parse(hour, path.file_name().unwrap().to_str().unwrap()), Some(name));
        assert_eq!(FileName::parse(hour, "5_1_0_0_0.parquet"), None);
        assert_eq!(FileName::parse(hour, "1_5_0_0.parquet"), None);
        assert_eq!(parse_hour("2016-07-22"), None);
    }
}
