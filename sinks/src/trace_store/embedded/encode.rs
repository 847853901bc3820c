//! Fresh rows into one row group of a Parquet file.
//!
//! Rows of an order are put side by side (rows without one first, then orders in the order of their first row; rows
//! of an order by LSN): the lines of an order resemble each other, so they compress better and a trail inflates few
//! pages. Refuses to know: file names, fsync, questions.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parquet::bloom_filter::Sbbf;
use parquet::data_type::{ByteArray, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{SchemaDescriptor, TypePtr};
use record::FormatSet;

use super::chunk::{Chunk, Dictionary, Hints, Press};
use super::fresh::{Fresh, FreshRow};
use super::schema::{
    BLOOM_FALSE_POSITIVES, DICTIONARY_MAX_BYTES, FRAME_PAGE_BYTES, HOST, IDS, ORDER_NO, PROGRAM, TEXTS, col,
    properties, schema,
};

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

/// Bounds of a text column are given only if they are no longer than this.
const BOUND_BYTES: usize = 64;

/// Makes files' contents; its buffers are used again for the next one.
pub(super) struct Encoder {
    schema: TypePtr,
    columns: SchemaDescriptor,
    press: Press,
    level: i32,
    dictionary: Dictionary,
    /// Of a column's texts in memory: their numbers in the file.
    renumbered: Vec<u32>,
    numbers: Vec<u32>,
    file: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Encoder {
    /// `level`: of Zstandard, 1 to 22.
    pub(super) fn new(level: i32) -> Result<Self, ParquetError> {
        let schema = schema()?;
        Ok(Self {
            columns: SchemaDescriptor::new(Arc::clone(&schema)),
            schema,
            press: Press::new(level)?,
            level,
            dictionary: Dictionary::default(),
            renumbered: Vec::new(),
            numbers: Vec::new(),
            file: Vec::new(),
        })
    }

    /// The content of a file with `fresh` as its only row group.
    pub(super) fn encode(&mut self, fresh: &Fresh, formats: &FormatSet) -> Result<&[u8], ParquetError> {
        let mut file = std::mem::take(&mut self.file);
        file.clear();
        let properties = properties(self.level)?;
        let mut writer = SerializedFileWriter::new(file, Arc::clone(&self.schema), properties)?;
        let mut group = writer.next_row_group()?;
        Columns { fresh, formats, order: order(fresh), encoder: self }.write(&mut group)?;
        group.close()?;
        self.file = writer.into_inner()?;
        Ok(&self.file)
    }
}

struct Columns<'a> {
    fresh: &'a Fresh,
    formats: &'a FormatSet,
    /// Indices of rows in the order of the file.
    order: Vec<u32>,
    encoder: &'a mut Encoder,
}

impl<'a> Columns<'a> {
    fn rows(&self) -> impl Iterator<Item = &'a FreshRow> + Clone + use<'a, '_> {
        let rows = &self.fresh.rows;
        self.order.iter().map(|index| &rows[*index as usize])
    }

    fn write(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        let lsns: Vec<i64> = self.rows().map(|row| row.lsn.cast_signed()).collect();
        put::<Int64Type>(group, &lsns, None)?;
        self.instants(group, |row| row.recv_ms)?;
        self.instants(group, |row| row.event_ms)?;
        self.sources(group)?;
        self.text(group, HOST, col::HOST)?;
        self.text(group, PROGRAM, col::PROGRAM)?;
        self.format(group)?;
        self.small_integers(group, col::FLAGS, |row| i32::from(row.flags))?;
        self.small_integers(group, col::MESSAGE_START, |row| row.message_start.cast_signed())?;
        for text in 0..TEXTS.len() {
            self.text(group, text, col::TEXT + text)?;
        }
        self.elapsed(group)?;
        self.frames(group)
    }

    /// Ever growing numbers: their differences are written.
    fn instants(
        &self,
        group: &mut Group<'_>,
        of: impl Fn(&FreshRow) -> Option<i64>,
    ) -> Result<(), ParquetError> {
        let values: Vec<i64> = self.rows().filter_map(&of).collect();
        let levels: Vec<i16> = self.rows().map(|row| i16::from(of(row).is_some())).collect();
        put::<Int64Type>(group, &values, Some(&levels))
    }

    fn sources(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        let fresh = self.fresh;
        let text = |number: u32| fresh.sources[number as usize - 1].as_bytes();
        self.number(fresh.sources.len(), |row| fresh.rows[row].source + 1, text);
        self.numbered(group, col::SOURCE, Hints::default())
    }

    fn format(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        let (fresh, formats) = (self.fresh, self.formats);
        let names: Vec<&[u8]> = formats.iter().map(|(_, format)| format.name().as_bytes()).collect();
        let number = |row: usize| u32::from(fresh.rows[row].format.0) + 1;
        self.number(names.len(), number, |number| names[number as usize - 1]);
        self.numbered(group, col::FORMAT, Hints::default())
    }

    /// An empty text is null.
    fn text(&mut self, group: &mut Group<'_>, text: usize, column: usize) -> Result<(), ParquetError> {
        let texts = &self.fresh.texts[text];
        self.number(texts.different(), |row| texts.numbers[row], |number| texts.text(number));
        let mut hints = Hints::default();
        let different = || (1..).take(texts.different()).map(|number| texts.text(number));
        if text < IDS {
            let mut filter = Sbbf::new_with_ndv_fpp(texts.different().max(1) as u64, BLOOM_FALSE_POSITIVES)?;
            different().for_each(|text| filter.insert(text));
            hints.bloom_filter = Some(filter);
        }
        if text == ORDER_NO {
            let nulls = self.encoder.numbers.iter().filter(|number| **number == 0).count() as u64;
            hints.statistics = bounds(different(), nulls);
        }
        if self.encoder.dictionary.bytes.len() <= DICTIONARY_MAX_BYTES {
            return self.numbered(group, column, hints);
        }
        let fresh = self.fresh;
        let texts = self.order.iter().map(|row| fresh.text(text, *row as usize));
        let descr = self.encoder.columns.column(column);
        append(group, self.encoder.press.plain(descr, texts, FRAME_PAGE_BYTES, hints)?)
    }

    fn small_integers(
        &mut self,
        group: &mut Group<'_>,
        column: usize,
        of: impl Fn(&FreshRow) -> i32,
    ) -> Result<(), ParquetError> {
        let (least, most) = self.integers(|row| Some(of(row)), |value| value.to_le_bytes());
        let statistics = Some(Statistics::int32(least, most, None, Some(0), false));
        self.numbered(group, column, Hints { statistics, bloom_filter: None })
    }

    fn elapsed(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        let (least, most) = self.integers(|row| row.elapsed_ms, |value| value.to_le_bytes());
        let nulls = self.encoder.numbers.iter().filter(|number| **number == 0).count() as u64;
        let statistics = Some(Statistics::int64(least, most, None, Some(nulls), false));
        self.numbered(group, col::ELAPSED_MS, Hints { statistics, bloom_filter: None })
    }

    /// Numbers the rows' integers; the least and the most of them.
    fn integers<T: Copy + Ord + std::hash::Hash, const BYTES: usize>(
        &mut self,
        of: impl Fn(&FreshRow) -> Option<T>,
        bytes: impl Fn(T) -> [u8; BYTES],
    ) -> (Option<T>, Option<T>) {
        let rows = &self.fresh.rows;
        let Encoder { dictionary, numbers, .. } = &mut *self.encoder;
        dictionary.clear();
        numbers.clear();
        let mut known: HashMap<T, u32, foldhash::fast::RandomState> = HashMap::default();
        let mut last = (None, 0);
        numbers.extend(self.order.iter().map(|index| {
            let value = of(&rows[*index as usize]);
            if value != last.0 {
                let number = value.map_or(0, |value| {
                    *known.entry(value).or_insert_with(|| dictionary.push_integer(&bytes(value)))
                });
                last = (value, number);
            }
            last.1
        }));
        (known.keys().min().copied(), known.keys().max().copied())
    }

    fn frames(&mut self, group: &mut Group<'_>) -> Result<(), ParquetError> {
        let fresh = self.fresh;
        let frames = self.order.iter().map(|row| fresh.slice(fresh.rows[*row as usize].frame));
        let descr = self.encoder.columns.column(col::FRAME);
        append(group, self.encoder.press.plain(descr, frames, FRAME_PAGE_BYTES, Hints::default())?)
    }

    /// Gives the different values numbers in the order in which the file's rows come to them. `of`: a row's number in
    /// memory, 0 for none, `count` the highest; `text`: what a number stands for.
    fn number<'t>(&mut self, count: usize, of: impl Fn(usize) -> u32, text: impl Fn(u32) -> &'t [u8]) {
        let Encoder { dictionary, renumbered, numbers, .. } = &mut *self.encoder;
        dictionary.clear();
        renumbered.clear();
        renumbered.resize(count + 1, 0);
        numbers.clear();
        numbers.extend(self.order.iter().map(|index| {
            let known = of(*index as usize);
            let number = &mut renumbered[known as usize];
            if *number == 0 && known != 0 {
                *number = dictionary.push_text(text(known));
            }
            *number
        }));
    }

    /// Writes the column that was numbered last.
    fn numbered(&mut self, group: &mut Group<'_>, column: usize, hints: Hints) -> Result<(), ParquetError> {
        let Encoder { columns, press, dictionary, numbers, .. } = &mut *self.encoder;
        append(group, press.numbered(columns.column(column), dictionary, numbers, hints)?)
    }
}

