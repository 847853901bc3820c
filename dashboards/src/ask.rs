//! Questions to the trace store: it answers synchronously and may read files, so questions run on the blocking
//! threads, a bounded number at once.

use std::sync::Arc;
use std::time::Duration;

use sinks::trace_store::{Found, Search, TraceError, TraceReader};
use tokio::sync::Semaphore;

/// Questions answered at once; more wait.
const QUESTIONS_MAX: usize = 4;
/// How long a question waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Too many questions at once.
    #[error("too many searches at once: try again in a few seconds")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] TraceError),
    /// The question panicked.
    #[error("the trace store gave no answer")]
    Lost,
}

/// Asks the trace store. Cheap to clone, shared.
#[derive(Clone)]
pub(crate) struct Asker {
    reader: Arc<dyn TraceReader>,
    turns: Arc<Semaphore>,
}

impl Asker {
    pub(crate) fn new(reader: Arc<dyn TraceReader>) -> Self {
        Self { reader, turns: Arc::new(Semaphore::new(QUESTIONS_MAX)) }
    }

    /// All records of an order, oldest first.
    pub(crate) async fn trail(&self, id: String, limit: usize) -> Result<Found, AskError> {
        self.ask(move |reader| reader.trail(&id, limit)).await
    }

    /// Records that satisfy a search, newest first.
    pub(crate) async fn search(&self, search: Search) -> Result<Found, AskError> {
        self.ask(move |reader| reader.search(&search)).await
    }

    async fn ask<F>(&self, question: F) -> Result<Found, AskError>
    where
        F: FnOnce(&dyn TraceReader) -> Result<Found, TraceError> + Send + 'static,
    {
        let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(AskError::Busy) };
        let reader = Arc::clone(&self.reader);
        // The turn ends with the answer, not with the visitor: who goes away leaves the question running.
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            question(reader.as_ref())
        });
        Ok(answer.await.map_err(|_| AskError::Lost)??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers only when as many questions as are allowed at once have come together.
    struct Gathering {
        barrier: Barrier,
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl TraceReader for Gathering {
        fn trail(&self, _: &str, _: usize) -> Result<Found, TraceError> {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.barrier.wait();
            self.now.fetch_sub(1, Ordering::SeqCst);
            Ok(Found::default())
        }

        fn search(&self, _: &Search) -> Result<Found, TraceError> {
            Ok(Found::default())
        }
    }

    #[test]
    fn questions_are_bounded() {
        let reader = Arc::new(Gathering {
            barrier: Barrier::new(QUESTIONS_MAX),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let asker = Asker::new(Arc::clone(&reader) as Arc<dyn TraceReader>);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut questions = tokio::task::JoinSet::new();
            for _ in 0..QUESTIONS_MAX * 5 {
                let asker = asker.clone();
                questions.spawn(async move { asker.trail("x".to_owned(), 1).await });
            }
            while let Some(answer) = questions.join_next().await {
                answer.unwrap().unwrap();
            }
        });
        assert_eq!(reader.most.load(Ordering::SeqCst), QUESTIONS_MAX);
    }
}
