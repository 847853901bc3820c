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

fn check(yaml: &str, lines: &[String], expect: &expect_test::Expect) {
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
    let tick = |at: i64| (at, String::new());
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
