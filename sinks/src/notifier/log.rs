//! Alerts as lines of Watchroom's own log.
//!
//! Refuses to know: where the log goes.

use record::{InstantMs, rfc3339_ms};

use super::Notify;
use crate::notification::{Scene, Status, visible};
use crate::outbox::{Attempt, Outcome};

/// Writes one structured line per notification under the log target `watchroom::alert`: firing as a warning, the end
/// as information.
#[derive(Debug, Clone)]
pub struct LogNotifier {
    scene: Scene,
}

impl LogNotifier {
    /// For a scene.
    pub fn new(scene: &Scene) -> Self {
        Self { scene: scene.clone() }
    }
}

impl Notify for LogNotifier {
    async fn send(&self, attempt: &Attempt, _now_ms: InstantMs) -> Outcome {
        let news = &attempt.notification;
        let subject = visible(&news.subject()).into_owned();
        let (reason, delivery) = (visible(&news.reason), attempt.delivery_id.as_str());
        let labels: Vec<_> =
            news.labels.iter().map(|(n, v)| format!("{}={}", visible(n), visible(v))).collect();
        let labels = labels.join(" ");
        let (orders, repeat) = (news.orders_count, attempt.possible_repeat);
        let amount = visible(news.amount.as_deref().unwrap_or_default());
        let since = rfc3339_ms(news.starts_ms);
        let link = self.scene.link(&news.alert_id);
        if news.status == Status::Firing {
            tracing::warn!(target: "watchroom::alert", delivery, %labels, %reason, orders, %amount, since, possible_repeat = repeat, link, "{subject}");
        } else {
            tracing::info!(target: "watchroom::alert", delivery, %labels, %reason, orders, %amount, since, possible_repeat = repeat, link, "{subject}");
        }
        Outcome::Sent { detail: "logged".to_owned() }
    }
}
