//! Deliveries: to whom, where they are in their life, what an attempt came to.
//!
//! Refuses to know: SQL.

use std::fmt;

use record::InstantMs;
use serde::Serialize;

use crate::notification::{Notification, Status};
use crate::receivers::OnUncertain;

/// The ways a receiver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IntegrationKind {
    /// `email_configs`.
    Email,
    /// `webhook_configs`.
    Webhook,
    /// `log_configs`.
    Log,
}

impl IntegrationKind {
    /// `email`, `webhook`, `log`: Alertmanager's integration names.
    pub fn as_str(self) -> &'static str {
        match self {
            IntegrationKind::Email => "email",
            IntegrationKind::Webhook => "webhook",
            IntegrationKind::Log => "log",
        }
    }
}

/// One integration of one receiver. Shown as `duty/email[0]`, the key of its deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Target {
    /// The receiver's name.
    pub receiver: String,
    /// Which kind.
    pub integration: IntegrationKind,
    /// Position among the receiver's integrations of this kind.
    pub index: usize,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}[{}]", self.receiver, self.integration.as_str(), self.index)
    }
}

/// A target and what it wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// To whom.
    pub target: Target,
    /// Also when the alert is over.
    pub send_resolved: bool,
    /// What becomes of a delivery that may have arrived.
    pub on_uncertain: OnUncertain,
}

/// A delivery's id: `ALERTID-firing-` or `-resolved-` and 16 hex digits of the target. The same after a restart,
/// on another node and on every retry; its characters are safe in headers and file names.
pub fn delivery_id(alert_id: &str, status: Status, target: &str) -> String {
    let alert: String =
        alert_id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(64).collect();
    format!("{alert}-{}-{:016x}", status.as_str(), fnv1a(target.as_bytes()))
}

/// FNV-1a, 64 bits: stable for ever, which the standard library's hashers do not promise.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// Where a delivery is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Not tried yet.
    Pending,
    /// An attempt is under way.
    Sending,
    /// The receiver has it.
    Sent,
    /// It failed and is tried again.
    Retry,
    /// It may have arrived; it is sent again under the same id.
    Uncertain,
    /// Given up; kept, listed, can be sent again.
    Dead,
}

impl DeliveryState {
    /// The word in the database and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Sending => "sending",
            DeliveryState::Sent => "sent",
            DeliveryState::Retry => "retry",
            DeliveryState::Uncertain => "uncertain",
            DeliveryState::Dead => "dead",
        }
    }

    /// The state of a word; `None` for any other word.
    pub fn from_word(word: &str) -> Option<Self> {
        use DeliveryState::{Dead, Pending, Retry, Sending, Sent, Uncertain};
        [Pending, Sending, Sent, Retry, Uncertain, Dead].into_iter().find(|s| s.as_str() == word)
    }
}

/// A delivery as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// Which alert.
    pub alert_id: String,
    /// Firing or resolved.
    pub status: Status,
    /// `duty/email[0]`.
    pub target: String,
    /// What it is about, in one line; untrusted text.
    pub title: String,
    /// Where it is in its life.
    pub state: DeliveryState,
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts that may have arrived without our knowing.
    pub uncertain: u32,
    /// When it was enqueued.
    pub created_ms: InstantMs,
    /// When it last changed.
    pub updated_ms: InstantMs,
    /// When it is due; without meaning once it is sent or dead.
    pub next_ms: InstantMs,
    /// What went wrong last. Holds no secret.
    pub last_error: Option<String>,
}

/// An attempt as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptRecord {
    /// 1 for the first.
    pub number: u32,
    /// When it began: before its first byte.
    pub started_ms: InstantMs,
    /// When its outcome was recorded; `None` while it is under way.
    pub ended_ms: Option<InstantMs>,
    /// `sent`, `retry`, `uncertain`, `dead`; `None` while it is under way.
    pub outcome: Option<String>,
    /// What the receiver said, or what went wrong. Untrusted text without secrets.
    pub detail: Option<String>,
}

