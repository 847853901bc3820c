//! Outbox, senders and receivers together: retries, kills, a dead receiver beside a living one.

use std::sync::{Arc, Mutex};

use sinks::notifier::{Integration, Notify};
use sinks::outbox::{
    Attempt, DeliveryState, FailReason, Filter, IntegrationKind, OutboxHandle, Outcome, Route, Target,
    run_receiver,
};
use sinks::receivers::OnUncertain;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::conformance::{mail, webhook};
use super::hook::{Hook, Reply};
use super::smtp::{Kind, PLAIN, Server};
use super::{AMPLE_MS, START_MS, Scratch, clock, fired, open, receivers, resolved, soon};

/// Runs integrations until it is dropped (a kill) or stopped.
struct Senders {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Senders {
    fn start(integrations: Vec<Integration>, outbox: &OutboxHandle) -> Self {
        let (stop, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for integration in integrations {
            let mut stopped = stop.subscribe();
            let shutdown = async move {
                let _stopped = stopped.wait_for(|stop| *stop).await;
            };
            tasks.spawn(integration.run(outbox.clone(), clock(), shutdown));
        }
        Self { tasks, stop }
    }

    async fn stop(mut self) {
        let _told = self.stop.send(true);
        soon(async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

/// Waits until every delivery is sent or dead; answers them, oldest first.
async fn settled(outbox: &OutboxHandle) -> Vec<(String, DeliveryState, u32)> {
    let all = Filter { limit: 100, ..Filter::default() };
    let done = |state| matches!(state, DeliveryState::Sent | DeliveryState::Dead);
    soon(async {
        loop {
            let mut list = outbox.list(&all).expect("answers");
            if list.iter().all(|d| done(d.state)) {
                list.reverse();
                return list.into_iter().map(|d| (d.target, d.state, d.attempts)).collect();
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await
}

#[tokio::test]
async fn retries_carry_the_same_key_until_the_receiver_has_it() {
    let scratch = Scratch::new();
    let script =
        [Reply::Status(503, "", ""), Reply::Cut, Reply::Status(429, "", ""), Reply::Status(200, "", "")];
    let mut hook = Hook::start(&script).await;
    let integrations = receivers(&webhook(&scratch, &hook.url, AMPLE_MS));
    let outbox = open(&scratch.path("outbox.db"), &integrations);
    let senders = Senders::start(integrations, &outbox);
    outbox.enqueue(&[fired("a"), resolved("a")], START_MS).expect("takes");
    let mut requests = Vec::new();
    for _ in 0..5 {
        let request = hook.request().await;
        let key = request.header("idempotency-key").expect("a key").to_owned();
        requests.push((key, request.header("x-watchroom-possible-repeat").is_some()));
    }
    let firing = requests[0].0.clone();
    let repeats: Vec<_> = requests.iter().map(|(key, repeat)| (*key == firing, *repeat)).collect();
    assert_eq!(repeats, [(true, false), (true, false), (true, true), (true, true), (false, false)]);
    let states = settled(&outbox).await;
    assert_eq!(
        states.iter().map(|(_, s, n)| (*s, *n)).collect::<Vec<_>>(),
        [(DeliveryState::Sent, 4), (DeliveryState::Sent, 1)]
    );
    let counts = &outbox.counts().targets[0];
    assert_eq!(
        (counts.sent_total, counts.attempts_total, counts.uncertain_total, counts.queue_length),
        (2, 5, 1, 0)
    );
    assert_eq!(counts.failed_total, [0, 1, 0, 1, 0, 0, 1], "serverError, rateLimited, other");
    assert_eq!(counts.latency.buckets.iter().sum::<u64>(), 5);
    senders.stop().await;
}

#[tokio::test]
async fn a_hung_mail_server_delays_no_webhook() {
    let scratch = Scratch::new();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = silent.local_addr().expect("is bound").port();
    let mut hook = Hook::start(&[Reply::Status(200, "", "")]).await;
    let hooks = webhook(&scratch, &hook.url, AMPLE_MS).replace("name: duty", "name: hooks");
    let yaml = format!("{}{hooks}", mail(&scratch, port, PLAIN, "")).replace("][", ", ");
    let integrations = receivers(&yaml);
    let outbox = open(&scratch.path("outbox.db"), &integrations);
    let senders = Senders::start(integrations, &outbox);
    outbox.enqueue(&[fired("a")], START_MS).expect("takes");
    let (_held, _) = soon(silent.accept()).await.expect("the mail sender calls");
    hook.request().await;
    for n in 0..20 {
        outbox.enqueue(&[fired(&format!("b{n}"))], START_MS).expect("takes");
        hook.request().await;
    }
    // All came while the first mail was under way still.
    let mails = &outbox.counts().targets[0];
    assert_eq!((mails.attempts_total, mails.sent_total, mails.queue_length), (1, 0, 21));
    drop(senders);
}

#[tokio::test]
async fn a_kill_during_a_request_repeats_it_under_the_same_key() {
    let scratch = Scratch::new();
    let mut hook = Hook::start(&[Reply::Hang, Reply::Status(200, "", "")]).await;
    let yaml = webhook(&scratch, &hook.url, AMPLE_MS);
    let path = scratch.path("outbox.db");
    let outbox = open(&path, &receivers(&yaml));
    let senders = Senders::start(receivers(&yaml), &outbox);
    outbox.enqueue(&[fired("a")], START_MS).expect("takes");
    let first = hook.request().await;
    drop((senders, outbox));

    let outbox = open(&path, &receivers(&yaml));
    outbox.enqueue(&[fired("a")], START_MS).expect("a replay adds nothing");
    let senders = Senders::start(receivers(&yaml), &outbox);
    let second = hook.request().await;
    assert_eq!(first.header("idempotency-key"), second.header("idempotency-key"));
    assert_eq!(second.header("x-watchroom-possible-repeat"), Some("true"));
    assert_eq!(settled(&outbox).await, [("duty/webhook[0]".to_owned(), DeliveryState::Sent, 2)]);
    senders.stop().await;
    assert!(hook.seen().is_none());
}

#[tokio::test]
async fn a_link_cut_after_the_dot_repeats_the_mail_once_under_the_same_message_id() {
    let scratch = Scratch::new();
    let smtp = Server::start(&scratch, Kind { after_dot: "cut_once", ..PLAIN });
    let yaml = mail(&scratch, smtp.port, PLAIN, "");
    let outbox = open(&scratch.path("outbox.db"), &receivers(&yaml));
    let senders = Senders::start(receivers(&yaml), &outbox);
    outbox.enqueue(&[fired("a")], START_MS).expect("takes");
    let (first, second) = (smtp.mail().await, smtp.mail().await);
    assert_eq!(first.header("message-id"), second.header("message-id"));
    assert!(!first.text.contains("Possible repeat") && second.text.contains("Possible repeat"));
    assert_eq!(settled(&outbox).await, [("duty/email[0]".to_owned(), DeliveryState::Sent, 2)]);
    senders.stop().await;
    assert!(smtp.stop().is_empty(), "one uncertain outcome, one repeat");
}

/// Answers by script and remembers; `None` hangs.
#[derive(Clone, Default)]
struct Double {
    script: Arc<Mutex<Vec<Option<Outcome>>>>,
    seen: Arc<Mutex<Vec<Attempt>>>,
}

impl Notify for Double {
    async fn send(&self, attempt: &Attempt, _now_ms: i64) -> Outcome {
        self.seen.lock().expect("no panic").push(attempt.clone());
        let next = self.script.lock().expect("no panic").pop().flatten();
        match next {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a_stop_waits_a_little_and_leaves_the_rest_uncertain() {
    let scratch = Scratch::new();
    let target = Target { receiver: "duty".to_owned(), integration: IntegrationKind::Log, index: 0 };
    let routes =
        vec![Route { target: target.clone(), send_resolved: true, on_uncertain: OnUncertain::Resend }];
    let outbox =
        sinks::outbox::Outbox::open(&scratch.path("outbox.db"), super::hurried(), routes).expect("opens");
    let outbox = OutboxHandle::new(outbox);
    outbox.enqueue(&[fired("a")], START_MS).expect("takes");
    let double = Double::default();
    let (seen, stopping) = (Arc::clone(&double.seen), Arc::clone(&double.seen));
    let shutdown = async move {
        while stopping.lock().expect("no panic").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon(run_receiver(target, double, outbox.clone(), clock(), shutdown)).await;
    let listed = outbox.list(&Filter { limit: 1, ..Filter::default() }).expect("answers");
    assert_eq!((listed[0].state, listed[0].uncertain), (DeliveryState::Uncertain, 1));
    assert_eq!(seen.lock().expect("no panic").len(), 1);
    let reasons = outbox.counts().targets[0].failed_total;
    let canceled = FailReason::ALL.iter().position(|r| *r == FailReason::ContextCanceled).expect("is one");
    assert_eq!(reasons[canceled], 1);
}
