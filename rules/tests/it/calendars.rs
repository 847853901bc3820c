//! Clocks that are put forward and back, ends of months and years, leap days: by hand, against instants of UTC.

use std::sync::Arc;

use chrono_tz::Tz;
use proptest::prelude::*;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Engine, RuleFile, RuleSet};

/// Alerts of a rule over lines, each a time of day in the zone and a channel: `channel from..until`, in UTC.
fn backtest(zone: Tz, file: &str, lines: &[(&str, &str)]) -> Vec<String> {
    let formats = Arc::new(FormatSet::shipped(zone));
    let files = [RuleFile { name: "r.yaml".into(), text: file.into() }];
    let rules = RuleSet::load(&files, &formats).unwrap_or_else(|errors| panic!("{errors:?}\n{file}"));
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, formats.find("order-trace"));
    let mut batch = Batch::default();
    let source = batch.source_index(&Arc::from("file"));
    for (time, channel) in lines {
        let mut columns = vec![""; 66];
        (columns[0], columns[13]) = (time, channel);
        decoder.push(&mut batch, source, columns.join("||").as_bytes(), None, false);
    }
    decoder.flush(&mut batch, source);
    for (row, lsn) in batch.rows.iter_mut().zip(1..) {
        row.lsn = lsn;
    }
    let mut engine = Engine::for_backtest(Arc::new(rules), formats);
    engine.judge(&batch, &mut Vec::new());
    let utc = |at: i64| {
        chrono::DateTime::from_timestamp_millis(at).expect("an instant").format("%m-%dT%H:%M:%S").to_string()
    };
    let shown = |alert: &Arc<rules::Alert>| {
        let channel = alert.labels.get("channel").map_or("", String::as_str);
        let until = alert.ended_ms.map_or("on".to_owned(), utc);
        format!("{channel} {}..{until}", utc(alert.active_ms))
    };
    engine.finish().iter().map(shown).collect()
}

fn rule(text: &str) -> String {
    format!("groups:\n  - name: g\n    rules:\n      - {{alert: A, {text}}}\n")
}

const ANY: &str = "kind: any, where: 'channel == \"X\"', resolve_after: 10s, by: [channel]";

#[test]
fn local_times_that_are_missing_or_come_twice() {
    let at =
        |time: &str| backtest(Tz::Europe__Berlin, &rule(ANY), &[(time, "X"), ("2027-01-01 00:00:00", "")]);
    // The last second of winter time, the first of summer time: one after the other.
    assert_eq!(at("2026-03-29 01:59:59"), ["X 03-29T00:59:59..03-29T01:00:09"]);
    assert_eq!(at("2026-03-29 03:00:00"), ["X 03-29T01:00:00..03-29T01:00:10"]);
    // Comes twice: the earlier one.
    assert_eq!(at("2026-10-25 02:30:00"), ["X 10-25T00:30:00..10-25T00:30:10"]);
    assert_eq!(at("2026-10-25 01:59:59"), ["X 10-24T23:59:59..10-25T00:00:09"]);
    assert_eq!(at("2026-10-25 03:00:00"), ["X 10-25T02:00:00..10-25T02:00:10"]);
    // New York puts its clocks back on another day.
    let york =
        |time: &str| backtest(Tz::America__New_York, &rule(ANY), &[(time, "X"), ("2027-01-01 00:00:00", "")]);
    assert_eq!(york("2026-11-01 00:59:59"), ["X 11-01T04:59:59..11-01T05:00:09"]);
    assert_eq!(york("2026-11-01 01:00:00"), ["X 11-01T05:00:00..11-01T05:00:10"]);
    assert_eq!(york("2026-11-01 02:00:00"), ["X 11-01T07:00:00..11-01T07:00:10"]);
}

/// A window of five minutes holds what came before and after the hour that is missing.
#[test]
fn a_window_knows_nothing_of_the_hour_that_is_missing() {
    let lines = [("2026-03-29 01:58:00", "X"), ("2026-03-29 03:01:00", "X"), ("2026-03-29 03:10:00", "")];
    let text = rule("kind: frequency, where: 'channel == \"X\"', count: 2, within: 5m");
    assert_eq!(backtest(Tz::Europe__Berlin, &text, &lines), [" 03-29T01:01:00..03-29T01:03:00"]);
}

