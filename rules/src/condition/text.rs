//! Tests of a text: equality, parts, keywords, patterns; as it stands or in lower case.
//!
//! Refuses to know: where the text comes from. Texts are UTF-8 bytes.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use memchr::memmem::Finder;

use super::test::{Order, TextTest};

/// A word looked for within a text.
#[derive(Debug, Clone)]
pub(crate) struct Keyword {
    word: Box<str>,
    /// Boxed, for it is ten times as large as the other tests.
    finder: Box<Finder<'static>>,
}

impl Keyword {
    pub(super) fn new(word: &str) -> Self {
        Self { word: word.into(), finder: Box::new(Finder::new(word).into_owned()) }
    }

    /// The word.
    pub(crate) fn word(&self) -> &str {
        &self.word
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}
impl Eq for Keyword {}
impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.word.hash(state);
    }
}
impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> Ordering {
        self.word.cmp(&other.word)
    }
}

impl TextTest {
    /// Roughly how much work it is.
    pub(super) fn cost(&self) -> u32 {
        match self {
            TextTest::Equal(_) | TextTest::StartsWith(_) | TextTest::EndsWith(_) | TextTest::Order(..) => 1,
            TextTest::OneOf(_) => 3,
            TextTest::Contains(_) => 20,
            TextTest::Matches(_) => 100,
        }
    }

    /// Whether it holds for a text that is not null. Allocates only for the lower case of a text that has capitals.
    pub(super) fn holds(&self, text: &[u8], lower: bool) -> bool {
        if !lower || !has_capitals(text) {
            return self.holds_as_is(text);
        }
        let mut lowered = String::with_capacity(text.len());
        lower_into(std::str::from_utf8(text).unwrap_or_default(), &mut lowered);
        self.holds_as_is(lowered.as_bytes())
    }

    fn holds_as_is(&self, text: &[u8]) -> bool {
        match self {
            TextTest::Equal(known) => text == known.as_bytes(),
            TextTest::OneOf(known) => known.binary_search_by(|known| known.as_bytes().cmp(text)).is_ok(),
            TextTest::StartsWith(start) => text.starts_with(start.as_bytes()),
            TextTest::EndsWith(end) => text.ends_with(end.as_bytes()),
            TextTest::Order(order, known) => {
                let ordering = text.cmp(known.as_bytes());
                match order {
                    Order::Less => ordering.is_lt(),
                    Order::LessEqual => ordering.is_le(),
                    Order::Greater => ordering.is_gt(),
                    Order::GreaterEqual => ordering.is_ge(),
                }
            }
            TextTest::Contains(keyword) => keyword.finder.find(text).is_some(),
            TextTest::Matches(pattern) => pattern.is_match(text),
        }
    }
}

/// Whether lower case may differ from the text.
pub(crate) fn has_capitals(text: &[u8]) -> bool {
    text.iter().any(|b| b.is_ascii_uppercase() || !b.is_ascii())
}

/// Appends `text` in lower case, character by character (no rule looks at neighbours).
pub(crate) fn lower_into(text: &str, out: &mut String) {
    out.extend(text.chars().flat_map(char::to_lowercase));
}
