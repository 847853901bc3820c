//! Random streams under random rules: the engine's backtest and the naive model tell the same alerts.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Alert, Change, Engine, RuleFile, RuleSet};

use crate::naive::{self, Flatline, Rule, Seen, Shape, Spike, Told};

/// 2016-07-22 10:00:00 UTC, 18:00 in the format's zone: a whole step of every length used here.
pub(crate) const START: i64 = 1_469_181_600_000;

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) offset: i64,
    pub(crate) code: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) merchant: &'static str,
}

pub(crate) fn event(span: i64) -> impl Strategy<Value = Event> {
    let code = prop_oneof![5 => Just("NET_ERR"), 2 => Just("TIMEOUT"), 1 => Just("0000"), 1 => Just("9999"), 1 => Just("")];
    let channel = prop_oneof![4 => Just("GHT"), 2 => Just("UMP"), 1 => Just("")];
    let merchant = prop_oneof![Just("M1"), Just("M2"), Just("M3"), Just("")];
    // Half of the times on whole seconds and ties: borders are where rules go wrong.
    let offset = prop_oneof![
        0..span,
        (0..span / 1_000).prop_map(|s| s * 1_000),
        (0..span / 500).prop_map(|h| h * 500)
    ];
    (offset, code, channel, merchant).prop_map(|(offset, code, channel, merchant)| Event {
        offset,
        code,
        channel,
        merchant,
    })
}

/// A rule as the naive model and as a file.
pub(crate) fn rule() -> impl Strategy<Value = (Rule, String, i64)> {
    with_waits(shape())
}

fn with_waits(
    shape: impl Strategy<Value = (Shape, String, i64)>,
) -> impl Strategy<Value = (Rule, String, i64)> {
    let waits = (prop_oneof![Just(0i64), 0..8i64], prop_oneof![Just(0i64), 0..8i64], 0..6i64);
    (shape, waits, any::<bool>()).prop_map(|((shape, text, span), (pending, keep, lateness), half)| {
        let half = if half { 500 } else { 0 };
        let with_half = |seconds: i64| if seconds == 0 { 0 } else { seconds * 1_000 - half };
        let (pending_for, keep_firing_for) = (with_half(pending), with_half(keep));
        let lateness = lateness * 1_000;
        let text = format!(
            "{text}        lateness: {lateness}ms\n        for: {pending_for}ms\n        keep_firing_for: {keep_firing_for}ms\n"
        );
        (Rule { shape, lateness, pending_for, keep_firing_for }, text, span)
    })
}

fn shape() -> impl Strategy<Value = (Shape, String, i64)> {
    let any_kind = (1..10i64).prop_map(|s| {
        (
            Shape::Any { resolve_after: s * 1_000 },
            format!("        kind: any\n        resolve_after: {s}s\n"),
            60_000,
        )
    });
    let frequency = (1..6usize, prop_oneof![1..12i64, 598..603i64, Just(1_801)], prop::option::of(1..3usize))
        .prop_map(|(count, within, distinct)| {
            let field = distinct.map_or(String::new(), |min| {
                format!("        distinct: {{field: merchant_no, min: {min}}}\n")
            });
            let text = format!(
                "        kind: frequency\n        count: {count}\n        within: {within}s\n{field}"
            );
            let span = if within > 100 { 3_000_000 } else { 40_000 };
            (Shape::Frequency { count, within: within * 1_000, distinct }, text, span)
        });
    let sustained = (1..4usize, 1..5i64, 1..5i64, prop::option::of((1..3usize, any::<bool>()))).prop_map(
        |(count, every, steps, distinct)| {
            let field = distinct.map_or(String::new(), |(min, per_step)| {
                let over = if per_step { "step" } else { "window" };
                format!("        distinct: {{field: merchant_no, min: {min}, over: {over}}}\n")
            });
            let within = every * steps;
            let text = format!(
                "        kind: sustained\n        count: {count}\n        every: {every}s\n        within: {within}s\n{field}"
            );
            (Shape::Sustained { count, every: every * 1_000, within: within * 1_000, distinct }, text, 30_000)
        },
    );
    let consecutive = (1..6usize, 1..7i64).prop_map(|(count, within)| {
        let text = format!(
            "        kind: consecutive\n        reset: response_code == \"0000\"\n        count: {count}\n        within: {within}s\n"
        );
        (Shape::Consecutive { count, within: within * 1_000 }, text, 9_000)
    });
    prop_oneof![1 => any_kind, 2 => frequency, 2 => sustained, 2 => consecutive, 2 => cardinality(), 2 => ratio(), 3 => aggregate(), 3 => volume()]
}

