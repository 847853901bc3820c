//! Reading a trace file: its row groups, their columns, single rows of them.
//!
//! Refuses to know: which files there are and what is asked.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader};
use parquet::file::serialized_reader::{ReadOptions, ReadOptionsBuilder, SerializedFileReader};
use parquet::file::statistics::Statistics;
use record::{InstantMs, Lsn};

use super::bloom::Bloom;
use super::files::{TraceFile, corrupt, io_error};
use super::schema::{IDS, col};
use crate::trace_store::TraceError;

/// Rows read at a time.
const STEP: usize = 8_192;
/// Read ahead when a page header is looked at.
const HEADER_BYTES: usize = 256;

/// What is kept in memory of a row group, so that most questions open no footer.
#[derive(Debug, Clone)]
pub(super) struct GroupSummary {
    pub(super) lsn: (Lsn, Lsn),
    /// Bounds of the filing time.
    pub(super) time_ms: (InstantMs, InstantMs),
    /// Filters of the ids; `None` means that the column must be read.
    pub(super) blooms: [Option<Bloom>; IDS],
}

/// A file read at positions: threads and columns do not disturb each other.
#[derive(Debug)]
pub(super) struct Chunks {
    file: File,
    bytes: u64,
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Chunks {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let file = self.file.try_clone()?;
        Ok(ChunkRead { file, position: start, buffer: [0; HEADER_BYTES], filled: 0, taken: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.bytes)));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

/// Sequential reading from a position.
pub(super) struct ChunkRead {
    file: File,
    position: u64,
    buffer: [u8; HEADER_BYTES],
    filled: usize,
    taken: usize,
}

impl Read for ChunkRead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.filled {
            if out.len() >= HEADER_BYTES {
                let read = self.file.read_at(out, self.position)?;
                self.position += read as u64;
                return Ok(read);
            }
            self.filled = self.file.read_at(&mut self.buffer, self.position)?;
            self.position += self.filled as u64;
            self.taken = 0;
        }
        let count = out.len().min(self.filled - self.taken);
        out[..count].copy_from_slice(&self.buffer[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// What Parquet says, with the file's name: I/O errors stay what they are.
pub(super) fn parquet_error(path: &Path, error: ParquetError) -> TraceError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) if error.kind() == io::ErrorKind::UnexpectedEof => corrupt(path, error.to_string()),
            Ok(error) => io_error(path)(*error),
            Err(other) => corrupt(path, other.to_string()),
        },
        other => corrupt(path, other.to_string()),
    }
}

/// An open file.
pub(super) struct OpenFile<'a> {
    pub(super) file: &'a TraceFile,
    pub(super) reader: SerializedFileReader<Chunks>,
}

impl TraceFile {
    /// Opens it and reads its footer.
    pub(super) fn open(&self, options: ReadOptions) -> Result<OpenFile<'_>, TraceError> {
        let reader = SerializedFileReader::new_with_options(self.chunks()?, options)
            .map_err(|error| parquet_error(&self.path, error))?;
        if reader.metadata().file_metadata().schema_descr().num_columns() != col::FRAME + 1 {
            return Err(corrupt(&self.path, "its columns are not those of a trace file"));
        }
        Ok(OpenFile { file: self, reader })
    }

    pub(super) fn chunks(&self) -> Result<Chunks, TraceError> {
        let file = File::open(&self.path).map_err(io_error(&self.path))?;
        let bytes = file.metadata().map_err(io_error(&self.path))?.len();
        Ok(Chunks { file, bytes })
    }

    /// Its row groups, from memory once they were read.
    pub(super) fn groups(&self) -> Result<&[GroupSummary], TraceError> {
        if let Some(groups) = self.groups.get() {
            return Ok(groups);
        }
        let open = self.open(footer_only())?;
        let groups = summaries(open.reader.metadata(), (self.name.event_min, self.name.event_max));
        Ok(self.groups.get_or_init(|| groups))
    }

    /// Which row groups may hold the id with this hash, and in which id columns.
    pub(super) fn may_hold(&self, hash: u64) -> Result<Vec<(usize, [bool; IDS])>, TraceError> {
        let groups = self.groups()?;
        let file = File::open(&self.path).map_err(io_error(&self.path))?;
        let mut found = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let mut columns = [true; IDS];
            for (column, bloom) in columns.iter_mut().zip(group.blooms) {
                if let Some(bloom) = bloom {
                    *column = bloom.may_hold(&file, hash).map_err(io_error(&self.path))?;
                }
            }
            if columns.contains(&true) {
                found.push((index, columns));
            }
        }
        Ok(found)
    }
}

