//! Receivers that fail, with time passed in: who is left alone, who is not, and who is told when.

use std::collections::BTreeMap;

use super::*;
use crate::outbox::{BreakerState, Next, OutboxHandle};

/// One integration's behaviour: what an attempt at an instant comes to and how long it takes.
type Behaviour = Box<dyn Fn(i64) -> (Outcome, i64)>;

/// An attempt under way: when it ends and what it will have come to.
type UnderWay = (i64, Attempt, Outcome);

/// A day in which each integration's sender does what the runner does, on one clock that jumps from event to event.
struct Day {
    handle: OutboxHandle,
    runtime: tokio::runtime::Runtime,
    now_ms: i64,
    /// Per target: its behaviour, and the attempt under way with its end.
    senders: Vec<(&'static str, Behaviour, Option<UnderWay>)>,
    /// Arrivals per target: alert and instant.
    arrived: BTreeMap<&'static str, Vec<(String, Status, i64)>>,
    attempts: BTreeMap<&'static str, u32>,
}

impl Day {
    fn new(scratch: &Scratch, senders: Vec<(&'static str, Behaviour)>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("starts");
        let senders = senders.into_iter().map(|(target, behaviour)| (target, behaviour, None)).collect();
        let outbox = open(scratch);
        careless(&outbox);
        let handle = OutboxHandle::new(outbox);
        Self { handle, runtime, now_ms: 0, senders, arrived: BTreeMap::new(), attempts: BTreeMap::new() }
    }

    /// Lets senders work until `until_ms`; nothing else happens meanwhile.
    fn run(&mut self, until_ms: i64) {
        loop {
            let mut soonest_ms = until_ms;
            for (target, behaviour, under_way) in &mut self.senders {
                if let Some((ends_ms, attempt, outcome)) =
                    under_way.take_if(|(ends_ms, ..)| *ends_ms <= self.now_ms)
                {
                    let finished = self.handle.finish(&attempt, &outcome, ends_ms);
                    self.runtime.block_on(finished).expect("records");
                    if matches!(outcome, Outcome::Sent { .. }) {
                        let news =
                            (attempt.notification.alert_id.clone(), attempt.notification.status, ends_ms);
                        self.arrived.entry(target).or_default().push(news);
                    }
                }
                if under_way.is_none() {
                    match self.runtime.block_on(self.handle.next(target, self.now_ms)).expect("answers") {
                        Next::Send(attempt) => {
                            let (outcome, takes_ms) = behaviour(self.now_ms);
                            *self.attempts.entry(target).or_default() += 1;
                            *under_way = Some((self.now_ms + takes_ms.max(1), *attempt, outcome));
                        }
                        Next::Wait(Some(due_ms)) => soonest_ms = soonest_ms.min(due_ms.max(self.now_ms + 1)),
                        Next::Wait(None) => {}
                    }
                }
                if let Some((ends_ms, ..)) = under_way {
                    soonest_ms = soonest_ms.min(*ends_ms);
                }
            }
            if self.now_ms >= until_ms {
                return;
            }
            // The runner looks again after a minute at the latest.
            self.now_ms = soonest_ms.min(self.now_ms + 60_000).max(self.now_ms);
        }
    }

    fn waiting(&self, target: &str) -> (u64, u64, BreakerState) {
        let counts = self.handle.counts();
        let of = counts.targets.iter().find(|c| c.target.to_string() == target).expect("is configured");
        (of.queue_length, of.dead_length, of.breaker)
    }
}

fn unreachable() -> (Outcome, i64) {
    (Outcome::retry(FailReason::Other, "connection refused"), 1)
}

fn silent(takes_ms: i64) -> (Outcome, i64) {
    let detail = "no answer".to_owned();
    (Outcome::Uncertain { reason: FailReason::ContextDeadlineExceeded, detail }, takes_ms)
}

#[test]
fn a_receiver_that_never_answers_for_an_hour_costs_the_others_nothing() {
    let scratch = Scratch::new();
    let hung: Behaviour = Box::new(|_| silent(10_000));
    let live: Behaviour = Box::new(|_| (sent(), 40));
    let mut day = Day::new(&scratch, vec![(MAIL, hung), (HOOK, live)]);
    for minute in 0..60 {
        day.handle.enqueue(&[fired(&format!("a{minute}"))], day.now_ms).expect("takes");
        let enqueued_ms = day.now_ms;
        day.run((minute + 1) * 60_000);
        let (id, _, at_ms) = day.arrived[HOOK].last().expect("arrived").clone();
        assert_eq!((id, at_ms - enqueued_ms), (format!("a{minute}"), 40), "as if it were alone");
    }
    let (waiting, dead, breaker) = day.waiting(MAIL);
    assert_eq!((waiting, dead), (60, 0), "nothing is given up");
    assert_ne!(breaker, BreakerState::Closed);
    // Each may have arrived once or a few times more; not on every probe.
    let attempts = day.attempts[MAIL];
    assert!((20..=120).contains(&attempts), "{attempts} attempts in an hour");
}

#[test]
fn a_receiver_that_is_dead_for_a_day_is_left_alone_and_what_waited_is_dead_with_its_reason() {
    let scratch = Scratch::new();
    let gone: Behaviour = Box::new(|_| unreachable());
    let live: Behaviour = Box::new(|_| (sent(), 40));
    let mut day = Day::new(&scratch, vec![(MAIL, gone), (HOOK, live)]);
    for hour in 0..25 {
        day.handle.enqueue(&[fired(&format!("a{hour}"))], day.now_ms).expect("takes");
        day.run((hour + 1) * 3_600_000);
    }
    assert!(day.arrived[HOOK].iter().enumerate().all(|(n, (_, _, at))| *at == n as i64 * 3_600_000 + 40));
    let (waiting, dead, _) = day.waiting(MAIL);
    assert_eq!(
        (waiting, dead),
        (24, 1),
        "the first has waited for 24 hours, the second for 24 less a moment"
    );
    let dead = day.handle.list(&Filter { state: Some(DeliveryState::Dead), limit: 9, ..Filter::default() });
    let why = dead.expect("answers")[0].last_error.clone().expect("a reason");
    assert!(why.contains("age limit") && why.contains("connection refused"), "{why}");
    let attempts = day.attempts[MAIL];
    assert!((1_000..1_600).contains(&attempts), "{attempts} attempts: one a minute, not one per delivery");
    day.handle.resend(&delivery_id("a0", Status::Firing, MAIL), day.now_ms).expect("can be sent again");
}

#[test]
fn what_waited_arrives_within_a_minute_after_the_receiver_is_back_in_order() {
    let scratch = Scratch::new();
    const BACK_MS: i64 = 7_200_000;
    let mail: Behaviour = Box::new(|now_ms| if now_ms < BACK_MS { unreachable() } else { (sent(), 100) });
    let mut day = Day::new(&scratch, vec![(MAIL, mail)]);
    for n in 0..40 {
        let news = [fired(&format!("a{n:02}")), resolved(&format!("a{n:02}"))];
        day.handle.enqueue(&news, day.now_ms).expect("takes");
        day.run((n + 1) * 180_000);
    }
    assert_eq!(day.waiting(MAIL).0, 80);
    day.run(BACK_MS + 70_000);
    assert_eq!(day.waiting(MAIL), (0, 0, BreakerState::Closed));
    let arrived = &day.arrived[MAIL];
    assert_eq!(arrived.len(), 80, "each once");
    let first_ms = arrived[0].2 - BACK_MS;
    assert!(first_ms <= 60_100, "{first_ms} ms after it was back");
    let at =
        |id: &str, status| arrived.iter().position(|(a, s, _)| a == id && *s == status).expect("arrived");
    for n in 0..40 {
        let id = format!("a{n:02}");
        assert!(at(&id, Status::Firing) < at(&id, Status::Resolved), "{id}");
    }
}

#[test]
fn an_open_breaker_uses_up_no_attempts_and_the_first_answer_frees_all() {
    let scratch = Scratch::new();
    let handle = OutboxHandle::new(open(&scratch));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("starts");
    let news: Vec<_> = (0..20).map(|n| fired(&format!("a{n:02}"))).collect();
    handle.enqueue(&news, 0).expect("takes");
    let next = |now_ms| runtime.block_on(handle.next(MAIL, now_ms)).expect("answers");
    let finish = |attempt: &Attempt, outcome: &Outcome, now_ms| {
        runtime.block_on(handle.finish(attempt, outcome, now_ms)).expect("records")
    };
    for _ in 0..5 {
        let Next::Send(attempt) = next(0) else { panic!("closed: the next is sent") };
        finish(&attempt, &failed(), 0);
    }
    for now_ms in [0, 1, 4_999] {
        assert!(matches!(next(now_ms), Next::Wait(Some(5_000))));
    }
    let counts = &handle.counts().targets[0];
    assert_eq!((counts.breaker, counts.breaker_until_ms), (BreakerState::Open, Some(5_000)));
    assert_eq!((counts.attempts_total, counts.queue_length, counts.breaker_opened_total), (5, 20, 1));
    let Next::Send(probe) = next(5_000) else { panic!("one probe") };
    assert!(matches!(next(5_001), Next::Wait(None)), "and no other while it is under way");
    assert_eq!(handle.counts().targets[0].breaker, BreakerState::HalfOpen);
    finish(&probe, &sent(), 5_002);
    for _ in 0..19 {
        let Next::Send(attempt) = next(5_002) else { panic!("all are due, whatever their backoff was") };
        finish(&attempt, &sent(), 5_002);
    }
    assert!(matches!(next(5_002), Next::Wait(None)));
}
