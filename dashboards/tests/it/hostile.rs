//! Log text is never HTML: payloads in every field, on every page, must come out as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use dashboards::{
    BacktestAnswer, BacktestQuestion, BenchFault, ExplainAnswer, ExplainQuestion, Readiness, RulesBench,
    RulesView,
};
use rules::{AlertState, Change, KeyView, KeysView, Reason, RuleError, Sample, Transition};
use sinks::alert_book::AlertBook;
use sinks::notification::Status;
use sinks::outbox::delivery_id;

use crate::get;
use crate::stage::{NOW_MS, Rows, alert, counters, deps, formats, row};

const PAYLOADS: [&str; 16] = [
    "<script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "</title><script>alert(1)</script>",
    "</pre></details><script>alert(1)</script>",
    "</textarea><svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "--><!--<script>alert(1)</script>",
    "{{7*7}}{% if x %}${jndi:ldap://x}",
    "javascript:alert(1)",
    "\" onmouseover=\"alert(1)",
    "' onfocus='alert(1)' autofocus='",
    "<a href=\"javascript:alert(1)\">",
    "&lt;script&gt;<scr\u{0}ipt>",
    "\u{202e}evil\u{2066}\u{1b}[31m\u{9b}\u{7f}\u{feff}\u{0}<script\r>",
];

/// What templates themselves contain; anything else that looks like markup came from a payload.
fn assert_harmless(path: &str, payload: &str, page: &str) {
    let lower = page.to_lowercase();
    for banned in
        ["<script>", "<script\\", "<img", "<iframe", "<svg/", "<a href=\"javascript", "srcdoc='", "<scr\\"]
    {
        assert!(!lower.contains(banned), "{path}: {payload:?} came through as {banned}\n{page}");
    }
    for attribute in ["\" onmouseover=\"", "' onfocus='"] {
        assert!(!lower.contains(attribute), "{path}: {payload:?} made an attribute\n{page}");
    }
    assert!(!lower.contains("href=\"javascript"), "{path}: {payload:?} became a link");
    let hidden =
        |c: char| (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!page.contains(hidden), "{path}: {payload:?} left a hidden character");
}

#[test]
fn in_every_column_of_every_format() {
    let formats = formats();
    for payload in PAYLOADS {
        for (id, format) in formats.iter() {
            let format_name = formats.get(id).name();
            let columns: Vec<&str> = format.columns().iter().map(|_| payload).collect();
            let mut stored = row(7, NOW_MS, format_name, columns.join("||"));
            stored.source = payload.to_owned();
            let mut unknown = row(8, NOW_MS, payload, payload.to_owned());
            unknown.source = payload.to_owned();
            let mut hostile = deps();
            hostile.reader = Arc::new(Rows(vec![stored, unknown]));
            let id = dashboards::text::percent_encoded(payload);
            for path in [format!("/orders/{id}"), format!("/orders?text={id}"), format!("/orders?from={id}")]
            {
                assert_harmless(&path, payload, &get(hostile.clone(), &path).text);
            }
        }
    }
}

#[test]
fn in_every_field_of_an_alert() {
    for payload in PAYLOADS {
        let text = payload.to_owned();
        let reason = Reason {
            kind: text.clone(),
            text: text.clone(),
            thresholds: BTreeMap::from([(text.clone(), text.clone())]),
            distinct: vec![text.clone()],
            distinct_count: 1,
            orders: vec![text.clone()],
            orders_count: 1,
            amount: Some(text.clone()),
            samples: vec![Sample { lsn: 1, at: NOW_MS, line: text.clone() }],
            gate: text.clone(),
            ..Default::default()
        };
        let labels = [("alertname", payload), ("severity", payload), (payload, payload)];
        let mut hostile_alert = alert("00112233aabbccdd", &labels, payload, reason);
        hostile_alert.annotations.insert(text.clone(), text.clone());
        let book = AlertBook::default();
        book.apply(&[Transition {
            change: Change::Fired,
            early: false,
            lsn: 1,
            alert: Arc::new(hostile_alert),
        }]);
        let mut hostile = deps();
        hostile.book = book;
        let fired =
            Transition { change: Change::Fired, early: false, lsn: 1, alert: book_alert(&hostile.book) };
        hostile.outbox = crate::stage::outbox(&[fired], payload);
        let filter = dashboards::text::percent_encoded(payload);
        let id = delivery_id("00112233aabbccdd", Status::Firing, "wall/webhook[0]");
        for path in [
            "/deliveries".to_owned(),
            format!("/deliveries/{id}"),
            format!("/deliveries?receiver={filter}&alert={filter}"),
            format!("/deliveries?state={filter}"),
        ] {
            let page = get(hostile.clone(), &path).text;
            assert_harmless(&path, payload, &page);
            assert!(path != "/deliveries" || page.contains("✕ dead"), "{page}");
        }
        for path in ["/", "/alerts", "/alerts/00112233aabbccdd"] {
            let page = get(hostile.clone(), path).text;
            assert_harmless(path, payload, &page);
            assert!(path != "/" || page.contains("1 firing"), "{page}");
        }
    }
}

fn book_alert(book: &AlertBook) -> Arc<rules::Alert> {
    book.find("00112233aabbccdd").unwrap()
}