/// Reads the footer and no page index.
pub(super) fn footer_only() -> ReadOptions {
    ReadOptionsBuilder::new().build()
}

pub(super) fn summaries(metadata: &ParquetMetaData, file_ms: (InstantMs, InstantMs)) -> Vec<GroupSummary> {
    metadata.row_groups().iter().map(|group| summary(group, file_ms)).collect()
}

fn summary(group: &RowGroupMetaData, file_ms: (InstantMs, InstantMs)) -> GroupSummary {
    let lsn = bounds(group, col::LSN)
        .map_or((0, Lsn::MAX), |(min, max)| (min.cast_unsigned(), max.cast_unsigned()));
    let no_time = group.column(col::EVENT_MS).statistics().and_then(Statistics::null_count_opt) != Some(0);
    let time_ms = if no_time { file_ms } else { bounds(group, col::EVENT_MS).unwrap_or(file_ms) };
    let blooms = std::array::from_fn(|id| {
        let column = group.column(col::TEXT + id);
        Bloom::new(column.bloom_filter_offset()?, column.bloom_filter_length()?)
    });
    GroupSummary { lsn, time_ms, blooms }
}

fn bounds(group: &RowGroupMetaData, column: usize) -> Option<(i64, i64)> {
    match group.column(column).statistics()? {
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    }
}

impl OpenFile<'_> {
    pub(super) fn group(&self, index: usize) -> Result<Group<'_>, TraceError> {
        let reader = self.reader.get_row_group(index).map_err(|e| parquet_error(&self.file.path, e))?;
        Ok(Group { path: &self.file.path, reader })
    }
}

/// One row group.
pub(super) struct Group<'a> {
    path: &'a Path,
    reader: Box<dyn RowGroupReader + 'a>,
}

