//! How far each stage is: written by its thread, read by pages, metrics and the other stages.
//!
//! Refuses to know: what the stages do.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use dashboards::{EngineCounters, JournalCounters, Readiness, RuleCounters, StoreCounters};
use record::InstantMs;
use rules::{EngineCounts, RuleInfo};

/// Positions and counts of the stages.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The journal's next position.
    pub(crate) next_lsn: AtomicU64,
    /// The journal's last position on disk.
    pub(crate) durable_lsn: AtomicU64,
    /// Bytes of the journal's segments.
    pub(crate) journal_bytes: AtomicU64,
    /// When the last commit ended; 0 before the first.
    pub(crate) commit_ms: AtomicI64,
    /// Records judged since the start, replay included.
    pub(crate) judged: AtomicU64,
    /// The watermark; `i64::MIN` before the first record.
    pub(crate) watermark_ms: AtomicI64,
    /// Last position held in trace files.
    pub(crate) stored_lsn: AtomicU64,
    /// Rows that the store answers from memory.
    pub(crate) fresh_rows: AtomicU64,
    /// Trace files.
    pub(crate) files: AtomicU64,
    counts: Mutex<EngineCounts>,
    not_ready: Mutex<Vec<(&'static str, String)>>,
}

impl Progress {
    /// Nothing has happened yet.
    pub(crate) fn new() -> Self {
        Self {
            next_lsn: AtomicU64::new(1),
            durable_lsn: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
            commit_ms: AtomicI64::new(0),
            judged: AtomicU64::new(0),
            watermark_ms: AtomicI64::new(i64::MIN),
            stored_lsn: AtomicU64::new(0),
            fresh_rows: AtomicU64::new(0),
            files: AtomicU64::new(0),
            counts: Mutex::new(EngineCounts::default()),
            not_ready: Mutex::new(Vec::new()),
        }
    }

    /// The engine's counts, taken now and then by the judge thread.
    pub(crate) fn set_counts(&self, counts: EngineCounts) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// Says why a stage does not do its work now; `None`: it does.
    pub(crate) fn set_trouble(&self, stage: &'static str, why: Option<String>) {
        let mut troubles = self.not_ready.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.retain(|(known, _)| *known != stage);
        troubles.extend(why.map(|why| (stage, why)));
    }

    /// Whether all stages do their work.
    pub(crate) fn readiness(&self) -> Readiness {
        let troubles = self.not_ready.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.is_empty() {
            return Readiness::Ready;
        }
        let all: Vec<String> = troubles.iter().map(|(stage, why)| format!("{stage}: {why}")).collect();
        Readiness::NotReady(all.join("; "))
    }

    /// For pages and metrics.
    pub(crate) fn journal(&self) -> JournalCounters {
        let commit_ms: InstantMs = self.commit_ms.load(Relaxed);
        JournalCounters {
            next_lsn: self.next_lsn.load(Relaxed),
            durable_lsn: self.durable_lsn.load(Relaxed),
            bytes: self.journal_bytes.load(Relaxed),
            last_commit_ms: (commit_ms != 0).then_some(commit_ms),
        }
    }

    /// For pages and metrics.
    pub(crate) fn store(&self) -> StoreCounters {
        StoreCounters {
            stored_lsn: self.stored_lsn.load(Relaxed),
            fresh_rows: self.fresh_rows.load(Relaxed),
            files: self.files.load(Relaxed),
        }
    }

    /// For pages and metrics.
    pub(crate) fn engine(&self, infos: &[RuleInfo]) -> EngineCounters {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let watermark_ms = self.watermark_ms.load(Relaxed);
        let rules = infos.iter().enumerate().map(|(index, info)| {
            let rule = counts.rules.get(index).cloned().unwrap_or_default();
            RuleCounters {
                alert: info.alert.to_string(),
                summary: info.summary.clone(),
                shadow: info.shadow,
                matched: rule.matched,
                late: rule.late,
                keys: rule.keys,
                keys_dropped: rule.keys_dropped,
                fired: rule.fired,
                withdrawn: rule.withdrawn,
            }
        });
        EngineCounters {
            records: self.judged.load(Relaxed),
            late: counts.late,
            skewed: counts.skewed,
            no_time: counts.no_time,
            watermark_ms: (watermark_ms != i64::MIN).then_some(watermark_ms),
            rules: rules.collect(),
        }
    }
}
