//! Kinds about single things: random streams against the naive model.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, FormatSet};
use rules::{Alert, Change, Engine, RuleSet, Transition};

use crate::naive::Told;
use crate::streams::START;
use crate::support::{journal, load_file, part};
use crate::things_naive::{Arrival, Kind, Rec, Rule, alerts};

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) offset: i64,
    pub(crate) order: &'static str,
    pub(crate) code: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) merchant: &'static str,
    /// How long after its time it arrives.
    pub(crate) delay: i64,
}

/// What the journal brings.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) recv: Option<i64>,
    pub(crate) event: Option<Event>,
}

pub(crate) fn line(event: &Event) -> String {
    let at = chrono::DateTime::from_timestamp_millis(START + event.offset + 8 * 3_600_000)
        .expect("a time of 2016");
    let mut columns = vec![""; 66];
    let amount = event.code.split_once('=').map_or("1.50", |(_, amount)| amount);
    let time = at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    (columns[0], columns[4], columns[9]) = (&time, event.order, event.code);
    (columns[11], columns[13], columns[30]) = (event.merchant, event.channel, amount);
    columns.join("||")
}

pub(crate) fn load(text: &str) -> (Arc<RuleSet>, Arc<FormatSet>) {
    load_file(&format!("groups:\n  - name: g\n    rules:\n      - alert: A\n{text}"))
}

pub(crate) fn batch(formats: &Arc<FormatSet>, entries: &[Entry]) -> Batch {
    journal(formats, entries.iter().map(|entry| (entry.event.as_ref().map(line), entry.recv)))
}

/// A rule as the model and as a file has it. Times are short so that everything meets everything.
pub(crate) fn rule() -> impl Strategy<Value = (Rule, String, bool)> {
    let ms = || prop_oneof![Just(1i64), 2..400i64, (1..4i64).prop_map(|s| s * 1_000), 1..5_000i64];
    let waits =
        (prop_oneof![3 => Just(0i64), 1 => 0..3_000i64], prop_oneof![3 => Just(0i64), 1 => 0..3_000i64]);
    let lateness = prop_oneof![Just(0i64), 0..4_000i64, Just(2_000)];
    (kind(), 1..3usize, ms(), lateness, waits, any::<bool>()).prop_map(
        |((kind, text), count, resolve_after, lateness, (pending_for, keep_firing_for), by_channel)| {
            let by = if by_channel { "        by: [channel]\n" } else { "" };
            let text = format!(
                "{text}{by}        where: '!endsWith(response_code, \"-\")'\n        count: {count}\n        resolve_after: {resolve_after}ms\n        \
                 lateness: {lateness}ms\n        for: {pending_for}ms\n        keep_firing_for: {keep_firing_for}ms\n"
            );
            (Rule { kind, count, resolve_after, lateness, pending_for, keep_firing_for }, text, by_channel)
        },
    )
}

/// Lengths of time that meet each other.
fn length() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1i64), Just(1_000), Just(500), 1..3_000i64]
}

fn kind() -> impl Strategy<Value = (Kind, String)> {
    prop_oneof![unfinished(), transition(), sequence(), mismatch(), new_value()]
}

fn sequence() -> impl Strategy<Value = (Kind, String)> {
    (2..4usize, length()).prop_map(|(steps, within)| {
        let conditions =
            ["contains(response_code, \"S\")", "contains(response_code, \"F\")", "has(response_code)"];
        let conditions = conditions[..steps].join("', '");
        let text =
            format!("        kind: sequence\n        steps: ['{conditions}']\n        within: {within}ms\n");
        (Kind::Sequence { steps, within }, text)
    })
}

fn mismatch() -> impl Strategy<Value = (Kind, String)> {
    length().prop_map(|within| {
        let text = format!(
            "        kind: mismatch\n        left: contains(response_code, \"S\")\n        \
             right: contains(response_code, \"F\")\n        compare: [merchant_no]\n        within: {within}ms\n"
        );
        (Kind::Mismatch { within }, text)
    })
}

fn new_value() -> impl Strategy<Value = (Kind, String)> {
    let learn = prop_oneof![3 => Just(0i64), 2 => Just(1_000), 2 => 0..4_000i64];
    (length(), learn).prop_map(|(remember, learn)| {
        let text = format!(
            "        kind: new_value\n        field: order_no\n        remember: {remember}ms\n        learn: {learn}ms\n"
        );
        (Kind::NewValue { remember, learn }, text)
    })
}

