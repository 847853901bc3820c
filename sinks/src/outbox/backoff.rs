//! When a failed delivery is tried again: doubling waits with full jitter, the same on every run.
//!
//! Refuses to know: clocks and random numbers.

use record::InstantMs;

use super::delivery::fnv1a;
use super::{OutboxConfig, Outcome};

/// The instant of the next attempt: after anything up to `backoff_min_ms` doubled with each attempt and capped (full
/// jitter: what failed together does not come back together), or after the pause the receiver asked for if that is
/// longer (capped too, so that no receiver can silence itself for good).
pub(super) fn next_ms(
    config: &OutboxConfig,
    delivery_id: &str,
    number: u32,
    outcome: &Outcome,
    now_ms: InstantMs,
) -> InstantMs {
    let asked_ms = match outcome {
        Outcome::Sent { .. } | Outcome::Dead { .. } => return now_ms,
        Outcome::Retry { after_ms, .. } => after_ms.unwrap_or(0),
        Outcome::Uncertain { .. } => 0,
    };
    let doublings = number.saturating_sub(1).min(40);
    let whole_ms =
        config.backoff_min_ms.max(1).saturating_mul(1 << doublings).min(config.backoff_max_ms.max(1));
    let seed = spread(fnv1a(format!("{delivery_id} {number}").as_bytes()));
    let jitter_ms = 1 + (seed % whole_ms.unsigned_abs()).cast_signed();
    now_ms.saturating_add(jitter_ms.max(asked_ms.min(config.backoff_max_ms)))
}

/// Every bit of the answer depends on every bit of the hash (the finaliser of SplitMix64): FNV's last characters
/// hardly reach its high bits.
fn spread(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::FailReason;
    use super::*;

    fn wait_ms(id: &str, number: u32, after_ms: Option<i64>) -> i64 {
        let outcome = Outcome::Retry { reason: FailReason::Other, detail: String::new(), after_ms };
        next_ms(&OutboxConfig::default(), id, number, &outcome, 1_000_000) - 1_000_000
    }

    #[test]
    fn the_whole_doubles_from_one_second_to_five_minutes_and_the_jitter_fills_it_evenly() {
        for (number, whole_ms) in
            [(1, 1_000), (2, 2_000), (5, 16_000), (9, 256_000), (10, 300_000), (99, 300_000)]
        {
            let mut tenths = [0_u32; 10];
            for id in 0..2_000 {
                let wait = wait_ms(&format!("5f3a{id:04}-firing-00"), number, None);
                assert!((1..=whole_ms).contains(&wait), "attempt {number} of {id}: {wait} ms");
                tenths[usize::try_from((wait - 1) * 10 / whole_ms).expect("a tenth")] += 1;
            }
            // 200 each if it is even; 6 standard deviations are 80.
            assert!(tenths.iter().all(|n| (120..=280).contains(n)), "attempt {number}: {tenths:?}");
        }
        assert_eq!(wait_ms("a", 3, None), wait_ms("a", 3, None));
    }

    #[test]
    fn the_waits_of_one_delivery_are_spread_too() {
        let mean = (10..1_010).map(|n| wait_ms("5f3a-firing-00", n, None)).sum::<i64>() / 1_000;
        assert!((135_000..165_000).contains(&mean), "{mean} ms on average of 0 to 300 s");
    }

    #[test]
    fn a_pause_asked_for_is_kept_up_to_the_cap() {
        assert_eq!(wait_ms("a", 1, Some(20_000)), 20_000);
        assert_eq!(wait_ms("a", 1, Some(3_600_000)), 300_000);
        assert!(wait_ms("a", 1, Some(-5)) >= 1);
    }
}
