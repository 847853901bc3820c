//! `composite`: random expressions over random rules against a model that works on lists of alerts, and borders by hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Alert, Change, Engine, RuleFile, RuleSet, Transition};

use crate::naive::{self, Rule, Shape, Told};
use crate::streams::{self, Event, INTERVALS, START, arrival, event, expecting, line};

/// An expression over names, as the model evaluates it.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Name(usize),
    Not(Box<Tree>),
    All(Box<Tree>, Box<Tree>),
    Any(Box<Tree>, Box<Tree>),
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Tree::Name(name) => format!("A{name}"),
            Tree::Not(one) => format!("!({})", one.text()),
            Tree::All(a, b) => format!("({} && {})", a.text(), b.text()),
            Tree::Any(a, b) => format!("({}||{})", a.text(), b.text()),
        }
    }

    fn holds(&self, on: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Tree::Name(name) => on(*name),
            Tree::Not(one) => !one.holds(on),
            Tree::All(a, b) => a.holds(on) && b.holds(on),
            Tree::Any(a, b) => a.holds(on) || b.holds(on),
        }
    }

    fn names(&self) -> BTreeSet<usize> {
        match self {
            Tree::Name(name) => [*name].into(),
            Tree::Not(one) => one.names(),
            Tree::All(a, b) | Tree::Any(a, b) => a.names().union(&b.names()).copied().collect(),
        }
    }
}

fn tree(names: usize) -> impl Strategy<Value = Tree> {
    (0..names).prop_map(Tree::Name).prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Tree::Not(Box::new(one))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::All(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Tree::Any(Box::new(a), Box::new(b))),
        ]
    })
}

#[derive(Debug, Clone)]
pub(crate) struct Composite {
    tree: Tree,
    pub(crate) on: bool,
    pending_for: i64,
    keep_firing_for: i64,
    settle: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) text: String,
    pub(crate) span: i64,
    least_lateness: i64,
    /// The first is A2, over A0 and A1; the second A3, over all before it.
    pub(crate) composites: Vec<Composite>,
}

pub(crate) fn set() -> impl Strategy<Value = Set> {
    let wait = || prop_oneof![2 => Just(0i64), 1 => 0..5_000i64];
    let composite = move |names| {
        (tree(names), any::<bool>(), wait(), wait(), wait()).prop_map(
            |(tree, on, pending_for, keep_firing_for, settle)| Composite {
                tree,
                on,
                pending_for,
                keep_firing_for,
                settle,
            },
        )
    };
    let member = (streams::rule(), any::<bool>()).prop_flat_map(|(rule, by)| {
        let row = prop_oneof![2 => Just(None), 1 => (1..5u8, 0..20_000i64).prop_map(Some)];
        (Just((rule, by)), any::<bool>(), row)
    });
    let members = prop::collection::vec(member, 2);
    (members, composite(2), composite(3)).prop_map(|(extended, first, second)| {
        let members: Vec<_> = extended.iter().map(|(member, ..)| member.clone()).collect();
        // No matter to those that name them: the verdicts that rows of thresholds bring, and that nobody is told.
        let beside = |i: usize, text: &str| {
            let (_, shadow, row) = &extended[i];
            let row = row.filter(|_| text.contains("        count: ")).map_or(String::new(), |(count, from)| {
                let from = record::rfc3339_ms(START + from);
                format!("        thresholds: [{{count: {count}, valid_from: {from}}}]\n")
            });
            format!("{}{row}", if *shadow { "        mode: shadow\n" } else { "" })
        };
        let span = members.iter().map(|((.., span), _)| *span).min().unwrap_or_default();
        let least_lateness = members.iter().map(|((rule, ..), _)| rule.lateness).min().unwrap_or_default();
        let mut rules: Vec<String> = (0..)
            .zip(&members)
            .map(|(i, ((_, text, _), by))| {
                let text = expecting(text, if *by { "channel" } else { "" });
                let by = if *by { "        by: [channel]\n" } else { "" };
                // A label that is the same everywhere gives `on` something to name.
                let labels = format!("        labels: {{team: T}}\n{}", beside(i, &text));
                format!("      - alert: A{i}\n        where: response_code in [\"NET_ERR\", \"TIMEOUT\"]\n{by}{labels}{text}")
            })
            .collect();
        let mut composites = vec![first, second];
        for (i, composite) in composites.iter_mut().enumerate() {
            // Some named alert must have the label.
            let has_channel = |name: &usize| rules[*name].contains("by: [channel]") || rules[*name].contains("on: [channel]");
            composite.on &= composite.tree.names().iter().any(has_channel);
            let on = if composite.on { "        on: [channel]\n" } else { "" };
            let Composite { pending_for, keep_firing_for, settle, .. } = composite;
            rules.push(format!(
                "      - alert: A{}\n        kind: composite\n        expr: '{}'\n{on}        for: {pending_for}ms\n        \
                 keep_firing_for: {keep_firing_for}ms\n        settle: {settle}ms\n        lateness: 0\n",
                i + 2,
                composite.tree.text(),
            ));
        }
        // Composites may stand before what they name.
        rules.rotate_right(1);
        Set { text: rules.concat(), span, least_lateness, composites }
    })
}

