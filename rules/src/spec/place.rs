//! Where something stands in a rule file: bytes to line and column, and from within a YAML scalar back to the file.
//!
//! Refuses to know: YAML's structure.

use serde_saphyr::Location;

/// Line and column, both from 1; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The text of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
}

impl<'a> Source<'a> {
    /// The place of a byte offset.
    pub(super) fn place(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Place { line: before.matches('\n').count() + 1, column }
    }

    /// The byte at which a YAML location begins.
    pub(super) fn byte(&self, location: &Location) -> usize {
        let known = location.span().byte_offset().and_then(|byte| usize::try_from(byte).ok());
        known.filter(|byte| self.text.is_char_boundary(*byte)).unwrap_or_default()
    }

    /// The text of a YAML location.
    pub(super) fn slice(&self, location: &Location) -> Option<&'a str> {
        let start = usize::try_from(location.span().byte_offset()?).ok()?;
        let len = usize::try_from(location.span().byte_len()?).ok()?;
        self.text.get(start..start + len).map(str::trim_end)
    }

    /// Whether the scalar at `byte` is quoted or a block.
    pub(super) fn is_quoted(&self, byte: usize) -> bool {
        matches!(self.text.as_bytes().get(byte), Some(b'"' | b'\'' | b'|' | b'>'))
    }

    /// The first `!` before `byte` on its line: where a tag begins.
    pub(super) fn tag_before(&self, byte: usize) -> usize {
        let before = self.text.get(..byte).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        before.get(line..).and_then(|line| line.find('!')).map_or(byte, |mark| line + mark)
    }

    /// Whether the scalar at `byte` stands behind the tag `!`.
    pub(super) fn is_tagged(&self, byte: usize) -> bool {
        let here = self.text.as_bytes().get(byte) == Some(&b'!');
        here || self.text.get(..byte).is_some_and(|before| before.trim_end().ends_with('!'))
    }

    /// The byte of the file at which byte `offset` of the scalar that begins at `start` and reads as `value` stands.
    ///
    /// Walks file and value together: exact for scalars on one line, quoted or not; in folded and block scalars
    /// white space of the file is skipped where the value has other white space, so the line is right.
    pub(super) fn within(&self, start: usize, value: &str, offset: usize) -> usize {
        let mut walk = Walk::new(self.text, start);
        for (at, c) in value.char_indices() {
            if !c.is_whitespace() {
                walk.skip_white();
            }
            if at >= offset {
                return walk.at;
            }
            walk.step(c);
        }
        walk.at
    }
}

/// A position within a scalar's source text.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    style: u8,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str, start: usize) -> Self {
        let style = text.as_bytes().get(start).copied().unwrap_or_default();
        let rest = text.get(start..).unwrap_or_default();
        let at = match style {
            b'"' | b'\'' => start + 1,
            b'|' | b'>' => start + rest.find('\n').map_or(rest.len(), |newline| newline + 1),
            _ => start,
        };
        Self { text, at, style }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips white space, and in double quotes a backslash that joins two lines.
    fn skip_white(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if self.style == b'"' && (trimmed.starts_with("\\\n") || trimmed.starts_with("\\\r\n")) {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    /// Passes what stands for the character `c` of the value.
    fn step(&mut self, c: char) {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let len = match (self.style, bytes.first(), bytes.get(1)) {
            (b'"', Some(b'\\'), Some(b'x')) => 4,
            (b'"', Some(b'\\'), Some(b'u')) => 6,
            (b'"', Some(b'\\'), Some(b'U')) => 10,
            (b'"', Some(b'\\'), Some(_)) => 2,
            (b'\'', Some(b'\''), Some(b'\'')) => 2,
            _ if c.is_whitespace() && !rest.starts_with(char::is_whitespace) => 0,
            _ => rest.chars().next().map_or(0, char::len_utf8),
        };
        self.at = (self.at + len).min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }
}
