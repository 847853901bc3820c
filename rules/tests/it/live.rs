//! Random journals: a live engine tells what the naive model tells, entry by entry.
//!
//! Settled and early verdicts, what was withdrawn, what is on in the end, late and skewed records.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, FormatSet};
use rules::{Change, Engine, RuleSet, Transition};

use crate::live_naive::{self, Arrival, Judge, Outcome, Rule, Step};
use crate::naive::{Flatline, Shape};
use crate::streams::{self, START};
use crate::support::{self, part};
use crate::things;

/// The line of an entry.
#[derive(Debug, Clone)]
enum Line {
    Counts(streams::Event),
    Things(things::Event),
    /// A line that tells no time.
    Timeless,
}

#[derive(Debug, Clone)]
struct Entry {
    recv: i64,
    line: Option<Line>,
}

/// How long it is quiet before an entry, and what its clocks say.
#[derive(Debug, Clone)]
struct Beat {
    pause: i64,
    /// Of the ticks that the pause brings these stay out, the last ones.
    lost_ticks: i64,
    clock: Says,
    /// What else the line says.
    pick: u32,
}

/// What time a line tells.
#[derive(Debug, Clone)]
enum Says {
    /// So long before (or after) it is received.
    Delay(i64),
    /// So far from the watermark.
    Watermark(i64),
    /// What the line before told.
    Same,
    /// On the second, or its half.
    Round(i64),
    Nothing,
}

fn beat() -> impl Strategy<Value = Beat> {
    let pause = prop_oneof![
        4 => Just(0i64),
        8 => 0..1_500i64,
        2 => Just(1_000),
        3 => 1_500..9_000i64,
        2 => prop::sample::select(vec![9_999i64, 10_000, 10_001, 11_000]),
        2 => 10_000..40_000i64,
        1 => prop_oneof![60_000..90_000i64, 600_000..700_000i64],
        1 => prop::sample::select(vec![-500i64, -4_000, -30_000]),
    ];
    let clock = prop_oneof![
        8 => (0..900i64).prop_map(Says::Delay),
        3 => (0..9_000i64).prop_map(Says::Delay),
        2 => (-4_000..0i64).prop_map(Says::Delay),
        1 => prop::sample::select(vec![-599_999i64, -600_000, -600_001, 100_000]).prop_map(Says::Delay),
        4 => prop::sample::select(vec![-1i64, 0, 1, -1_000, 1_000]).prop_map(Says::Watermark),
        2 => (-9_000..0i64).prop_map(Says::Watermark),
        2 => Just(Says::Same),
        4 => (0..3_000i64).prop_map(Says::Round),
        1 => Just(Says::Nothing),
    ];
    let lost = prop_oneof![4 => Just(0i64), 1 => 1..12i64];
    (pause, lost, clock, any::<u32>()).prop_map(|(pause, lost_ticks, clock, pick)| Beat {
        pause,
        lost_ticks,
        clock,
        pick,
    })
}

/// Lines in a hurry, most of them in some disorder that the lateness allows for.
fn quick_beat() -> impl Strategy<Value = Beat> {
    let pause = prop_oneof![6 => Just(0i64), 8 => 0..400i64, 2 => 400..1_100i64];
    let clock = prop_oneof![
        8 => (0..200i64).prop_map(Says::Delay),
        8 => (0..3_000i64).prop_map(Says::Delay),
        2 => (0..3_000i64).prop_map(Says::Round),
        1 => (0..1_500i64).prop_map(Says::Watermark),
        1 => Just(Says::Same),
    ];
    (pause, clock, any::<u32>()).prop_map(|(pause, clock, pick)| Beat { pause, lost_ticks: 0, clock, pick })
}

fn beats() -> impl Strategy<Value = Vec<Beat>> {
    let mixed = prop_oneof![8 => quick_beat(), 1 => beat()];
    prop_oneof![
        2 => prop::collection::vec(beat(), 1..45),
        2 => prop::collection::vec(quick_beat(), 1..60),
        3 => prop::collection::vec(mixed, 1..60),
    ]
}

