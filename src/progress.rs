//! How far each stage is: written by its thread, read by pages, metrics and the other stages.
//!
//! Refuses to know: what the stages do.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use dashboards::{
    EngineCounters, JournalCounters, Readiness, RuleCounters, RulesView, SnapshotCounters, StoreCounters,
};
use ingest::senders::SendersView;
use record::{InstantMs, Lsn};
use rules::EngineCounts;

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
    /// Position of the newest engine snapshot on disk; 0: none.
    pub(crate) snapshot_lsn: AtomicU64,
    /// Position of the older of the two kept, which a start takes if the newest is damaged; 0: not two yet.
    pub(crate) snapshot_before_lsn: AtomicU64,
    /// Position of the newest snapshot of the senders' state; `u64::MAX`: nobody needs the journal for it.
    pub(crate) senders_lsn: AtomicU64,
    /// That snapshot is being written.
    pub(crate) senders_writing: AtomicBool,
    /// How long writing it took the last time.
    pub(crate) senders_write_ms: AtomicU64,
    senders: Mutex<SendersView>,
    /// Whether the journal has come near its bound: whatever holds its segments back must hurry.
    pub(crate) journal_crowded: AtomicBool,
    /// Whether inputs wait because the journal can take nothing.
    pub(crate) journal_blocked: AtomicBool,
    /// Whether the file system has less room than the reserve: nothing may grow.
    pub(crate) no_room: AtomicBool,
    snapshots: Mutex<SnapshotCounters>,
    engine: Mutex<(EngineCounts, Arc<RulesView>)>,
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
            snapshot_lsn: AtomicU64::new(0),
            snapshot_before_lsn: AtomicU64::new(0),
            senders_lsn: AtomicU64::new(u64::MAX),
            senders_writing: AtomicBool::new(false),
            senders_write_ms: AtomicU64::new(0),
            senders: Mutex::default(),
            journal_crowded: AtomicBool::new(false),
            journal_blocked: AtomicBool::new(false),
            no_room: AtomicBool::new(false),
            snapshots: Mutex::new(SnapshotCounters::default()),
            engine: Mutex::default(),
            not_ready: Mutex::new(Vec::new()),
        }
    }

    /// The position up to which no restart needs the journal: what is after the engine's snapshot is judged again, what
    /// is after the stored position is stored again, and so on. `crowded`: the newest engine snapshot has to do, the one
    /// before it need not be of use any more.
    pub(crate) fn unneeded_lsn(&self, store_enabled: bool, crowded: bool) -> Lsn {
        let snapshot = if crowded { &self.snapshot_lsn } else { &self.snapshot_before_lsn };
        let stored = if store_enabled { self.stored_lsn.load(Relaxed) } else { Lsn::MAX };
        snapshot.load(Relaxed).min(stored).min(self.senders_lsn.load(Relaxed))
    }

    /// Changes what is known of the engine's snapshots.
    pub(crate) fn note_snapshot(&self, note: impl FnOnce(&mut SnapshotCounters)) {
        note(&mut self.snapshots.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// For pages and metrics.
    pub(crate) fn snapshots(&self) -> SnapshotCounters {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the engine stands, written down now and then by the judge thread.
    pub(crate) fn set_engine(&self, counts: EngineCounts, view: RulesView) {
        self.watermark_ms.store(view.watermark_ms.unwrap_or(i64::MIN), Relaxed);
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = (counts, Arc::new(view));
    }

    /// The rules, as the judge last wrote them down.
    pub(crate) fn rules(&self) -> Arc<RulesView> {
        Arc::clone(&self.engine.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// What is known of senders, taken each second by the journal thread.
    pub(crate) fn set_senders(&self, view: SendersView) {
        *self.senders.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// What is known of senders.
    pub(crate) fn senders(&self) -> SendersView {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    pub(crate) fn engine(&self) -> EngineCounters {
        let (counts, view) = self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let watermark_ms = self.watermark_ms.load(Relaxed);
        let rules = view.infos.iter().zip(&counts.rules).map(|(info, rule)| RuleCounters {
            alert: info.alert.to_string(),
            summary: info.summary.clone(),
            shadow: info.shadow,
            matched: rule.matched,
            late: rule.late,
            keys: rule.keys,
            keys_dropped: rule.keys_dropped,
            things: rule.things,
            things_dropped: rule.things_dropped,
            thing_records_dropped: rule.thing_records_dropped,
            fired: rule.fired,
            withdrawn: rule.withdrawn,
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
