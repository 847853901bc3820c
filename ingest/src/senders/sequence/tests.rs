//! Gaps: what is missing, against sets of numbers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn gaps(sequence: &Sequence) -> Vec<(u64, u64, bool)> {
    sequence.gaps().map(|gap| (gap.from, gap.to, gap.missing)).collect()
}

fn noted(numbers: impl IntoIterator<Item = u64>) -> Sequence {
    let mut sequence = Sequence::default();
    numbers.into_iter().for_each(|seq| sequence.note(seq, true, 0));
    sequence
}

#[test]
fn a_gap_is_missing_when_its_time_is_over_and_taken_back_when_it_comes_after_all() {
    let mut sequence = noted([0, 1, 2, 6, 7, 4]);
    assert_eq!(gaps(&sequence), [(5, 5, false), (3, 3, false)]);
    assert_eq!((sequence.expire(FILL_MS - 1), sequence.missing), (0, 0));
    sequence.note(5, true, FILL_MS - 1);
    assert_eq!((sequence.expire(FILL_MS), sequence.missing), (1, 1));
    assert_eq!(gaps(&sequence), [(3, 3, true)]);
    sequence.note(3, true, FILL_MS * 2);
    assert_eq!((sequence.missing, sequence.filled, gaps(&sequence)), (1, 1, vec![]));
}

#[test]
fn a_sender_that_begins_anew_misses_nothing_and_its_old_lines_still_belong_to_the_old_numbers() {
    // 1000 is the first that was heard; 998 and 999 were overtaken by it. The old numbering ends behind the new one.
    let sequence = noted([1000, 998, 999, 1001, 1003, 0, 1, 1002, 2, 1004, 3]);
    assert_eq!((gaps(&sequence), sequence.restarts), (vec![], 1));
    // The first lines of the new numbering are overtaken, or lost.
    assert_eq!(gaps(&noted([70_000, 70_001, 3, 4, 0, 1])), [(2, 2, false)]);
    // Without ids only 0 says so: a lower number is a line sent again.
    let mut sequence = noted([7, 8, 9]);
    sequence.note(5, false, FILL_MS);
    sequence.note(8, false, FILL_MS);
    assert_eq!((gaps(&sequence), sequence.restarts), (vec![], 0));
    sequence.note(0, false, FILL_MS);
    assert_eq!((gaps(&sequence), sequence.restarts), (vec![], 1));
}

#[test]
fn two_actions_of_one_sender_number_apart() {
    let mixed = (0..500).flat_map(|n| [2_000_000 + n, 50_000 + n, 60_000 + n / 2 * 2]);
    let sequence = noted([2_000_000].into_iter().chain(mixed));
    assert!(sequence.gaps().all(|gap| gap.count() <= 1), "{:?}", gaps(&sequence));
}

#[test]
fn numbers_of_many_senders_behind_one_name_are_not_judged() {
    let hosts = (0..1_000_u64).map(|n| 100_000 * (20 - n % 20) + n / 20);
    let mut sequence = noted(hosts);
    assert!(sequence.mixed(1) && !sequence.mixed(MIXED_MS));
    sequence.expire(FILL_MS);
    assert_eq!((sequence.missing, gaps(&sequence)), (0, vec![]));
}

#[test]
fn gaps_are_bounded() {
    let mut sequence = noted((0..3 * GAPS_MAX as u64).map(|n| n * 2));
    assert_eq!(gaps(&sequence).len(), GAPS_MAX);
    sequence.expire(FILL_MS);
    assert_eq!(sequence.missing, 3 * GAPS_MAX as u64 - 1);
}

/// Numbers of one start of a sender: how many it sent, which were lost, in what order they came.
fn start(lines: std::ops::Range<u64>) -> impl Strategy<Value = Vec<u64>> {
    let sent = lines.prop_flat_map(|lines| {
        (Just(lines), proptest::collection::vec((0..50_u64, any::<bool>()), lines as usize))
    });
    sent.prop_map(|(lines, fates)| {
        // The last one shows that the others are missing.
        let lost = |n: u64| fates[n as usize].0 < 3 && n + 1 < lines;
        // Some take the slower of two connections, which lags by up to 50 lines.
        let mut came: Vec<(u64, u64)> = (0..lines)
            .filter(|n| !lost(*n))
            .map(|n| (if fates[n as usize].1 { n + 50 } else { n }, n))
            .collect();
        came.sort_unstable();
        came.into_iter().map(|(_, n)| n).collect()
    })
}

/// How many numbers at or above `floor` did not come, below the greatest that did.
fn lost(came: &[u64], floor: u64) -> u64 {
    let set: BTreeSet<u64> = came.iter().copied().collect();
    set.last().map_or(0, |last| last + 1 - floor) - set.len() as u64
}

proptest! {
    #[test]
    fn missing_is_what_sets_say(
        first in start(400..500),
        starts in (start(300..400), start(150..300), start(60..150)),
        from in 10_000..100_000_u64,
        pause_ms in 0..FILL_MS / 4,
        repeats in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
    ) {
        let mut sequence = Sequence::default();
        let first: Vec<u64> = first.iter().map(|n| n + from).collect();
        let mut expected = lost(&first, *first.iter().min().unwrap());
        let mut now_ms = 0;
        for came in [&starts.0, &starts.1, &starts.2] {
            expected += lost(came, 0);
        }
        for came in [&first, &starts.0, &starts.1, &starts.2] {
            for (at, seq) in came.iter().enumerate() {
                sequence.note(*seq, true, now_ms);
                if at == came.len() / 2 {
                    now_ms += pause_ms;
                    sequence.expire(now_ms);
                }
            }
            // What the old numbering misses is known before the new one begins.
            now_ms += FILL_MS;
            sequence.expire(now_ms);
            // Before the first restart: lines without an id are sent again.
            let first = sequence.restarts == 0;
            for repeat in repeats.iter().filter(|_| first) {
                sequence.note(*repeat.get(came), false, now_ms);
            }
        }
        prop_assert_eq!(sequence.missing - sequence.filled, expected);
        let listed: u64 = sequence.gaps().map(Gap::count).sum();
        prop_assert_eq!(listed, expected);
        prop_assert_eq!(sequence.restarts, 3);
    }
}
