//! What the rules pages ask beside the states of now: why a rule did what it did, and what a changed rule would have
//! done over what is stored.
//!
//! Refuses to know: how a rule is judged, where records are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::InstantMs;
use rules::{Alert, Reason, RuleError};

/// Why was, or was not, a key's alert on at an instant?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainQuestion {
    /// The rule.
    pub alert: String,
    /// Values of its `by` fields; one that is missing or empty is null.
    pub key: BTreeMap<String, String>,
    /// The instant.
    pub at_ms: InstantMs,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExplainAnswer {
    /// In one or two plain sentences.
    pub sentence: String,
    /// `inactive`, `pending` or `firing`.
    pub state: String,
    /// The alert's labels.
    pub labels: BTreeMap<String, String>,
    /// The numbers as they were.
    pub reason: Reason,
    /// What held it back, each in words.
    pub gates: Vec<String>,
    /// First active instant, if it was active.
    pub active_ms: Option<InstantMs>,
    /// When it began to fire, if it did.
    pub fired_ms: Option<InstantMs>,
    /// When it ended, if it did.
    pub ended_ms: Option<InstantMs>,
    /// Since when the rule knows everything.
    pub history_start_ms: Option<InstantMs>,
    /// Further facts: name and value.
    pub facts: Vec<(String, String)>,
}

/// What would these rules have done?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacktestQuestion {
    /// The rule from whose page it is asked: what its file defines besides rules holds for the text too.
    pub alert: String,
    /// A rule as in a rule file, a list of rules, or a whole rule file.
    pub text: String,
    /// First event time.
    pub from_ms: InstantMs,
    /// Last event time, exclusive.
    pub to_ms: InstantMs,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BacktestAnswer {
    /// What became pending or fired, in the order of time.
    pub alerts: Vec<Arc<Alert>>,
    /// Records judged.
    pub records: u64,
    /// Why not all that is stored was judged; `None`: it was.
    pub cut: Option<String>,
    /// How long it took.
    pub took_ms: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BenchFault {
    /// There is no such rule (any more).
    #[error("there is no rule of this name")]
    NoRule,
    /// The text is no rule; places are of the text as it was given.
    #[error("the rule is not right")]
    Text(Vec<RuleError>),
    /// The question makes no sense; the text says why and what to do.
    #[error("{0}")]
    Question(String),
    /// Somebody else's question is being worked on; the text says what to do.
    #[error("{0}")]
    Busy(String),
    /// It did not work; the text is for people.
    #[error("{0}")]
    Failed(String),
}

/// Who answers. Both may block for seconds: whoever asks keeps them off the threads that others wait for, and asks one
/// question at a time.
pub trait RulesBench: Send + Sync {
    /// Why an alert was on, or was not, from what is stored.
    ///
    /// # Errors
    /// See [`BenchFault`].
    fn explain(&self, question: &ExplainQuestion) -> Result<ExplainAnswer, BenchFault>;

    /// What rules would have done over what is stored.
    ///
    /// # Errors
    /// See [`BenchFault`].
    fn backtest(&self, question: &BacktestQuestion) -> Result<BacktestAnswer, BenchFault>;
}
