//! The breaker against a naive one that keeps its whole history and reads the definition off it.

use proptest::prelude::*;

use super::*;

fn fail(breaker: &mut Breaker, at_ms: i64) {
    breaker.began();
    assert!(!breaker.ended(at_ms, at_ms, false));
}

#[test]
fn five_failures_in_a_row_open_it_and_the_waits_double_up_to_a_minute() {
    let mut breaker = Breaker::new(BreakerConfig::default());
    for n in 0..4 {
        fail(&mut breaker, n * 1_000);
        assert_eq!(breaker.permit(n * 1_000), Permit::Send);
    }
    fail(&mut breaker, 4_000);
    let mut now_ms = 4_000;
    for wait_ms in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000] {
        assert_eq!(breaker.permit(now_ms), Permit::Wait(now_ms + wait_ms));
        assert_eq!(breaker.permit(now_ms + wait_ms - 1), Permit::Wait(now_ms + wait_ms));
        now_ms += wait_ms;
        assert_eq!((breaker.permit(now_ms), breaker.state()), (Permit::Probe, BreakerState::Open));
        breaker.began();
        assert_eq!((breaker.permit(now_ms), breaker.state()), (Permit::Probing, BreakerState::HalfOpen));
        assert!(!breaker.ended(now_ms, now_ms, false));
    }
    breaker.began();
    assert!(breaker.ended(now_ms, now_ms, true), "an answer closes it");
    assert_eq!((breaker.permit(now_ms), breaker.opened_total()), (Permit::Send, 1));
    fail(&mut breaker, now_ms);
    assert_eq!(breaker.permit(now_ms), Permit::Send, "and the count begins anew");
}

#[test]
fn failures_far_apart_or_with_an_answer_between_do_not_open_it() {
    let mut breaker = Breaker::new(BreakerConfig::default());
    for n in 0..40 {
        fail(&mut breaker, n * 7_501);
        assert_eq!(breaker.permit(n * 7_501), Permit::Send, "four lie within 30 s");
    }
    let mut breaker = Breaker::new(BreakerConfig::default());
    for n in 0..40 {
        breaker.began();
        breaker.ended(n, n, n % 5 == 4);
        assert_eq!(breaker.permit(n), Permit::Send);
    }
}

#[test]
fn a_receiver_that_never_answers_opens_it_however_long_each_attempt_took() {
    let mut breaker = Breaker::new(BreakerConfig::default());
    for n in 0..5 {
        assert_eq!(breaker.permit(n * 600_000), Permit::Send);
        breaker.began();
        breaker.ended(n * 600_000, (n + 1) * 600_000, false);
    }
    assert_eq!(breaker.permit(3_000_000), Permit::Wait(3_005_000));
}

#[test]
fn a_clock_set_back_and_a_sender_that_ended_leave_nobody_waiting() {
    let mut breaker = Breaker::new(BreakerConfig::default());
    for _ in 0..5 {
        fail(&mut breaker, 10_000_000);
    }
    assert_eq!(breaker.permit(10_000_001), Permit::Wait(10_005_000));
    assert_eq!(breaker.permit(0), Permit::Probe);
    breaker.began();
    breaker.abandoned(7);
    assert_eq!(breaker.permit(7), Permit::Probe);
}

/// One attempt as it happened.
#[derive(Debug, Clone, Copy)]
struct Tried {
    started_ms: i64,
    ended_ms: i64,
    answered: bool,
}

/// The definition, read off the whole history: `None` is closed, else until when to wait.
fn naive(config: &BreakerConfig, history: &[Tried]) -> Option<i64> {
    let since_answer = history.iter().rposition(|t| t.answered).map_or(0, |at| at + 1);
    let gap = |n: usize| if n == 0 { 0 } else { (history[n].started_ms - history[n - 1].ended_ms).max(0) };
    let run = &history[since_answer..];
    let opened_at = (0..run.len()).find(|&last| {
        let first = (last + 1).checked_sub(config.failures);
        first.is_some_and(|first| {
            let idle_ms: i64 = (first + 1..=last).map(|n| gap(since_answer + n)).sum();
            idle_ms <= config.within_ms
        })
    })?;
    let failed_probes = run.len() - 1 - opened_at;
    let wait_ms = (config.wait_min_ms << failed_probes.min(30)).min(config.wait_max_ms);
    Some(run.last()?.ended_ms + wait_ms)
}

proptest! {
    /// Whoever asks often or seldom, however long attempts take: the same answers as by the definition, and never
    /// two probes at once.
    #[test]
    fn as_the_definition_says(steps in prop::collection::vec(
        (0..90_000_i64, prop_oneof![Just(0), 0..40_000_i64], prop::bool::weighted(0.2)), 0..80)
    ) {
        let config = BreakerConfig::default();
        let mut breaker = Breaker::new(config);
        let mut history: Vec<Tried> = Vec::new();
        let mut now_ms = 0;
        for (pause_ms, takes_ms, answered) in steps {
            now_ms += pause_ms / 3;
            let expected = match naive(&config, &history) {
                None => Permit::Send,
                Some(until_ms) if now_ms < until_ms => Permit::Wait(until_ms),
                Some(_) => Permit::Probe,
            };
            prop_assert_eq!(breaker.permit(now_ms), expected);
            if matches!(expected, Permit::Wait(_)) {
                continue;
            }
            let was_closed = expected == Permit::Send;
            breaker.began();
            if !was_closed {
                prop_assert_eq!(breaker.permit(now_ms), Permit::Probing);
            }
            let started_ms = now_ms;
            now_ms += takes_ms;
            prop_assert_eq!(breaker.ended(started_ms, now_ms, answered), answered && !was_closed);
            history.push(Tried { started_ms, ended_ms: now_ms, answered });
            prop_assert!(breaker.failures.len() < config.failures);
        }
        prop_assert_eq!(breaker.state() == BreakerState::Closed, naive(&config, &history).is_none());
    }
}
