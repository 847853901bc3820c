//! The line grammars, stated plainly with nom: fields joined by a delimiter, and `key=value` pairs.
//!
//! [`fields`] is the reference for the fast splitter, which must give the same; [`pairs`] is what logfmt lines are
//! read with. Refuses to know: formats and their columns.

use nom::bytes::complete::{tag, take_till, take_until, take_while};
use nom::combinator::rest;
use nom::multi::many0;
use nom::sequence::terminated;
use nom::{IResult, Parser};

/// The fields of a line: `field *(delimiter field)`, a field being the shortest text before a delimiter.
pub fn fields<'a>(line: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    if delimiter.is_empty() {
        return vec![line];
    }
    let field = terminated(take_until(delimiter), tag(delimiter));
    let mut grammar = (many0(field), rest::<_, nom::error::Error<&[u8]>>);
    let (_, (mut fields, last)) = grammar.parse(line).expect("many0 and rest accept any input");
    fields.push(last);
    fields
}

/// One item of a logfmt line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The key; empty for a word that stands alone.
    pub key: &'a [u8],
    /// The value without its quotes (a `\"` in it stays two characters), or the word that stands alone.
    pub value: &'a [u8],
    /// Key and value as they stand in the line.
    pub whole: &'a [u8],
}

/// The items of a logfmt line: `key=value`, `key="quoted value"` or single words, with white space between. Any text
/// is a sequence of such items; a quote that is never closed is part of the value's text up to the next white space.
pub fn pairs(line: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut left = line;
    std::iter::from_fn(move || {
        let (after, pair) = pair(left).ok()?;
        left = after;
        Some(pair)
    })
}

fn pair(input: &[u8]) -> IResult<&[u8], Pair<'_>> {
    let (start, _) = take_while(is_space).parse(input)?;
    if start.is_empty() {
        return Err(nom::Err::Error(nom::error::Error::new(start, nom::error::ErrorKind::Eof)));
    }
    let (after_key, key) = take_till(|b| is_space(b) || b == b'=').parse(start)?;
    let Some(after_equals) = after_key.strip_prefix(b"=").filter(|_| !key.is_empty()) else {
        let (after, word) = take_till(is_space).parse(start)?;
        return Ok((after, Pair { key: &[], value: word, whole: word }));
    };
    let (after, value) = match quoted(after_equals) {
        Some(read) => read,
        None => take_till(is_space).parse(after_equals)?,
    };
    Ok((after, Pair { key, value, whole: &start[..start.len() - after.len()] }))
}

/// A quoted value and what follows it, which must be white space or the end.
fn quoted(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = input.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        let hit = at + memchr::memchr2(b'"', b'\\', body.get(at..)?)?;
        if body[hit] == b'"' {
            let after = &body[hit + 1..];
            return after.first().is_none_or(|b| is_space(*b)).then_some((after, &body[..hit]));
        }
        at = hit + 2;
    }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}
