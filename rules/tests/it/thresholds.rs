//! `thresholds`: random rows against the naive models, and their borders by hand.
//!
//! The model asks, key by key and instant by instant, which row is the first that fits.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Engine, RuleFile, RuleSet};

use crate::naive::{self, Flatline, Rule, Seen, Shape, Spike, Told};
use crate::streams::{self, Event, START, arrival, seen};
use crate::things;
use crate::things_naive;

/// A row as the model has it. Numbers are those of [`Shape`].
#[derive(Debug, Clone, Default)]
struct Row {
    key: Option<&'static str>,
    from: Option<i64>,
    until: Option<i64>,
    count: Option<i64>,
    min: Option<i64>,
    max: Option<i64>,
    below: Option<i64>,
    above: Option<i64>,
    min_total: Option<i64>,
    factor: Option<i64>,
    min_reference: Option<i64>,
    min_current: Option<i64>,
}

impl Row {
    fn fits(&self, key: &str, instant: i64) -> bool {
        self.key.is_none_or(|named| named == key)
            && self.from.is_none_or(|from| from <= instant)
            && self.until.is_none_or(|until| instant < until)
    }
}

/// The shape with the numbers of the first row that fits.
fn shape_at(shape: &Shape, rows: &[Row], key: &str, instant: i64) -> Shape {
    let Some(row) = rows.iter().find(|row| row.fits(key, instant)) else { return shape.clone() };
    let size = |own: usize, other: Option<i64>| other.map_or(own, |n| n as usize);
    match shape.clone() {
        Shape::Any { .. } => panic!("no numbers"),
        Shape::Frequency { count, within, distinct } => Shape::Frequency {
            count: size(count, row.count),
            within,
            distinct: distinct.map(|min| size(min, row.min)),
        },
        Shape::Sustained { count, every, within, distinct } => Shape::Sustained {
            count: size(count, row.count),
            every,
            within,
            distinct: distinct.map(|(min, per_step)| (size(min, row.min), per_step)),
        },
        Shape::Consecutive { count, within } => Shape::Consecutive { count: size(count, row.count), within },
        Shape::Cardinality { min, max, within } => Shape::Cardinality {
            min: row.min.map(|n| n as usize).or(min),
            max: row.max.map(|n| n as usize).or(max),
            within,
        },
        Shape::Aggregate { name, below, above, min_total, within } => Shape::Aggregate {
            name,
            below: row.below.or(below),
            above: row.above.or(above),
            min_total: size(min_total, row.min_total),
            within,
        },
        Shape::Ratio { below, above, min_total, z, within } => Shape::Ratio {
            below: row.below.or(below),
            above: row.above.or(above),
            min_total: size(min_total, row.min_total),
            z,
            within,
        },
        Shape::Spike(spike) => Shape::Spike(Spike {
            factor: row.factor.map_or(spike.factor, i128::from),
            min_reference: row.min_reference.map_or(spike.min_reference, i128::from),
            min_current: row.min_current.map_or(spike.min_current, i128::from),
            ..spike
        }),
        Shape::Flatline(flatline) => {
            Shape::Flatline(Flatline { count: size(flatline.count, row.count), ..flatline })
        }
    }
}

/// Which numbers a shape has, with what they may be, and how many digits stand after the point.
fn numbers(shape: &Shape) -> Vec<(&'static str, std::ops::Range<i64>, u32)> {
    match shape {
        Shape::Any { .. } => vec![],
        Shape::Frequency { distinct, .. } => {
            vec![("count", 1..7, 0), ("min", 1..4, 0)][..1 + usize::from(distinct.is_some())].to_vec()
        }
        Shape::Sustained { distinct, .. } => {
            vec![("count", 1..4, 0), ("min", 1..3, 0)][..1 + usize::from(distinct.is_some())].to_vec()
        }
        Shape::Consecutive { .. } => vec![("count", 1..7, 0)],
        Shape::Cardinality { .. } => vec![("min", 1..5, 0), ("max", 0..4, 0)],
        Shape::Aggregate { .. } => {
            vec![("below", 0..3_000, 3), ("above", 0..3_000, 3), ("min_total", 1..5, 0)]
        }
        Shape::Ratio { .. } => vec![("below", 0..101, 2), ("above", 0..101, 2), ("min_total", 1..6, 0)],
        Shape::Spike(_) => {
            vec![("factor", 50..400, 2), ("min_reference", 1..3_000, 3), ("min_current", 0..3_000, 3)]
        }
        Shape::Flatline(_) => vec![("count", 0..5, 0)],
    }
}

