//! Column chunks of a Parquet file: texts numbered by a dictionary, or as they are; compressed page by page.
//!
//! Parquet's own writers take a counted reference a value and hash each one; here the numbers are known already.
//! Refuses to know: which columns there are, what is in them, files.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::hybrid;

/// Compresses pages; its tables and buffers are used again and again.
pub(super) struct Press {
    compressor: Compressor<'static>,
    level: ZstdLevel,
    /// A page before compression.
    page: Vec<u8>,
    /// Levels or numbers of a page.
    numbers: Vec<u32>,
}

/// A finished chunk: its bytes, and what the footer says of it with positions from its beginning.
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Values of a column that differ, each written once.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// In the plain encoding.
    pub(super) bytes: Vec<u8>,
    pub(super) count: u32,
}

impl Dictionary {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Adds a text; its number.
    pub(super) fn push_text(&mut self, text: &[u8]) -> u32 {
        put_text(text, &mut self.bytes);
        self.push()
    }

    /// Adds an integer's bytes, little-endian; its number.
    pub(super) fn push_integer(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.extend_from_slice(bytes);
        self.push()
    }

    fn push(&mut self) -> u32 {
        self.count += 1;
        self.count
    }
}

/// What readers may ask of a chunk without reading it.
#[derive(Default)]
pub(super) struct Hints {
    pub(super) statistics: Option<Statistics>,
    pub(super) bloom_filter: Option<Sbbf>,
}

impl Press {
    /// `level`: of Zstandard, 1 to 22.
    pub(super) fn new(level: i32) -> Result<Self, ParquetError> {
        let compressor = Compressor::new(level)?;
        let level = ZstdLevel::try_new(level)?;
        Ok(Self { compressor, level, page: Vec::new(), numbers: Vec::new() })
    }

    /// A chunk of one page. `numbers`: of each row the dictionary's number, the first one 1; 0 where there is no
    /// value, which only an optional column has.
    pub(super) fn numbered(
        &mut self,
        column: ColumnDescPtr,
        dictionary: &Dictionary,
        numbers: &[u32],
        hints: Hints,
    ) -> Result<Chunk, ParquetError> {
        let mut chunk = Unfinished::new(self, column);
        chunk.page.extend_from_slice(&dictionary.bytes);
        chunk.end_dictionary(dictionary.count)?;
        chunk.put_levels(numbers.iter().map(|number| (*number).min(1)));
        let width = hybrid::width(dictionary.count.saturating_sub(1));
        chunk.page.push(width as u8);
        chunk.numbers.clear();
        chunk.numbers.extend(numbers.iter().filter(|number| **number != 0).map(|number| number - 1));
        hybrid::encode(chunk.numbers, width, chunk.page);
        chunk.end_page(Encoding::RLE_DICTIONARY, numbers.len())?;
        chunk.finish(numbers.len(), hints)
    }

    /// A chunk of pages of about `page_bytes`, with the texts as they are. An empty text of an optional column is
    /// none.
    pub(super) fn plain<'t>(
        &mut self,
        column: ColumnDescPtr,
        texts: impl Iterator<Item = &'t [u8]> + Clone,
        page_bytes: usize,
        hints: Hints,
    ) -> Result<Chunk, ParquetError> {
        let optional = column.max_def_level() > 0;
        let mut chunk = Unfinished::new(self, column);
        let mut rest = texts;
        let mut all = 0;
        loop {
            let (mut bytes, mut rows) = (0, 0);
            let mut end = rest.clone();
            while bytes < page_bytes
                && let Some(text) = end.next()
            {
                bytes += size_of::<u32>() + text.len();
                rows += 1;
            }
            if rows == 0 {
                return chunk.finish(all, hints);
            }
            chunk.put_levels(rest.clone().take(rows).map(|text| u32::from(!text.is_empty())));
            for text in rest.take(rows).filter(|text| !optional || !text.is_empty()) {
                put_text(text, chunk.page);
            }
            chunk.end_page(Encoding::PLAIN, rows)?;
            all += rows;
            rest = end;
        }
    }
}

