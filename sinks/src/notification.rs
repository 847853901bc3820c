//! What people are told about one alert: built once from the alert, kept in the outbox, rendered for each receiver.
//!
//! Refuses to know: how it is sent and how often.

mod document;
mod escape;
mod html;
mod text;

use std::collections::BTreeMap;

use record::InstantMs;
use rules::{Alert, Change, Transition};
use serde::{Deserialize, Serialize};

pub use document::{Document, Fact, Scene};
pub(crate) use escape::cut;
pub use escape::{header_text, html_text, visible};
pub use html::html;
pub use text::text;

/// Whether an alert begins or is over, as receivers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is on.
    Firing,
    /// It is over (or was withdrawn).
    Resolved,
}

impl Status {
    /// `firing` or `resolved`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

/// A line an alert carries, as it was when the notification was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleLine {
    /// Position in the journal.
    pub lsn: record::Lsn,
    /// Event time.
    pub at_ms: InstantMs,
    /// The masked message, untrusted text.
    pub line: String,
}

/// One alert's news. All texts are as the log and the rules gave them: rendering makes them harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The alert's id.
    pub alert_id: String,
    /// Its identity without the episode.
    pub fingerprint: String,
    /// On or over.
    pub status: Status,
    /// Over because the settled count did not confirm the early verdict.
    pub withdrawn: bool,
    /// `alertname`, the rule's keys and labels.
    pub labels: BTreeMap<String, String>,
    /// Filled-in annotations.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires (event time).
    pub starts_ms: InstantMs,
    /// When it ended; `None` while it is on.
    pub ends_ms: Option<InstantMs>,
    /// The rule's kind.
    pub kind: String,
    /// The reason in one line.
    pub reason: String,
    /// What ended it; empty while it is on.
    pub gate: String,
    /// Thresholds by name.
    pub thresholds: BTreeMap<String, String>,
    /// Matches by bucket: start and count, oldest first.
    pub buckets: Vec<(InstantMs, u64)>,
    /// Distinct values, at most 100.
    pub distinct: Vec<String>,
    /// How many distinct values there are.
    pub distinct_count: u64,
    /// Orders affected, at most 100, in order of first sight.
    pub orders: Vec<String>,
    /// How many orders there are.
    pub orders_count: u64,
    /// Money at risk as decimal text.
    pub amount: Option<String>,
    /// Sample lines, oldest first.
    pub samples: Vec<SampleLine>,
}

/// A sample line is cut to this many bytes: a mail is not the place to read a message body.
const SAMPLE_MAX_BYTES: usize = 2_000;

impl Notification {
    /// The news in a transition: `None` for what nobody is told (pending, dropped, newer numbers, shadow rules).
    pub fn from_transition(transition: &Transition) -> Option<Self> {
        let status = match transition.change {
            Change::Fired => Status::Firing,
            Change::Resolved | Change::Withdrawn => Status::Resolved,
            Change::Pending | Change::Updated | Change::Dropped => return None,
        };
        let withdrawn = transition.change == Change::Withdrawn || transition.alert.withdrawn;
        (!transition.alert.shadow).then(|| Self::new(&transition.alert, status, withdrawn))
    }

    fn new(alert: &Alert, status: Status, withdrawn: bool) -> Self {
        let reason = &alert.reason;
        let sample = |s: &rules::Sample| SampleLine {
            lsn: s.lsn,
            at_ms: s.at,
            line: escape::cut(&s.line, SAMPLE_MAX_BYTES).into_owned(),
        };
        Self {
            alert_id: alert.id.clone(),
            fingerprint: alert.fingerprint.clone(),
            status,
            withdrawn,
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_ms: alert.fired_ms.unwrap_or(alert.active_ms),
            ends_ms: alert.ended_ms,
            kind: reason.kind.clone(),
            reason: reason.text.clone(),
            gate: reason.gate.clone(),
            thresholds: reason.thresholds.clone(),
            buckets: reason.buckets.iter().map(|b| (b.at, b.count)).collect(),
            distinct: reason.distinct.clone(),
            distinct_count: reason.distinct_count,
            orders: reason.orders.clone(),
            orders_count: reason.orders_count,
            amount: reason.amount.clone(),
            samples: reason.samples.iter().map(sample).collect(),
        }
    }

    /// News that nothing happened: for trying out a receiver.
    pub(crate) fn test(target: &str, now_ms: InstantMs) -> Self {
        let map = |name: &str, value: String| BTreeMap::from([(name.to_owned(), value)]);
        Self {
            alert_id: format!("test{now_ms:x}"),
            fingerprint: "0000000000000000".to_owned(),
            status: Status::Firing,
            withdrawn: false,
            labels: map("alertname", "WatchroomTest".to_owned()),
            annotations: map("summary", format!("This is only a test of {target}")),
            starts_ms: now_ms,
            ends_ms: None,
            kind: "test".to_owned(),
            reason: "somebody asked for it".to_owned(),
            gate: String::new(),
            thresholds: BTreeMap::new(),
            buckets: Vec::new(),
            distinct: Vec::new(),
            distinct_count: 0,
            orders: Vec::new(),
            orders_count: 0,
            amount: None,
            samples: Vec::new(),
        }
    }

    /// The rule's name.
    pub fn alertname(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }

    /// What happened in one line: the `summary` annotation, else the rule's keys and the reason.
    pub fn summary(&self) -> String {
        if let Some(summary) = self.annotations.get("summary").filter(|s| !s.trim().is_empty()) {
            return summary.clone();
        }
        let told = |name: &str| matches!(name, "alertname" | "class" | "severity");
        let mut keys: Vec<_> =
            self.labels.iter().filter(|(name, _)| !told(name)).map(|(n, v)| format!("{n}={v}")).collect();
        keys.push(self.reason.clone());
        keys.join(" ")
    }

    /// `[FIRING] ChannelNetworkDown GHT: 12 network errors in a row`, one line, safe in a header.
    pub fn subject(&self) -> String {
        header_text(&format!("[{}] {} {}", self.word(), self.alertname(), self.summary()))
    }

    /// Whether the label `severity` says that it cannot wait.
    pub fn is_critical(&self) -> bool {
        let severity = self.labels.get("severity").map_or("", String::as_str).to_ascii_lowercase();
        matches!(severity.as_str(), "critical" | "error" | "high" | "page" | "emergency")
    }

    /// `FIRING`, `RESOLVED` or `WITHDRAWN`.
    pub fn word(&self) -> &'static str {
        match (self.status, self.withdrawn) {
            (Status::Firing, _) => "FIRING",
            (Status::Resolved, false) => "RESOLVED",
            (Status::Resolved, true) => "WITHDRAWN",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
