//! What a notification says, word for word, and what no log line can make it say.

use std::sync::Arc;

use expect_test::expect;
use rules::{Alert, AlertState, Bucket, Change, Reason, Sample, Transition};

use super::*;

/// 2016-07-22 18:15:00 in Shanghai.
pub(crate) const START_MS: i64 = 1_469_182_500_000;

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

/// An alert as the example rule raises it.
pub(crate) fn alert(id: &str) -> Alert {
    Alert {
        id: id.to_owned(),
        fingerprint: "9f86d081884c7d65".to_owned(),
        labels: map(&[("alertname", "ChannelNetworkDown"), ("channel", "GHT"), ("severity", "critical")]),
        annotations: map(&[("summary", "GHT: 12 network errors in a row")]),
        state: AlertState::Firing,
        shadow: false,
        raised_ms: START_MS + 31_004,
        active_ms: START_MS + 31_004,
        fired_ms: Some(START_MS + 31_004),
        ended_ms: None,
        withdrawn: false,
        reason: Reason {
            kind: "consecutive".to_owned(),
            text: "12 in a row of at least 12 within 1m (18:15:00.512 to 18:15:31.004)".to_owned(),
            count: 12,
            thresholds: map(&[("count", "12")]),
            buckets: vec![Bucket { at: START_MS, count: 3 }, Bucket { at: START_MS + 10_000, count: 9 }],
            orders: (1..=12).map(|n| format!("P{n:03}")).collect(),
            orders_count: 12,
            amount: Some("12345.60".to_owned()),
            samples: vec![Sample {
                lsn: 7,
                at: START_MS + 512,
                line: "2016-07-22 18:15:00.512||T1||GHT||<script>alert(1)</script>\r\nBcc: x\u{1b}[31m"
                    .to_owned(),
            }],
            ..Reason::default()
        },
    }
}

pub(crate) fn transition(change: Change, alert: Alert) -> Transition {
    Transition { change, early: false, lsn: 7, alert: Arc::new(alert) }
}

pub(crate) fn scene() -> Scene {
    Scene { external_url: "http://watchroom.example/".to_owned(), zone: chrono_tz::Asia::Shanghai }
}

pub(crate) fn ended(mut alert: Alert) -> Alert {
    alert.state = AlertState::Resolved;
    alert.ended_ms = Some(START_MS + 151_004);
    alert.reason.gate = "reset".to_owned();
    alert
}

fn news(change: Change, alert: Alert) -> Notification {
    Notification::from_transition(&transition(change, alert)).expect("people are told")
}

