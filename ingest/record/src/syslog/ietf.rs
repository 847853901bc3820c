//! RFC 5424: `VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]`, after `<PRI>`.
//!
//! Tolerant: names may be longer than the RFC allows, and structured data that cannot be read begins the message.

use nom::bytes::complete::{tag, take_while_m_n};
use nom::character::complete::char;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::{Parts, SyslogTime, word};
use crate::time::parse_rfc3339;

const NIL: &[u8] = b"-";

pub(super) fn parse(input: &[u8]) -> Option<Parts<'_>> {
    let (rest, mut parts) = header(input).ok()?;
    let (rest, structured_data) = match structured_data(rest) {
        Ok(read) => read,
        Err(_) => (rest, &rest[..0]),
    };
    parts.structured_data = structured_data;
    // rsyslog's own messages begin with the space that stood behind the tag: one more than the RFC's.
    let message = rest.strip_prefix(b" ").unwrap_or(rest);
    parts.message = match message {
        [b' ', next, ..] if *next != b' ' => &message[1..],
        _ => message,
    };
    Some(parts)
}

fn header(input: &[u8]) -> IResult<&[u8], Parts<'_>> {
    let version = terminated(take_while_m_n(1, 3, |b: u8| b.is_ascii_digit()), char(' '));
    let field = || terminated(word, char(' '));
    let (rest, (version, time_text, host, program, _procid, _msgid)) =
        (version, field(), field(), field(), field(), field()).parse(input)?;
    let time = match time_text {
        NIL => None,
        text => match parse_rfc3339(text) {
            Some(instant) => Some(SyslogTime::Instant(instant)),
            None => return fail(input),
        },
    };
    if version[0] == b'0' {
        return fail(input);
    }
    Ok((
        rest,
        Parts { time, time_text: nil(time_text), host: nil(host), program: nil(program), ..Parts::default() },
    ))
}

fn fail<O>(input: &[u8]) -> IResult<&[u8], O> {
    Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)))
}

/// `-` stands for nothing.
fn nil(field: &[u8]) -> &[u8] {
    if field == NIL { &field[..0] } else { field }
}

/// `-`, or elements `[ID NAME="VALUE" ...]`; then a space or the end.
fn structured_data(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let (rest, data) = match tag::<_, _, nom::error::Error<&[u8]>>(NIL).parse(input) {
        Ok((rest, _)) => (rest, &input[..0]),
        Err(_) => {
            let mut rest = element(input)?.0;
            while let Ok((after, ())) = element(rest) {
                rest = after;
            }
            (rest, &input[..input.len() - rest.len()])
        }
    };
    if rest.first().is_none_or(|b| *b == b' ') { Ok((rest, data)) } else { fail(input) }
}

fn element(input: &[u8]) -> IResult<&[u8], ()> {
    let name = |b: u8| b > b' ' && b < 0x7F && !matches!(b, b'=' | b']' | b'"');
    let (mut rest, _) = preceded(char('['), nom::bytes::complete::take_while1(name)).parse(input)?;
    loop {
        if let Some(after) = rest.strip_prefix(b"]") {
            return Ok((after, ()));
        }
        let (after, _) = (
            nom::bytes::complete::take_while1(|b| b == b' '),
            nom::bytes::complete::take_while1(name),
            tag("=\""),
        )
            .parse(rest)?;
        rest = quoted_rest(after)?.0;
    }
}

/// The rest of a quoted value, its closing quote included; `\` keeps the next byte from closing it.
fn quoted_rest(input: &[u8]) -> IResult<&[u8], ()> {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', input.get(at..).unwrap_or_default()) {
        if input[at + found] == b'"' {
            return Ok((&input[at + found + 1..], ()));
        }
        at += found + 2;
    }
    fail(input)
}