fn transition() -> impl Strategy<Value = (Kind, String)> {
    let allowed = prop::sample::select(vec![
        vec![],
        vec![("M1", "M2"), ("M2", "M3")],
        vec![("M1", "M2"), ("M2", "M1"), ("M2", "M3"), ("M3", "M3")],
        vec![("M1", "M2"), ("M1", "M3"), ("M2", "M1"), ("M3", "M2"), ("M3", "M1")],
    ]);
    allowed.prop_map(|allowed| {
        let next = |from: &str| {
            let to = allowed.iter().filter(|(a, _)| *a == from).map(|(_, b)| *b).collect::<Vec<_>>();
            if to.is_empty() { String::new() } else { format!("{from}: [{}], ", to.join(", ")) }
        };
        let map: String = ["M1", "M2", "M3"].map(next).concat();
        let map = map.trim_end_matches(", ");
        let text =
            format!("        kind: transition\n        field: merchant_no\n        allowed: {{{map}}}\n");
        (Kind::Transition { allowed }, text)
    })
}

fn unfinished() -> impl Strategy<Value = (Kind, String)> {
    (length(), prop_oneof![Just(0i64), Just(500), 0..2_000i64]).prop_map(|(within, skew)| {
        let text = format!(
            "        kind: unfinished\n        start: contains(response_code, \"S\")\n        \
             finish: contains(response_code, \"F\")\n        within: {within}ms\n        skew: {skew}ms\n"
        );
        (Kind::Unfinished { within, skew }, text)
    })
}

const ROLES: [&str; 2] = ["S", "F"];

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let offset = prop_oneof![2 => 0..9_000i64, 2 => (0..18i64).prop_map(|h| h * 500), 1 => 0..40i64];
    let order = prop_oneof![6 => Just("o1"), 3 => Just("o2"), 2 => Just("o3"), 1 => Just("")];
    let code = prop::sample::select(vec!["S", "S", "S", "F", "F", "SF", "X", "S-", "F-", ""]);
    let channel = prop_oneof![4 => Just("GHT"), 2 => Just("UMP"), 1 => Just("")];
    let merchant = prop_oneof![Just("M1"), Just("M2"), Just("M3"), Just("")];
    let delay = prop_oneof![3 => 0..900i64, 1 => -3_000..9_000i64];
    (offset, order, code, channel, merchant, delay).prop_map(
        |(offset, order, code, channel, merchant, delay)| Event {
            offset,
            order,
            code,
            channel,
            merchant,
            delay,
        },
    )
}

/// A file: each record less than `jitter` late.
pub(crate) fn file(mut events: Vec<Event>, jitters: &[i64], jitter: i64) -> Vec<Entry> {
    // Records of one millisecond move together: their ties are broken by LSN.
    let moved = |offset: i64| offset + jitters[offset as usize % jitters.len()] % jitter.max(1);
    events.sort_by_key(|event| event.offset);
    events.sort_by_key(|event| moved(event.offset));
    events.into_iter().map(|event| Entry { recv: None, event: Some(event) }).collect()
}

/// A stream as listeners bring it: delayed, some clocks ahead, ticks where it is quiet, and much later the end.
fn live(mut events: Vec<Event>) -> Vec<Entry> {
    events.sort_by_key(|event| event.offset + event.delay);
    let (mut entries, mut last) = (Vec::new(), None::<i64>);
    for event in events {
        let recv = START + event.offset + event.delay;
        let ticks = last.map_or(0, |last| (recv - last - 1) / 1_000);
        entries
            .extend((1..=ticks).map(|i| Entry { recv: Some(recv - (ticks - i + 1) * 1_000), event: None }));
        entries.push(Entry { recv: Some(recv), event: Some(event) });
        last = Some(recv);
    }
    let recv = last.unwrap_or(START) + 100_000;
    entries.push(Entry { recv: Some(recv), event: None });
    entries
}

/// A record as the model sees it.
pub(crate) fn rec(event: &Event, by_channel: bool) -> Rec {
    Rec {
        at: START + event.offset,
        key: if by_channel { event.channel.to_owned() } else { String::new() },
        thing: event.order.to_owned(),
        passes: !event.code.ends_with('-'),
        value: event.merchant.to_owned(),
        roles: ROLES.iter().map(|role| event.code.contains(role)).chain([!event.code.is_empty()]).collect(),
    }
}

