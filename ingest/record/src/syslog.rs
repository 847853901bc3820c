//! The syslog header: RFC 3164 and RFC 5424, and the forms that rsyslog's templates really send and write into files.
//!
//! Whatever cannot be read as a header belongs to the message: nothing is lost by a wrong guess but the split.
//! Refuses to know: what a message means.

mod bsd;
mod ietf;

use nom::bytes::complete::{tag, take_while_m_n};
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
        Some(_) => ietf::parse(after_pri).or_else(|| bsd::parse(after_pri)),
        None => bsd::parse_file_line(frame),
    };
    let parts = parts.unwrap_or(Parts { message: after_pri, ..Parts::default() });
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

/// A run of printable bytes without a space; bytes of other scripts count as printable.
fn word(input: &[u8]) -> IResult<&[u8], &[u8]> {
    nom::bytes::complete::take_while1(|b: u8| b > b' ' && b != 0x7F).parse(input)
}

#[cfg(test)]
mod tests;
