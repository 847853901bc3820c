//! Making untrusted text harmless: for a reader's eyes, for a mail header, for HTML.
//!
//! Refuses to know: where the text came from. It is never expanded, only shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A header's value is cut to this many bytes.
const HEADER_MAX_BYTES: usize = 250;

/// Control characters (C0, DEL, C1, line and paragraph separators) and invisible or bidirectional format
/// characters as `\u{..}`; everything else as it is. What is shown is what is there.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if hidden(c) => {
                let Ok(()) = write!(shown, "\\u{{{:x}}}", u32::from(c)) else { continue };
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line for a mail or HTTP header: control characters become spaces, format characters vanish, spaces are
/// collapsed, at most 250 bytes. No input can end the header or begin another.
pub fn header_text(text: &str) -> String {
    let spaced: String = text
        .chars()
        .filter(|&c| c.is_control() || !hidden(c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    cut(&words.join(" "), HEADER_MAX_BYTES).into_owned()
}

/// Text between tags or in a quoted attribute: [`visible`], then the five characters HTML gives a meaning.
pub fn html_text(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    for c in visible(text).chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

/// At most `max_bytes` of a text, on a character boundary, with ` ...` where something was left out.
pub(crate) fn cut(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    let room = max_bytes.saturating_sub(4);
    let end = (0..=room).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    Cow::Owned(format!("{} ...", text.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(visible("ok \u{4e2d}\u{6587}"), "ok \u{4e2d}\u{6587}");
        assert_eq!(visible("a\r\nb\t\0\u{1b}[31m\u{9b}"), "a\\r\\nb\\t\\u{0}\\u{1b}[31m\\u{9b}");
        assert_eq!(visible("\u{202e}evil\u{2066}\u{200b}"), "\\u{202e}evil\\u{2066}\\u{200b}");
    }

    #[test]
    fn a_header_stays_one_line() {
        assert_eq!(header_text("a\r\nBcc: x@y\0 b\u{2028}c"), "a Bcc: x@y bc");
        assert_eq!(header_text("  a \t b\n"), "a b");
        let long = header_text(&"\u{4e2d}".repeat(200));
        assert!(long.len() <= 250 && long.ends_with(" ..."), "{} bytes", long.len());
    }

    #[test]
    fn html_gets_no_markup() {
        assert_eq!(html_text("<b a='1' b=\"2\">&"), "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;");
    }
}
