//! Literals of conditions: strings with their escapes, exact numbers.

use nom::Err;

use super::parse::{Fault, Parsed, fail};

/// A string literal at the front of `text`; `None` when there is none.
///
/// `"..."` and `'...'` know the escapes `\\ \" \' \` \n \r \t \uXXXX \UXXXXXXXX \xXX` and, as in CEL, no others;
/// `r"..."` and `r'...'` know none.
pub(super) fn string(text: &str) -> Option<Parsed<'_, String>> {
    let (raw, body) = match text.strip_prefix(['r', 'R']) {
        Some(body) if body.starts_with(['"', '\'']) => (true, body),
        _ => (false, text),
    };
    let quote = body.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some(quoted(text, body, quote, raw))
}

fn quoted<'a>(text: &'a str, body: &'a str, quote: char, raw: bool) -> Parsed<'a, String> {
    let mut value = String::new();
    let mut rest = body.strip_prefix(quote).unwrap_or_default();
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            None => return fail(text, format!("this string is not closed; it needs another {quote}")),
            Some(c) if c == quote => return Ok((chars.as_str(), value)),
            Some('\\') if !raw => {
                let (after, c) = escape(rest)?;
                value.push(c);
                rest = after;
            }
            Some(c) => {
                value.push(c);
                rest = chars.as_str();
            }
        }
    }
}

/// The escape at the front of `text` (which begins with the backslash).
fn escape(text: &str) -> Result<(&str, char), Err<Fault>> {
    let mut chars = text.chars();
    chars.next();
    let letter = chars.next();
    let rest = chars.as_str();
    let c = match letter {
        Some(c @ ('\\' | '"' | '\'' | '`')) => c,
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('x') => return hex(text, rest, 2),
        Some('u') => return hex(text, rest, 4),
        Some('U') => return hex(text, rest, 8),
        _ => {
            return fail(
                text,
                "unknown escape; write `\\\\` for a backslash, or a raw string r\"...\" for a pattern"
                    .to_owned(),
            );
        }
    };
    Ok((rest, c))
}

fn hex<'a>(text: &'a str, rest: &'a str, digits: usize) -> Result<(&'a str, char), Err<Fault>> {
    let read = rest.split_at_checked(digits).and_then(|(code, rest)| {
        let all_hex = code.bytes().all(|b| b.is_ascii_hexdigit());
        let c = u32::from_str_radix(code, 16).ok().filter(|_| all_hex).and_then(char::from_u32)?;
        Some((rest, c))
    });
    match read {
        Some(read) => Ok(read),
        None => fail(text, format!("this escape needs {digits} hexadecimal digits of a Unicode character")),
    }
}

/// An exact number: `12`, `-3`, `0.50`. No exponent, no underscores.
pub(crate) fn decimal(text: &str) -> Option<record::Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    record::Decimal::from_str_exact(text).ok()
}
