//! RFC 3164 and its relatives: `TIMESTAMP [HOSTNAME] [TAG[PID]:] MSG`, after `<PRI>` or, in files, without it.
//!
//! TIMESTAMP is `Jul 22 18:15:00` or, as rsyslog's ForwardFormat and FileFormat have it, RFC 3339.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while_m_n, take_while1};
use nom::character::complete::char;
use nom::combinator::{opt, verify};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use super::{Class, Parts, SyslogTime, word};
use crate::time::parse_rfc3339;

const HOST_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// What stands behind `<PRI>`.
pub(super) fn parse(input: &[u8]) -> Option<Parts<'_>> {
    let Ok((rest, (time_text, time))) = timestamp(input) else {
        // A local sender may leave out timestamp and host.
        let (message, program) = colon_tag(input).ok()?;
        return Some(Parts { program, message, ..Parts::default() });
    };
    let parts = Parts { time: Some(time), time_text, message: rest, ..Parts::default() };
    if let Ok((message, program)) = colon_tag(rest) {
        return Some(Parts { program, message, ..parts });
    }
    let Ok((after_host, host)) = host(rest) else { return Some(parts) };
    match alt((colon_tag, bare_tag)).parse(after_host) {
        Ok((message, program)) => Some(Parts { host, program, message, ..parts }),
        Err(_) => Some(Parts { host, message: after_host, ..parts }),
    }
}

/// A line of a file that rsyslog wrote: timestamp, host and tag must all be there, for nothing else tells it from
/// what modules print.
pub(super) fn parse_file_line(line: &[u8]) -> Option<Parts<'_>> {
    // Most lines are none, and their first bytes say so.
    if !matches!(
        line,
        [b'A'..=b'Z', _, _, b' ', ..] | [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _, b'T', ..]
    ) {
        return None;
    }
    let (rest, (time_text, time)) = timestamp(line).ok()?;
    let (message, (host, program)) = (host, alt((colon_tag, bare_tag))).parse(rest).ok()?;
    Some(Parts { time: Some(time), time_text, host, program, message, ..Parts::default() })
}

/// Either form of timestamp and the space behind it; none behind the last byte of the frame.
fn timestamp(input: &[u8]) -> IResult<&[u8], (&[u8], SyslogTime)> {
    let is_named = input.first().is_some_and(u8::is_ascii_alphabetic);
    let (rest, (text, time)) = if is_named { yearless(input)? } else { rfc3339(input)? };
    let (rest, _) = opt(char(' ')).parse(rest)?;
    Ok((rest, (text, time)))
}

fn rfc3339(input: &[u8]) -> IResult<&[u8], (&[u8], SyslogTime)> {
    word.map_opt(|text: &[u8]| Some((text, SyslogTime::Instant(parse_rfc3339(text)?)))).parse(input)
}

/// `Mmm dd hh:mm:ss`, the day padded with a space or a zero, or not at all.
fn yearless(input: &[u8]) -> IResult<&[u8], (&[u8], SyslogTime)> {
    let number = |least, most| {
        take_while_m_n(least, most, |b: u8| b.is_ascii_digit())
            .map(|digits: &[u8]| digits.iter().fold(0_u8, |n, b| n * 10 + (b - b'0')))
    };
    let month = nom::bytes::complete::take(3_usize)
        .map_opt(|name: &[u8]| MONTHS.iter().position(|m| m.eq_ignore_ascii_case(name)));
    let (rest, (month, _, _, day, _, hour, _, minute, _, second)) = (
        month,
        char(' '),
        opt(char(' ')),
        number(1, 2),
        char(' '),
        number(2, 2),
        char(':'),
        number(2, 2),
        char(':'),
        number(2, 2),
    )
        .parse(input)?;
    let ends = rest.first().is_none_or(|b| *b == b' ');
    if !ends || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)));
    }
    let text = &input[..input.len() - rest.len()];
    Ok((rest, (text, SyslogTime::Yearless { month: month as u8 + 1, day, hour, minute, second })))
}

/// A host name or address and the space behind it. `*` is there because card numbers are masked everywhere.
fn host(input: &[u8]) -> IResult<&[u8], &[u8]> {
    static HOST: Class = Class::alphanumeric_and(b".-_:%/*");
    let (rest, name) = take_while1(|b| HOST.has(b)).parse(input)?;
    let (rest, _) = char(' ').parse(rest)?;
    if name.len() > HOST_BYTES_MAX || begins_with_date(input) {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)));
    }
    Ok((rest, name))
}

/// `TAG:`, `TAG[PID]:` and one space, if there is one. Without process id a space, a date or the end must follow, so
/// that `http://` and `12:30` are none.
fn colon_tag(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let pid = delimited(char('['), take_while1(|b: u8| b > b' ' && b != b']'), char(']'));
    let (rest, (name, pid, _)) = (tag_name, opt(pid), char(':')).parse(input)?;
    if pid.is_none() && !rest.is_empty() && rest[0] != b' ' && !begins_with_date(rest) {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)));
    }
    let (rest, _) = opt(tag(" ")).parse(rest)?;
    Ok((rest, name))
}

/// A tag without a colon, as imfile sends one that was configured so. Believed only if a date follows: otherwise it
/// is the first word of the message.
fn bare_tag(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let pid = preceded(char('['), take_while1(|b: u8| b > b' ' && b != b']'));
    let (rest, (name, _, _)) = (tag_name, opt((pid, char(']'))), char(' ')).parse(input)?;
    if !begins_with_date(rest) {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)));
    }
    Ok((rest, name))
}

fn tag_name(input: &[u8]) -> IResult<&[u8], &[u8]> {
    static TAG: Class = Class::printable_but(b":[]|=\"");
    verify(take_while1(|b| TAG.has(b)), |name: &[u8]| name.len() <= TAG_BYTES_MAX).parse(input)
}

/// `YYYY-MM-DD hh:`: no host and no tag.
fn begins_with_date(input: &[u8]) -> bool {
    const SHAPE: &[u8; 14] = b"dddd-dd-dd dd:";
    input.first_chunk::<14>().is_some_and(|text| {
        text.iter().zip(SHAPE).all(|(b, shape)| if *shape == b'd' { b.is_ascii_digit() } else { b == shape })
    })
}
