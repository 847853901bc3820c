//! Rules and lines in, transitions and alerts out, by hand.

use std::sync::Arc;

use record::{Batch, Decoder, FormatSet, InstantMs, RowFlags, Transport};

use crate::{Alert, Engine, RuleFile, RuleSet, Transition};

/// 2016-07-22 18:15:00 in Shanghai.
pub(super) const T0: InstantMs = 1_469_182_500_000;

/// One line of `order-trace` at `T0 + offset_ms`.
pub(super) fn line(offset_ms: i64, order: &str, code: &str, channel: &str) -> String {
    let zone = chrono_tz::Asia::Shanghai;
    let at = chrono::DateTime::from_timestamp_millis(T0 + offset_ms).unwrap().with_timezone(&zone);
    let time = at.format("%Y-%m-%d %H:%M:%S%.3f");
    let mut columns = vec![String::new(); 66];
    columns[0] = time.to_string();
    columns[4] = order.to_owned();
    columns[9] = code.to_owned();
    columns[13] = channel.to_owned();
    columns[30] = "1.50".to_owned();
    columns.join("||")
}

pub(super) fn load(yaml: &str) -> (Arc<RuleSet>, Arc<FormatSet>) {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let file = RuleFile { name: "test.yaml".into(), text: format!("groups:\n- name: g\n  rules:\n{yaml}") };
    let rules = RuleSet::load(&[file], &formats).unwrap_or_else(|errors| panic!("{errors:?}"));
    (Arc::new(rules), formats)
}

/// Lines with their receive times, as a batch with LSNs from 1; an empty line is a tick.
pub(super) fn batch(formats: &Arc<FormatSet>, lines: &[(String, Option<InstantMs>)]) -> Batch {
    let mut batch = Batch::default();
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, formats.find("order-trace"));
    for (line, recv_ms) in lines {
        if line.is_empty() {
            let last = line_row(formats);
            batch.rows.push(record::Row { recv_ms: *recv_ms, flags: RowFlags::TICK, ..last });
        } else {
            decoder.push(&mut batch, 0, line.as_bytes(), *recv_ms, false);
        }
    }
    decoder.flush(&mut batch, 0);
    for (row, lsn) in batch.rows.iter_mut().zip(1..) {
        row.lsn = lsn;
    }
    batch
}

fn line_row(formats: &Arc<FormatSet>) -> record::Row {
    let empty = batch(formats, &[(line(0, "", "", ""), None)]).rows.remove(0);
    record::Row { event_ms: None, spans_len: 0, ..empty }
}

fn show(offset: InstantMs) -> String {
    format!("{:.3}", (offset - T0) as f64 / 1_000.0)
}

fn show_alert(alert: &Alert) -> String {
    let labels: Vec<_> = alert.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let end = |at: Option<InstantMs>| at.map_or("-".to_owned(), show);
    format!(
        "{} active {} fired {} ended {}: {}",
        labels.join(" "),
        show(alert.active_ms),
        end(alert.fired_ms),
        end(alert.ended_ms),
        alert.reason.text
    )
}

/// Settled alerts of a file.
fn backtest(yaml: &str, lines: &[String]) -> Vec<Arc<Alert>> {
    let (rules, formats) = load(yaml);
    let mut engine = Engine::for_backtest(rules, Arc::clone(&formats));
    let lines: Vec<_> = lines.iter().map(|line| (line.clone(), None)).collect();
    let mut out = Vec::new();
    engine.judge(&batch(&formats, &lines), &mut out);
    engine.finish()
}

pub(super) fn check(yaml: &str, lines: &[String], expect: &expect_test::Expect) {
    let shown: Vec<_> = backtest(yaml, lines).iter().map(|alert| show_alert(alert)).collect();
    expect.assert_eq(&shown.join("\n"));
}

/// Transitions of lines as they arrive.
fn live(yaml: &str, lines: &[(String, Option<InstantMs>)]) -> Vec<Transition> {
    let (rules, formats) = load(yaml);
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    let mut out = Vec::new();
    engine.judge(&batch(&formats, lines), &mut out);
    out
}

