//! The sender's life with a database that refuses, and after a sender that ended badly.

use std::sync::{Arc, Mutex};

use super::*;
use crate::notifier::Notify;

/// Says "sent" and remembers; breaks the database meanwhile if it is given one.
#[derive(Clone, Default)]
struct Double {
    seen: Arc<Mutex<Vec<(String, bool)>>>,
    breaks: Option<OutboxHandle>,
}

impl Notify for Double {
    async fn send(&self, attempt: &Attempt, _now_ms: i64) -> Outcome {
        if let Some(outbox) = &self.breaks {
            outbox.break_for_test(true);
        }
        self.seen.lock().expect("no panic").push((attempt.delivery_id.clone(), attempt.possible_repeat));
        sent()
    }
}

fn target() -> Target {
    routes()[0].target.clone()
}

/// Half a second passes with each look.
fn clock() -> Clock {
    let now_ms = std::sync::atomic::AtomicI64::new(1_000);
    Arc::new(move || now_ms.fetch_add(500, Ordering::Relaxed))
}

async fn until(done: impl Fn() -> bool) {
    tokio::time::timeout(std::time::Duration::from_secs(240), async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("happens within minutes");
}

#[tokio::test]
async fn an_outcome_the_disk_refuses_is_recorded_later_and_not_sent_again() {
    let scratch = Scratch::new();
    let outbox = OutboxHandle::new(open(&scratch));
    outbox.enqueue(&[fired("a")], 1_000).expect("takes");
    let double = Double { breaks: Some(outbox.clone()), ..Double::default() };
    let seen = Arc::clone(&double.seen);
    let state = |word| {
        outbox.list(&Filter { state: Some(word), limit: 9, ..Filter::default() }).expect("answers").len()
    };
    let story = async {
        until(|| outbox.counts().storage_error.is_some()).await;
        assert_eq!(state(DeliveryState::Sending), 1);
        outbox.break_for_test(false);
        until(|| state(DeliveryState::Sent) == 1).await;
    };
    run_receiver(target(), double, outbox.clone(), clock(), story).await;
    assert_eq!(seen.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn a_sender_takes_up_what_the_one_before_left() {
    let scratch = Scratch::new();
    let outbox = OutboxHandle::new(open(&scratch));
    outbox.enqueue(&[fired("a")], 1_000).expect("takes");
    let Ok(Next::Send(left)) = outbox.next(MAIL, 1_000).await else { panic!("something is due") };
    let double = Double::default();
    let seen = Arc::clone(&double.seen);
    let all_seen = until(|| !seen.lock().expect("no panic").is_empty());
    run_receiver(target(), double.clone(), outbox.clone(), clock(), all_seen).await;
    assert_eq!(*seen.lock().expect("no panic"), [(left.delivery_id.clone(), true)]);
}

#[tokio::test]
async fn transitions_kept_in_memory_go_out_when_the_disk_is_back() {
    let scratch = Scratch::new();
    let outbox = OutboxHandle::new(open(&scratch));
    outbox.break_for_test(true);
    assert!(outbox.enqueue(&[fired("a")], 1_000).is_err());
    let double = Double::default();
    let seen = Arc::clone(&double.seen);
    let story = async {
        until(|| outbox.counts().storage_errors_total >= 2).await;
        outbox.break_for_test(false);
        until(|| !seen.lock().expect("no panic").is_empty()).await;
    };
    run_receiver(target(), double.clone(), outbox.clone(), clock(), story).await;
    assert!(!outbox.has_unwritten());
}
