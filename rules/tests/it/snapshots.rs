//! An engine that is snapshotted and restored at random points tells what the uninterrupted one tells.
//!
//! To the last number: transitions in their order, alerts that are on, the state's hash, counts, settled alerts.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, FormatSet, Row, RowFlags};
use rules::{Alert, Engine, RuleSet, SnapshotError, Transition};

use crate::streams::{Event, INTERVALS, START, event, expecting, line, rule};
use crate::support::{damage, damages, journal, load_file, part};

/// What the journal brings: a line with its receive time, or a tick.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) recv_ms: Option<i64>,
    pub(crate) event: Option<Event>,
}

/// Rules about single things, with little to tell them apart, so that everything meets everything.
fn things() -> impl Strategy<Value = (String, i64)> {
    let ms = || prop_oneof![Just(1i64), 2..400i64, (1..4i64).prop_map(|s| s * 1_000), 1..9_000i64];
    let own = prop::sample::select(vec![
        "unfinished\n        start: response_code == \"TIMEOUT\"\n        finish: response_code == \"0000\"",
        "sequence\n        steps: ['has(response_code)', 'response_code == \"NET_ERR\"']",
        "transition\n        field: response_code\n        allowed: {NET_ERR: [TIMEOUT], TIMEOUT: ['0000']}",
        "mismatch\n        left: response_code == \"NET_ERR\"\n        right: response_code == \"TIMEOUT\"\n        compare: [channel]",
        "new_value\n        field: merchant_no\n        learn: 0s",
        "new_value\n        field: merchant_no\n        learn: 1500ms",
    ]);
    let waits = (0..6_000i64, prop_oneof![Just(0i64), 0..4_000i64], prop_oneof![Just(0i64), 0..4_000i64]);
    (own, ms(), ms(), 1..3usize, waits).prop_map(|(own, within, resolve_after, count, waits)| {
        let (lateness, pending_for, keep) = waits;
        let within = match own {
            own if own.starts_with("transition") => "        each: merchant_no\n".to_owned(),
            own if own.starts_with("new_value") => format!("        remember: {within}ms\n"),
            _ => format!("        each: merchant_no\n        within: {within}ms\n"),
        };
        let text = format!(
            "        kind: {own}\n{within}        resolve_after: {resolve_after}ms\n        count: {count}\n        lateness: {lateness}ms\n        for: {pending_for}ms\n        keep_firing_for: {keep}ms\n"
        );
        (text, 20_000)
    })
}

/// Rules of random shapes and keys, with the longest span that one of them needs.
pub(crate) fn rules() -> impl Strategy<Value = (String, i64)> {
    let by = prop_oneof![Just(""), Just("channel"), Just("channel, merchant_no")];
    let settle = prop_oneof![3 => Just(0), 1 => 0..4_000i64];
    let shape = prop_oneof![2 => rule().prop_map(|(_, text, span)| (text, span)), 1 => things()];
    let one = (shape, by, settle, 0..4usize, any::<bool>(), 0..6usize);
    prop::collection::vec(one, 1..4).prop_map(|rules| {
        let span = rules.iter().map(|((_, span), ..)| *span).max().unwrap_or_default();
        let text = (0..).zip(&rules).map(|(i, ((text, _), by, settle, samples, errors, row))| {
            let text = format!("{}{}", expecting(text, by), rows(text, by, *row));
            let by = if by.is_empty() { String::new() } else { format!("        by: [{by}]\n") };
            let condition = if *errors { "response_code in [\"NET_ERR\", \"TIMEOUT\"]" } else { "has(channel)" };
            format!(
                "      - alert: A{i}\n        where: {condition}\n        settle: {settle}ms\n        samples: {samples}\n        annotations: {{summary: \"{{count}} {{amount}}\"}}\n{by}{text}"
            )
        });
        (text.collect(), span)
    })
}

