//! A notification as a mail: headers, a text and an HTML body (RFC 5322, RFC 2045).
//!
//! Refuses to know: how it travels. lettre writes the MIME; every value that stands in a header is one line before.

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use crate::notification::{Document, Scene, Status, header_text, html, text};
use crate::outbox::Attempt;
use crate::receivers::EmailConfig;

/// Who writes to whom, and where the platform is.
#[derive(Debug)]
pub(super) struct Letterhead {
    from: Mailbox,
    to: Vec<Mailbox>,
    scene: Scene,
}

impl Letterhead {
    pub(super) fn new(config: &EmailConfig, scene: &Scene) -> Result<Self, String> {
        let to = config.recipients()?.into_iter().collect();
        Ok(Self { from: config.sender()?, to, scene: scene.clone() })
    }

    /// The mail of an attempt. All attempts of a delivery have the same Message-ID and date; a possible repeat says so.
    pub(super) fn write(&self, attempt: &Attempt) -> Result<Message, lettre::error::Error> {
        let news = &attempt.notification;
        let repeat = if attempt.possible_repeat { " (possible repeat)" } else { "" };
        let created = Duration::from_millis(u64::try_from(attempt.created_ms).unwrap_or(0));
        let mut builder = Message::builder()
            .from(self.from.clone())
            .date(SystemTime::UNIX_EPOCH + created)
            .message_id(Some(self.message_id(&attempt.delivery_id)))
            .subject(header_text(&format!("{}{repeat}", news.subject())))
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Watchroom-Alert", &header_text(&news.alert_id)));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        if news.status == Status::Resolved {
            let firing = self.message_id(&attempt.firing_id);
            builder = builder.in_reply_to(firing.clone()).references(firing);
        }
        let document = Document::new(news, &self.scene, attempt.possible_repeat);
        let bodies = MultiPart::alternative()
            .boundary(format!("watchroom-{}", attempt.delivery_id.chars().take(50).collect::<String>()))
            .singlepart(SinglePart::plain(text(&document)))
            .singlepart(SinglePart::html(html(&document)));
        builder.multipart(bodies)
    }

    /// `MESSAGE-ID.eml`: the same for all attempts of a delivery, so a repeat replaces its file.
    pub(super) fn file_name(&self, attempt: &Attempt) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "@.-_".contains(c) { c } else { '_' };
        let id: String =
            self.message_id(&attempt.delivery_id).chars().filter(|c| !"<>".contains(*c)).collect();
        format!("{}.eml", id.chars().map(safe).collect::<String>())
    }

    fn message_id(&self, delivery_id: &str) -> String {
        format!("<{delivery_id}@{}>", self.from.email.domain())
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}