/// A chunk that is being written.
struct Unfinished<'a> {
    compressor: &'a mut Compressor<'static>,
    level: ZstdLevel,
    page: &'a mut Vec<u8>,
    numbers: &'a mut Vec<u32>,
    column: ColumnDescPtr,
    sink: TrackedWrite<Vec<u8>>,
    uncompressed_bytes: usize,
    dictionary_at: Option<i64>,
    data_at: Option<i64>,
    pages: i32,
    encoding: Encoding,
    places: OffsetIndexBuilder,
}

impl<'a> Unfinished<'a> {
    fn new(press: &'a mut Press, column: ColumnDescPtr) -> Self {
        press.page.clear();
        Self {
            compressor: &mut press.compressor,
            level: press.level,
            page: &mut press.page,
            numbers: &mut press.numbers,
            column,
            sink: TrackedWrite::new(Vec::new()),
            uncompressed_bytes: 0,
            dictionary_at: None,
            data_at: None,
            pages: 0,
            encoding: Encoding::PLAIN,
            places: OffsetIndexBuilder::new(),
        }
    }

    /// Which rows have a value; a required column does not say it.
    fn put_levels(&mut self, levels: impl Iterator<Item = u32>) {
        if self.column.max_def_level() == 0 {
            return;
        }
        self.numbers.clear();
        self.numbers.extend(levels);
        let start = self.page.len();
        self.page.extend_from_slice(&[0; 4]);
        hybrid::encode(self.numbers, 1, self.page);
        let length = (self.page.len() - start - 4) as u32;
        self.page[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn end_dictionary(&mut self, count: u32) -> Result<(), ParquetError> {
        let buf = self.compress()?;
        let page =
            Page::DictionaryPage { buf, num_values: count, encoding: Encoding::PLAIN, is_sorted: false };
        self.dictionary_at = Some(self.write(page)?.0);
        Ok(())
    }

    fn end_page(&mut self, encoding: Encoding, rows: usize) -> Result<(), ParquetError> {
        let page = Page::DataPage {
            buf: self.compress()?,
            num_values: u32::try_from(rows)?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let (at, bytes) = self.write(page)?;
        self.data_at.get_or_insert(at);
        self.encoding = encoding;
        self.pages += 1;
        self.places.append_row_count(i64::try_from(rows)?);
        self.places.append_offset_and_size(at, bytes);
        Ok(())
    }

    fn compress(&mut self) -> Result<Bytes, ParquetError> {
        Ok(Bytes::from(self.compressor.compress(self.page)?))
    }

    /// Where a page begins and how many bytes it has.
    fn write(&mut self, page: Page) -> Result<(i64, i32), ParquetError> {
        let page = CompressedPage::new(page, self.page.len());
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed_bytes += written.uncompressed_size;
        self.page.clear();
        Ok((i64::try_from(written.offset)?, i32::try_from(written.bytes_written)?))
    }

    fn finish(self, rows: usize, hints: Hints) -> Result<Chunk, ParquetError> {
        let bytes = self.sink.into_inner()?;
        let mut encodings = vec![Encoding::RLE, self.encoding];
        let page = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let mut pages = vec![page(PageType::DATA_PAGE, self.encoding, self.pages)];
        if self.dictionary_at.is_some() {
            encodings.push(Encoding::PLAIN);
            pages.insert(0, page(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
        }
        let mut metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(Compression::ZSTD(self.level))
            .set_encodings(encodings)
            .set_page_encoding_stats(pages)
            .set_total_compressed_size(i64::try_from(bytes.len())?)
            .set_total_uncompressed_size(i64::try_from(self.uncompressed_bytes)?)
            .set_num_values(i64::try_from(rows)?)
            .set_data_page_offset(self.data_at.unwrap_or_default())
            .set_dictionary_page_offset(self.dictionary_at);
        if let Some(statistics) = hints.statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter: hints.bloom_filter,
            column_index: None,
            offset_index: Some(self.places.build()),
        };
        Ok(Chunk { bytes: bytes.into(), close })
    }
}

/// A text in the plain encoding: its length, its bytes.
fn put_text(text: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(text.len()).expect("a frame is far shorter than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text);
}
