//! What the judge writes down now and then for pages and metrics, and how pages ask it for more.
//!
//! What is written down is of one moment and one rule set. A question goes through a short queue that the judge looks
//! into between two batches: nobody locks the engine. Refuses to know: how it is shown.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use dashboards::{KEYS_SHOWN_MAX, RulesView};
use record::InstantMs;
use rules::{Engine, KeysView, RuleInfo, RuleSet};

use crate::clock::{Clock, Stopwatch};
use crate::progress::Progress;

/// Questions that may wait for the judge; further ones are told to come again.
const QUESTIONS_MAX: usize = 16;
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
        answered.recv_timeout(ANSWER_WAIT).map_err(|why| match why {
            RecvTimeoutError::Timeout => {
                "the judge is busy (a replay, a flood): ask again in a moment".to_owned()
            }
            RecvTimeoutError::Disconnected => "the judge has ended".to_owned(),
        })
    }

    fn put(&self, question: Question) -> Result<(), String> {
        self.0.try_send(question).map_err(|why| match why {
            TrySendError::Full(_) => "too many questions at once: ask again in a moment".to_owned(),
            TrySendError::Disconnected(_) => "the judge has ended".to_owned(),
        })
    }
}

/// Answers what was asked. Nobody waits for the answer any more if the page has given up.
pub(crate) fn answer(engine: &Engine, question: Question) {
    match question {
        Question::Keys { alert, answer } => {
            let place = engine.rules().position(&alert);
            drop(answer.try_send(place.and_then(|place| engine.keys(place, KEYS_SHOWN_MAX))));
        }
    }
}