/// Lengths of windows in seconds: short, around the first change of the bucket length, long.
fn within() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 1..12i64, 1 => 598..603i64, 1 => Just(1_801)]
}

fn span_of(within: i64) -> i64 {
    if within > 100 { 3_000_000 } else { 40_000 }
}

fn cardinality() -> impl Strategy<Value = (Shape, String, i64)> {
    let bounds = prop_oneof![
        (1..5usize).prop_map(|min| (Some(min), None)),
        (0..3usize).prop_map(|max| (None, Some(max))),
        (2..4usize, 0..2usize).prop_map(|(min, max)| (Some(min), Some(max))),
    ];
    (bounds, within()).prop_map(|((min, max), within)| {
        let key = |name: &str, bound: Option<usize>| {
            bound.map_or(String::new(), |bound| format!("        {name}: {bound}\n"))
        };
        let text = format!(
            "        kind: cardinality\n        field: merchant_no\n        within: {within}s\n{}{}",
            key("min", min),
            key("max", max)
        );
        (Shape::Cardinality { min, max, within: within * 1_000 }, text, span_of(within))
    })
}

fn ratio() -> impl Strategy<Value = (Shape, String, i64)> {
    let bounds = prop_oneof![
        (0..=100i64).prop_map(|below| (Some(below), None)),
        (0..=100i64).prop_map(|above| (None, Some(above))),
        Just((Some(25), Some(50))),
        Just((Some(50), None)),
    ];
    let confidence = prop_oneof![
        2 => Just(None),
        1 => Just(Some((0.9, 1.644_853_626_951_472_2))),
        1 => Just(Some((0.5, 0.674_489_750_196_081_7))),
    ];
    (bounds, 1..6usize, confidence, within()).prop_map(|((below, above), min_total, confidence, within)| {
        let key = |name: &str, bound: Option<i64>| {
            bound.map_or(String::new(), |bound| {
                format!("        {name}: {}.{:02}\n", bound / 100, bound % 100)
            })
        };
        let sure = confidence.map_or(String::new(), |(level, _)| format!("        confidence: {level}\n"));
        let text = format!(
            "        kind: ratio\n        match: response_code == \"TIMEOUT\"\n        within: {within}s\n        min_total: {min_total}\n{}{}{sure}",
            key("below", below),
            key("above", above)
        );
        let z = confidence.map(|(_, z)| z);
        let shape = Shape::Ratio { below, above, min_total, z, within: within * 1_000 };
        (shape, text, span_of(within))
    })
}

/// Kinds about how much comes.
fn volume() -> impl Strategy<Value = (Shape, String, i64)> {
    prop_oneof![spike(), flatline()]
}

/// Hours as a rule names them, and the same from and to seconds after [`START`] (10:00 UTC, a Friday).
const HOURS: [(&str, &[(i64, i64)]); 6] = [
    ("first", &[(0, 60)]),
    ("second", &[(60, 120)]),
    ("first, third", &[(0, 60), (120, 50_400)]),
    ("second, first", &[(0, 60), (60, 120)]),
    ("shanghai", &[(60, 120)]),
    ("never", &[]),
];