#[test]
fn rows_hold_from_and_to_instants_of_the_zone() {
    let text = |from: &str, to: &str| {
        rule(&format!(
            "kind: frequency, where: 'channel == \"X\"', count: 9, within: 3h, thresholds: [{{count: 1, valid_from: '{from}', valid_to: '{to}'}}]"
        ))
    };
    let lines = [("2026-10-25 01:30:00", "X"), ("2026-10-25 12:00:00", "")];
    let at = |from: &str, to: &str| backtest(Tz::Europe__Berlin, &text(from, to), &lines);
    // r = 18 s, so that all of these are starts of buckets. The hour from 02:00 comes twice, the earlier one is meant.
    assert_eq!(at("2026-10-25 02:00", "2026-10-25 03:00"), [" 10-25T00:00:00..10-25T02:00:00"]);
    assert_eq!(at("2026-10-25 02:00", "2026-10-25T02:00+01:00"), [" 10-25T00:00:00..10-25T01:00:00"]);
    assert_eq!(at("2026-10-25", "2026-10-25 02:00"), [" 10-24T23:30:00..10-25T00:00:00"]);
    // The day of the change has 25 hours.
    let day = |last: &str| {
        backtest(
            Tz::Europe__Berlin,
            &text("2026-10-25", "2026-10-26"),
            &[(last, "X"), ("2026-10-26 06:00:00", "")],
        )
    };
    assert_eq!(day("2026-10-25 22:00:00"), [" 10-25T21:00:00..10-25T23:00:00"]);
}

/// A rule that expects something in the hours of an interval, over a time in which nothing comes.
fn flat(zone: Tz, interval: &str, within: &str, from: &str, to: &str) -> Vec<String> {
    let file = format!(
        "time_intervals:\n  - {{name: h, time_intervals: [{interval}]}}\n{}",
        rule(&format!("kind: flatline, where: 'channel == \"X\"', within: {within}, hours: [h]"))
    );
    backtest(zone, &file, &[(from, ""), (to, "")])
}

#[test]
fn hours_over_changes_of_clocks() {
    // 01:00 to 04:00 is two hours long in spring: 00:00 to 02:00 UTC; four in autumn: 23:00 to 03:00.
    let night = "{times: [{start_time: 01:00, end_time: 04:00}], location: Europe/Berlin}";
    let utc = |from: &str, to: &str| flat(Tz::UTC, night, "30m", from, to);
    assert_eq!(utc("2026-03-28 12:00:00", "2026-03-29 12:00:00"), [" 03-29T00:29:57..03-29T02:00:00"]);
    assert_eq!(utc("2026-10-24 12:00:00", "2026-10-25 12:00:00"), [" 10-24T23:29:57..10-25T03:00:00"]);
    // The hour that comes twice is one of two hours.
    let twice = "{times: [{start_time: 02:00, end_time: 03:00}], location: Europe/Berlin}";
    let utc = |from: &str, to: &str| flat(Tz::UTC, twice, "10m", from, to);
    assert_eq!(utc("2026-10-24 12:00:00", "2026-10-25 12:00:00"), [" 10-25T00:09:59..10-25T02:00:00"]);
    // The one that is missing is none at all.
    assert_eq!(utc("2026-03-28 12:00:00", "2026-03-29 12:00:00"), Vec::<String>::new());
    // Clocks that are put forward at midnight: the day begins at 01:00, 04:00 UTC.
    let day = "{days_of_month: ['6'], months: ['9'], location: America/Santiago}";
    assert_eq!(
        flat(Tz::UTC, day, "1h", "2026-09-05 00:00:00", "2026-09-08 00:00:00"),
        [" 09-06T04:59:54..09-07T03:00:00"]
    );
}

#[test]
fn hours_at_ends_of_months_and_years_and_on_leap_days() {
    let day = |interval: &str, from: &str, to: &str| flat(Tz::UTC, interval, "1h", from, to);
    let last = "{days_of_month: ['-1']}";
    assert_eq!(day(last, "2026-02-27 00:00:00", "2026-03-02 00:00:00"), [" 02-28T00:59:54..03-01T00:00:00"]);
    assert_eq!(day(last, "2028-02-27 00:00:00", "2028-03-02 00:00:00"), [" 02-29T00:59:54..03-01T00:00:00"]);
    let leap = "{days_of_month: ['29'], months: ['2']}";
    assert_eq!(day(leap, "2026-02-27 00:00:00", "2026-03-02 00:00:00"), Vec::<String>::new());
    assert_eq!(day(leap, "2028-02-27 00:00:00", "2028-03-02 00:00:00"), [" 02-29T00:59:54..03-01T00:00:00"]);
    let year = "{years: ['2027']}";
    assert_eq!(day(year, "2026-12-31 12:00:00", "2027-01-01 12:00:00"), [" 01-01T00:59:54..on"]);
    // The turn of the year inside one window of hours: the last day of December and the first of January.
    let turn = "{days_of_month: ['-1'], months: ['12']}, {days_of_month: ['1'], months: ['1']}";
    assert_eq!(day(turn, "2026-12-30 12:00:00", "2027-01-03 00:00:00"), [" 12-31T00:59:54..01-02T00:00:00"]);
    // A year of the zone, not of UTC.
    let there = "{years: ['2027'], location: Asia/Shanghai}";
    assert_eq!(day(there, "2026-12-31 12:00:00", "2027-01-01 12:00:00"), [" 12-31T16:59:54..on"]);
}

