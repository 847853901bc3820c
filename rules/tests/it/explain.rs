//! An explanation tells the state that the settled alerts have, whatever the rule, the stream, the key, the instant.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, FormatSet};
use rules::{Alert, Engine, Explanation, Question, QuestionError, RuleSet, State};

use crate::{composite, streams, things};

/// What is explained, and what a backtest over the same records tells.
fn both(
    rules: &Arc<RuleSet>,
    formats: &Arc<FormatSet>,
    batch: &Batch,
    (alert, key): (&str, &[String]),
    at_ms: i64,
) -> (Explanation, Vec<Arc<Alert>>) {
    let question = Question { alert: alert.to_owned(), key: key.to_vec(), at_ms };
    let asked = Engine::for_explain(rules, Arc::clone(formats), &question);
    let mut asked = asked.unwrap_or_else(|error| panic!("{error}"));
    asked.judge(batch, &mut Vec::new());
    let explanation = asked.explain(None).expect("it was asked");
    let mut engine = Engine::for_backtest(Arc::clone(rules), Arc::clone(formats));
    engine.judge(batch, &mut Vec::new());
    (explanation, engine.finish())
}

fn check(
    rules: &Arc<RuleSet>,
    formats: &Arc<FormatSet>,
    batch: &Batch,
    (channel, by_channel): (&str, bool),
    at_ms: i64,
) -> Result<(), TestCaseError> {
    let key = if by_channel { vec![channel.to_owned()] } else { Vec::new() };
    let (told, alerts) = both(rules, formats, batch, ("A", &key), at_ms);
    agree(&told, &alerts, at_ms)
}

/// The state and the alerts are those of the backtest, and what is told fits together.
fn agree(told: &Explanation, alerts: &[Arc<Alert>], at_ms: i64) -> Result<(), TestCaseError> {
    let of_key: Vec<&Arc<Alert>> = alerts.iter().filter(|alert| alert.labels == told.labels).collect();
    let on = of_key
        .iter()
        .find(|alert| alert.active_ms <= at_ms && alert.ended_ms.is_none_or(|ended| ended > at_ms));
    let expected = match on {
        None => State::Inactive,
        Some(alert) if alert.fired_ms.is_some_and(|fired| fired <= at_ms) => State::Firing,
        Some(_) => State::Pending,
    };
    let shown = serde_json::to_string_pretty(told).expect("it can be written");
    prop_assert_eq!(told.state, expected, "{}", shown);
    let before = of_key.iter().rfind(|alert| alert.ended_ms.is_some_and(|ended| ended <= at_ms));
    let after = of_key.iter().find(|alert| alert.active_ms > at_ms);
    for (told, alert) in [(&told.episode, on), (&told.before, before), (&told.after, after)] {
        let told = told.as_ref().map(|e| (e.active_at, e.fired_at, e.ended_at));
        let alert = alert.map(|alert| (alert.active_ms, alert.fired_ms, alert.ended_ms));
        prop_assert_eq!(told, alert, "{}", shown);
    }
    // Who is active is on, and who is on is active or kept on; who is not on says why.
    if told.decided {
        prop_assert!(!told.active || told.state != State::Inactive, "{}", shown);
        let is_kept = told.gates.iter().any(|gate| gate.gate == "keep_firing_for");
        prop_assert_eq!(told.state != State::Inactive && !told.active, is_kept, "{}", shown);
    }
    prop_assert!(told.state == State::Firing || !told.gates.is_empty(), "{}", shown);
    // What holds it back is so by the numbers that are told.
    let number = |name: &str| told.reason.thresholds.get(name).and_then(|n| n.parse::<u64>().ok());
    for gate in &told.gates {
        match gate.gate {
            "distinct" if told.kind == "frequency" => {
                prop_assert!(Some(told.reason.distinct_count) < number("min"), "{}", shown);
            }
            "count" if ["frequency", "consecutive"].contains(&told.kind.as_str()) => {
                prop_assert!(Some(told.reason.count) < number("count"), "{}", shown);
            }
            _ => {}
        }
    }
    if told.active && ["frequency", "consecutive"].contains(&told.kind.as_str()) {
        prop_assert!(Some(told.reason.count) >= number("count"), "{}", shown);
        let is_whole = told.reason.count < 1_000;
        prop_assert!(!is_whole || told.records.len() as u64 >= told.reason.count, "{}", shown);
    }
    let bad = told.things.iter().filter(|thing| thing.bad).count() as u64;
    prop_assert!(told.things.is_empty() || bad == told.reason.count, "{}", shown);
    Ok(())
}

