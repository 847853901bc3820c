//! Who is told: receivers as the configuration file names them, with Alertmanager's names and meanings.
//!
//! Every key's doc comment is its manual entry. Refuses to know: how a message is written or sent, and routing.

mod email;
mod secret;
mod webhook;

use std::collections::HashSet;

use serde::Deserialize;

pub use email::{EmailConfig, MailTls, Smarthost};
pub use secret::{Secret, SecretError, read_secret};
pub(crate) use webhook::check_url;
pub use webhook::{Authorization, BasicAuth, HttpConfig, TlsConfig, WebhookConfig};

/// One receiver: a name and the ways it is told. Every alert goes to every receiver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Its name, unique. Part of every delivery's identity: renaming a receiver makes it a new one.
    pub name: String,
    /// `resend`, `hold` or `resend-critical`: what becomes of a message that may have arrived (no word came back, or
    /// Watchroom ended meanwhile). Default `resend`.
    #[serde(default)]
    pub on_uncertain: OnUncertain,
    /// Mails, by SMTP or into a mailbox folder. The position in the list is part of a delivery's identity.
    #[serde(default)]
    pub email_configs: Vec<EmailConfig>,
    /// HTTP calls with Alertmanager's webhook payload, version 4.
    #[serde(default)]
    pub webhook_configs: Vec<WebhookConfig>,
    /// Lines in Watchroom's own log.
    #[serde(default)]
    pub log_configs: Vec<LogConfig>,
}

/// What becomes of a message of which nobody knows whether it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUncertain {
    /// It is sent again under the same id, saying that it may be a repeat: rather twice than never.
    #[default]
    Resend,
    /// It is given up, listed among the dead letters with that reason: rather never than twice; a person decides.
    Hold,
    /// Sent again if the label `severity` is critical, error, high, page or emergency; else held.
    ResendCritical,
}

/// Alerts as lines of Watchroom's own log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Tell also when the alert is over. Default true.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// A receiver that cannot work as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("receiver {receiver:?}: {at}: {message}")]
pub struct ReceiverError {
    /// Its name.
    pub receiver: String,
    /// Where in it: `email_configs[0].smarthost`.
    pub at: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Checks what can be known without a network: names unique, addresses and URLs readable, secrets' files there.
pub fn check(receivers: &[Receiver]) -> Result<(), ReceiverError> {
    let mut names = HashSet::new();
    for receiver in receivers {
        let wrong = |at: &str, message: String| ReceiverError {
            receiver: receiver.name.clone(),
            at: at.to_owned(),
            message,
        };
        if receiver.name.trim().is_empty() {
            return Err(wrong("name", "is empty; give the receiver a name".to_owned()));
        }
        if !names.insert(receiver.name.as_str()) {
            return Err(wrong("name", "is used twice; receiver names are unique".to_owned()));
        }
        for (index, email) in receiver.email_configs.iter().enumerate() {
            email.check().map_err(|(key, m)| wrong(&format!("email_configs[{index}].{key}"), m))?;
        }
        for (index, webhook) in receiver.webhook_configs.iter().enumerate() {
            webhook.check().map_err(|(key, m)| wrong(&format!("webhook_configs[{index}].{key}"), m))?;
        }
    }
    Ok(())
}

fn yes() -> bool {
    true
}

/// What is wrong with a key: the key and the message.
type KeyError = (&'static str, String);

#[cfg(test)]
mod tests;