impl Group<'_> {
    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.reader.metadata().num_rows()).unwrap_or_default()
    }

    fn error(&self, error: ParquetError) -> TraceError {
        parquet_error(self.path, error)
    }

    /// Calls `each` with every row's text; null is empty.
    pub(super) fn texts(&self, column: usize, mut each: impl FnMut(usize, &[u8])) -> Result<(), TraceError> {
        let mut reader = self.column::<ByteArrayType>(column)?;
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let mut row = 0;
        loop {
            let read = reader.step(STEP, &mut levels, &mut values).map_err(|e| self.error(e))?;
            if read == 0 {
                return Ok(());
            }
            let mut values = values.iter();
            for level in &levels {
                let value = if *level == reader.there { values.next() } else { None };
                each(row, value.map_or(b"", ByteArray::data));
                row += 1;
            }
        }
    }

    /// Values of every row.
    pub(super) fn integers(&self, column: usize) -> Result<Vec<Option<i64>>, TraceError> {
        let mut reader = self.column::<Int64Type>(column)?;
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let mut all = Vec::with_capacity(self.rows());
        while reader.step(STEP, &mut levels, &mut values).map_err(|e| self.error(e))? > 0 {
            let mut values = values.iter();
            let there = reader.there;
            all.extend(
                levels.iter().map(|level| if *level == there { values.next().copied() } else { None }),
            );
        }
        Ok(all)
    }

    /// Values of some rows (ascending); pages without any of them are not inflated.
    pub(super) fn pick<T: DataType>(
        &self,
        column: usize,
        rows: &[usize],
    ) -> Result<Vec<Option<T::T>>, TraceError> {
        let mut picked = Vec::with_capacity(rows.len());
        self.visit::<T>(column, rows, |value| picked.push(value.cloned()))?;
        Ok(picked)
    }

    /// Calls `each` with the values of some rows (ascending), in their order; pages without any of them are not
    /// inflated.
    pub(super) fn visit<T: DataType>(
        &self,
        column: usize,
        rows: &[usize],
        mut each: impl FnMut(Option<&T::T>),
    ) -> Result<(), TraceError> {
        let mut reader = self.column::<T>(column)?;
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let mut at = 0;
        for run in rows.chunk_by(|a, b| a + 1 == *b).flat_map(|run| run.chunks(STEP)) {
            reader.inner.skip_records(run[0] - at).map_err(|e| self.error(e))?;
            at = run[0];
            while at < run[0] + run.len() {
                let left = run[0] + run.len() - at;
                let read = reader.step(left, &mut levels, &mut values).map_err(|e| self.error(e))?;
                if read == 0 {
                    return Err(corrupt(self.path, format!("has no row {at} in column {column}")));
                }
                at += read;
                let mut values = values.iter();
                for level in &levels {
                    each(if *level == reader.there { values.next() } else { None });
                }
            }
        }
        Ok(())
    }

    /// True only when the column certainly has no row with this text.
    pub(super) fn lacks(&self, column: usize, text: &[u8]) -> Result<bool, TraceError> {
        let metadata = self.reader.metadata().column(column);
        if text.is_empty() {
            return Ok(metadata.statistics().and_then(Statistics::null_count_opt) == Some(0));
        }
        if let Some(statistics) = metadata.statistics() {
            let below = statistics.min_bytes_opt().is_some_and(|min| text < min);
            let above = statistics.max_bytes_opt().is_some_and(|max| text > max);
            if below || above {
                return Ok(true);
            }
        }
        let only_dictionary = metadata.dictionary_page_offset().is_some()
            && metadata.page_encoding_stats_mask().is_some_and(|mask| mask.is_only(Encoding::RLE_DICTIONARY));
        if !only_dictionary {
            return Ok(false);
        }
        let mut pages = self.reader.get_column_page_reader(column).map_err(|e| self.error(e))?;
        match pages.get_next_page().map_err(|e| self.error(e))? {
            Some(Page::DictionaryPage { buf, .. }) => Ok(!dictionary_has(&buf, text)),
            _ => Ok(false),
        }
    }

    fn column<T: DataType>(&self, column: usize) -> Result<Column<T>, TraceError> {
        let there = self.reader.metadata().column(column).column_descr().max_def_level();
        let reader = self.reader.get_column_reader(column).map_err(|e| self.error(e))?;
        Ok(Column { inner: get_typed_column_reader(reader), there })
    }
}

/// A column being read.
struct Column<T: DataType> {
    inner: ColumnReaderImpl<T>,
    /// Definition level of a value that is there.
    there: i16,
}

impl<T: DataType> Column<T> {
    /// Reads up to `count` rows into cleared buffers; 0 at the end. A required column gets levels too.
    fn step(
        &mut self,
        count: usize,
        levels: &mut Vec<i16>,
        values: &mut Vec<T::T>,
    ) -> Result<usize, ParquetError> {
        levels.clear();
        values.clear();
        let (rows, _, _) = self.inner.read_records(count, Some(levels), None, values)?;
        if self.there == 0 {
            levels.resize(rows, 0);
        }
        Ok(rows)
    }
}

/// Whether a plainly encoded dictionary page (length, bytes, length, bytes, ...) has an entry.
fn dictionary_has(mut page: &[u8], text: &[u8]) -> bool {
    while let Some((length, rest)) = page.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((entry, rest)) = rest.split_at_checked(length) else { return true };
        if entry == text {
            return true;
        }
        page = rest;
    }
    false
}
