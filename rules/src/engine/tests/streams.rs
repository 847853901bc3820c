//! Random streams against a naive reading of the rules: every verdict from all records known, instant by instant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, FormatSet, InstantMs};

use super::lines::{T0, batch, line, load};
use crate::{Alert, Change, Engine, RuleSet, Transition};

/// A record: time, whether it is an error or a success, channel, order.
type Rec = (i64, &'static str, &'static str, &'static str);

#[derive(Debug, Clone, Copy)]
enum Shape {
    Window { unit: i64, n: i64, count: usize, min: usize },
    Steps { every: i64, n: i64, count: usize, min: usize, per_step: bool },
    Run { count: usize, within: i64 },
}

#[derive(Debug, Clone, Copy)]
struct Case {
    shape: Shape,
    by_channel: bool,
    lateness: i64,
    for_ms: i64,
    keep_ms: i64,
    /// Instants between which nothing happens.
    grid: i64,
}

impl Case {
    fn yaml(&self) -> String {
        let body = match self.shape {
            Shape::Window { n, count: 1, min: 0, .. } => format!("kind: any, resolve_after: {n}s"),
            Shape::Window { unit, n, count, min } => {
                format!(
                    "kind: frequency, count: {count}, within: {}s{}",
                    unit * n / 1_000,
                    distinct(min, false)
                )
            }
            Shape::Steps { every, n, count, min, per_step } => {
                let within = every * n / 1_000;
                let distinct = distinct(min, per_step);
                format!(
                    "kind: sustained, count: {count}, every: {}s, within: {within}s{distinct}",
                    every / 1_000
                )
            }
            Shape::Run { count, within } => {
                format!(
                    "kind: consecutive, count: {count}, within: {within}ms, reset: 'response_code == \"0\"'"
                )
            }
        };
        let by = if self.by_channel { ", by: [channel]" } else { "" };
        format!(
            "  - {{alert: A, {body}{by}, where: 'response_code == \"E\"', lateness: {}ms, for: {}ms, \
             keep_firing_for: {}ms}}\n",
            self.lateness, self.for_ms, self.keep_ms
        )
    }

    fn unit(&self) -> i64 {
        if let Shape::Window { unit, .. } = self.shape { unit } else { 1_000 }
    }

    /// The verdict of an instant, from the records of the key.
    fn active(&self, known: &[Rec], t: i64) -> bool {
        let s = t.div_euclid(self.unit()) * self.unit();
        let orders = |recs: &[&Rec]| {
            recs.iter().map(|r| r.3).filter(|order| !order.is_empty()).collect::<BTreeSet<_>>().len()
        };
        match self.shape {
            Shape::Window { unit, n, count, min } => {
                let bucket = |r: &Rec| r.0.div_euclid(unit) * unit;
                let inside = |r: &&Rec| r.1 == "E" && bucket(r) > s - n * unit && bucket(r) <= s;
                let found: Vec<_> = known.iter().filter(inside).collect();
                found.len() >= count && orders(&found) >= min
            }
            Shape::Steps { every, n, count, min, per_step } => [0, 1].into_iter().any(|back| {
                let end = s.div_euclid(every) - back;
                let step = |j: i64| {
                    let inside = |r: &&Rec| r.1 == "E" && r.0.div_euclid(every) == j && r.0 < s + 1_000;
                    known.iter().filter(inside).collect::<Vec<_>>()
                };
                let steps: Vec<_> = (end - n + 1..=end).map(step).collect();
                let all: Vec<_> = steps.iter().flatten().copied().collect();
                let each = |least: usize| steps.iter().all(|found| orders(found) >= least);
                steps.iter().all(|found| found.len() >= count)
                    && if per_step { each(min) } else { orders(&all) >= min }
            }),
            Shape::Run { count, within } => {
                let mut order: Vec<_> = known.iter().filter(|r| r.1 != "X" && r.0 <= t).collect();
                order.sort_by_key(|r| (r.0, r.1 == "E"));
                let last = order.len().checked_sub(count).map(|from| &order[from..]);
                last.is_some_and(|last| last.iter().all(|r| r.1 == "E") && last[0].0 > t - within)
            }
        }
    }
}

fn distinct(min: usize, per_step: bool) -> String {
    let over = if per_step { ", over: step" } else { "" };
    if min == 0 { String::new() } else { format!(", distinct: {{field: order_no, min: {min}{over}}}") }
}

/// Channel, active, fired, ended.
type Span = (i64, String, Option<i64>, Option<i64>);

/// What the rules say of a file, instant by instant.
fn naive(case: &Case, records: &[Rec]) -> Vec<Span> {
    let keys: BTreeSet<_> = records.iter().map(|r| if case.by_channel { r.2 } else { "" }).collect();
    let mut spans: Vec<Span> = keys.iter().flat_map(|key| naive_key(case, records, key)).collect();
    spans.sort();
    spans
}

fn naive_key(case: &Case, records: &[Rec], key: &str) -> Vec<Span> {
    let (unit, exact) = (case.unit(), matches!(case.shape, Shape::Run { .. }));
    let first = records.iter().map(|r| r.0).min().unwrap().div_euclid(unit) * unit;
    let highest = records.iter().map(|r| r.0).max().unwrap();
    let end = (highest.div_euclid(unit) + 1) * unit;
    let mut verdicts = BTreeMap::new();
    let (mut known, mut next, mut base) = (Vec::new(), first, i64::MIN);
    for (i, &record) in records.iter().enumerate() {
        base = base.max(record.0);
        if !case.by_channel || record.2 == key {
            known.push(record);
        }
        let watermark = if i + 1 == records.len() { end } else { base - case.lateness };
        // the watermark of the last record decides with all records known, then the file ends
        for decided in [base - case.lateness, watermark] {
            let decided = if exact { decided } else { decided.div_euclid(unit) * unit };
            while next < decided {
                verdicts.insert(next, case.active(&known, next));
                next += case.grid;
            }
        }
    }
    naive_life(case, key, &verdicts)
}

fn naive_life(case: &Case, key: &str, verdicts: &BTreeMap<i64, bool>) -> Vec<Span> {
    let (mut spans, mut on, mut faded) = (Vec::new(), None::<(i64, Option<i64>)>, None::<i64>);
    for (&t, &active) in verdicts {
        match (on, active) {
            (None, true) => on = Some((t, None)),
            (Some((from, None)), false) => {
                spans.push((from, key.to_owned(), None, Some(t)));
                on = None;
            }
            (Some((_, Some(_))), false) => faded = faded.or(Some(t)),
            (Some(_), true) => faded = None,
            (None, false) => {}
        }
        if let Some((from, None)) = on
            && t >= from + case.for_ms
        {
            on = Some((from, Some(t)));
        }
        if let (Some((from, fired)), Some(inactive)) = (on, faded)
            && t >= inactive + case.keep_ms
        {
            spans.push((from, key.to_owned(), fired, Some(t)));
            (on, faded) = (None, None);
        }
    }
    spans.extend(on.map(|(from, fired)| (from, key.to_owned(), fired, None)));
    spans
}

fn span(alert: &Alert) -> Span {
    let channel = alert.labels.get("channel").cloned().unwrap_or_default();
    let offset = |at: Option<InstantMs>| at.map(|at| at - T0);
    (alert.active_ms - T0, channel, offset(alert.fired_ms), offset(alert.ended_ms))
}

fn rows(formats: &Arc<FormatSet>, records: &[Rec]) -> Batch {
    let lines: Vec<_> = records.iter().map(|r| (line(r.0, r.3, r.1, r.2), None)).collect();
    batch(formats, &lines)
}

fn backtest(rules: &Arc<RuleSet>, formats: &Arc<FormatSet>, records: &[Rec]) -> Vec<Arc<Alert>> {
    let mut engine = Engine::for_backtest(Arc::clone(rules), Arc::clone(formats));
    engine.judge(&rows(formats, records), &mut Vec::new());
    engine.finish()
}

/// Records in order of arrival: each up to `jitter` late.
fn records(span: i64, grid: i64, jitter: i64) -> impl Strategy<Value = Vec<Rec>> {
    let codes = prop_oneof![6 => Just("E"), 1 => Just("0"), 1 => Just("X")];
    let channels = prop_oneof![Just("A"), Just("B"), Just("")];
    let orders = prop_oneof![Just("p"), Just("q"), Just("r"), Just("")];
    let one = (0..span / grid, codes, channels, orders, 0..=jitter / grid);
    proptest::collection::vec(one, 1..80).prop_map(move |mut all| {
        all.sort_by_key(|r| r.0 + r.4);
        all.into_iter().map(|(t, code, channel, order, _)| (t * grid, code, channel, order)).collect()
    })
}

fn window_case() -> impl Strategy<Value = (Case, Vec<Rec>)> {
    let plain = (1i64..12, 1usize..5, 0usize..3).prop_map(|(n, count, min)| Shape::Window {
        unit: 1_000,
        n,
        count,
        min,
    });
    // within 601 s: buckets of 2 s, 301 of them
    let coarse =
        (2usize..5, 0usize..3).prop_map(|(count, min)| Shape::Window { unit: 2_000, n: 301, count, min });
    let steps = (1i64..5, 1i64..4, 1usize..4, 0usize..3, any::<bool>()).prop_map(
        |(every, n, count, min, per_step)| Shape::Steps {
            every: every * 1_000,
            n,
            count,
            min,
            per_step: per_step && min > 0,
        },
    );
    let shape = prop_oneof![3 => plain, 1 => coarse, 3 => steps];
    let delays = (prop_oneof![Just(0i64), 1i64..12], prop_oneof![Just(0i64), 1i64..12]);
    let lateness = prop_oneof![Just(0i64), Just(2_000), Just(2_500), Just(5_000)];
    (shape, any::<bool>(), lateness, delays, 0i64..9_000).prop_flat_map(
        |(shape, by_channel, lateness, delays, jitter)| {
            let span = if matches!(shape, Shape::Window { n: 301, .. }) { 1_500_000 } else { 40_000 };
            let case = Case {
                shape,
                by_channel,
                lateness,
                for_ms: delays.0 * 500,
                keep_ms: delays.1 * 500,
                grid: 500,
            };
            (Just(case), records(span, 100, jitter))
        },
    )
}

fn run_case() -> impl Strategy<Value = (Case, Vec<Rec>)> {
    let shape = (1usize..5, 1i64..60).prop_map(|(count, within)| Shape::Run { count, within });
    let delays = (prop_oneof![Just(0i64), 1i64..20], prop_oneof![Just(0i64), 1i64..20]);
    (shape, any::<bool>(), 0i64..30, delays, 0i64..60).prop_flat_map(
        |(shape, by_channel, lateness, delays, jitter)| {
            let case = Case { shape, by_channel, lateness, for_ms: delays.0, keep_ms: delays.1, grid: 1 };
            (Just(case), prop_oneof![records(400, 1, jitter), records(2_500, 7, jitter * 10)])
        },
    )
}

fn both() -> impl Strategy<Value = (Case, Vec<Rec>)> {
    prop_oneof![window_case(), run_case()]
}

/// Episodes that a live engine ended by settled verdicts; checks that each goes the way it must.
fn live_spans(out: &[Transition]) -> Vec<Span> {
    let mut state: BTreeMap<&str, Change> = BTreeMap::new();
    let mut spans = Vec::new();
    for transition in out {
        let id = transition.alert.id.as_str();
        let before = state.insert(id, transition.change);
        let fits = match transition.change {
            Change::Pending => before.is_none(),
            Change::Fired => matches!(before, None | Some(Change::Pending | Change::Updated)),
            _ => matches!(before, Some(Change::Pending | Change::Fired | Change::Updated)),
        };
        assert!(fits, "{before:?} then {:?} of {id}", transition.change);
        if matches!(transition.change, Change::Resolved | Change::Dropped) {
            spans.push(span(&transition.alert));
        }
    }
    spans.sort();
    spans
}

proptest! {
    #[test]
    fn settled_verdicts_are_those_of_the_rules((case, records) in both()) {
        let (rules, formats) = load(&case.yaml());
        let mut got: Vec<_> = backtest(&rules, &formats, &records).iter().map(|alert| span(alert)).collect();
        got.sort();
        prop_assert_eq!(got, naive(&case, &records), "{}", case.yaml());
    }

    #[test]
    fn a_live_engine_settles_on_the_same_alerts((case, records) in both()) {
        let (rules, formats) = load(&case.yaml());
        let mut settled: Vec<_> = backtest(&rules, &formats, &records).iter().map(|alert| span(alert)).collect();
        settled.sort();
        let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
        let mut out = Vec::new();
        engine.judge(&rows(&formats, &records), &mut out);
        let ended = live_spans(&out);
        prop_assert!(ended.iter().all(|span| settled.contains(span)), "{:?} in {:?}\n{}", ended, settled, case.yaml());
        // what is on is what was raised and not ended
        let mut on: BTreeSet<_> = BTreeSet::new();
        for transition in &out {
            match transition.change {
                Change::Resolved | Change::Dropped | Change::Withdrawn => on.remove(&transition.alert.id),
                _ => on.insert(transition.alert.id.clone()),
            };
        }
        prop_assert_eq!(engine.alerts().iter().map(|alert| alert.id.clone()).collect::<BTreeSet<_>>(), on);
        // and time that passes without lines settles it: as a file followed by a record long after
        let last = records.iter().map(|r| r.0).max().unwrap();
        let mut longer = records.clone();
        longer.push((last + 10_000_000, "X", "Z", ""));
        let mut expect: Vec<_> = backtest(&rules, &formats, &longer).iter().map(|alert| span(alert)).collect();
        expect.sort();
        engine.tick(0, T0 + last, &mut out);
        engine.tick(0, T0 + last + 10_000_000, &mut out);
        prop_assert_eq!(live_spans(&out), expect, "{}", case.yaml());
        prop_assert!(engine.alerts().is_empty());
        prop_assert_eq!(engine.counts().rules[0].keys, 0);
    }

    #[test]
    fn batch_borders_do_not_matter((case, records) in both(), cuts in proptest::collection::vec(0usize..80, 0..6)) {
        let (rules, formats) = load(&case.yaml());
        let whole = rows(&formats, &records);
        let run = |borders: &[usize]| {
            let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
            let (mut out, mut from) = (Vec::new(), 0);
            for &to in borders.iter().chain([&whole.rows.len()]) {
                let to = to.clamp(from, whole.rows.len());
                let part = Batch { rows: whole.rows[from..to].to_vec(), ..whole.clone() };
                engine.judge(&part, &mut out);
                from = to;
            }
            (out, engine.counts(), engine.state_hash())
        };
        let mut borders = cuts;
        borders.sort_unstable();
        prop_assert_eq!(run(&[]), run(&borders));
    }

    #[test]
    fn order_of_arrival_within_the_lateness_does_not_matter((case, records) in both()) {
        let case = Case { lateness: 2_000_000, ..case };
        let (rules, formats) = load(&case.yaml());
        let whole = rows(&formats, &records);
        let run = |by: fn(&record::Row) -> i64, twice: bool| {
            let mut moved = whole.clone();
            moved.rows.sort_by_key(by);
            if twice {
                moved.rows.extend_from_within(..);
            }
            let mut engine = Engine::for_backtest(Arc::clone(&rules), Arc::clone(&formats));
            engine.judge(&moved, &mut Vec::new());
            engine.finish()
        };
        let expect = run(|row| row.lsn as i64, false);
        prop_assert_eq!(&run(|row| -(row.lsn as i64), false), &expect);
        prop_assert_eq!(&run(|row| row.lsn as i64 * 7 % 11, true), &expect);
    }
}
