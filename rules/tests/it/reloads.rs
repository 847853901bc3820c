//! An engine that is given other rules while it works: what did not change goes on to the last number.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use record::{FormatSet, InstantMs};
use rules::{Change, Engine, RuleSet, Transition};

use crate::snapshots::{Entry, batch, live, load, rules};
use crate::streams::Event;
use crate::support::part;

/// What becomes of each rule of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Changed,
    Removed,
}

/// The set after the change: in the opposite order, with a rule more.
fn changed(text: &str, fates: &[Fate]) -> String {
    let blocks = text.split("      - alert: ").skip(1).zip(fates);
    let mut shown: Vec<String> = blocks
        .filter(|(_, fate)| **fate != Fate::Removed)
        .map(|(block, fate)| match fate {
            Fate::Changed => format!("      - alert: {block}        labels: {{version: two}}\n"),
            _ => format!("      - alert: {block}"),
        })
        .collect();
    shown.reverse();
    format!("{}      - {{alert: New, kind: any, where: 'has(channel)'}}\n", shown.concat())
}

fn snapshot(engine: &Engine) -> Vec<u8> {
    let mut bytes = Vec::new();
    engine.snapshot(&mut bytes);
    bytes
}

fn name(transition: &Transition) -> String {
    transition.alert.labels["alertname"].clone()
}

