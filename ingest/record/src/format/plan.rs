//! What a decoder does with the columns of a format, worked out once.
//!
//! Refuses to know: lines.

use super::{Column, ColumnType, MaskRule};
use crate::time::{ISO_PATTERN, is_local, parse_iso, parse_pattern};
use crate::value::{is_decimal, parse_bool, parse_integer, parse_ip};

/// Which columns to check and which to mask.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Plan {
    /// Columns that are not strings, with their check, in column order.
    pub(crate) typed: Vec<(usize, Check)>,
    /// Runs of neighbouring columns that are searched for card numbers: first and one past the last. The last run of
    /// all reaches to the end of the line if `surplus` columns are searched.
    pub(crate) searched: Vec<(usize, usize)>,
    /// Columns with a rule of their own.
    pub(crate) masked: Vec<(usize, MaskRule)>,
    /// Identifiers that are timestamps of the default pattern: what is none of these there (a line that lost some of its
    /// delimiters) is searched for card numbers after all.
    pub(crate) dated: Vec<usize>,
}

/// A type check that makes no value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Check {
    /// The default timestamp, whose zone does not matter to the check.
    Timestamp,
    /// Any other timestamp: by its type.
    Pattern(chrono_tz::Tz, Box<str>),
    Decimal,
    Integer,
    Bool,
    Ip,
}

impl Check {
    fn of(kind: &ColumnType) -> Option<Self> {
        Some(match kind {
            ColumnType::String => return None,
            ColumnType::Timestamp { pattern, .. } if pattern.is_empty() => Check::Timestamp,
            ColumnType::Timestamp { zone, pattern } => Check::Pattern(*zone, (**pattern).into()),
            ColumnType::Decimal => Check::Decimal,
            ColumnType::Integer => Check::Integer,
            ColumnType::Bool => Check::Bool,
            ColumnType::Ip => Check::Ip,
        })
    }

    /// Whether the type's own parser would read this non-empty text.
    pub(crate) fn fits(&self, text: &[u8]) -> bool {
        match self {
            Check::Timestamp => is_local(text),
            Check::Pattern(zone, pattern) if &**pattern == ISO_PATTERN => parse_iso(text, *zone).is_some(),
            Check::Pattern(zone, pattern) => {
                std::str::from_utf8(text).is_ok_and(|t| parse_pattern(t, pattern, *zone).is_some())
            }
            Check::Decimal => is_decimal(text),
            Check::Integer => parse_integer(text).is_some(),
            Check::Bool => parse_bool(text).is_some(),
            Check::Ip => parse_ip(text).is_some(),
        }
    }
}

impl Plan {
    pub(crate) fn new(columns: &[Column]) -> Self {
        let mut plan = Self::default();
        for (index, column) in columns.iter().enumerate() {
            plan.typed.extend(Check::of(&column.kind).map(|check| (index, check)));
            match column.mask {
                MaskRule::Identifier => {
                    if let Some(Check::Timestamp) = Check::of(&column.kind) {
                        plan.dated.push(index);
                    }
                }
                MaskRule::Middle | MaskRule::All => plan.masked.push((index, column.mask)),
                MaskRule::Cards => match plan.searched.last_mut() {
                    Some((_, end)) if *end == index => *end = index + 1,
                    _ => plan.searched.push((index, index + 1)),
                },
            }
        }
        // Surplus columns are always searched.
        match plan.searched.last_mut() {
            Some((_, end)) if *end == columns.len() => *end = usize::MAX,
            _ => plan.searched.push((columns.len(), usize::MAX)),
        }
        plan
    }
}