pub(crate) fn arrivals(entries: &[Entry], by_channel: bool) -> Vec<Arrival> {
    entries
        .iter()
        .map(|e| Arrival { recv: e.recv, rec: e.event.as_ref().map(|e| rec(e, by_channel)) })
        .collect()
}

fn told(alert: &Alert) -> Told {
    Told {
        active_at: alert.active_ms,
        key: alert.labels.get("channel").cloned().unwrap_or_default(),
        fired_at: alert.fired_ms,
        ended_at: alert.ended_ms,
    }
}

fn sorted(alerts: impl Iterator<Item = Told>) -> Vec<Told> {
    let mut all: Vec<Told> = alerts.collect();
    all.sort();
    all
}

pub(crate) fn backtest(text: &str, entries: &[Entry]) -> Vec<Arc<Alert>> {
    let (rules, formats) = load(text);
    let mut engine = Engine::for_backtest(rules, Arc::clone(&formats));
    engine.judge(&batch(&formats, entries), &mut Vec::new());
    engine.finish()
}

pub(crate) fn by_engine(text: &str, entries: &[Entry]) -> Vec<Told> {
    sorted(backtest(text, entries).iter().map(|alert| told(alert)))
}

/// Streams in which nothing fires prove little: most must tell something.
#[test]
fn random_streams_raise_alerts() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut told = [0; 3];
    for _ in 0..300 {
        let (_, text, _) = rule().new_tree(&mut runner).expect("a rule").current();
        let events = prop::collection::vec(event(), 1..40).new_tree(&mut runner).expect("events").current();
        let alerts = by_engine(&text, &file(events, &[0], 1));
        told[0] += usize::from(!alerts.is_empty());
        told[1] += usize::from(alerts.iter().any(|a| a.fired_at.is_some() && a.ended_at.is_some()));
        told[2] += usize::from(alerts.iter().any(|a| a.fired_at.is_none()));
    }
    assert!(told[0] > 100 && told[1] > 75 && told[2] > 15, "any, fired and ended, pending only: {told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_and_model_agree(
        (rule, text, by_channel) in rule(),
        events in prop::collection::vec(event(), 1..30),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        // In order; shuffled within the lateness; beyond it, so that some records are late.
        disorder in 0..3usize,
    ) {
        let jitter = [1, rule.lateness, rule.lateness * 3 + 3_000][disorder];
        let entries = file(events, &jitters, jitter);
        let expect = alerts(&rule, &arrivals(&entries, by_channel), None);
        prop_assert_eq!(by_engine(&text, &entries), expect, "{:?} {}", rule, text);
    }

    /// What a live engine resolves by settled verdicts when the stream is over is what the model tells of it.
    #[test]
    fn live_engines_settle_on_the_same_alerts(
        (rule, text, by_channel) in rule(),
        settle in prop_oneof![2 => Just(0i64), 1 => 0..3_000i64],
        events in prop::collection::vec(event(), 1..30),
    ) {
        let entries = live(events);
        let (rules, formats) = load(&format!("{text}        settle: {settle}ms\n"));
        let mut engine = Engine::new(rules, Arc::clone(&formats));
        let mut out = Vec::new();
        engine.judge(&batch(&formats, &entries), &mut out);
        check_lives(&out);
        let ended = out.iter().filter(|t| matches!(t.change, Change::Resolved | Change::Dropped));
        let expect = alerts(&rule, &arrivals(&entries, by_channel), Some(START + 90_000));
        prop_assert_eq!(sorted(ended.map(|t| told(&t.alert))), expect, "{:?} {}", rule, text);
        prop_assert!(engine.alerts().is_empty());
        prop_assert_eq!(engine.counts().rules[0].keys, 0, "no key is remembered that is over");
    }

    #[test]
    fn order_within_the_lateness_and_repeats_do_not_matter(
        (rule, text, _) in rule(),
        events in prop::collection::vec(event(), 1..30),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
    ) {
        let entries = file(events, &[0], 1);
        let (rules, formats) = load(&text);
        let whole = batch(&formats, &entries);
        let run = |moved: &Batch| {
            let mut engine = Engine::for_backtest(Arc::clone(&rules), Arc::clone(&formats));
            engine.judge(moved, &mut Vec::new());
            engine.finish()
        };
        let expect = run(&whole);
        let mut moved = whole.clone();
        let by = |lsn: u64| jitters[lsn as usize % jitters.len()] % rule.lateness.max(1);
        moved.rows.sort_by_key(|row| row.event_ms.unwrap_or_default() + by(row.lsn));
        let again = jitters[0] as usize % moved.rows.len();
        let repeated = moved.rows[again..].to_vec();
        moved.rows.extend(repeated);
        prop_assert_eq!(run(&moved), expect, "{}", text);
    }

    #[test]
    fn interrupted_engines_go_on_as_if_nothing_had_been(
        (_, text, _) in rule(),
        settle in prop_oneof![2 => Just(0i64), 1 => 0..3_000i64],
        events in prop::collection::vec(event(), 1..30),
        mut cuts in prop::collection::vec(0..60usize, 1..5),
        keys_max in prop_oneof![Just(1usize), Just(2), Just(100)],
        backtest in any::<bool>(),
    ) {
        cuts.sort_unstable();
        let (rules, formats) = load(&format!("{text}        settle: {settle}ms\n        samples: 2\n"));
        let entries = if backtest { file(events, &[0, 3_000, 700], 5_000) } else { live(events) };
        let whole = batch(&formats, &entries);
        let new = || if backtest {
            Engine::for_backtest(Arc::clone(&rules), Arc::clone(&formats))
        } else {
            Engine::with_keys_max(Arc::clone(&rules), Arc::clone(&formats), keys_max)
        };
        let mut expect = Vec::new();
        let mut uninterrupted = new();
        uninterrupted.judge(&whole, &mut expect);
        let (mut out, mut from, mut engine) = (Vec::new(), 0, new());
        for cut in cuts {
            let to = cut.clamp(from, whole.rows.len());
            engine.judge(&part(&whole, from, to), &mut out);
            let mut bytes = Vec::new();
            engine.snapshot(&mut bytes);
            engine = Engine::restore(Arc::clone(&rules), Arc::clone(&formats), &bytes).expect("just written").0;
            let mut again = Vec::new();
            engine.snapshot(&mut again);
            prop_assert!(again == bytes, "what was restored is what was written");
            from = to;
        }
        engine.judge(&part(&whole, from, whole.rows.len()), &mut out);
        prop_assert_eq!(out, expect, "{}", text);
        prop_assert_eq!(engine.state_hash(), uninterrupted.state_hash());
        prop_assert_eq!(engine.counts(), uninterrupted.counts());
        prop_assert_eq!(engine.alerts(), uninterrupted.alerts());
        if backtest {
            prop_assert_eq!(engine.finish(), uninterrupted.finish());
        }
    }
}

