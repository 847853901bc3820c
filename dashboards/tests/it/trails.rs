//! Trails as goldens: lanes, gaps, marks.

use std::fmt::Write as _;

use dashboards::view::{TrailView, trail_view};
use expect_test::{Expect, expect};
use sinks::trace_store::{Found, TraceReader as _};

use crate::stage::{FAILED, NOW_MS, Rows, SLOW, formats, line, row, rows};

fn dump(view: &TrailView) -> String {
    let mut out = String::new();
    let summary = &view.summary;
    writeln!(
        out,
        "{:?} total {} ms, {} steps, {} failed, {} duplicates, {} long gaps",
        summary.outcome,
        summary.total_ms,
        summary.steps,
        summary.failures,
        summary.duplicates,
        summary.big_gaps
    )
    .unwrap();
    for step in &view.steps {
        let lane = &view.lanes[step.lane].module;
        let gap = step.gap_ms.map_or("-".to_owned(), |gap_ms| format!("+{gap_ms}"));
        let gap_mark = if step.big_gap { "!" } else { "" };
        write!(out, "{gap}{gap_mark} [{lane}] {} {}", step.name, step.verdict.outcome.name()).unwrap();
        if !step.verdict.reasons.is_empty() {
            write!(out, " ({})", step.verdict.reasons.join(", ")).unwrap();
        }
        if let Some(elapsed_ms) = step.elapsed_ms {
            write!(out, " {elapsed_ms} ms").unwrap();
        }
        if step.occurrence > 1 {
            write!(out, " {}x", step.occurrence).unwrap();
        }
        if let Some(lsn) = step.duplicate_of {
            write!(out, " = LSN {lsn}").unwrap();
        }
        writeln!(out, "{}", if step.record.ill_typed.is_empty() { "" } else { " ill-typed" }).unwrap();
    }
    out
}

fn check(id: &str, found: &Found, expect: &Expect) {
    expect.assert_eq(&dump(&trail_view(id, found, &formats(), chrono_tz::Asia::Shanghai)));
}

fn stored(id: &str) -> Found {
    Rows(rows(&formats())).trail(id, 100).unwrap()
}

