//! Alertmanager's webhook payload, version 4, for a group of one alert.
//!
//! Source: Alertmanager, `notify/webhook/webhook.go` and `template/template.go` (fields and their JSON names).
//! Refuses to know: HTTP.

use std::collections::BTreeMap;

use record::{InstantMs, rfc3339_ms};
use serde::Serialize;

use crate::notification::{Notification, Scene, Status};

/// Go's zero time: "has not ended".
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";

type Map<'a> = BTreeMap<&'a str, &'a str>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    version: &'static str,
    group_key: String,
    truncated_alerts: u64,
    status: Status,
    receiver: &'a str,
    #[serde(rename = "notification_reason")]
    notification_reason: &'static str,
    group_labels: Map<'a>,
    common_labels: Map<'a>,
    common_annotations: Map<'a>,
    route_labels: Map<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    alerts: [AlertEntry<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertEntry<'a> {
    status: Status,
    labels: Map<'a>,
    annotations: Map<'a>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: &'a str,
}

/// The payload as JSON. Annotations the rule did not write say why, how many orders and how much money: `reason`,
/// `orders`, `amount`. The same bytes on every attempt of a delivery.
pub(super) fn payload(news: &Notification, receiver: &str, scene: &Scene) -> String {
    let labels: Map<'_> = news.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let orders = news.orders_count.to_string();
    let annotations = annotations(news, &orders);
    let alertname = news.alertname();
    let message = Message {
        version: "4",
        group_key: format!("{{}}:{{alertname={alertname:?}}}"),
        truncated_alerts: 0,
        status: news.status,
        receiver,
        notification_reason: match news.status {
            Status::Firing => "first notification",
            Status::Resolved => "all alerts resolved",
        },
        group_labels: Map::from([("alertname", alertname)]),
        common_labels: labels.clone(),
        common_annotations: annotations.clone(),
        route_labels: Map::new(),
        external_url: scene.external_url.trim_end_matches('/'),
        alerts: [AlertEntry {
            status: news.status,
            labels,
            annotations,
            starts_at: rfc3339_ms(news.starts_ms),
            ends_at: ends_at(news.status, news.ends_ms),
            generator_url: scene.link(&news.alert_id),
            fingerprint: &news.fingerprint,
        }],
    };
    serde_json::to_string(&message).expect("maps with text keys always serialize")
}

fn annotations<'a>(news: &'a Notification, orders: &'a str) -> Map<'a> {
    let mut annotations: Map<'_> = news.annotations.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    annotations.entry("reason").or_insert(&news.reason);
    if news.orders_count > 0 {
        annotations.entry("orders").or_insert(orders);
    }
    if let Some(amount) = &news.amount {
        annotations.entry("amount").or_insert(amount);
    }
    if news.withdrawn {
        annotations.entry("withdrawn").or_insert("true");
    }
    annotations
}

fn ends_at(status: Status, ends_ms: Option<InstantMs>) -> String {
    match (status, ends_ms) {
        (Status::Resolved, Some(ends_ms)) => rfc3339_ms(ends_ms),
        _ => NOT_ENDED.to_owned(),
    }
}