#[test]
fn in_every_field_of_a_rule() {
    for payload in PAYLOADS {
        let text = payload.to_owned();
        let labels = || BTreeMap::from([("severity".to_owned(), text.clone()), (text.clone(), text.clone())]);
        let mut view = RulesView::clone(&crate::stage::rules_view());
        let mut infos = view.infos.to_vec();
        let info = &mut infos[0];
        (info.alert, info.group, info.file) = (payload.into(), payload.into(), payload.into());
        (info.text, info.summary, info.by) = (payload.into(), text.clone(), vec![payload.into()]);
        (info.labels, info.annotations) = (labels(), labels());
        view.infos = infos.into();
        let reason = Reason {
            text: text.clone(),
            value: Some(text.clone()),
            thresholds: labels(),
            threshold_row: Some(text.clone()),
            distinct: vec![text.clone()],
            distinct_count: 1,
            orders: vec![text.clone()],
            orders_count: 1,
            amount: Some(text.clone()),
            samples: vec![Sample { lsn: 1, at: NOW_MS, line: text.clone() }],
            gate: text.clone(),
            ..Default::default()
        };
        let key = KeyView {
            labels: labels(),
            state: Some(AlertState::Firing),
            alert_id: Some(text.clone()),
            active_ms: Some(NOW_MS),
            last_match_ms: Some(NOW_MS),
            reason: reason.clone(),
        };
        let keys = KeysView { total: 1, keys: vec![key], ..KeysView::default() };
        let mut hostile = deps();
        hostile.rules = Arc::new(move || Arc::new(view.clone()));
        hostile.ask_keys = Arc::new(move |_| Ok(Some(keys.clone())));
        hostile.bench = Arc::new(HostileBench { payload, reason });
        let name = dashboards::text::percent_encoded(payload);
        for path in [
            "/rules".to_owned(),
            format!("/rules?q={name}&state={name}"),
            format!("/rules/{name}"),
            format!("/rules/{name}/explain?at=2016-07-22&key.{name}={name}"),
            format!("/rules/{name}/explain?at={name}&{name}={name}"),
        ] {
            let page = get(hostile.clone(), &path);
            assert_ne!(page.status.as_u16(), 404, "{path}: {}", page.text);
            assert_harmless(&path, payload, &page.text);
        }
        for (wanted, from) in [(200, "2016-07-22"), (400, payload), (400, "2016-07-21")] {
            let page = crate::rules_pages::backtest(hostile.clone(), payload, payload, (from, "2016-07-23"));
            assert_eq!(page.status.as_u16(), wanted, "{}", page.text);
            assert_harmless("backtest", payload, &page.text);
        }
    }
}

/// Answers in the payload's words; a backtest from the 21st says that the text is wrong.
struct HostileBench {
    payload: &'static str,
    reason: Reason,
}

impl RulesBench for HostileBench {
    fn explain(&self, _: &ExplainQuestion) -> Result<ExplainAnswer, BenchFault> {
        let text = || self.payload.to_owned();
        Ok(ExplainAnswer {
            sentence: text(),
            state: text(),
            labels: BTreeMap::from([(text(), text())]),
            reason: self.reason.clone(),
            gates: vec![text()],
            facts: vec![(text(), text())],
            ..ExplainAnswer::default()
        })
    }

    fn backtest(&self, question: &BacktestQuestion) -> Result<BacktestAnswer, BenchFault> {
        let text = || self.payload.to_owned();
        if question.from_ms < NOW_MS - 86_400_000 {
            let error = RuleError { file: text(), line: 1, column: 1, message: text() };
            return Err(BenchFault::Text(vec![error]));
        }
        let labels = [("alertname", self.payload), ("severity", self.payload), (self.payload, self.payload)];
        let alert = alert("00112233aabbccdd", &labels, self.payload, self.reason.clone());
        Ok(BacktestAnswer { alerts: vec![Arc::new(alert)], records: 1, cut: Some(text()), took_ms: 1 })
    }
}

#[test]
fn in_every_name_of_the_counters() {
    for payload in PAYLOADS {
        let text = || payload.to_owned();
        let mut hostile = deps();
        hostile.ready = Arc::new(move || Readiness::NotReady(text()));
        hostile.counters = Arc::new(move || {
            let text = || payload.to_owned();
            let mut counters = counters();
            counters.version = text();
            for input in &mut counters.inputs {
                (input.name, input.protocol, input.address) = (text(), text(), text());
                input.rejected.insert(text(), 1);
                input.dropped.insert(text(), 1);
            }
            counters.decode.plain.insert(text(), 1);
            counters.decode.formats[0].format = text();
            let ill_typed = &mut counters.decode.ill_typed[0];
            (ill_typed.format, ill_typed.column, ill_typed.reason) = (text(), text(), text());
            (counters.engine.rules[0].alert, counters.engine.rules[0].summary) = (text(), text());
            counters.outbox[0].receiver = text();
            for sender in &mut counters.senders {
                (sender.name, sender.inputs) = (text(), vec![text()]);
            }
            counters.outbox_file.trouble = Some(text());
            counters
        });
        for path in ["/", "/counters", "/deliveries", "/senders"] {
            assert_harmless(path, payload, &get(hostile.clone(), path).text);
        }
    }
}

#[test]
fn the_check_can_fail() {
    let raw = std::panic::catch_unwind(|| assert_harmless("/", "x", "<p><script>alert(1)</script>"));
    let bidi = std::panic::catch_unwind(|| assert_harmless("/", "x", "<p>\u{202e}"));
    assert!(raw.is_err() && bidi.is_err());
}
