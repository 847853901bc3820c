//! The syslog header: RFC 3164 and RFC 5424, and the forms that rsyslog's templates really send and write into files.
//!
//! Whatever cannot be read as a header belongs to the message: nothing is lost by a wrong guess but the split.
//! Refuses to know: what a message means.

mod bsd;
mod ietf;

use nom::bytes::complete::{tag, take, take_while_m_n};
use nom::combinator::verify;
use nom::sequence::delimited;
use nom::{IResult, Parser};

use crate::{InstantMs, Span};

/// TIMESTAMP of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogTime {
    /// RFC 5424: an instant.
    Instant(InstantMs),
    /// RFC 3164: no year, no zone.
    Yearless {
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
        /// 0 to 60.
        second: u8,
    },
}

/// A parsed header; spans are offsets into the frame, and 0 to 0 where there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// PRI.
    pub pri: Option<u8>,
    /// TIMESTAMP.
    pub time: Option<SyslogTime>,
    /// TIMESTAMP as it stands there.
    pub time_text: Span,
    /// HOSTNAME.
    pub host: Span,
    /// APP-NAME or TAG.
    pub program: Span,
    /// STRUCTURED-DATA with its brackets.
    pub structured_data: Span,
    /// MSG.
    pub message: Span,
}

/// The parts of a header as they stand in the frame.
#[derive(Debug, Clone, Copy, Default)]
struct Parts<'a> {
    time: Option<SyslogTime>,
    time_text: &'a [u8],
    host: &'a [u8],
    program: &'a [u8],
    structured_data: &'a [u8],
    message: &'a [u8],
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Reads the header of a frame; a frame without one is all message.
///
/// Known forms, `<PRI>` first: RFC 5424; RFC 3164 with or without host, tag and process id; RFC 3164 with an RFC 3339
/// timestamp (rsyslog's RSYSLOG_ForwardFormat). Without `<PRI>`: the lines of rsyslog's TraditionalFileFormat and
/// FileFormat, which need timestamp, host and tag. A line that begins with a date and a space is all message.
pub fn parse_header(frame: &[u8]) -> Header {
    let (pri, after_pri) = match pri(frame) {
        Ok((rest, pri)) => (Some(pri), rest),
        Err(_) => (None, frame),
    };
    let parts = match pri {
        // A version has at most three digits; the RFC 3339 timestamp of the other form begins with four.
        Some(_)
            if matches!(
                after_pri,
                [b'1'..=b'9', b' ', ..] | [_, b'0'..=b'9', b' ', ..] | [_, _, b'0'..=b'9', b' ', ..]
            ) =>
        {
            ietf::parse(after_pri).or_else(|| bsd::parse(after_pri))
        }
        Some(_) => bsd::parse(after_pri),
        None => bsd::parse_file_line(frame),
    };
    // A template of nothing but `%msg%` leaves the space that stood behind the tag.
    let bare = match after_pri {
        [b' ', next, ..] if *next != b' ' => &after_pri[1..],
        _ => after_pri,
    };
    let parts = parts.unwrap_or(Parts { message: bare, ..Parts::default() });
    let message = parts.message.strip_prefix(BOM).unwrap_or(parts.message);
    Header {
        pri,
        time: parts.time,
        time_text: span(frame, parts.time_text),
        host: span(frame, parts.host),
        program: span(frame, parts.program),
        structured_data: span(frame, parts.structured_data),
        message: Span { start: (frame.len() - message.len()) as u32, end: frame.len() as u32 },
    }
}

/// Where a part lies in the frame that it was cut from.
fn span(frame: &[u8], part: &[u8]) -> Span {
    if part.is_empty() {
        return Span::default();
    }
    let start = part.as_ptr().addr() - frame.as_ptr().addr();
    Span { start: start as u32, end: (start + part.len()) as u32 }
}

/// `<0>` to `<191>`.
fn pri(input: &[u8]) -> IResult<&[u8], u8> {
    delimited(tag("<"), take_while_m_n(1, 3, |b: u8| b.is_ascii_digit()), tag(">"))
        .map_opt(|digits: &[u8]| {
            let value = digits.iter().fold(0_u16, |n, b| n * 10 + u16::from(b - b'0'));
            u8::try_from(value).ok().filter(|pri| *pri <= 191)
        })
        .parse(input)
}

/// Everything up to the next space or the end; at least one byte.
fn word(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let end = memchr::memchr(b' ', input).unwrap_or(input.len());
    verify(take(end), |word: &[u8]| !word.is_empty()).parse(input)
}

/// Which bytes a name may hold, as a table: one look-up a byte.
struct Class([bool; 256]);

impl Class {
    /// Printable ASCII that is not in `but`.
    const fn printable_but(but: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut b = b'!';
        while b <= b'~' {
            table[b as usize] = true;
            b += 1;
        }
        Self::set(table, but, false)
    }

    /// Letters, digits and what is in `and`.
    const fn alphanumeric_and(and: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut b = 0;
        while b < 128_u8 {
            table[b as usize] = b.is_ascii_alphanumeric();
            b += 1;
        }
        Self::set(table, and, true)
    }

    const fn set(mut table: [bool; 256], bytes: &[u8], value: bool) -> Self {
        let mut i = 0;
        while i < bytes.len() {
            table[bytes[i] as usize] = value;
            i += 1;
        }
        Self(table)
    }

    fn has(&self, b: u8) -> bool {
        self.0[usize::from(b)]
    }
}

#[cfg(test)]
mod tests;