fn set(row: &mut Row, name: &str, number: i64) {
    *match name {
        "count" => &mut row.count,
        "min" => &mut row.min,
        "max" => &mut row.max,
        "below" => &mut row.below,
        "above" => &mut row.above,
        "min_total" => &mut row.min_total,
        "factor" => &mut row.factor,
        "min_reference" => &mut row.min_reference,
        _ => &mut row.min_current,
    } = Some(number);
}

/// What a random row is made of; the numbers are cut to what the shape has.
type Seeds = (Option<&'static str>, Option<i64>, Option<i64>, Vec<Option<u16>>, u8);

fn seeds(span: i64) -> impl Strategy<Value = Vec<Seeds>> {
    let key = prop_oneof![
        2 => Just(None),
        3 => Just(Some("GHT")),
        2 => Just(Some("UMP")),
        1 => Just(Some("")),
        1 => Just(Some("XXX"))
    ];
    let at = move || {
        prop_oneof![0..span, (0..span / 1_000).prop_map(|s| s * 1_000), (0..span / 500).prop_map(|h| h * 500)]
    };
    let number = prop::collection::vec(prop::option::of(any::<u16>()), 3);
    let row = (key, prop::option::of(at()), prop::option::of(at()), number, any::<u8>());
    prop::collection::vec(row, 1..6)
}

/// Rows as the model and as a file have them.
fn rows(seeds: &[Seeds], numbers: &[(&'static str, std::ops::Range<i64>, u32)]) -> (Vec<Row>, String) {
    let (mut rows, mut text) = (Vec::new(), "        thresholds:\n".to_owned());
    for (key, from, until, chosen, form) in seeds {
        let mut row = Row { key: *key, ..Row::default() };
        let mut parts: Vec<String> = key.iter().map(|key| format!("channel: '{key}'")).collect();
        let (from, until) = match (*from, *until) {
            (Some(from), Some(until)) if from == until => (Some(from), None),
            (Some(from), Some(until)) => (Some(from.min(until)), Some(from.max(until))),
            other => other,
        };
        for (name, offset) in [("valid_from", from), ("valid_to", until)] {
            let Some(offset) = offset else { continue };
            let instant = chrono::DateTime::from_timestamp_millis(START + offset).expect("an instant");
            let local = instant.with_timezone(&chrono_tz::Asia::Shanghai);
            let written = match form % 3 {
                0 => instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                1 => local.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
                _ => local.format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
            };
            parts.push(format!("{name}: {written}"));
        }
        (row.from, row.until) = (from.map(|at| START + at), until.map(|at| START + at));
        for ((name, range, digits), chosen) in numbers.iter().zip(chosen) {
            let Some(chosen) = chosen else { continue };
            let number = range.start + i64::from(*chosen) % (range.end - range.start);
            let unit = 10_i64.pow(*digits);
            parts.push(match digits {
                0 => format!("{name}: {number}"),
                _ => format!("{name}: {}.{:0width$}", number / unit, number % unit, width = *digits as usize),
            });
            set(&mut row, name, number);
        }
        text += &format!("          - {{{}}}\n", parts.join(", "));
        rows.push(row);
    }
    (rows, text)
}

fn by_model(rule: &Rule, rows: &[Row], events: &[Event]) -> Vec<Told> {
    let stream: Vec<Seen> = events.iter().map(|event| seen(event, true)).collect();
    naive::backtest_by(rule, &stream, &|key, instant| shape_at(&rule.shape, rows, key, instant))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_and_model_agree(
        ((rule, text, span), events, seeds) in streams::rule()
            .prop_filter("a kind with numbers", |(rule, ..)| !matches!(rule.shape, Shape::Any { .. }))
            .prop_flat_map(|r| {
                let span = r.2;
                (Just(r), prop::collection::vec(streams::event(span), 1..70), seeds(span))
            }),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        disorder in 0..3usize,
    ) {
        let jitter = [1, rule.lateness, rule.lateness * 3 + 1_000][disorder];
        let events = arrival(events, &jitters, jitter);
        let (rows, rows_text) = rows(&seeds, &numbers(&rule.shape));
        let text = format!("{text}{rows_text}");
        let _ = span;
        prop_assert_eq!(streams::by_engine(&text, true, &events), by_model(&rule, &rows, &events), "{:?} {}", rule, text);
    }

    #[test]
    fn engine_and_model_agree_about_things(
        (rule, text, by_channel) in things::rule(),
        events in prop::collection::vec(things::event(), 1..30),
        seeds in seeds(9_000),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        disorder in 0..3usize,
    ) {
        let jitter = [1, rule.lateness, rule.lateness * 3 + 3_000][disorder];
        let entries = things::file(events, &jitters, jitter);
        // Without `by` there is no key to name.
        let seeds: Vec<Seeds> = seeds.into_iter().map(|s| if by_channel { s } else { (None, s.1, s.2, s.3, s.4) }).collect();
        let (rows, rows_text) = rows(&seeds, &[("count", 1..4, 0)]);
        let text = format!("{text}{rows_text}");
        let needed = |key: &str, at: i64| {
            rows.iter().find(|row| row.fits(key, at)).and_then(|row| row.count).map_or(rule.count, |n| n as usize)
        };
        let borders: Vec<i64> = rows.iter().flat_map(|row| [row.from, row.until]).flatten().collect();
        let arrivals = things::arrivals(&entries, by_channel);
        let expect = things_naive::alerts_needing(&rule, &arrivals, None, &needed, &borders);
        prop_assert_eq!(things::by_engine(&text, &entries), expect, "{:?} {}", rule, text);
    }
}

/// Streams in which rows change nothing prove little.
#[test]
fn random_rows_matter() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut differ = 0;
    for _ in 0..300 {
        let (rule, text, span) = streams::rule().new_tree(&mut runner).expect("a rule").current();
        let events = prop::collection::vec(streams::event(span), 1..70);
        let events = arrival(events.new_tree(&mut runner).expect("events").current(), &[0], 1);
        let seeds = seeds(span).new_tree(&mut runner).expect("rows").current();
        if matches!(rule.shape, Shape::Any { .. }) {
            continue;
        }
        let with = format!("{text}{}", rows(&seeds, &numbers(&rule.shape)).1);
        differ +=
            usize::from(streams::by_engine(&with, true, &events) != streams::by_engine(&text, true, &events));
    }
    assert!(differ > 100, "only {differ} of 300");
}

fn line(at: i64, code: &str, channel: &str, amount: &str) -> String {
    let at = chrono::DateTime::from_timestamp_millis(START + at + 8 * 3_600_000).expect("a time of 2016");
    let time = at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    let mut columns = vec![""; 66];
    (columns[0], columns[9], columns[13], columns[30]) = (&time, code, channel, amount);
    columns.join("||")
}

/// Settled alerts of a rule (as YAML lines) over lines of one channel at milliseconds, an end far away: labels but the
/// name, from, fired, until, thresholds and row.
fn check(rule: &str, lines: &[(i64, &str, &str)], expect: &expect_test::Expect) {
    let text: String = rule.lines().map(|line| format!("        {line}\n")).collect();
    let text = format!("groups:\n  - name: g\n    rules:\n      - alert: A\n{text}");
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let files = [RuleFile { name: "r.yaml".into(), text: text.clone() }];
    let rules = RuleSet::load(&files, &formats).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, None);
    let mut batch = Batch::default();
    let source = batch.source_index(&Arc::from("file"));
    for &(at, channel, amount) in lines.iter().chain([&(1_000_000, "END", "")]) {
        let code = if channel == "END" { "" } else { "E" };
        decoder.push(&mut batch, source, line(at, code, channel, amount).as_bytes(), None, false);
    }
    decoder.flush(&mut batch, source);
    (1..).zip(&mut batch.rows).for_each(|(lsn, row)| row.lsn = lsn);
    let mut engine = Engine::for_backtest(Arc::new(rules), formats);
    engine.judge(&batch, &mut Vec::new());
    let at = |at: Option<i64>| at.map_or("-".to_owned(), |at| (at - START).to_string());
    let shown: Vec<String> = engine
        .finish()
        .iter()
        .map(|alert| {
            let labels: Vec<String> = alert
                .labels
                .iter()
                .filter(|(n, _)| *n != "alertname")
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            let (from, fired, until) = (at(Some(alert.active_ms)), at(alert.fired_ms), at(alert.ended_ms));
            let row = alert.reason.threshold_row.as_deref().unwrap_or("own");
            format!("{} {from} {fired} {until} {:?} {row}", labels.join(" "), alert.reason.thresholds)
        })
        .collect();
    expect.assert_eq(&shown.join("\n"));
}

/// A run is judged at every millisecond: it begins and ends at the borders of rows, without any record.
#[test]
fn a_run_begins_and_ends_at_the_borders_of_rows() {
    let rule = "kind: consecutive
where: response_code == \"E\"
by: [channel]
count: 3
within: 60s
thresholds:
  - {channel: GHT, count: 2, valid_from: 2016-07-22T10:00:05.001Z, valid_to: 2016-07-22 18:00:07.500}";
    check(
        rule,
        &[(0, "GHT", ""), (1_000, "GHT", ""), (0, "UMP", ""), (1_000, "UMP", "")],
        &expect_test::expect![[r#"channel=GHT 5001 5001 7500 {"count": "2"} 1 (r.yaml:11)"#]],
    );
    // one that stands by the rule's own number does not notice
    check(
        rule,
        &[(0, "GHT", ""), (1_000, "GHT", ""), (6_000, "GHT", "")],
        &expect_test::expect![[r#"channel=GHT 5001 5001 60000 {"count": "2"} 1 (r.yaml:11)"#]],
    );
    let stricter = rule.replace("count: 2", "count: 9");
    check(
        &stricter,
        &[(0, "GHT", ""), (1_000, "GHT", ""), (2_000, "GHT", "")],
        &expect_test::expect![[r#"
            channel=GHT 2000 2000 5001 {"count": "3"} own
            channel=GHT 7500 7500 60000 {"count": "3"} own"#]],
    );
}

/// In buckets the row is chosen by the start of the bucket.
#[test]
fn a_window_takes_the_row_of_its_last_bucket() {
    let rule = "kind: frequency
by: [channel]
count: 3
within: 1201s
thresholds:
  - {count: 2, valid_from: 2016-07-22T10:00:03.001Z, valid_to: 2016-07-22T10:00:12.001Z}";
    // r = 3 s, buckets begin at 0, 3, 6, 9, 12: the row holds for those of 6, 9 and 12
    check(
        rule,
        &[(0, "GHT", ""), (1_000, "GHT", "")],
        &expect_test::expect![[r#"channel=GHT 6000 6000 15000 {"count": "2"} 1 (r.yaml:10)"#]],
    );
}

#[test]
fn values_are_equal_by_their_type_and_the_first_row_wins() {
    let rule = "kind: frequency
by: [channel, amount]
count: 9
within: 10s
thresholds:
  - {channel: GHT, amount: 5.00, count: 1}
  - {channel: '', count: 2}
  - {amount: '', count: 3}
  - {channel: GHT}
  - {count: 2}";
    let five =
        [(0, "GHT", "5.0"), (0, "", "1"), (100, "", "1.00"), (0, "UMP", ""), (1, "UMP", ""), (2, "UMP", "")];
    check(
        rule,
        &five,
        &expect_test::expect![[r#"
            amount=1 0 0 10000 {"count": "2"} 2 (r.yaml:11)
            amount=5 channel=GHT 0 0 10000 {"count": "1"} 1 (r.yaml:10)
            channel=UMP 0 0 10000 {"count": "3"} 3 (r.yaml:12)"#]],
    );
    // neither field: the second row comes before the third; GHT with another amount has the rule's own number
    let mut lines = vec![(0, "", ""), (1, "", "")];
    lines.extend((0..8).map(|i| (i, "GHT", "6")));
    lines.extend((0..2).map(|i| (i, "CUP", "6")));
    check(
        rule,
        &lines,
        &expect_test::expect![[r#"
             0 0 10000 {"count": "2"} 2 (r.yaml:11)
            amount=6 channel=CUP 0 0 10000 {"count": "2"} 5 (r.yaml:14)"#]],
    );
}

/// A date is the day's beginning in the zone of the lines; `valid_to` is not in it.
#[test]
fn dates_are_days_of_the_format_s_zone() {
    let rule = "kind: frequency
count: 9
within: 10s
thresholds:
  - {count: 1, valid_from: 2016-07-22, valid_to: 2016-07-22 18:00}
  - {count: 2, valid_from: 2016-07-22 18:00, valid_to: 2016-07-23}";
    // START is 18:00 in Shanghai
    check(
        rule,
        &[(-1_000, "", ""), (-500, "", ""), (100, "", "")],
        &expect_test::expect![[r#" -1000 -1000 9000 {"count": "2"} 2 (r.yaml:10)"#]],
    );
}

#[test]
fn a_row_can_ask_for_none_of_a_key_that_is_expected() {
    let rule = "kind: flatline
by: [channel]
expect: [GHT, UMP]
within: 10s
thresholds:
  - {channel: UMP, count: 0, valid_to: 2016-07-22T10:15:00Z}
  - {channel: GHT, count: 2}";
    check(
        rule,
        &[(0, "GHT", ""), (20_000, "GHT", ""), (25_000, "GHT", "")],
        &expect_test::expect![[r#"
            channel=GHT 9000 9000 25000 {"count": "2"} 2 (r.yaml:11)
            channel=GHT 30000 30000 - {"count": "2"} 2 (r.yaml:11)
            channel=UMP 900000 900000 - {"count": "1"} own"#]],
    );
}

/// The reason names the numbers of the row, whatever the kind.
#[test]
fn reasons_tell_the_numbers_of_the_row() {
    let rule = "kind: ratio
match: amount > 1
by: [channel]
within: 10s
below: 0.1
thresholds:
  - {above: 0.50, min_total: 2}";
    check(
        rule,
        &[(0, "GHT", "2"), (1, "GHT", "2")],
        &expect_test::expect![[r#"channel=GHT 0 0 10000 {"above": "0.5", "min_total": "2"} 1 (r.yaml:11)"#]],
    );
    let rule = "kind: spike
within: 1s
factor: 9
thresholds:
  - {factor: 1.50, min_current: 2}";
    check(
        rule,
        &[(0, "GHT", ""), (1_000, "GHT", ""), (1_001, "GHT", "")],
        &expect_test::expect![[
            r#" 1000 1000 2000 {"factor": "1.5", "min_current": "2", "min_reference": "1"} 1 (r.yaml:9)"#
        ]],
    );
}
