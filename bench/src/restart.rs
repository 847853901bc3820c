//! After kill -9: when it listens again, when everything is judged and with the store again.
//!
//! Once as it is after a crash, once without snapshots and trace files, so that the whole journal is replayed.
//! Refuses to know: how it restarts.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::case::Bench;
use crate::process::{Folder, clock, wait_until};
use crate::sender::Sender;
use crate::watchroom::{Options, Watchroom};

/// How long filling and catching up may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A restart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restart {
    /// From the start of the process until the listener takes connections, seconds.
    pub(crate) listening_s: f64,
    /// Until it is ready and everything in the journal is judged.
    pub(crate) judged_s: f64,
    /// Until the trace store has everything too.
    pub(crate) stored_s: f64,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restarts {
    /// Records in the journal.
    pub(crate) records: u64,
    /// As after a crash.
    pub(crate) crashed: Restart,
    /// With nothing but the journal.
    pub(crate) bare: Restart,
}

/// Fills a journal with the bench's lines and kills the process twice.
pub(crate) fn measure(bench: &Bench<'_>) -> anyhow::Result<Restarts> {
    let folder = Folder::make(bench.disk)?;
    let options = Options { keeps: true, webhook: None };
    let mut watchroom = Watchroom::start(&bench.args.watchroom, &bench.args.rules, folder.path(), options)?;
    let mut sender = Sender::start(&bench.lines.path, watchroom.address)?;
    sender.go()?;
    let count = bench.lines.count;
    watchroom.wait_for("all lines judged", PATIENCE, |p| p.judged >= count && p.durable_lsn >= count)?;
    sender.finish()?;
    let crashed = restart(bench, folder.path(), &mut watchroom, &[])?;
    let bare = restart(bench, folder.path(), &mut watchroom, &["snapshots", "traces"])?;
    watchroom.process.end()?;
    Ok(Restarts { records: count, crashed, bare })
}

/// Kills, removes, starts again.
fn restart(
    bench: &Bench<'_>,
    folder: &Path,
    watchroom: &mut Watchroom,
    without: &[&str],
) -> anyhow::Result<Restart> {
    let before = watchroom.progress()?;
    watchroom.process.kill()?;
    for name in without {
        let path = folder.join("data").join(name);
        match std::fs::remove_dir_all(&path) {
            // None was made yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.with_context(|| format!("cannot remove {}", path.display()))?,
        }
    }
    let begun = clock();
    let since = || (clock() - begun).as_secs_f64();
    watchroom.start_again(&bench.args.watchroom, folder)?;
    let address = watchroom.address;
    wait_until("listener", &mut watchroom.process, Duration::from_millis(2), PATIENCE, || {
        Ok(TcpStream::connect(address).is_ok())
    })?;
    let listening_s = since();
    watchroom.wait_for_readiness(PATIENCE)?;
    watchroom.wait_for("everything judged again", PATIENCE, |p| p.judged >= bench.lines.count)?;
    let judged_s = since();
    let last = before.durable_lsn;
    watchroom.wait_for("everything with the store", PATIENCE, |p| p.stored_lsn + p.fresh_rows >= last)?;
    let stored_s = since();
    let after = watchroom.progress()?;
    ensure!(after.durable_lsn >= last, "the journal ends at {} and not {last}", after.durable_lsn);
    Ok(Restart { listening_s, judged_s, stored_s })
}
