//! The judge thread: runs the engine over the journal's order, tells the alert book and the outbox.
//!
//! First it replays what the journal holds behind the engine's position; what listeners bring meanwhile waits in its queue.
//! Refuses to know: how verdicts are reached and how alerts are sent, where snapshots go.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use anyhow::{Context, Result};
use ingest::kill_point;
use record::{Batch, InstantMs, Lsn, RowFlags};
use rules::{Alert, Change, Engine, Reloaded, Transition};
use sinks::alert_book::AlertBook;
use sinks::outbox::{Forgotten, OutboxHandle};
use tokio::sync::watch;

use crate::clock::{Clock, Stopwatch};
use crate::journal_thread::Entry;
use crate::progress::Progress;
use crate::published::{self, Publisher, Question, Swapped};
use crate::replay::Replay;
use crate::snapshot::Snapshot;
use crate::snapshot_thread::Snapshots;
use crate::store_thread::Judged;

/// How often the engine's counts are published.
const PUBLISH_EVERY_MS: i64 = 250;

/// Everything the thread owns.
pub(crate) struct JudgeThread {
    /// Entries in journal order.
    pub(crate) entries: Receiver<Entry>,
    /// The engine as of `lsn`.
    pub(crate) engine: Engine,
    /// The last position that the engine has judged.
    pub(crate) lsn: Lsn,
    /// From there to the first entry; `None` without a journal.
    pub(crate) replay: Option<Replay>,
    /// Where the batches go next; `None`: their way ends here.
    pub(crate) store: Option<SyncSender<Judged>>,
    /// Ticks that the store has not been told of.
    pub(crate) ticks: Option<RangeInclusive<Lsn>>,
    /// Who hears of transitions.
    pub(crate) tellers: Tellers,
    /// Where snapshots go.
    pub(crate) snapshots: Snapshots,
    /// Raised when the node is to end: a replay need not be finished, the next start goes on with it.
    pub(crate) shutdown: watch::Receiver<bool>,
    /// What pages and metrics see.
    pub(crate) publisher: Publisher,
    /// What is asked between two batches.
    pub(crate) questions: Receiver<Question>,
    /// How far we are.
    pub(crate) progress: Arc<Progress>,
}

/// Those who hear of transitions.
#[derive(Clone)]
pub(crate) struct Tellers {
    /// What the pages show.
    pub(crate) book: AlertBook,
    /// What is sent.
    pub(crate) outbox: OutboxHandle,
    /// The outbox' clock.
    pub(crate) clock: Clock,
}

impl JudgeThread {
    /// Works until the journal thread has ended and everything is judged.
    pub(crate) fn run(mut self) -> Result<()> {
        let mut transitions = Vec::new();
        let whole = match self.replay.take() {
            Some(replay) => self.replay(replay, &mut transitions)?,
            None => true,
        };
        if !whole {
            // What comes now is durable and stands behind a gap: it is for the next start, as the rest of the replay is.
            while self.entries.recv().is_ok() {}
            return self.end();
        }
        self.end_forgotten();
        self.progress.set_trouble("start", None);
        let mut published_ms = InstantMs::MIN;
        loop {
            match self.entries.recv_timeout(Duration::from_millis(PUBLISH_EVERY_MS.unsigned_abs())) {
                Ok(entry) => self.take(entry, &mut transitions)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
            self.answer();
            self.snapshot_when_due();
            let now_ms = (self.tellers.clock)();
            if now_ms >= published_ms.saturating_add(PUBLISH_EVERY_MS) || now_ms < published_ms {
                published_ms = now_ms;
                self.publisher.publish(&self.engine);
                self.tellers.retry_unwritten(now_ms);
            }
        }
    }

    fn take(&mut self, entry: Entry, transitions: &mut Vec<Transition>) -> Result<()> {
        match entry {
            Entry::Parcel(parcel) => {
                kill_point("K4");
                self.judge(&parcel.batch, transitions);
                if let Some(store) = &self.store {
                    let gone = "the trace store's thread has ended";
                    if let Some(ticks) = self.ticks.take() {
                        store.send(Judged::Ticks(ticks)).ok().context(gone)?;
                    }
                    store.send(Judged::Parcel(parcel)).ok().context(gone)?;
                }
            }
            Entry::Tick { lsn, recv_ms } => {
                self.engine.tick(lsn, recv_ms, transitions);
                self.tellers.tell(transitions);
                self.lsn = lsn;
                self.pass_tick(lsn)?;
            }
        }
        Ok(())
    }

    /// Tells the store that a position holds time only. A store that is stuck is told later: time never waits for it.
    fn pass_tick(&mut self, lsn: Lsn) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let first = self.ticks.take().map_or(lsn, |waiting| *waiting.start());
        match store.try_send(Judged::Ticks(first..=lsn)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.ticks = Some(first..=lsn),
            Err(TrySendError::Disconnected(_)) => anyhow::bail!("the trace store's thread has ended"),
        }
        Ok(())
    }

