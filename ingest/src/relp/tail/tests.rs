//! The matcher against a naive model.

use proptest::prelude::*;

use super::*;

/// The definition: try each place of the tail.
fn naive(tail: &[u64], head: &[u64]) -> Likeness {
    let repeats =
        (0..=tail.len().min(head.len())).rev().find(|n| tail[tail.len() - n..] == head[..*n]).unwrap_or(0);
    let within = tail.windows(head.len().max(1)).position(|lines| lines == head);
    let open = head.is_empty() || within.is_some_and(|at| at + head.len() < tail.len());
    Likeness { repeats, open }
}

fn tail(lines: &[u64]) -> Tail {
    let mut tail = Tail::default();
    tail.extend(lines.iter().copied());
    tail
}

proptest! {
    #[test]
    fn compares_as_defined(
        lines in prop::collection::vec(0_u64..3, 0..24),
        head in prop::collection::vec(0_u64..3, 0..24),
    ) {
        prop_assert_eq!(tail(&lines).compare(&head), naive(&lines, &head));
    }

    #[test]
    fn a_replay_is_recognised_wherever_it_was_cut(
        lines in prop::collection::vec(0_u64..1000, 1..60),
        more in prop::collection::vec(1000_u64..2000, 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let from = cut.index(lines.len());
        let head: Vec<u64> = lines[from..].iter().chain(&more).copied().collect();
        let likeness = tail(&lines).compare(&head);
        prop_assert!(likeness.repeats >= lines.len() - from, "{likeness:?}");
        prop_assert!(likeness.repeats <= lines.len());
        // Lines that came but once are found exactly.
        let mut sorted = lines.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() == lines.len() {
            prop_assert_eq!(likeness.repeats, lines.len() - from);
        }
    }
}

#[test]
fn a_tail_is_bounded() {
    let mut long = Tail::default();
    long.extend(0..10_000);
    assert_eq!(long.lines().len(), TAIL_LINES);
    assert_eq!(long.lines().last(), Some(9_999));
}

#[test]
fn a_head_that_leaves_the_tail_before_its_end_is_new() {
    let likeness = tail(&[1, 2, 3, 4]).compare(&[2, 3, 9]);
    assert_eq!(likeness, Likeness { repeats: 0, open: false });
}

#[test]
fn the_hash_never_changes() {
    assert_eq!(line_hash(b""), 0xef46_db37_51d8_e999);
    assert_eq!(line_hash(b"order 1"), line_hash(b"order 1"));
}
