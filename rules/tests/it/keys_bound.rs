//! The bound on keys: which key goes is told by a naive model; what is pending or firing stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use rules::{Change, Engine};

use crate::streams::START;
use crate::support::{journal, part};

/// A line of a merchant.
fn line(at: i64, merchant: &str) -> String {
    let time = chrono::DateTime::from_timestamp_millis(START + at + 8 * 3_600_000).expect("a time of 2016");
    let mut columns = vec![String::new(); 66];
    columns[0] = time.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    columns[11] = merchant.to_owned();
    columns.join("||")
}

/// What the model knows of a key.
#[derive(Debug, Default)]
struct Key {
    matches: Vec<i64>,
    /// Number of the entry at which it matched, or its alert ended.
    active: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_least_recently_active_key_without_an_alert_goes(
        steps in prop::collection::vec((prop_oneof![3 => Just(0i64), 3 => 1..900i64, 1 => 900..4_000i64], 0..9usize), 1..80),
        (count, within, keep) in (1..4usize, 1..6i64, prop_oneof![Just(0i64), Just(1_500)]),
        most in 1..5usize,
    ) {
        let rule = format!(
            "      - {{alert: A, kind: frequency, by: [merchant_no], count: {count}, within: {within}s, lateness: 0s, keep_firing_for: {keep}ms}}\n"
        );
        let (rules, formats) = crate::snapshots::load(&rule);
        let mut at = 0;
        let records: Vec<(i64, String)> = steps.iter().map(|(pause, key)| { at += pause; (at, format!("M{key}")) }).collect();
        let whole = journal(&formats, records.iter().map(|(at, key)| (Some(line(*at, key)), None)));
        let mut engine = Engine::with_keys_max(rules, Arc::clone(&formats), most);
        let mut known: BTreeMap<String, Key> = BTreeMap::new();
        let mut on: BTreeSet<String> = BTreeSet::new();
        let mut dropped = 0;
        for (i, (at, key)) in records.iter().enumerate() {
            let mut out = Vec::new();
            engine.judge(&part(&whole, i, i + 1), &mut out);
            // Nothing is left of keys whose window is empty and whose alert is over.
            let second = at.div_euclid(1_000);
            for told in &out {
                let key = told.alert.labels["merchant_no"].clone();
                match told.change {
                    Change::Fired => drop(on.insert(key)),
                    Change::Resolved => {
                        known.entry(key.clone()).or_default().active = i;
                        on.remove(&key);
                    }
                    _ => {}
                }
            }
            known.retain(|key, held| {
                on.contains(key) || held.matches.last().is_some_and(|last| second <= last.div_euclid(1_000) + within)
            });
            let held = known.entry(key.clone()).or_default();
            held.matches.push(*at);
            held.active = i;
            let in_window = held.matches.iter().filter(|m| m.div_euclid(1_000) > second - within).count();
            let view = engine.keys(0, 1_000).expect("a rule");
            let there: BTreeSet<String> = view.keys.iter().map(|view| view.labels["merchant_no"].clone()).collect();
            prop_assert!(on.iter().all(|key| there.contains(key)), "{:?} {:?}", on, there);
            prop_assert!(there.len() <= most.max(on.len()), "{:?} {:?}", on, there);
            let gone: Vec<String> = known.keys().filter(|key| !there.contains(*key)).cloned().collect();
            prop_assert!(there.iter().all(|key| known.contains_key(key)), "{:?} {:?}", known, there);
            dropped += gone.len() as u64;
            prop_assert_eq!(engine.counts().rules[0].keys_dropped, dropped);
            prop_assert!(gone.is_empty() || there.len() >= most, "{:?}", there);
            let stays = there.iter().filter(|key| !on.contains(*key)).map(|key| known[key].active).min();
            for key in &gone {
                prop_assert!(stays.is_none_or(|stays| known[key].active <= stays), "{} {:?} {:?}", key, known, there);
            }
            // What stayed fires just when it has enough.
            if there.contains(key) {
                prop_assert!(in_window < count || on.contains(key), "{} {:?} {:?}", key, known, on);
            }
            known.retain(|key, _| there.contains(key));
        }
    }
}