/// The journal that the beats come to. `line` makes what stands in a line beside its time.
fn journal(beats: &[Beat], lateness: i64, line: impl Fn(i64, u32) -> Line) -> Vec<Entry> {
    let (mut entries, mut now, mut highest, mut base, mut last) =
        (Vec::new(), START, None::<i64>, i64::MIN, START);
    for beat in beats {
        let ticks = (beat.pause - 1).max(0) / 1_000;
        let kept = ticks - beat.lost_ticks.min(ticks);
        entries.extend((1..=kept).map(|n| Entry { recv: now + n * 1_000, line: None }));
        if kept >= 10 {
            base = base.max(now + kept * 1_000);
        }
        now += beat.pause;
        let said = match beat.clock {
            Says::Delay(delay) => Some(now - delay),
            Says::Watermark(by) => {
                Some(if base == i64::MIN { now } else { (base - lateness + by).min(now + 600_000) })
            }
            Says::Same => Some(last),
            Says::Round(delay) => Some((now - delay).div_euclid(500) * 500),
            Says::Nothing => None,
        };
        if let Some(at) = said.filter(|at| *at <= now + 600_000) {
            highest = highest.max(Some(at));
            base = base.max(highest.unwrap_or(at).min(now));
            last = at;
        }
        let line = said.map_or(Line::Timeless, |at| line(at, beat.pick));
        entries.push(Entry { recv: now, line: Some(line) });
    }
    entries
}

/// Time passes until all is over: seconds of ticks.
fn night(entries: &mut Vec<Entry>, seconds: i64) {
    let last = entries.last().map_or(START, |entry| entry.recv);
    entries.extend((1..=seconds).map(|n| Entry { recv: last + n * 1_000, line: None }));
}

fn picked<T: Copy>(from: &[T], pick: u32, salt: u32) -> T {
    from[(pick.rotate_left(salt) ^ pick.wrapping_mul(0x9E37_79B9)) as usize % from.len()]
}

fn counts_line(at: i64, pick: u32) -> Line {
    let code = ["NET_ERR", "NET_ERR", "NET_ERR", "TIMEOUT", "TIMEOUT", "0000", "9999", ""];
    Line::Counts(streams::Event {
        offset: at - START,
        code: picked(&code, pick, 1),
        channel: picked(&["GHT", "GHT", "UMP", ""], pick, 7),
        merchant: picked(&["M1", "M2", "M3", ""], pick, 13),
    })
}

fn things_line(at: i64, pick: u32) -> Line {
    let code = ["S", "S", "S", "F", "F", "SF", "X", "S-", "F-", ""];
    Line::Things(things::Event {
        offset: at - START,
        order: picked(&["o1", "o1", "o2", "o3", ""], pick, 1),
        code: picked(&code, pick, 7),
        channel: picked(&["GHT", "GHT", "UMP", ""], pick, 13),
        merchant: picked(&["M1", "M2", "M3", ""], pick, 19),
        delay: 0,
    })
}

fn text(line: &Line) -> String {
    match line {
        Line::Counts(event) => streams::line(event),
        Line::Things(event) => things::line(event),
        Line::Timeless => ["||".repeat(9), "NET_ERR".into(), "||".repeat(56)].concat(),
    }
}

fn batch(formats: &Arc<FormatSet>, entries: &[Entry]) -> Batch {
    support::journal(formats, entries.iter().map(|entry| (entry.line.as_ref().map(text), Some(entry.recv))))
}

/// The journal as the model sees it.
fn arrivals(entries: &[Entry], by_channel: bool) -> Vec<Arrival> {
    let arrival = |entry: &Entry| match &entry.line {
        Some(Line::Counts(event)) => Arrival {
            recv: entry.recv,
            at: Some(START + event.offset),
            seen: Some(streams::seen(event, by_channel)),
            rec: None,
        },
        Some(Line::Things(event)) => Arrival {
            recv: entry.recv,
            at: Some(START + event.offset),
            seen: None,
            rec: Some(things::rec(event, by_channel)),
        },
        Some(Line::Timeless) | None => Arrival { recv: entry.recv, ..Arrival::default() },
    };
    entries.iter().map(arrival).collect()
}

fn load(rule: &str) -> (Arc<RuleSet>, Arc<FormatSet>) {
    crate::snapshots::load(&format!("      - alert: A\n{rule}"))
}