    fn judge(&mut self, batch: &Batch, transitions: &mut Vec<Transition>) {
        let watch = Stopwatch::start();
        self.engine.judge(batch, transitions);
        let records = records(batch);
        self.publisher.took(records, watch);
        self.progress.judged.fetch_add(records, Relaxed);
        self.tellers.tell(transitions);
        // A parcel of which every row was a duplicate has none left.
        self.lsn = batch.rows.last().map_or(self.lsn, |row| row.lsn);
    }

    /// Judges what the journal holds behind the engine's position. False if it was told to end before that was done.
    fn replay(&mut self, mut replay: Replay, transitions: &mut Vec<Transition>) -> Result<bool> {
        let (watch, total, first) = (Stopwatch::start(), replay.left(), replay.last() + 1);
        let mut batch = Batch::default();
        let mut published_ms = 0;
        while replay.next(&mut batch).context("the journal cannot be replayed")? {
            self.judge(&batch, transitions);
            self.answer();
            self.snapshot_when_due();
            if watch.elapsed_ms() >= published_ms {
                published_ms = watch.elapsed_ms() + PUBLISH_EVERY_MS.unsigned_abs();
                self.publisher.publish(&self.engine);
                let why = format!("replaying the journal, {} of {total} entries left", replay.left());
                self.progress.set_trouble("start", Some(why));
            }
            if *self.shutdown.borrow() {
                tracing::info!(
                    "stopping within the replay: {} entries are left for the next start",
                    replay.left()
                );
                return Ok(false);
            }
        }
        if replay.unknown_formats() > 0 {
            tracing::warn!(
                "{} journaled records are of formats that are no longer configured; read as plain",
                replay.unknown_formats()
            );
        }
        self.publisher.publish(&self.engine);
        if total > 0 {
            let took_ms = watch.elapsed_ms();
            tracing::info!("replayed {total} entries from journal position {first} in {took_ms} ms");
        }
        Ok(true)
    }

    /// Ends what people were told of and no rule goes on with: it was raised behind the snapshot by a rule that is no more,
    /// or what was known of it is lost.
    fn end_forgotten(&self) {
        let on: HashSet<String> = self.tellers.book.live().iter().map(|alert| alert.id.clone()).collect();
        let forgotten = Forgotten {
            why: "no rule goes on with it: its rule was changed or removed, or its state was lost",
            ends_ms: self.engine.watermark_ms().unwrap_or_default(),
            lsn: self.lsn,
        };
        match self.tellers.outbox.end_forgotten(|id| on.contains(id), forgotten, (self.tellers.clock)()) {
            Ok(titles) => titles.iter().for_each(|title| {
                tracing::warn!("RESOLVED {}: {}", crate::output::visible(title), forgotten.why);
            }),
            Err(error) => {
                tracing::error!("{error}; alerts that no rule goes on with are ended at the next start");
            }
        }
    }

    /// Answers what was asked meanwhile. Nobody waits for an answer any more if the asker has given up.
    fn answer(&mut self) {
        while let Ok(question) = self.questions.try_recv() {
            match question {
                Question::Keys { alert, answer } => {
                    drop(answer.try_send(published::keys(&self.engine, &alert)));
                }
                Question::Rules { answer } => drop(answer.try_send(Arc::clone(self.engine.rules()))),
                Question::Reload { engine, begun, answer } => {
                    if !begun.swap(true, SeqCst) {
                        drop(answer.try_send(self.reload(engine)));
                    }
                }
            }
        }
    }

