//! One stored row, read again through its format.

use std::sync::Arc;

use record::{Batch, Decoder, FormatId, FormatSet, InstantMs, Lsn, RecordRef, RowFlags, Transport};
use serde::{Serialize, Serializer};
use sinks::trace_store::TraceRow;

/// A stored record with its non-empty columns as text. Serialises to one JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordView {
    /// Position in the journal.
    pub lsn: Lsn,
    /// Event time, or receive time where there is none; RFC 3339 UTC in JSON.
    #[serde(rename = "event_time", serialize_with = "rfc3339")]
    pub event_ms: InstantMs,
    /// When it was received.
    #[serde(
        rename = "receive_time",
        serialize_with = "rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub recv_ms: Option<InstantMs>,
    /// Who sent it: `input/peer`.
    pub source: String,
    /// Name of its format.
    pub format: String,
    /// HOSTNAME of the syslog header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// APP-NAME or TAG of the syslog header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// What is special about it: `truncated`, `transcoded`, `unparsable`, `long`, `short`, `masked`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<&'static str>,
    /// Non-empty columns in line order.
    pub columns: Columns,
    /// Names of the columns whose text does not fit their type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ill_typed: Vec<Arc<str>>,
    /// Surplus columns of a long line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<String>,
    /// The masked message as it was printed.
    pub message: String,
}

/// Non-empty columns in line order; a JSON object of name to text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns(pub Vec<ColumnView>);

/// One non-empty column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnView {
    /// Its name.
    pub name: Arc<str>,
    /// Its text as it stands in the line.
    pub text: String,
    /// Name of its type.
    pub kind: &'static str,
    /// The text does not fit the type.
    pub ill_typed: bool,
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|column| (&column.name, &column.text)))
    }
}

impl RecordView {
    /// Text of a column; `None` when it is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.column(name).map(|column| column.text.as_str())
    }

    /// Text of a column that fits its type.
    pub fn typed(&self, name: &str) -> Option<&str> {
        self.column(name).filter(|column| !column.ill_typed).map(|column| column.text.as_str())
    }

    fn column(&self, name: &str) -> Option<&ColumnView> {
        self.columns.0.iter().find(|column| &*column.name == name)
    }

    /// `elapsed_ms` as a number.
    pub fn elapsed_ms(&self) -> Option<i64> {
        self.typed("elapsed_ms")?.trim().parse().ok()
    }
}

/// Reads stored rows; keeps its buffers from row to row.
#[derive(Debug)]
pub struct Viewer<'a> {
    formats: &'a FormatSet,
    decoder: Decoder,
    batch: Batch,
}

impl<'a> Viewer<'a> {
    /// A viewer of rows in these formats.
    pub fn new(formats: &'a Arc<FormatSet>) -> Self {
        let decoder = Decoder::new(Arc::clone(formats), Transport::Syslog, None);
        Self { formats, decoder, batch: Batch::default() }
    }

    /// Reads a row. A row whose format is no longer configured shows its frame and no columns.
    pub fn view(&mut self, row: &TraceRow) -> RecordView {
        let mut view = RecordView {
            lsn: row.lsn,
            event_ms: row.event_ms,
            recv_ms: row.recv_ms,
            source: row.source.clone(),
            format: row.format.clone(),
            host: String::new(),
            program: String::new(),
            flags: flag_names(RowFlags(row.flags)),
            columns: Columns::default(),
            ill_typed: Vec::new(),
            extras: Vec::new(),
            message: row.frame.clone(),
        };
        let format = self.formats.find(&row.format);
        if let Some(record) = format.and_then(|format| self.decode(row, format)) {
            record.host().clone_into(&mut view.host);
            record.program().clone_into(&mut view.program);
            record.message().clone_into(&mut view.message);
            view.extras = record.extras().map(str::to_owned).collect();
            view.columns = columns_of(&record);
            let ill_typed = view.columns.0.iter().filter(|column| column.ill_typed);
            view.ill_typed = ill_typed.map(|column| Arc::clone(&column.name)).collect();
        }
        view
    }

    /// The order number of a sample line whose format is not at hand: that of the first format with a column
    /// `order_no` in which the line has an event time and at least half of its columns.
    pub fn order_no(&mut self, line: &str) -> Option<String> {
        let formats = self.formats;
        for (id, format) in formats.iter() {
            let Some(column) = format.column("order_no") else { continue };
            let row = TraceRow {
                lsn: 0,
                recv_ms: None,
                event_ms: 0,
                source: String::new(),
                format: format.name().to_owned(),
                flags: 0,
                frame: line.to_owned(),
            };
            let columns_min = format.columns().len() / 2;
            if let Some(record) = self.decode(&row, id)
                && record.row.event_ms.is_some()
                && record.row.spans_len as usize >= columns_min
                && let Some(order_no) = record.text(column)
            {
                return Some(order_no.to_owned());
            }
        }
        None
    }

    fn decode(&mut self, row: &TraceRow, format: FormatId) -> Option<RecordRef<'_>> {
        self.batch.clear();
        let frame = row.frame.as_bytes();
        let flags = RowFlags(row.flags);
        self.decoder.push_stored(&mut self.batch, 0, format, frame, row.lsn, row.recv_ms, flags);
        (!self.batch.rows.is_empty()).then(|| self.batch.record(0, self.formats))
    }
}

fn columns_of(record: &RecordRef<'_>) -> Columns {
    let columns = record.format.columns().iter().enumerate();
    let filled = columns.filter_map(|(index, column)| {
        let text = record.text(index)?;
        Some(ColumnView {
            name: Arc::clone(&column.name),
            text: text.to_owned(),
            kind: column.kind.name(),
            ill_typed: index < 128 && record.row.ill_typed >> index & 1 == 1,
        })
    });
    Columns(filled.collect())
}

fn flag_names(flags: RowFlags) -> Vec<&'static str> {
    let table = [
        (RowFlags::TRUNCATED, "truncated"),
        (RowFlags::TRANSCODED, "transcoded"),
        (RowFlags::UNPARSABLE, "unparsable"),
        (RowFlags::LONG, "long"),
        (RowFlags::SHORT, "short"),
        (RowFlags::MASKED, "masked"),
    ];
    table.into_iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, name)| name).collect()
}

fn rfc3339<S: Serializer>(instant_ms: &InstantMs, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&record::rfc3339_ms(*instant_ms))
}

fn rfc3339_option<S: Serializer>(instant_ms: &Option<InstantMs>, serializer: S) -> Result<S::Ok, S::Error> {
    match instant_ms {
        Some(instant_ms) => rfc3339(instant_ms, serializer),
        None => serializer.serialize_none(),
    }
}