/// An offset of a day is 24 hours of event time, also where the day has 23.
#[test]
fn a_day_of_an_offset_is_a_duration() {
    let text = rule("kind: spike, where: 'channel == \"X\"', within: 10m, factor: 2, offset: [1d]");
    let lines = |there: &'static str| {
        [
            ("2026-03-28 00:00:00", ""),
            (there, "X"),
            ("2026-03-29 12:00:00", "X"),
            ("2026-03-29 12:00:01", "X"),
            ("2026-03-29 13:00:00", ""),
        ]
    };
    // 12:00 of summer time is 10:00 UTC; a day before that it was 11:00 of winter time.
    assert_eq!(
        backtest(Tz::Europe__Berlin, &text, &lines("2026-03-28 11:00:30")),
        [" 03-29T10:00:00..03-29T10:10:00"]
    );
    assert_eq!(backtest(Tz::Europe__Berlin, &text, &lines("2026-03-28 12:00:30")), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A window lies inside when each of its seconds does, by the clock of the place.
    #[test]
    fn hours_are_those_of_the_local_clock(
        zone in prop::sample::select(vec![Tz::Europe__Berlin, Tz::America__New_York, Tz::America__Santiago, Tz::Australia__Lord_Howe, Tz::Africa__Casablanca]),
        // Days on which one of them puts its clocks forward or back.
        day in prop::sample::select(vec!["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-09-06", "2026-04-04", "2026-10-04", "2026-02-15", "2026-03-22", "2026-12-31", "2028-02-28"]),
        (open, shut) in (0..24i64, 1..25i64).prop_filter("opens before it shuts", |(open, shut)| open < shut),
        within in prop::sample::select(vec![600i64, 1_800, 3_600, 5_400]),
        days in prop::sample::select(vec!["", ", days_of_month: ['-1']", ", weekdays: ['sunday']", ", days_of_month: ['1:7']"]),
    ) {
        use chrono::{Datelike, Offset, TimeZone, Timelike};
        let interval = format!("{{times: [{{start_time: {open:02}:00, end_time: {shut:02}:00}}], location: {zone}{days}}}");
        let noon = chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").expect("a day").and_hms_opt(12, 0, 0).expect("noon");
        let (first, end) = (noon - chrono::TimeDelta::hours(30), noon + chrono::TimeDelta::hours(30));
        let time = |at: chrono::NaiveDateTime| at.format("%Y-%m-%d %H:%M:%S").to_string();
        let got = flat(Tz::UTC, &interval, &format!("{within}s"), &time(first), &time(end));

        let is_open = |at: i64| {
            let utc = chrono::DateTime::from_timestamp(at, 0).expect("an instant").naive_utc();
            let local = utc + zone.offset_from_utc_datetime(&utc).fix();
            let next = local.date().succ_opt().expect("a day");
            let is_day = match days {
                "" => true,
                ", days_of_month: ['-1']" => next.month() != local.month(),
                ", weekdays: ['sunday']" => local.weekday() == chrono::Weekday::Sun,
                _ => local.day() <= 7,
            };
            let hour = i64::from(local.hour());
            is_day && hour >= open && hour < shut
        };
        let unit = (within + 599) / 600;
        let (from, to) = (first.and_utc().timestamp(), end.and_utc().timestamp());
        let mut expect: Vec<(i64, i64)> = Vec::new();
        let mut open_for = 0;
        for s in (from.div_euclid(unit) * unit..to.div_euclid(unit) * unit + unit).step_by(unit as usize) {
            let is_inside = (s..s + unit).all(|at| at >= from && is_open(at));
            open_for = if is_inside { open_for + unit } else { 0 };
            if open_for >= (within + unit - 1) / unit * unit {
                match expect.last_mut() {
                    Some(last) if last.1 == s => last.1 = s + unit,
                    _ => expect.push((s, s + unit)),
                }
            }
        }
        let shown = |at: i64| chrono::DateTime::from_timestamp(at, 0).expect("an instant").format("%m-%dT%H:%M:%S").to_string();
        let last = to.div_euclid(unit) * unit + unit;
        let expect: Vec<String> = expect
            .iter()
            .map(|&(a, b)| format!(" {}..{}", shown(a), if b == last { "on".to_owned() } else { shown(b) }))
            .collect();
        prop_assert_eq!(got, expect, "{}", interval);
    }
}