/// A rule of any kind in buckets, or `consecutive`, as the model and as a file has it.
fn counting() -> impl Strategy<Value = (Rule, String, bool)> {
    (streams::rule(), any::<bool>(), settle()).prop_map(|((mut rule, text, _), by_channel, settle)| {
        let by = if by_channel { "        by: [channel]\n" } else { "" };
        let text = streams::expecting(&text, if by_channel { "channel" } else { "" });
        let text = format!(
            "        where: response_code in [\"NET_ERR\", \"TIMEOUT\"]\n        settle: {settle}ms\n{by}{text}"
        );
        if let Shape::Flatline(Flatline { expect, hours, .. }) = &mut rule.shape {
            if let (Ok(keys), false) = (expect, by_channel) {
                *keys = vec![""];
            }
            // The first of them opens at nine, an hour before the streams begin.
            let opens = |from: &mut i64| *from -= if *from == START { 3_600_000 } else { 0 };
            hours.iter_mut().flatten().for_each(|(from, _)| opens(from));
        }
        (Rule { judge: Judge::Counts(rule), settle }, text, by_channel)
    })
}

fn settle() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0i64), 1 => Just(1_000), 1 => 1..4_000i64, 1 => 4_000..9_000i64]
}

/// A rule about single things.
fn about_things() -> impl Strategy<Value = (Rule, String, bool)> {
    (things::rule(), settle()).prop_map(|((rule, text, by_channel), settle)| {
        (
            Rule { judge: Judge::Things(rule), settle },
            format!("{text}        settle: {settle}ms\n"),
            by_channel,
        )
    })
}

/// A rule whose early verdicts a later record may prove wrong.
fn withdrawing() -> impl Strategy<Value = (Rule, String, bool)> {
    use crate::things_naive::Kind;
    let run = counting().prop_filter("a run", |(rule, ..)| match &rule.judge {
        Judge::Counts(rule) => matches!(rule.shape, Shape::Consecutive { count: 1..4, .. }),
        Judge::Things(_) => false,
    });
    let things = about_things().prop_filter("may be wrong", |(rule, ..)| match &rule.judge {
        Judge::Things(rule) => matches!(rule.kind, Kind::Transition { .. } | Kind::NewValue { .. }),
        Judge::Counts(_) => false,
    });
    prop_oneof![run, things].prop_filter("time for it", |(rule, ..)| rule.lateness() >= 1_000)
}

fn steps(transitions: &[Transition]) -> Vec<Step> {
    let step = |t: &Transition| {
        let change = match t.change {
            Change::Pending => "pending",
            Change::Fired => "fired",
            Change::Dropped => "dropped",
            Change::Resolved => "resolved",
            Change::Withdrawn => "withdrawn",
            _ => return None,
        };
        let is_withdrawn = t.change == Change::Withdrawn;
        Some(Step {
            key: t.alert.labels.get("channel").cloned().unwrap_or_default(),
            lsn: t.lsn,
            change,
            early: t.early,
            active: if is_withdrawn { 0 } else { t.alert.active_ms },
            fired: t.alert.fired_ms.filter(|_| !is_withdrawn),
            ended: t.alert.ended_ms.filter(|_| !is_withdrawn),
        })
    };
    let mut steps: Vec<Step> = transitions.iter().filter_map(step).collect();
    steps.sort_by(|a, b| (&a.key, a.lsn).cmp(&(&b.key, b.lsn)));
    steps
}

/// What the engine comes to, judged in parts, snapshotted, restored and reloaded between them.
fn by_engine(rule: &str, entries: &[Entry], cuts: &[usize]) -> Outcome {
    let (rules, formats) = load(rule);
    let whole = batch(&formats, entries);
    let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
    let (mut out, mut from) = (Vec::new(), 0);
    for (n, cut) in cuts.iter().enumerate() {
        let to = (*cut).clamp(from, whole.rows.len());
        engine.judge(&part(&whole, from, to), &mut out);
        engine = match n % 3 {
            0 => engine,
            1 => {
                let mut bytes = Vec::new();
                engine.snapshot(&mut bytes);
                Engine::restore(Arc::clone(&rules), Arc::clone(&formats), &bytes).expect("just written").0
            }
            _ => {
                let (engine, reloaded) = engine.reload(load(rule).0);
                assert!(reloaded.transitions.is_empty(), "the same rules end nothing");
                engine
            }
        };
        from = to;
    }
    engine.judge(&part(&whole, from, whole.rows.len()), &mut out);
    // An early alert is one that no settled verdict spoke of yet.
    let mut early = BTreeMap::new();
    for t in &out {
        early.insert(t.alert.id.clone(), t.early);
    }
    let on = engine.alerts();
    let key = |alert: &rules::Alert| alert.labels.get("channel").cloned().unwrap_or_default();
    let mut on: Vec<(String, bool)> = on.iter().map(|a| (key(a), early[&a.id])).collect();
    on.sort();
    let counts = engine.counts();
    let timeless = entries.iter().filter(|e| matches!(e.line, Some(Line::Timeless))).count() as u64;
    assert_eq!(counts.no_time, timeless);
    assert_eq!(
        counts.rules[0].withdrawn,
        out.iter().filter(|t| t.change == Change::Withdrawn).count() as u64
    );
    Outcome { steps: steps(&out), on, skewed: counts.skewed, late: counts.rules[0].late }
}

