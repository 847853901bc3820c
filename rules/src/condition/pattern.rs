//! Regular expressions in RE2 syntax, bounded in size; matching takes time linear in the text.
//!
//! The engine is the `regex` crate, whose syntax is close to RE2's. Where the two differ the pattern is rewritten
//! first, so that it means what RE2 says: `\d \w \s \b` are ASCII, `[` and `&&` within a class are plain characters,
//! `\Q...\E` quotes. `\C` (a single byte) is refused.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use regex::bytes::{Regex, RegexBuilder};

use super::needed::needed_words;

/// Longest pattern.
pub(super) const MAX_PATTERN_BYTES: usize = 4 * 1024;
/// Most memory that a compiled pattern may take.
pub(super) const MAX_COMPILED_BYTES: usize = 1024 * 1024;

/// A compiled pattern; finds anywhere unless it is anchored.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: Box<str>,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern; `Err` says what is wrong.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(format!(
                "the pattern is {} bytes long; at most {MAX_PATTERN_BYTES} are compiled",
                text.len()
            ));
        }
        let rewritten = rewrite(text)?;
        let built = RegexBuilder::new(&rewritten)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_COMPILED_BYTES)
            .nest_limit(64)
            .build();
        match built {
            Ok(regex) => Ok(Self { text: text.into(), regex }),
            Err(regex::Error::CompiledTooBig(limit)) => Err(format!(
                "the pattern is too big: compiled it takes more than {limit} bytes; use smaller repetitions"
            )),
            Err(error) => {
                let shown = error.to_string();
                let reason = shown.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Err(format!("not a regular expression (RE2): {reason}"))
            }
        }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Words of which every text that it matches holds one; `None` if none are known.
    pub(crate) fn needed_words(&self) -> Option<Vec<Box<str>>> {
        needed_words(self.regex.as_str())
    }

    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Pattern {}
impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

/// The pattern for the engine that means what RE2 reads in `text`.
fn rewrite(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.char_indices().peekable();
    // Within a class, and whether a `]` here would be its first member.
    let mut class: Option<bool> = None;
    while let Some((offset, c)) = chars.next() {
        let first = class == Some(true);
        class = class.map(|_| false);
        match c {
            '\\' => match chars.next() {
                Some((_, 'Q')) if class.is_none() => quote(text, offset + 2, &mut chars, &mut out),
                Some((_, 'C')) => {
                    return Err("`\\C` (a single byte) is not supported".to_owned());
                }
                Some((_, letter)) => escape(letter, class.is_some(), &mut out),
                None => out.push('\\'),
            },
            '[' if class.is_none() => {
                out.push('[');
                if let Some((_, '^')) = chars.peek() {
                    chars.next();
                    out.push('^');
                }
                class = Some(true);
            }
            '[' if class.is_some() && named_class(text, offset).is_some() => {
                let name = named_class(text, offset).unwrap_or_default();
                out.push_str(name);
                chars.nth(name.len() - 2);
            }
            '-' if class.is_some() && matches!(chars.peek(), Some((_, '-'))) => {
                chars.next();
                out.push_str("-\\-");
            }
            ']' if first => out.push_str("\\]"),
            ']' if class.is_some() => {
                out.push(']');
                class = None;
            }
            '[' | '&' | '~' if class.is_some() => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// The `[:name:]` at a byte of the pattern.
fn named_class(text: &str, offset: usize) -> Option<&str> {
    let rest = text.get(offset..)?;
    let len = rest.strip_prefix("[:")?.find(":]")? + 4;
    rest.get(..len).filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b"[:^]".contains(&b)))
}

type Chars<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// Copies what stands between `\Q` and `\E` (or the end) as plain characters.
fn quote(text: &str, from: usize, chars: &mut Chars<'_>, out: &mut String) {
    let rest = text.get(from..).unwrap_or_default();
    let plain = rest.split("\\E").next().unwrap_or_default();
    out.push_str(&regex::escape(plain));
    let skip_to = (from + plain.len() + 2).min(text.len());
    while chars.peek().is_some_and(|(at, _)| *at < skip_to) {
        chars.next();
    }
}

/// Writes an escape; the Perl classes as their ASCII meaning.
fn escape(letter: char, in_class: bool, out: &mut String) {
    let ascii = match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => "[\\t\\n\\f\\r ]",
        'S' => "[^\\t\\n\\f\\r ]",
        'b' if !in_class => "(?-u:\\b)",
        'B' if !in_class => "(?-u:\\B)",
        other => {
            out.push('\\');
            out.push(other);
            return;
        }
    };
    out.push_str(ascii);
}
