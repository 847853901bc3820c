//! Notifiers: each sends one notification one way and says what came of it.
//!
//! Refuses to know: when to send and how often (the outbox does).

mod hide;
mod log;
mod mail;
mod webhook;

use std::future::Future;

use record::InstantMs;

use crate::notification::{Notification, Scene};
use crate::outbox::{
    Attempt, Clock, IntegrationKind, OutboxHandle, Outcome, Route, Target, delivery_id, run_receiver,
};
use crate::receivers::{Receiver, ReceiverError, check};
pub use log::LogNotifier;
pub use mail::MailNotifier;
pub use webhook::WebhookNotifier;

/// Sends one attempt. It must end by itself (own timeouts), tell what certainly did not arrive (`Retry`) from what
/// may have (`Uncertain`), say the same id on every retry, and put no secret into any outcome.
pub trait Notify: Send + Sync {
    /// Sends; `now_ms` is the wall clock's instant.
    fn send(&self, attempt: &Attempt, now_ms: InstantMs) -> impl Future<Output = Outcome> + Send;
}

/// A notifier of any kind.
#[derive(Debug)]
pub enum Notifier {
    /// `email_configs`.
    Mail(Box<MailNotifier>),
    /// `webhook_configs`.
    Webhook(Box<WebhookNotifier>),
    /// `log_configs`.
    Log(LogNotifier),
}

impl Notify for Notifier {
    async fn send(&self, attempt: &Attempt, now_ms: InstantMs) -> Outcome {
        match self {
            Notifier::Mail(mail) => mail.send(attempt, now_ms).await,
            Notifier::Webhook(webhook) => webhook.send(attempt, now_ms).await,
            Notifier::Log(log) => log.send(attempt, now_ms).await,
        }
    }
}

/// One integration of one receiver, ready to run.
#[derive(Debug)]
pub struct Integration {
    /// Whose deliveries it sends and what it wants to hear.
    pub route: Route,
    /// How.
    pub notifier: Notifier,
}

impl Integration {
    /// Sends this integration's deliveries until `shutdown` is ready. Spawn one per integration.
    pub async fn run(self, outbox: OutboxHandle, clock: Clock, shutdown: impl Future<Output = ()> + Send) {
        run_receiver(self.route.target, self.notifier, outbox, clock, shutdown).await;
    }

    /// Sends a test notification at once, past the outbox: to see whether a receiver is configured rightly.
    pub async fn test(&self, now_ms: InstantMs) -> Outcome {
        let target = self.route.target.to_string();
        let notification = Notification::test(&target, now_ms);
        let delivery_id = delivery_id(&notification.alert_id, notification.status, &target);
        let attempt = Attempt {
            firing_id: delivery_id.clone(),
            delivery_id,
            number: 1,
            possible_repeat: false,
            created_ms: now_ms,
            started_ms: now_ms,
            target,
            notification,
        };
        self.notifier.send(&attempt, now_ms).await
    }
}

/// Checks the receivers and makes their notifiers, in configuration order.
pub fn integrations(receivers: &[Receiver], scene: &Scene) -> Result<Vec<Integration>, ReceiverError> {
    check(receivers)?;
    let mut all = Vec::new();
    for receiver in receivers {
        let mut add = |kind, index, send_resolved, notifier| {
            let target = Target { receiver: receiver.name.clone(), integration: kind, index };
            let route = Route { target, send_resolved, on_uncertain: receiver.on_uncertain };
            all.push(Integration { route, notifier });
        };
        let wrong = |list: &str, index: usize, message| ReceiverError {
            receiver: receiver.name.clone(),
            at: format!("{list}[{index}]"),
            message,
        };
        for (index, config) in receiver.email_configs.iter().enumerate() {
            let mail = MailNotifier::new(config, scene).map_err(|e| wrong("email_configs", index, e))?;
            add(IntegrationKind::Email, index, config.send_resolved, Notifier::Mail(Box::new(mail)));
        }
        for (index, config) in receiver.webhook_configs.iter().enumerate() {
            let webhook = WebhookNotifier::new(&receiver.name, config, scene)
                .map_err(|e| wrong("webhook_configs", index, e))?;
            add(IntegrationKind::Webhook, index, config.send_resolved, Notifier::Webhook(Box::new(webhook)));
        }
        for (index, config) in receiver.log_configs.iter().enumerate() {
            add(IntegrationKind::Log, index, config.send_resolved, Notifier::Log(LogNotifier::new(scene)));
        }
    }
    Ok(all)
}
