//! Formats as data: a name, a delimiter, columns with their types and masks.
//!
//! Refuses to know: the bytes of any line.

use std::sync::Arc;

use crate::{IllTyped, Value};

/// Index into a [`FormatSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FormatId(pub u16);

/// How the bytes of a line become UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// UTF-8 where it is valid, else GB18030.
    #[default]
    Auto,
    /// UTF-8; invalid bytes become U+FFFD.
    Utf8,
    /// GB18030 (and so GBK and GB2312).
    Gb18030,
}

/// Type of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnType {
    /// Any text.
    String,
    /// `YYYY-MM-DD HH:MM:SS[.fff]` (or the format's own pattern) in a zone.
    Timestamp {
        /// Zone of the text.
        zone: chrono_tz::Tz,
        /// strftime pattern; empty means the default pattern.
        pattern: Arc<str>,
    },
    /// Exact decimal.
    Decimal,
    /// 64-bit integer.
    Integer,
    /// `true` or `false`.
    Bool,
    /// IPv4 or IPv6 address.
    Ip,
}

impl ColumnType {
    /// Reads a non-empty text as this type.
    pub fn parse<'a>(&self, _text: &'a str) -> Result<Value<'a>, IllTyped> {
        todo!()
    }

    /// Name as in configuration and messages: `string`, `timestamp`, `decimal`, `integer`, `bool`, `ip`.
    pub fn name(&self) -> &'static str {
        match self {
            ColumnType::String => "string",
            ColumnType::Timestamp { .. } => "timestamp",
            ColumnType::Decimal => "decimal",
            ColumnType::Integer => "integer",
            ColumnType::Bool => "bool",
            ColumnType::Ip => "ip",
        }
    }
}

/// What masking does to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskRule {
    /// Card numbers found in it are masked; the rest stands.
    #[default]
    Cards,
    /// An identifier: never searched for card numbers (one in ten order numbers would pass the check digit).
    Identifier,
    /// Digits between the first six and the last four characters become `*`, whatever they are.
    Middle,
    /// Every character becomes `*`.
    All,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name: what conditions and pages call it.
    pub name: Arc<str>,
    /// Its type.
    pub kind: ColumnType,
    /// Its mask.
    pub mask: MaskRule,
}

/// A described line format.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    name: Arc<str>,
    columns: Vec<Column>,
    time_column: Option<usize>,
}

impl Format {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its columns in line order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
    /// Which column carries event time.
    pub fn time_column(&self) -> Option<usize> {
        self.time_column
    }
    /// Position of a column by name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| &*c.name == name)
    }
}

/// All formats known to this process: the shipped ones and those of the configuration.
#[derive(Debug, Clone)]
pub struct FormatSet {
    formats: Vec<Format>,
}

/// A format description that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FormatError {
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl FormatSet {
    /// `order-trace`, `order-message`, `logfmt` and `plain`, in `zone` (the platform's; order-trace: Asia/Shanghai).
    pub fn shipped(_zone: chrono_tz::Tz) -> Self {
        todo!()
    }
    /// Format by index. Indices come from this set only.
    pub fn get(&self, id: FormatId) -> &Format {
        &self.formats[usize::from(id.0)]
    }
    /// Format by name.
    pub fn find(&self, name: &str) -> Option<FormatId> {
        let index = self.formats.iter().position(|f| f.name() == name)?;
        u16::try_from(index).ok().map(FormatId)
    }
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (FormatId, &Format)> {
        self.formats.iter().enumerate().map(|(i, f)| (FormatId(u16::try_from(i).unwrap_or(u16::MAX)), f))
    }
}
