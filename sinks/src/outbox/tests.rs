//! The outbox without a network: what is stored, in which order it goes out, what a crash leaves.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rules::Change;

use super::*;
use crate::notification::tests::{alert, ended, transition};
use crate::notification::{Notification, Status};

/// A folder that goes away with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("watchroom-sinks-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

const MAIL: &str = "duty/email[0]";
const HOOK: &str = "duty/webhook[0]";

fn routes() -> Vec<Route> {
    let target = |integration| Target { receiver: "duty".to_owned(), integration, index: 0 };
    let on_uncertain = OnUncertain::Resend;
    vec![
        Route { target: target(IntegrationKind::Email), send_resolved: true, on_uncertain },
        Route { target: target(IntegrationKind::Webhook), send_resolved: false, on_uncertain },
    ]
}

/// Without the reserve, which costs each test 32 MiB of writing.
fn config() -> OutboxConfig {
    OutboxConfig { reserve_bytes: 0, ..OutboxConfig::default() }
}

fn open(scratch: &Scratch) -> Outbox {
    Outbox::open(&scratch.path("outbox.db"), config(), routes()).expect("opens")
}

/// Does not wait for the disk: for tests that are not about it.
fn careless(outbox: &Outbox) {
    outbox.connection.pragma_update(None, "synchronous", "OFF").expect("a pragma");
}

fn fired(id: &str) -> Transition {
    transition(Change::Fired, alert(id))
}

fn resolved(id: &str) -> Transition {
    transition(Change::Resolved, ended(alert(id)))
}

use rules::Transition;

fn sent() -> Outcome {
    Outcome::Sent { detail: "250 ok".to_owned() }
}

fn failed() -> Outcome {
    Outcome::retry(FailReason::ServerError, "451 later")
}

fn due_ids(outbox: &Outbox, now_ms: i64, target: &str) -> Vec<(String, Status)> {
    outbox.due(now_ms, target).expect("answers").into_iter().map(|d| (d.alert_id, d.status)).collect()
}

fn attempt(outbox: &mut Outbox, now_ms: i64, target: &str, outcome: &Outcome) -> (Attempt, DeliveryState) {
    let id = outbox.due(now_ms, target).expect("answers").first().expect("something is due").id.clone();
    let attempt = outbox.begin_attempt(&id, now_ms).expect("begins");
    let state = outbox.finish_attempt(&attempt, outcome, now_ms).expect("finishes");
    (attempt, state)
}

#[test]
fn enqueued_twice_is_enqueued_once_also_after_a_restart() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    let news = [fired("a"), transition(Change::Updated, alert("a")), fired("b"), resolved("a")];
    assert_eq!(outbox.enqueue(&news, 10).expect("takes"), 5);
    assert_eq!(outbox.enqueue(&news, 11).expect("takes"), 0);
    drop(outbox);
    let mut outbox = open(&scratch);
    assert_eq!(outbox.enqueue(&news, 12).expect("takes"), 0);
    let waiting: Vec<_> = outbox.counts().iter().map(|c| (c.target.to_string(), c.queue_length)).collect();
    assert_eq!(waiting, [(MAIL.to_owned(), 3), (HOOK.to_owned(), 2)]);
}

#[test]
fn resolved_waits_for_firing_to_be_sent_or_dead() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[resolved("a"), fired("a")], 0).expect("takes");
    assert_eq!(due_ids(&outbox, 0, MAIL), [("a".to_owned(), Status::Firing)]);
    let id = outbox.due(0, MAIL).expect("answers")[0].id.clone();
    let first = outbox.begin_attempt(&id, 0).expect("begins");
    assert_eq!(due_ids(&outbox, 0, MAIL), [], "under way");
    assert_eq!(outbox.finish_attempt(&first, &failed(), 0).expect("finishes"), DeliveryState::Retry);
    let next_ms = outbox.next_due(MAIL).expect("answers").expect("waits");
    assert!((1..=1_000).contains(&next_ms), "{next_ms}");
    assert_eq!(due_ids(&outbox, next_ms - 1, MAIL), []);
    let gone = Outcome::Dead { reason: FailReason::ClientError, detail: "550 no".to_owned() };
    assert_eq!(attempt(&mut outbox, next_ms, MAIL, &gone).1, DeliveryState::Dead);
    assert_eq!(due_ids(&outbox, next_ms, MAIL), [("a".to_owned(), Status::Resolved)]);
    assert_eq!(attempt(&mut outbox, next_ms, MAIL, &sent()).1, DeliveryState::Sent);
    assert_eq!(outbox.next_due(MAIL).expect("answers"), None);
}

