//! A format as written in the configuration, and how it becomes a [`Format`].
//!
//! Refuses to know: the file it stands in.

use std::sync::Arc;

use chrono_tz::Tz;

use super::{Column, ColumnType, Encoding, Format, FormatError, Grammar, MaskRule, Plan};
use crate::time::ISO_PATTERN;

/// Bits of [`crate::Row::ill_typed`].
const TYPED_COLUMNS_MAX: usize = 128;
/// Lines with more columns than this are no records.
pub(crate) const COLUMNS_MAX: usize = 1_024;
const TYPES: [&str; 6] = ["string", "timestamp", "decimal", "integer", "bool", "ip"];

/// One format of the configuration.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormatConfig {
    /// Its name; that of a shipped format (except `plain`) replaces that one.
    pub name: String,
    /// How a line is divided: `delimited` (default) or `logfmt`.
    #[serde(default)]
    pub grammar: GrammarConfig,
    /// What stands between two columns. Default `||`.
    #[serde(default = "default_delimiter")]
    pub delimiter: String,
    /// How bytes become text: `auto` (default), `utf8`, `gb18030`.
    #[serde(default)]
    pub encoding: Encoding,
    /// Zone of its timestamps, as in `Asia/Shanghai`. Default: the platform's.
    #[serde(default)]
    pub zone: Option<String>,
    /// A frame that begins with the delimiter continues the frame before it. Default false.
    #[serde(default)]
    pub continuation: bool,
    /// Control characters that rsyslog wrote as `#012` are read back. Default false.
    #[serde(default)]
    pub unescape: bool,
    /// Its columns in line order.
    pub columns: Vec<ColumnConfig>,
    /// The column that carries event time. Default: none, and the records of the format concern no rule.
    #[serde(default)]
    pub time: Option<String>,
    /// A line without a time of its own has that of its syslog header, else its receive time. Default false.
    #[serde(default)]
    pub header_time: bool,
    /// The last column takes the rest of the line, delimiters included. Default false.
    #[serde(default)]
    pub rest: bool,
    /// A line with so many columns is a record of the format even if its time cannot be read. Default: all columns.
    #[serde(default)]
    pub min_columns: Option<usize>,
    /// How lines of the format are told where the listener names none. Default: they are not.
    #[serde(default)]
    pub detect: Option<DetectConfig>,
}

/// How a line is divided into columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrammarConfig {
    /// Fields joined by the delimiter.
    #[default]
    Delimited,
    /// `key=value` pairs; the columns are the keys that are known.
    Logfmt,
    /// Time, host, program and text; of the shipped format `plain` only.
    Plain,
}

/// One column of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnConfig {
    /// Its name.
    pub name: String,
    /// `string` (default), `timestamp`, `decimal`, `integer`, `bool`, `ip`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// strftime pattern of a timestamp, or `iso`. Default: `YYYY-MM-DD HH:MM:SS[.fff]`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Zone of a timestamp. Default: the format's.
    #[serde(default)]
    pub zone: Option<String>,
    /// `cards` (default), `identifier`, `middle`, `all`.
    #[serde(default)]
    pub mask: MaskRule,
}

/// How lines of a format are told; any of the hints suffices.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectConfig {
    /// APP-NAME or TAG of the syslog header is one of these.
    #[serde(default)]
    pub program: Vec<String>,
    /// The message begins so.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The line has exactly so many columns and its time can be read.
    #[serde(default)]
    pub columns: Option<usize>,
    /// A column holds one of the listed words, and the line has the columns up to `min_columns`.
    #[serde(default)]
    pub field: Option<FieldHint>,
}

/// A column whose words tell the format.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldHint {
    /// The column.
    pub column: String,
    /// Its words.
    pub values: Vec<String>,
}

fn default_delimiter() -> String {
    "||".into()
}

impl FormatConfig {
    /// A description with nothing but a name and a time column: for formats described in code.
    pub fn new(name: &str, time: &str) -> Self {
        Self {
            name: name.into(),
            grammar: GrammarConfig::default(),
            delimiter: default_delimiter(),
            encoding: Encoding::default(),
            zone: None,
            continuation: false,
            unescape: false,
            columns: Vec::new(),
            time: Some(time.into()),
            header_time: false,
            rest: false,
            min_columns: None,
            detect: None,
        }
    }

    /// The format, in the platform's zone unless it names its own.
    pub(super) fn build(&self, platform_zone: Tz) -> Result<Format, FormatError> {
        let zone = self.zone(&self.zone, "zone")?.unwrap_or(platform_zone);
        if self.name.is_empty() {
            return Err(self.error("name", "is empty"));
        }
        if self.columns.is_empty() || self.columns.len() > COLUMNS_MAX {
            return Err(
                self.error("columns", &format!("must be 1 to {COLUMNS_MAX}, not {}", self.columns.len()))
            );
        }
        if self.delimiter.is_empty() {
            return Err(self.error("delimiter", "is empty"));
        }
        let mut columns: Vec<Column> = Vec::with_capacity(self.columns.len());
        for (index, config) in self.columns.iter().enumerate() {
            let column = self.column(index, config, zone)?;
            if columns.iter().any(|c| c.name == column.name) {
                let key = format!("columns[{index}].name");
                return Err(self.error(&key, &format!("`{}` is there twice", column.name)));
            }
            columns.push(column);
        }
        let time_column = self.time_column(&columns)?;
        self.check_detect(&columns, time_column)?;
        let grammar = match self.grammar {
            GrammarConfig::Delimited => {
                Grammar::Delimited { delimiter: self.delimiter.as_bytes().into(), rest: self.rest }
            }
            GrammarConfig::Logfmt => Grammar::KeyValue,
            GrammarConfig::Plain if self.name == super::PLAIN => Grammar::Plain,
            GrammarConfig::Plain => {
                return Err(
                    self.error("grammar", "`plain` is for the shipped format only; use delimited or logfmt")
                );
            }
        };
        let hint = self.detect.as_ref().and_then(|d| d.field.as_ref());
        Ok(Format {
            hint_column: hint.and_then(|h| columns.iter().position(|c| *c.name == *h.column)),
            hint_bytes_max: hint.and_then(|h| h.values.iter().map(String::len).max()).unwrap_or(0),
            name: Arc::from(&*self.name),
            plan: Plan::new(&columns),
            time_column,
            grammar,
            encoding: self.encoding,
            continuation: self.continuation,
            unescape: self.unescape,
            header_time: self.header_time,
            min_columns: self.min_columns.unwrap_or(columns.len()).max(2),
            detect: self.detect.clone(),
            columns,
        })
    }