/// Other numbers for some keys, some of the time.
fn rows(text: &str, by: &str, row: usize) -> String {
    let key = if by.is_empty() { "" } else { "channel: GHT, " };
    let times = ["", "valid_from: 2016-07-22 18:00:07.500, ", "valid_to: 2016-07-22 18:00:13, "];
    match times.get(row) {
        Some(time) if text.contains("        count: ") => {
            format!("        thresholds: [{{{key}{time}count: 2}}, {{{time}count: 3}}]\n")
        }
        _ => String::new(),
    }
}

/// A stream as listeners bring it: delayed, some clocks ahead, ticks where it is quiet.
pub(crate) fn live(span: i64) -> impl Strategy<Value = Vec<Entry>> {
    let delay = prop_oneof![3 => 0..900i64, 1 => -3_000..9_000i64, 1 => Just(-700_000)];
    prop::collection::vec((event(span), delay), 1..70).prop_map(|mut events| {
        events.sort_by_key(|(event, delay)| event.offset + (*delay).max(-3_000));
        let (mut entries, mut last) = (Vec::new(), i64::MIN);
        for (event, delay) in events {
            let recv = START + event.offset + delay.max(-3_000);
            let ticks = if last == i64::MIN { 0 } else { ((recv - last - 1) / 1_000).min(14) };
            // The last ticks of a pause say the same as all of them.
            entries.extend(
                (1..=ticks).map(|i| Entry { recv_ms: Some(recv - (ticks - i + 1) * 1_000), event: None }),
            );
            let recv_ms = Some(if delay == -700_000 { recv - 700_000 } else { recv });
            entries.push(Entry { recv_ms, event: Some(event) });
            last = recv;
        }
        entries
    })
}

/// A file: lines alone, in some disorder.
pub(crate) fn file(span: i64) -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((event(span), 0..6_000i64), 1..70).prop_map(|mut events| {
        events.sort_by_key(|(event, delay)| event.offset + delay);
        events.into_iter().map(|(event, _)| Entry { recv_ms: None, event: Some(event) }).collect()
    })
}

pub(crate) fn load(rules: &str) -> (Arc<RuleSet>, Arc<FormatSet>) {
    load_file(&format!("{INTERVALS}groups:\n  - name: g\n    rules:\n{rules}"))
}

pub(crate) fn batch(formats: &Arc<FormatSet>, entries: &[Entry]) -> Batch {
    journal(formats, entries.iter().map(|entry| (entry.event.as_ref().map(line), entry.recv_ms)))
}

/// What an engine has to say in the end.
#[derive(Debug, PartialEq)]
struct Told {
    transitions: Vec<Transition>,
    on: Vec<Arc<Alert>>,
    hash: u64,
    counts: rules::EngineCounts,
    snapshot: Vec<u8>,
    settled: Vec<Arc<Alert>>,
}

fn told(mut engine: Engine, transitions: Vec<Transition>, backtest: bool) -> Told {
    let mut snapshot = Vec::new();
    engine.snapshot(&mut snapshot);
    Told {
        transitions,
        on: engine.alerts(),
        hash: engine.state_hash(),
        counts: engine.counts(),
        snapshot,
        settled: if backtest { engine.finish() } else { Vec::new() },
    }
}

fn restored(engine: &Engine, rules: &Arc<RuleSet>, formats: &Arc<FormatSet>) -> Engine {
    let mut bytes = vec![7];
    engine.snapshot(&mut bytes);
    let bytes = &bytes[1..];
    let (again, report) =
        Engine::restore(Arc::clone(rules), Arc::clone(formats), bytes).expect("just written");
    assert_eq!(report.kept.len(), rules.len(), "{report:?}");
    let mut written = Vec::new();
    again.snapshot(&mut written);
    assert_eq!(written, bytes, "what was restored is what was written");
    again
}

fn engine(rules: &Arc<RuleSet>, formats: &Arc<FormatSet>, keys_max: usize, backtest: bool) -> Engine {
    if backtest {
        Engine::for_backtest(Arc::clone(rules), Arc::clone(formats))
    } else {
        Engine::with_keys_max(Arc::clone(rules), Arc::clone(formats), keys_max)
    }
}

