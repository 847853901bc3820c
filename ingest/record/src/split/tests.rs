//! The splitter against its plain statement.

use proptest::prelude::*;

use super::*;
use crate::grammar::fields;

fn parts<'a>(line: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let mut spans = vec![Span::default()];
    split(line, delimiter, 1_000, &mut spans);
    spans[1..].iter().map(|s| &line[s.start as usize - 1_000..s.end as usize - 1_000]).collect()
}

#[test]
fn delimiters_are_found_leftmost_first() {
    assert_eq!(parts(b"a|||b", b"||"), [&b"a"[..], b"|b"]);
    assert_eq!(parts(b"||||", b"||"), [&b""[..], b"", b""]);
    assert_eq!(parts(b"", b"||"), [b""]);
    assert_eq!(parts(b"|", b"||"), [b"|"]);
    assert_eq!(parts(b"a,b", b","), [b"a", b"b"]);
    assert_eq!(parts(b"a,b", b""), [b"a,b"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn it_splits_as_the_grammar_says(
        line in prop::collection::vec(prop::sample::select(&b"||||ab,;"[..]), 0..300),
        delimiter in prop::sample::select(&["||", "|", ",", ";;", "|a", "|||", "ab|"][..]),
    ) {
        prop_assert_eq!(parts(&line, delimiter.as_bytes()), fields(&line, delimiter.as_bytes()));
    }

    #[test]
    fn sparse_lines_too(
        gaps in prop::collection::vec((0..70_usize, 1..5_usize), 0..20),
    ) {
        let line: Vec<u8> =
            gaps.iter().flat_map(|(text, pipes)| ["x".repeat(*text), "|".repeat(*pipes)].concat().into_bytes()).collect();
        prop_assert_eq!(parts(&line, b"||"), fields(&line, b"||"));
    }
}