/// That an early alert is confirmed is told only when its numbers changed: what is on is compared as on.
fn comparable(mut outcome: Outcome) -> Outcome {
    outcome.on.iter_mut().for_each(|on| on.1 = false);
    outcome
}

fn check(
    rule: &Rule,
    words: &str,
    by_channel: bool,
    entries: &[Entry],
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    let expect = comparable(live_naive::run(rule, &arrivals(entries, by_channel)));
    let got = comparable(by_engine(words, entries, cuts));
    prop_assert_eq!(got, expect, "{:?}\n{}\n{}", rule, words, shown(entries));
    Ok(())
}

/// The journal in a few lines: of ticks in a row the first and the last.
fn shown(entries: &[Entry]) -> String {
    let mut lines = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let recv = entry.recv - START;
        let is_inner = |at: usize| entries.get(at).is_some_and(|entry| entry.line.is_none());
        lines.push(match &entry.line {
            None if i > 0 && is_inner(i - 1) && is_inner(i + 1) => continue,
            None => format!("{}: tick {recv}", i + 1),
            Some(Line::Timeless) => format!("{}: timeless {recv}", i + 1),
            Some(Line::Counts(e)) => {
                format!("{}: {} at {recv}, {} {} {}", i + 1, e.offset, e.code, e.channel, e.merchant)
            }
            Some(Line::Things(e)) => {
                let (at, code) = (e.offset, e.code);
                format!("{}: {at} at {recv}, {} {code} {} {}", i + 1, e.order, e.channel, e.merchant)
            }
        });
    }
    lines.join("\n")
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..200usize, 0..5).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

/// Journals in which nothing happens prove little.
#[test]
fn random_journals_tell_something() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..300 {
        let beats = beats().new_tree(&mut runner).expect("beats").current();
        let (counts, things) = (
            counting().new_tree(&mut runner).expect("a rule").current(),
            about_things().new_tree(&mut runner).expect("a rule").current(),
        );
        for ((rule, words, _), line) in [(counts, counts_line as fn(i64, u32) -> Line), (things, things_line)]
        {
            let mut entries = journal(&beats, rule.lateness(), line);
            night(&mut entries, 20);
            let outcome = by_engine(&words, &entries, &[]);
            let mut note = |name, is_so| *found.entry(name).or_default() += u32::from(is_so);
            note("early", outcome.steps.iter().any(|step| step.early && step.change == "fired"));
            note("waited", rule.settle > 0 && outcome.steps.iter().any(|step| step.early));
            note("late", outcome.late > 0);
            note("skewed", outcome.skewed > 0);
            for change in ["pending", "fired", "dropped", "resolved", "withdrawn"] {
                note(change, outcome.steps.iter().any(|step| step.change == change));
            }
        }
    }
    for (name, least) in [
        ("early", 70),
        ("waited", 25),
        ("late", 300),
        ("skewed", 30),
        ("pending", 80),
        ("fired", 200),
        ("dropped", 40),
        ("resolved", 150),
        ("withdrawn", 2),
    ] {
        assert!(found.get(name).is_some_and(|n| *n >= least), "{name} in {found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_and_model_agree_on_counts(
        (rule, words, by_channel) in counting(),
        beats in beats(),
        rest in prop_oneof![2 => 0..30i64, 1 => Just(120)],
        cuts in cuts(),
    ) {
        let mut entries = journal(&beats, rule.lateness(), counts_line);
        night(&mut entries, rest);
        check(&rule, &words, by_channel, &entries, &cuts)?;
    }

    #[test]
    fn engine_and_model_agree_on_things(
        (rule, words, by_channel) in about_things(),
        beats in beats(),
        rest in prop_oneof![2 => 0..30i64, 1 => Just(120)],
        cuts in cuts(),
    ) {
        let mut entries = journal(&beats, rule.lateness(), things_line);
        night(&mut entries, rest);
        check(&rule, &words, by_channel, &entries, &cuts)?;
    }

    #[test]
    fn engine_and_model_agree_on_what_is_withdrawn(
        (rule, words, by_channel) in withdrawing(),
        beats in prop::collection::vec(quick_beat(), 4..40),
        cuts in cuts(),
    ) {
        let line = if matches!(rule.judge, Judge::Counts(_)) { counts_line } else { things_line };
        let mut entries = journal(&beats, rule.lateness(), line);
        night(&mut entries, 20);
        check(&rule, &words, by_channel, &entries, &cuts)?;
    }
}

