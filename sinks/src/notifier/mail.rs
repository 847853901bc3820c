//! Mails: by SMTP, or as files in a mailbox folder.
//!
//! Refuses to know: when to retry. The password is a secret: no outcome shows it.

mod bounded;
mod directory;
mod message;
mod smtp;

use record::InstantMs;

use super::Notify;
use crate::notification::Scene;
use crate::outbox::{Attempt, FailReason, Outcome};
use crate::receivers::EmailConfig;
use message::Letterhead;
use smtp::Smtp;

/// Sends one mail per notification to one list of addresses.
#[derive(Debug)]
pub struct MailNotifier {
    letterhead: Letterhead,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Smtp(Box<Smtp>),
    Directory(std::path::PathBuf),
}

impl MailNotifier {
    /// For a checked configuration.
    pub fn new(config: &EmailConfig, scene: &Scene) -> Result<Self, String> {
        let transport = match (&config.directory, &config.smarthost) {
            (Some(directory), _) => Transport::Directory(directory.clone()),
            (None, Some(smarthost)) => Transport::Smtp(Box::new(Smtp::new(config, smarthost)?)),
            (None, None) => return Err("neither smarthost nor directory is given".to_owned()),
        };
        Ok(Self { letterhead: Letterhead::new(config, scene)?, transport })
    }
}

impl Notify for MailNotifier {
    async fn send(&self, attempt: &Attempt, _now_ms: InstantMs) -> Outcome {
        let message = match self.letterhead.write(attempt) {
            Ok(message) => message,
            Err(why) => {
                let detail = format!("the mail cannot be written: {why}");
                return Outcome::Dead { reason: FailReason::ClientError, detail };
            }
        };
        match &self.transport {
            Transport::Smtp(smtp) => smtp.send(&message, attempt.number).await,
            Transport::Directory(path) => {
                directory::store(path, &self.letterhead.file_name(attempt), &message).await
            }
        }
    }
}

#[cfg(test)]
mod tests;
