//! Every route: its status, its headers, the words that must be on it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use dashboards::{Counters, Readiness};
use expect_test::expect;
use sinks::alert_book::AlertBook;
use sinks::trace_store::{Found, Search, TraceError, TraceReader};
use tower::ServiceExt as _;

use crate::stage::{FAILED, Rows, deps};
use crate::{Answer, get};

/// All routes that give a page.
pub(crate) const PAGES: [&str; 17] = [
    "/",
    "/alerts",
    "/alerts/9f3c21d07be4a618",
    "/orders",
    "/orders?channel=GHT",
    "/orders/CEX1607220005751",
    "/counters",
    "/senders",
    "/rules",
    "/rules?q=channel&state=firing",
    "/rules/ChannelNetworkDown",
    "/rules/ChannelNetworkDown/explain?at=2016-07-22+18:15:00&key.channel=GHT",
    "/rules/NoSuchRule",
    "/deliveries",
    "/deliveries?state=dead",
    "/deliveries/9f3c21d07be4a618-firing-0",
    "/no-such-page",
];

fn check(path: &str, status: u16, words: &[&str]) -> Answer {
    let answer = get(deps(), path);
    assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
    for word in words {
        assert!(answer.text.contains(word), "{path} lacks {word:?}:\n{}", answer.text);
    }
    answer
}

#[test]
fn board() {
    let words = [
        "2 firing",
        "1 pending",
        "ChannelNetworkDown",
        "12 network errors in a row",
        "at risk",
        "128",
        "adds up",
    ];
    let answer = check("/", 200, &words);
    let (sent, shadow) = (answer.text.find("MerchantRefused"), answer.text.find("SlowChannelTrial"));
    assert!(sent < shadow, "what is never sent comes last");
    assert!(answer.text.contains("<title>(2) Board"));
}

#[test]
fn calm_board_says_so() {
    let mut calm = deps();
    calm.book = AlertBook::default();
    calm.counters = Arc::new(Counters::default);
    let answer = get(calm.clone(), "/");
    assert!(answer.text.contains("</span> No alerts</h1>"));
    assert!(!answer.text.contains("class=\"banner"));
    calm.ready = Arc::new(|| Readiness::NotReady("replaying".to_owned()));
    assert!(!get(calm, "/").text.contains("</span> No alerts</h1>"), "a blind board does not look calm");
}

#[test]
fn alerts() {
    check("/alerts", 200, &["NetworkTroubleTotal", "◌ pending", "✓ resolved", "shadow", "31 of at least 25"]);
    let words = [
        "critical",
        "href=\"../rules/ChannelNetworkDown\"",
        "12 in a row of at least 12",
        "Affected orders: 128",
        "href=\"../orders/CEX1607220005751\"",
        "<rect",
    ];
    check("/alerts/9f3c21d07be4a618", 200, &words);
    let page = get(deps(), "/alerts/9f3c21d07be4a618").text;
    let (_, samples) = page.split_once("Sample lines").unwrap();
    assert_eq!(
        samples.matches("href=\"../orders/CEX1607220005751\"").count(),
        2,
        "each sample leads to its order"
    );
    check("/alerts/0000000000000000", 404, &["No such alert"]);
}

#[test]
fn search_leads_to_the_trail() {
    let answer = check("/orders?id=%20a%2Fb%20%3Cx%3E%20", 303, &[]);
    assert_eq!(answer.headers["location"], "orders/a%2Fb%20%3Cx%3E");
}

#[test]
fn search_by_conditions() {
    let form = check("/orders", 200, &["<form class=\"search\"", "Asia/Shanghai"]);
    assert!(form.text.contains("orders?from=2016-07-22%2018%3A00%3A30\">Last 15 minutes"), "{}", form.text);
    assert!(!form.text.contains("<table"), "nothing is asked of the store without a condition");
    check(
        "/orders?code=NET_ERR",
        200,
        &["2 records", "✕ failed", "href=\"./orders/CEX1607220005751\"", "value=\"NET_ERR\""],
    );
    check("/orders?from=2016-07-22+18:15&to=2016-07-22+18:15:05", 200, &["5 records"]);
    check("/orders?text=nowhere", 200, &["No record satisfies"]);
    check("/orders?limit=3&channel=GHT", 200, &["Only the newest 3 records", "3 records"]);
    check("/orders?from=yesterday", 400, &["&#34;yesterday&#34; is no time"]);
    check("/orders?from=2016-07-22&to=2016-07-22", 400, &["the time range is empty"]);
}

#[test]
fn only_reading() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for path in PAGES.iter().filter(|path| !path.starts_with("/no-such")) {
        let post = Request::post(*path).body(Body::empty()).unwrap();
        let answer = runtime.block_on(dashboards::router(deps()).oneshot(post)).unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert!(answer.headers().contains_key("content-security-policy"), "{path}");
    }
}

#[test]
fn trail() {
    let words = [
        "◌ pending",
        "✕ failed",
        "connect timed out",
        "+5.00 s",
        "2×",
        "1280.50 CNY",
        "&#34;card&#34;:&#34;622848******0018",
        "no ip",
    ];
    check(&format!("/orders/{FAILED}"), 200, &words);
    check(
        "/orders/CEX1607220005752",
        200,
        &["≡ duplicate", "✓ succeeded", "no integer", "watchdog: order", "> 21.2 s without a step"],
    );
    check("/orders/nothing", 404, &["No record has this"]);
}

