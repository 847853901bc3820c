//! From the snapshots on disk to the engine a node starts with.
//!
//! Refuses to know: how snapshots are written, and what is replayed behind them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use record::{FormatSet, Lsn};
use rules::{AlertState, Engine, RestoreReport, RuleSet, SnapshotError, Transition, ended_with_its_rule};

use crate::judge_thread::Tellers;
use crate::progress::Progress;
use crate::snapshot::{self, Snapshot};

/// An engine and the last position that it has judged.
pub(crate) struct Restored {
    /// The engine; with no history if there was no snapshot to take.
    pub(crate) engine: Engine,
    /// Everything up to here is in it.
    pub(crate) lsn: Lsn,
}

/// The snapshots that can be read, newest first. Damaged ones are named, counted and put aside.
pub(crate) fn readable(dir: &Path, progress: &Progress) -> Vec<(PathBuf, Snapshot)> {
    let listed = snapshot::list(dir).unwrap_or_else(|error| {
        refuse(progress, &format!("{error:#}"));
        Vec::new()
    });
    let mut found = Vec::new();
    for (_, path) in listed {
        match snapshot::read(&path) {
            Ok(snapshot) => found.push((path, snapshot)),
            Err(error) => put_aside(&path, progress, &format!("{error:#}")),
        }
    }
    found
}

fn refuse(progress: &Progress, why: &str) {
    tracing::error!("snapshots: {why}; the one before it is taken, or the whole journal is judged again");
    progress.note_snapshot(|known| known.unusable += 1);
}

/// It must not count as one of those kept: by its position it might outlive every better one.
fn put_aside(path: &Path, progress: &Progress, why: &str) {
    let aside = path.with_extension("snap.bad");
    if let Err(error) = std::fs::rename(path, &aside) {
        return refuse(progress, &format!("{why} (and it cannot be put aside: {error})"));
    }
    refuse(progress, &format!("{why}; put aside as {}", aside.display()));
}

/// The engine of the newest snapshot that fits the rules and the journal, and the alert book as it was.
/// `durable_lsn`: the journal's last position.
pub(crate) fn restore(
    snapshots: Vec<(PathBuf, Snapshot)>,
    durable_lsn: Lsn,
    rules: &Arc<RuleSet>,
    formats: &Arc<FormatSet>,
    tellers: &Tellers,
    progress: &Progress,
) -> Restored {
    for (path, taken) in snapshots {
        if taken.lsn > durable_lsn {
            let why = format!(
                "{} stands for position {}, but the journal ends at {durable_lsn}: the journal was removed or exchanged",
                path.display(),
                taken.lsn
            );
            put_aside(&path, progress, &why);
            continue;
        }
        match revive(&taken, rules, formats) {
            Ok((engine, report)) => {
                take_up(&taken, (&engine, &report), tellers, progress);
                return Restored { engine, lsn: taken.lsn };
            }
            Err(why) => put_aside(&path, progress, &format!("{}: {why}", path.display())),
        }
    }
    Restored { engine: Engine::new(Arc::clone(rules), Arc::clone(formats)), lsn: 0 }
}

type Revived = (Engine, RestoreReport);

fn revive(
    taken: &Snapshot,
    rules: &Arc<RuleSet>,
    formats: &Arc<FormatSet>,
) -> Result<Revived, SnapshotError> {
    let (engine, report) = Engine::restore(Arc::clone(rules), Arc::clone(formats), &taken.engine)?;
    tracing::info!("rules: {} go on from the snapshot at position {}", report.kept.len(), taken.lsn);
    for (rules, what) in [
        (&report.changed, "was changed: it starts with nothing at the snapshot"),
        (&report.added, "is new: it starts with nothing at the snapshot"),
        (&report.removed, "is no more: its alerts end"),
    ] {
        for rule in rules {
            tracing::warn!("rules: `{rule}` {what}");
        }
    }
    Ok((engine, report))
}

/// Shows what was shown. An alert that no rule goes on with (its rule was changed or removed) ends here, and people hear
/// of it: nobody else would ever end it.
fn take_up(
    taken: &Snapshot,
    (engine, report): (&Engine, &RestoreReport),
    tellers: &Tellers,
    progress: &Progress,
) {
    progress.judged.store(taken.judged, Relaxed);
    progress.snapshot_lsn.store(taken.lsn, Relaxed);
    progress.note_snapshot(|known| {
        known.lsn = taken.lsn;
        known.state_hash = taken.state_hash;
        known.taken_ms = Some(taken.taken_ms);
        known.bytes = taken.engine.len() as u64;
    });
    tellers.book.restore(taken.alerts.iter().map(|alert| (**alert).clone()));
    let goes_on: std::collections::HashSet<String> =
        engine.alerts().iter().map(|alert| alert.id.clone()).collect();
    let mut ended: Vec<Transition> = taken
        .alerts
        .iter()
        .filter(|alert| alert.state != AlertState::Resolved && !goes_on.contains(&alert.id))
        .map(|alert| {
            let name = alert.labels.get("alertname").map_or("", |name| name);
            let is_removed = report.removed.iter().any(|removed| **removed == *name);
            let why = if is_removed { "its rule was removed" } else { "its rule was changed" };
            ended_with_its_rule(alert, why, engine.watermark_ms(), taken.lsn)
        })
        .collect();
    tellers.tell(&mut ended);
}
