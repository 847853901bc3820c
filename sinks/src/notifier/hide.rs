//! What notifiers may say about failures: short, visible, without secrets.
//!
//! Refuses to know: whose secrets they are.

use crate::notification::{cut, visible};
use crate::receivers::Secret;

/// Bytes of a server's words that an outcome shows at most.
const SHOWN_MAX_BYTES: usize = 300;

/// Short, visible and without secrets.
pub(super) fn clean(text: &str, hidden: &[Secret]) -> String {
    let mut text = text.to_owned();
    for secret in hidden.iter().filter(|s| !s.expose().is_empty()) {
        text = text.replace(secret.expose(), "<secret>");
    }
    visible(&cut(text.trim(), SHOWN_MAX_BYTES)).into_owned()
}

/// An error and its causes: reqwest's own text leaves them out.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// RFC 4648 section 4, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_rfc_4648_section_10() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("fooba", "Zm9vYmE="),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn secrets_and_control_characters_are_not_repeated() {
        let hidden = [Secret::new("s3cret"), Secret::new("")];
        assert_eq!(clean(" bad token s3cret\r\nX: y ", &hidden), "bad token <secret>\\r\\nX: y");
        assert!(clean(&"x".repeat(10_000), &[]).len() <= SHOWN_MAX_BYTES);
    }
}
