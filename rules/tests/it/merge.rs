//! Several workers, each with its share of the records, and a coordinator say what one engine over all records says.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, FormatSet, Row, RowFlags};
use rules::{Alert, Coordinator, Engine, Partial, PartialError, RuleSet, Worker, WorkerName};

use crate::snapshots::{Entry, batch, file, load, rules};
use crate::streams::{Event, START, event};
use crate::support::{damage, damages};

/// All that an alert tells: labels, instants, the whole reason.
type Told = (Vec<(String, String)>, i64, Option<i64>, Option<i64>, String);

fn told(alerts: &[Arc<Alert>]) -> Vec<Told> {
    let one = |a: &Arc<Alert>| {
        let labels = a.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        (labels, a.active_ms, a.fired_ms, a.ended_ms, format!("{:?}", a.reason))
    };
    let mut told: Vec<Told> = alerts.iter().map(one).collect();
    told.sort();
    told
}

/// One engine that reads all in time order, by position among equals; what a node received as it was received.
fn one_engine(rules: &Arc<RuleSet>, formats: &Arc<FormatSet>, whole: &Batch) -> Vec<Told> {
    let mut sorted = whole.clone();
    if sorted.rows.iter().all(|row| row.recv_ms.is_none()) {
        sorted.rows.sort_by_key(|row| (row.event_ms, row.lsn));
    }
    let mut engine = Engine::for_backtest(Arc::clone(rules), Arc::clone(formats));
    engine.judge(&sorted, &mut Vec::new());
    told(&engine.finish())
}

/// How records are split, reordered and repeated, and partials merged.
#[derive(Debug, Clone)]
struct Plan {
    workers: usize,
    draws: Vec<usize>,
}

impl Plan {
    fn draw(&self, what: usize, i: usize, below: usize) -> usize {
        let at = i.wrapping_mul(31).wrapping_add(what.wrapping_mul(7));
        self.draws[at % self.draws.len()].wrapping_add(i * what) % below
    }

    fn names(&self) -> Vec<WorkerName> {
        (0..self.workers).map(|i| format!("w{i}").into()).collect()
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    (1..5usize, prop::collection::vec(0..10_000usize, 20..60))
        .prop_map(|(workers, draws)| Plan { workers, draws })
}

/// Rules of all shapes, with rows of thresholds, and a composite over some of them.
fn scene_of(
    entries: impl Fn(i64) -> BoxedStrategy<Vec<Entry>>,
) -> impl Strategy<Value = (String, Vec<Entry>)> {
    let expr =
        prop::sample::select(vec!["A0", "!A0", "A0 || LAST", "A0 && !LAST", "!(A0 && LAST)", "LAST && A0"]);
    let composite = prop::option::of((expr, any::<bool>(), 0..3_000i64, 0..4usize));
    (rules(), composite).prop_flat_map(move |((text, span), composite)| {
        let text = match composite {
            Some((expr, on, wait, samples)) => {
                let last = text.matches("- alert: A").count() - 1;
                let expr = expr.replace("LAST", &format!("A{last}"));
                let on = if on { ", on: [channel]" } else { "" };
                format!("{text}      - {{alert: C, kind: composite, expr: '{expr}', for: {wait}ms, samples: {samples}{on}}}\n")
            }
            None => text,
        };
        (Just(text), entries(span))
    })
}

fn scene() -> impl Strategy<Value = (String, Vec<Entry>)> {
    scene_of(|span| file(span).boxed())
}

/// What nodes receive, none of it late: some senders' clocks are ahead (some by too much to be judged), and it is quiet
/// now and then, at the end too.
fn received(span: i64) -> BoxedStrategy<Vec<Entry>> {
    let ahead = prop_oneof![8 => Just(0i64), 1 => 1..4_000i64, 1 => Just(700_000)];
    (prop::collection::vec((event(span), ahead), 1..60), 0..16i64)
        .prop_map(|(mut events, quiet)| {
            events.sort_by_key(|(event, _)| event.offset);
            let (mut entries, mut last) = (Vec::new(), None);
            let ticks = |last: i64, until: i64, entries: &mut Vec<Entry>| {
                let n = (until - last - 1).div_euclid(1_000);
                let at = (1..=n).filter(|i| *i <= 14 || *i > n - 2).map(|i| last + i * 1_000);
                entries.extend(at.map(|at| Entry { recv_ms: Some(at), event: None }));
            };
            for (mut event, ahead) in events {
                let recv = START + event.offset;
                ticks(last.unwrap_or(recv - quiet % 3 * 1_000), recv, &mut entries);
                event.offset += ahead;
                entries.push(Entry { recv_ms: Some(recv), event: Some(event) });
                last = Some(recv);
            }
            let last = last.unwrap_or(START);
            ticks(last, last + quiet * 1_000, &mut entries);
            entries
        })
        .boxed()
}

/// In which order a worker reads its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Shuffled,
    Sorted,
    /// As it was received; where another received a line it may have been quiet for a second.
    Journal,
}

