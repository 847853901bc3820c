//! The columns of a trace file and where a format keeps them.
//!
//! Refuses to know: rows, files, questions.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};
use record::FormatSet;

/// Columns of a line that are columns of the file too, text as it stands in the line.
pub(super) const TEXTS: [&str; 11] = [
    "order_no",
    "serial_no",
    "channel_serial_no",
    "trace_id",
    "merchant_no",
    "channel",
    "module",
    "step",
    "order_status",
    "response_code",
    "amount",
];
/// Texts of a row in memory: those of [`TEXTS`], then host and program.
pub(super) const HOST: usize = TEXTS.len();
pub(super) const PROGRAM: usize = HOST + 1;
/// The first four of [`TEXTS`] are what a trail is asked by.
pub(super) const IDS: usize = 4;
pub(super) const ORDER_NO: usize = 0;
pub(super) const MERCHANT: usize = 4;
pub(super) const CHANNEL: usize = 5;
pub(super) const MODULE: usize = 6;
pub(super) const STATUS: usize = 8;
pub(super) const CODE: usize = 9;

/// Positions of the columns in the file, in the order of [`MESSAGE`].
pub(super) mod col {
    pub(crate) const LSN: usize = 0;
    pub(crate) const RECV_MS: usize = 1;
    pub(crate) const EVENT_MS: usize = 2;
    pub(crate) const SOURCE: usize = 3;
    /// For other tools, ours read it in the frame.
    pub(crate) const HOST: usize = 4;
    /// For other tools too.
    pub(crate) const PROGRAM: usize = 5;
    pub(crate) const FORMAT: usize = 6;
    pub(crate) const FLAGS: usize = 7;
    pub(crate) const MESSAGE_START: usize = 8;
    /// The first of [`super::TEXTS`].
    pub(crate) const TEXT: usize = 9;
    pub(crate) const ELAPSED_MS: usize = TEXT + super::TEXTS.len();
    pub(crate) const FRAME: usize = ELAPSED_MS + 1;
}

const MESSAGE: &str = "message watchroom_trace {
    required int64 lsn;
    optional int64 recv_ms (TIMESTAMP(MILLIS,true));
    optional int64 event_ms (TIMESTAMP(MILLIS,true));
    required binary source (UTF8);
    optional binary host (UTF8);
    optional binary program (UTF8);
    required binary format (UTF8);
    required int32 flags;
    required int32 message_start;
    optional binary order_no (UTF8);
    optional binary serial_no (UTF8);
    optional binary channel_serial_no (UTF8);
    optional binary trace_id (UTF8);
    optional binary merchant_no (UTF8);
    optional binary channel (UTF8);
    optional binary module (UTF8);
    optional binary step (UTF8);
    optional binary order_status (UTF8);
    optional binary response_code (UTF8);
    optional binary amount (UTF8);
    optional int64 elapsed_ms;
    required binary frame (UTF8);
}";

/// Bytes of a page of frames: what a lookup inflates at least, and what compression sees at once.
pub(super) const FRAME_PAGE_BYTES: usize = 1 << 20;
/// Distinct values of a column stay a dictionary up to this many bytes, else the rest is written plainly.
pub(super) const DICTIONARY_MAX_BYTES: usize = 4 << 20;
/// One lookup in a hundred reads a row group in vain.
pub(super) const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// The Parquet schema of every file.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    Ok(Arc::new(parse_message_type(MESSAGE)?))
}

/// How the columns are encoded that Parquet's own writer encodes: those of ever growing integers.
pub(super) fn properties(level: i32) -> Result<WriterPropertiesPtr, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("watchroom ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(usize::MAX);
    for name in ["lsn", "recv_ms", "event_ms"] {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(Arc::new(builder.build()))
}

/// For each format, where its columns of [`TEXTS`] and `elapsed_ms` are.
#[derive(Debug)]
pub(super) struct Places(Vec<Place>);

/// Positions within one format.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) texts: [Option<usize>; TEXTS.len()],
    pub(super) elapsed_ms: Option<usize>,
}

impl Places {
    pub(super) fn new(formats: &FormatSet) -> Self {
        let place = |format: &record::Format| Place {
            texts: TEXTS.map(|name| format.column(name)),
            elapsed_ms: format.column("elapsed_ms"),
        };
        Self(formats.iter().map(|(_, format)| place(format)).collect())
    }

    pub(super) fn of(&self, format: record::FormatId) -> &Place {
        &self.0[usize::from(format.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_schema() {
        let schema = schema().unwrap();
        let names: Vec<_> = schema.get_fields().iter().map(|f| f.name().to_owned()).collect();
        assert_eq!(names[col::TEXT..col::ELAPSED_MS], TEXTS);
        for (position, name) in [
            (col::LSN, "lsn"),
            (col::RECV_MS, "recv_ms"),
            (col::EVENT_MS, "event_ms"),
            (col::SOURCE, "source"),
            (col::HOST, "host"),
            (col::PROGRAM, "program"),
            (col::FORMAT, "format"),
            (col::FLAGS, "flags"),
            (col::MESSAGE_START, "message_start"),
            (col::ELAPSED_MS, "elapsed_ms"),
            (col::FRAME, "frame"),
            (col::TEXT + ORDER_NO, "order_no"),
            (col::TEXT + MERCHANT, "merchant_no"),
            (col::TEXT + CHANNEL, "channel"),
            (col::TEXT + MODULE, "module"),
            (col::TEXT + STATUS, "order_status"),
            (col::TEXT + CODE, "response_code"),
        ] {
            assert_eq!(names[position], name);
        }
        assert_eq!(names.len(), col::FRAME + 1);
    }
}