/// What is told of orders, each `(event time, receive time, order, code)`: `LSN change active`.
fn told(rule: &str, records: &[(i64, i64, &'static str, &'static str)], seconds: i64) -> Vec<String> {
    let entry = |&(at, recv, order, code): &(i64, i64, &'static str, &'static str)| Entry {
        recv: START + recv,
        line: Some(Line::Things(things::Event {
            offset: at,
            order,
            code,
            channel: "GHT",
            merchant: "M1",
            delay: 0,
        })),
    };
    let mut entries: Vec<Entry> = records.iter().map(entry).collect();
    night(&mut entries, seconds);
    let steps = by_engine(&rule.replace("\n", "\n        "), &entries, &[]).steps;
    steps.iter().map(|s| format!("{} {} {}", s.lsn, s.change, s.active - START)).collect()
}

const NEW_ORDER: &str = "
kind: new_value
field: order_no
where: '!endsWith(response_code, \"-\")'
remember: 1h
learn: 1s
lateness: 3s
resolve_after: 5s
";

/// That history began a second earlier makes the order of 10:00:00 new: at once, though the record is none of the rule's.
#[test]
fn a_record_that_opens_history_raises_what_was_learnt_until_then() {
    let records = [(0, 0, "o1", "S"), (-1_000, 100, "o3", "F-")];
    assert_eq!(told(NEW_ORDER, &records, 0), ["2 fired 0"]);
}

/// It is the first sight of the order itself: nothing is raised, to be withdrawn in the same breath.
#[test]
fn a_record_that_opens_history_counts_when_it_does() {
    let records = [(0, 0, "o1", "S"), (-1_000, 100, "o1", "S")];
    assert_eq!(told(NEW_ORDER, &records, 30), Vec::<String>::new());
}

#[test]
fn an_alert_that_several_values_raise_begins_with_the_first() {
    let records = [(0, 0, "o1", "S"), (-76, 10, "o3", "S"), (-1_500, 100, "", "S")];
    assert_eq!(told(NEW_ORDER, &records, 0), ["3 fired -76"]);
}

/// The late start of 10:49 is open until 10:59.501, so that of 10:59 changes nothing.
#[test]
fn a_start_however_late_decides_whether_a_later_one_opens() {
    let rule = "
kind: unfinished
start: response_code == \"S\"
finish: response_code == \"F\"
within: 10s1ms
resolve_after: 500ms
";
    let [late, early, end] = [49_000, 59_000, 125_999];
    let with = [(early, early, "o2", "S"), (68_999, 68_999, "o1", ""), (late, 69_000, "o2", "S")];
    assert_eq!(told(rule, &with, 90), Vec::<String>::new());
    assert_eq!(
        told(rule, &[with[0], with[1], (end, end, "o1", "")], 0),
        ["3 fired 69001", "3 resolved 69001"]
    );
}

/// Begun every 100 ms for 30 s: 300 records of one thing, of which 256 are remembered, and the first one is late.
#[test]
fn what_is_begun_again_and_again_is_late_all_the_same() {
    let rule = "
kind: unfinished
start: response_code == \"S\"
finish: response_code == \"F\"
within: 29s
resolve_after: 10s
lateness: 0s
";
    let records: Vec<_> = (0..310).map(|i| (i * 100, i * 100, "o1", "S")).collect();
    assert_eq!(told(rule, &records, 0), ["301 fired 29000"]);
}
