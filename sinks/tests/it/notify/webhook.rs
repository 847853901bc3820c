//! The webhook's payload, byte for byte, and its headers.

use expect_test::expect;
use sinks::notifier::Notify as _;

use super::conformance::{notifier, webhook};
use super::hook::{Hook, Reply, Request};
use super::{AMPLE_MS, START_MS, Scratch, attempt, fired, receivers, resolved, soon};

async fn post(attempt: &sinks::outbox::Attempt) -> Request {
    let scratch = Scratch::new();
    let mut hook = Hook::start(&[Reply::Status(200, "", "")]).await;
    let outcome = soon(notifier(&webhook(&scratch, &hook.url, AMPLE_MS)).send(attempt, START_MS)).await;
    assert_eq!(outcome.word(), "sent");
    hook.request().await
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    serde_json::to_string_pretty(&value).expect("JSON")
}

#[tokio::test]
async fn a_firing_alert_is_alertmanagers_payload_version_4() {
    let request = post(&attempt(&fired("5f3a"))).await;
    expect![[r#"
        {
          "alerts": [
            {
              "annotations": {
                "amount": "12345.60",
                "orders": "12",
                "reason": "12 in a row of at least 12 within 1m",
                "summary": "GHT: 12 network errors in a row 网络"
              },
              "endsAt": "0001-01-01T00:00:00Z",
              "fingerprint": "9f86d081884c7d65",
              "generatorURL": "https://watchroom.example/alerts/5f3a",
              "labels": {
                "alertname": "ChannelNetworkDown",
                "channel": "GHT",
                "severity": "critical"
              },
              "startsAt": "2016-07-22T10:15:31.004Z",
              "status": "firing"
            }
          ],
          "commonAnnotations": {
            "amount": "12345.60",
            "orders": "12",
            "reason": "12 in a row of at least 12 within 1m",
            "summary": "GHT: 12 network errors in a row 网络"
          },
          "commonLabels": {
            "alertname": "ChannelNetworkDown",
            "channel": "GHT",
            "severity": "critical"
          },
          "externalURL": "https://watchroom.example",
          "groupKey": "{}:{alertname=\"ChannelNetworkDown\"}",
          "groupLabels": {
            "alertname": "ChannelNetworkDown"
          },
          "notification_reason": "first notification",
          "receiver": "duty",
          "routeLabels": {},
          "status": "firing",
          "truncatedAlerts": 0,
          "version": "4"
        }"#]]
    .assert_eq(&pretty(&request.body));
    assert!(request.head.starts_with("POST /hook/s3cret-path HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("idempotency-key"), Some(attempt(&fired("5f3a")).delivery_id.as_str()));
    assert_eq!(request.header("authorization"), Some("Bearer t0ken-s3cret"));
    assert_eq!(request.header("x-watchroom-possible-repeat"), None);
}

#[tokio::test]
async fn a_resolved_alert_has_an_end() {
    let request = post(&attempt(&resolved("5f3a"))).await;
    let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
    assert_eq!(body["status"], "resolved");
    assert_eq!(body["notification_reason"], "all alerts resolved");
    assert_eq!(body["alerts"][0]["status"], "resolved");
    assert_eq!(body["alerts"][0]["endsAt"], "2016-07-22T10:17:31.004Z");
}

#[tokio::test]
async fn a_possible_repeat_says_so_in_a_header_and_has_the_same_body() {
    let first = attempt(&fired("5f3a"));
    let again = sinks::outbox::Attempt { number: 2, possible_repeat: true, ..first.clone() };
    let (first, again) = (post(&first).await, post(&again).await);
    assert_eq!(again.header("x-watchroom-possible-repeat"), Some("true"));
    assert_eq!(first.body, again.body);
}

#[tokio::test]
async fn basic_authentication_and_a_url_from_a_file() {
    let scratch = Scratch::new();
    let mut hook = Hook::start(&[Reply::Echo]).await;
    let (url, password) = (scratch.secret("url", &hook.url), scratch.secret("password", "pass-s3cret"));
    let yaml = format!(
        "[{{name: duty, webhook_configs: [{{url_file: {}, http_config: {{basic_auth: {{username: w, \
         password_file: {}}}}}}}]}}]",
        url.display(),
        password.display()
    );
    let outcome = soon(notifier(&yaml).send(&attempt(&fired("a")), START_MS)).await;
    assert_eq!(hook.request().await.header("authorization"), Some("Basic dzpwYXNzLXMzY3JldA=="));
    assert!(!outcome.detail().contains("dzpwYXNz"), "{outcome:?}");
}

#[tokio::test]
async fn a_receiver_can_be_tried_out() {
    let scratch = Scratch::new();
    let mut hook = Hook::start(&[Reply::Status(200, "", "")]).await;
    let integrations = receivers(&webhook(&scratch, &hook.url, AMPLE_MS));
    assert_eq!(soon(integrations[0].test(START_MS)).await.word(), "sent");
    let body: serde_json::Value = serde_json::from_str(&hook.request().await.body).expect("JSON");
    assert_eq!(body["commonLabels"]["alertname"], "WatchroomTest");
    assert_eq!(body["commonAnnotations"]["summary"], "This is only a test of duty/webhook[0]");
}
