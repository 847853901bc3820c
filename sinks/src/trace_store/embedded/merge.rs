//! Joining small files: row groups are copied as they are, nothing is inflated or encoded again.
//!
//! Refuses to know: who reads the files and when the parts are removed.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::file::writer::SerializedFileWriter;

use super::files::{self, FileName, TraceFile};
use super::groups::{Chunks, OpenFile};
use super::schema::schema;
use crate::trace_store::TraceError;

/// So many files of one size class of an hour are joined while the hour lasts.
const FAN: usize = 8;
/// A file up to this size counts as small, up to `FAN` times this as medium; larger ones are left alone.
const SMALL_BYTES: u64 = 16 << 20;
/// A joined file is not larger, so that joining never keeps the writer for long.
const JOINED_MAX_BYTES: u64 = 256 << 20;

/// The next run of neighbours worth joining. In an hour that newer files have left behind: all that fit into
/// one file. In the newest hour: [`FAN`] of a size class, so each byte is copied twice at most.
pub(super) fn pick(files: &[Arc<TraceFile>]) -> Option<Range<usize>> {
    let open_hour = files.last()?.name.hour;
    let mut start = 0;
    while start < files.len() {
        let first = &files[start];
        let closed = first.name.hour != open_hour;
        let mut bytes = first.bytes;
        let mut end = start + 1;
        while let Some(next) = files.get(end) {
            let before = &files[end - 1].name;
            let neighbour = before.hour == next.name.hour && before.last + 1 == next.name.first;
            let alike = closed || class(next.bytes) == class(first.bytes);
            let enough = !closed && end - start == FAN;
            if !neighbour || !alike || enough || bytes + next.bytes > JOINED_MAX_BYTES {
                break;
            }
            bytes += next.bytes;
            end += 1;
        }
        let wanted = if closed { 2 } else { FAN };
        if end - start >= wanted && class(first.bytes) < 2 {
            return Some(start..end);
        }
        start = if closed || end - start >= FAN { end } else { start + 1 };
    }
    None
}

/// 0 small, 1 medium, 2 large.
fn class(bytes: u64) -> u8 {
    u8::from(bytes > SMALL_BYTES) + u8::from(bytes > SMALL_BYTES * FAN as u64)
}

/// Writes one file with the row groups of `parts`, which are neighbours.
pub(super) fn join(dir: &Path, parts: &[Arc<TraceFile>]) -> Result<TraceFile, TraceError> {
    let names = || parts.iter().map(|part| part.name);
    let first = names().next().expect("a run has at least two files");
    let name = FileName {
        hour: first.hour,
        first: first.first,
        last: names().map(|n| n.last).max().unwrap_or(first.last),
        event_min: names().map(|n| n.event_min).min().unwrap_or(first.event_min),
        event_max: names().map(|n| n.event_max).max().unwrap_or(first.event_max),
        rows: names().map(|n| n.rows).sum(),
    };
    // Parts are opened before anything is written: a damaged part is reported under its own name.
    let options = || ReadOptionsBuilder::new().with_page_index().with_encoding_stats_as_mask(false).build();
    let open = parts.iter().map(|part| Ok((part.open(options())?, part.chunks()?)));
    let open: Vec<(OpenFile<'_>, Chunks)> = open.collect::<Result<_, TraceError>>()?;
    files::create(dir, name, |file| splice(file, &open))
}

fn splice(file: File, parts: &[(OpenFile<'_>, Chunks)]) -> Result<File, ParquetError> {
    let created_by = concat!("watchroom ", env!("CARGO_PKG_VERSION")).to_owned();
    let properties = WriterProperties::builder().set_created_by(created_by).build();
    let mut writer = SerializedFileWriter::new(file, schema()?, Arc::new(properties))?;
    for (part, chunks) in parts {
        let metadata = part.reader.metadata();
        for (index, group) in metadata.row_groups().iter().enumerate() {
            let pages = metadata.page_index_for_row_group(index);
            let mut copy = writer.next_row_group()?;
            for (column, chunk) in group.columns().iter().enumerate() {
                let close = ColumnCloseResult {
                    bytes_written: u64::try_from(chunk.compressed_size())?,
                    rows_written: u64::try_from(group.num_rows())?,
                    metadata: chunk.clone(),
                    bloom_filter: Sbbf::read_from_column_chunk(chunk, chunks)?,
                    column_index: pages.column_index(column).cloned(),
                    offset_index: pages.offset_index(column).cloned(),
                };
                copy.append_column(chunks, close)?;
            }
            copy.close()?;
        }
    }
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    use super::*;

    /// Neighbouring files of ten positions each: hour and MiB.
    fn files(described: &[(i64, u64)]) -> Vec<Arc<TraceFile>> {
        let file = |(first, (hour, mib)): (u64, &(i64, u64))| {
            let name = FileName { hour: *hour, first, last: first + 9, event_min: 0, event_max: 0, rows: 10 };
            Arc::new(TraceFile { path: PathBuf::new(), name, bytes: mib << 20, groups: OnceLock::new() })
        };
        (1..).step_by(10).zip(described).map(file).collect()
    }

    #[track_caller]
    fn check(described: &[(i64, u64)], expect: &str) {
        assert_eq!(format!("{:?}", pick(&files(described))), expect, "{described:?}");
    }

    #[test]
    fn the_newest_hour_waits_for_enough_of_a_size() {
        check(&[], "None");
        check(&[(1, 3); 7], "None");
        check(&[(1, 3); 8], "Some(0..8)");
        check(&[(1, 3); 20], "Some(0..8)");
        let mut mixed = vec![(1, 30); 7];
        mixed.extend([(1, 3); 8]);
        check(&mixed, "Some(7..15)");
        check(&[(1, 30); 8], "Some(0..8)");
        check(&[(1, 200); 20], "None");
    }

    #[test]
    fn an_hour_that_is_over_becomes_few_files() {
        check(&[(1, 3), (1, 30), (2, 3)], "Some(0..2)");
        check(&[(1, 3), (2, 3)], "None");
        // What would become too large stays as it is.
        check(&[(1, 200), (1, 100), (2, 3)], "None");
        check(&[(1, 100), (1, 100), (1, 100), (2, 3)], "Some(0..2)");
    }

    #[test]
    fn a_gap_is_not_closed() {
        let mut gap = files(&[(1, 3), (1, 3), (1, 3), (2, 3)]);
        gap.remove(1);
        assert_eq!(pick(&gap), None);
    }
}
