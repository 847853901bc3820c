//! Random lives of an outbox, with kills, against what was promised of deliveries.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Fire(u8),
    Resolve(u8),
    Send(u8),
    Kill,
    Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u8).prop_map(Step::Fire),
        3 => (0..4_u8).prop_map(Step::Resolve),
        8 => (0..5_u8).prop_map(Step::Send),
        1 => Just(Step::Kill),
        4 => (0..400_000_u32).prop_map(Step::Pass),
    ]
}

fn outcome(of: u8) -> Option<Outcome> {
    let detail = String::new();
    match of {
        0 | 1 => Some(sent()),
        2 => Some(failed()),
        3 => Some(Outcome::Uncertain { reason: FailReason::Other, detail }),
        _ => None,
    }
}

/// What the receiver and the model saw of one delivery.
#[derive(Debug, Default)]
struct Seen {
    arrived: u32,
    uncertain: u32,
    done: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Every delivery ends; it is sent at most once more than it had uncertain outcomes, always under one id;
    /// firing is over before resolved begins.
    #[test]
    fn deliveries_keep_their_promises(steps in prop::collection::vec(step(), 1..60)) {
        let scratch = Scratch::new();
        let mut outbox = open(&scratch);
        let mut now_ms = 0_i64;
        let mut seen: BTreeMap<(String, Status), Seen> = BTreeMap::new();
        // At the end everything is sent (at most eight deliveries wait): none may be left behind.
        let drain = (0..9).flat_map(|_| [Step::Pass(400_000), Step::Send(0)]);
        for step in steps.into_iter().chain(drain) {
            match step {
                Step::Fire(n) => enqueue(&mut outbox, &mut seen, &fired(&n.to_string()), now_ms),
                Step::Resolve(n) => {
                    enqueue(&mut outbox, &mut seen, &fired(&n.to_string()), now_ms);
                    enqueue(&mut outbox, &mut seen, &resolved(&n.to_string()), now_ms);
                }
                Step::Pass(ms) => now_ms += i64::from(ms),
                Step::Kill => { drop(outbox); outbox = open(&scratch); }
                Step::Send(of) => {
                    let Some(due) = outbox.due(now_ms, MAIL).expect("answers").into_iter().next() else { continue };
                    if due.status == Status::Resolved {
                        prop_assert!(seen[&(due.alert_id.clone(), Status::Firing)].done, "resolved before firing");
                    }
                    let attempt = outbox.begin_attempt(&due.id, now_ms).expect("begins");
                    let seen = seen.get_mut(&(due.alert_id.clone(), due.status)).expect("was enqueued");
                    prop_assert_eq!(&attempt.delivery_id, &delivery_id(&due.alert_id, due.status, MAIL));
                    prop_assert_eq!(attempt.possible_repeat, seen.uncertain > 0);
                    prop_assert!(!seen.done, "sent again after it was done");
                    let Some(outcome) = outcome(of) else {
                        // The process dies with the message on its way.
                        (seen.arrived, seen.uncertain) = (seen.arrived + 1, seen.uncertain + 1);
                        drop(outbox);
                        outbox = open(&scratch);
                        continue;
                    };
                    let state = outbox.finish_attempt(&attempt, &outcome, now_ms).expect("finishes");
                    seen.arrived += u32::from(matches!(outcome, Outcome::Sent { .. }) || outcome.is_uncertain());
                    seen.uncertain += u32::from(outcome.is_uncertain());
                    seen.done = matches!(state, DeliveryState::Sent | DeliveryState::Dead);
                }
            }
        }
        for (delivery, seen) in &seen {
            prop_assert!(seen.done, "{delivery:?} never ended: {seen:?}");
            prop_assert!(seen.arrived <= 1 + seen.uncertain, "{delivery:?}: {seen:?}");
        }
        prop_assert_eq!(outbox.counts()[0].queue_length, 0);
    }
}

fn enqueue(
    outbox: &mut Outbox,
    seen: &mut BTreeMap<(String, Status), Seen>,
    transition: &Transition,
    now_ms: i64,
) {
    outbox.enqueue(std::slice::from_ref(transition), now_ms).expect("takes");
    let status = if transition.change == Change::Fired { Status::Firing } else { Status::Resolved };
    seen.entry((transition.alert.id.clone(), status)).or_default();
}