/// What each worker knows after each of its parts.
fn known_by_each(
    plan: &Plan,
    (rules, formats): (&Arc<RuleSet>, &Arc<FormatSet>),
    whole: &Batch,
    order: Order,
) -> Vec<Vec<Partial>> {
    let mut shares: Vec<Vec<Row>> = vec![Vec::new(); plan.workers];
    for (i, row) in whole.rows.iter().enumerate() {
        let owner = plan.draw(1, i, plan.workers);
        let is_tick = row.flags.has(RowFlags::TICK);
        for (w, share) in shares.iter_mut().enumerate() {
            if w == owner || is_tick {
                share.push(row.clone());
            } else if order == Order::Journal && plan.draw(10, i, 2) == 0 {
                let quiet =
                    Row { lsn: row.lsn, recv_ms: row.recv_ms, flags: RowFlags::TICK, ..Row::default() };
                share.push(quiet);
            }
        }
    }
    let mut all = Vec::new();
    for (w, mut share) in shares.into_iter().enumerate() {
        match order {
            Order::Sorted => share.sort_by_key(|row| (row.event_ms, row.lsn)),
            Order::Shuffled => share.sort_by_key(|row| plan.draw(2, row.lsn as usize, 1_000)),
            Order::Journal => {}
        }
        let again = share.iter().filter(|row| plan.draw(3, row.lsn as usize, 4) == 0).cloned();
        let again = Batch { rows: again.collect(), ..whole.clone() };
        let mut worker = Worker::new(plan.names()[w].clone(), Arc::clone(rules), Arc::clone(formats));
        let mut known = vec![worker.partial().clone()];
        let mut changed = Partial::default();
        for rows in share.chunks(1 + plan.draw(4, w, 12)) {
            worker.take(&Batch { rows: rows.to_vec(), ..whole.clone() });
            known.push(worker.partial().clone());
            changed.merge(&worker.changes());
        }
        assert_eq!(&changed, worker.partial(), "all changes are all that is known");
        if !share.is_empty() {
            worker.take(&again);
            assert_eq!(Some(worker.partial()), known.last(), "what comes again changes nothing");
        }
        all.push(known);
    }
    all
}

/// Time passes: the coordinator is told again and again, by whichever worker, what was known then.
fn as_time_passes(
    plan: &Plan,
    (rules, formats): (Arc<RuleSet>, Arc<FormatSet>),
    all: &[Vec<Partial>],
) -> Vec<Told> {
    let mut coordinator = Coordinator::new(rules, formats, &plan.names(), true);
    let most = all.iter().map(Vec::len).max().unwrap_or_default();
    for i in 0..most * plan.workers {
        // A worker is behind the others, or tells what it told before.
        let of = &all[plan.draw(8, i, plan.workers)];
        let until = (i / plan.workers + 1).min(of.len());
        coordinator.take(&of[plan.draw(9, i, until)], &mut Vec::new());
    }
    for of in all.iter().rev() {
        coordinator.take(of.last().expect("one at least"), &mut Vec::new());
    }
    told(&coordinator.finish())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any share in any order, partials merged in any grouping, again and again, then judged.
    #[test]
    fn merged_partials_are_judged_as_all_records_are((text, entries) in scene(), plan in plan()) {
        let (rules, formats) = load(&text);
        let whole = batch(&formats, &entries);
        let expect = one_engine(&rules, &formats, &whole);
        let parts: Vec<Partial> =
            known_by_each(&plan, (&rules, &formats), &whole, Order::Shuffled).into_iter().flatten().collect();
        let mut heaps = vec![Partial::default(); 3];
        for i in 0..parts.len() {
            heaps[plan.draw(5, i, 3)].merge(&parts[plan.draw(6, i, parts.len())]);
        }
        for (i, part) in parts.iter().enumerate().rev() {
            heaps[plan.draw(7, i, 3)].merge(part);
        }
        let mut merged = heaps[1].clone();
        for i in [2, 0, 2] {
            merged.merge(&heaps[i]);
        }
        let mut coordinator = Coordinator::new(rules, formats, &plan.names(), true);
        coordinator.take(&merged, &mut Vec::new());
        coordinator.take(&heaps[2], &mut Vec::new());
        prop_assert_eq!(told(&coordinator.finish()), expect, "{}", text);
    }

    #[test]
    fn partials_that_come_as_time_passes_settle_as_all_records_do((text, entries) in scene(), plan in plan()) {
        let (rules, formats) = load(&text);
        let whole = batch(&formats, &entries);
        let expect = one_engine(&rules, &formats, &whole);
        let all = known_by_each(&plan, (&rules, &formats), &whole, Order::Sorted);
        prop_assert_eq!(as_time_passes(&plan, (rules, formats), &all), expect, "{}", text);
    }

    /// With receive times, ticks and quiet hours: each node has ticks of its own.
    #[test]
    fn what_nodes_receive_settles_as_on_one_node((text, entries) in scene_of(received), plan in plan()) {
        let (rules, formats) = load(&text);
        let whole = batch(&formats, &entries);
        let expect = one_engine(&rules, &formats, &whole);
        let all = known_by_each(&plan, (&rules, &formats), &whole, Order::Journal);
        prop_assert_eq!(as_time_passes(&plan, (rules, formats), &all), expect, "{}", text);
    }

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        (text, entries) in scene(),
        plan in plan(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 3),
    ) {
        let (rules, formats) = load(&text);
        let whole = batch(&formats, &entries);
        let parts: Vec<Partial> =
            known_by_each(&plan, (&rules, &formats), &whole, Order::Shuffled).into_iter().flatten().collect();
        let pick = |i: usize| &parts[picks[i].index(parts.len())];
        let join = |a: &Partial, b: &Partial| {
            let mut both = a.clone();
            both.merge(b);
            both
        };
        let (a, b, c) = (pick(0), pick(1), pick(2));
        prop_assert_eq!(join(a, b), join(b, a));
        prop_assert_eq!(join(&join(a, b), c), join(a, &join(b, c)));
        let ab = join(a, b);
        prop_assert_eq!(&join(&ab, a), &ab);
        prop_assert_eq!(&join(&ab, &ab), &ab);
        prop_assert_eq!(&join(&ab, &Partial::default()), &ab);
        let mut bytes = Vec::new();
        ab.write(&mut bytes);
        prop_assert_eq!(Partial::read(&bytes).expect("just written"), ab);
    }

    /// Whatever the bytes, they are read or refused.
    #[test]
    fn damaged_partials_are_refused(
        (text, entries) in scene(),
        plan in plan(),
        changes in damages(),
        repair in any::<bool>(),
    ) {
        let (rules, formats) = load(&text);
        let whole = batch(&formats, &entries);
        let all = known_by_each(&plan, (&rules, &formats), &whole, Order::Sorted);
        let mut bytes = Vec::new();
        all[0].last().expect("one at least").write(&mut bytes);
        let written = bytes;
        let bytes = damage(&written, changes, repair);
        match Partial::read(&bytes) {
            Ok(again) => {
                prop_assert!(repair || bytes == written);
                again.write(&mut Vec::new());
            }
            Err(error) => prop_assert!(repair || !matches!(error, PartialError::Damaged { .. }), "{error}"),
        }
    }
}