fn of_rules(transitions: &[Transition], names: &BTreeSet<String>) -> Vec<Transition> {
    transitions.iter().filter(|transition| names.contains(&name(transition))).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Reloading is a snapshot, restored under the new rules, without the bytes; and rules that were kept say afterwards
    /// what they would have said.
    #[test]
    fn a_reload_is_a_restart_without_the_bytes(
        (text, entries) in rules().prop_flat_map(|(text, span)| (Just(text), live(span))),
        fates in prop::collection::vec(prop_oneof![2 => Just(Fate::Kept), 1 => Just(Fate::Changed), 1 => Just(Fate::Removed)], 4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (before, formats) = load(&text);
        let (after, _) = load(&changed(&text, &fates));
        let whole = batch(&formats, &entries);
        let (cut, end) = (cut.index(whole.rows.len() + 1), whole.rows.len());
        let mut engine = Engine::new(Arc::clone(&before), Arc::clone(&formats));
        let mut steady = Engine::new(before, Arc::clone(&formats));
        for engine in [&mut engine, &mut steady] {
            engine.judge(&part(&whole, 0, cut), &mut Vec::new());
        }
        let on_before = engine.alerts();
        let (restored, as_restored) = Engine::restore(Arc::clone(&after), Arc::clone(&formats), &snapshot(&engine)).expect("just written");
        let (mut ours, reloaded) = engine.reload(Arc::clone(&after));
        prop_assert_eq!(&reloaded.report.kept, &as_restored.kept);
        prop_assert_eq!(&reloaded.report.changed, &as_restored.changed);
        prop_assert_eq!(&reloaded.report.added, &as_restored.added);
        prop_assert_eq!(&reloaded.report.removed, &as_restored.removed);

        let kept: BTreeSet<String> = reloaded.report.kept.iter().map(ToString::to_string).collect();
        let mut theirs = restored;
        prop_assert_eq!(snapshot(&ours), snapshot(&theirs));
        prop_assert_eq!(ours.state_hash(), theirs.state_hash());
        prop_assert_eq!(ours.alerts(), theirs.alerts());
        // Every alert that was on goes on or has ended, and it is said once.
        let ended: Vec<String> = reloaded.transitions.iter().map(|t| t.alert.id.clone()).collect();
        let gone: Vec<String> = on_before.iter().filter(|a| !kept.contains(&a.labels["alertname"])).map(|a| a.id.clone()).collect();
        prop_assert_eq!(ended.iter().collect::<BTreeSet<_>>(), gone.iter().collect::<BTreeSet<_>>());
        prop_assert_eq!(ended.len(), gone.len());

        let (mut here, mut there, mut without) = (Vec::new(), Vec::new(), Vec::new());
        ours.judge(&part(&whole, cut, end), &mut here);
        theirs.judge(&part(&whole, cut, end), &mut there);
        steady.judge(&part(&whole, cut, end), &mut without);
        prop_assert_eq!(&here, &there);
        // The set was turned round, and with it the order of what one entry causes.
        let sorted = |told: &[Transition]| {
            let mut told = of_rules(told, &kept);
            told.sort_by_key(|t| (t.lsn, name(t)));
            // Rows of thresholds stand on other lines now.
            told.iter_mut().for_each(|t| Arc::make_mut(&mut t.alert).reason.threshold_row = None);
            told
        };
        prop_assert_eq!(sorted(&here), sorted(&without));
        prop_assert_eq!(snapshot(&ours), snapshot(&theirs));
    }

    #[test]
    fn the_same_rules_again_change_nothing(
        (text, entries) in rules().prop_flat_map(|(text, span)| (Just(text), live(span))),
        cut in any::<prop::sample::Index>(),
    ) {
        let (set, formats) = load(&text);
        let whole = batch(&formats, &entries);
        let mut engine = Engine::new(Arc::clone(&set), Arc::clone(&formats));
        engine.judge(&part(&whole, 0, cut.index(whole.rows.len() + 1)), &mut Vec::new());
        let bytes = snapshot(&engine);
        let (engine, reloaded) = engine.reload(load(&text).0);
        prop_assert_eq!(reloaded.transitions, Vec::new());
        prop_assert_eq!(snapshot(&engine), bytes);
    }
}

fn event(offset: InstantMs) -> Entry {
    let event = Event { offset, code: "NET_ERR", channel: "GHT", merchant: "M1" };
    Entry { recv_ms: Some(crate::streams::START + offset), event: Some(event) }
}

fn judged(rules: &str, offsets: &[InstantMs]) -> (Engine, Vec<Transition>, Arc<FormatSet>) {
    let (set, formats) = load(rules);
    let mut engine = Engine::new(set, Arc::clone(&formats));
    let mut out = Vec::new();
    let entries: Vec<Entry> = offsets.iter().map(|offset| event(*offset)).collect();
    engine.judge(&batch(&formats, &entries), &mut out);
    (engine, out, formats)
}

fn set(rules: &str) -> Arc<RuleSet> {
    load(rules).0
}

const ANY: &str =
    "      - {alert: A, kind: any, by: [channel], annotations: {summary: \"{count} on {channel}\"}}\n";
const SHORTER: &str = "      - {alert: A, kind: any, by: [channel], resolve_after: 1m}\n";

/// Judges one more match of the same instant as the first under each set in turn; ids of what fired.
fn fired_under(sets: &[&str]) -> Vec<String> {
    let (mut engine, out, formats) = judged(ANY, &[500]);
    let mut ids: Vec<String> = out.iter().map(|t| t.alert.id.clone()).collect();
    for (lsn, rules) in (2..).zip(sets) {
        engine = engine.reload(set(rules)).0;
        let mut again = batch(&formats, &[event(500)]);
        again.rows[0].lsn = lsn;
        let mut out = Vec::new();
        engine.judge(&again, &mut out);
        ids.extend(out.iter().filter(|t| t.change == Change::Fired).map(|t| t.alert.id.clone()));
    }
    ids
}

/// People were told that the first alert is over: an id used again would not reach them.
#[test]
fn the_alert_of_a_changed_rule_is_another_one_even_at_the_same_instant() {
    let ids = fired_under(&[SHORTER, ANY]);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{ids:?}");
    assert_eq!(fired_under(&[ANY, ANY]).len(), 1, "the same rule goes on");
}

#[test]
fn alerts_end_with_their_rules_and_it_is_said_why() {
    let (engine, out, _) = judged(ANY, &[500, 900]);
    assert_eq!(out[0].change, Change::Fired);
    let (engine, reloaded) = engine.reload(set(SHORTER));
    let [ended] = &reloaded.transitions[..] else { panic!("{:?}", reloaded.transitions) };
    assert_eq!((ended.change, ended.alert.reason.gate.as_str()), (Change::Resolved, "its rule was changed"));
    assert_eq!((ended.alert.ended_ms, &ended.alert.id), (Some(ended.alert.active_ms), &out[0].alert.id));
    assert!(engine.alerts().is_empty());

    let (engine, ..) = judged(ANY, &[500]);
    let (_, reloaded) = engine.reload(set("      - {alert: B, kind: any}\n"));
    assert_eq!(reloaded.transitions[0].alert.reason.gate, "its rule was removed");
    let (engine, ..) = judged("      - {alert: A, kind: any, for: 5s}\n", &[500]);
    let (_, reloaded) = engine.reload(set(SHORTER));
    assert_eq!(reloaded.transitions[0].change, Change::Dropped, "nobody was told of a pending one");
}

#[test]
fn new_words_reach_the_alerts_that_are_on() {
    let (engine, ..) = judged(ANY, &[500]);
    let (engine, reloaded) = engine.reload(set(&ANY.replace("{count} on", "look at")));
    let [updated] = &reloaded.transitions[..] else { panic!("{:?}", reloaded.transitions) };
    assert_eq!(
        (updated.change, updated.alert.annotations["summary"].as_str()),
        (Change::Updated, "look at GHT")
    );
    assert_eq!(engine.alerts()[0], updated.alert);
}
