//! Alerts as the outside sees them: who, since when, why.
//!
//! Refuses to know: how a verdict was reached (windows) and who will be told (sinks).

use std::collections::BTreeMap;
use std::sync::Arc;

use record::{InstantMs, Lsn};
use serde::{Deserialize, Serialize};

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Active, but not yet for as long as the rule's `for`.
    Pending,
    /// Active long enough.
    Firing,
    /// Over.
    Resolved,
}

/// A verdict's life for one label set. Identity: [`Alert::labels`]; one episode: [`Alert::id`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// 16 hex digits derived from the labels (sorted), `raised_ms` and what the rule means: the same after a replay,
    /// another one if the rule was changed meanwhile (what was said of the old one must not silence the new one).
    pub id: String,
    /// 16 hex digits derived from the labels alone (Alertmanager's fingerprint of identity).
    pub fingerprint: String,
    /// `alertname`, the rule's `by` fields, the rule's labels.
    pub labels: BTreeMap<String, String>,
    /// The rule's annotations with their `{fields}` filled in.
    pub annotations: BTreeMap<String, String>,
    /// Where it is in its life.
    pub state: AlertState,
    /// Judged and recorded, never sent.
    pub shadow: bool,
    /// Event time at which this episode was first raised, early or settled; never changes (`id` hangs on it).
    pub raised_ms: InstantMs,
    /// First active instant.
    pub active_ms: InstantMs,
    /// `active_ms` + `for`; `None` while pending.
    pub fired_ms: Option<InstantMs>,
    /// First inactive instant + `keep_firing_for`; `None` while it is on.
    pub ended_ms: Option<InstantMs>,
    /// An early verdict that the settled one did not confirm: resolved for that reason.
    pub withdrawn: bool,
    /// Why.
    pub reason: Reason,
}

/// Matches in one bucket or step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Start of the bucket.
    #[serde(serialize_with = "instant", deserialize_with = "instant_back")]
    pub at: InstantMs,
    /// Matches in it.
    pub count: u64,
}

/// A line an alert carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Position in the journal: finds the record in the trace store.
    pub lsn: Lsn,
    /// Event time.
    #[serde(serialize_with = "instant", deserialize_with = "instant_back")]
    pub at: InstantMs,
    /// The (masked) message; empty if it is no longer at hand.
    pub line: String,
}

/// Why a verdict is what it is: the numbers it was made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Reason {
    /// The rule's kind.
    pub kind: String,
    /// One line for people: `12 in a row of at least 12 within 1m (18:15:00.512 to 18:15:31.004)`.
    pub text: String,
    /// The number that was compared: matches in the window, length of the run.
    pub count: u64,
    /// The number that was compared where it is not `count`: the ratio, as decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The threshold that applied, by name (`count`, `min`), as decimal text.
    pub thresholds: BTreeMap<String, String>,
    /// The row of the rule's `thresholds` that they came from, if not from the rule itself: `2 (network.yaml:14)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_row: Option<String>,
    /// Matches by bucket or step, oldest first; empty ones left out.
    pub buckets: Vec<Bucket>,
    /// The distinct values, sorted; at most 100.
    pub distinct: Vec<String>,
    /// How many distinct values there are.
    pub distinct_count: u64,
    /// Distinct order numbers affected, in order of first sight; at most 100.
    pub orders: Vec<String>,
    /// How many orders there are.
    pub orders_count: u64,
    /// Money at risk: the rule's `sum` field once per distinct order, as decimal text; `None` if no value was seen.
    pub amount: Option<String>,
    /// Sample lines, oldest first; at most the rule's `samples`.
    pub samples: Vec<Sample>,
    /// What ended it or held it back: `reset`, `window`, `withdrawn: ...`; empty while it is on.
    pub gate: String,
}

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// Became active, waits for its `for`.
    Pending,
    /// Began to fire.
    Fired,
    /// The same episode goes on with newer numbers (settled confirms early, or the reason grew).
    Updated,
    /// Ended.
    Resolved,
    /// Ended while pending: recorded only.
    Dropped,
    /// An early alert that the settled verdict did not confirm.
    Withdrawn,
}

/// One step in an alert's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// What happened.
    pub change: Change,
    /// By an early verdict (a record) or a settled one (the watermark).
    pub early: bool,
    /// The journal entry that caused it.
    pub lsn: Lsn,
    /// The alert after it.
    pub alert: Arc<Alert>,
}

pub(crate) fn instant<S: serde::Serializer>(
    instant_ms: &InstantMs,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&record::rfc3339_ms(*instant_ms))
}

fn instant_back<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<InstantMs, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    let instant = chrono::DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
    Ok(instant.timestamp_millis())
}

/// Alertmanager's fingerprint of a label set: FNV-1a 64 over each name, 0xff, value, 0xff in the order of names.
pub(crate) fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    format!("{:016x}", label_hash(labels))
}

/// Id of an episode: the same whenever the same journal is replayed by a rule of the same meaning (its fingerprint).
pub(crate) fn alert_id(labels: &BTreeMap<String, String>, raised_ms: InstantMs, meaning: u64) -> String {
    let bytes = raised_ms.to_le_bytes().into_iter().chain(meaning.to_le_bytes());
    format!("{:016x}", bytes.fold(label_hash(labels), fnv1a))
}

fn label_hash(labels: &BTreeMap<String, String>) -> u64 {
    let bytes = labels.iter().flat_map(|(name, value)| {
        name.bytes().chain(std::iter::once(0xff)).chain(value.bytes()).chain(std::iter::once(0xff))
    });
    bytes.fold(0xcbf2_9ce4_8422_2325, fnv1a)
}

/// One step of FNV-1a 64.
pub(crate) fn fnv1a(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// What `backtest --json` prints for an alert: instants as RFC 3339 UTC with milliseconds; `fired_at` is null for one
/// that stayed pending, `ended_at` for one that is still on at the end.
pub fn backtest_line(alert: &Alert) -> serde_json::Value {
    let instant = |instant_ms: Option<InstantMs>| instant_ms.map(record::rfc3339_ms);
    serde_json::json!({
        "alert": alert.labels.get("alertname"),
        "labels": alert.labels,
        "active_at": instant(Some(alert.active_ms)),
        "fired_at": instant(alert.fired_ms),
        "ended_at": instant(alert.ended_ms),
        "reason": alert.reason,
    })
}
