//! Bytes to UTF-8, and rsyslog's escapes back to bytes.
//!
//! Both come before the line is split: the second byte of a GB18030 character may be `|`.
//! Refuses to know: formats.

use encoding_rs::GB18030;

use crate::{Encoding, RowFlags};

/// Appends a frame as UTF-8. Flags it if it had to be transcoded from GB18030. What cannot be read becomes U+FFFD.
pub(super) fn append_utf8(out: &mut Vec<u8>, frame: &[u8], encoding: Encoding, flags: &mut RowFlags) {
    let is_utf8 = simdutf8::basic::from_utf8(frame).is_ok();
    match encoding {
        Encoding::Auto | Encoding::Utf8 if is_utf8 => out.extend_from_slice(frame),
        Encoding::Gb18030 if frame.is_ascii() => out.extend_from_slice(frame),
        Encoding::Utf8 => out.extend_from_slice(String::from_utf8_lossy(frame).as_bytes()),
        Encoding::Auto if flags.has(RowFlags::TRUNCATED) && whole_characters(frame).is_some() => {
            out.extend_from_slice(whole_characters(frame).unwrap_or_default());
        }
        Encoding::Auto | Encoding::Gb18030 => {
            let (text, malformed) = GB18030.decode_without_bom_handling(frame);
            if malformed && encoding == Encoding::Auto {
                // Valid in neither: a damaged UTF-8 line reads better as what it was.
                let lossy = String::from_utf8_lossy(frame);
                let is_unreadable =
                    |c| c == char::REPLACEMENT_CHARACTER || ('\u{E000}'..='\u{F8FF}').contains(&c);
                let unreadable = |text: &str| text.chars().filter(|c| is_unreadable(*c)).count();
                if unreadable(&lossy) < unreadable(&text) {
                    return out.extend_from_slice(lossy.as_bytes());
                }
            }
            out.extend_from_slice(text.as_bytes());
            flags.set(RowFlags::TRANSCODED);
        }
    }
}

/// UTF-8 that was cut within its last character: what stands before that one.
fn whole_characters(frame: &[u8]) -> Option<&[u8]> {
    match std::str::from_utf8(frame) {
        Err(e) if e.error_len().is_none() => Some(&frame[..e.valid_up_to()]),
        _ => None,
    }
}

/// Appends `message` with rsyslog's escapes read back: `#` and three octal digits, for what rsyslog escapes (control
/// characters and, if so configured, bytes from 128 on). False, and nothing appended, if there are none.
pub(super) fn unescape(message: &[u8], out: &mut Vec<u8>) -> bool {
    let mut from = 0;
    for at in memchr::memchr_iter(b'#', message) {
        if at >= from
            && let Some(byte) = escaped(&message[at..])
        {
            out.extend_from_slice(&message[from..at]);
            out.push(byte);
            from = at + 4;
        }
    }
    if from > 0 {
        out.extend_from_slice(&message[from..]);
    }
    from > 0
}

fn escaped(text: &[u8]) -> Option<u8> {
    let [b'#', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] = text else { return None };
    let byte = (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0');
    (!(b' '..0x7F).contains(&byte)).then_some(byte)
}
