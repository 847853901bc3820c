//! The engine: records and time in journal order, transitions out. stub
use std::sync::Arc;

use record::{Batch, FormatSet, InstantMs, Lsn};

use crate::{Alert, RuleSet, Transition};

/// What one rule did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Records for which `where` (or `reset`) held.
    pub matched: u64,
    /// Records that came before the watermark.
    pub late: u64,
    /// Keys dropped at the bound.
    pub keys_dropped: u64,
    /// Keys with state.
    pub keys: u64,
    /// Alerts that began to fire.
    pub fired: u64,
    /// Early alerts that were withdrawn.
    pub withdrawn: u64,
}

/// What the engine counted since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineCounts {
    /// Records judged.
    pub records: u64,
    /// Records without event time: stored, not judged.
    pub no_time: u64,
    /// Records more than 10 minutes ahead of their receive time: stored, not judged.
    pub skewed: u64,
    /// Records before the default watermark.
    pub late: u64,
    /// By rule, in the order of [`RuleSet::infos`].
    pub rules: Vec<RuleCounts>,
}

/// Judges records. One engine is one total order.
#[derive(Debug)]
pub struct Engine {
    _rules: Arc<RuleSet>,
    _formats: Arc<FormatSet>,
}

impl Engine {
    /// An engine with no history.
    pub fn new(rules: Arc<RuleSet>, formats: Arc<FormatSet>) -> Self {
        Self { _rules: rules, _formats: formats }
    }

    /// Takes all rows of a batch in order (ticks included) and appends what they cause.
    pub fn judge(&mut self, _batch: &Batch, _out: &mut Vec<Transition>) {
        todo!()
    }

    /// Takes a time entry.
    pub fn tick(&mut self, _lsn: Lsn, _recv_ms: InstantMs, _out: &mut Vec<Transition>) {
        todo!()
    }

    /// End of a file (RULES.md section 3): settles what is decided and returns the settled alerts of the whole
    /// run, sorted by active_at, alert, labels: what `backtest` prints. The engine must have been made by
    /// [`Engine::for_backtest`].
    pub fn finish(&mut self) -> Vec<Arc<Alert>> {
        todo!()
    }

    /// An engine that keeps the settled alerts for [`Engine::finish`] and raises none early.
    pub fn for_backtest(rules: Arc<RuleSet>, formats: Arc<FormatSet>) -> Self {
        Self { _rules: rules, _formats: formats }
    }

    /// Pending and firing alerts as people should see them now.
    pub fn alerts(&self) -> Vec<Arc<Alert>> {
        todo!()
    }

    /// The watermark of the default lateness; `None` before the first record.
    pub fn watermark_ms(&self) -> Option<InstantMs> {
        todo!()
    }

    /// Counters since the engine began.
    pub fn counts(&self) -> EngineCounts {
        todo!()
    }
}
