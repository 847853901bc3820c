//! A record as text for people: what was read, as what, and what could not be.
//!
//! Refuses to know: where the text goes.

use std::fmt::Write;

use crate::decode::reason;
use crate::{IllTyped, RecordRef, RowFlags, Span, Value, rfc3339_ms};

const FLAGS: [(RowFlags, &str); 7] = [
    (RowFlags::TRUNCATED, "truncated"),
    (RowFlags::TRANSCODED, "transcoded"),
    (RowFlags::UNPARSABLE, "unparsable"),
    (RowFlags::LONG, "long"),
    (RowFlags::SHORT, "short"),
    (RowFlags::MASKED, "masked"),
    (RowFlags::TICK, "tick"),
];

impl RowFlags {
    /// Names of the bits that are set: `truncated`, `transcoded`, `unparsable`, `long`, `short`, `masked`, `tick`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        FLAGS.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

impl IllTyped {
    /// What a text would have to be: `not a timestamp`, `not an IP address`, ...
    pub fn describe(self) -> &'static str {
        match self {
            IllTyped::Timestamp => "not a timestamp",
            IllTyped::Decimal => "not a decimal number",
            IllTyped::Integer => "not a whole number of 64 bits",
            IllTyped::Bool => "neither true nor false",
            IllTyped::Ip => "not an IP address",
        }
    }
}

impl RecordRef<'_> {
    /// Why a column's text does not fit its type; `None` if it does, or there is no text.
    pub fn ill_typed(&self, column: usize) -> Option<IllTyped> {
        let is_ill = column < 128 && self.row.ill_typed >> column & 1 == 1;
        is_ill.then(|| self.format.columns().get(column).and_then(|c| reason(&c.kind))).flatten()
    }
}

/// The record as lines of text: its format and flags, what the syslog header says, then every column that has a text,
/// with its typed value or why it has none, then the surplus columns. Control characters are escaped.
pub fn dump(record: &RecordRef<'_>) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("a string takes any text");
    let flags: Vec<&str> = record.row.flags.names().collect();
    let event = record.row.event_ms.map_or_else(|| "none".into(), rfc3339_ms);
    let separator = if flags.is_empty() { "" } else { " " };
    line(format_args!("{} event={event}{separator}{}", record.format.name(), flags.join(" ")));
    if let Some(pri) = record.row.pri {
        line(format_args!("  pri {pri}"));
    }
    let header =
        [("host", record.row.host), ("program", record.row.program), ("sd", record.row.structured_data)];
    for (name, span) in header.into_iter().filter(|(_, span)| *span != Span::default()) {
        line(format_args!("  {name} {:?}", record.batch.text(span)));
    }
    for (index, column) in record.format.columns().iter().enumerate() {
        let Some(text) = record.text(index) else { continue };
        match (record.ill_typed(index), record.value(index)) {
            (Some(why), _) => line(format_args!("    {} {text:?} ({})", column.name, why.describe())),
            (None, Some(Value::String(_)) | None) => line(format_args!("    {} {text:?}", column.name)),
            (None, Some(value)) => {
                line(format_args!("    {} {text:?} = {}", column.name, value.to_key().label()));
            }
        }
    }
    for extra in record.extras() {
        line(format_args!("    + {extra:?}"));
    }
    out
}