fn bounds<'t>(texts: impl Iterator<Item = &'t [u8]> + Clone, nulls: u64) -> Option<Statistics> {
    let (least, most) = (texts.clone().min(), texts.max());
    let bound = |text: Option<&[u8]>| match text {
        Some(text) if text.len() > BOUND_BYTES => Err(()),
        text => Ok(text.map(|text| ByteArray::from(text.to_vec()))),
    };
    Some(Statistics::byte_array(bound(least).ok()?, bound(most).ok()?, None, Some(nulls), false))
}

fn append(group: &mut Group<'_>, chunk: Chunk) -> Result<(), ParquetError> {
    group.append_column(&chunk.bytes, chunk.close)
}

/// Writes the next column with Parquet's own encoder.
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

/// Row indices with the rows of an order side by side: sorted by the number of the order, which grows with the first
/// row of each.
fn order(fresh: &Fresh) -> Vec<u32> {
    let orders = &fresh.texts[ORDER_NO];
    let mut next = vec![0_u32; orders.different() + 2];
    for number in &orders.numbers {
        next[*number as usize + 1] += 1;
    }
    let mut sum = 0;
    for count in &mut next {
        sum += *count;
        *count = sum;
    }
    let mut order = vec![0; orders.numbers.len()];
    for (row, number) in (0..).zip(&orders.numbers) {
        let place = &mut next[*number as usize];
        order[*place as usize] = row;
        *place += 1;
    }
    order
}
