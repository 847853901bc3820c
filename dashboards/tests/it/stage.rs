//! A made-up platform in memory: orders with their trails, alerts, counters, and a trace store double.

use std::collections::BTreeMap;
use std::sync::Arc;

use dashboards::{
    BacktestAnswer, BacktestQuestion, BenchFault, Counters, DecodeCounters, Deps, EngineCounters,
    ExplainAnswer, ExplainQuestion, FormatCounters, IllTypedCounter, InputCounters, JournalCounters,
    Readiness, ReceiverCounters, RuleCounters, RulesBench, RulesView, SenderCounters, SenderGap,
    StoreCounters,
};
use record::{FormatSet, InstantMs};
use rules::{
    Alert, AlertState, Bucket, Change, KeyView, KeysView, Reason, RuleCost, RuleCounts, RuleFile, RuleSet,
    Sample, Transition,
};
use sinks::alert_book::AlertBook;
use sinks::outbox::{
    BreakerState, FailReason, IntegrationKind, Outbox, OutboxConfig, OutboxHandle, Outcome, Route, Target,
};
use sinks::receivers::OnUncertain;
use sinks::trace_store::{Found, Search, TraceError, TraceReader, TraceRow};

/// 2016-07-22 18:15:30 in Shanghai: when the made-up platform stands still.
pub(crate) const NOW_MS: InstantMs = 1_469_182_530_000;
/// The order that fails.
pub(crate) const FAILED: &str = "CEX1607220005751";
/// The order that succeeds after a pause.
pub(crate) const SLOW: &str = "CEX1607220005752";

/// Rows in memory; answers by reading their text, as no real store would.
#[derive(Debug, Default)]
pub(crate) struct Rows(pub(crate) Vec<TraceRow>);

impl TraceReader for Rows {
    fn trail(&self, id: &str, limit: usize) -> Result<Found, TraceError> {
        let mut rows: Vec<TraceRow> = self.0.iter().filter(|row| row.frame.contains(id)).cloned().collect();
        rows.sort_by_key(|row| (row.event_ms, row.lsn));
        let truncated = rows.len() > limit;
        rows.truncate(limit);
        Ok(Found { rows, truncated })
    }

    fn search(&self, search: &Search) -> Result<Found, TraceError> {
        let given =
            [&search.merchant, &search.channel, &search.status, &search.code, &search.module, &search.text];
        let fits = |row: &&TraceRow| {
            search.from_ms.is_none_or(|from_ms| row.event_ms >= from_ms)
                && search.to_ms.is_none_or(|to_ms| row.event_ms < to_ms)
                && given.iter().all(|text| text.as_ref().is_none_or(|text| row.frame.contains(text)))
        };
        let mut rows: Vec<TraceRow> = self.0.iter().filter(fits).cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.event_ms, row.lsn)));
        let truncated = rows.len() > search.limit;
        rows.truncate(search.limit);
        Ok(Found { rows, truncated })
    }
}

/// The shipped formats in Shanghai's zone.
pub(crate) fn formats() -> Arc<FormatSet> {
    Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai))
}

/// A line of a delimited format with these columns; the others are empty.
pub(crate) fn line(formats: &FormatSet, format: &str, columns: &[(&str, &str)]) -> String {
    let format = formats.get(formats.find(format).expect("a shipped format"));
    for (name, _) in columns {
        assert!(format.column(name).is_some(), "no column {name}");
    }
    let value = |name: &str| columns.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
    let values: Vec<&str> = format.columns().iter().map(|column| value(&column.name)).collect();
    values.join("||")
}

/// A row of that line, received 40 ms after `event_ms`.
pub(crate) fn row(lsn: u64, event_ms: InstantMs, format: &str, frame: String) -> TraceRow {
    TraceRow {
        lsn,
        recv_ms: Some(event_ms + 40),
        event_ms,
        source: "relp-2514/10.100.140.101".into(),
        format: format.into(),
        flags: 0,
        frame,
    }
}