/// An attempt under way: what a notifier gets. Nothing in it but `number`, `possible_repeat` and `started_ms`
/// differs between the attempts of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The delivery's id: Idempotency-Key, Message-ID.
    pub delivery_id: String,
    /// The id of the firing delivery to the same target (its own, if this is that one).
    pub firing_id: String,
    /// 1 for the first attempt.
    pub number: u32,
    /// An earlier attempt may have arrived.
    pub possible_repeat: bool,
    /// When the delivery was enqueued.
    pub created_ms: InstantMs,
    /// When this attempt began.
    pub started_ms: InstantMs,
    /// `duty/email[0]`.
    pub target: String,
    /// What to say.
    pub notification: Notification,
}

/// Why an attempt failed: Alertmanager's words for `notifications_failed_total{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FailReason {
    /// The receiver will never take this message.
    ClientError,
    /// The receiver is there and in trouble.
    ServerError,
    /// Credentials were refused.
    AuthError,
    /// Too many at once.
    RateLimited,
    /// No answer in time.
    ContextDeadlineExceeded,
    /// Watchroom was stopped during the attempt.
    ContextCanceled,
    /// The rest: no connection, TLS, files.
    Other,
}

impl FailReason {
    /// All of them, so that counters can be there before the first failure.
    pub const ALL: [Self; 7] = [
        Self::ClientError,
        Self::ServerError,
        Self::AuthError,
        Self::RateLimited,
        Self::ContextDeadlineExceeded,
        Self::ContextCanceled,
        Self::Other,
    ];

    /// `clientError` ...
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientError => "clientError",
            Self::ServerError => "serverError",
            Self::AuthError => "authError",
            Self::RateLimited => "rateLimited",
            Self::ContextDeadlineExceeded => "contextDeadlineExceeded",
            Self::ContextCanceled => "contextCanceled",
            Self::Other => "other",
        }
    }
}

/// What came of an attempt. No detail may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver said it has it.
    Sent {
        /// What it said.
        detail: String,
    },
    /// It has certainly not arrived; try again.
    Retry {
        /// Why.
        reason: FailReason,
        /// In words.
        detail: String,
        /// The receiver asked for this pause, in milliseconds.
        after_ms: Option<i64>,
    },
    /// It may have arrived; send again, saying so.
    Uncertain {
        /// Why.
        reason: FailReason,
        /// In words.
        detail: String,
    },
    /// It will not be taken, however often; give up.
    Dead {
        /// Why.
        reason: FailReason,
        /// In words.
        detail: String,
    },
}

impl Outcome {
    /// A retry without a pause asked for.
    pub fn retry(reason: FailReason, detail: impl Into<String>) -> Self {
        Self::Retry { reason, detail: detail.into(), after_ms: None }
    }

    /// `sent`, `retry`, `uncertain`, `dead`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Retry { .. } => "retry",
            Self::Uncertain { .. } => "uncertain",
            Self::Dead { .. } => "dead",
        }
    }

    /// In words.
    pub fn detail(&self) -> &str {
        match self {
            Self::Sent { detail }
            | Self::Retry { detail, .. }
            | Self::Uncertain { detail, .. }
            | Self::Dead { detail, .. } => detail,
        }
    }

    /// Why it failed; `None` if it did not.
    pub fn reason(&self) -> Option<FailReason> {
        match self {
            Self::Sent { .. } => None,
            Self::Retry { reason, .. } | Self::Uncertain { reason, .. } | Self::Dead { reason, .. } => {
                Some(*reason)
            }
        }
    }

    /// The receiver said something about the message, yes or no: it is there.
    pub fn is_answered(&self) -> bool {
        matches!(self, Self::Sent { .. } | Self::Dead { .. })
    }

    /// It may have arrived.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Uncertain { .. })
    }
}
