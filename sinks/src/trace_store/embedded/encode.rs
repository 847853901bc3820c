//! Fresh rows into one row group of a Parquet file.
//!
//! Rows of an order are put side by side (orders in the order of their first row, an order's rows by LSN): the
//! lines of an order resemble each other, so they compress better and a trail inflates few pages.
//! Refuses to know: file names, fsync, questions.

use std::collections::HashMap;
use std::fs::File;

use bytes::Bytes;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use record::{FormatSet, Span};

use super::fresh::{Fresh, FreshRow};
use super::schema::{ORDER_NO, TEXTS, properties, schema};

type Group<'a> = SerializedRowGroupWriter<'a, File>;

/// Memory that is used again for the next file: the first touch of a page costs more than filling it.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
    rows: Vec<FreshRow>,
    values: Vec<ByteArray>,
    levels: Vec<i16>,
}

impl Encoder {
    /// Writes `fresh` as the only row group of `file`.
    pub(super) fn encode(
        &mut self,
        fresh: &Fresh,
        formats: &FormatSet,
        level: i32,
        file: File,
    ) -> Result<File, ParquetError> {
        self.arrange(fresh);
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let columns = Columns {
            rows: &self.rows,
            bytes: &bytes,
            sources: fresh.sources.iter().map(|s| ByteArray::from(&**s)).collect(),
            formats: formats.iter().map(|(_, format)| ByteArray::from(format.name())).collect(),
            values: &mut self.values,
            levels: &mut self.levels,
        };
        let written = write(columns, level, file);
        self.values.clear();
        self.bytes = Vec::from(bytes);
        written
    }

    /// Copies the rows into their order in the file: one pass in disorder instead of one for every column.
    fn arrange(&mut self, fresh: &Fresh) {
        self.bytes.clear();
        self.rows.clear();
        for index in order(fresh) {
            let mut row = fresh.rows[index as usize];
            let next = fresh.rows.get(index as usize + 1);
            let end = next.map_or(fresh.bytes.len(), |next| next.frame.start as usize);
            let start = u32::try_from(self.bytes.len()).expect("as long as the buffer it is copied from");
            self.bytes.extend_from_slice(&fresh.bytes[row.frame.start as usize..end]);
            row.shift(start);
            self.rows.push(row);
        }
    }
}

fn write(mut columns: Columns<'_>, level: i32, file: File) -> Result<File, ParquetError> {
    let mut writer = SerializedFileWriter::new(file, schema()?, properties(level, columns.rows.len())?)?;
    let mut group = writer.next_row_group()?;
    columns.write(&mut group)?;
    group.close()?;
    writer.into_inner()
}

struct Columns<'a> {
    rows: &'a [FreshRow],
    bytes: &'a Bytes,
    sources: Vec<ByteArray>,
    formats: Vec<ByteArray>,
    values: &'a mut Vec<ByteArray>,
    levels: &'a mut Vec<i16>,
}

impl Columns<'_> {
    fn write(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        self.integers(group, |row| row.lsn.cast_signed())?;
        self.optional_integers(group, |row| row.recv_ms)?;
        self.optional_integers(group, |row| row.event_ms)?;
        let sources = self.rows.iter().map(|row| self.sources[row.source as usize].clone());
        put::<ByteArrayType>(group, &sources.collect::<Vec<_>>(), None)?;
        self.texts(group, |row| row.host)?;
        self.texts(group, |row| row.program)?;
        let formats = self.rows.iter().map(|row| self.formats[usize::from(row.format.0)].clone());
        put::<ByteArrayType>(group, &formats.collect::<Vec<_>>(), None)?;
        self.small_integers(group, |row| i32::from(row.flags))?;
        self.small_integers(group, |row| row.message_start.cast_signed())?;
        for text in 0..TEXTS.len() {
            self.texts(group, |row| row.texts[text])?;
        }
        self.optional_integers(group, |row| row.elapsed_ms)?;
        self.frames(group)
    }

    fn integers(&self, group: &mut Group<'_>, of: impl Fn(&FreshRow) -> i64) -> Result<(), ParquetError> {
        let values: Vec<i64> = self.rows.iter().map(of).collect();
        put::<Int64Type>(group, &values, None)
    }

    fn small_integers(
        &self,
        group: &mut Group<'_>,
        of: impl Fn(&FreshRow) -> i32,
    ) -> Result<(), ParquetError> {
        let values: Vec<i32> = self.rows.iter().map(of).collect();
        put::<Int32Type>(group, &values, None)
    }

    fn optional_integers(
        &mut self,
        group: &mut Group<'_>,
        of: impl Fn(&FreshRow) -> Option<i64>,
    ) -> Result<(), ParquetError> {
        let values: Vec<i64> = self.rows.iter().filter_map(&of).collect();
        self.levels.clear();
        self.levels.extend(self.rows.iter().map(|row| i16::from(of(row).is_some())));
        put::<Int64Type>(group, &values, Some(self.levels))
    }

    /// An empty text is null.
    fn texts(&mut self, group: &mut Group<'_>, of: impl Fn(&FreshRow) -> Span) -> Result<(), ParquetError> {
        self.values.clear();
        self.levels.clear();
        for row in self.rows {
            let span = of(row);
            let there = span.end > span.start;
            self.levels.push(i16::from(there));
            if there {
                self.values.push(slice(self.bytes, span));
            }
        }
        put::<ByteArrayType>(group, self.values, Some(self.levels))
    }

    fn frames(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        self.values.clear();
        self.values.extend(self.rows.iter().map(|row| slice(self.bytes, row.frame)));
        put::<ByteArrayType>(group, self.values, None)
    }
}

fn slice(bytes: &Bytes, span: Span) -> ByteArray {
    ByteArray::from(bytes.slice(span.start as usize..span.end as usize))
}

/// Writes the next column.
fn put<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("the schema has too few columns".into()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

/// Row indices with the rows of an order side by side.
fn order(fresh: &Fresh) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let mut group_of: HashMap<&[u8], u32, foldhash::fast::RandomState> = HashMap::default();
    let mut last: Vec<u32> = Vec::new();
    let mut first: Vec<u32> = Vec::new();
    let mut next: Vec<u32> = vec![NONE; fresh.rows.len()];
    for (index, row) in (0_u32..).zip(&fresh.rows) {
        let new = u32::try_from(first.len()).unwrap_or(NONE);
        let group = *group_of.entry(fresh.slice(row.texts[ORDER_NO])).or_insert(new);
        if group == new {
            first.push(index);
            last.push(index);
        } else {
            let end = &mut last[group as usize];
            next[*end as usize] = index;
            *end = index;
        }
    }
    let mut order = Vec::with_capacity(fresh.rows.len());
    for start in first {
        let mut index = start;
        while index != NONE {
            order.push(index);
            index = next[index as usize];
        }
    }
    order
}