pub(crate) const INTERVALS: &str = "time_intervals:
  - {name: first, time_intervals: [{times: [{start_time: 09:00, end_time: 10:01}], weekdays: [friday]}]}
  - {name: second, time_intervals: [{times: [{start_time: 10:01, end_time: 10:02}], months: ['6:7']}]}
  - {name: third, time_intervals: [{times: [{start_time: 10:02, end_time: 24:00}], days_of_month: ['-10:-1']}]}
  - {name: shanghai, time_intervals: [{times: [{start_time: 18:01, end_time: 18:02}], location: Asia/Shanghai}]}
  - {name: never, time_intervals: [{years: ['2017:2018']}, {weekdays: ['saturday', sunday]}]}
";

fn flatline() -> impl Strategy<Value = (Shape, String, i64)> {
    let within = prop_oneof![6 => 1..20i64, 1 => 598..603i64];
    let expect = prop_oneof![2 => Just(None), 3 => (1..40i64).prop_map(Some), 1 => Just(Some(1_000))];
    let hours = prop_oneof![2 => Just(None), 3 => prop::sample::select(HOURS.to_vec()).prop_map(Some)];
    (within, 1..4usize, expect, hours).prop_map(|(within, count, expect, hours)| {
        let mut text = format!("        kind: flatline\n        within: {within}s\n");
        if count > 1 {
            text += &format!("        count: {count}\n");
        }
        let expect = match expect {
            None => {
                text += EXPECT_LISTED;
                Ok(vec!["GHT", "UMP", "XXX", ""])
            }
            Some(forget_after) => {
                text += &format!("        expect: seen\n        forget_after: {forget_after}s\n");
                Err(forget_after * 1_000)
            }
        };
        // Long windows would nearly never be inside.
        let hours = hours.filter(|_| within < 100);
        if let Some((names, _)) = hours {
            text += &format!("        hours: [{names}]\n");
        }
        let hours = hours.map(|(_, hours)| {
            let instant = |seconds: i64| START + seconds * 1_000;
            hours.iter().map(|(from, to)| (instant(*from), instant(*to))).collect()
        });
        let span = if within > 100 { 1_500_000 } else { 175_000 };
        (Shape::Flatline(Flatline { within: within * 1_000, count, expect, hours }), text, span)
    })
}

/// The keys that are expected, where the rule is by channel.
const EXPECT_LISTED: &str = "        expect: [GHT, UMP, XXX, '']\n";

/// The keys that are expected in the words of a rule by these fields.
pub(crate) fn expecting(text: &str, by: &str) -> String {
    let keys = match by {
        "" => "",
        "channel" => EXPECT_LISTED,
        _ => "        expect: [{channel: GHT, merchant_no: M1}, {channel: XXX, merchant_no: ''}]\n",
    };
    text.replace(EXPECT_LISTED, keys)
}

fn spike() -> impl Strategy<Value = (Shape, String, i64)> {
    let factor = prop::sample::select(vec![50i128, 100, 133, 150, 200, 300]);
    let least = || prop::option::of(prop::sample::select(vec![1i128, 500, 1_000, 1_500, 2_000, 3_000]));
    let direction = prop::sample::select(vec![None, Some("up"), Some("down"), Some("both")]);
    let offsets = prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec(3..14i64, 1..4)];
    let within = prop_oneof![4 => 1..9i64, 1 => Just(15), 1 => Just(21)];
    (within, factor, least(), least(), direction, offsets, any::<bool>()).prop_map(
        |(within, factor, min_reference, min_current, direction, offsets, sum)| {
            let number = |name: &str, number: Option<i128>| {
                number.map_or(String::new(), |n| format!("        {name}: {}.{:03}\n", n / 1_000, n % 1_000))
            };
            let mut text = format!(
                "        kind: spike\n        within: {within}s\n        factor: {}.{:02}\n{}{}",
                factor / 100,
                factor % 100,
                number("min_reference", min_reference),
                number("min_current", min_current)
            );
            if let Some(direction) = direction {
                text += &format!("        direction: {direction}\n");
            }
            if !offsets.is_empty() {
                let list: Vec<String> = offsets.iter().map(|seconds| format!("{seconds}s")).collect();
                text += &format!("        offset: [{}]\n", list.join(", "));
            }
            text += if sum { "        sum: amount\n" } else { "" };
            let spike = Spike {
                within: within * 1_000,
                offsets: offsets.iter().map(|seconds| seconds * 1_000).collect(),
                factor,
                min_reference: min_reference.unwrap_or(1_000),
                min_current: min_current.unwrap_or(1_000),
                up: direction != Some("down"),
                down: matches!(direction, Some("down" | "both")),
                sum,
            };
            (Shape::Spike(spike), text, 60_000)
        },
    )
}