struct Writer {
    formats: Arc<FormatSet>,
    rows: Vec<TraceRow>,
}

impl Writer {
    fn step(&mut self, order: &str, event_ms: InstantMs, columns: &[(&str, &str)]) {
        let time = dashboards::times::full(event_ms, chrono_tz::Asia::Shanghai);
        let mut all = vec![
            ("log_time", time.as_str()),
            ("thread", "pool-73-thread-4"),
            ("order_no", order),
            ("serial_no", "162010000337"),
            ("trace_id", "8cff785d-0d01-4ed4-b771-cb0b1faa7f95"),
            ("merchant_no", "0000105"),
            ("currency", "CNY"),
            ("amount", "1280.50"),
            ("host_ip", "10.100.140.101"),
            ("client_ip", "10.999.140.101"),
        ];
        all.extend_from_slice(columns);
        let text = line(&self.formats, "order-trace", &all);
        let lsn = 48_213 + self.rows.len() as u64;
        self.rows.push(row(lsn, event_ms, "order-trace", text));
    }

    fn message(&mut self, order: &str, event_ms: InstantMs, direction: &str, body: &str) {
        let time = dashboards::times::full(event_ms, chrono_tz::Asia::Shanghai);
        let columns = [
            ("log_time", time.as_str()),
            ("module", "通道适配器"),
            ("order_no", order),
            ("channel", "GHT"),
            ("direction", direction),
            ("content_type", "application/json"),
            ("body", body),
        ];
        let text = line(&self.formats, "order-message", &columns);
        let lsn = 48_213 + self.rows.len() as u64;
        self.rows.push(row(lsn, event_ms, "order-message", text));
    }
}

