//! The rules as pages and API see them: what they say, what they did, what they cost. Whoever runs the judge fills it.
//!
//! Refuses to know: how verdicts are reached and where the numbers come from.

use std::sync::Arc;

use record::InstantMs;
use rules::{KeysView, RuleCost, RuleCounts, RuleInfo};

/// All rules, at one moment between two batches: of one rule set, never of two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesView {
    /// What they say, in file order.
    pub infos: Arc<[RuleInfo]>,
    /// What each did, in the same order.
    pub counts: Vec<RuleCounts>,
    /// What each costs, in the same order, since `since_ms`.
    pub costs: Vec<RuleCost>,
    /// When this set began to judge.
    pub since_ms: InstantMs,
    /// When this was written down.
    pub at_ms: InstantMs,
    /// Up to where rules of the default lateness are judged, event time; `None` before the first record.
    pub watermark_ms: Option<InstantMs>,
    /// Records that this set has judged.
    pub records: u64,
    /// What the judge took for them, all rules and the search among them together.
    pub records_ns: u64,
}

/// One rule of a [`RulesView`].
#[derive(Debug, Clone, Copy)]
pub struct RuleRow<'a> {
    /// What it says.
    pub info: &'a RuleInfo,
    /// What it did.
    pub counts: &'a RuleCounts,
    /// What it costs.
    pub cost: RuleCost,
}

impl RulesView {
    /// The rules in file order.
    pub fn rows(&self) -> impl Iterator<Item = RuleRow<'_>> {
        let both = self.infos.iter().zip(&self.counts).enumerate();
        both.map(|(at, (info, counts))| RuleRow {
            info,
            counts,
            cost: self.costs.get(at).copied().unwrap_or_default(),
        })
    }

    /// One rule by its name.
    pub fn find(&self, alert: &str) -> Option<RuleRow<'_>> {
        self.rows().find(|row| *row.info.alert == *alert)
    }

    /// What a record costs on average, all rules together; `None` before the first.
    pub fn ns_per_record(&self) -> Option<u64> {
        self.records_ns.checked_div(self.records)
    }
}

/// Keys of a rule that are told of at most.
pub const KEYS_SHOWN_MAX: usize = 100;

/// Asks the judge for the keys of a rule, by its name: those with an alert and the most recently active ones, at most
/// [`KEYS_SHOWN_MAX`]. It answers between two batches, so this blocks for a fraction of a second; an error says what to
/// do. `Ok(None)`: there is no such rule.
pub type AskKeys = Arc<dyn Fn(&str) -> Result<Option<KeysView>, String> + Send + Sync>;
