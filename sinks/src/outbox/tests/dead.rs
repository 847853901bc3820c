//! What may have arrived, what was given up, what is sent again.

use super::*;

fn uncertain() -> Outcome {
    Outcome::Uncertain { reason: FailReason::Other, detail: "cut after the dot".to_owned() }
}

fn refused() -> Outcome {
    Outcome::Dead { reason: FailReason::ClientError, detail: "550 no".to_owned() }
}

fn open_with(scratch: &Scratch, on_uncertain: OnUncertain) -> Outbox {
    let routes = routes().into_iter().map(|route| Route { on_uncertain, ..route }).collect();
    Outbox::open(&scratch.path("outbox.db"), config(), routes).expect("opens")
}

fn severe(id: &str, severity: &str) -> Transition {
    let mut alert = alert(id);
    alert.labels.insert("severity".to_owned(), severity.to_owned());
    transition(Change::Fired, alert)
}

fn state(outbox: &Outbox, alert_id: &str, target: &str) -> (DeliveryState, String) {
    let filter = Filter { alert_id: Some(alert_id.to_owned()), limit: 9, ..Filter::default() };
    let all = outbox.list(&filter).expect("answers");
    let one = all.iter().find(|d| d.target == target && d.status == Status::Firing).expect("was enqueued");
    (one.state, one.last_error.clone().unwrap_or_default())
}

#[test]
fn what_may_have_arrived_is_sent_again_or_held_as_the_receiver_says() {
    use DeliveryState::{Dead, Uncertain};
    let table = [
        (OnUncertain::Resend, "critical", Uncertain),
        (OnUncertain::Resend, "info", Uncertain),
        (OnUncertain::Hold, "critical", Dead),
        (OnUncertain::ResendCritical, "critical", Uncertain),
        (OnUncertain::ResendCritical, "Page", Uncertain),
        (OnUncertain::ResendCritical, "warning", Dead),
    ];
    for (policy, severity, expected) in table {
        let name = format!("{policy:?} {severity}");
        // No word came back; and the process died meanwhile.
        for killed in [false, true] {
            let scratch = Scratch::new();
            let mut outbox = open_with(&scratch, policy);
            outbox.enqueue(&[severe("a", severity)], 0).expect("takes");
            if killed {
                let id = outbox.due(0, MAIL).expect("answers")[0].id.clone();
                outbox.begin_attempt(&id, 0).expect("begins");
                drop(outbox);
                outbox = open_with(&scratch, policy);
            } else {
                assert_eq!(attempt(&mut outbox, 0, MAIL, &uncertain()).1, expected, "{name}");
            }
            let (found, why) = state(&outbox, "a", MAIL);
            assert_eq!(found, expected, "{name}, killed: {killed}");
            assert_eq!(why.starts_with("held: it may have arrived"), expected == Dead, "{name}: {why}");
            let counts = &outbox.counts()[0];
            let dead = u64::from(expected == Dead);
            assert_eq!(
                (counts.dead_length, counts.queue_length),
                (dead, 1 - dead),
                "{name}, killed: {killed}"
            );
            if expected == Dead {
                let id = delivery_id("a", Status::Firing, MAIL);
                outbox.resend(&id, 10).expect("a person decides");
                let again = outbox.begin_attempt(&id, 10).expect("begins");
                assert!(again.possible_repeat, "{name}: and the reader is warned");
            }
        }
    }
}

#[test]
fn held_news_hold_nothing_else_up() {
    let scratch = Scratch::new();
    let mut outbox = open_with(&scratch, OnUncertain::Hold);
    outbox.enqueue(&[fired("a"), resolved("a")], 0).expect("takes");
    attempt(&mut outbox, 0, MAIL, &uncertain());
    assert_eq!(due_ids(&outbox, 0, MAIL), [("a".to_owned(), Status::Resolved)]);
}

#[test]
fn the_end_is_told_though_the_beginning_is_dead_and_then_the_beginning_stays_untold() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[fired("a"), resolved("a")], 0).expect("takes");
    attempt(&mut outbox, 0, MAIL, &refused());
    let firing = delivery_id("a", Status::Firing, MAIL);
    // Resent before the end is told: the firing first, whatever the end waits for.
    outbox.resend(&firing, 1).expect("the end is not told yet");
    assert_eq!(due_ids(&outbox, 1, MAIL), [("a".to_owned(), Status::Firing)]);
    attempt(&mut outbox, 1, MAIL, &refused());
    let (told, state) = attempt(&mut outbox, 1, MAIL, &sent());
    assert_eq!((told.notification.status, state), (Status::Resolved, DeliveryState::Sent));
    let words = outbox.resend(&firing, 2).expect_err("too late").to_string();
    assert!(words.contains("has been told RESOLVED"), "{words}");
    assert_eq!(outbox.resend_dead(None, 2).expect("answers"), 0);
    assert_eq!(outbox.dead_count(None).expect("answers"), 1);
}

