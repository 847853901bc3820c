//! What a sender says of a line besides the line: an id that stays the same when it sends the line again, and a number
//! that counts its lines. Both stand in one element of the RFC 5424 structured data: `[lc@32473 eid="..." seq="17"]`.
//!
//! Refuses to know: who the sender is, and what was seen before.

/// The marks of one row, or of one frame joined to it (continuation): then the row stands here more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ident {
    /// Index of the row in its batch as it was handed over.
    pub row: u32,
    /// What its sender says.
    pub marks: Marks,
}

/// What a sender says of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// `eid`: the bits of a UUID, else a hash of 128 bits; `None` if there is none or it is empty.
    pub eid: Option<u128>,
    /// `seq`: one more with each line; starts again at 0 when the sender starts again.
    pub seq: Option<u64>,
}

impl Marks {
    /// Reads `eid` and `seq` from the element `element` of an RFC 5424 STRUCTURED-DATA (brackets included, section
    /// 6.3). What is not there, or cannot be read, is `None`.
    pub fn read(structured_data: &[u8], element: &[u8]) -> Self {
        let mut marks = Self::default();
        let mut rest = find(structured_data, element).unwrap_or_default();
        while let Some((name, value, after)) = parameter(rest) {
            match name {
                b"eid" => marks.eid = eid(value),
                b"seq" => marks.seq = number(value),
                _ => {}
            }
            rest = after;
        }
        marks
    }

    /// Whether the sender says nothing.
    pub fn is_empty(&self) -> bool {
        self.eid.is_none() && self.seq.is_none()
    }
}

/// What follows the name of the first element of this name.
fn find<'a>(structured_data: &'a [u8], element: &[u8]) -> Option<&'a [u8]> {
    let mut rest = structured_data;
    loop {
        let inner = rest.strip_prefix(b"[")?;
        let end = inner.iter().position(|b| matches!(b, b' ' | b']'))?;
        let (name, mut parameters) = inner.split_at(end);
        if name == element {
            return Some(parameters);
        }
        while let Some((_, _, after)) = parameter(parameters) {
            parameters = after;
        }
        rest = parameters.strip_prefix(b"]")?;
    }
}

/// Name, value (escapes as they stand) and what follows of ` NAME="VALUE"`.
fn parameter(input: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let input = input.trim_ascii_start();
    let (name, rest) = input.split_at_checked(input.iter().position(|b| matches!(b, b'=' | b']'))?)?;
    let value = rest.strip_prefix(b"=\"")?;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', value.get(at..)?)?;
        if value[at] == b'"' {
            return Some((name, &value[..at], &value[at + 1..]));
        }
        at += 2;
    }
}

/// `None` for an empty value: an unset variable of the sender's template must not make all its lines one.
fn eid(value: &[u8]) -> Option<u128> {
    if value.is_empty() { None } else { uuid(value).or_else(|| Some(hash(value))) }
}

/// 32 hexadecimal digits, with or without the dashes of RFC 9562.
fn uuid(value: &[u8]) -> Option<u128> {
    let dashed = value.len() == 36;
    if !dashed && value.len() != 32 {
        return None;
    }
    let mut bits = 0;
    for (at, byte) in value.iter().enumerate() {
        if dashed && matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        bits = bits << 4 | u128::from(char::from(*byte).to_digit(16)?);
    }
    Some(bits)
}

/// FNV-1a of 128 bits over the value without its escapes (RFC 5424 section 6.3.3: `\"`, `\\`, `\]`). It is written to
/// disk: never change it.
fn hash(value: &[u8]) -> u128 {
    let mut hash: u128 = 0x6c62272e07bb014262b821756295c58d;
    let mut bytes = value.iter().copied().peekable();
    while let Some(mut byte) = bytes.next() {
        if byte == b'\\'
            && let Some(escaped) = bytes.next_if(|b| matches!(b, b'"' | b'\\' | b']'))
        {
            byte = escaped;
        }
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000000001000000000000000000013B);
    }
    hash
}

fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(structured_data: &str, eid: Option<u128>, seq: Option<u64>) {
        let read = Marks::read(structured_data.as_bytes(), b"lc@32473");
        assert_eq!(read, Marks { eid, seq }, "{structured_data}");
    }

    #[test]
    fn the_element_is_found_among_others() {
        let bits = Some(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        check(r#"[lc@32473 eid="01234567-89ab-cdef-0123-456789ABCDEF" seq="17"]"#, bits, Some(17));
        check(r#"[lc@32473 eid="0123456789abcdef0123456789ABCDEF"]"#, bits, None);
        check(r#"[a@1 x="1"][b][lc@32473  seq="0" other="z"][c@2 seq="9"]"#, None, Some(0));
        check(r#"[a@1 x="[lc@32473 seq=\"5\"\] ]"][lc@32473 seq="6"]"#, None, Some(6));
    }

    #[test]
    fn what_is_not_there_is_not_made_up() {
        for none in [
            "",
            "-",
            "[lc@32473]",
            r#"[lc@32473 eid="" seq=""]"#,
            r#"[lc@324730 eid="x" seq="1"]"#,
            r#"[a@1 eid="x" seq="1"]"#,
            r#"[a@1 x="[lc@32473 seq=\"5\"\]"]"#,
            r#"[lc@32473 seq="-1"]"#,
            r#"[lc@32473 seq="1x"]"#,
            r#"[lc@32473 seq="99999999999999999999"]"#,
            r#"[lc@32473 seq="1"#,
            r#"[lc@32473 seq="\"#,
            "[lc@32473 seq",
        ] {
            check(none, None, None);
        }
        check(r#"[lc@32473 seq="1" eid="cut"#, None, Some(1));
    }

    #[test]
    fn other_ids_are_hashed_without_their_escapes() {
        let read = |text: &str| Marks::read(text.as_bytes(), b"lc@32473").eid;
        let escaped = read(r#"[lc@32473 eid="a\"b\\c\]d"]"#);
        assert_eq!(escaped, Some(hash(br#"a"b\c]d"#)));
        assert_ne!(escaped, read(r#"[lc@32473 eid="a"]"#));
        // 35 and 37 characters are no UUID, nor is one with a wrong digit or a dash elsewhere.
        for text in
            ["0123456789abcdef0123456789abcdeg", "0123456-789ab-cdef-0123-456789abcdef0", "host-1:000001"]
        {
            assert_eq!(eid(text.as_bytes()), Some(hash(text.as_bytes())), "{text}");
        }
        // Published test vector of FNV-1a 128: the hash is on disk and must not change.
        assert_eq!(hash(b"foobar"), 0x343e1662793c64bf6f0d3597ba446f18);
    }
}
