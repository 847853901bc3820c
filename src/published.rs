//! What the judge writes down now and then for pages and metrics, and how others ask it for more, or to change its rules.
//!
//! What is written down is of one moment and one rule set. A question goes through a short queue that the judge looks
//! into between two batches: nobody locks the engine, and no line is judged by half a rule set. Refuses to know: how it
//! is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use dashboards::{KEYS_SHOWN_MAX, RulesView};
use record::InstantMs;
use rules::{Engine, KeysView, RestoreReport, RuleInfo, RuleSet};

use crate::clock::{Clock, Stopwatch};
use crate::progress::Progress;

/// Questions that may wait for the judge; further ones are told to come again.
const QUESTIONS_MAX: usize = 16;
/// How long a change of rules waits for the judge.
const RELOAD_WAIT: Duration = Duration::from_secs(20);
/// How long a page waits for an answer: the judge looks at least four times a second.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// The judge's side of what is written down.
pub(crate) struct Publisher {
    infos: Arc<[RuleInfo]>,
    progress: Arc<Progress>,
    clock: Clock,
    since_ms: InstantMs,
    records: u64,
    records_ns: u64,
}

impl Publisher {
    /// Of an engine that begins to judge by these rules.
    pub(crate) fn new(rules: &RuleSet, progress: &Arc<Progress>, clock: &Clock) -> Self {
        Self {
            infos: rules.infos().into(),
            progress: Arc::clone(progress),
            clock: Arc::clone(clock),
            since_ms: clock(),
            records: 0,
            records_ns: 0,
        }
    }

    /// From here on the engine judges by other rules.
    pub(crate) fn change(&mut self, rules: &RuleSet) {
        *self = Self::new(rules, &self.progress, &self.clock);
    }

    /// So many records were judged since the stopwatch began.
    pub(crate) fn took(&mut self, records: u64, watch: Stopwatch) {
        self.records += records;
        self.records_ns += watch.elapsed_ns();
    }

    /// Writes down how the engine stands.
    pub(crate) fn publish(&self, engine: &Engine) {
        let counts = engine.counts();
        let view = RulesView {
            infos: Arc::clone(&self.infos),
            counts: counts.rules.clone(),
            costs: engine.costs(),
            since_ms: self.since_ms,
            at_ms: (self.clock)(),
            watermark_ms: engine.watermark_ms(),
            records: self.records,
            records_ns: self.records_ns,
        };
        self.progress.set_engine(counts, view);
    }
}

/// What is asked of the judge.
pub(crate) enum Question {
    /// The keys of a rule, by its name; the answer is `None` if there is no such rule.
    Keys { alert: String, answer: SyncSender<Option<KeysView>> },
    /// The rules it judges by.
    Rules { answer: SyncSender<Arc<RuleSet>> },
    /// Go on in this engine, which has judged nothing; unless the asker has given up, which the flag says.
    Reload { engine: Box<Engine>, begun: Arc<AtomicBool>, answer: SyncSender<Swapped> },
}

/// What came of changing the rules.
pub(crate) struct Swapped {
    /// What became of the rules' states.
    pub(crate) report: RestoreReport,
    /// How long no line was judged, after moving the states, telling what ended, and all of it.
    pub(crate) held_up_ns: [u64; 3],
    /// What is left of the engine before: to be dropped where nobody waits.
    pub(crate) left: Box<Engine>,
}

/// Where questions are put.
#[derive(Clone)]
pub(crate) struct Questions(SyncSender<Question>);

/// Both ends of the judge's letter box.
pub(crate) fn questions() -> (Questions, Receiver<Question>) {
    let (put, taken) = sync_channel(QUESTIONS_MAX);
    (Questions(put), taken)
}

impl Questions {
    /// Asks for the keys of a rule and waits for the answer.
    pub(crate) fn keys(&self, alert: &str) -> Result<Option<KeysView>, String> {
        let (answer, answered) = sync_channel(1);
        self.put(Question::Keys { alert: alert.to_owned(), answer })?;
        received(&answered)
    }

    /// Asks for the rules in use and waits for the answer.
    pub(crate) fn rules(&self) -> Result<Arc<RuleSet>, String> {
        let (answer, answered) = sync_channel(1);
        self.put(Question::Rules { answer })?;
        received(&answered)
    }

    /// Has the judge go on in another engine, and waits until it does.
    pub(crate) fn reload(&self, engine: Engine) -> Result<Swapped, String> {
        let (answer, answered) = sync_channel(1);
        let begun = Arc::new(AtomicBool::new(false));
        self.put(Question::Reload { engine: Box::new(engine), begun: Arc::clone(&begun), answer })?;
        match answered.recv_timeout(RELOAD_WAIT) {
            Ok(swapped) => Ok(swapped),
            // Who raises the flag first has it: the judge, to do it, or we, to have it left undone.
            Err(RecvTimeoutError::Timeout) if !begun.swap(true, SeqCst) => Err(
                "the judge has no time for new rules (it replays, or the trace store holds it up): try again"
                    .to_owned(),
            ),
            Err(_) => answered.recv().map_err(|_gone| "the judge has ended".to_owned()),
        }
    }

    fn put(&self, question: Question) -> Result<(), String> {
        self.0.try_send(question).map_err(|why| match why {
            TrySendError::Full(_) => "too many questions at once: ask again in a moment".to_owned(),
            TrySendError::Disconnected(_) => "the judge has ended".to_owned(),
        })
    }
}

fn received<T>(answered: &Receiver<T>) -> Result<T, String> {
    answered.recv_timeout(ANSWER_WAIT).map_err(|why| match why {
        RecvTimeoutError::Timeout => {
            "the judge is busy (a replay, a flood): ask again in a moment".to_owned()
        }
        RecvTimeoutError::Disconnected => "the judge has ended".to_owned(),
    })
}

/// The keys of a rule, by its name. `None`: there is no such rule.
pub(crate) fn keys(engine: &Engine, alert: &str) -> Option<KeysView> {
    engine.keys(engine.rules().position(alert)?, KEYS_SHOWN_MAX)
}