#[test]
fn firing_news_that_come_after_the_end_was_told_are_dead_at_once() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[resolved("a")], 0).expect("takes");
    attempt(&mut outbox, 0, MAIL, &sent());
    // As a replay after a restart finds them when memory had no room for the firing and the disk was full.
    outbox.enqueue(&[fired("a"), resolved("a")], 1).expect("takes");
    let (found, why) = state(&outbox, "a", MAIL);
    assert!(found == DeliveryState::Dead && why.contains("told RESOLVED before"), "{found:?} {why}");
    assert_eq!(due_ids(&outbox, 1, HOOK), [("a".to_owned(), Status::Firing)], "it hears no ends");
}

#[test]
fn all_the_dead_of_one_receiver_or_of_all_are_sent_again_once() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    careless(&outbox);
    let news: Vec<_> = (0..1_203).map(|n| fired(&format!("a{n}"))).collect();
    outbox.enqueue(&news, 0).expect("takes");
    for target in [MAIL, HOOK] {
        while !due_ids(&outbox, 0, target).is_empty() {
            attempt(&mut outbox, 0, target, &refused());
        }
    }
    let deads =
        |outbox: &Outbox| outbox.counts().iter().map(|c| (c.dead_length, c.queue_length)).collect::<Vec<_>>();
    assert_eq!(deads(&outbox), [(1_203, 0), (1_203, 0)]);
    assert_eq!(outbox.resend_dead(Some("nobody"), 5).expect("answers"), 0);
    let mut steps = Vec::new();
    while let some @ 1.. = outbox.resend_dead(Some("duty"), 5).expect("answers") {
        steps.push(some);
    }
    assert_eq!(steps, [500, 500, 500, 500, 406]);
    assert_eq!(deads(&outbox), [(0, 1_203), (0, 1_203)]);
    let (again, _) = attempt(&mut outbox, 5, MAIL, &sent());
    assert_eq!((again.number, again.delivery_id.contains("-firing-")), (2, true));
}

#[test]
fn only_the_dead_are_sent_again_and_only_where_somebody_listens() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[fired("a")], 0).expect("takes");
    let id = delivery_id("a", Status::Firing, MAIL);
    let words = |outbox: &mut Outbox, id: &str| outbox.resend(id, 1).expect_err("refuses").to_string();
    assert!(words(&mut outbox, &id).ends_with("is not dead; only the dead are sent again"));
    assert!(words(&mut outbox, "x' OR 1=1 --").ends_with("there is no such delivery"));
    drop(outbox);
    let only_hook = routes().into_iter().skip(1).collect();
    let mut outbox = Outbox::open(&scratch.path("outbox.db"), config(), only_hook).expect("opens");
    assert!(words(&mut outbox, &id).ends_with("is for an integration that is no longer configured"));
    assert_eq!(outbox.resend_dead(None, 1).expect("answers"), 0);
}

#[test]
fn attempts_are_listed_with_what_they_came_to() {
    let scratch = Scratch::new();
    let mut outbox = open(&scratch);
    outbox.enqueue(&[fired("a")], 0).expect("takes");
    attempt(&mut outbox, 0, MAIL, &uncertain());
    let id = delivery_id("a", Status::Firing, MAIL);
    outbox.begin_attempt(&id, 7).expect("begins");
    let attempts = outbox.attempts(&id).expect("answers");
    let shown: Vec<_> =
        attempts.iter().map(|a| (a.number, a.started_ms, a.ended_ms, a.outcome.as_deref())).collect();
    assert_eq!(shown, [(1, 0, Some(0), Some("uncertain")), (2, 7, None, None)]);
    assert_eq!(attempts[0].detail.as_deref(), Some("cut after the dot"));
    let listed = outbox.list(&Filter { limit: 1, ..Filter::default() }).expect("answers");
    assert_eq!(listed[0].title, "ChannelNetworkDown GHT: 12 network errors in a row");
}
