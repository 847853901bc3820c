//! `spike` by hand: what it compares, when it is judged, how it is told.

use std::sync::Arc;

use super::lines::{check, line};

/// Lines of one channel at seconds.
pub(super) fn at_seconds(channel: &str, seconds: &[i64]) -> Vec<String> {
    seconds.iter().map(|s| line(s * 1_000, &format!("o{s}"), "E", channel)).collect()
}

/// One second per bucket, three buckets in a window, history from 0.
const UP: &str =
    "  - {alert: S, kind: spike, where: 'response_code == \"E\"', within: 3s, factor: 2, min_current: 2}\n";

#[test]
fn a_spike_is_judged_when_the_window_before_is_covered() {
    // Windows of buckets 3..=5 and 0..=2: the first that is judged.
    let end = |mut lines: Vec<String>| {
        lines.push(line(60_000, "", "X", ""));
        lines
    };
    check(
        UP,
        &end(at_seconds("", &[0, 3, 4])),
        &expect_test::expect![
            "alertname=S active 5.000 fired 5.000 ended 6.000: 2 in 3s, at least 2 times 1 before"
        ],
    );
    // A record of no concern shows that history began earlier: judged from bucket 4 on.
    let mut earlier = vec![line(-1_000, "", "X", "")];
    earlier.extend(end(at_seconds("", &[0, 3, 4])));
    check(
        UP,
        &earlier,
        &expect_test::expect![
            "alertname=S active 4.000 fired 4.000 ended 6.000: 2 in 3s, at least 2 times 1 before"
        ],
    );
    // A millisecond into its bucket history does not cover it.
    let mut late = vec![line(1, "", "E", "")];
    late.extend(end(at_seconds("", &[3, 4])));
    check(UP, &late, &expect_test::expect![""]);
}

#[test]
fn a_spike_from_nothing_needs_a_reference() {
    let mut lines = vec![line(0, "", "X", "")];
    lines.extend(at_seconds("", &[10, 10, 10, 10, 30]));
    check(UP, &lines, &expect_test::expect![""]);
}

#[test]
fn a_drop_is_told_for_the_key_that_fell_silent() {
    let rule = "  - {alert: D, kind: spike, within: 3s, factor: 4, direction: down, min_reference: 4, by: [channel]}\n";
    let mut lines = vec![line(0, "", "X", "")];
    lines.extend(at_seconds("UMP", &[6, 6, 7, 8, 30]));
    // Window 9..=11 holds none, 6..=8 holds 4; at 12 only two of them are before it.
    check(
        rule,
        &lines,
        &expect_test::expect![
            "alertname=D channel=UMP active 11.000 fired 11.000 ended 12.000: 0 in 3s, at most 1/4 of 4 before"
        ],
    );
}

#[test]
fn references_are_the_mean_at_the_offsets_rounded_down() {
    // 21 s: buckets of 3 s; offsets of 25 s and 30 s are 8 and 10 buckets.
    let rule = "  - {alert: M, kind: spike, within: 21s, factor: 1.5, offset: [25s, 30s], sum: amount, min_reference: 0.75}\n";
    let mut lines = vec![line(-90_000, "", "X", "")];
    // What came at 0 is in the first reference to 42 (rounded up it would be 45), in the second to 48. In both the
    // mean is 1.5, of which 1.5 is not 1.5 times as much.
    lines.extend(at_seconds("", &[0, 36, 120]));
    check(
        rule,
        &lines,
        &expect_test::expect![
            "alertname=M active 45.000 fired 45.000 ended 51.000: sum of amount 1.5 in 21s, at least 1.5 times 0.75 on average 25s, 30s before"
        ],
    );
}

#[test]
fn silence_from_the_first_moment_is_told_though_nothing_ever_came() {
    use record::RowFlags;
    let rule = "  - {alert: N, kind: flatline, within: 5s, by: [channel], expect: [GHT]}\n";
    let (rules, formats) = super::lines::load(rule);
    let mut engine = crate::Engine::for_backtest(rules, formats);
    let mut batch = record::Batch::default();
    for second in 0..40 {
        batch.push_tick(0, super::lines::T0 + second * 1_000 + 500);
    }
    assert!(batch.rows.iter().all(|row| row.flags.has(RowFlags::TICK)));
    (1..).zip(&mut batch.rows).for_each(|(lsn, row)| row.lsn = lsn);
    engine.judge(&batch, &mut Vec::new());
    let alerts = engine.finish();
    // History starts with the first tick, at 0.5: the first covered window is that of buckets 1 to 5.
    let shown: Vec<_> = alerts.iter().map(|a| (a.active_ms - super::lines::T0, a.ended_ms)).collect();
    assert_eq!(shown, [(5_000, None)]);
    assert_eq!(alerts[0].reason.text, "0 in 5s, fewer than 1");
}

#[test]
fn history_that_a_late_record_opens_leaves_settled_buckets_alone() {
    // Read at 100, the record of 80 is late: the watermark had passed every bucket before 95. Whether or not the rule
    // took note of the record of 100 makes no difference.
    for (code, ended) in [("E", "100"), ("X", "103")] {
        let rule = "  - {alert: F, kind: flatline, where: 'response_code == \"E\" && order_no != \"o80\"', within: 3s}\n";
        let late = line(80_000, "o80", "E", "");
        let lines = [line(100_999, "o100", code, ""), late, line(103_000, "o103", "E", "")];
        let (rules, formats) = super::lines::load(rule);
        let mut engine = crate::Engine::for_backtest(rules, Arc::clone(&formats));
        let rows: Vec<_> = lines.into_iter().map(|line| (line, None)).collect();
        engine.judge(&super::lines::batch(&formats, &rows), &mut Vec::new());
        let alerts = engine.finish();
        let at = |ms: i64| format!("{}", (ms - super::lines::T0) / 1_000);
        let told: Vec<_> = alerts.iter().map(|a| (at(a.active_ms), a.ended_ms.map(at))).collect();
        assert_eq!(told, [("95".to_owned(), Some(ended.to_owned()))], "{code}");
    }
}