fn check(rules: &str, entries: &[Entry], cuts: &[usize], keys_max: usize, backtest: bool) -> (Told, Told) {
    let (rules, formats) = load(rules);
    let whole = batch(&formats, entries);
    let mut out = Vec::new();
    let mut uninterrupted = engine(&rules, &formats, keys_max, backtest);
    uninterrupted.judge(&whole, &mut out);
    let expect = told(uninterrupted, out, backtest);

    let (mut out, mut from) = (Vec::new(), 0);
    let mut interrupted = engine(&rules, &formats, keys_max, backtest);
    for &cut in cuts {
        let to = cut.clamp(from, whole.rows.len());
        interrupted.judge(&part(&whole, from, to), &mut out);
        interrupted = restored(&interrupted, &rules, &formats);
        // A replay begins earlier, with parts that were taken wholly, partly or (the same batch) not at all.
        let again = from.saturating_sub(cut % 3);
        let told = out.len();
        interrupted.judge(&part(&whole, again, to), &mut out);
        assert_eq!(out.len(), told, "nothing is told twice");
        from = again.max(to.saturating_sub(cut % 2));
    }
    interrupted.judge(&part(&whole, from, whole.rows.len()), &mut out);
    (told(interrupted, out, backtest), expect)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..120usize, 1..5).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn live_engines_go_on_as_if_nothing_had_been(
        ((rules, _), entries) in rules().prop_flat_map(|r| { let span = r.1; (Just(r), live(span)) }),
        cuts in cuts(),
        keys_max in prop_oneof![Just(1usize), Just(2), Just(3), Just(100)],
    ) {
        let (got, expect) = check(&rules, &entries, &cuts, keys_max, false);
        prop_assert_eq!(got, expect, "{}", rules);
    }

    #[test]
    fn backtests_go_on_as_if_nothing_had_been(
        ((rules, _), entries) in rules().prop_flat_map(|r| { let span = r.1; (Just(r), file(span)) }),
        cuts in cuts(),
    ) {
        let (got, expect) = check(&rules, &entries, &cuts, 100, true);
        prop_assert_eq!(got, expect, "{}", rules);
    }

    /// Whatever the bytes, there is an engine or a reason why not; an engine can go on.
    #[test]
    fn damaged_snapshots_are_refused_or_read(
        ((rules, _), entries) in rules().prop_flat_map(|r| { let span = r.1; (Just(r), live(span)) }),
        changes in damages(),
        repair in any::<bool>(),
    ) {
        let (rules, formats) = load(&rules);
        let whole = batch(&formats, &entries);
        let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
        engine.judge(&part(&whole, 0, whole.rows.len() / 2), &mut Vec::new());
        let mut bytes = Vec::new();
        engine.snapshot(&mut bytes);
        let written = bytes;
        let bytes = damage(&written, changes, repair);
        match Engine::restore(rules, formats, &bytes) {
            Ok((mut engine, _)) => {
                prop_assert!(repair || bytes == written);
                let mut out = Vec::new();
                engine.judge(&part(&whole, whole.rows.len() / 2, whole.rows.len()), &mut out);
                engine.tick(0, START + 10_000_000, &mut out);
                engine.snapshot(&mut Vec::new());
            }
            Err(error) => {
                let by_content = matches!(error, SnapshotError::Damaged { .. });
                prop_assert!(repair || !by_content, "{error}");
            }
        }
    }
}

