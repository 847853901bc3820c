//! Where a message ends and where a count begins.
//!
//! Refuses to know: what the framer made of the messages before.

use super::COUNT_MAX;

/// Most digits of a count within [`COUNT_MAX`].
const COUNT_DIGITS_MAX: usize = 8;
/// More digits than this are no count but the text of a line.
const DIGITS_MAX: usize = 20;
/// A count and the PRI behind it, but for the `>`, are shorter than this: eight digits, space, `<191`.
pub(super) const LOOKAHEAD: usize = 14;

/// What the front of a message says about its framing.
pub(super) enum CountHeader {
    /// Octet counting: the message is `count` bytes from `header` on.
    Counted { header: usize, count: usize },
    /// Octet counting, beyond the hard bound.
    TooLarge { header: usize },
    /// The bytes do not suffice to tell.
    Undecided,
    /// It ends at a line feed.
    None,
}

/// Reads `[1-9][0-9]* <` and a PRI.
pub(super) fn count_header(buf: &[u8], ended: bool) -> CountHeader {
    let undecided = if ended { CountHeader::None } else { CountHeader::Undecided };
    if !matches!(buf.first(), Some(b'1'..=b'9')) {
        return CountHeader::None;
    }
    let digits = buf.iter().take(DIGITS_MAX + 1).take_while(|b| b.is_ascii_digit()).count();
    if digits > DIGITS_MAX {
        return CountHeader::None;
    }
    let pri_bytes = match &buf[digits..] {
        [] | [b' '] => return undecided,
        [b' ', rest @ ..] => match pri(rest) {
            Pri::Yes(bytes) => bytes,
            Pri::Undecided => return undecided,
            Pri::No => return CountHeader::None,
        },
        _ => return CountHeader::None,
    };
    let header = digits + 1;
    if digits > COUNT_DIGITS_MAX {
        return CountHeader::TooLarge { header };
    }
    let count = buf[..digits].iter().fold(0_usize, |n, b| n * 10 + usize::from(b - b'0'));
    match count {
        _ if count > COUNT_MAX => CountHeader::TooLarge { header },
        _ if count < pri_bytes => CountHeader::None,
        _ => CountHeader::Counted { header, count },
    }
}

enum Pri {
    /// So many bytes.
    Yes(usize),
    No,
    Undecided,
}

/// `<`, one to three digits, `>`.
fn pri(text: &[u8]) -> Pri {
    match text {
        [b'<', d, b'>', ..] if d.is_ascii_digit() => Pri::Yes(3),
        [b'<', d, e, b'>', ..] if d.is_ascii_digit() && e.is_ascii_digit() => Pri::Yes(4),
        [b'<', d, e, f, b'>', ..] if [d, e, f].iter().all(|b| b.is_ascii_digit()) => Pri::Yes(5),
        [] => Pri::Undecided,
        [b'<', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => Pri::Undecided,
        _ => Pri::No,
    }
}

/// End of a message that is not counted.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// One past its last byte, CR and NUL included.
    pub(super) end: usize,
    /// Where the next message begins.
    pub(super) consumed: usize,
}

impl End {
    /// Nothing stands between the message and the next, which has a count.
    pub(super) fn is_before_count(self) -> bool {
        self.end == self.consumed
    }
}

pub(super) enum Found {
    /// The first end.
    At(End),
    /// None begins before this offset; look from here when there are more bytes.
    NotBefore(usize),
}

/// The first line feed, NUL before `<` or, with `counts`, count with PRI, from `from` on.
pub(super) fn find_end(buf: &[u8], from: usize, counts: bool) -> Found {
    let mut at = from;
    loop {
        let rest = buf.get(at..).unwrap_or_default();
        let hit =
            if counts { memchr::memchr3(b'\n', 0, b'<', rest) } else { memchr::memchr2(b'\n', 0, rest) };
        let Some(hit) = hit else {
            // A count may stand at the end already, or nine digits that would look like one without the first.
            let held = if counts { LOOKAHEAD } else { 0 };
            return Found::NotBefore(at.max(buf.len().saturating_sub(held)));
        };
        let here = at + hit;
        match (buf[here], buf.get(here + 1)) {
            (b'\n', _) => return Found::At(End { end: here, consumed: here + 1 }),
            (0, None) => return Found::NotBefore(here),
            (0, Some(b'<')) => return Found::At(End { end: here, consumed: here + 1 }),
            (0, _) => {}
            _ => {
                if let Some(count) = count_before(&buf[..here]) {
                    match pri(&buf[here..]) {
                        Pri::Yes(_) if count >= from => {
                            return Found::At(End { end: count, consumed: count });
                        }
                        Pri::Undecided => return Found::NotBefore(from.max(count)),
                        _ => {}
                    }
                }
            }
        }
        at = here + 1;
    }
}

/// Where the count begins that ends `text` (a space behind it).
fn count_before(text: &[u8]) -> Option<usize> {
    let number = text.strip_suffix(b" ")?;
    let digits = number.iter().rev().take(COUNT_DIGITS_MAX + 1).take_while(|b| b.is_ascii_digit()).count();
    if digits > COUNT_DIGITS_MAX {
        return None;
    }
    let start = number.len() - digits;
    let zeros = number[start..].iter().take_while(|b| **b == b'0').count();
    (zeros < digits).then_some(start + zeros)
}