/// Amounts as they stand in lines, with their thousandths; what is no number is null.
const AMOUNTS: [(&str, Option<i64>); 8] = [
    ("0.1", Some(100)),
    ("0.20", Some(200)),
    ("3", Some(3_000)),
    ("-1.005", Some(-1_005)),
    ("1000000000000", Some(1_000_000_000_000_000)),
    ("0", Some(0)),
    ("", None),
    ("1.0x", None),
];

fn aggregate() -> impl Strategy<Value = (Shape, String, i64)> {
    let name = prop::sample::select(vec!["sum", "avg", "min", "max", "p50", "p90", "p95", "p99"]);
    let bound =
        || prop::sample::select(vec![0, 100, 150, 200, 300, 400, 3_000, -1_005, 1_000_000_000_000_000]);
    let bounds = prop_oneof![
        bound().prop_map(|below| (Some(below), None)),
        bound().prop_map(|above| (None, Some(above))),
        Just((Some(100), Some(3_000))),
    ];
    (name, bounds, 1..5usize, within()).prop_map(|(name, (below, above), min_total, within)| {
        let key = |name: &str, bound: Option<i64>| {
            bound.map_or(String::new(), |bound: i64| {
                let sign = if bound < 0 { "-" } else { "" };
                let size = bound.abs();
                format!("        {name}: {sign}{}.{:03}\n", size / 1_000, size % 1_000)
            })
        };
        let text = format!(
            "        kind: aggregate\n        fn: {name}\n        field: amount\n        within: {within}s\n        min_total: {min_total}\n{}{}",
            key("below", below),
            key("above", above)
        );
        (Shape::Aggregate { name, below, above, min_total, within: within * 1_000 }, text, span_of(within))
    })
}

/// The amount of an event: by its time, so that events of one millisecond have one.
fn amount(event: &Event) -> (&'static str, Option<i64>) {
    AMOUNTS[(event.offset / 500 + event.offset % 7) as usize % AMOUNTS.len()]
}

pub(crate) fn line(event: &Event) -> String {
    let at = chrono::DateTime::from_timestamp_millis(START + event.offset + 8 * 3_600_000)
        .expect("a time of 2016");
    let mut columns = vec![""; 66];
    let time = at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    (columns[0], columns[9], columns[11], columns[13]) = (&time, event.code, event.merchant, event.channel);
    columns[30] = amount(event).0;
    // No verdict depends on it.
    columns[4] = ["CEX1", "CEX2", "", "CEX3"][event.offset.rem_euclid(4) as usize];
    columns.join("||")
}

pub(crate) fn loaded(text: &str, by_channel: bool, events: &[Event]) -> (RuleSet, Arc<FormatSet>, Batch) {
    let by = if by_channel { "        by: [channel]\n" } else { "" };
    let text = expecting(text, if by_channel { "channel" } else { "" });
    let file = format!(
        "{INTERVALS}groups:\n  - name: g\n    rules:\n      - alert: A\n        where: response_code in [\"NET_ERR\", \"TIMEOUT\"]\n{by}{text}"
    );
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let files = [RuleFile { name: "r.yaml".into(), text: file.clone() }];
    let rules = RuleSet::load(&files, &formats).unwrap_or_else(|errors| panic!("{errors:?}\n{file}"));
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, None);
    let mut batch = Batch::default();
    let source = batch.source_index(&Arc::from("file"));
    for event in events {
        decoder.push(&mut batch, source, line(event).as_bytes(), None, false);
    }
    decoder.flush(&mut batch, source);
    for (row, lsn) in batch.rows.iter_mut().zip(1..) {
        row.lsn = lsn;
    }
    (rules, formats, batch)
}

