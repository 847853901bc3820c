//! Questions about rules: they block, so they run on the blocking threads; the long ones one at a time.

use std::sync::Arc;
use std::time::Duration;

use rules::KeysView;
use tokio::sync::Semaphore;

use crate::rules_bench::{
    BacktestAnswer, BacktestQuestion, BenchFault, ExplainAnswer, ExplainQuestion, RulesBench,
};
use crate::rules_view::AskKeys;

/// Questions for keys at once; more wait.
const KEYS_MAX: usize = 4;
/// How long a question for keys waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Asks about rules. Cheap to clone, shared.
#[derive(Clone)]
pub(crate) struct BenchAsker {
    bench: Arc<dyn RulesBench>,
    ask_keys: AskKeys,
    keys_turns: Arc<Semaphore>,
    /// Explanations and backtests read the store for seconds: one at a time.
    long_turn: Arc<Semaphore>,
}

impl BenchAsker {
    pub(crate) fn new(bench: Arc<dyn RulesBench>, ask_keys: AskKeys) -> Self {
        Self {
            bench,
            ask_keys,
            keys_turns: Arc::new(Semaphore::new(KEYS_MAX)),
            long_turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// The keys of a rule; the error says why they cannot be told, and what to do.
    pub(crate) async fn keys(&self, alert: String) -> Result<KeysView, String> {
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.keys_turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err("too many ask for states at once: try again".to_owned());
        };
        let ask_keys = Arc::clone(&self.ask_keys);
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            ask_keys(&alert)
        });
        match answer.await {
            Ok(answer) => Ok(answer?.unwrap_or_default()),
            Err(_panic) => Err(LOST.to_owned()),
        }
    }

    /// Why an alert was on, or was not.
    pub(crate) async fn explain(&self, question: ExplainQuestion) -> Result<ExplainAnswer, BenchFault> {
        self.long(move |bench| bench.explain(&question)).await
    }

    /// What rules would have done.
    pub(crate) async fn backtest(&self, question: BacktestQuestion) -> Result<BacktestAnswer, BenchFault> {
        self.long(move |bench| bench.backtest(&question)).await
    }

    async fn long<T, F>(&self, question: F) -> Result<T, BenchFault>
    where
        T: Send + 'static,
        F: FnOnce(&dyn RulesBench) -> Result<T, BenchFault> + Send + 'static,
    {
        let Ok(turn) = Arc::clone(&self.long_turn).try_acquire_owned() else {
            let what_to_do = "an explanation or a backtest is being made: they are made one at a time; \
                              wait a few seconds and ask again";
            return Err(BenchFault::Busy(what_to_do.to_owned()));
        };
        let bench = Arc::clone(&self.bench);
        // The turn ends with the answer, not with the visitor.
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            question(bench.as_ref())
        });
        answer.await.unwrap_or_else(|_panic| Err(BenchFault::Failed(LOST.to_owned())))
    }
}

/// What a visitor is told of a bug.
const LOST: &str = "the node gave no answer: its log says why";
