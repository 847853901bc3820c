//! Words of which a text must hold one for a pattern to match: by these a pattern is found among thousands.
//!
//! Refuses to know: records.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, HirKind};

/// Shorter words are in most texts.
const WORD_BYTES_MIN: usize = 3;
/// What is left of words that are too many.
const SHORTENED_BYTES: usize = 4;
/// More words than this (of a pattern that ignores case, say) are not worth their room.
const WORDS_MAX: usize = 64;

/// Words of which every text that the pattern matches holds at least one; `None` if none are known. `pattern` is one
/// that the regex crate compiles.
pub(super) fn needed_words(pattern: &str) -> Option<Vec<Box<str>>> {
    let hir = ParserBuilder::new().utf8(false).nest_limit(64).build().parse(pattern).ok()?;
    let mut best: Option<Vec<Box<str>>> = None;
    consider(&hir, &mut best);
    best
}

/// Keeps the better of `best` and what a part needs.
fn consider(part: &Hir, best: &mut Option<Vec<Box<str>>>) {
    for kind in [ExtractKind::Prefix, ExtractKind::Suffix] {
        let mut found = Extractor::new().kind(kind.clone()).extract(part);
        if found.len().is_some_and(|len| len > WORDS_MAX) {
            // Patterns that ignore case have a word for each way to write it: shorter ones are fewer.
            match kind {
                ExtractKind::Suffix => found.keep_last_bytes(SHORTENED_BYTES),
                _ => found.keep_first_bytes(SHORTENED_BYTES),
            }
            found.dedup();
        }
        let found = words(&found);
        if let Some(found) = found
            && best.as_ref().is_none_or(|best| worth(&found) > worth(best))
        {
            *best = Some(found);
        }
    }
    match part.kind() {
        // All of them must match.
        HirKind::Concat(parts) => parts.iter().for_each(|part| consider(part, best)),
        HirKind::Capture(capture) => consider(&capture.sub, best),
        HirKind::Repetition(repetition) if repetition.min > 0 => consider(&repetition.sub, best),
        _ => {}
    }
}

/// The longer the shortest word, the rarer.
fn worth(words: &[Box<str>]) -> (usize, std::cmp::Reverse<usize>) {
    (words.iter().map(|word| word.len()).min().unwrap_or_default(), std::cmp::Reverse(words.len()))
}

fn words(found: &Seq) -> Option<Vec<Box<str>>> {
    let literals = found.literals().filter(|literals| !literals.is_empty() && literals.len() <= WORDS_MAX)?;
    let mut words: Vec<Box<str>> = Vec::with_capacity(literals.len());
    for literal in literals {
        let word = std::str::from_utf8(literal.as_bytes()).ok()?;
        if word.len() < WORD_BYTES_MIN {
            return None;
        }
        words.push(word.into());
    }
    words.sort_unstable();
    words.dedup();
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_patterns_need() {
        let needs = |pattern| needed_words(pattern).map(|words| words.join(" "));
        assert_eq!(needs("time.?out after 17").as_deref(), Some("out after 17"));
        assert_eq!(needs("^(GHT1|UMP22)$").as_deref(), Some("GHT1 UMP22"));
        assert_eq!(needs(".*refused.*").as_deref(), Some("refused"));
        assert_eq!(needs("[0-9]+"), None);
        assert_eq!(needs("(abc)?"), None);
        assert_eq!(needs("abc|"), None);
        assert_eq!(needs("x{0,3}(refused)+"), Some("refused".to_owned()));
        assert!(needs("(?i)refused").is_some());
    }

    proptest! {
        #[test]
        fn no_text_matches_without_one_of_them(
            pattern in "(\\^)?([a-c]{1,4}|\\.\\*|\\(abc\\|cab\\)[?+*]?|\\[a-b\\]\\{2,3\\}|b\\?|\\(\\?i\\)){1,5}(\\$)?",
            texts in prop::collection::vec("[abcABC]{0,9}", 1..30),
        ) {
            let Ok(regex) = regex::bytes::Regex::new(&pattern) else { return Ok(()) };
            if let Some(words) = needed_words(&pattern) {
                for text in texts.iter().filter(|text| regex.is_match(text.as_bytes())) {
                    prop_assert!(words.iter().any(|word| text.contains(&**word)), "{text} for {pattern}: {words:?}");
                }
            }
        }
    }
}