fn told(alert: &Alert) -> Told {
    Told {
        active_at: alert.active_ms,
        key: alert.labels.get("channel").cloned().unwrap_or_default(),
        fired_at: alert.fired_ms,
        ended_at: alert.ended_ms,
    }
}

pub(crate) fn by_engine(text: &str, by_channel: bool, events: &[Event]) -> Vec<Told> {
    let (rules, formats, batch) = loaded(text, by_channel, events);
    let mut engine = Engine::for_backtest(Arc::new(rules), formats);
    engine.judge(&batch, &mut Vec::new());
    let mut all: Vec<Told> = engine.finish().iter().map(|alert| told(alert)).collect();
    all.sort();
    all
}

/// An event as the model sees it.
pub(crate) fn seen(event: &Event, by_channel: bool) -> Seen {
    Seen {
        at: START + event.offset,
        key: if by_channel { event.channel.to_owned() } else { String::new() },
        matched: ["NET_ERR", "TIMEOUT"].contains(&event.code),
        part: event.code == "TIMEOUT",
        number: amount(event).1,
        reset: event.code == "0000",
        field: event.merchant.to_owned(),
    }
}

fn by_model(rule: &Rule, by_channel: bool, events: &[Event]) -> Vec<Told> {
    let stream: Vec<Seen> = events.iter().map(|event| seen(event, by_channel)).collect();
    let mut rule = rule.clone();
    if let (Shape::Flatline(Flatline { expect: Ok(keys), .. }), false) = (&mut rule.shape, by_channel) {
        *keys = vec![""];
    }
    naive::backtest(&rule, &stream)
}

/// Sorted by time, then each moved by less than `jitter`: what a network does to a stream.
pub(crate) fn arrival(mut events: Vec<Event>, jitters: &[i64], jitter: i64) -> Vec<Event> {
    // Records of one millisecond move together: their ties are broken by LSN.
    let moved = |offset: i64| jitters[offset as usize % jitters.len()] % jitter.max(1);
    let mut order: Vec<(i64, Event)> =
        events.drain(..).map(|event| (event.offset + moved(event.offset), event)).collect();
    order.sort_by_key(|(at, _)| *at);
    order.into_iter().map(|(_, event)| event).collect()
}

/// Streams in which nothing fires prove little: most must tell something.
#[test]
fn random_streams_raise_alerts() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut told = [0; 3];
    for _ in 0..300 {
        let (rule, text, span) = rule().new_tree(&mut runner).expect("a rule").current();
        let events =
            prop::collection::vec(event(span), 1..70).new_tree(&mut runner).expect("events").current();
        let alerts = by_engine(&text, true, &arrival(events, &[0], 1));
        told[0] += usize::from(!alerts.is_empty());
        told[1] += usize::from(alerts.iter().any(|a| a.fired_at.is_some() && a.ended_at.is_some()));
        told[2] += usize::from(alerts.iter().any(|a| a.fired_at.is_none()) && rule.pending_for > 0);
    }
    assert!(told[0] > 150 && told[1] > 75 && told[2] > 15, "any, fired and ended, pending only: {told:?}");
}

