//! Kinds about single things: their borders by hand.

use std::sync::Arc;

use rules::{Alert, Engine, Transition};

use crate::streams::START;
use crate::things::{Entry, Event, backtest, batch, load};

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
