//! Typed values of columns: how a text becomes one, and when two are equal.
//!
//! Refuses to know: which column a value came from.

use std::net::{IpAddr, Ipv4Addr};

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

/// Reads a decimal: an optional sign, digits, optionally a point and digits; no exponent. `None` too when it does not
/// fit exactly (29 digits or more, as a rule).
pub(crate) fn parse_decimal(text: &str) -> Option<Decimal> {
    let shape = decimal_shape(text.as_bytes())?;
    if shape.digits > MANTISSA_DIGITS {
        return Decimal::from_str_exact(text).ok();
    }
    let mut mantissa = 0_i64;
    for b in text.bytes().filter(u8::is_ascii_digit) {
        mantissa = mantissa * 10 + i64::from(b - b'0');
    }
    let signed = if text.starts_with('-') { -mantissa } else { mantissa };
    Some(Decimal::new(signed, shape.scale))
}

/// Whether [`parse_decimal`] reads this text.
pub(crate) fn is_decimal(text: &[u8]) -> bool {
    match decimal_shape(text) {
        None => false,
        Some(shape) if shape.digits <= SURE_DIGITS => true,
        Some(_) => std::str::from_utf8(text).is_ok_and(|t| Decimal::from_str_exact(t).is_ok()),
    }
}

/// So many digits always fit an `i64`.
const MANTISSA_DIGITS: u32 = 18;
/// So many digits always fit a [`Decimal`].
const SURE_DIGITS: u32 = 28;

struct DecimalShape {
    digits: u32,
    scale: u32,
}

fn decimal_shape(text: &[u8]) -> Option<DecimalShape> {
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    let whole = unsigned.iter().take_while(|b| b.is_ascii_digit()).count();
    let fraction = match &unsigned[whole..] {
        [] => 0,
        [b'.', fraction @ ..] if !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit) => {
            fraction.len()
        }
        _ => return None,
    };
    let (digits, scale) = (u32::try_from(whole + fraction).ok()?, u32::try_from(fraction).ok()?);
    (whole > 0).then_some(DecimalShape { digits, scale })
}

/// Reads a whole number: an optional sign and digits, 64 bits.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    if text.len() <= 18 && text.iter().all(u8::is_ascii_digit) && !text.is_empty() {
        return Some(text.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')));
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads `true` or `false` in any case. `1` and `0` are not truth values: a column that carries them is an integer.
pub(crate) fn parse_bool(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// Reads an IPv4 or IPv6 address. Octets with leading zeros are refused (they are octal to some programs).
pub(crate) fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    if let Some(address) = parse_ipv4(text) {
        return Some(IpAddr::V4(address));
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn parse_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut rest) = ([0_u8; 4], text);
    for (at, place) in octets.iter_mut().enumerate() {
        if at > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (octet, after) = octet(rest)?;
        (*place, rest) = (octet, after);
    }
    rest.is_empty().then(|| octets.into())
}

/// The octet that a text begins with, and what follows.
#[inline]
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let number = |digits: &[u8]| digits.iter().fold(0, |sum, b| sum * 10 + u32::from(b - b'0'));
    let len = match text {
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', ..] => 3,
        [b'1'..=b'9', b'0'..=b'9', ..] => 2,
        [b'0'..=b'9', ..] => 1,
        _ => return None,
    };
    let (digits, rest) = text.split_at(len);
    u8::try_from(number(digits)).ok().map(|octet| (octet, rest))
}

#[cfg(test)]
mod tests;