/// Two orders: one whose channel does not answer, one that succeeds after a pause, with a step printed twice.
pub(crate) fn rows(formats: &Arc<FormatSet>) -> Vec<TraceRow> {
    let mut w = Writer { formats: Arc::clone(formats), rows: Vec::new() };
    let t = NOW_MS - 30_000;
    let ok = ("response_code", "0000");
    let gateway = ("module", "交易网关");
    let core = ("module", "订单核心");
    let routing = ("module", "路由");
    let adapter = ("module", "通道适配器");
    let notify = ("module", "通知服务");
    let ght = ("channel", "GHT");
    w.step(
        FAILED,
        t,
        &[gateway, ("step", "交易网关-接收请求"), ok, ("success", "true"), ("elapsed_ms", "3")],
    );
    w.step(
        FAILED,
        t + 12,
        &[core, ("step", "订单核心-创建订单"), ok, ("order_status", "01"), ("elapsed_ms", "9")],
    );
    w.step(FAILED, t + 31, &[routing, ("step", "路由-选择通道"), ok, ght, ("elapsed_ms", "14")]);
    w.step(FAILED, t + 52, &[adapter, ("step", "通道适配器-发三方前"), ght, ("success", "true")]);
    w.message(
        FAILED,
        t + 55,
        "request",
        "{\"order\":\"CEX1607220005751\",\n \"amount\":\"1280.50\",\n \"card\":\"622848******0018\"}",
    );
    let net_err = ("response_code", "NET_ERR");
    let said = ("response_message", "三方通道无应答 connect timed out");
    let failed = [
        adapter,
        ("step", "通道适配器-发三方后"),
        ght,
        net_err,
        said,
        ("success", "false"),
        ("elapsed_ms", "5003"),
    ];
    w.step(FAILED, t + 5_058, &failed);
    let again = [
        adapter,
        ("step", "通道适配器-发三方后"),
        ght,
        net_err,
        said,
        ("success", "false"),
        ("elapsed_ms", "5001"),
    ];
    w.step(FAILED, t + 10_071, &again);
    let pending = [
        core,
        ("step", "订单核心-更新状态"),
        ("order_status", "04"),
        ("response_code", "9000"),
        ("status_text", "Pending"),
        ("response_message", "【结算平台消息】处理中"),
    ];
    w.step(FAILED, t + 10_090, &pending);
    let told = [
        notify,
        ("step", "通知服务-通知商户"),
        ("response_code", "5003"),
        ("response_message", "商户返回 HTTP 502"),
        ("error_code", "NOTIFY_502"),
        ("elapsed_ms", "212"),
    ];
    w.step(FAILED, t + 10_310, &told);

    let s = t - 40_000;
    let ump = ("channel", "UMP");
    w.step(SLOW, s, &[gateway, ("step", "交易网关-接收请求"), ok, ("elapsed_ms", "4")]);
    w.step(SLOW, s + 18, &[core, ("step", "订单核心-创建订单"), ok, ("order_status", "01")]);
    w.step(
        SLOW,
        s + 41,
        &[
            adapter,
            ("step", "通道适配器-发三方后"),
            ump,
            ok,
            ("elapsed_ms", "x240"),
            ("settled_at", "2016-07-2019:06:13.000"),
        ],
    );
    w.step(
        SLOW,
        s + 41,
        &[
            adapter,
            ("step", "通道适配器-发三方后"),
            ump,
            ok,
            ("elapsed_ms", "x240"),
            ("settled_at", "2016-07-2019:06:13.000"),
        ],
    );
    w.step(
        SLOW,
        s + 21_300,
        &[
            core,
            ("step", "订单核心-完成"),
            ok,
            ("order_status", "02"),
            ("success", "true"),
            ("elapsed_ms", "7"),
        ],
    );
    let text = format!("watchdog: order {SLOW} left the queue");
    let lsn = 48_213 + w.rows.len() as u64;
    w.rows.push(row(lsn, s + 21_400, "plain", text));
    w.rows
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An alert that fires for two minutes.
pub(crate) fn alert(id: &str, labels: &[(&str, &str)], summary: &str, reason: Reason) -> Alert {
    Alert {
        id: id.into(),
        fingerprint: id.into(),
        labels: map(labels),
        annotations: map(&[("summary", summary)]),
        state: AlertState::Firing,
        shadow: false,
        raised_ms: NOW_MS - 132_000,
        active_ms: NOW_MS - 132_000,
        fired_ms: Some(NOW_MS - 132_000),
        ended_ms: None,
        withdrawn: false,
        reason,
    }
}

fn network_down(rows: &[TraceRow]) -> Alert {
    let counts = [0, 1, 0, 2, 1, 3, 2, 0, 4, 6, 5, 9, 7, 12, 11, 14, 9, 13, 17, 12];
    let buckets = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let samples = rows.iter().filter(|row| row.frame.contains("NET_ERR"));
    let reason = Reason {
        kind: "consecutive".into(),
        text: "12 in a row of at least 12 within 1m (18:14:29.512 to 18:15:00.004)".into(),
        count: 12,
        value: None,
        threshold_row: None,
        thresholds: map(&[("count", "12"), ("within", "1m")]),
        buckets: buckets
            .map(|(i, count)| Bucket { at: NOW_MS - 60_000 + i as i64 * 3_000, count: *count })
            .collect(),
        distinct: Vec::new(),
        distinct_count: 0,
        orders: (0..24).map(|i| format!("CEX16072200057{:02}", 51 + i)).collect(),
        orders_count: 128,
        amount: Some("164320.50".into()),
        samples: samples
            .map(|row| Sample { lsn: row.lsn, at: row.event_ms, line: row.frame.clone() })
            .collect(),
        gate: String::new(),
    };
    let labels = [
        ("alertname", "ChannelNetworkDown"),
        ("channel", "GHT"),
        ("class", "alarm"),
        ("severity", "critical"),
    ];
    alert("9f3c21d07be4a618", &labels, "GHT: 12 network errors in a row", reason)
}

/// Alerts: one critical, one warning, one pending, one in the shadow, one resolved.
pub(crate) fn book(rows: &[TraceRow]) -> AlertBook {
    let reason = |kind: &str, text: &str| Reason {
        kind: kind.into(),
        text: text.into(),
        count: 31,
        ..Default::default()
    };
    let trouble = Reason {
        distinct: vec!["GHT".into(), "UMP".into(), "ZXPAY".into()],
        distinct_count: 3,
        orders_count: 31,
        amount: Some("40210.00".into()),
        ..reason("frequency", "31 of at least 25 within 10m over 3 of at least 3 distinct channel")
    };
    let labels = [("alertname", "NetworkTroubleTotal"), ("class", "alarm"), ("severity", "warning")];
    let warning =
        alert("51ab77e2c9d4f003", &labels, "31 network errors on 3 channels in 10 minutes", trouble);
    let labels = [("alertname", "MerchantRefused"), ("merchant_no", "0000105"), ("severity", "warning")];
    let mut pending = alert(
        "77aa12c4e0b1d5f9",
        &labels,
        "",
        reason("ratio", "61 % of 44 refused, above 50 % of at least 40"),
    );
    (pending.state, pending.fired_ms, pending.active_ms) = (AlertState::Pending, None, NOW_MS - 24_000);
    pending.annotations.clear();
    let labels = [("alertname", "SlowChannelTrial"), ("channel", "UMP"), ("severity", "info")];
    let mut shadow = alert(
        "0c5e88a1f2b39d47",
        &labels,
        "UMP: p95 of 4.2 s",
        reason("aggregate", "p95 4200 ms above 3000 ms"),
    );
    shadow.shadow = true;
    let labels = [("alertname", "ChannelNetworkDown"), ("channel", "ZXPAY"), ("severity", "critical")];
    let mut resolved = alert(
        "e2d90b6671fc3a85",
        &labels,
        "ZXPAY: 12 network errors in a row",
        reason("consecutive", "12 in a row"),
    );
    (resolved.state, resolved.ended_ms) = (AlertState::Resolved, Some(NOW_MS - 60_000));
    "reset".clone_into(&mut resolved.reason.gate);
    let book = AlertBook::default();
    let transition = |change, alert| Transition { change, early: true, lsn: 1, alert: Arc::new(alert) };
    book.apply(&[
        transition(Change::Fired, network_down(rows)),
        transition(Change::Fired, warning),
        transition(Change::Pending, pending),
        transition(Change::Fired, shadow),
        transition(Change::Resolved, resolved),
    ]);
    book
}

/// Counters of a node that lost a few datagrams.
pub(crate) fn counters() -> Counters {
    Counters {
        snapshots: dashboards::SnapshotCounters::default(),
        version: "0.1.0".into(),
        started_ms: NOW_MS - 93_784_000,
        inputs: inputs(),
        decode: decode(),
        journal: JournalCounters {
            next_lsn: 49_418_065,
            durable_lsn: 49_418_052,
            bytes: 21_474_836_480,
            last_commit_ms: Some(NOW_MS - 4),
        },
        engine: engine(),
        store: StoreCounters { stored_lsn: 49_417_900, fresh_rows: 181_334, files: 52 },
        outbox: vec![
            ReceiverCounters {
                receiver: "duty-wecom".into(),
                pending: 1,
                sent: 118,
                failed: 3,
                breaker: BreakerState::Open,
                breaker_until_ms: Some(NOW_MS + 12_000),
                breaker_opened: 1,
                ..Default::default()
            },
            ReceiverCounters {
                receiver: "duty-sms".into(),
                sent: 20,
                failed: 9,
                uncertain: 2,
                dead: 1,
                ..Default::default()
            },
        ],
        reload: dashboards::ReloadCounters::default(),
        senders: senders(),
        senders_forgotten: 0,
        ..Default::default()
    }
}

/// One that does well, one that lost lines, one that fell silent.
fn senders() -> Vec<SenderCounters> {
    let well = SenderCounters {
        name: "pay-1.example".into(),
        inputs: vec!["relp-20514".into()],
        last_heard_ms: NOW_MS - 400,
        lines: 49_000_000,
        duplicates: 128,
        eids: 65_536,
        restarts: 1,
        ..SenderCounters::default()
    };
    let gap = |from, to, ago_ms, missing| SenderGap { from, to, since_ms: NOW_MS - ago_ms, missing };
    let lost = SenderCounters {
        name: "pay-2.example".into(),
        missing: 128,
        missing_total: 130,
        gaps: vec![gap(7_000, 7_000, 2_000, false), gap(5_001, 5_128, 600_000, true)],
        gaps_total: 2,
        ..well.clone()
    };
    let silent = SenderCounters {
        name: "10.0.0.9".into(),
        last_heard_ms: NOW_MS - 420_000,
        silent: true,
        ..SenderCounters::default()
    };
    vec![silent, well, lost]
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn inputs() -> Vec<InputCounters> {
    let relp = InputCounters {
        name: "relp-2514".into(),
        protocol: "relp".into(),
        address: "0.0.0.0:2514".into(),
        received: 48_213_557,
        stored: 48_213_501,
        duplicate: 44,
        in_flight: 12,
        last_received_ms: Some(NOW_MS - 120),
        connections: 14,
        truncated: 2,
        ..Default::default()
    };
    let udp = InputCounters {
        name: "udp-514".into(),
        protocol: "udp".into(),
        address: "0.0.0.0:514".into(),
        received: 1_204_880,
        stored: 1_204_551,
        rejected: counts(&[("empty", 17)]),
        dropped: counts(&[("kernel", 301), ("queue full", 11)]),
        last_received_ms: Some(NOW_MS - 2_400),
        ..Default::default()
    };
    vec![relp, udp]
}

fn decode() -> DecodeCounters {
    let format =
        |format: &str, records, short, long| FormatCounters { format: format.into(), records, short, long };
    let ill_typed = |column: &str, reason: &str, count| IllTypedCounter {
        format: "order-trace".into(),
        column: column.into(),
        reason: reason.into(),
        count,
    };
    DecodeCounters {
        formats: vec![
            format("order-trace", 47_100_233, 120, 3),
            format("order-message", 2_310_040, 0, 0),
            format("plain", 7_779, 0, 0),
        ],
        ill_typed: vec![ill_typed("client_ip", "ip", 91_002), ill_typed("settled_at", "timestamp", 318)],
        plain: counts(&[("no time", 12), ("too many columns", 1)]),
        transcoded: 1_201,
        cards_masked: 88_120,
        continued: 0,
    }
}

fn engine() -> EngineCounters {
    let rule = |alert: &str, summary: &str, matched, fired| RuleCounters {
        alert: alert.into(),
        summary: summary.into(),
        matched,
        fired,
        keys: matched / 9,
        ..Default::default()
    };
    EngineCounters {
        records: 49_410_273,
        late: 204,
        skewed: 3,
        no_time: 7_779,
        watermark_ms: Some(NOW_MS - 5_120),
        rules: vec![
            rule("ChannelNetworkDown", "12 in a row within 1m, by channel", 1_204, 2),
            rule("NetworkTrouble", "at least 3 every 1m for 10m, over 3 channels", 1_204, 0),
            rule("NetworkTroubleTotal", "at least 25 within 10m, over 3 channels", 1_204, 1),
            rule("KeywordPanic", "any line with panic", 0, 0),
        ],
    }
}

/// Rules whose alerts are on the stage, in two files.
const RULES: [(&str, &str); 2] = [
    (
        "rules.d/network.yaml",
        r#"groups:
  - name: network
    rules:
      - alert: ChannelNetworkDown
        kind: consecutive
        where: response_code in ["NET_ERR", "TIMEOUT"]
        by: [channel]
        count: 12
        within: 1m
        for: 90s
        labels: {class: alarm, severity: critical}
        annotations: {summary: "{channel}: {count} network errors in a row"}
      - alert: NetworkTroubleTotal
        kind: frequency
        where: response_code in ["NET_ERR", "TIMEOUT"]
        count: 25
        within: 10m
        keep_firing_for: 1500ms
        labels: {class: alarm, severity: warning}
"#,
    ),
    (
        "rules.d/keywords.yaml",
        r#"groups:
  - name: keywords
    rules:
      - {alert: KeywordPanic, kind: any, format: plain, where: 'text.contains("panic")', mode: shadow}
"#,
    ),
];

/// What the judge says of them.
pub(crate) fn rules_view() -> Arc<RulesView> {
    let files = RULES.map(|(name, text)| RuleFile { name: name.into(), text: text.into() });
    let set = RuleSet::load(&files, &formats()).expect("the stage's rules are right");
    let counts = |matched, fired| RuleCounts { matched, fired, keys: matched / 9, ..RuleCounts::default() };
    let cost = RuleCost { evaluations: 3_600, takes: 4, takes_ns: 3_000, settlings: 2, settlings_ns: 9_000 };
    Arc::new(RulesView {
        infos: set.infos().into(),
        counts: vec![counts(1_204, 2), counts(1_204, 1), counts(0, 0)],
        costs: vec![cost, cost, RuleCost::default()],
        since_ms: NOW_MS - 3_600_000,
        at_ms: NOW_MS - 250,
        watermark_ms: Some(NOW_MS - 5_120),
        records: 49_410_273,
        records_ns: 49_410_273 * 310,
    })
}

/// Keys of those rules; the judge is too busy to tell those of one.
fn ask_keys(alert: &str) -> Result<Option<KeysView>, String> {
    let key = |channel: &str, state, count: u64| KeyView {
        labels: [("channel".to_owned(), channel.to_owned())].into(),
        state,
        alert_id: None,
        active_ms: state.map(|_| NOW_MS - 12_000),
        last_match_ms: Some(NOW_MS - 7_000),
        reason: Reason {
            count,
            text: format!("{count} in a row of at least 12"),
            thresholds: map(&[("count", "12")]),
            threshold_row: (channel == "UMP").then(|| "2 (network.yaml:14)".to_owned()),
            ..Reason::default()
        },
    };
    match alert {
        "ChannelNetworkDown" => Ok(Some(KeysView {
            total: 133,
            keys: vec![key("GHT", Some(AlertState::Firing), 14), key("UMP", None, 3)],
            judged_to_ms: Some(NOW_MS - 6_000),
            history_start_ms: Some(NOW_MS - 3_600_000),
        })),
        "NetworkTroubleTotal" => Err("the judge is busy: ask again in a moment".to_owned()),
        "KeywordPanic" => Ok(Some(KeysView::default())),
        _ => Ok(None),
    }
}

/// Knows one key, and one rule text that is right.
pub(crate) struct Bench;

impl RulesBench for Bench {
    fn explain(&self, question: &ExplainQuestion) -> Result<ExplainAnswer, BenchFault> {
        if question.key.get("channel").map(String::as_str) != Some("GHT") {
            return Err(BenchFault::Question("no record of this key is stored".to_owned()));
        }
        let alert = network_down(&rows(&formats()));
        Ok(ExplainAnswer {
            sentence: format!("Firing since {} by 12 in a row.", record::rfc3339_ms(question.at_ms - 1_000)),
            state: "firing".to_owned(),
            labels: alert.labels,
            reason: alert.reason,
            gates: vec!["shadow: judged and recorded, never sent".to_owned()],
            active_ms: Some(question.at_ms - 1_000),
            fired_ms: Some(question.at_ms - 1_000),
            ended_ms: None,
            history_start_ms: Some(NOW_MS - 3_600_000),
            facts: vec![("Threshold row".to_owned(), "the rule's own".to_owned())],
        })
    }

    fn backtest(&self, question: &BacktestQuestion) -> Result<BacktestAnswer, BenchFault> {
        let file = RuleFile {
            name: "rule".into(),
            text: format!("groups:\n- name: x\n  rules:\n{}", question.text),
        };
        let moved = |mut error: rules::RuleError| {
            error.line = error.line.saturating_sub(3).max(1);
            error
        };
        RuleSet::load(&[file], &formats())
            .map_err(|errors| BenchFault::Text(errors.into_iter().map(moved).collect()))?;
        let mut ended = network_down(&rows(&formats()));
        ended.ended_ms = Some(NOW_MS - 30_000);
        "reset".clone_into(&mut ended.reason.gate);
        Ok(BacktestAnswer {
            alerts: vec![Arc::new(ended)],
            records: 48_213,
            cut: Some("only the first 48 213 records were judged".to_owned()),
            took_ms: 1_250,
        })
    }
}

fn route(receiver: &str, integration: IntegrationKind) -> Route {
    let target = Target { receiver: receiver.into(), integration, index: 0 };
    Route { target, send_resolved: true, on_uncertain: OnUncertain::Resend }
}

/// An outbox in memory, where `duty` takes mails and `wall`, after a word that may have arrived, refuses them.
pub(crate) fn outbox(news: &[Transition], refusal: &str) -> OutboxHandle {
    let config = OutboxConfig { reserve_bytes: 0, ..OutboxConfig::default() };
    let routes = vec![route("duty", IntegrationKind::Email), route("wall", IntegrationKind::Webhook)];
    let mut outbox = Outbox::open(std::path::Path::new(":memory:"), config, routes).unwrap();
    outbox.enqueue(news, NOW_MS - 60_000).unwrap();
    let unsure = Outcome::Uncertain { reason: FailReason::Other, detail: format!("cut: {refusal}") };
    let refused =
        Outcome::Dead { reason: FailReason::ClientError, detail: format!("answered 400: {refusal}") };
    for (target, outcomes) in [
        ("duty/email[0]", vec![Outcome::Sent { detail: "250 OK".to_owned() }]),
        ("wall/webhook[0]", vec![unsure, refused]),
    ] {
        for (n, outcome) in outcomes.iter().enumerate() {
            let now_ms = NOW_MS - 50_000 + n as i64 * 10_000;
            let id = outbox.due(now_ms, target).unwrap()[0].id.clone();
            let attempt = outbox.begin_attempt(&id, now_ms).unwrap();
            outbox.finish_attempt(&attempt, outcome, now_ms + 40).unwrap();
        }
    }
    OutboxHandle::new(outbox)
}

/// The news of [`outbox`] on the stage.
fn news(rows: &[TraceRow]) -> Vec<Transition> {
    vec![Transition { change: Change::Fired, early: true, lsn: 48_213, alert: Arc::new(network_down(rows)) }]
}

/// Everything together, standing still at [`NOW_MS`].
pub(crate) fn deps() -> Deps {
    let formats = formats();
    let rows = rows(&formats);
    Deps {
        book: book(&rows),
        outbox: outbox(&news(&rows), "no such hook"),
        reader: Arc::new(Rows(rows)),
        formats,
        counters: Arc::new(counters),
        metrics: Arc::new(|| "# TYPE watchroom_up gauge\nwatchroom_up 1\n".to_owned()),
        rules: Arc::new(rules_view),
        ask_keys: Arc::new(ask_keys),
        bench: Arc::new(Bench),
        ready: Arc::new(|| Readiness::Ready),
        reload: Arc::new(|| Ok(())),
        clock: Arc::new(|| NOW_MS),
        zone: chrono_tz::Asia::Shanghai,
        external_url: String::new(),
    }
}
