//! What the reason of a composite carries: orders, money and lines of the alerts that make it true, by a model that works
//! on lists of records, and by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Change, Engine, Reason, Transition};

use crate::composite::load;
use crate::streams::START;

#[derive(Debug, Clone)]
struct Event {
    offset: i64,
    code: &'static str,
    channel: &'static str,
    order: &'static str,
    amount: &'static str,
}

fn line(event: &Event) -> String {
    let at = chrono::DateTime::from_timestamp_millis(START + event.offset + 8 * 3_600_000).expect("of 2016");
    let mut columns = vec![""; 66];
    let time = at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    (columns[0], columns[4], columns[9]) = (&time, event.order, event.code);
    (columns[13], columns[30]) = (event.channel, event.amount);
    columns.join("||")
}

fn batch(formats: &Arc<FormatSet>, events: &[Event]) -> Batch {
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, None);
    let mut batch = Batch::default();
    let source = batch.source_index(&Arc::from("file"));
    for event in events {
        decoder.push(&mut batch, source, line(event).as_bytes(), None, false);
    }
    decoder.flush(&mut batch, source);
    (1..).zip(&mut batch.rows).for_each(|(lsn, row)| row.lsn = lsn);
    batch
}

fn fired(rules: &str, events: &[Event], name: &str) -> Vec<Transition> {
    let (rules, formats) = load(rules);
    let mut engine = Engine::for_backtest(rules, Arc::clone(&formats));
    let mut out = Vec::new();
    engine.judge(&batch(&formats, events), &mut out);
    out.retain(|t| t.alert.labels["alertname"] == name && t.change == Change::Fired);
    out
}

/// `any` for one key: when it is on, and its records as they were at its worst until each instant.
#[derive(Debug, Default)]
struct Alert {
    from: i64,
    until: i64,
    /// From an instant on: the positions of its records.
    versions: Vec<(i64, BTreeSet<usize>)>,
}

fn alerts_of_any(records: &[usize], events: &[Event], resolve_after: i64) -> Vec<Alert> {
    let second = |i: &usize| events[*i].offset.div_euclid(1_000);
    let seconds: BTreeSet<i64> = records.iter().map(second).collect();
    let mut alerts: Vec<Alert> = Vec::new();
    for s in seconds {
        let inside: BTreeSet<usize> =
            records.iter().copied().filter(|i| second(i) <= s && second(i) > s - resolve_after).collect();
        match alerts.last_mut().filter(|alert| s * 1_000 <= alert.until) {
            Some(alert) => {
                alert.until = (s + resolve_after) * 1_000;
                let worst = alert.versions.last().map_or(0, |(_, worst)| worst.len());
                if inside.len() > worst {
                    alert.versions.push((s * 1_000 + 999, inside));
                }
            }
            None => alerts.push(Alert {
                from: s * 1_000,
                until: (s + resolve_after) * 1_000,
                versions: vec![(s * 1_000, inside)],
            }),
        }
    }
    alerts
}

/// The expressions, and which of A and B carry them when both or one is on; `None`: it does not hold.
type Carried = fn(bool, bool) -> Option<(bool, bool)>;
const EXPRESSIONS: [(&str, Carried); 6] = [
    ("A || B", |a, b| (a || b).then_some((a, b))),
    ("A && B", |a, b| (a && b).then_some((true, true))),
    ("A && !B", |a, b| (a && !b).then_some((true, false))),
    ("!(!A || B)", |a, b| (a && !b).then_some((true, false))),
    ("B || (A && !B)", |a, b| (a || b).then_some((a && !b, b))),
    ("A || !B", |a, b| (a || !b).then_some((a, false))),
];

fn event() -> impl Strategy<Value = Event> {
    let amount = prop::sample::select(vec!["1", "2.50", "", "1000000.01", "x"]);
    let code = prop::sample::select(vec!["A", "B", "AB", "AB", "-"]);
    let order = prop::sample::select(vec!["o1", "o2", "o3", "o4", "o5", ""]);
    (0..15_000i64, code, prop::sample::select(vec!["GHT", "UMP", ""]), order, amount)
        .prop_map(|(offset, code, channel, order, amount)| Event { offset, code, channel, order, amount })
}

