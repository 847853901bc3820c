//! Why a rule fired, or did not, for one key at one instant: the question and its answer.
//!
//! Refuses to know: how the engine finds the answer, and who asks.

use std::collections::BTreeMap;

use record::{InstantMs, Lsn};
use serde::Serialize;

use crate::Reason;
use crate::alert::instant;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Name of the rule.
    pub alert: String,
    /// Its key: `field=value` for the fields of `by` in any order, or plain values in their order. Empty values are null.
    pub key: Vec<String>,
    /// The instant, event time.
    pub at_ms: InstantMs,
}

/// A question that has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// There is no such rule.
    #[error("no rule is called `{name}`{meant}")]
    UnknownRule {
        /// What was asked for.
        name: String,
        /// `; did you mean ...?`, or what is known.
        meant: String,
    },
    /// The key does not fit the rule's `by`.
    #[error("{message}")]
    Key {
        /// What is wrong with it.
        message: String,
    },
}

/// Where an alert of the key is, by the settled verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// None is on.
    Inactive,
    /// Active, not yet for as long as `for`.
    Pending,
    /// On.
    Firing,
}

/// One episode of the key, as `backtest` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EpisodeTimes {
    /// First active instant.
    #[serde(serialize_with = "instant")]
    pub active_at: InstantMs,
    /// `active_at` + `for`; `None`: pending only, or not yet.
    #[serde(serialize_with = "maybe_instant")]
    pub fired_at: Option<InstantMs>,
    /// First inactive instant + `keep_firing_for`; `None`: on at the end of what was read.
    #[serde(serialize_with = "maybe_instant")]
    pub ended_at: Option<InstantMs>,
}

/// What held an alert back, or keeps it from being told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// Which: `count`, `distinct`, `min_total`, `bound`, `covered`, `hours`, `expected`, `learn`, `members`, `for`,
    /// `keep_firing_for`, `shadow`, `undecided`.
    pub gate: &'static str,
    /// In words, with its numbers.
    pub text: String,
}

/// A thing and when it is bad: [from, until).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThingSpan {
    /// The thing (an order).
    pub thing: String,
    /// Bad from.
    #[serde(serialize_with = "instant")]
    pub from: InstantMs,
    /// Bad until, by what was known then.
    #[serde(serialize_with = "instant")]
    pub until: InstantMs,
    /// Bad at the instant that was asked for.
    pub bad: bool,
}

/// The window that the verdict looked at: [from, until).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// Its first instant.
    #[serde(serialize_with = "instant")]
    pub from: InstantMs,
    /// The instant behind it.
    #[serde(serialize_with = "instant")]
    pub until: InstantMs,
}

/// An alert of a rule that a composite names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedAlert {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where it is at the instant that was asked for; `inactive`: the last one, which was over by then.
    pub state: State,
    /// Its times.
    #[serde(flatten)]
    pub times: EpisodeTimes,
    /// Its reason in words, at its worst.
    pub text: String,
}

/// A name in a composite's expression, for the combination and the instant that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NameState {
    /// The name.
    pub name: String,
    /// Whether an alert of it that has the combination fires.
    pub holds: bool,
    /// Since when it is so; `None`: none has fired in all that was read.
    #[serde(serialize_with = "maybe_instant")]
    pub since: Option<InstantMs>,
    /// Its alerts that are pending or firing; where there is none the last that was over. At most 100.
    pub alerts: Vec<NamedAlert>,
    /// How many they are.
    pub alerts_count: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The rule.
    pub alert: String,
    /// Its kind.
    pub kind: String,
    /// The `by` fields; a null one is absent.
    pub key: BTreeMap<String, String>,
    /// Labels of the key's alerts.
    pub labels: BTreeMap<String, String>,
    /// The instant that was asked for.
    #[serde(serialize_with = "instant")]
    pub at: InstantMs,
    /// Where the key's alert is then: what `backtest` over the same records says.
    pub state: State,
    /// One sentence: whether it fired, and why or why not.
    pub text: String,
    /// Whether the rule itself is active at the instant, before `for` and `keep_firing_for`.
    pub active: bool,
    /// The settled verdict of the instant is known; else the numbers are those of the last instant that is.
    pub decided: bool,
    /// The numbers, as alerts have them.
    pub reason: Reason,
    /// What held it back, or keeps it from being told; empty when it fires and is told.
    pub gates: Vec<Gate>,
    /// The window looked at, for kinds that have one.
    pub window: Option<Looked>,
    /// Things of the key that are, were or will be bad near the instant; at most 100.
    pub things: Vec<ThingSpan>,
    /// `composite`: the expression; empty for other kinds.
    pub expr: String,
    /// `composite`: each name of the expression and what made it so; empty for other kinds.
    pub names: Vec<NameState>,
    /// The episode that is on.
    pub episode: Option<EpisodeTimes>,
    /// The episode was on where the reading began, and nothing earlier was read: it may be older than `active_at` says.
    pub may_be_older: bool,
    /// The last one that was over by then.
    pub before: Option<EpisodeTimes>,
    /// The next one.
    pub after: Option<EpisodeTimes>,
    /// Since when the rule knows everything.
    #[serde(serialize_with = "maybe_instant")]
    pub history_start: Option<InstantMs>,
    /// Positions of the key's matches in the window (of kinds without one: of its last matches), oldest first; the last
    /// 1,000.
    pub records: Vec<Lsn>,
    /// Matches of the key in all that was read; of `composite` alerts of the named rules that have the combination.
    pub matches: u64,
    /// How many other keys had a match in all that was read (counted to 10,000).
    pub other_keys: usize,
    /// The nearest key that had a match, where this one had none: `channel=GHT`.
    pub did_you_mean: Option<String>,
}

/// Keys that had a match, for somebody who named none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenKey {
    /// `field=value`, a null one left out.
    pub labels: BTreeMap<String, String>,
    /// Matches.
    pub matches: u64,
    /// Event time of the last one.
    #[serde(serialize_with = "instant")]
    pub last: InstantMs,
}

fn maybe_instant<S: serde::Serializer>(at: &Option<InstantMs>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => instant(at, serializer),
        None => serializer.serialize_none(),
    }
}