/// Streams in which nothing fires prove little.
#[test]
fn most_streams_raise_alerts() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut with_alerts = 0;
    for _ in 0..100 {
        let (text, entries) = scene().new_tree(&mut runner).expect("a scene").current();
        let (rules, formats) = load(&text);
        with_alerts += usize::from(!one_engine(&rules, &formats, &batch(&formats, &entries)).is_empty());
    }
    assert!(with_alerts > 60, "{with_alerts}");
}

#[test]
fn a_coordinator_waits_for_the_slowest_worker_and_forgets_what_is_past() {
    let (rules, formats) =
        load("      - {alert: A, kind: frequency, count: 4, within: 10s, by: [channel]}\n");
    let entry = |i: i64| Entry {
        recv_ms: None,
        event: Some(Event { offset: i * 1_000, code: "NET_ERR", channel: "GHT", merchant: "M1" }),
    };
    let whole = batch(&formats, &(0..40).map(entry).collect::<Vec<_>>());
    let share = |odd: u64, len: usize| {
        let rows = whole.rows.iter().filter(|row| row.lsn % 2 == odd).take(len).cloned().collect();
        Batch { rows, ..whole.clone() }
    };
    let names: Vec<WorkerName> = vec!["a".into(), "b".into()];
    let mut even = Worker::new("a".into(), Arc::clone(&rules), Arc::clone(&formats));
    let mut odd = Worker::new("b".into(), Arc::clone(&rules), Arc::clone(&formats));
    let mut coordinator = Coordinator::new(rules, formats, &names, false);
    let mut out = Vec::new();
    even.take(&share(0, 20));
    coordinator.take(even.partial(), &mut out);
    assert_eq!(
        (out.len(), coordinator.len()),
        (0, 20),
        "nothing is judged before the other has said anything"
    );
    odd.take(&share(1, 1));
    coordinator.take(odd.partial(), &mut out);
    assert!(!out.is_empty() && out.iter().all(|t| t.early), "raised at once, not settled: {out:?}");
    odd.take(&share(1, 20));
    coordinator.take(odd.partial(), &mut out);
    assert_eq!(coordinator.alerts().len(), 1);
    assert!(out.iter().any(|t| !t.early) && coordinator.len() < 20, "{} facts", coordinator.len());
    // Told again, it is past and no matter.
    let (told, held) = (out.len(), coordinator.len());
    coordinator.take(even.partial(), &mut out);
    coordinator.take(odd.partial(), &mut out);
    assert_eq!((out.len(), coordinator.len()), (told, held));
}