/// Of these records: orders in order of first sight, money once an order, the newest lines.
fn expected(
    records: &BTreeSet<usize>,
    events: &[Event],
    samples: usize,
) -> (Vec<String>, Option<i64>, Vec<u64>) {
    // The stream is in order of time, so places are too.
    let (mut orders, mut paid) = (Vec::new(), BTreeMap::new());
    for event in records.iter().map(|&i| &events[i]).filter(|event| !event.order.is_empty()) {
        if !orders.contains(&event.order.to_owned()) {
            orders.push(event.order.to_owned());
        }
        let cents = match event.amount {
            "1" => 100,
            "2.50" => 250,
            "1000000.01" => 100_000_001,
            _ => continue,
        };
        paid.entry(event.order).or_insert(cents);
    }
    let amount = Some(paid.values().sum()).filter(|_| !paid.is_empty());
    let lsns: Vec<u64> = records.iter().map(|&i| i as u64 + 1).collect();
    (orders, amount, lsns[lsns.len().saturating_sub(samples)..].to_vec())
}

fn cents(reason: &Reason) -> Option<i64> {
    let text = reason.amount.as_ref()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    Some(whole.parse::<i64>().expect("digits") * 100 + format!("{part:0<2}").parse::<i64>().expect("digits"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn orders_money_and_lines_are_those_of_the_alerts_that_make_it_true(
        mut events in prop::collection::vec(event(), 1..40),
        which in 0..EXPRESSIONS.len(),
        (after_a, after_b) in (1..6i64, 1..6i64),
        on in any::<bool>(),
        samples in 0..6usize,
    ) {
        events.sort_by_key(|event| event.offset);
        let (text, carried) = EXPRESSIONS[which];
        let on_text = if on { ", on: [channel]" } else { "" };
        let rules = format!(
            "      - {{alert: A, kind: any, where: 'contains(response_code, \"A\")', by: [channel], resolve_after: {after_a}s, lateness: 0}}
      - {{alert: B, kind: any, where: 'contains(response_code, \"B\")', by: [channel], resolve_after: {after_b}s, lateness: 3s, samples: 0}}
      - {{alert: C, kind: composite, expr: '{text}', samples: {samples}, lateness: 0{on_text}}}
"
        );
        let end = Event { offset: 60_000, code: "", channel: "", order: "", amount: "" };
        let stream: Vec<Event> = events.iter().cloned().chain([end]).collect();
        let found = fired(&rules, &stream, "C");

        let mut alerts: Vec<(usize, &str, Alert)> = Vec::new();
        for (name, code, after) in [(0, 'A', after_a), (1, 'B', after_b)] {
            for channel in ["GHT", "UMP", ""] {
                let own: Vec<usize> = (0..events.len())
                    .filter(|&i| events[i].code.contains(code) && events[i].channel == channel)
                    .collect();
                alerts.extend(alerts_of_any(&own, &events, after).into_iter().map(|alert| (name, channel, alert)));
            }
        }
        for transition in &found {
            let (alert, at) = (&transition.alert, transition.alert.active_ms - START);
            let channel = alert.labels.get("channel").map_or("", String::as_str);
            let here: Vec<&(usize, &str, Alert)> =
                alerts.iter().filter(|(_, key, a)| (!on || *key == channel) && a.from <= at && at < a.until).collect();
            let is_on = |name: usize| here.iter().any(|(of, ..)| *of == name);
            let (a, b) = carried(is_on(0), is_on(1)).expect("it holds");
            let mut records = BTreeSet::new();
            for (name, _, alert) in here {
                if [a, b][*name] {
                    let version = alert.versions.iter().rfind(|(from, _)| *from <= at).expect("it began");
                    records.extend(&version.1);
                }
            }
            let (orders, amount, lsns) = expected(&records, &events, samples);
            let reason = &alert.reason;
            prop_assert_eq!(&reason.orders, &orders, "{:?}", reason);
            prop_assert_eq!(reason.orders_count, orders.len() as u64);
            prop_assert_eq!(cents(reason), amount, "{:?}", reason);
            prop_assert_eq!(reason.samples.iter().map(|s| s.lsn).collect::<Vec<_>>(), lsns);
            prop_assert!(reason.samples.iter().all(|s| s.line == line(&events[s.lsn as usize - 1])));
        }
    }
}

fn check(
    rules: &str,
    events: &[(i64, &'static str, &'static str, &'static str)],
    expect: &expect_test::Expect,
) {
    let event = |&(offset, code, order, amount): &(i64, _, _, _)| Event {
        offset,
        code,
        channel: "GHT",
        order,
        amount,
    };
    let mut events: Vec<Event> = events.iter().map(event).collect();
    events.push(Event { offset: 60_000, code: "", channel: "", order: "", amount: "" });
    let (rules, formats) = load(rules);
    let mut engine = Engine::for_backtest(rules, Arc::clone(&formats));
    engine.judge(&batch(&formats, &events), &mut Vec::new());
    let shown: Vec<String> = engine
        .finish()
        .iter()
        .map(|alert| {
            let r = &alert.reason;
            let lsns: Vec<u64> = r.samples.iter().map(|sample| sample.lsn).collect();
            let (name, amount) = (&alert.labels["alertname"], r.amount.as_deref().unwrap_or("-"));
            format!("{name} {} {:?} {} {amount} {lsns:?}", alert.active_ms - START, r.orders, r.orders_count)
        })
        .collect();
    expect.assert_eq(&shown.join("\n"));
}

const TWO: &str =
    "      - {alert: A, kind: frequency, where: 'contains(response_code, \"A\")', count: 2, within: 10s}
      - {alert: B, kind: consecutive, where: 'contains(response_code, \"B\")', count: 2, within: 10s}
";

/// Each order once, however many alerts it is in; it grows as its members grow; composites hand on what they have.
#[test]
fn orders_are_counted_once_and_grow() {
    let rules = format!(
        "{TWO}      - {{alert: C, kind: composite, expr: A && B, samples: 3}}\n      - {{alert: D, kind: composite, expr: C || A}}\n"
    );
    let list = [
        (0, "AB", "o1", "5"),
        (1_000, "AB", "o2", "7"),
        (2_000, "A", "o3", "11"),
        (3_500, "B", "o4", "13"),
        (4_000, "B", "o1", "5"),
    ];
    check(
        &rules,
        &list,
        &expect_test::expect![[r#"
        A 1000 ["o1", "o2", "o3"] 3 23 [1, 2, 3]
        B 1000 ["o1", "o2", "o4"] 3 25 [1, 2, 4, 5]
        C 1000 ["o1", "o2", "o3", "o4"] 4 36 [2, 3, 4]
        D 1000 ["o1", "o2", "o3", "o4"] 4 36 [1, 2, 3, 4]"#]],
    );
}

/// What the members know of lines and orders is kept over a restart.
#[test]
fn lines_are_there_after_a_restart() {
    let rules =
        format!("{TWO}      - {{alert: C, kind: composite, expr: A && B, samples: 9, lateness: 30s}}\n");
    let event = |offset, code| Event { offset, code, channel: "GHT", order: "o1", amount: "2" };
    let events = [event(0, "AB"), event(1_000, "AB"), event(20_000, "-"), event(90_000, "-")];
    let (rules, formats) = load(&rules);
    let whole = batch(&formats, &events);
    let part = |from: usize, to: usize| Batch { rows: whole.rows[from..to].to_vec(), ..whole.clone() };
    let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
    engine.judge(&part(0, 3), &mut Vec::new());
    let mut bytes = Vec::new();
    engine.snapshot(&mut bytes);
    let mut engine = Engine::restore(rules, Arc::clone(&formats), &bytes).expect("just written").0;
    let mut out = Vec::new();
    engine.judge(&part(3, 4), &mut out);
    let settled = out.iter().find(|t| t.alert.labels["alertname"] == "C" && !t.early).expect("it is settled");
    let lines: Vec<&str> = settled.alert.reason.samples.iter().map(|sample| sample.line.as_str()).collect();
    assert_eq!(lines, [line(&events[0]), line(&events[1])]);
}