/// A rule with another `count` for GHT from an instant on, if it has one.
fn with_row(text: String, row: Option<(u32, i64)>, span: i64) -> String {
    let Some((count, share)) = row.filter(|_| text.contains("        count: ")) else { return text };
    let from = record::rfc3339_ms(streams::START + share * span / 1_000);
    format!("{text}        thresholds:\n          - {{channel: GHT, count: {count}, valid_from: {from}}}\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kinds_in_buckets_and_runs(
        ((rule, text, span), events) in streams::rule().prop_flat_map(|r| {
            let span = r.2;
            (Just(r), prop::collection::vec(streams::event(span), 1..70))
        }),
        by_channel in any::<bool>(),
        channel in prop_oneof![4 => Just("GHT"), 2 => Just("UMP"), 1 => Just(""), 1 => Just("never")],
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        disorder in 0..3usize,
        instants in prop::collection::vec((0..1_300i64, any::<bool>()), 1..6),
        row in prop_oneof![1 => Just(None), 2 => (1..6u32, 0..1_000i64).prop_map(Some)],
    ) {
        let text = with_row(text, row.filter(|_| by_channel), span);
        let jitter = [1, rule.lateness, rule.lateness * 3 + 1_000][disorder];
        let events = streams::arrival(events, &jitters, jitter);
        let (rules, formats, batch) = streams::loaded(&text, by_channel, &events);
        let rules = Arc::new(rules);
        for (share, on_second) in instants {
            let offset = share * span / 1_000 - span / 10;
            let offset = if on_second { offset.div_euclid(1_000) * 1_000 } else { offset };
            check(&rules, &formats, &batch, (channel, by_channel), streams::START + offset)?;
        }
    }

    #[test]
    fn kinds_about_things(
        (rule, text, by_channel) in things::rule(),
        events in prop::collection::vec(things::event(), 1..30),
        channel in prop_oneof![4 => Just("GHT"), 2 => Just("UMP"), 1 => Just("")],
        jitters in prop::collection::vec(0..100_000i64, 1..50),
        disorder in 0..3usize,
        instants in prop::collection::vec(-500..14_000i64, 1..6),
        row in prop_oneof![1 => Just(None), 2 => (1..4u32, 0..1_000i64).prop_map(Some)],
    ) {
        let text = with_row(text, row.filter(|_| by_channel), 14_000);
        let jitter = [1, rule.lateness, rule.lateness * 3 + 3_000][disorder];
        let entries = things::file(events, &jitters, jitter);
        let (rules, formats) = things::load(&text);
        let batch = things::batch(&formats, &entries);
        for offset in instants {
            check(&rules, &formats, &batch, (channel, by_channel), streams::START + offset)?;
        }
    }
}

