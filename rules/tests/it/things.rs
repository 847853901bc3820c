//! Kinds about single things: random streams against the naive model, and their borders by hand.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Alert, Change, Engine, RuleFile, RuleSet, Transition};

use crate::naive::Told;
use crate::streams::START;
use crate::things_naive::{Arrival, Kind, Rec, Rule, alerts};

#[derive(Debug, Clone)]
struct Event {
    offset: i64,
    order: &'static str,
    code: &'static str,
    channel: &'static str,
    merchant: &'static str,
    /// How long after its time it arrives.
    delay: i64,
}

/// What the journal brings.
#[derive(Debug, Clone)]
struct Entry {
    recv: Option<i64>,
    event: Option<Event>,
}

fn line(event: &Event) -> String {
    let at = chrono::DateTime::from_timestamp_millis(START + event.offset + 8 * 3_600_000)
        .expect("a time of 2016");
    let mut columns = vec![""; 66];
    let amount = event.code.split_once('=').map_or("1.50", |(_, amount)| amount);
    let time = at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    (columns[0], columns[4], columns[9]) = (&time, event.order, event.code);
    (columns[11], columns[13], columns[30]) = (event.merchant, event.channel, amount);
    columns.join("||")
}

fn load(text: &str) -> (Arc<RuleSet>, Arc<FormatSet>) {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let text = format!("groups:\n  - name: g\n    rules:\n      - alert: A\n{text}");
    let files = [RuleFile { name: "r.yaml".into(), text: text.clone() }];
    let rules = RuleSet::load(&files, &formats).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    (Arc::new(rules), formats)
}

fn batch(formats: &Arc<FormatSet>, entries: &[Entry]) -> Batch {
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, formats.find("order-trace"));
    let mut batch = Batch::default();
    let source = batch.source_index(&Arc::from("file"));
    for entry in entries {
        match &entry.event {
            Some(event) => decoder.push(&mut batch, source, line(event).as_bytes(), entry.recv, false),
            None => batch.push_tick(0, entry.recv.unwrap_or_default()),
        }
    }
    decoder.flush(&mut batch, source);
    for (row, lsn) in batch.rows.iter_mut().zip(1..) {
        row.lsn = lsn;
    }
    batch
}

fn part(whole: &Batch, from: usize, to: usize) -> Batch {
    Batch { rows: whole.rows[from..to].to_vec(), ..whole.clone() }
}