#[test]
fn a_kill_during_an_attempt_leaves_it_uncertain_and_the_repeat_has_the_same_id() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[fired("a")], 100).expect("takes");
    let id = outbox.due(100, MAIL).expect("answers")[0].id.clone();
    let first = outbox.begin_attempt(&id, 100).expect("begins");
    assert!(!first.possible_repeat);
    drop(outbox);
    let mut outbox = open(&scratch);
    let listed = outbox.list(&Filter { delivery_id: Some(id.clone()), limit: 1, ..Filter::default() });
    assert_eq!(listed.expect("answers")[0].state, DeliveryState::Uncertain);
    let second = outbox.begin_attempt(&id, 200).expect("begins");
    assert_eq!((second.delivery_id.as_str(), second.number, second.possible_repeat), (id.as_str(), 2, true));
    assert_eq!((second.created_ms, &second.notification), (first.created_ms, &first.notification));
    outbox.finish_attempt(&second, &sent(), 201).expect("finishes");
    drop(outbox);
    assert_eq!(due_ids(&open(&scratch), i64::MAX, MAIL), []);
}

#[test]
fn given_up_after_a_day_and_sent_again_by_hand_under_the_same_id() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    careless(&outbox);
    outbox.enqueue(&[fired("a")], 0).expect("takes");
    let (mut now_ms, mut tries, mut ids) = (0, 0, std::collections::BTreeSet::new());
    let state = loop {
        let (attempt, state) = attempt(&mut outbox, now_ms, MAIL, &failed());
        (tries, _) = (tries + 1, ids.insert(attempt.delivery_id));
        match outbox.next_due(MAIL).expect("answers") {
            Some(next_ms) => now_ms = next_ms,
            None => break state,
        }
    };
    assert_eq!((state, ids.len()), (DeliveryState::Dead, 1));
    assert!((500..680).contains(&tries), "{tries} tries of 0 to 5 minutes");
    assert!((86_000_000..=86_400_000).contains(&now_ms), "{now_ms} ms");
    let id = ids.into_iter().next().expect("one");
    outbox.resend(&id, now_ms + 5).expect("dead ones can be sent again");
    let (again, state) = attempt(&mut outbox, now_ms + 5, MAIL, &sent());
    assert_eq!((again.delivery_id, state), (id.clone(), DeliveryState::Sent));
    assert!(matches!(outbox.resend(&id, now_ms), Err(OutboxError::State { .. })), "sent ones cannot");
}

#[test]
fn integrations_that_are_gone_leave_dead_deliveries() {
    let scratch = Scratch::new();
    open(&scratch).enqueue(&[fired("a")], 0).expect("takes");
    let only_hook = routes().into_iter().skip(1).collect();
    let outbox = Outbox::open(&scratch.path("outbox.db"), config(), only_hook).expect("opens");
    let dead = outbox.list(&Filter { state: Some(DeliveryState::Dead), limit: 9, ..Filter::default() });
    let dead = dead.expect("answers");
    assert_eq!(dead.iter().map(|d| d.target.as_str()).collect::<Vec<_>>(), [MAIL]);
    assert_eq!(dead[0].last_error.as_deref(), Some("this integration is no longer configured"));
    assert_eq!(due_ids(&outbox, 0, HOOK).len(), 1);
}

#[test]
fn a_full_queue_is_bounded_listed_and_counted() {
    let scratch = Scratch::new();
    let config = OutboxConfig { max_queued: 2, ..config() };
    let mut outbox = Outbox::open(&scratch.path("outbox.db"), config, routes()).expect("opens");
    let news: Vec<_> = (0..5).map(|n| fired(&format!("a{n}"))).collect();
    outbox.enqueue(&news, 0).expect("takes");
    let counts = &outbox.counts()[0];
    assert_eq!((counts.queue_length, counts.overflow_total, counts.dead_total), (2, 3, 3));
    assert_eq!(due_ids(&outbox, 0, MAIL).len(), 2);
}