pub(crate) fn load(rules: &str) -> (Arc<RuleSet>, Arc<FormatSet>) {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let text = format!("{INTERVALS}groups:\n  - name: g\n    rules:\n{rules}");
    let files = [RuleFile { name: "r.yaml".into(), text: text.clone() }];
    let rules = RuleSet::load(&files, &formats).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    (Arc::new(rules), formats)
}

pub(crate) fn batch(formats: &Arc<FormatSet>, events: &[Event]) -> Batch {
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

fn backtest(rules: &str, events: &[Event]) -> Vec<Arc<Alert>> {
    let (rules, formats) = load(rules);
    let mut engine = Engine::for_backtest(rules, Arc::clone(&formats));
    engine.judge(&batch(&formats, events), &mut Vec::new());
    engine.finish()
}

fn told(alert: &Alert) -> Told {
    Told {
        active_at: alert.active_ms,
        key: alert.labels.get("channel").cloned().unwrap_or_default(),
        fired_at: alert.fired_ms,
        ended_at: alert.ended_ms,
    }
}

fn of(alerts: &[Arc<Alert>], name: usize) -> Vec<Told> {
    let name = format!("A{name}");
    let mut all: Vec<Told> =
        alerts.iter().filter(|alert| alert.labels["alertname"] == name).map(|alert| told(alert)).collect();
    all.sort();
    all
}

/// Alerts of a composite from those of the rules that it names, from their lists alone.
fn model(composite: &Composite, named: &[Vec<Told>], start: i64, end: i64) -> Vec<Told> {
    let combination = |told: &Told| if composite.on { told.key.clone() } else { String::new() };
    let names = composite.tree.names();
    let all: Vec<(usize, &Told)> =
        names.iter().flat_map(|&name| named[name].iter().map(move |told| (name, told))).collect();
    let combinations: BTreeSet<String> = if composite.on {
        all.iter().map(|(_, told)| combination(told)).collect()
    } else {
        [String::new()].into()
    };
    let mut result = Vec::new();
    for key in combinations {
        let here: Vec<&(usize, &Told)> = all.iter().filter(|(_, told)| combination(told) == key).collect();
        let from =
            if composite.on { here.iter().map(|(_, told)| told.active_at).min().unwrap() } else { start };
        let mut instants: BTreeSet<i64> =
            here.iter().flat_map(|(_, told)| [told.fired_at, told.ended_at]).flatten().collect();
        instants.insert(from);
        let instants: Vec<i64> = instants.into_iter().filter(|&at| at >= from && at < end).collect();
        let mut activity: Vec<(i64, i64)> = Vec::new();
        for (i, &at) in instants.iter().enumerate() {
            let on = |name: usize| {
                here.iter().any(|(of, told)| {
                    *of == name
                        && told.fired_at.is_some_and(|fired| fired <= at)
                        && told.ended_at.is_none_or(|ended| at < ended)
                })
            };
            if composite.tree.holds(&on) {
                let until = instants.get(i + 1).copied().unwrap_or(end);
                match activity.last_mut() {
                    Some(last) if last.1 == at => last.1 = until,
                    _ => activity.push((at, until)),
                }
            }
        }
        let waits = Rule {
            shape: Shape::Any { resolve_after: 0 },
            lateness: 0,
            pending_for: composite.pending_for,
            keep_firing_for: composite.keep_firing_for,
        };
        result.extend(naive::life(&waits, &key, &activity, end));
    }
    result.sort();
    result
}

fn check_model(set: &Set, events: &[Event], alerts: &[Arc<Alert>]) -> Result<usize, TestCaseError> {
    let start = START + events.iter().map(|event| event.offset).min().unwrap_or_default();
    let highest = START + events.iter().map(|event| event.offset).max().unwrap_or_default();
    let end = highest.div_euclid(1_000) * 1_000 + 1_000;
    let mut named = vec![of(alerts, 0), of(alerts, 1)];
    let mut found = 0;
    for composite in &set.composites {
        let expect = model(composite, &named, start, end);
        let got = of(alerts, named.len());
        found += got.iter().filter(|told| told.fired_at.is_some() && told.ended_at.is_some()).count();
        prop_assert_eq!(&got, &expect, "{:?} of {:?}\n{}", composite, named, set.text);
        named.push(got);
    }
    Ok(found)
}

pub(crate) fn streams_of(set: impl Strategy<Value = Set>) -> impl Strategy<Value = (Set, Vec<Event>)> {
    set.prop_flat_map(|set| {
        let span = set.span;
        (Just(set), prop::collection::vec(event(span), 1..60))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_and_model_agree((set, events) in streams_of(set())) {
        let events = arrival(events, &[0], 1);
        check_model(&set, &events, &backtest(&set.text, &events))?;
    }

    #[test]
    fn order_within_the_lateness_does_not_matter(
        (set, events) in streams_of(set()),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
    ) {
        let in_order = arrival(events, &[0], 1);
        let shuffled = arrival(in_order.clone(), &jitters, set.least_lateness);
        let tell = |events: &[Event]| (0..4).map(|name| of(&backtest(&set.text, events), name)).collect::<Vec<_>>();
        prop_assert_eq!(tell(&in_order), tell(&shuffled), "{}", set.text);
    }

    #[test]
    fn interrupted_engines_go_on_as_if_nothing_had_been(
        (set, events) in streams_of(set()),
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        mut cuts in prop::collection::vec(0..60usize, 1..4),
        is_backtest in any::<bool>(),
    ) {
        cuts.sort_unstable();
        let events = arrival(events, &jitters, 4_000);
        let (rules, formats) = load(&set.text);
        let whole = batch(&formats, &events);
        let new = || if is_backtest {
            Engine::for_backtest(Arc::clone(&rules), Arc::clone(&formats))
        } else {
            Engine::new(Arc::clone(&rules), Arc::clone(&formats))
        };
        let (mut expect, mut uninterrupted) = (Vec::new(), new());
        uninterrupted.judge(&whole, &mut expect);
        let (mut out, mut from, mut engine) = (Vec::new(), 0, new());
        for cut in cuts {
            let to = cut.clamp(from, whole.rows.len());
            engine.judge(&Batch { rows: whole.rows[from..to].to_vec(), ..whole.clone() }, &mut out);
            let mut bytes = Vec::new();
            engine.snapshot(&mut bytes);
            engine = Engine::restore(Arc::clone(&rules), Arc::clone(&formats), &bytes).expect("just written").0;
            let mut again = Vec::new();
            engine.snapshot(&mut again);
            prop_assert!(again == bytes, "what was restored is what was written");
            from = to;
        }
        engine.judge(&Batch { rows: whole.rows[from..].to_vec(), ..whole.clone() }, &mut out);
        prop_assert_eq!(out, expect, "{}", &set.text);
        prop_assert_eq!(engine.state_hash(), uninterrupted.state_hash());
        prop_assert_eq!(engine.alerts(), uninterrupted.alerts());
        if is_backtest {
            prop_assert_eq!(engine.finish(), uninterrupted.finish());
        }
    }
}

/// Streams in which no composite fires and ends prove little.
#[test]
fn random_composites_fire_and_end() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut found = 0;
    for _ in 0..100 {
        let (set, events) = streams_of(set()).new_tree(&mut runner).expect("a set").current();
        let events = arrival(events, &[0], 1);
        found += usize::from(check_model(&set, &events, &backtest(&set.text, &events)).expect("agree") > 0);
    }
    assert!(found > 25, "only {found} of 100");
}

const MEMBERS: &str = "      - {alert: Trouble, kind: frequency, where: 'response_code == \"NET_ERR\"', by: [channel], count: 2, within: 3s}
      - {alert: Window, kind: any, where: 'response_code == \"9999\"', resolve_after: 4s}
";

fn events(list: &[(i64, &'static str, &'static str)]) -> Vec<Event> {
    list.iter().map(|&(offset, code, channel)| Event { offset, code, channel, merchant: "" }).collect()
}

/// Settled alerts of the rule C, in words.
fn check(rule: &str, list: &[(i64, &'static str, &'static str)], expect: &expect_test::Expect) {
    let at = |at: Option<i64>| at.map_or("-".to_owned(), |at| (at - START).to_string());
    let alerts =
        backtest(&format!("{MEMBERS}      - {{alert: C, kind: composite, {rule}}}\n"), &events(list));
    let shown: Vec<String> = alerts
        .iter()
        .filter(|alert| alert.labels["alertname"] == "C")
        .map(|alert| {
            let key = alert.labels.get("channel").map_or("any", String::as_str);
            let (from, fired, until) = (at(Some(alert.active_ms)), at(alert.fired_ms), at(alert.ended_ms));
            format!("{key} {from} {fired} {until}: {}", alert.reason.text)
        })
        .collect();
    expect.assert_eq(&shown.join("\n"));
}

/// Trouble of GHT from 1 s to 3 s, Window from 2 s to 6 s.
const BOTH: &[(i64, &str, &str)] =
    &[(500, "NET_ERR", "GHT"), (1_500, "NET_ERR", "GHT"), (2_200, "9999", "UMP"), (20_500, "", "")];

#[test]
fn without_labels_it_is_judged_from_history_start() {
    check(
        "expr: Trouble && Window",
        BOTH,
        &expect_test::expect!["any 2000 2000 3000: Trouble && Window: Trouble{channel=GHT}, Window"],
    );
    check(
        "expr: Trouble && !Window",
        BOTH,
        &expect_test::expect!["any 1000 1000 2000: Trouble && !Window: Trouble{channel=GHT}"],
    );
    // history starts at 500 ms
    check(
        "expr: '!Trouble && !Window'",
        BOTH,
        &expect_test::expect![[r#"
            any 500 500 1000: !Trouble && !Window: none of them fires
            any 6000 6000 -: !Trouble && !Window: none of them fires"#]],
    );
    check(
        "expr: '!Trouble && !Window', for: 500ms",
        BOTH,
        &expect_test::expect![[r#"
            any 500 - 1000: !Trouble && !Window: none of them fires
            any 6000 6500 -: !Trouble && !Window: none of them fires"#]],
    );
    check(
        "expr: Trouble || Window, keep_firing_for: 20s",
        BOTH,
        &expect_test::expect!["any 1000 1000 -: Trouble || Window: Trouble{channel=GHT}, Window"],
    );
}

#[test]
fn a_missing_label_is_the_empty_combination() {
    // Window has no channel: for GHT it is not on
    check(
        "expr: Trouble && !Window, on: [channel]",
        BOTH,
        &expect_test::expect!["GHT 1000 1000 3000: Trouble && !Window: Trouble{channel=GHT}"],
    );
    check(
        "expr: Trouble || Window, on: [channel]",
        BOTH,
        &expect_test::expect![[r#"
            GHT 1000 1000 3000: Trouble || Window: Trouble{channel=GHT}
            any 2000 2000 6000: Trouble || Window: Window"#]],
    );
    // judged from the first instant of an alert that has the combination, and ever after
    check(
        "expr: '!Trouble', on: [channel]",
        BOTH,
        &expect_test::expect!["GHT 3000 3000 -: !Trouble: none of them fires"],
    );
}

#[test]
fn changes_of_one_instant_are_applied_before_judging() {
    // Trouble ends at 5 s, when Window begins
    let list = [(2_500, "NET_ERR", "GHT"), (2_600, "NET_ERR", "GHT"), (5_300, "9999", ""), (20_500, "", "")];
    check("expr: Trouble && Window", &list, &expect_test::expect![""]);
    check(
        "expr: '!Trouble && !Window'",
        &list,
        &expect_test::expect!["any 9000 9000 -: !Trouble && !Window: none of them fires"],
    );
}

#[test]
fn an_early_composite_is_raised_by_a_record_and_withdrawn_by_another() {
    let rules = format!("{MEMBERS}      - {{alert: C, kind: composite, expr: Trouble && !Window}}\n");
    let (rules, formats) = load(&rules);
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    let mut out = Vec::new();
    // The maintenance window's record comes later, but is earlier.
    let list = [
        (0, "", ""),
        (2_000, "NET_ERR", "GHT"),
        (2_100, "NET_ERR", "GHT"),
        (1_000, "9999", ""),
        (30_000, "", ""),
    ];
    engine.judge(&batch(&formats, &events(&list)), &mut out);
    let of_c = |t: &&Transition| t.alert.labels["alertname"] == "C";
    let shown: Vec<_> =
        out.iter().filter(of_c).map(|t| (t.lsn, t.change, t.early, t.alert.active_ms - START)).collect();
    assert_eq!(
        shown[..2],
        [(3, Change::Fired, true, 2_000), (4, Change::Withdrawn, true, 2_000)],
        "{shown:?}"
    );
}

#[test]
fn an_early_composite_is_told_once_when_what_it_names_is_settled() {
    for on in ["", ", on: [channel]"] {
        let rules = format!("{MEMBERS}      - {{alert: C, kind: composite, expr: Trouble && !Window{on}}}\n");
        let (rules, formats) = load(&rules);
        let mut engine = Engine::new(rules, Arc::clone(&formats));
        let mut list = vec![(0, "", ""), (2_000, "NET_ERR", "GHT"), (2_100, "NET_ERR", "GHT")];
        list.extend((3..20).map(|at_s| (at_s * 1_000, "", "")));
        let mut out = Vec::new();
        engine.judge(&batch(&formats, &events(&list)), &mut out);
        let of_c = |t: &&Transition| t.alert.labels["alertname"] == "C" && t.change != Change::Updated;
        let of_c: Vec<_> = out.iter().filter(of_c).collect();
        let changes: Vec<_> = of_c.iter().map(|t| t.change).collect();
        // That Trouble began and that it fires are two pieces of news; between them it was taken back and told again.
        assert_eq!(changes, [Change::Fired, Change::Resolved], "on{on}");
        assert_eq!(of_c[0].alert.active_ms, of_c[1].alert.active_ms, "on{on}");
    }
}

#[test]
fn a_composite_that_is_added_knows_what_is_on() {
    let (rules, formats) = load(MEMBERS);
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    let list = [
        (0, "9999", ""),
        (1_000, "9999", ""),
        (7_000, "9999", ""),
        (9_000, "", ""),
        (9_100, "", ""),
        (30_000, "", ""),
    ];
    let whole = batch(&formats, &events(&list));
    let part = |from: usize, to: usize| Batch { rows: whole.rows[from..to].to_vec(), ..whole.clone() };
    engine.judge(&part(0, 4), &mut Vec::new());
    let (rules, _) = load(&format!("{MEMBERS}      - {{alert: C, kind: composite, expr: Window}}\n"));
    let (mut engine, reloaded) = engine.reload(rules);
    assert_eq!(reloaded.report.kept.len(), 2);
    let mut out = Vec::new();
    engine.judge(&part(4, 6), &mut out);
    let of_c: Vec<_> = out.iter().filter(|t| t.alert.labels["alertname"] == "C").collect();
    assert!(of_c.iter().any(|t| t.change == Change::Fired), "{of_c:?}");
    assert!(of_c.iter().any(|t| t.change == Change::Resolved && t.alert.ended_ms == Some(START + 11_000)));
}

#[test]
fn what_is_on_at_the_end_of_a_file_stays_on() {
    let rules = "      - {alert: A, kind: frequency, by: [channel], where: 'response_code == \"NET_ERR\"', count: 2, within: 602s}
      - {alert: C, kind: composite, expr: '!(!(A))'}
";
    for end in [5_000, 20_000, 40_000] {
        // Nothing is left of the combination for a while: it comes again.
        let list = [
            (0, "", ""),
            (20_000, "", ""),
            (21_000, "NET_ERR", "GHT"),
            (22_000, "NET_ERR", "GHT"),
            (22_000 + end, "", ""),
        ];
        let shown: Vec<_> = backtest(rules, &events(&list))
            .iter()
            .map(|alert| (alert.labels["alertname"].clone(), alert.active_ms - START, alert.ended_ms))
            .collect();
        assert_eq!(shown, [("A".to_owned(), 22_000, None), ("C".to_owned(), 22_000, None)], "{end}");
    }
}

#[test]
fn a_composite_looks_at_no_record() {
    let (rules, formats) = load(&format!("{MEMBERS}      - {{alert: C, kind: composite, expr: Trouble}}\n"));
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    engine.judge(&batch(&formats, &events(&[(0, "", ""), (2_000, "NET_ERR", "GHT")])), &mut Vec::new());
    let counts = engine.counts();
    assert_eq!(counts.records, 2);
    assert_eq!(counts.rules.last().map(|rule| rule.matched), Some(0), "a record costs it nothing");
}

/// The members' rules see records of two formats; history starts with the earlier of them.
#[test]
fn members_may_be_of_different_formats() {
    let (rules, formats) = load(
        "      - {alert: A, kind: frequency, where: 'response_code == \"NET_ERR\"', count: 2, within: 3s, samples: 1}
      - {alert: P, format: plain, kind: any, where: 'contains(text, \"OutOfMemory\")', resolve_after: 9s, lateness: 2s}
      - {alert: C, kind: composite, expr: A && P, samples: 3}
      - {alert: N, kind: composite, expr: '!A && !P'}
",
    );
    let order = |offset, code| line(&Event { offset, code, channel: "GHT", merchant: "" });
    let plain = "<11>1 2016-07-22T10:00:01.500Z h1 app 1 - - ERROR OutOfMemory: heap".to_owned();
    let lines = [order(4, "NET_ERR"), plain.clone(), order(2_001, "NET_ERR"), order(40_000, "")];
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, None);
    let mut batch = Batch::default();
    let source = batch.source_index(&Arc::from("file"));
    for line in &lines {
        decoder.push(&mut batch, source, line.as_bytes(), None, false);
    }
    decoder.flush(&mut batch, source);
    (1..).zip(&mut batch.rows).for_each(|(lsn, row)| row.lsn = lsn);
    let mut engine = Engine::for_backtest(rules, Arc::clone(&formats));
    engine.judge(&batch, &mut Vec::new());
    let alerts = engine.finish();
    let shown: Vec<String> = alerts
        .iter()
        .map(|alert| {
            let lines: Vec<u64> = alert.reason.samples.iter().map(|sample| sample.lsn).collect();
            let (from, until) = (alert.active_ms - START, alert.ended_ms.map(|at| at - START));
            format!("{} {from} {until:?} {:?} {lines:?}", alert.labels["alertname"], alert.reason.orders)
        })
        .collect();
    expect_test::expect![[r#"
        N 4 Some(1000) [] []
        P 1000 Some(10000) [] [2]
        A 2000 Some(3000) ["CEX1", "CEX2"] [3]
        C 2000 Some(3000) ["CEX1", "CEX2"] [1, 2, 3]
        N 10000 None [] []"#]]
    .assert_eq(&shown.join("\n"));
}

/// Nothing is left of a combination, and it comes again: it is judged as if it had never been forgotten.
#[test]
fn a_forgotten_combination_comes_again() {
    let burst = |at: i64| [(at, "NET_ERR", "GHT"), (at + 100, "NET_ERR", "GHT")];
    let mut list: Vec<_> = [burst(0), burst(60_000), burst(120_000)].concat();
    list.push((90_000, "9999", ""));
    list.push((200_000, "", ""));
    list.sort_unstable();
    check(
        "expr: Trouble, on: [channel], for: 1s",
        &list,
        &expect_test::expect![[r#"
        GHT 0 1000 3000: Trouble: Trouble{channel=GHT}
        GHT 60000 61000 63000: Trouble: Trouble{channel=GHT}
        GHT 120000 121000 123000: Trouble: Trouble{channel=GHT}"#]],
    );
    check(
        "expr: '!Trouble', on: [channel]",
        &list,
        &expect_test::expect![[r#"
        GHT 3000 3000 60000: !Trouble: none of them fires
        GHT 63000 63000 120000: !Trouble: none of them fires
        GHT 123000 123000 -: !Trouble: none of them fires"#]],
    );
}

/// What a composite names must be there: a set without it is refused, so that a reload keeps the last good one.
#[test]
fn a_removed_member_is_named() {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let text = "groups:
  - name: g
    rules:
      - {alert: Troubles, kind: any}
      - {alert: C, kind: composite, expr: '!Trouble && Window'}
";
    let files = [RuleFile { name: "r.yaml".into(), text: text.into() }];
    let errors = RuleSet::load(&files, &formats).expect_err("two names are unknown");
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expect_test::expect![[r#"
        r.yaml:5:45: there is no alert `Trouble`; did you mean `Troubles`?
        r.yaml:5:56: there is no alert `Window`"#]]
    .assert_eq(&shown.join("\n"));
}