#[test]
fn senders() {
    let words = [
        "pay-1.example",
        "5001 to 5128 missing since",
        "7000 awaited since",
        "✕ lines are missing",
        "✕ silent for 7 m 00 s",
        "✓ well",
    ];
    let answer = check("/senders", 200, &words);
    assert!(answer.text.find("10.0.0.9") < answer.text.find("pay-1.example"), "trouble first");
    let board =
        ["Sender 10.0.0.9 has been silent for 7 m 00 s.", "128 lines are missing from sender pay-2.example"];
    check("/", 200, &board);
    let json = ["\"silent_since\":\"2016-07-22T10:08:30.000Z\"", "\"state\":\"awaited\""];
    check("/api/v1/senders", 200, &json);
}

#[test]
fn counters() {
    let words = ["adds up", "kernel 301", "client_ip", "KeywordPanic", "duty-sms", "kept as plain: no time"];
    let answer = check("/counters", 200, &words);
    assert!(!answer.text.contains("unaccounted"));
    let mut leaking = deps();
    leaking.counters = Arc::new(|| {
        let mut counters = crate::stage::counters();
        counters.inputs[1].received += 9;
        counters
    });
    assert!(get(leaking, "/counters").text.contains("✕ 9 unaccounted for"));
}

#[test]
fn api() {
    let alerts = check("/api/v1/alerts", 200, &[]);
    let value: serde_json::Value = serde_json::from_str(&alerts.text).unwrap();
    let alerts = value["data"]["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 3, "without the one in the shadow");
    let total = alerts.iter().find(|alert| alert["labels"]["alertname"] == "NetworkTroubleTotal").unwrap();
    expect![[r#"{"activeAt":"2016-07-22T10:13:18.000Z","annotations":{"summary":"31 network errors on 3 channels in 10 minutes"},"fingerprint":"51ab77e2c9d4f003","id":"51ab77e2c9d4f003","labels":{"alertname":"NetworkTroubleTotal","class":"alarm","severity":"warning"},"reason":"31 of at least 25 within 10m over 3 of at least 3 distinct channel","state":"firing","value":"3.1e+01"}"#]]
    .assert_eq(&total.to_string());
    let rows =
        check("/api/search?code=NET_ERR&limit=1", 200, &["\"truncated\":true", "\"columns\":{\"log_time\":"]);
    assert_eq!(rows.headers["content-type"], "application/json");
    check("/api/search?limit=0", 400, &["\"status\":\"error\"", "limit"]);
    check(&format!("/api/trail/{FAILED}"), 200, &["\"failures\":3", "\"gap_ms\":5003"]);
    check("/api/trail/nothing", 200, &["\"steps\":[]"]);
}

#[test]
fn health() {
    check("/-/healthy", 200, &["healthy"]);
    check("/-/ready", 200, &["ready"]);
    let mut starting = deps();
    starting.ready = Arc::new(|| Readiness::NotReady("replaying the journal: 40 %".to_owned()));
    let answer = get(starting.clone(), "/-/ready");
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "replaying the journal: 40 %\n")
    );
    assert!(get(starting, "/").text.contains("This node is not ready: replaying the journal"));
    let metrics = check("/metrics", 200, &["watchroom_up 1"]);
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
}

#[test]
fn every_answer_is_guarded() {
    let others = [
        "/assets/style.css",
        "/assets/board.js",
        "/assets/icon.svg",
        "/metrics",
        "/api/v1/alerts",
        "/orders?id=x",
    ];
    for path in PAGES.iter().chain(&others) {
        let answer = get(deps(), path);
        assert!(
            answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"),
            "{path}"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
}

/// The content policy forbids inline styles and scripts: a page that has one is broken in a browser.
#[test]
fn nothing_inline() {
    for path in PAGES {
        let page = get(deps(), path).text;
        for banned in [" style=", "<style", " onclick", "javascript:"] {
            assert!(!page.contains(banned), "{path} has {banned}");
        }
        assert_eq!(page.matches("<script").count(), page.matches("<script src=").count(), "{path}");
    }
}

#[test]
fn store_faults_stay_in_the_log() {
    struct Broken;
    impl TraceReader for Broken {
        fn trail(&self, _: &str, _: usize) -> Result<Found, TraceError> {
            Err(TraceError::Corrupt { path: "/var/lib/secret.parquet".into(), message: "bad footer".into() })
        }
        fn search(&self, _: &Search) -> Result<Found, TraceError> {
            panic!("a bug in the store")
        }
    }
    for path in ["/orders/x", "/orders?code=1", "/api/trail/x", "/api/search?code=1"] {
        let mut broken = deps();
        broken.reader = Arc::new(Broken);
        let answer = get(broken, path);
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(!answer.text.contains("parquet") && !answer.text.contains("bug"), "{path}: {}", answer.text);
        assert!(answer.text.contains("the trace store could not answer"), "{path}");
    }
}

#[test]
fn an_empty_node_has_all_pages() {
    for path in PAGES {
        let mut empty = deps();
        empty.book = AlertBook::default();
        empty.counters = Arc::new(Counters::default);
        empty.reader = Arc::new(Rows::default());
        let answer = get(empty, path);
        assert!(answer.status.as_u16() < 500, "{path}: {}", answer.text);
    }
}