/// The names of a composite are what the alerts of the backtest make them.
fn check_names(
    told: &Explanation,
    alerts: &[Arc<Alert>],
    channel: Option<&str>,
    at_ms: i64,
) -> Result<(), TestCaseError> {
    let at_ms = if told.decided { at_ms } else { return Ok(()) };
    for name in &told.names {
        let of_name = |alert: &&Arc<Alert>| {
            let has = alert.labels.get("channel").map_or("", String::as_str);
            alert.labels["alertname"] == name.name && channel.is_none_or(|channel| channel == has)
        };
        let own: Vec<&Arc<Alert>> = alerts.iter().filter(of_name).collect();
        let fires = |at: i64| {
            let is_on = |alert: &&Arc<Alert>| {
                alert.fired_ms.is_some_and(|fired| fired <= at)
                    && alert.ended_ms.is_none_or(|ended| at < ended)
            };
            own.iter().copied().any(|alert| is_on(&alert))
        };
        prop_assert_eq!(name.holds, fires(at_ms), "{:?}", name);
        match name.since {
            None => prop_assert!(!own.iter().any(|alert| alert.fired_ms.is_some_and(|at| at <= at_ms))),
            Some(since) => {
                prop_assert!(fires(since) == name.holds && fires(since - 1) != name.holds, "{:?}", name);
                let changes = own.iter().flat_map(|alert| [alert.fired_ms, alert.ended_ms]).flatten();
                let mut later = changes.filter(|&at| at > since && at <= at_ms);
                prop_assert!(later.all(|at| fires(at) == name.holds), "{:?}", name);
            }
        }
        let firing = name.alerts.iter().filter(|alert| alert.state == State::Firing).count();
        prop_assert_eq!(firing > 0, name.holds, "{:?}", name);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn composites_over_kinds(
        (set, events) in composite::streams_of(composite::set()),
        channel in prop_oneof![4 => Just("GHT"), 2 => Just("UMP"), 1 => Just(""), 1 => Just("never")],
        instants in prop::collection::vec((0..1_300i64, any::<bool>()), 1..6),
    ) {
        let events = streams::arrival(events, &[0], 1);
        let (rules, formats) = composite::load(&set.text);
        let batch = composite::batch(&formats, &events);
        for (share, on_second) in instants {
            let offset = share * set.span / 1_000 - set.span / 10;
            let offset = if on_second { offset.div_euclid(1_000) * 1_000 } else { offset };
            for (name, composite) in ["A2", "A3"].into_iter().zip(&set.composites) {
                let channel = Some(channel).filter(|_| composite.on);
                let key: Vec<String> = channel.iter().map(|channel| (*channel).to_owned()).collect();
                let at_ms = streams::START + offset;
                let (told, alerts) = both(&rules, &formats, &batch, (name, &key), at_ms);
                agree(&told, &alerts, at_ms)?;
                check_names(&told, &alerts, channel, at_ms)?;
            }
        }
    }
}

/// What is said of a composite by label: the sentence, and each name with its alerts.
fn composite_told(expr: &str, key: &str, offset: i64) -> String {
    let rules = format!(
        "      - {{alert: Trouble, kind: frequency, where: 'response_code == \"NET_ERR\"', by: [channel], count: 2, within: 3s}}
      - {{alert: Window, kind: any, where: 'response_code == \"9999\"', by: [channel], resolve_after: 4s, for: 1s}}
      - {{alert: C, kind: composite, expr: '{expr}', on: [channel], for: 1s, keep_firing_for: 2s}}
"
    );
    let event = |offset, code, channel| streams::Event { offset, code, channel, merchant: "M1" };
    let events = [
        event(500, "NET_ERR", "GHT"),
        event(1_500, "NET_ERR", "GHT"),
        event(2_200, "9999", "GHT"),
        event(2_300, "9999", "UMP"),
        event(20_500, "", ""),
    ];
    let (rules, formats) = composite::load(&rules);
    let batch = composite::batch(&formats, &events);
    let question = ("C", &[key.to_owned()][..]);
    let (told, _) = both(&rules, &formats, &batch, question, streams::START + offset);
    let ms = |at: Option<i64>| at.map_or("-".to_owned(), |at| (at - streams::START).to_string());
    let mut lines = vec![told.text.clone()];
    for name in &told.names {
        lines.push(format!("  {} {} since {}", name.name, name.holds, ms(name.since)));
        for alert in &name.alerts {
            let times = &alert.times;
            let at = [Some(times.active_at), times.fired_at, times.ended_at].map(ms).join(" ");
            lines.push(format!("    {:?} {at} {}", alert.state, alert.text));
        }
    }
    lines.push(format!("  {} alerts, {} others {:?}", told.matches, told.other_keys, told.did_you_mean));
    lines.join("\n")
}

#[test]
fn a_composite_says_name_by_name_what_it_looked_at() {
    let of = |expr: &str, key: &str, offset: i64| composite_told(expr, key, offset);
    let found = [
        of("Trouble && !Window", "GHT", 500),
        of("Trouble && !Window", "GHT", 1_500),
        of("Trouble && !Window", "channel=GHT", 2_500),
        of("Trouble && !Window", "GHT", 3_500),
        of("Trouble && !Window", "GHT", 19_000),
        of("Trouble && !Window", "", 3_000),
        of("Trouble || Window", "UMP", 4_000),
        of("Trouble && !Window", "GHTT", 3_000),
    ];
    expect_test::expect![[r#"
        did not fire: Trouble && !Window: no named alert has had this combination until 2016-07-22 18:00:01.000
          Trouble false since -
          Window false since -
          2 alerts, 1 others None
        did not fire yet, pending: Trouble && !Window: Trouble{channel=GHT}; active since 2016-07-22 18:00:01.000, fires at 2016-07-22 18:00:02.000 if it stays so (for: 1s)
          Trouble true since 1000
            Firing 1000 1000 3000 2 in 3s of at least 2
          Window false since -
          2 alerts, 1 others None
        fired at 2016-07-22 18:00:02.000: Trouble && !Window: Trouble{channel=GHT}
          Trouble true since 1000
            Firing 1000 1000 3000 2 in 3s of at least 2
          Window false since -
            Pending 2000 3000 6000 1 in the last 4s
          2 alerts, 1 others None
        fired at 2016-07-22 18:00:02.000: Trouble && !Window: Window{channel=GHT} (no longer active, kept on for 2s, until 2016-07-22 18:00:05.000)
          Trouble false since 3000
            Inactive 1000 1000 3000 2 in 3s of at least 2
          Window true since 3000
            Firing 2000 3000 6000 1 in the last 4s
          2 alerts, 1 others None
        did not fire: Trouble && !Window is false: Trouble is false since 2016-07-22 18:00:03.000; Window is false since 2016-07-22 18:00:06.000
          Trouble false since 3000
            Inactive 1000 1000 3000 2 in 3s of at least 2
          Window false since 6000
            Inactive 2000 3000 6000 1 in the last 4s
          2 alerts, 1 others None
        did not fire: Trouble && !Window: no named alert has had this combination
          Trouble false since -
          Window false since -
          0 alerts, 2 others None
        fired at 2016-07-22 18:00:04.000: Trouble || Window: Window{channel=UMP}
          Trouble false since -
          Window true since 3000
            Firing 2000 3000 6000 1 in the last 4s
          1 alerts, 1 others None
        did not fire: Trouble && !Window: no named alert has had this combination
          Trouble false since -
          Window false since -
          0 alerts, 2 others Some("channel=GHT")"#]].assert_eq(&found.join("\n"));
}

/// Twelve errors within twelve seconds on GHT, two on UMP.
fn scene(text: &str) -> (Arc<RuleSet>, Arc<FormatSet>, Batch) {
    let event = |offset: i64, channel, code| streams::Event { offset, code, channel, merchant: "M1" };
    let mut events: Vec<streams::Event> = (0..12).map(|i| event(i * 1_000, "GHT", "NET_ERR")).collect();
    events.extend([event(500, "UMP", "NET_ERR"), event(1_500, "UMP", "TIMEOUT"), event(60_000, "X", "0000")]);
    events.sort_by_key(|event| event.offset);
    let (rules, formats, batch) = streams::loaded(text, true, &events);
    (Arc::new(rules), formats, batch)
}

fn sentence(text: &str, key: &str, offset: i64) -> String {
    let (rules, formats, batch) = scene(text);
    both(&rules, &formats, &batch, ("A", &[key.to_owned()]), streams::START + offset).0.text
}

#[test]
fn the_sentence_answers() {
    let frequency = "        kind: frequency\n        count: 10\n        within: 20s\n";
    let found = [
        sentence(frequency, "GHT", 15_000),
        sentence(frequency, "GHT", 8_999),
        sentence(frequency, "channel=UMP", 15_000),
        sentence(frequency, "never", 15_000),
        sentence(frequency, "GHT", 90_000),
        sentence(&format!("{frequency}        for: 5s\n"), "GHT", 12_000),
        sentence(&format!("{frequency}        keep_firing_for: 1m\n        mode: shadow\n"), "GHT", 40_000),
        sentence(&format!("{frequency}        distinct: {{field: merchant_no, min: 2}}\n"), "GHT", 12_000),
        sentence("        kind: consecutive\n        count: 12\n        within: 1m\n", "GHT", 9_000),
        sentence(
            "        kind: sustained\n        count: 2\n        every: 5s\n        within: 10s\n",
            "UMP",
            12_000,
        ),
        sentence(
            "        kind: ratio\n        match: response_code == \"TIMEOUT\"\n        above: 0.9\n        min_total: 5\n        within: 20s\n",
            "UMP",
            12_000,
        ),
        sentence("        kind: spike\n        factor: 2\n        within: 20s\n", "GHT", 12_000),
    ];
    expect_test::expect![[r#"
        fired at 2016-07-22 18:00:09.000: 12 in 20s of at least 10
        did not fire: 9 of at least 10
        did not fire: 2 of at least 10
        did not fire: 0 of at least 10
        did not fire: 0 of at least 10; the records end before it; told is the state at 2016-07-22 18:01:00.999
        did not fire yet, pending: 12 in 20s of at least 10; active since 2016-07-22 18:00:09.000, fires at 2016-07-22 18:00:14.000 if it stays so (for: 5s)
        fired at 2016-07-22 18:00:09.000: 0 in 20s of at least 10 (no longer active, kept on for 1m; mode: shadow: nobody is told)
        did not fire: 1 distinct merchant_no of at least 2
        did not fire: 10 in a row of at least 12 within 1m (18:00:00.000 to 18:00:09.000)
        did not fire: 1 of 2 steps have fewer than 2: 2016-07-22 18:00:05.000 has 0
        did not fire: 2 of at least 5
        did not fire: what it looks at is covered from 2016-07-22 18:00:38.000 on: history starts at 2016-07-22 18:00:00.000"#]].assert_eq(&found.join("\n"));
}

#[test]
fn a_key_that_was_never_seen_is_told_from_the_nearest() {
    let frequency = "        kind: frequency\n        count: 10\n        within: 20s\n";
    let (rules, formats, batch) = scene(frequency);
    let (told, _) = both(&rules, &formats, &batch, ("A", &["channel=GHTT".to_owned()]), streams::START);
    assert_eq!(told.did_you_mean.as_deref(), Some("channel=GHT"));
    assert_eq!((told.matches, told.other_keys), (0, 2));
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let (rules, formats, _) = scene("        kind: frequency\n        count: 10\n        within: 20s\n");
    let ask = |alert: &str, key: &[&str]| -> QuestionError {
        let key = key.iter().map(|&text| text.to_owned()).collect();
        let question = Question { alert: alert.to_owned(), key, at_ms: 0 };
        Engine::for_explain(&rules, Arc::clone(&formats), &question).expect_err("it is refused")
    };
    let found = [
        ask("B", &[]).to_string(),
        ask("A", &[]).to_string(),
        ask("A", &["GHT", "M1"]).to_string(),
        ask("A", &["channel=GHT", "channel=UMP"]).to_string(),
    ];
    expect_test::expect![[r#"
        no rule is called `B`; did you mean `A`?
        the key lacks `channel`: `A` is by channel (write channel=...); `channel=` is null
        `M1` is too much: `A` is by channel (write channel=...)
        `channel` is given twice"#]]
    .assert_eq(&found.join("\n"));
}

#[test]
fn silence_is_explained_when_it_is_known_that_nothing_came() {
    let flatline = "        kind: flatline\n        expect: seen\n        within: 30s\n";
    let (rules, formats, batch) = scene(flatline);
    let ask = |known_ms: Option<i64>| {
        let question =
            Question { alert: "A".to_owned(), key: vec!["GHT".to_owned()], at_ms: streams::START + 300_000 };
        let mut engine = Engine::for_explain(&rules, Arc::clone(&formats), &question).unwrap();
        engine.judge(&batch, &mut Vec::new());
        engine.explain(known_ms).expect("it was asked")
    };
    let file = ask(None);
    assert!(!file.decided && file.gates.iter().any(|gate| gate.gate == "undecided"));
    let node = ask(Some(streams::START + 400_000));
    assert!(node.decided && node.active && node.state == State::Firing, "{node:?}");
    assert_eq!(node.episode.expect("it is on").active_at, streams::START + 41_000);
}