fn check_live(yaml: &str, lines: &[(i64, String)], expect: &expect_test::Expect) {
    let lines: Vec<_> = lines.iter().map(|(at, line)| (line.clone(), Some(T0 + at))).collect();
    let show = |t: &Transition| {
        let early = if t.early { " early" } else { "" };
        format!("{} {:?}{early} {}", t.lsn, t.change, show_alert(&t.alert))
    };
    expect.assert_eq(&live(yaml, &lines).iter().map(show).collect::<Vec<_>>().join("\n"));
}

const THREE_IN_10S: &str =
    "  - {alert: F, kind: frequency, where: 'response_code == \"E\"', count: 3, within: 10s}\n";
const RUN: &str = "  - {alert: R, kind: consecutive, where: 'response_code == \"E\"', \
                   reset: 'response_code == \"0\"', by: [channel], count: 3, within: 10s}\n";

fn errors(at: &[i64]) -> Vec<String> {
    at.iter().map(|&at| line(at, &format!("o{at}"), "E", "GHT")).collect()
}

#[test]
fn a_window_ends_with_the_bucket_and_holds_whole_buckets() {
    // the window ending at bucket 9 is buckets 0..9: the first match is in it to 9.999 and no longer
    let mut lines = errors(&[999, 5_000, 9_999]);
    lines.push(line(30_000, "", "0", ""));
    check(
        THREE_IN_10S,
        &lines,
        &expect_test::expect!["alertname=F active 9.000 fired 9.000 ended 10.000: 3 in 10s of at least 3"],
    );
    let mut lines = errors(&[999, 5_000, 10_000]);
    lines.push(line(30_000, "", "0", ""));
    check(THREE_IN_10S, &lines, &expect_test::expect![""]);
}

#[test]
fn the_end_of_a_file_decides_only_what_lies_before_it() {
    // the file ends at 10.0: bucket 9 is decided, the end of the alert at 10.000 is not before it
    check(
        THREE_IN_10S,
        &errors(&[999, 5_000, 9_999]),
        &expect_test::expect!["alertname=F active 9.000 fired 9.000 ended -: 3 in 10s of at least 3"],
    );
}

#[test]
fn a_run_is_exact_to_the_millisecond() {
    let end = |mut lines: Vec<String>, at| {
        lines.push(line(at, "", "X", "GHT"));
        lines
    };
    check(
        RUN,
        &end(errors(&[0, 1, 9_999]), 12_000),
        &expect_test::expect![
            "alertname=R channel=GHT active 9.999 fired 9.999 ended 10.000: 3 in a row of at least 3 within 10s (18:15:00.000 to 18:15:09.999)"
        ],
    );
    check(RUN, &end(errors(&[0, 1, 10_000]), 12_000), &expect_test::expect![""]);
}

#[test]
fn a_reset_comes_before_a_match_of_the_same_millisecond() {
    let lines = [
        line(0, "", "E", "GHT"),
        line(1, "", "E", "GHT"),
        line(2, "", "E", "GHT"),
        line(2, "", "0", "GHT"),
        line(3, "", "E", "GHT"),
        line(4, "", "E", "GHT"),
        line(20_000, "", "X", ""),
    ];
    check(
        RUN,
        &lines,
        &expect_test::expect![
            "alertname=R channel=GHT active 0.004 fired 0.004 ended 10.002: 3 in a row of at least 3 within 10s (18:15:00.002 to 18:15:00.004)"
        ],
    );
}

