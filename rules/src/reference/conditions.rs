//! Tables about conditions.

use super::{grouped, table};
use crate::condition::reference::{FUNCTIONS, OPERATORS, bounds as bounds_of};

/// What is written between values.
pub(super) fn operators() -> String {
    let rows = OPERATORS.iter().map(|row| {
        vec![
            format!("`{}`", row.written),
            row.types.to_owned(),
            row.holds.to_owned(),
            format!("`{}`", row.example),
        ]
    });
    table(&["written", "on fields of type", "holds when", "example"], rows)
}

/// Functions of fields.
pub(super) fn functions() -> String {
    let rows = FUNCTIONS.iter().map(|row| {
        vec![
            format!("`{}`", row.written),
            row.types.to_owned(),
            row.holds.to_owned(),
            format!("`{}`", row.example),
        ]
    });
    table(&["function", "on", "holds when, or is", "example"], rows)
}

/// How much of everything there may be.
pub(super) fn bounds() -> String {
    let show = |n: usize, unit: &str| match unit {
        "" => grouped(n as u64),
        _ if n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        _ => format!("{} KiB", n >> 10),
    };
    let rows = bounds_of().map(|(what, most, unit)| vec![what.to_owned(), show(most, unit)]);
    table(&["what", "at most"], rows)
}
