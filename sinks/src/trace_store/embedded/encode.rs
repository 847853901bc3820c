//! Fresh rows into one row group of a Parquet file.
//!
//! Rows of an order are put side by side (orders in the order of their first row, an order's rows by LSN): the
//! lines of an order resemble each other, so they compress better and a trail inflates few pages.
//! Refuses to know: file names, fsync, questions.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use record::{FormatSet, Span};

use super::fresh::{Fresh, FreshRow};
use super::schema::{HOST, ORDER_NO, PROGRAM, TEXTS, properties, schema};

type Group<'a> = SerializedRowGroupWriter<'a, File>;

/// Writes `fresh` as the only row group of `file`.
pub(super) fn encode(
    fresh: &Arc<Fresh>,
    formats: &FormatSet,
    level: i32,
    file: File,
) -> Result<File, ParquetError> {
    let mut writer = SerializedFileWriter::new(file, schema()?, properties(level, fresh.rows.len())?)?;
    let mut group = writer.next_row_group()?;
    Columns::new(fresh, formats).write(&mut group)?;
    group.close()?;
    writer.into_inner()
}

/// Lets Parquet's byte arrays point into the frames or a text column instead of copying them.
struct Owner {
    fresh: Arc<Fresh>,
    text: Option<usize>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.text.map_or(&self.fresh.bytes, |text| &self.fresh.texts[text].bytes)
    }
}

struct Columns<'a> {
    fresh: &'a Arc<Fresh>,
    /// Indices of rows in the order of the file.
    order: Vec<u32>,
    sources: Vec<ByteArray>,
    formats: Vec<ByteArray>,
    values: Vec<ByteArray>,
    levels: Vec<i16>,
}

impl<'a> Columns<'a> {
    fn new(fresh: &'a Arc<Fresh>, formats: &FormatSet) -> Self {
        Self {
            fresh,
            order: order(fresh),
            sources: fresh.sources.iter().map(|s| ByteArray::from(&**s)).collect(),
            formats: formats.iter().map(|(_, format)| ByteArray::from(format.name())).collect(),
            values: Vec::with_capacity(fresh.rows.len()),
            levels: Vec::with_capacity(fresh.rows.len()),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &'a FreshRow> {
        self.order.iter().map(|index| &self.fresh.rows[*index as usize])
    }

    fn bytes(&self, text: Option<usize>) -> Bytes {
        Bytes::from_owner(Owner { fresh: Arc::clone(self.fresh), text })
    }

    fn write(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        self.integers(group, |row| row.lsn.cast_signed())?;
        self.optional_integers(group, |row| row.recv_ms)?;
        self.optional_integers(group, |row| row.event_ms)?;
        let sources: Vec<_> = self.rows().map(|row| self.sources[row.source as usize].clone()).collect();
        put::<ByteArrayType>(group, &sources, None)?;
        self.texts(group, HOST)?;
        self.texts(group, PROGRAM)?;
        let formats: Vec<_> =
            self.rows().map(|row| self.formats[usize::from(row.format.0)].clone()).collect();
        put::<ByteArrayType>(group, &formats, None)?;
        self.small_integers(group, |row| i32::from(row.flags))?;
        self.small_integers(group, |row| row.message_start.cast_signed())?;
        for text in 0..TEXTS.len() {
            self.texts(group, text)?;
        }
        self.optional_integers(group, |row| row.elapsed_ms)?;
        self.frames(group)
    }

    fn integers(&self, group: &mut Group<'_>, of: impl Fn(&FreshRow) -> i64) -> Result<(), ParquetError> {
        let values: Vec<i64> = self.rows().map(of).collect();
        put::<Int64Type>(group, &values, None)
    }

    fn small_integers(
        &self,
        group: &mut Group<'_>,
        of: impl Fn(&FreshRow) -> i32,
    ) -> Result<(), ParquetError> {
        let values: Vec<i32> = self.rows().map(of).collect();
        put::<Int32Type>(group, &values, None)
    }

    fn optional_integers(
        &self,
        group: &mut Group<'_>,
        of: impl Fn(&FreshRow) -> Option<i64>,
    ) -> Result<(), ParquetError> {
        let values: Vec<i64> = self.rows().filter_map(&of).collect();
        let levels: Vec<i16> = self.rows().map(|row| i16::from(of(row).is_some())).collect();
        put::<Int64Type>(group, &values, Some(&levels))
    }

    /// An empty text is null.
    fn texts(&mut self, group: &mut Group<'_>, text: usize) -> Result<(), ParquetError> {
        let bytes = self.bytes(Some(text));
        let spans = &self.fresh.texts[text].spans;
        self.values.clear();
        self.levels.clear();
        for index in &self.order {
            let span = spans[*index as usize];
            let there = span.end > span.start;
            self.levels.push(i16::from(there));
            if there {
                self.values.push(slice(&bytes, span));
            }
        }
        put::<ByteArrayType>(group, &self.values, Some(&self.levels))
    }

    fn frames(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        let bytes = self.bytes(None);
        self.values.clear();
        self.values.extend(self.order.iter().map(|i| slice(&bytes, self.fresh.rows[*i as usize].frame)));
        put::<ByteArrayType>(group, &self.values, None)
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
    for index in (0_u32..).take(fresh.rows.len()) {
        let new = u32::try_from(first.len()).unwrap_or(NONE);
        let group = *group_of.entry(fresh.text(ORDER_NO, index as usize)).or_insert(new);
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