/// Streams in which nothing is on when the snapshot is taken prove little.
#[test]
fn snapshots_are_taken_of_alerts_in_every_state() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut early, mut pending, mut firing, mut ended) = (0, 0, 0, 0);
    for _ in 0..200 {
        let (text, span) = rules().new_tree(&mut runner).expect("rules").current();
        let entries = live(span).new_tree(&mut runner).expect("a stream").current();
        let (rules, formats) = load(&text);
        let whole = batch(&formats, &entries);
        let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
        let mut out = Vec::new();
        engine.judge(&part(&whole, 0, whole.rows.len() / 2), &mut out);
        let on = engine.alerts();
        let is_early = |alert: &Alert| out.iter().rfind(|t| t.alert.id == alert.id).is_some_and(|t| t.early);
        early += usize::from(on.iter().any(|alert| is_early(alert)));
        pending += usize::from(on.iter().any(|alert| alert.fired_ms.is_none()));
        firing += usize::from(on.iter().any(|alert| alert.fired_ms.is_some()));
        ended += usize::from(out.iter().any(|t| t.alert.ended_ms.is_some()));
    }
    assert!(early > 15 && pending > 15 && firing > 50 && ended > 40, "{early} {pending} {firing} {ended}");
}

const THREE: &str = "      - {alert: A, kind: frequency, count: 2, within: 10s}
      - {alert: B, kind: consecutive, count: 2, within: 10s, by: [channel], labels: {class: alarm}}
      - {alert: C, kind: any, where: 'success || amount > 1.50'}
";

fn snapshot_of(rules: &str) -> Vec<u8> {
    let (rules, formats) = load(rules);
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    let event = |offset| Event { offset, code: "NET_ERR", channel: "GHT", merchant: "M1" };
    let entries = [0, 1_000, 2_000].map(|offset| Entry { recv_ms: None, event: Some(event(offset)) });
    engine.judge(&batch(&formats, &entries), &mut Vec::new());
    assert_eq!(engine.alerts().len(), 2);
    let mut bytes = Vec::new();
    engine.snapshot(&mut bytes);
    bytes
}

/// The alerts that are on after restoring the snapshot of `THREE` under other rules, and the report.
fn under(rules: &str) -> String {
    let (rules, formats) = load(rules);
    let (engine, report) = Engine::restore(rules, formats, &snapshot_of(THREE)).expect("just written");
    let on: Vec<String> = engine
        .alerts()
        .iter()
        .map(|alert| format!("{} {:?}", alert.labels["alertname"], alert.annotations))
        .collect();
    format!(
        "kept {:?} changed {:?} added {:?} removed {:?}; on {on:?}",
        report.kept, report.changed, report.added, report.removed
    )
}

