//! Formats as data: a name, a delimiter, columns with their types and masks.
//!
//! Refuses to know: the bytes of any line.

mod config;
mod plan;
mod render;

use std::sync::Arc;

pub(crate) use config::COLUMNS_MAX;
pub use config::{ColumnConfig, DetectConfig, FieldHint, FormatConfig, GrammarConfig};
pub(crate) use plan::{Check, Plan};

use crate::time::{ISO_PATTERN, parse_iso, parse_pattern};
use crate::value::{parse_bool, parse_decimal, parse_integer, parse_ip};
use crate::{IllTyped, Value, parse_timestamp};

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
        /// strftime pattern; empty means the default pattern, `iso` is ISO 8601 with an optional offset.
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
    pub fn parse<'a>(&self, text: &'a str) -> Result<Value<'a>, IllTyped> {
        let bytes = text.as_bytes();
        match self {
            ColumnType::String => Ok(Value::String(text)),
            ColumnType::Timestamp { zone, pattern } => match &**pattern {
                "" => parse_timestamp(bytes, *zone),
                ISO_PATTERN => parse_iso(bytes, *zone),
                pattern => parse_pattern(text, pattern, *zone),
            }
            .map(Value::Timestamp)
            .ok_or(IllTyped::Timestamp),
            ColumnType::Decimal => parse_decimal(text).map(Value::Decimal).ok_or(IllTyped::Decimal),
            ColumnType::Integer => parse_integer(bytes).map(Value::Integer).ok_or(IllTyped::Integer),
            ColumnType::Bool => parse_bool(bytes).map(Value::Bool).ok_or(IllTyped::Bool),
            ColumnType::Ip => parse_ip(bytes).map(Value::Ip).ok_or(IllTyped::Ip),
        }
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

/// How the text of a line is divided into columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// Fields joined by a delimiter; with `rest` the last column takes what remains, delimiters included.
    Delimited { delimiter: Box<[u8]>, rest: bool },
    /// `key=value` pairs.
    KeyValue,
    /// Four columns: time, host, program and text.
    Plain,
}

/// A described line format.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    pub(crate) name: Arc<str>,
    pub(crate) columns: Vec<Column>,
    pub(crate) time_column: Option<usize>,
    pub(crate) grammar: Grammar,
    pub(crate) encoding: Encoding,
    pub(crate) continuation: bool,
    pub(crate) unescape: bool,
    pub(crate) header_time: bool,
    pub(crate) min_columns: usize,
    pub(crate) detect: Option<DetectConfig>,
    /// The column whose words tell the format, and the length of the longest of them.
    pub(crate) hint_column: Option<usize>,
    pub(crate) hint_bytes_max: usize,
    pub(crate) plan: Plan,
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
    zone: chrono_tz::Tz,
    /// In the order in which line by line detection asks them: the configuration's first.
    pub(crate) detect_order: Vec<FormatId>,
    pub(crate) plain: FormatId,
    /// What a line with `||` is when nothing else claims it.
    pub(crate) fallback: FormatId,
}

/// A format description that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FormatError {
    /// What is wrong, where, and what to do.
    pub message: String,
}

const SHIPPED: [&str; 4] = [
    include_str!("../formats/order-trace.yaml"),
    include_str!("../formats/order-message.yaml"),
    include_str!("../formats/logfmt.yaml"),
    include_str!("../formats/plain.yaml"),
];
const PLAIN: &str = "plain";
const ORDER_TRACE: &str = "order-trace";

impl FormatSet {
    /// `order-trace`, `order-message`, `logfmt` and `plain`, in `zone` (the platform's; order-trace: Asia/Shanghai).
    pub fn shipped(zone: chrono_tz::Tz) -> Self {
        let configs = SHIPPED.map(|yaml| {
            serde_saphyr::from_str::<FormatConfig>(yaml).expect("the shipped formats are read by a test")
        });
        let formats: Vec<Format> =
            configs.iter().map(|c| c.build(zone).expect("the shipped formats are built by a test")).collect();
        let mut set =
            Self { formats, zone, detect_order: Vec::new(), plain: FormatId(0), fallback: FormatId(0) };
        set.detect_order = set.iter().filter(|(_, f)| f.detect.is_some()).map(|(id, _)| id).collect();
        set.plain = set.find(PLAIN).expect("`plain` is among SHIPPED");
        set.fallback = set.find(ORDER_TRACE).expect("`order-trace` is among SHIPPED");
        set
    }

    /// Adds formats of the configuration; one that has the name of a format already there replaces it.
    /// All or nothing: the error names the format, its key, and the nearest name that is known.
    pub fn with(mut self, configs: Vec<FormatConfig>) -> Result<Self, FormatError> {
        let mut own = Vec::new();
        for config in configs {
            let format = config.build(self.zone)?;
            if format.name() == PLAIN {
                return Err(FormatError {
                    message: "format `plain`: every other line is kept in it, so it cannot be replaced; choose another name"
                        .into(),
                });
            }
            let id = match self.find(format.name()) {
                Some(id) if own.contains(&id) => {
                    return Err(FormatError {
                        message: format!("format `{}`: described twice; remove one of them", format.name()),
                    });
                }
                Some(id) => {
                    self.formats[usize::from(id.0)] = format;
                    id
                }
                None => {
                    let id = u16::try_from(self.formats.len()).map_err(|_| FormatError {
                        message: format!("format `{}`: more than 65,535 formats", format.name()),
                    })?;
                    self.formats.push(format);
                    FormatId(id)
                }
            };
            own.push(id);
        }
        let shipped = self.iter().map(|(id, _)| id).filter(|id| !own.contains(id));
        self.detect_order =
            own.iter().copied().chain(shipped).filter(|id| self.get(*id).detect.is_some()).collect();
        Ok(self)
    }

    /// The platform's zone: that of every timestamp whose column names none.
    pub fn zone(&self) -> chrono_tz::Tz {
        self.zone
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
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.formats.len()
    }
}

#[cfg(test)]
mod tests;
