//! Records for tests, made of columns by name, without a decoder between.

use std::sync::Arc;

use record::{Batch, FormatId, FormatSet, Row, RowFlags, Span, Value};

/// The shipped formats.
pub(crate) fn formats() -> Arc<FormatSet> {
    Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai))
}

/// A batch of one record with the named columns; an unknown name is a mistake of the test.
pub(crate) fn record(formats: &FormatSet, format: FormatId, fields: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::default();
    push(&mut batch, formats, format, fields);
    batch
}

/// Appends a record.
pub(crate) fn push(batch: &mut Batch, formats: &FormatSet, format: FormatId, fields: &[(&str, &str)]) {
    let columns = formats.get(format).columns();
    for (name, _) in fields {
        assert!(columns.iter().any(|column| &*column.name == *name), "no field {name}");
    }
    let offset = |bytes: &Vec<u8>| u32::try_from(bytes.len()).expect("a test's batch is small");
    let spans_start = u32::try_from(batch.spans.len()).expect("a test's batch is small");
    let frame_start = offset(&batch.bytes);
    let (mut ill_typed, mut event_ms) = (0_u128, None);
    for (position, column) in columns.iter().enumerate() {
        if position > 0 {
            batch.bytes.extend_from_slice(b"||");
        }
        let start = offset(&batch.bytes);
        if let Some((_, text)) = fields.iter().find(|(name, _)| *name == &*column.name) {
            batch.bytes.extend_from_slice(text.as_bytes());
            let value = column.kind.parse(text);
            if value.is_err() && !text.is_empty() {
                ill_typed |= 1 << position;
            }
            if let (Ok(Value::Timestamp(instant)), true) =
                (value, formats.get(format).time_column() == Some(position))
            {
                event_ms = Some(instant);
            }
        }
        batch.spans.push(Span { start, end: offset(&batch.bytes) });
    }
    let frame = Span { start: frame_start, end: offset(&batch.bytes) };
    batch.rows.push(Row {
        lsn: batch.rows.len() as u64 + 1,
        recv_ms: None,
        event_ms,
        frame,
        message: frame,
        host: Span::default(),
        program: Span::default(),
        structured_data: Span::default(),
        pri: None,
        format,
        source: 0,
        flags: RowFlags::default(),
        spans_start,
        spans_len: u32::try_from(columns.len()).expect("a test's batch is small"),
        ill_typed,
    });
}