#[test]
fn an_order_that_fails() {
    check(
        FAILED,
        &stored(FAILED),
        &expect![[r#"
            Some(Pending) total 10310 ms, 9 steps, 3 failed, 0 duplicates, 2 long gaps
            - [交易网关] 交易网关-接收请求 ok 3 ms ill-typed
            +12 [订单核心] 订单核心-创建订单 ok 9 ms ill-typed
            +19 [路由] 路由-选择通道 ok 14 ms ill-typed
            +21 [通道适配器] 通道适配器-发三方前 ok ill-typed
            +3 [通道适配器] message: request unknown
            +5003! [通道适配器] 通道适配器-发三方后 failed (success false, response_code NET_ERR) 5003 ms ill-typed
            +5013! [通道适配器] 通道适配器-发三方后 failed (success false, response_code NET_ERR) 5001 ms 2x ill-typed
            +19 [订单核心] 订单核心-更新状态 pending (status_text Pending) ill-typed
            +220 [通知服务] 通知服务-通知商户 failed (error_code NOTIFY_502, response_code 5003) 212 ms ill-typed
        "#]],
    );
}

#[test]
fn an_order_that_pauses() {
    check(
        SLOW,
        &stored(SLOW),
        &expect![[r#"
        Some(Ok) total 21400 ms, 6 steps, 0 failed, 1 duplicates, 1 long gaps
        - [交易网关] 交易网关-接收请求 ok 4 ms ill-typed
        +18 [订单核心] 订单核心-创建订单 ok ill-typed
        +23 [通道适配器] 通道适配器-发三方后 ok ill-typed
        +0 [通道适配器] 通道适配器-发三方后 ok = LSN 48224 ill-typed
        +21259! [订单核心] 订单核心-完成 ok 7 ms ill-typed
        +100 [plain] watchdog: order CEX1607220005752 left the queue unknown
    "#]],
    );
}

/// A line as a module printed it: values that do not fit their columns, a pending answer.
#[test]
fn a_real_line() {
    const LINE: &str = "2016-07-22 18:15:00.512||pool-73-thread-4||通道适配器||通道适配器-发三方后||CEX16XXXXXXX5751||16201XXXX337||||||04||9000||【结算平台消息】处理中||0000105||98XX543210||GHT||03||11||2016-07-22 18:15:00.512||张张||||01||tunnelQuery||true||||Pending||||10.100.140.101||8cff785d-0d01-4ed4-b771-cb0b1faa7f95||10.999.140.101||O001||||0.01||||||||http://10.100.444.59:8080/regression/notice||||240||2016-07-20 19:06:13.000xxxxxxx||2016-07-22 18:15:00.170||2016-07-22 18:15:00.496xxxxxxxxxxxxxxxxxxxx||2016-07-2019:06:13.000||||||||01||0103||111xxxxxxxxxxxxxxxxxxxxxxxxx||8fb64154bbea060afec5cd2bb0c36a752be734f3e9424ba7xxxxxxxxxxxxxxxxxxxx||622xxxxxxxxxxxxxxxx||9bc195a59dd35a47||f2ba5254f9e22914824881c242d211||||||||||||||||||||6xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx010||||||||||";
    let stored = row(1, 1_469_182_500_512, "order-trace", LINE.to_owned());
    let found = Found { rows: vec![stored], truncated: false };
    check(
        "CEX16XXXXXXX5751",
        &found,
        &expect![[r#"
        Some(Pending) total 0 ms, 1 steps, 0 failed, 0 duplicates, 0 long gaps
        - [通道适配器] 通道适配器-发三方后 pending (status_text Pending) 240 ms ill-typed
    "#]],
    );
    let view = trail_view("CEX16XXXXXXX5751", &found, &formats(), chrono_tz::Asia::Shanghai);
    let ill_typed: Vec<&str> = view.steps[0].record.ill_typed.iter().map(|name| &**name).collect();
    assert_eq!(ill_typed, ["client_ip", "order_created_at", "replied_at", "settled_at"]);
    assert_eq!(view.summary.amounts, ["0.01"]);
}

#[test]
fn order_of_rows_does_not_matter() {
    let found = stored(FAILED);
    let mut reversed = found.clone();
    reversed.rows.reverse();
    let zone = chrono_tz::Asia::Shanghai;
    assert_eq!(trail_view("x", &found, &formats(), zone), trail_view("x", &reversed, &formats(), zone));
}

#[test]
fn a_failure_printed_twice_is_one_failure() {
    let failed = stored(FAILED).rows.into_iter().find(|row| row.frame.contains("NET_ERR")).unwrap();
    let mut again = failed.clone();
    again.lsn += 1_000;
    let found = Found { rows: vec![failed, again], truncated: false };
    check(
        "x",
        &found,
        &expect![[r#"
        Some(Failed) total 0 ms, 2 steps, 1 failed, 1 duplicates, 0 long gaps
        - [通道适配器] 通道适配器-发三方后 failed (success false, response_code NET_ERR) 5003 ms ill-typed
        +0 [通道适配器] 通道适配器-发三方后 failed (success false, response_code NET_ERR) 5003 ms = LSN 48218 ill-typed
    "#]],
    );
}

#[test]
fn a_format_that_is_gone() {
    let found = Found { rows: vec![row(3, NOW_MS, "retired", "a||b".to_owned())], truncated: true };
    check(
        "x",
        &found,
        &expect![[r#"
        None total 0 ms, 1 steps, 0 failed, 0 duplicates, 0 long gaps
        - [retired] a||b unknown
    "#]],
    );
}

#[test]
fn nothing() {
    check(
        "x",
        &Found::default(),
        &expect![[r#"
        None total 0 ms, 0 steps, 0 failed, 0 duplicates, 0 long gaps
    "#]],
    );
}

#[test]
fn as_json() {
    let formats = formats();
    let text = line(
        &formats,
        "order-trace",
        &[("log_time", "2016-07-22 18:15:00.512"), ("order_no", "A1"), ("amount", "x")],
    );
    let found = Found { rows: vec![row(9, 1_469_182_500_512, "order-trace", text)], truncated: false };
    let view = trail_view("A1", &found, &formats, chrono_tz::Asia::Shanghai);
    let mut value = serde_json::to_value(&view).unwrap();
    value["steps"][0]["message"] = "...".into();
    expect![[r#"
        {
          "id": "A1",
          "lanes": [
            {
              "failures": 0,
              "module": "order-trace",
              "steps": 1
            }
          ],
          "steps": [
            {
              "big_gap": false,
              "columns": {
                "amount": "x",
                "log_time": "2016-07-22 18:15:00.512",
                "order_no": "A1"
              },
              "duplicate_of": null,
              "elapsed_ms": null,
              "event_time": "2016-07-22T10:15:00.512Z",
              "format": "order-trace",
              "gap_ms": null,
              "ill_typed": [
                "amount"
              ],
              "lane": 0,
              "lsn": 9,
              "message": "...",
              "name": "order-trace",
              "occurrence": 1,
              "offset_ms": 0,
              "receive_time": "2016-07-22T10:15:00.552Z",
              "source": "relp-2514/10.100.140.101",
              "verdict": {
                "outcome": "unknown",
                "reasons": []
              }
            }
          ],
          "summary": {
            "amounts": [],
            "big_gaps": 0,
            "channels": [],
            "duplicates": 0,
            "failures": 0,
            "merchants": [],
            "orders": [
              "A1"
            ],
            "outcome": null,
            "response_code": null,
            "response_message": null,
            "status": null,
            "steps": 1,
            "total_ms": 0
          },
          "truncated": false,
          "zone": "Asia/Shanghai"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&value).unwrap());
}