    fn column(&self, index: usize, config: &ColumnConfig, zone: Tz) -> Result<Column, FormatError> {
        let key = |name: &str| format!("columns[{index}] `{}`: {name}", config.name);
        if config.name.is_empty() {
            return Err(self.error(&key("name"), "is empty"));
        }
        let named = config.kind.as_deref().unwrap_or("string");
        let kind = match named {
            "string" => ColumnType::String,
            "timestamp" => ColumnType::Timestamp {
                zone: self.zone(&config.zone, &key("zone"))?.unwrap_or(zone),
                pattern: self.pattern(config, &key("pattern"))?,
            },
            "decimal" => ColumnType::Decimal,
            "integer" => ColumnType::Integer,
            "bool" => ColumnType::Bool,
            "ip" => ColumnType::Ip,
            other => return Err(self.unknown(&key("type"), other, &TYPES)),
        };
        if kind != ColumnType::String && index >= TYPED_COLUMNS_MAX {
            return Err(self.error(&key("type"), "columns from the 129th on are strings"));
        }
        if !matches!(kind, ColumnType::Timestamp { .. })
            && (config.zone.is_some() || config.pattern.is_some())
        {
            return Err(
                self.error(&key("type"), "zone and pattern are for timestamps; add `type: timestamp`")
            );
        }
        Ok(Column { name: Arc::from(&*config.name), kind, mask: config.mask })
    }

    fn pattern(&self, config: &ColumnConfig, key: &str) -> Result<Arc<str>, FormatError> {
        let pattern = config.pattern.as_deref().unwrap_or_default();
        let items = || chrono::format::StrftimeItems::new(pattern);
        let is_literal = |i| matches!(i, chrono::format::Item::Literal(_) | chrono::format::Item::Space(_));
        if pattern.is_empty() || pattern == ISO_PATTERN {
            return Ok(Arc::from(pattern));
        }
        if items().any(|i| i == chrono::format::Item::Error) {
            return Err(self
                .error(key, &format!("`{pattern}` is no strftime pattern; an example: %d/%m/%Y %H:%M:%S")));
        }
        if items().all(is_literal) {
            return Err(
                self.error(key, &format!("`{pattern}` has no `%` field; an example: %d/%m/%Y %H:%M:%S"))
            );
        }
        Ok(Arc::from(pattern))
    }

    fn time_column(&self, columns: &[Column]) -> Result<Option<usize>, FormatError> {
        let Some(name) = &self.time else { return Ok(None) };
        let names: Vec<&str> = columns.iter().map(|c| &*c.name).collect();
        let index = names.iter().position(|n| n == name).ok_or_else(|| self.unknown("time", name, &names))?;
        if !matches!(columns[index].kind, ColumnType::Timestamp { .. }) {
            return Err(
                self.error("time", &format!("column `{name}` is no timestamp; give it `type: timestamp`"))
            );
        }
        Ok(Some(index))
    }

    fn check_detect(&self, columns: &[Column], time_column: Option<usize>) -> Result<(), FormatError> {
        let Some(detect) = &self.detect else { return Ok(()) };
        if detect.columns.is_some() && time_column.is_none() {
            return Err(self.error("detect.columns", "needs a time column; name it with `time`"));
        }
        let Some(field) = &detect.field else { return Ok(()) };
        let names: Vec<&str> = columns.iter().map(|c| &*c.name).collect();
        if !names.contains(&&*field.column) {
            return Err(self.unknown("detect.field.column", &field.column, &names));
        }
        Ok(())
    }

    fn zone(&self, name: &Option<String>, key: &str) -> Result<Option<Tz>, FormatError> {
        let Some(name) = name else { return Ok(None) };
        match name.parse() {
            Ok(zone) => Ok(Some(zone)),
            Err(_) => {
                let known: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|z| z.name()).collect();
                Err(self.unknown(key, name, &known))
            }
        }
    }

    fn unknown(&self, key: &str, name: &str, known: &[&str]) -> FormatError {
        let nearest = known.iter().min_by_key(|k| edits(name, k));
        let hint = nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        self.error(key, &format!("`{name}` is not known{hint}"))
    }

    fn error(&self, key: &str, what: &str) -> FormatError {
        FormatError { message: format!("format `{}`: {key}: {what}", self.name) }
    }
}

/// Levenshtein distance, letter case aside: which known name a wrong one is nearest to.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let changed = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
