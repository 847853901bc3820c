//! From columns to the canonical bytes that keys and distinct values are compared by, and back to labels.
//!
//! Two values are equal exactly when their canonical texts are: strings as they stand, other types as a label shows
//! them. A null value is empty. Refuses to know: rules, windows.

use record::{ColumnType, RecordRef};

/// Appends the canonical text of a column; nothing if it is null. Strings are copied, no allocation.
pub(super) fn push_value(record: &RecordRef<'_>, column: usize, bytes: &mut Vec<u8>) {
    match record.format.columns().get(column).map(|c| &c.kind) {
        None | Some(ColumnType::String) => bytes.extend_from_slice(record.raw(column).unwrap_or_default()),
        Some(_) => {
            if let Some(value) = record.value(column) {
                bytes.extend_from_slice(value.to_key().label().as_bytes());
            }
        }
    }
}

/// Replaces `bytes` by the key of a record: each value but the last with its length before it.
pub(super) fn write_key(
    record: &RecordRef<'_>,
    columns: impl ExactSizeIterator<Item = usize>,
    bytes: &mut Vec<u8>,
) {
    bytes.clear();
    let last = columns.len().saturating_sub(1);
    for (i, column) in columns.enumerate() {
        if i == last {
            push_value(record, column, bytes);
        } else {
            let at = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            push_value(record, column, bytes);
            let len = u32::try_from(bytes.len() - at - 4).expect("a frame is shorter than 4 GiB");
            bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
        }
    }
}

/// The key of canonical texts, as [`write_key`] writes it.
pub(crate) fn join_key(texts: &[String]) -> Box<[u8]> {
    let mut bytes = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        if i + 1 < texts.len() {
            let len = u32::try_from(text.len()).expect("a rule file is shorter than 4 GiB");
            bytes.extend_from_slice(&len.to_le_bytes());
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.into()
}

/// The values of a key of `len` columns.
pub(super) fn split_key(mut bytes: &[u8], len: usize) -> Vec<&[u8]> {
    let mut values = Vec::with_capacity(len);
    for i in 0..len {
        if i + 1 == len {
            values.push(bytes);
        } else if let Some((size, rest)) = bytes.split_first_chunk::<4>() {
            let (value, rest) = rest.split_at((u32::from_le_bytes(*size) as usize).min(rest.len()));
            values.push(value);
            bytes = rest;
        }
    }
    values
}