#[test]
fn unchanged_rules_keep_their_state_wherever_they_stand() {
    let [a, b, c] = [0, 1, 2].map(|i| format!("{}\n", THREE.lines().nth(i).expect("three rules")));
    let swapped = format!("{c}{b}{a}");
    expect_test::expect![[r#"kept ["C", "B", "A"] changed [] added [] removed []; on ["B {}", "A {}"]"#]]
        .assert_eq(&under(&swapped));
    // spaces, parentheses and the order of `&&` and `||` are no change; annotations and samples apply at once
    let reworded = format!(
        "{}{}{}",
        a.replace("count: 2", "samples: 1, annotations: {summary: '{count} errors'}, count: 2"),
        b,
        c.replace("success || amount > 1.50", "(amount  > 1.5) || success"),
    );
    expect_test::expect![[
        r#"kept ["A", "B", "C"] changed [] added [] removed []; on ["A {\"summary\": \"2 errors\"}", "B {}"]"#
    ]]
    .assert_eq(&under(&reworded));
}

#[test]
fn changed_rules_start_with_nothing() {
    for (from, to) in [
        ("count: 2, within: 10s}", "count: 3, within: 10s}"),
        ("count: 2, within: 10s}", "count: 2, within: 11s}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, for: 1s}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, keep_firing_for: 1s}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, lateness: 1s}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, settle: 1s}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, mode: shadow}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, sum: fee}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, where: has(channel)}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, by: [module]}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, labels: {a: b}}"),
        ("count: 2, within: 10s}", "count: 2, within: 10s, distinct: {field: channel, min: 1}}"),
        ("kind: frequency, count: 2", "kind: sustained, every: 5s, count: 2"),
    ] {
        let changed = THREE.replacen(from, to, 1);
        assert_ne!(changed, THREE);
        assert_eq!(
            under(&changed),
            r#"kept ["B", "C"] changed ["A"] added [] removed []; on ["B {}"]"#,
            "{changed}"
        );
    }
    let renamed = THREE.replace("alert: A", "alert: D").replace("amount > 1.50", "amount > 1.51");
    expect_test::expect![[r#"kept ["B"] changed ["C"] added ["D"] removed ["A"]; on ["B {}"]"#]]
        .assert_eq(&under(&renamed));
}

#[test]
fn a_format_that_changed_changes_the_rules_that_look_at_it() {
    let (rules, _) = load(THREE);
    let formats = Arc::new(FormatSet::shipped(chrono_tz::UTC));
    let (_, report) = Engine::restore(rules, formats, &snapshot_of(THREE)).expect("just written");
    assert_eq!(report.changed.len(), 3, "times are read in another zone: {report:?}");
}

#[test]
fn what_is_no_snapshot_is_refused_by_its_reason() {
    let (rules, formats) = load(THREE);
    let say = |bytes: &[u8]| match Engine::restore(Arc::clone(&rules), Arc::clone(&formats), bytes) {
        Ok(_) => "restored".to_owned(),
        Err(error) => error.to_string(),
    };
    let good = snapshot_of(THREE);
    assert_eq!(say(&good), "restored");
    let mut version = good.clone();
    version[6] = 200;
    let torn = &good[..good.len() - 1];
    let mut changed = good.clone();
    changed[20] ^= 1;
    let mut long = good[..good.len() - 4].to_vec();
    long.push(0);
    let crc = crc32c::crc32c(&long);
    long.extend_from_slice(&crc.to_le_bytes());
    let said: Vec<String> = [&b""[..], b"WRSNAP", &version, torn, &changed, &long].map(say).into();
    let len = good.len();
    let expect = [
        "not an engine snapshot: it does not begin with its mark; use an older snapshot".to_owned(),
        "the checksum of the engine snapshot does not match its 6 bytes; use an older snapshot".to_owned(),
        "an engine snapshot of version 200, this program reads version 6; use an older snapshot".to_owned(),
        format!(
            "the checksum of the engine snapshot does not match its {} bytes; use an older snapshot",
            len - 1
        ),
        format!("the checksum of the engine snapshot does not match its {len} bytes; use an older snapshot"),
        format!(
            "the engine snapshot is damaged near byte {}: expected the end; use an older snapshot",
            len - 4
        ),
    ];
    assert_eq!(said, expect);
}

#[test]
fn entries_before_the_snapshot_are_passed_over_and_not_counted_as_repeated() {
    let (rules, formats) = load(THREE);
    let event = |offset| Event { offset, code: "NET_ERR", channel: "GHT", merchant: "M1" };
    let entries: Vec<Entry> = (0..10).map(|i| Entry { recv_ms: None, event: Some(event(i * 500)) }).collect();
    let whole = batch(&formats, &entries);
    let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
    engine.judge(&part(&whole, 0, 6), &mut Vec::new());
    assert_eq!(engine.judged_to(), 6);
    let mut engine = restored(&engine, &rules, &formats);
    let before = engine.counts();
    engine.judge(&part(&whole, 0, 3), &mut Vec::new());
    engine.judge(&part(&whole, 2, 6), &mut Vec::new());
    assert_eq!(engine.counts(), before);
    engine.judge(&part(&whole, 3, 8), &mut Vec::new());
    assert_eq!((engine.counts().records, engine.counts().repeated, engine.judged_to()), (8, 0, 8));
    engine.judge(&part(&whole, 5, 8), &mut Vec::new());
    assert_eq!(engine.counts().repeated, 2, "what came after the snapshot and comes again is repeated");
    let tick = Row { lsn: 4, recv_ms: Some(START), flags: RowFlags::TICK, ..Row::default() };
    engine.judge(&Batch { rows: vec![tick], ..Batch::default() }, &mut Vec::new());
    assert_eq!(engine.counts().repeated, 2);
}