/// Each alert goes the way that alerts go.
fn check_lives(out: &[Transition]) {
    let mut last: std::collections::BTreeMap<&str, Change> = std::collections::BTreeMap::new();
    for transition in out {
        let id = transition.alert.id.as_str();
        let before = last.insert(id, transition.change);
        let fits = match transition.change {
            Change::Pending => before.is_none(),
            Change::Fired => matches!(before, None | Some(Change::Pending | Change::Updated)),
            _ => matches!(before, Some(Change::Pending | Change::Fired | Change::Updated)),
        };
        assert!(fits, "{before:?} then {:?} of {id}", transition.change);
    }
}

#[test]
fn a_late_record_that_opens_history_does_not_rewrite_what_was_settled() {
    let e = |offset, delay| Event { offset, order: "o1", code: "S", channel: "GHT", merchant: "M1", delay };
    let text = "        kind: new_value\n        field: order_no\n        remember: 1ms\n        learn: 1000ms\n        where: '!endsWith(response_code, \"-\")'\n        count: 1\n        resolve_after: 1ms\n        lateness: 0ms\n        for: 0ms\n        keep_firing_for: 0ms\n";
    let rule = Rule {
        kind: Kind::NewValue { remember: 1, learn: 1000 },
        count: 1,
        resolve_after: 1,
        lateness: 0,
        pending_for: 0,
        keep_firing_for: 0,
    };
    let entries = live(vec![e(2500, -500), e(0, 2074), e(2000, 1)]);
    let (rules, formats) = load(text);
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    let mut out = Vec::new();
    engine.judge(&batch(&formats, &entries), &mut out);
    let ended = out.iter().filter(|t| matches!(t.change, Change::Resolved | Change::Dropped));
    let expect = alerts(&rule, &arrivals(&entries, false), Some(START + 90_000));
    assert_eq!(sorted(ended.map(|t| told(&t.alert))), expect, "{out:?}");
}
