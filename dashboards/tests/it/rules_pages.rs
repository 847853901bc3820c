//! The rules pages: the list and its filter, one rule with its keys, explanations, backtests.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use dashboards::{
    BacktestAnswer, BacktestQuestion, BenchFault, Deps, ExplainAnswer, ExplainQuestion, RulesBench, RulesView,
};
use rules::{RuleCost, RuleCounts, RuleFile, RuleSet};
use tower::ServiceExt as _;

use crate::stage::{deps, formats};
use crate::{Answer, ask, get};

fn check(path: &str, status: u16, words: &[&str]) -> String {
    let answer = get(deps(), path);
    assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
    for word in words {
        assert!(answer.text.contains(word), "{path} lacks {word:?}:\n{}", answer.text);
    }
    answer.text
}

/// The token that forms carry, from a page that has one.
fn token(page: &str) -> &str {
    page.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token")
}

fn form(fields: &[(&str, &str)]) -> String {
    let encode = dashboards::text::percent_encoded;
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// Posts a backtest of a text from a rule's page of a node.
pub(crate) fn backtest(node: Deps, rule: &str, text: &str, range: (&str, &str)) -> Answer {
    let router = dashboards::router(node);
    let name = dashboards::text::percent_encoded(rule);
    let page = ask(router.clone(), Request::get(format!("/rules/{name}")).body(Body::empty()).unwrap()).text;
    let body = form(&[("token", token(&page)), ("text", text), ("from", range.0), ("to", range.1)]);
    ask(router, post_of(&name, body))
}

fn post(body: String) -> Request<Body> {
    post_of("ChannelNetworkDown", body)
}

fn post_of(name: &str, body: String) -> Request<Body> {
    Request::post(format!("/rules/{name}/backtest"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap()
}

#[test]
fn each_rule_in_one_line() {
    let words = [
        "3 rules",
        "2 firing</a>",
        "href=\"./rules/ChannelNetworkDown\"",
        "<b>consecutive</b> at least 12 in a row within 1m, by channel",
        "▲ 1 firing",
        "○ inactive",
        "<span class=\"tag\">shadow</span>",
        "750 ns",
        "50 %",
        "○ no match yet",
        "✓ well",
        "network <span class=\"dim mono\">rules.d/network.yaml</span>",
        "18:13:18",
    ];
    check("/rules", 200, &words);
}

#[test]
fn filtered_by_words_labels_and_state() {
    let found = |query: &str| {
        let page = check(&format!("/rules?{query}"), 200, &[]);
        let names = page.split("href=\"./rules/").skip(1).filter_map(|rest| rest.split('"').next());
        names.map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(""), "ChannelNetworkDown NetworkTroubleTotal KeywordPanic");
    assert_eq!(found("q=NETWORK"), "ChannelNetworkDown NetworkTroubleTotal");
    assert_eq!(found("q=in+a+row"), "ChannelNetworkDown");
    assert_eq!(found("q=severity%3Dwarning"), "NetworkTroubleTotal");
    assert_eq!(found("q=class%3Dalarm+kind%3Dconsecutive"), "ChannelNetworkDown");
    assert_eq!(found("q=severity%3Dwarn"), "", "a label's value is compared as a whole");
    assert_eq!(found("q=file%3Dkeywords.yaml"), "KeywordPanic");
    assert_eq!(found("state=firing"), "ChannelNetworkDown NetworkTroubleTotal");
    assert_eq!(found("state=inactive"), "KeywordPanic");
    assert_eq!(found("state=shadow"), "KeywordPanic");
    assert_eq!(found("state=live&q=total"), "NetworkTroubleTotal");
    assert_eq!(found("state=trouble"), "");
    check("/rules?q=nothing-of-this", 200, &["No rule fits."]);
    check("/rules?state=broken", 400, &["is no state"]);
}

#[test]
fn trouble_is_named() {
    let mut troubled = deps();
    troubled.rules = Arc::new(|| {
        let view = crate::stage::rules_view();
        let mut counts = view.counts.clone();
        counts[0] = RuleCounts { keys_dropped: 12, ..counts[0].clone() };
        counts[1] = RuleCounts { late: 400, ..counts[1].clone() };
        Arc::new(RulesView { counts, ..RulesView::clone(&view) })
    });
    let page = get(troubled, "/rules?state=trouble").text;
    assert!(page.contains("2 in trouble") && page.contains("✕ 12 dropped at its bound"), "{page}");
    assert!(page.contains("✕ many records come late") && !page.contains("KeywordPanic"), "{page}");
}

#[test]
fn a_thousand_rules() {
    let rule =
        |n: usize| format!("  - {{alert: Rule{n}, kind: frequency, count: 5, within: 1m, by: [channel]}}\n");
    let text = format!("groups:\n- name: many\n  rules:\n{}", (0..1_001).map(rule).collect::<String>());
    let set = RuleSet::load(&[RuleFile { name: "many.yaml".into(), text }], &formats()).unwrap();
    let view = Arc::new(RulesView {
        counts: vec![RuleCounts::default(); set.len()],
        costs: vec![RuleCost::default(); set.len()],
        infos: set.infos().into(),
        ..RulesView::default()
    });
    let mut many = deps();
    many.rules = Arc::new(move || Arc::clone(&view));
    let page = get(many.clone(), "/rules").text;
    assert!(page.contains("The first 1000 of 1001 that fit"), "{}", page.len());
    assert!(page.contains(">Rule999</a>") && !page.contains(">Rule1000</a>"));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(get(many, "/rules?q=rule1000").text.contains(">Rule1000</a>"));
}

#[test]
fn one_rule_with_its_keys() {
    let words = [
        "<pre class=\"yaml\">- alert: ChannelNetworkDown\n  kind: consecutive",
        "rules.d/network.yaml:4",
        "{channel}: {count} network errors in a row",
        "133 keys with state",
        "▲ firing",
        "<span class=\"dim\">channel</span> GHT",
        "14 in a row of at least 12",
        "○ inactive",
        "3 in a row of at least 12",
        "row 2 (network.yaml:14)",
        "explain?at=2016-07-22%2018%3A15%3A23.999&#38;key.channel=GHT",
        "<dt>Evaluations</dt><dd>3\u{202f}600</dd>",
        "Last evaluated to",
        "750 ns a match, 50 % of all rules",
        "href=\"../alerts/9f3c21d07be4a618\"",
        "href=\"../alerts/e2d90b6671fc3a85\"",
        "name=\"key.channel\" value=\"GHT\"",
        "<th scope=\"row\">",
    ];
    let page = check("/rules/ChannelNetworkDown", 200, &words);
    assert!(!page.contains("NetworkTroubleTotal"), "alerts of other rules are not of this page");
    check("/rules/NetworkTroubleTotal", 200, &["The states cannot be shown: the judge is busy"]);
    check(
        "/rules/KeywordPanic",
        200,
        &["No key has state", "shadow: judged and recorded, never sent", "none: one state"],
    );
    check("/rules/Nothing", 404, &["There is no rule of this name"]);
    check("/rules/Nothing/explain", 404, &["There is no rule of this name", "href=\"../../rules\""]);
}

#[test]
fn explained_in_words_then_in_numbers() {
    let words = [
        "<p class=\"lead\">Firing since 2016-07-22T10:14:59.000Z by 12 in a row.</p>",
        "▲ firing</span> at <b>2016-07-22 18:15:00.000</b>",
        "shadow: judged and recorded, never sent",
        "<rect",
        "Threshold count",
        "Threshold row",
        "href=\"../../orders/CEX1607220005751\"",
        "value=\"2016-07-22 18:15:00\"",
        "action=\"../../rules/ChannelNetworkDown/explain\"",
    ];
    check("/rules/ChannelNetworkDown/explain?at=2016-07-22+18:15:00&key.channel=GHT", 200, &words);
    check("/rules/ChannelNetworkDown/explain?at=noon&key.channel=GHT", 400, &["&#34;noon&#34; is no time"]);
    check("/rules/ChannelNetworkDown/explain?at=2016-07-22", 400, &["no record of this key is stored"]);
    check("/rules/ChannelNetworkDown/explain", 400, &["no record of this key is stored"]); // asked about now
    check("/rules/ChannelNetworkDown/explain?at=", 400, &["is no time"]);
}

#[test]
fn backtests() {
    let range = ("2016-07-22 17:00", "2016-07-22 18:15");
    let backtest = |text: &str, range| backtest(deps(), "ChannelNetworkDown", text, range);
    let good = backtest("  - alert: A\r\n    kind: any\r\n", range);
    assert_eq!(good.status.as_u16(), 200, "{}", good.text);
    for word in [
        "1 alert would have fired: 48\u{202f}213 records from 2016-07-22 17:00:00",
        "ended by: reset",
        "2016-07-22 18:13:18.000",
        "only the first 48 213 records",
        "12 in a row of at least 12",
        "- alert: A\n    kind: any\n</textarea>",
    ] {
        assert!(good.text.contains(word), "lacks {word:?}:\n{}", good.text);
    }
    let wrong = backtest("  - alert: A\n    kind: anny\n", range);
    assert_eq!(wrong.status.as_u16(), 400);
    for word in [
        "<th scope=\"row\" class=\"num\">2</th><td class=\"num\">11</td>",
        "there is no kind `anny`",
        "    kind: anny",
    ] {
        assert!(wrong.text.contains(word), "lacks {word:?}:\n{}", wrong.text);
    }
    let empty = backtest("x", ("2016-07-22 17:00", "2016-07-22 17:00"));
    assert!(empty.status.as_u16() == 400 && empty.text.contains("the time range is empty"), "{}", empty.text);
    let long = backtest(&"#".repeat(257 * 1024), range);
    assert!(long.status.as_u16() == 400 && long.text.contains("longer than 256.0 KiB"), "{}", long.status);
}

#[test]
fn a_backtest_is_asked_for_by_our_own_page() {
    let router = || dashboards::router(deps());
    let body = || form(&[("token", "0123"), ("text", "x"), ("from", "2016-07-22"), ("to", "2016-07-23")]);
    assert_eq!(ask(router(), post(body())).status.as_u16(), 403, "the token is not ours");
    let mut foreign = post(body());
    foreign.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    assert!(ask(router(), foreign).text.contains("another origin"));
    let read = Request::get("/rules/ChannelNetworkDown/backtest").body(Body::empty()).unwrap();
    assert_eq!(ask(router(), read).status.as_u16(), 405);
}

/// Answers when it is told to, and says when it has been asked.
struct Slow {
    asked: SyncSender<()>,
    go: Mutex<Receiver<()>>,
}

impl RulesBench for Slow {
    fn explain(&self, _: &ExplainQuestion) -> Result<ExplainAnswer, BenchFault> {
        Ok(ExplainAnswer::default())
    }

    fn backtest(&self, _: &BacktestQuestion) -> Result<BacktestAnswer, BenchFault> {
        self.asked.send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        Ok(BacktestAnswer::default())
    }
}

#[test]
fn one_at_a_time() {
    let (asked, is_asked) = sync_channel(1);
    let (go, may_go) = sync_channel(1);
    let mut slow = deps();
    slow.bench = Arc::new(Slow { asked, go: Mutex::new(may_go) });
    let router = dashboards::router(slow);
    let page =
        ask(router.clone(), Request::get("/rules/ChannelNetworkDown").body(Body::empty()).unwrap()).text;
    let body = form(&[("token", token(&page)), ("text", "x"), ("from", "2016-07-22"), ("to", "2016-07-23")]);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let first = runtime.spawn(router.clone().oneshot(post(body.clone())));
    is_asked.recv().unwrap();
    let second = ask(router.clone(), post(body));
    assert_eq!(second.status.as_u16(), 429, "{}", second.text);
    assert!(second.text.contains("one at a time") && second.headers.contains_key("retry-after"));
    let why = "/rules/ChannelNetworkDown/explain?at=2016-07-22";
    let explain = ask(router.clone(), Request::get(why).body(Body::empty()).unwrap());
    assert_eq!(explain.status.as_u16(), 429, "{}", explain.text);
    go.send(()).unwrap();
    assert_eq!(runtime.block_on(first).unwrap().unwrap().status().as_u16(), 200);
    assert_eq!(ask(router, Request::get(why).body(Body::empty()).unwrap()).status.as_u16(), 200);
}
