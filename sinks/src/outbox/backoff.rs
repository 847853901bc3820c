//! When a failed delivery is tried again: doubling waits with a jitter that is the same on every run.
//!
//! Refuses to know: clocks and random numbers.

use record::InstantMs;

use super::delivery::fnv1a;
use super::{OutboxConfig, Outcome};

/// The instant of the next attempt: after half to the whole of `backoff_min_ms` doubled with each attempt and capped,
/// or after the pause the receiver asked for if that is longer (capped too).
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
    let half_ms = whole_ms / 2;
    let seed = fnv1a(format!("{delivery_id} {number}").as_bytes());
    let jitter_ms = (seed % (whole_ms - half_ms + 1).unsigned_abs()).cast_signed();
    now_ms.saturating_add((half_ms + jitter_ms).max(asked_ms.min(config.backoff_max_ms)))
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
    fn doubles_from_one_second_to_five_minutes_within_half() {
        for (number, whole_ms) in
            [(1, 1_000), (2, 2_000), (5, 16_000), (9, 256_000), (10, 300_000), (99, 300_000)]
        {
            for id in ["a", "b", "c", "d", "e"] {
                let wait = wait_ms(id, number, None);
                assert!((whole_ms / 2..=whole_ms).contains(&wait), "attempt {number} of {id}: {wait} ms");
            }
        }
        assert_eq!(wait_ms("a", 3, None), wait_ms("a", 3, None));
        let spread: std::collections::BTreeSet<_> =
            (0..50).map(|n| wait_ms(&format!("d{n}"), 8, None)).collect();
        assert!(spread.len() > 45, "only {} different waits for 50 deliveries", spread.len());
    }

    #[test]
    fn a_pause_asked_for_is_kept_up_to_the_cap() {
        assert_eq!(wait_ms("a", 1, Some(20_000)), 20_000);
        assert_eq!(wait_ms("a", 1, Some(3_600_000)), 300_000);
        assert!(wait_ms("a", 1, Some(1)) >= 500);
    }
}