#[test]
fn early_alerts_are_confirmed_and_resolved() {
    let e = |at: i64| (at + 100, line(at, &format!("o{at}"), "E", "GHT"));
    check_live(
        THREE_IN_10S,
        &[e(0), e(1_000), e(2_000), tick(5_000), tick(11_900), tick(12_100), tick(16_000), tick(20_000)],
        &expect_test::expect![[r#"
            3 Fired early alertname=F active 2.000 fired 2.000 ended -: 3 in 10s of at least 3
            6 Updated alertname=F active 2.000 fired 2.000 ended -: 3 in 10s of at least 3
            7 Resolved alertname=F active 2.000 fired 2.000 ended 10.000: 3 in 10s of at least 3"#]],
    );
}

#[test]
fn a_reset_that_comes_later_withdraws_an_early_alert() {
    let l = |recv: i64, at: i64, code: &str| (recv, line(at, "", code, "GHT"));
    check_live(
        RUN,
        &[l(0, 0, "E"), l(1_000, 1_000, "E"), l(2_000, 2_000, "E"), l(2_500, 1_500, "0")],
        &expect_test::expect![[r#"
            3 Fired early alertname=R channel=GHT active 2.000 fired 2.000 ended -: 3 in a row of at least 3 within 10s (18:15:00.000 to 18:15:02.000)
            4 Withdrawn early alertname=R channel=GHT active 2.000 fired 2.000 ended 2.000: 3 in a row of at least 3 within 10s (18:15:00.000 to 18:15:02.000)"#]],
    );
}

fn tick(at: i64) -> (i64, String) {
    (at, String::new())
}

fn counts(yaml: &str, lines: &[(i64, String)]) -> crate::EngineCounts {
    let (rules, formats) = load(yaml);
    let lines: Vec<_> = lines.iter().map(|(at, line)| (line.clone(), Some(T0 + at))).collect();
    let mut engine = Engine::new(rules, Arc::clone(&formats));
    engine.judge(&batch(&formats, &lines), &mut Vec::new());
    engine.counts()
}

#[test]
fn records_far_ahead_are_not_judged_and_do_not_move_time() {
    let e = |recv: i64, at: i64| (recv, line(at, "", "E", "GHT"));
    let lines = [e(0, 600_001), e(0, 600_001), e(0, 600_001), e(100, 0), e(200, 1_000)];
    let counts = counts(THREE_IN_10S, &lines);
    assert_eq!((counts.skewed, counts.records, counts.rules[0].matched), (3, 2, 2));
}

#[test]
fn a_record_less_far_ahead_is_judged_but_closes_no_window() {
    // the third error is 9 minutes ahead: it counts where it stands; the clock follows the receive time
    let e = |recv: i64, at: i64| (recv, line(at, "", "E", "GHT"));
    let lines = [e(0, 540_000), e(100, 0), e(6_000, 500), e(6_100, 900), tick(20_000)];
    check_live(
        THREE_IN_10S,
        &lines,
        &expect_test::expect![[r#"
            4 Fired early alertname=F active 1.000 fired 1.000 ended -: 3 in 10s of at least 3
            5 Updated alertname=F active 1.000 fired 1.000 ended -: 3 in 10s of at least 3
            5 Resolved alertname=F active 1.000 fired 1.000 ended 10.000: 3 in 10s of at least 3"#]],
    );
    assert_eq!(counts(THREE_IN_10S, &lines).late, 1, "at 0.900 the watermark stood at 1.000");
}

#[test]
fn settle_waits_by_the_clock_of_the_watermark() {
    let rule = RUN.replace("count: 3", "settle: 2s, count: 3");
    let l = |recv: i64, at: i64, code: &str| (recv, line(at, "", code, "GHT"));
    check_live(
        &rule,
        &[
            l(0, 0, "E"),
            l(1_000, 1_000, "E"),
            l(2_000, 2_000, "E"),
            l(3_999, 3_999, "X"),
            l(4_000, 4_000, "X"),
        ],
        &expect_test::expect![[r#"
            5 Fired early alertname=R channel=GHT active 2.000 fired 2.000 ended -: 3 in a row of at least 3 within 10s (18:15:00.000 to 18:15:02.000)"#]],
    );
    check_live(
        &rule,
        &[
            l(0, 0, "E"),
            l(1_000, 1_000, "E"),
            l(2_000, 2_000, "E"),
            l(3_999, 1_999, "0"),
            l(4_000, 4_000, "X"),
        ],
        &expect_test::expect![""],
    );
}

#[test]
fn a_pending_alert_shows_at_once_and_fires_when_settled() {
    let rule = THREE_IN_10S.replace("count: 3", "for: 3s, count: 3");
    let e = |at: i64| (at, line(at, &format!("o{at}"), "E", "GHT"));
    check_live(
        &rule,
        &[e(0), e(1_000), e(2_000), e(3_000), tick(10_000), tick(11_000), tick(30_000)],
        &expect_test::expect![[r#"
            3 Pending early alertname=F active 2.000 fired - ended -: 3 in 10s of at least 3
            7 Updated alertname=F active 2.000 fired - ended -: 3 in 10s of at least 3
            7 Updated alertname=F active 2.000 fired - ended -: 4 in 10s of at least 3
            7 Fired alertname=F active 2.000 fired 5.000 ended -: 4 in 10s of at least 3
            7 Resolved alertname=F active 2.000 fired 5.000 ended 11.000: 4 in 10s of at least 3"#]],
    );
}

#[test]
fn the_partial_step_counts_only_to_the_end_of_its_bucket() {
    let rule = "  - {alert: S, kind: sustained, where: 'response_code == \"E\"', count: 2, every: 5s, within: 10s}\n";
    // steps 0..5 and 5..10; the second one has its two at 7.9, so it is active from 7 on, to the end of step 10..15
    let mut lines = errors(&[0, 4_999, 5_000, 7_900]);
    lines.push(line(40_000, "", "X", ""));
    check(
        rule,
        &lines,
        &expect_test::expect![
            "alertname=S active 7.000 fired 7.000 ended 15.000: at least 2 in each 5s of 10s, of at least 2"
        ],
    );
    // a third step filled in its last bucket prolongs it: by the step before, then by itself, to the end of the next
    let mut lines = errors(&[0, 0, 5_000, 5_000, 10_000, 14_999]);
    lines.push(line(40_000, "", "X", ""));
    check(
        rule,
        &lines,
        &expect_test::expect![
            "alertname=S active 5.000 fired 5.000 ended 20.000: at least 2 in each 5s of 10s, of at least 2"
        ],
    );
}

#[test]
fn any_is_active_from_the_bucket_of_a_match_until_resolve_after() {
    let rule = "  - {alert: N, kind: any, where: 'response_code == \"E\"', by: [channel, module], resolve_after: 5s}\n";
    let lines = [line(900, "", "E", "GHT"), line(1_000, "", "E", ""), line(30_000, "", "X", "")];
    check(
        rule,
        &lines,
        &expect_test::expect![[r#"
            alertname=N channel=GHT active 0.000 fired 0.000 ended 5.000: 1 in the last 5s
            alertname=N active 1.000 fired 1.000 ended 6.000: 1 in the last 5s"#]],
    );
}

#[test]
fn a_late_match_counts_from_the_watermark_on() {
    // when 2.0 is read the watermark stands at 3.0: the run is complete, but only from 3.0 on
    let lines = [
        line(1_000, "", "E", "GHT"),
        line(2_500, "", "E", "GHT"),
        line(8_000, "", "X", "GHT"),
        line(2_000, "", "E", "GHT"),
        line(20_000, "", "X", ""),
    ];
    check(
        RUN,
        &lines,
        &expect_test::expect![
            "alertname=R channel=GHT active 3.000 fired 3.000 ended 11.000: 3 in a row of at least 3 within 10s (18:15:01.000 to 18:15:02.500)"
        ],
    );
}

#[test]
fn the_least_recently_active_key_goes_at_the_bound() {
    let (rules, formats) = load(RUN);
    let mut engine = Engine::with_keys_max(rules, Arc::clone(&formats), 2);
    let l = |at: i64, channel: &str| (line(at, "", "E", channel), None);
    let lines = [l(0, "A"), l(1, "B"), l(2, "A"), l(3, "C"), l(4, "A"), l(5, "D"), l(6, "B"), l(7, "B")];
    let mut out = Vec::new();
    engine.judge(&batch(&formats, &lines), &mut out);
    let firing: Vec<_> = engine.alerts().iter().map(|alert| alert.labels["channel"].clone()).collect();
    assert_eq!(firing, ["A"], "A stays though B, C and D are more recent; B lost its first match");
    let counts = &engine.counts().rules[0];
    assert_eq!((counts.keys, counts.keys_dropped), (2, 3));
}

#[test]
fn the_reason_tells_orders_money_and_lines() {
    let mut lines = errors(&[0, 1_000, 1_500, 2_000]);
    lines.push(line(2_000, "o0", "E", "UMP"));
    let rule = THREE_IN_10S.replace("count: 3", "count: 3, samples: 2, distinct: {field: channel, min: 2}");
    let alerts = backtest(&rule, &lines);
    let mut shown = crate::backtest_line(&alerts[0]);
    for sample in shown["reason"]["samples"].as_array_mut().unwrap() {
        assert!(sample["line"].as_str().unwrap().starts_with("2016-07-22 18:15:02.000||"));
        sample["line"] = "...".into();
    }
    expect_test::expect![[r#"
        {
          "active_at": "2016-07-22T10:15:02.000Z",
          "alert": "F",
          "ended_at": null,
          "fired_at": "2016-07-22T10:15:02.000Z",
          "labels": {
            "alertname": "F"
          },
          "reason": {
            "amount": "6",
            "buckets": [
              {
                "at": "2016-07-22T10:15:00.000Z",
                "count": 1
              },
              {
                "at": "2016-07-22T10:15:01.000Z",
                "count": 2
              },
              {
                "at": "2016-07-22T10:15:02.000Z",
                "count": 2
              }
            ],
            "count": 5,
            "distinct": [
              "GHT",
              "UMP"
            ],
            "distinct_count": 2,
            "gate": "",
            "kind": "frequency",
            "orders": [
              "o0",
              "o1000",
              "o1500",
              "o2000"
            ],
            "orders_count": 4,
            "samples": [
              {
                "at": "2016-07-22T10:15:02.000Z",
                "line": "...",
                "lsn": 4
              },
              {
                "at": "2016-07-22T10:15:02.000Z",
                "line": "...",
                "lsn": 5
              }
            ],
            "text": "5 in 10s of at least 3; 2 distinct channel of at least 2",
            "thresholds": {
              "count": "3",
              "min": "2"
            }
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&shown).unwrap());
}

#[test]
fn annotations_and_identity() {
    let rule = RUN.replace(
        "count: 3",
        "labels: {severity: critical}, annotations: {summary: '{channel}: {count} in {within}'}, count: 3",
    );
    let alert = backtest(&rule, &errors(&[0, 1, 2])).remove(0);
    assert_eq!(alert.annotations["summary"], "GHT: 3 in 10s");
    let labels: Vec<_> = alert.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["alertname=R", "channel=GHT", "severity=critical"]);
    assert_eq!((alert.id.len(), alert.fingerprint.len()), (16, 16));
}

#[test]
fn few_distinct_values_are_noticed_when_the_others_leave_the_window() {
    // A at 0, B at 3, A at 9: from 13 on only A is in the 10 s before, until nothing is
    let rule = "  - {alert: L, kind: cardinality, field: channel, within: 10s, max: 1, lateness: 0s}\n";
    let mut lines = vec![line(0, "", "E", "A"), line(3_999, "", "E", "B"), line(9_000, "", "E", "A")];
    lines.push(line(3_500, "", "E", "B"));
    let other = rule.replace("lateness: 0s", "where: 'response_code == \"E\"', lateness: 10s");
    lines.push(line(40_000, "", "X", ""));
    check(
        &other,
        &lines,
        &expect_test::expect![[r#"
            alertname=L active 0.000 fired 0.000 ended 3.000: 1 distinct channel in 10s of at most 1
            alertname=L active 13.000 fired 13.000 ended 19.000: 1 distinct channel in 10s of at most 1"#]],
    );
    // a match without a value is a match: none of at most 0
    let none = other.replace("max: 1", "max: 0");
    let lines = [line(500, "", "E", ""), line(2_000, "", "E", "A"), line(40_000, "", "X", "")];
    check(
        &none,
        &lines,
        &expect_test::expect![
            "alertname=L active 0.000 fired 0.000 ended 2.000: 0 distinct channel in 10s of at most 0"
        ],
    );
}

#[test]
fn many_distinct_values_are_raised_early_few_are_not() {
    let rule = "  - {alert: D, kind: cardinality, field: channel, where: 'response_code == \"E\"', within: 10s, \
                min: 2, max: 1}\n";
    let e = |at: i64, channel: &str| (at, line(at, "", "E", channel));
    check_live(
        rule,
        &[e(0, "A"), e(999, "A"), e(1_000, "B"), e(2_000, "C"), tick(12_100), tick(13_000), tick(40_000)],
        &expect_test::expect![[r#"
            3 Fired early alertname=D active 1.000 fired 1.000 ended -: 2 distinct channel in 10s of at least 2
            5 Updated alertname=D active 0.000 fired 0.000 ended -: 1 distinct channel in 10s of at most 1
            5 Updated alertname=D active 0.000 fired 0.000 ended -: 2 distinct channel in 10s of at least 2
            5 Updated alertname=D active 0.000 fired 0.000 ended -: 3 distinct channel in 10s of at least 2
            7 Updated alertname=D active 0.000 fired 0.000 ended -: 1 distinct channel in 10s of at most 1
            7 Resolved alertname=D active 0.000 fired 0.000 ended 12.000: 1 distinct channel in 10s of at most 1"#]],
    );
}

#[test]
fn a_share_is_compared_strictly_and_only_of_enough_records() {
    let rule = "  - {alert: S, kind: ratio, where: has(channel), match: 'response_code == \"0\"', within: 10s, below: 0.5, \
                min_total: 4, by: [channel]}\n";
    // 2 of 4 is not below a half; at 4 s it is 2 of 5; at 10 s the first has left, 2 of 4 again
    let codes = ["E", "0", "0", "E", "E"];
    let mut lines: Vec<_> = (0..).zip(codes).map(|(i, code)| line(i * 1_000, "", code, "A")).collect();
    // three are too few
    lines.extend((0..3).map(|i| line(4_000 + i, "", "E", "B")));
    lines.push(line(40_000, "", "X", ""));
    check(
        rule,
        &lines,
        &expect_test::expect![
            "alertname=S channel=A active 4.000 fired 4.000 ended 10.000: 0.4 (2 of 5) below 0.5 in 10s"
        ],
    );
    let sure = rule.replace("below: 0.5", "below: 0.5, confidence: 0.95");
    let mut lines: Vec<_> = (0..6).map(|i| line(i * 1_000, "", "E", "A")).collect();
    lines.push(line(40_000, "", "X", ""));
    // none of 4: up to 0.4899 with that confidence; below the half from the fourth on, while four are in the window
    check(
        &sure,
        &lines,
        &expect_test::expect![
            "alertname=S channel=A active 3.000 fired 3.000 ended 12.000: 0 (0 of 4) below 0.5; 0.0000 to 0.4899 with confidence 0.95 in 10s"
        ],
    );
}

#[test]
fn an_average_is_exact_and_nulls_are_no_values() {
    let rule = "  - {alert: G, kind: aggregate, fn: avg, field: amount, where: 'response_code == \"E\"', within: 10s, \
                above: 0.15, min_total: 2}\n";
    let paid = |at: i64, amount: &str| line(at, "", "E", "A").replace("||1.50||", &format!("||{amount}||"));
    // 0.1 and 0.2 are 0.15 on average, not more; a null does not count as the second value
    let end = || line(40_000, "", "X", "");
    check(
        rule,
        &[paid(0, "0.1"), paid(1_000, "0.2"), paid(2_000, ""), end()],
        &expect_test::expect![[r#""#]],
    );
    check(rule, &[paid(0, "9"), paid(1_000, ""), paid(1_500, "n/a"), end()], &expect_test::expect![[r#""#]]);
    check(
        rule,
        &[paid(0, "0.1"), paid(1_000, "0.2000000000000000000001"), paid(3_000, "-5"), end()],
        &expect_test::expect![
            "alertname=G active 1.000 fired 1.000 ended 3.000: avg of amount 0.15 (2 values) above 0.15 in 10s"
        ],
    );
}