/// A rule as the model and as a file has it. Times are short so that everything meets everything.
fn rule() -> impl Strategy<Value = (Rule, String, bool)> {
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

fn event() -> impl Strategy<Value = Event> {
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
fn file(mut events: Vec<Event>, jitters: &[i64], jitter: i64) -> Vec<Entry> {
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

fn arrivals(entries: &[Entry], by_channel: bool) -> Vec<Arrival> {
    let rec = |event: &Event| Rec {
        at: START + event.offset,
        key: if by_channel { event.channel.to_owned() } else { String::new() },
        thing: event.order.to_owned(),
        passes: !event.code.ends_with('-'),
        value: event.merchant.to_owned(),
        roles: ROLES.iter().map(|role| event.code.contains(role)).chain([!event.code.is_empty()]).collect(),
    };
    entries.iter().map(|e| Arrival { recv: e.recv, rec: e.event.as_ref().map(rec) }).collect()
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

fn backtest(text: &str, entries: &[Entry]) -> Vec<Arc<Alert>> {
    let (rules, formats) = load(text);
    let mut engine = Engine::for_backtest(rules, Arc::clone(&formats));
    engine.judge(&batch(&formats, entries), &mut Vec::new());
    engine.finish()
}

fn by_engine(text: &str, entries: &[Entry]) -> Vec<Told> {
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

/// Settled alerts of a rule over a file, in words: channel, from, fired, until, text and things.
fn check(
    rule: &str,
    events: &[(i64, &'static str, &'static str, &'static str)],
    expect: &expect_test::Expect,
) {
    let entry = |&(offset, order, code, channel)| Entry {
        recv: None,
        event: Some(Event { offset, order, code, channel, merchant: "", delay: 0 }),
    };
    let mut entries: Vec<Entry> = events.iter().map(entry).collect();
    entries.push(entry(&(100_000, "", "", "")));
    let at = |at: Option<i64>| at.map_or("-".to_owned(), |at| (at - START).to_string());
    let show = |a: &Arc<Alert>| {
        let key = a.labels.get("channel").map_or("", |channel| channel);
        let (from, fired, until) = (at(Some(a.active_ms)), at(a.fired_ms), at(a.ended_ms));
        format!("{key} {from} {fired} {until}: {} [{}]", a.reason.text, a.reason.distinct.join(" "))
    };
    let text: String = rule.lines().map(|line| format!("        {}\n", line.trim())).collect();
    let shown: Vec<String> = backtest(&text, &entries).iter().map(show).collect();
    expect.assert_eq(&shown.join("\n"));
}

const UNFINISHED: &str = "kind: unfinished
    start: response_code == \"S\"
    finish: response_code == \"F\"
    by: [channel]
    within: 10s
    resolve_after: 20s";

#[test]
fn a_finish_is_in_time_up_to_and_including_the_end() {
    check(UNFINISHED, &[(0, "a", "S", "GHT"), (10_000, "a", "F", "GHT")], &expect_test::expect![""]);
    check(
        UNFINISHED,
        &[(0, "a", "S", "GHT"), (10_001, "a", "F", "UMP")],
        &expect_test::expect!["GHT 10000 10000 10001: 1 order_no begun and not finished within 10s [a]"],
    );
}

#[test]
fn a_finish_shortly_before_the_start_or_at_its_instant_keeps_it_from_opening() {
    let finish = |at| [(at, "a", "F", "GHT"), (5_000, "a", "S", "GHT")];
    check(
        UNFINISHED,
        &finish(3_999),
        &expect_test::expect!["GHT 15000 15000 35000: 1 order_no begun and not finished within 10s [a]"],
    );
    check(UNFINISHED, &finish(4_000), &expect_test::expect![""]);
    check(UNFINISHED, &finish(5_000), &expect_test::expect![""]);
    // equal instants: whichever has the lower LSN
    check(UNFINISHED, &[(5_000, "a", "S", ""), (5_000, "a", "F", "")], &expect_test::expect![""]);
}

#[test]
fn starts_while_open_change_nothing_and_one_at_the_forgetting_opens_again() {
    check(
        UNFINISHED,
        &[(0, "a", "S", "GHT"), (29_999, "a", "S", "UMP")],
        &expect_test::expect!["GHT 10000 10000 30000: 1 order_no begun and not finished within 10s [a]"],
    );
    check(
        UNFINISHED,
        &[(0, "a", "S", "GHT"), (30_000, "a", "S", "UMP")],
        &expect_test::expect![[r#"
        GHT 10000 10000 30000: 1 order_no begun and not finished within 10s [a]
        UMP 40000 40000 60000: 1 order_no begun and not finished within 10s [a]"#]],
    );
}

#[test]
fn of_equal_starts_the_lower_lsn_names_the_key() {
    check(
        UNFINISHED,
        &[(0, "a", "S", "UMP"), (0, "a", "S", "GHT")],
        &expect_test::expect!["UMP 10000 10000 30000: 1 order_no begun and not finished within 10s [a]"],
    );
}

#[test]
fn an_alert_is_active_while_enough_of_its_things_are_bad() {
    let rule = UNFINISHED.replace("within:", "count: 2\nwithin:");
    let orders = [(0, "a", "S", "GHT"), (1_000, "b", "S", "GHT"), (1_500, "c", "S", "UMP")];
    check(
        &rule,
        &orders,
        &expect_test::expect!["GHT 11000 11000 30000: 2 order_no begun and not finished within 10s [a b]"],
    );
    // badness that touches: b is bad until 31.0, c from 31.0 on
    let touch =
        [(0, "a", "S", "GHT"), (21_000, "c", "S", "GHT"), (11_000, "a", "F", ""), (1_000, "b", "S", "GHT")];
    check(
        &UNFINISHED.replace("within:", "lateness: 1m\nwithin:"),
        &touch,
        &expect_test::expect!["GHT 10000 10000 51000: 1 order_no begun and not finished within 10s [a]"],
    );
}

#[test]
fn a_late_finish_ends_it_where_the_watermark_stands() {
    // when the finish of 10.5 is read the watermark stands at 15.0
    let late = [(0, "a", "S", "GHT"), (20_000, "b", "F", ""), (10_500, "a", "F", "")];
    check(
        UNFINISHED,
        &late,
        &expect_test::expect!["GHT 10000 10000 15000: 1 order_no begun and not finished within 10s [a]"],
    );
}

#[test]
fn without_a_thing_a_record_is_not_looked_at() {
    check(UNFINISHED, &[(0, "", "S", "GHT")], &expect_test::expect![""]);
}

#[test]
fn things_are_bounded_and_those_that_are_not_bad_go_first() {
    let (rules, formats) = load(
        "        kind: unfinished\n        start: response_code == \"S\"\n        finish: response_code == \"F\"\n        within: 1s\n",
    );
    let mut engine = Engine::with_keys_max(rules, Arc::clone(&formats), 1);
    let names: Vec<&'static str> = (0..12).map(|i| &*format!("o{i}").leak()).collect();
    let event = |order, code| Entry {
        recv: None,
        event: Some(Event { offset: 0, order, code, channel: "", merchant: "", delay: 0 }),
    };
    let mut entries = vec![event(names[0], "S")];
    entries.extend(names[1..].iter().map(|order| event(order, "F")));
    let last = Event { offset: 10_000, order: "", code: "", channel: "", merchant: "", delay: 0 };
    entries.push(Entry { recv: None, event: Some(last) });
    engine.judge(&batch(&formats, &entries), &mut Vec::new());
    let counts = &engine.counts().rules[0];
    assert_eq!((counts.things, counts.things_dropped), (10, 2));
    assert_eq!(engine.alerts()[0].reason.distinct, ["o0"]);
}

const TRANSITION: &str = "kind: transition
    field: response_code
    allowed: {S: [P, F], P: [F]}
    by: [channel]
    resolve_after: 10s";

#[test]
fn a_change_that_is_not_listed_is_bad_from_its_second_value() {
    // F may go nowhere; the allowed change that follows does not end it
    let changes =
        [(0, "a", "S", "GHT"), (1_000, "a", "F", "GHT"), (2_000, "a", "S", "UMP"), (3_000, "a", "P", "GHT")];
    check(
        TRANSITION,
        &changes,
        &expect_test::expect![
            "UMP 2000 2000 12000: 1 order_no with a change of response_code that is not allowed [a]"
        ],
    );
    // null between them and a value that stays are no changes
    check(TRANSITION, &[(0, "a", "S", ""), (1, "a", "", ""), (2, "a", "S", "")], &expect_test::expect![""]);
    // equal instants by LSN
    check(
        TRANSITION,
        &[(0, "a", "F", ""), (0, "a", "S", "")],
        &expect_test::expect![
            " 0 0 10000: 1 order_no with a change of response_code that is not allowed [a]"
        ],
    );
    check(TRANSITION, &[(0, "a", "S", ""), (0, "a", "F", "")], &expect_test::expect![""]);
    // the earlier value is remembered however long ago it was; badness that touches is one
    check(
        TRANSITION,
        &[(0, "a", "F", ""), (70_000, "a", "S", ""), (80_000, "a", "X", "")],
        &expect_test::expect![
            " 70000 70000 90000: 1 order_no with a change of response_code that is not allowed [a]"
        ],
    );
}

/// Transitions of a live engine: receive time in milliseconds, order and code as the record's time says.
fn check_live(rule: &str, records: &[(i64, i64, &'static str, &'static str)], expect: &expect_test::Expect) {
    let entry = |&(recv, offset, order, code)| Entry {
        recv: Some(START + recv),
        event: Some(Event { offset, order, code, channel: "", merchant: "", delay: 0 }),
    };
    let entries: Vec<Entry> = records.iter().map(entry).collect();
    let text: String = rule.lines().map(|line| format!("        {}\n", line.trim())).collect();
    let (rules, formats) = load(&text);
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    let mut out = Vec::new();
    engine.judge(&batch(&formats, &entries), &mut out);
    let show = |t: &Transition| {
        let early = if t.early { " early" } else { "" };
        let ended = t.alert.ended_ms.map_or("-".to_owned(), |at| (at - START).to_string());
        let things = t.alert.reason.distinct.join(" ");
        format!("{} {:?}{early} {} {ended} [{things}]", t.lsn, t.change, t.alert.active_ms - START)
    };
    expect.assert_eq(&out.iter().map(show).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_record_that_comes_between_withdraws_an_early_change() {
    let between = [(0, 0, "a", "S"), (2_000, 2_000, "a", "X"), (2_500, 1_000, "a", "X")];
    check_live(TRANSITION, &between, &expect_test::expect!["2 Fired early 2000 - [a]"]);
    let rule = TRANSITION.replace("P: [F]", "P: [F, X]");
    let contradicted =
        [(0, 0, "a", "S"), (2_000, 2_000, "a", "X"), (2_500, 1_000, "a", "P"), (9_000, 9_000, "", "")];
    check_live(
        &rule,
        &contradicted,
        &expect_test::expect![[r#"
        2 Fired early 2000 - [a]
        3 Withdrawn early 2000 2000 [a]"#]],
    );
    // confirmed when it is settled, resolved ten seconds after it
    let confirmed =
        [(0, 0, "a", "S"), (2_000, 2_000, "a", "X"), (9_000, 9_000, "", ""), (30_000, 30_000, "", "")];
    check_live(
        &rule,
        &confirmed,
        &expect_test::expect![[r#"
        2 Fired early 2000 - [a]
        3 Updated 2000 - [a]
        4 Resolved 2000 12000 [a]"#]],
    );
    let settled = format!("{rule}\nsettle: 2s");
    check_live(&settled, &contradicted, &expect_test::expect![""]);
    check_live(
        &settled,
        &confirmed,
        &expect_test::expect![[r#"
        3 Fired 2000 - [a]
        4 Resolved 2000 12000 [a]"#]],
    );
}

#[test]
fn steps_may_be_equal_in_time_and_exactly_within_after_the_first() {
    let rule = "kind: sequence
        steps: ['response_code == \"S\"', 'response_code == \"F\"']
        by: [channel]
        within: 5s
        resolve_after: 10s";
    check(
        rule,
        &[(0, "a", "S", "GHT"), (0, "a", "F", "UMP")],
        &expect_test::expect!["GHT 0 0 10000: 1 order_no through 2 steps within 5s [a]"],
    );
    check(rule, &[(0, "a", "F", ""), (0, "a", "S", "")], &expect_test::expect![""]);
    check(
        rule,
        &[(0, "a", "S", ""), (2_000, "a", "X", ""), (5_000, "a", "F", "")],
        &expect_test::expect![" 5000 5000 15000: 1 order_no through 2 steps within 5s [a]"],
    );
    check(rule, &[(0, "a", "S", ""), (5_001, "a", "F", "")], &expect_test::expect![""]);
}

const MISMATCH: &str = "kind: mismatch
    left: contains(response_code, \"L\")
    right: contains(response_code, \"R\")
    compare: [channel]
    by: [channel]
    within: 5s
    resolve_after: 10s";

#[test]
fn left_and_right_may_come_in_either_order_and_at_most_within_apart() {
    let apart = |ms| [(0, "a", "L", "GHT"), (ms, "a", "R", "UMP")];
    check(
        MISMATCH,
        &apart(5_000),
        &expect_test::expect!["GHT 5000 5000 15000: 1 order_no that differ in channel within 5s [a]"],
    );
    check(MISMATCH, &apart(5_001), &expect_test::expect![""]);
    check(
        MISMATCH,
        &apart(0),
        &expect_test::expect!["GHT 0 0 10000: 1 order_no that differ in channel within 5s [a]"],
    );
    // bad from the later one, whichever it is; it counts for the left one
    check(
        MISMATCH,
        &[(0, "a", "R", "GHT"), (3_000, "a", "L", "UMP")],
        &expect_test::expect!["UMP 3000 3000 13000: 1 order_no that differ in channel within 5s [a]"],
    );
    // of another thing
    check(MISMATCH, &[(0, "a", "R", "GHT"), (3_000, "b", "L", "UMP")], &expect_test::expect![""]);
}

#[test]
fn null_equals_only_null_and_decimals_are_equal_as_numbers() {
    check(MISMATCH, &[(0, "a", "L", ""), (1, "a", "R", "")], &expect_test::expect![""]);
    check(
        MISMATCH,
        &[(0, "a", "L", "GHT"), (1, "a", "R", "")],
        &expect_test::expect!["GHT 1 1 10001: 1 order_no that differ in channel within 5s [a]"],
    );
    let rule = MISMATCH.replace("compare: [channel]", "compare: [channel, amount]");
    check(&rule, &[(0, "a", "L=1.0", "GHT"), (1, "a", "R=1.00", "GHT")], &expect_test::expect![""]);
    check(
        &rule,
        &[(0, "a", "L=1.0", "GHT"), (1, "a", "R=1.001", "GHT")],
        &expect_test::expect!["GHT 1 1 10001: 1 order_no that differ in channel, amount within 5s [a]"],
    );
    // ill-typed is null
    check(
        &rule,
        &[(0, "a", "L=one", "GHT"), (1, "a", "R=", "GHT"), (2, "a", "R=0", "UMP")],
        &expect_test::expect!["GHT 2 2 10002: 1 order_no that differ in channel, amount within 5s [a]"],
    );
}

#[test]
fn a_record_that_is_left_and_right_does_not_pair_with_itself() {
    check(MISMATCH, &[(0, "a", "LR", "GHT"), (0, "a", "", "UMP")], &expect_test::expect![""]);
    // two of them are two pairs
    check(
        MISMATCH,
        &[(0, "a", "LR", "GHT"), (1_000, "a", "LR", "UMP")],
        &expect_test::expect![[r#"
            GHT 1000 1000 11000: 1 order_no that differ in channel within 5s [a]
            UMP 1000 1000 11000: 1 order_no that differ in channel within 5s [a]"#]],
    );
}

#[test]
fn every_pair_counts_and_one_that_agrees_ends_nothing() {
    let pairs = [
        (0, "a", "L", "GHT"),
        (1_000, "a", "R", "UMP"),
        (2_000, "a", "R", "GHT"),
        (4_000, "a", "R", ""),
        (12_000, "a", "R", ""),
    ];
    check(
        MISMATCH,
        &pairs,
        &expect_test::expect!["GHT 1000 1000 14000: 1 order_no that differ in channel within 5s [a]"],
    );
    // when the right one of 1.0 is read the watermark stands at 3.0
    let late = [(0, "a", "L", "GHT"), (8_000, "b", "", ""), (1_000, "a", "R", "UMP")];
    check(
        MISMATCH,
        &late,
        &expect_test::expect!["GHT 3000 3000 11000: 1 order_no that differ in channel within 5s [a]"],
    );
}

#[test]
fn a_mismatch_is_raised_by_the_later_record() {
    let records = [(0, 0, "a", "L=1"), (900, 900, "a", "R=2"), (20_000, 20_000, "", "")];
    check_live(
        &MISMATCH.replace("[channel]", "[amount]").replace("by: [amount]", "by: [channel]"),
        &records,
        &expect_test::expect![[r#"
            2 Fired early 900 - [a]
            3 Updated 900 - [a]
            3 Resolved 900 10900 [a]"#]],
    );
}

const NEW_VALUE: &str = "kind: new_value
    field: order_no
    where: has(response_code)
    by: [channel]
    remember: 20s
    learn: 10s
    resolve_after: 1s";

#[test]
fn a_value_is_new_again_when_it_was_not_seen_for_as_long_as_it_is_remembered() {
    let rule = NEW_VALUE.replace("learn: 10s", "learn: 0s");
    // 20.0 after: new; a millisecond less: known, and remembered from there on
    let again = [
        (0, "a", "x", "GHT"),
        (20_000, "a", "x", "GHT"),
        (39_999, "a", "x", "GHT"),
        (50_000, "a", "x", "GHT"),
        (69_999, "a", "x", "GHT"),
        (90_000, "a", "x", "GHT"),
    ];
    check(
        &rule,
        &again,
        &expect_test::expect![[r#"
            GHT 0 0 1000: 1 values of order_no not seen in the last 20s [a]
            GHT 20000 20000 21000: 1 values of order_no not seen in the last 20s [a]
            GHT 90000 90000 91000: 1 values of order_no not seen in the last 20s [a]"#]],
    );
}

#[test]
fn values_of_another_key_and_those_that_where_filters_out_were_not_seen() {
    let seen = [
        (0, "b", "x", "GHT"),
        (10_000, "a", "", "GHT"),
        (11_000, "a", "x", "GHT"),
        (12_000, "a", "x", "UMP"),
        (13_000, "b", "x", "GHT"),
        (14_000, "", "x", "GHT"),
    ];
    check(
        NEW_VALUE,
        &seen,
        &expect_test::expect![[r#"
            GHT 11000 11000 12000: 1 values of order_no not seen in the last 20s [a]
            UMP 12000 12000 13000: 1 values of order_no not seen in the last 20s [a]"#]],
    );
}

#[test]
fn nothing_is_new_while_it_learns_and_what_it_learned_is_known() {
    // history starts with the first record of the format, whether or not it concerns the rule
    let border = |at| {
        [(1_000, "b", "", "GHT"), (5_000, "c", "x", "GHT"), (at, "a", "x", "GHT"), (12_000, "c", "x", "GHT")]
    };
    check(NEW_VALUE, &border(10_999), &expect_test::expect![""]);
    check(
        NEW_VALUE,
        &border(11_000),
        &expect_test::expect!["GHT 11000 11000 12000: 1 values of order_no not seen in the last 20s [a]"],
    );
    // a day unless it says otherwise
    check(&NEW_VALUE.replace("learn: 10s", ""), &border(11_000), &expect_test::expect![""]);
    // the start is the lowest time that is known when its second is settled, here 0.3 after the first
    let lower = [(1_000, "b", "x", "GHT"), (700, "b", "x", "GHT"), (10_800, "a", "x", "GHT")];
    check(
        NEW_VALUE,
        &lower,
        &expect_test::expect!["GHT 10800 10800 11800: 1 values of order_no not seen in the last 20s [a]"],
    );
}

#[test]
fn a_late_sight_ends_it_where_the_watermark_stands() {
    // when the record of 15.0 is read the watermark stands at 16.0
    let rule = NEW_VALUE.replace("resolve_after: 1s", "resolve_after: 10s");
    let late =
        [(0, "b", "x", "GHT"), (15_500, "a", "x", "GHT"), (21_000, "", "", ""), (15_000, "a", "x", "GHT")];
    check(
        &rule,
        &late,
        &expect_test::expect!["GHT 15500 15500 25000: 1 values of order_no not seen in the last 20s [a]"],
    );
    // nothing of it is left when one of learning comes too late
    let late =
        [(0, "b", "x", "GHT"), (15_500, "a", "x", "GHT"), (21_000, "", "", ""), (9_999, "a", "x", "GHT")];
    check(
        &rule,
        &late,
        &expect_test::expect!["GHT 15500 15500 16000: 1 values of order_no not seen in the last 20s [a]"],
    );
}

#[test]
fn a_sight_that_comes_later_withdraws_an_early_one() {
    let records = [
        (0, 0, "b", "x"),
        (15_000, 15_000, "a", "x"),
        (15_100, 9_000, "a", "x"),
        (15_200, 15_200, "c", "x"),
        (15_300, 14_900, "c", "x"),
        (30_000, 30_000, "", ""),
    ];
    check_live(
        &format!("{NEW_VALUE}\nlateness: 10s"),
        &records,
        &expect_test::expect![[r#"
            2 Fired early 15000 - [a]
            3 Withdrawn early 15000 15000 [a]
            4 Fired early 15200 - [c]
            6 Updated 14900 - [c]
            6 Resolved 14900 15900 [c]"#]],
    );
}

#[test]
fn many_sights_of_a_value_take_no_more_room_than_few() {
    let text: String = NEW_VALUE.lines().map(|line| format!("        {}\n", line.trim())).collect();
    let (rules, formats) = load(&text);
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    let event = |i: i64| Entry {
        recv: None,
        event: Some(Event { offset: i * 50, order: "a", code: "x", channel: "", merchant: "", delay: 0 }),
    };
    let entries: Vec<Entry> = (0..3_000).map(event).collect();
    let mut out = Vec::new();
    engine.judge(&batch(&formats, &entries), &mut out);
    let counts = &engine.counts().rules[0];
    assert_eq!((counts.things, counts.thing_records_dropped, out.len()), (1, 0, 0));
    let mut bytes = Vec::new();
    engine.snapshot(&mut bytes);
    assert!(bytes.len() < 20_000, "{}", bytes.len());
}

/// At the bound of 256 records a thing the oldest goes; what it made bad is not bad any more.
#[test]
fn records_of_a_thing_are_bounded_and_the_oldest_go_first() {
    for (rule, text, is_on) in [
        (MISMATCH.replace("[channel]", "[amount]"), ["L=1", "R=2", "L=1", "R=1"], false),
        (TRANSITION.to_owned(), ["S", "S", "S", "S"], false),
    ] {
        let rule = rule.replace("10s", "1h").replace("5s", "1h");
        let text_of: String = rule.lines().map(|line| format!("        {}\n", line.trim())).collect();
        let (rules, formats) = load(&text_of);
        let mut engine = Engine::new(rules, Arc::clone(&formats));
        let event = |i: i64| {
            let code =
                text[usize::try_from(i).expect("small").min(2 + usize::try_from(i % 2).expect("0 or 1"))];
            Entry {
                recv: None,
                event: Some(Event { offset: i, order: "a", code, channel: "", merchant: "", delay: 0 }),
            }
        };
        let entries: Vec<Entry> = (0..300).map(event).collect();
        engine.judge(&batch(&formats, &entries), &mut Vec::new());
        let counts = &engine.counts().rules[0];
        assert_eq!((counts.things, counts.thing_records_dropped), (1, 44), "{rule}");
        assert_eq!(!engine.alerts().is_empty(), is_on, "{rule}");
        let mut bytes = Vec::new();
        engine.snapshot(&mut bytes);
        let (again, _) = Engine::restore(load(&text_of).0, formats, &bytes).expect("just written");
        assert_eq!(again.counts(), engine.counts());
    }
}