#[test]
fn a_firing_alert_as_text() {
    let news = news(Change::Fired, alert("5f3a"));
    assert_eq!(news.subject(), "[FIRING] ChannelNetworkDown GHT: 12 network errors in a row");
    expect![[r"
        FIRING: ChannelNetworkDown
        GHT: 12 network errors in a row

        Why              12 in a row of at least 12 within 1m (18:15:00.512 to 18:15:31.004)
        Threshold        count 12
        Since            2016-07-22 18:15:31.004 +08:00 (2016-07-22T10:15:31.004Z)
        Orders affected  12: P001, P002, P003, P004, P005, P006, P007, P008, P009, P010 and 2 more
        Money at risk    12345.60

        Matches
          18:15:00.000  3
          18:15:10.000  9

        Labels
          channel: GHT
          severity: critical

        Sample lines
          18:15:00.512  2016-07-22 18:15:00.512||T1||GHT||<script>alert(1)</script>\r\nBcc: x\u{1b}[31m

        http://watchroom.example/alerts/5f3a
    "]]
    .assert_eq(&text(&Document::new(&news, &scene(), false)));
}

#[test]
fn a_resolved_alert_says_when_it_ended_and_a_repeat_says_so() {
    let news = news(Change::Resolved, ended(alert("5f3a")));
    assert_eq!(news.subject(), "[RESOLVED] ChannelNetworkDown GHT: 12 network errors in a row");
    let body = text(&Document::new(&news, &scene(), true));
    for line in [
        "Possible repeat: an earlier attempt to send this may have arrived.",
        "Ended            2016-07-22 18:17:31.004 +08:00 (2016-07-22T10:17:31.004Z)",
        "Lasted           2 min 0 s",
        "Ended by         reset",
    ] {
        assert!(body.lines().any(|l| l == line), "no line {line:?} in\n{body}");
    }
}

#[test]
fn a_withdrawn_alert_says_so() {
    let mut over = ended(alert("5f3a"));
    over.withdrawn = true;
    let news = news(Change::Withdrawn, over);
    assert_eq!(news.word(), "WITHDRAWN");
    assert!(
        text(&Document::new(&news, &scene(), false)).contains("Withdrawn: later records did not confirm")
    );
}

#[test]
fn nobody_is_told_what_is_pending_dropped_updated_or_shadow() {
    for change in [Change::Pending, Change::Dropped, Change::Updated] {
        assert_eq!(Notification::from_transition(&transition(change, alert("a"))), None, "{change:?}");
    }
    let shadow = Alert { shadow: true, ..alert("a") };
    assert_eq!(Notification::from_transition(&transition(Change::Fired, shadow)), None);
}

#[test]
fn without_a_summary_the_keys_and_the_reason_stand_in_the_subject() {
    let mut bare = alert("a");
    bare.annotations.clear();
    assert_eq!(
        news(Change::Fired, bare).subject(),
        "[FIRING] ChannelNetworkDown channel=GHT 12 in a row of at least 12 within 1m (18:15:00.512 to 18:15:31.004)"
    );
}

/// Texts that attack a terminal, a mail header, a page, a template.
const HOSTILE: [&str; 10] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "a\r\nBcc: thief@example.com\r\n\r\n<b>",
    "\0\u{1b}]0;owned\u{7}\u{9b}31m",
    "\u{202e}gnp.exe\u{2066}",
    "${jndi:ldap://x/a}{{7*7}}%n$(id)`id`",
    "</title></style><!-- --><![CDATA[",
    "&lt;script&gt;&#60;",
    "\u{2028}\u{2029}\u{85}\u{feff}",
];

/// An alert that has a text wherever a text can be.
fn saying(text: &str) -> Notification {
    let mut alert = alert(text);
    alert.labels = map(&[("alertname", text), ("x", text)]);
    alert.annotations = map(&[("summary", text), (text, text)]);
    alert.reason.text = text.to_owned();
    alert.reason.gate = text.to_owned();
    alert.reason.amount = Some(text.to_owned());
    alert.reason.orders = vec![text.to_owned()];
    alert.reason.distinct = vec![text.to_owned()];
    alert.reason.distinct_count = 1;
    alert.reason.thresholds = map(&[(text, text)]);
    alert.reason.samples[0].line = text.to_owned();
    news(Change::Fired, alert)
}

#[test]
fn hostile_text_stays_text_everywhere() {
    let markup = |page: &str| page.chars().filter(|c| "<>\"'".contains(*c)).count();
    let harmless = markup(&html(&Document::new(&saying("harmless"), &scene(), false)));
    for hostile in HOSTILE {
        let news = saying(hostile);
        let document = Document::new(&news, &scene(), false);
        assert!(!news.subject().chars().any(char::is_control), "{hostile:?} in {:?}", news.subject());
        let plain = text(&document);
        assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{hostile:?} in {plain}");
        assert!(!plain.lines().any(|l| l.starts_with("Bcc")), "{plain}");
        let page = html(&document);
        assert_eq!(markup(&page), harmless, "{hostile:?} became markup in {page}");
        assert!(!page.chars().any(|c| c.is_control() && c != '\n'), "{hostile:?} in {page}");
    }
}

#[test]
fn long_things_are_cut() {
    let mut big = alert("a");
    big.reason.samples[0].line = "\u{4e2d}".repeat(100_000);
    big.reason.buckets = (0..5_000).map(|n| Bucket { at: START_MS + n, count: 1 }).collect();
    let news = news(Change::Fired, big);
    assert!(news.samples[0].line.len() <= 2_000);
    assert_eq!(Document::new(&news, &scene(), false).counts.len(), 60);
}

#[test]
fn what_is_stored_is_what_is_read() {
    let news = news(Change::Resolved, ended(alert("5f3a")));
    let stored = serde_json::to_string(&news).expect("serializes");
    assert_eq!(serde_json::from_str::<Notification>(&stored).expect("reads"), news);
}
