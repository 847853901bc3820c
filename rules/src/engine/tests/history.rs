//! Where history starts, and that snapshots keep it.

use std::sync::Arc;

use proptest::prelude::*;
use record::{FormatSet, InstantMs};

use super::lines::{T0, batch, line, load};
use crate::{Engine, RuleSet};

/// Bucket of 1 s and lateness 5 s; bucket of 2 s; exact to the millisecond, lateness 1 s; another format.
const RULES: &str = "  - {alert: A, kind: any, where: 'response_code == \"none\"'}
  - {alert: B, kind: frequency, count: 9, within: 20m, lateness: 2s, by: [channel]}
  - {alert: C, kind: consecutive, count: 9, within: 1s, lateness: 1s}
  - {alert: D, kind: any, format: plain}
";

/// History starts after `T0`, by rule.
fn starts(engine: &Engine) -> Vec<Option<i64>> {
    engine.states.iter().map(|state| state.history.start().map(|at| at - T0)).collect()
}

type Entry = (Option<i64>, Option<InstantMs>);

/// Lines (event time after `T0`) and ticks, with receive times.
fn rows(formats: &Arc<FormatSet>, entries: &[Entry]) -> record::Batch {
    let of = |&(at, recv): &Entry| {
        let text = at.map_or(String::new(), |at| line(at, "", "x", "c"));
        (text, recv.map(|recv| T0 + recv))
    };
    batch(formats, &entries.iter().map(of).collect::<Vec<_>>())
}

fn judged(entries: &[Entry]) -> (Engine, Arc<RuleSet>, Arc<FormatSet>) {
    let (rules, formats) = load(RULES);
    let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
    engine.judge(&rows(&formats, entries), &mut Vec::new());
    (engine, rules, formats)
}

fn check(entries: &[Entry], expect: [Option<i64>; 4]) {
    assert_eq!(starts(&judged(entries).0), expect, "{entries:?}");
}

#[test]
fn history_starts_with_the_lowest_that_is_known_when_its_bucket_is_settled() {
    let file = |at| (Some(at), None);
    check(&[file(10_500)], [None; 4]);
    // the bucket of 10 ends at 11: settled at 16, at 14 (2 s: ends at 12) and at 12
    check(&[file(10_500), file(11_999)], [None; 4]);
    check(&[file(10_500), file(12_000)], [None, None, Some(10_500), None]);
    check(&[file(10_500), file(12_000), file(10_200)], [None, None, Some(10_500), None]);
    check(&[file(10_500), file(13_999), file(10_200)], [None, None, Some(10_500), None]);
    check(&[file(10_500), file(14_000), file(10_200)], [None, Some(10_500), Some(10_500), None]);
    let lower = [file(10_500), file(15_999), file(9_100), file(16_000)];
    check(&lower, [Some(9_100), Some(10_500), Some(10_500), None]);
    // later than its own bucket is settled it does not count
    check(&[file(10_500), file(16_000), file(9_100)], [Some(10_500), Some(10_500), Some(10_500), None]);
    // before every bucket that was settled: it is the lowest known, and its bucket is settled at once
    check(
        &[file(10_500), file(1_000), file(500), file(16_000)],
        [Some(1_000), Some(1_000), Some(1_000), None],
    );
}

#[test]
fn history_starts_with_time_where_nothing_came() {
    let tick = |recv| (None, Some(recv));
    check(&[tick(1_200), tick(2_200)], [None; 4]);
    // after 10 s the clock follows the ticks
    let idle: Vec<Entry> = (1..=16).map(|s| tick(s * 1_000 + 200)).collect();
    check(&idle, [Some(1_200); 4]);
    // a record that came first is the lowest; for another format it is the tick
    let mut after = vec![(Some(3_000), Some(1_100))];
    after.extend(&idle);
    check(&after, [Some(3_000), Some(3_000), Some(3_000), Some(1_200)]);
    // one that comes after the first tick, but is lower
    let mut lower = vec![tick(200), (Some(100), Some(300))];
    lower.extend(&idle);
    check(&lower, [Some(100), Some(100), Some(100), Some(200)]);
}

#[test]
fn a_rule_that_is_added_knows_nothing_of_what_was_before() {
    let (engine, _, formats) = judged(&[(Some(0), None), (Some(60_000), None)]);
    let mut bytes = Vec::new();
    engine.snapshot(&mut bytes);
    let changed = RULES.replace("by: [channel]", "by: [module]").replace("alert: C", "alert: E");
    let (rules, _) = load(&changed);
    let (mut engine, _) = Engine::restore(rules, Arc::clone(&formats), &bytes).unwrap();
    assert_eq!(starts(&engine), [Some(0), None, None, None]);
    let mut more = rows(&formats, &[(Some(55_000), None), (Some(61_000), None), (Some(70_000), None)]);
    more.rows.iter_mut().for_each(|row| row.lsn += 2);
    engine.judge(&more, &mut Vec::new());
    assert_eq!(starts(&engine), [Some(0), Some(60_000), Some(60_000), None]);
}

/// The definition, entry by entry.
fn naive(entries: &[Entry], unit: i64, lateness: i64, finished: bool) -> Option<i64> {
    let (mut lowest, mut highest) = (None::<i64>, i64::MIN);
    for at in entries.iter().filter_map(|entry| entry.0) {
        (lowest, highest) = (Some(lowest.map_or(at, |lowest| lowest.min(at))), highest.max(at));
        let end = ((T0 + lowest?).div_euclid(unit) + 1) * unit - T0;
        if highest - lateness >= end {
            return lowest;
        }
    }
    lowest.filter(|_| finished)
}

proptest! {
    #[test]
    fn as_defined_whatever_the_batches_and_snapshots(
        ats in proptest::collection::vec(0i64..20_000, 1..30),
        cut in 0usize..30,
        finish in any::<bool>(),
    ) {
        let entries: Vec<Entry> = ats.iter().map(|&at| (Some(at), None)).collect();
        let (rules, formats) = load(RULES);
        let whole = rows(&formats, &entries);
        let mut engine = Engine::for_backtest(Arc::clone(&rules), Arc::clone(&formats));
        let cut = cut.min(whole.rows.len());
        for range in [0..cut, cut..whole.rows.len()] {
            let part = record::Batch { rows: whole.rows[range].to_vec(), ..whole.clone() };
            engine.judge(&part, &mut Vec::new());
            let mut bytes = Vec::new();
            engine.snapshot(&mut bytes);
            let hash = engine.state_hash();
            engine = Engine::restore(Arc::clone(&rules), Arc::clone(&formats), &bytes).unwrap().0;
            prop_assert_eq!(engine.state_hash(), hash);
        }
        if finish {
            engine.finish();
        }
        let expect: Vec<_> = [(1_000, 5_000), (2_000, 2_000), (1_000, 1_000)]
            .map(|(unit, lateness)| naive(&entries, unit, lateness, finish)).into();
        prop_assert_eq!(&starts(&engine)[..3], &expect[..]);
    }
}