    /// Goes on by other rules. People hear of the alerts that ended with theirs, and then a snapshot is taken, so that a
    /// restart goes on here too.
    fn reload(&mut self, fresh: Box<Engine>) -> Swapped {
        let watch = Stopwatch::start();
        let mut left = Box::new(std::mem::replace(&mut self.engine, *fresh));
        let Reloaded { report, mut transitions } = self.engine.take_over(&mut left);
        let moved_ns = watch.elapsed_ns();
        self.publisher.change(self.engine.rules());
        self.tellers.tell(&mut transitions);
        let told_ns = watch.elapsed_ns();
        kill_point("K17");
        let (engine, tellers, judged, lsn) = (&self.engine, &self.tellers, &self.progress.judged, self.lsn);
        self.snapshots.now(lsn, || copy(engine, lsn, tellers, judged.load(Relaxed)));
        self.publisher.publish(&self.engine);
        Swapped { report, held_up_ns: [moved_ns, told_ns, watch.elapsed_ns()], left }
    }

    fn snapshot_when_due(&mut self) {
        let (engine, tellers, judged, lsn) = (&self.engine, &self.tellers, &self.progress.judged, self.lsn);
        self.snapshots.when_due(lsn, || copy(engine, lsn, tellers, judged.load(Relaxed)));
    }

    fn end(self) -> Result<()> {
        self.publisher.publish(&self.engine);
        let judged = self.progress.judged.load(Relaxed);
        self.snapshots.last(self.lsn, || copy(&self.engine, self.lsn, &self.tellers, judged));
        Ok(())
    }
}

/// What a restart needs of the engine and of what was told. `None` while the outbox has not taken all that the engine
/// said: what is replayed is said again, what a snapshot holds is not.
fn copy(engine: &Engine, lsn: Lsn, tellers: &Tellers, judged: u64) -> Option<Snapshot> {
    if tellers.outbox.has_unwritten() {
        return None;
    }
    let mut bytes = Vec::new();
    engine.snapshot(&mut bytes);
    Some(Snapshot {
        lsn,
        state_hash: engine.state_hash(),
        judged,
        taken_ms: (tellers.clock)(),
        engine: bytes,
        alerts: tellers.book.all(),
    })
}

/// Records of a batch; time entries are none.
pub(crate) fn records(batch: &Batch) -> u64 {
    batch.rows.iter().filter(|row| !row.flags.has(RowFlags::TICK)).count() as u64
}

impl Tellers {
    /// Tries again what the outbox could not write, once a second at most.
    fn retry_unwritten(&self, now_ms: InstantMs) {
        if let Err(error) = self.outbox.retry_unwritten(now_ms) {
            tracing::error!(
                "{error}; {} alerts are kept and will be tried again",
                self.outbox.unwritten_len()
            );
        }
    }

    /// Passes transitions on and forgets them.
    pub(crate) fn tell(&self, transitions: &mut Vec<Transition>) {
        if transitions.is_empty() {
            return;
        }
        self.book.apply(transitions);
        if let Err(error) = self.outbox.enqueue(transitions, (self.clock)()) {
            tracing::error!("{error}; the alerts are kept and will be tried again");
        }
        for transition in transitions.iter() {
            log(transition.change, &transition.alert);
        }
        transitions.clear();
    }
}

fn log(change: Change, alert: &Alert) {
    let word = match change {
        Change::Fired => "FIRING",
        Change::Resolved => "RESOLVED",
        Change::Withdrawn => "WITHDRAWN",
        Change::Pending | Change::Updated | Change::Dropped => return,
    };
    let labels: Vec<String> = alert
        .labels
        .iter()
        .filter(|(name, _)| *name != "alertname")
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    let name = alert.labels.get("alertname").map_or("", |n| n);
    let summary = alert.annotations.get("summary").unwrap_or(&alert.reason.text);
    let money = alert.reason.amount.as_ref().map_or(String::new(), |a| format!(", {a} at risk"));
    let line = format!(
        "{word} {name} {}: {summary} ({} orders{money})",
        labels.join(" "),
        alert.reason.orders_count
    );
    let line = crate::output::visible(&line);
    if change == Change::Fired {
        tracing::warn!(id = %alert.id, "{line}");
    } else {
        tracing::info!(id = %alert.id, "{line}");
    }
}