#[test]
fn finished_deliveries_are_forgotten_after_the_retention_and_only_they() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[fired("a")], 0).expect("takes");
    attempt(&mut outbox, 0, MAIL, &sent());
    let later_ms = OutboxConfig::default().retention_ms + 1;
    assert_eq!(outbox.prune(later_ms - 1).expect("prunes"), 0);
    assert_eq!(outbox.prune(later_ms).expect("prunes"), 1);
    assert_eq!(due_ids(&outbox, later_ms, HOOK).len(), 1, "what waits stays");
    attempt(&mut outbox, later_ms, HOOK, &sent());
    assert_eq!(outbox.prune(later_ms * 2).expect("prunes"), 1);
    let rows: i64 =
        outbox.connection.query_row("SELECT count(*) FROM alert", [], |r| r.get(0)).expect("answers");
    assert_eq!(rows, 0);
}

#[test]
fn a_body_that_cannot_be_read_does_not_block_the_others() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[fired("a"), fired("b")], 0).expect("takes");
    outbox.connection.execute("UPDATE alert SET body = '{' WHERE alert_id = 'a'", []).expect("damages");
    let first = outbox.due(0, MAIL).expect("answers")[0].id.clone();
    assert!(matches!(outbox.begin_attempt(&first, 0), Err(OutboxError::Body { .. })));
    assert_eq!(due_ids(&outbox, 0, MAIL), [("b".to_owned(), Status::Firing)]);
}

#[test]
fn a_newer_file_is_refused() {
    let scratch = Scratch::new();
    open(&scratch).connection.execute("UPDATE schema_version SET version = 99", []).expect("changes");
    let refused = Outbox::open(&scratch.path("outbox.db"), config(), routes()).expect_err("refuses");
    assert!(refused.to_string().contains("schema 99"), "{refused}");
}

#[test]
fn settings_are_as_durable_as_promised_and_due_uses_its_index() {
    let scratch = Scratch::new();
    let outbox = open(&scratch);
    let pragma = |name: &str| -> String {
        let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        outbox.connection.query_row(&sql, [], |r| r.get(0)).expect("answers")
    };
    assert_eq!((pragma("journal_mode").as_str(), pragma("synchronous").as_str()), ("wal", "2"));
    let plan: String = outbox
        .connection
        .query_row(
            "EXPLAIN QUERY PLAN SELECT 1 FROM delivery d WHERE d.target = 'x' AND d.state IN \
             ('pending', 'retry', 'uncertain') AND d.next_ms <= 5 ORDER BY d.next_ms",
            [],
            |r| r.get(3),
        )
        .expect("answers");
    assert!(plan.contains("delivery_waiting"), "{plan}");
}

#[test]
fn a_clock_set_back_silences_nobody() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[fired("a")], 10_000_000).expect("takes");
    attempt(&mut outbox, 10_000_000, MAIL, &failed());
    assert_eq!(due_ids(&outbox, 10_000_000, MAIL), [], "waits its part of a second");
    assert_eq!(due_ids(&outbox, 10_000_000 - 3_600_000, MAIL).len(), 1, "an hour back");
}

mod dead;
mod model;
mod receivers;
mod runner;
mod storage;

#[test]
fn what_nobody_follows_ends_once() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[fired("on"), fired("over"), fired("lost"), resolved("over")], 5).unwrap();
    let forgotten = Forgotten { why: "its rule was removed", ends_ms: 0, lsn: 9 };
    assert_eq!(outbox.end_forgotten(|id| id == "on", forgotten, 7).unwrap().len(), 1);
    let resolved: Vec<String> = outbox
        .list(&Filter { limit: 100, ..Filter::default() })
        .unwrap()
        .into_iter()
        .filter(|delivery| delivery.status == Status::Resolved && delivery.created_ms == 7)
        .map(|delivery| delivery.alert_id)
        .collect();
    assert!(!resolved.is_empty() && resolved.iter().all(|id| id == "lost"), "{resolved:?}");
    let body: String = outbox
        .connection
        .query_row("SELECT body FROM alert WHERE alert_id = 'lost' AND status = 'resolved'", [], |row| {
            row.get(0)
        })
        .unwrap();
    let told: Notification = serde_json::from_str(&body).unwrap();
    assert_eq!((told.gate.as_str(), told.ends_ms), ("its rule was removed", Some(told.starts_ms)));
    assert!(outbox.end_forgotten(|id| id == "on", forgotten, 8).unwrap().is_empty(), "once");
}
