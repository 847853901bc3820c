//! Typed values of columns: how a text becomes one, and when two are equal.
//!
//! Refuses to know: which column a value came from.

use std::net::IpAddr;

use crate::InstantMs;

/// Exact decimal number (amounts). Equal by value: 1.0 = 1.00.
pub type Decimal = rust_decimal::Decimal;

/// A typed value read in place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text.
    String(&'a str),
    /// Whole number.
    Integer(i64),
    /// Exact decimal.
    Decimal(Decimal),
    /// Instant, ms since the epoch.
    Timestamp(InstantMs),
    /// Truth value.
    Bool(bool),
    /// IP address, version 4 or 6.
    Ip(IpAddr),
}

/// A value that owns its text: usable as a key in maps; equal exactly when the values are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueKey {
    /// Text.
    String(Box<str>),
    /// Whole number.
    Integer(i64),
    /// Exact decimal, normalised.
    Decimal(Decimal),
    /// Instant, ms since the epoch.
    Timestamp(InstantMs),
    /// Truth value.
    Bool(bool),
    /// IP address.
    Ip(IpAddr),
}

/// Why a text does not fit its column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IllTyped {
    /// Not a timestamp of the column's pattern.
    Timestamp,
    /// Not a decimal number.
    Decimal,
    /// Not a whole number of 64 bits.
    Integer,
    /// Neither true nor false.
    Bool,
    /// Not an IP address.
    Ip,
}

impl Value<'_> {
    /// Number of an integer or decimal.
    pub fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Value::Integer(n) => Some(Decimal::from(*n)),
            Value::Decimal(d) => Some(*d),
            _ => None,
        }
    }

    /// Owned form.
    pub fn to_key(&self) -> ValueKey {
        match *self {
            Value::String(s) => ValueKey::String(s.into()),
            Value::Integer(n) => ValueKey::Integer(n),
            Value::Decimal(d) => ValueKey::Decimal(d.normalize()),
            Value::Timestamp(t) => ValueKey::Timestamp(t),
            Value::Bool(b) => ValueKey::Bool(b),
            Value::Ip(ip) => ValueKey::Ip(ip),
        }
    }
}

impl ValueKey {
    /// As a label shows it: decimals without trailing zeros, instants in RFC 3339.
    pub fn label(&self) -> String {
        match self {
            ValueKey::String(s) => s.to_string(),
            ValueKey::Integer(n) => n.to_string(),
            ValueKey::Decimal(d) => d.normalize().to_string(),
            ValueKey::Timestamp(t) => rfc3339_ms(*t),
            ValueKey::Bool(b) => b.to_string(),
            ValueKey::Ip(ip) => ip.to_string(),
        }
    }
}

/// RFC 3339 in UTC with milliseconds: `2016-07-22T10:15:00.512Z`.
pub fn rfc3339_ms(instant_ms: InstantMs) -> String {
    chrono::DateTime::from_timestamp_millis(instant_ms)
        .map(|t| t.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_else(|| format!("{instant_ms} ms"))
}

/// Reads `YYYY-MM-DD HH:MM:SS[.fff]` in a zone. Implemented by the helper of the crate; see `format`.
pub fn parse_timestamp(_text: &[u8], _zone: chrono_tz::Tz) -> Option<InstantMs> {
    todo!()
}
