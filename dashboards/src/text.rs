//! Text that came from outside, made safe to look at: nothing hidden, nothing that reorders or steers.
//!
//! HTML escaping is the templates' job; this is about characters that a reader cannot see.

use std::borrow::Cow;

/// Whether a character would be invisible, would reorder its surroundings, or would steer a terminal: C0 and C1
/// controls (tab and line feed excepted), DEL, bidirectional controls (Unicode 9.0 UAX 9), zero-width space, word
/// joiner, byte order mark, line and paragraph separators.
fn hidden(c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{180e}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}' => true,
        c => c.is_control(),
    }
}

/// Replaces hidden characters by `\u{..}`; tab and line feed stay. Pages pass through it as a whole after rendering:
/// templates hold no such character, so no field can be forgotten.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Percent-encodes a text for use as one path segment or query value (RFC 3986: all but unreserved characters).
pub fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

/// Digits in groups of three, as `1 234 567` with narrow no-break spaces.
pub fn grouped(number: u64) -> String {
    grouped_digits(&number.to_string())
}

/// An amount with its whole part in groups of three: `164 320.50`. Text that is no decimal stays as it is.
pub fn grouped_decimal(amount: &str) -> String {
    let (sign, rest) = amount.strip_prefix('-').map_or(("", amount), |rest| ("-", rest));
    let (whole, fraction) =
        rest.split_once('.').map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !fraction.is_none_or(digits) {
        return amount.to_owned();
    }
    let whole = grouped_digits(whole);
    match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    }
}

fn grouped_digits(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Bytes in binary units: `1.5 GiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert!(matches!(visible("plain 中文 <b>\n\tx"), Cow::Borrowed(_)));
        assert_eq!(
            visible("a\u{202e}b\u{1b}[31m\r\0\u{9b}\u{feff}"),
            r"a\u{202e}b\u{1b}[31m\u{d}\u{0}\u{9b}\u{feff}"
        );
        let all: String = (0..=0xffff_u32).filter_map(char::from_u32).collect();
        assert!(!visible(&all).contains(hidden));
    }

    #[test]
    fn ids_are_percent_encoded() {
        assert_eq!(percent_encoded("a/b?c#d&e=%2 中\""), "a%2Fb%3Fc%23d%26e%3D%252%20%E4%B8%AD%22");
        assert_eq!(percent_encoded("CEX16-X_5.7~1"), "CEX16-X_5.7~1");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped_decimal("-164320.50"), "-164\u{202f}320.50");
        assert_eq!(grouped_decimal("12x.5"), "12x.5");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