/// The same for the kinds that look at history start, which few of all rules are.
#[test]
fn random_streams_raise_alerts_about_volume() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for kind in ["spike", "flatline"] {
        let (mut fired, mut ended) = (0, 0);
        for _ in 0..300 {
            let (_, text, span) = with_waits(volume()).new_tree(&mut runner).expect("a rule").current();
            let events =
                prop::collection::vec(event(span), 1..70).new_tree(&mut runner).expect("events").current();
            if text.contains(kind) {
                let alerts = by_engine(&text, true, &arrival(events, &[0], 1));
                fired += usize::from(alerts.iter().any(|a| a.fired_at.is_some()));
                ended += usize::from(alerts.iter().any(|a| a.fired_at.is_some() && a.ended_at.is_some()));
            }
        }
        assert!(fired > 40 && ended > 30, "{kind}: {fired} {ended}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_and_model_agree_about_volume(
        ((rule, text, _span), events) in with_waits(volume()).prop_flat_map(|r| {
            let span = r.2;
            (Just(r), prop::collection::vec(event(span), 1..70))
        }),
        by_channel in any::<bool>(),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        disorder in 0..3usize,
    ) {
        let jitter = [1, rule.lateness, rule.lateness * 3 + 1_000][disorder];
        let events = arrival(events, &jitters, jitter);
        prop_assert_eq!(by_engine(&text, by_channel, &events), by_model(&rule, by_channel, &events), "{:?} {}", rule, text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_and_model_agree(
        ((rule, text, _span), events) in rule().prop_flat_map(|r| {
            let span = r.2;
            (Just(r), prop::collection::vec(event(span), 1..70))
        }),
        by_channel in any::<bool>(),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        // In order; shuffled within the lateness; beyond it, so that some records are late.
        disorder in 0..3usize,
    ) {
        let jitter = [1, rule.lateness, rule.lateness * 3 + 1_000][disorder];
        let events = arrival(events, &jitters, jitter);
        prop_assert_eq!(by_engine(&text, by_channel, &events), by_model(&rule, by_channel, &events), "{:?} {}", rule, text);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a live engine resolves by settled verdicts when the stream is over is what the model tells of it.
    #[test]
    fn live_engines_settle_on_the_same_alerts(
        ((rule, text, span), mut events) in rule().prop_flat_map(|r| {
            let span = r.2;
            (Just(r), prop::collection::vec(event(span), 1..70))
        }),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        disorder in 0..3usize,
    ) {
        let jitter = [1, rule.lateness, rule.lateness * 3 + 1_000][disorder];
        events = arrival(events, &jitters, jitter);
        // When all windows and delays are over a record that is no match.
        let rest = if span > 100_000 { 1_900_000 } else { 70_000 };
        events.push(Event { offset: span + rest, code: "", channel: "", merchant: "" });
        let (rules, formats, batch) = loaded(&text, true, &events);
        let mut engine = Engine::new(Arc::new(rules), formats);
        let mut out = Vec::new();
        engine.judge(&batch, &mut out);
        let ended = out.iter().filter(|t| matches!(t.change, Change::Resolved | Change::Dropped));
        let mut ended: Vec<Told> = ended.map(|t| told(&t.alert)).collect();
        // What is silent stays on: both have ended what is over before the last record.
        let last = START + span + rest - 10_000;
        let is_over = |told: &Told| told.ended_at.is_some_and(|at| at < last);
        ended.retain(is_over);
        ended.sort();
        let mut expect = by_model(&rule, true, &events);
        if let Shape::Flatline(_) = rule.shape {
            expect.retain(is_over);
        }
        prop_assert_eq!(ended, expect, "{:?} {}", rule, text);
        if !matches!(rule.shape, Shape::Flatline(_)) {
            prop_assert!(engine.alerts().is_empty());
            prop_assert_eq!(engine.counts().rules[0].keys, 0, "nothing is remembered of what is over");
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn settled_alerts_do_not_depend_on_order_within_the_lateness(
        ((rule, text, _span), events) in rule().prop_flat_map(|r| {
            let span = r.2;
            (Just(r), prop::collection::vec(event(span), 1..70))
        }),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
    ) {
        let in_order = arrival(events, &[0], 1);
        let shuffled = arrival(in_order.clone(), &jitters, rule.lateness);
        prop_assert_eq!(by_engine(&text, true, &in_order), by_engine(&text, true, &shuffled), "{}", text);
    }
}
