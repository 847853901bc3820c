//! The life of one sender: take what is due, send it, record what came of it, wait.
//!
//! One such future per integration: a slow or dead receiver delays only itself. Refuses to know: mail, HTTP, tasks
//! (the caller spawns it) and the wall clock (a [`Clock`] is passed in).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use record::InstantMs;
use tokio::time::{sleep, timeout};

use super::{Attempt, FailReason, Next, OutboxHandle, Outcome, Target};
use crate::kill_point::kill_point;
use crate::notifier::Notify;

/// Answers the wall clock's instant.
pub type Clock = Arc<dyn Fn() -> InstantMs + Send + Sync>;

/// The wait after the database refused a call, and while transitions wait for it in memory.
const STORAGE_RETRY: Duration = Duration::from_secs(1);
/// The longest wait without looking at the clock again: it may have been set.
const LOOK_AGAIN_MS: i64 = 60_000;
/// How long a stop waits for an attempt under way.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Sends a target's deliveries until `shutdown` is ready. An attempt under way then has five seconds to end;
/// otherwise it is recorded as uncertain and sent again after the next start. Run one per target; it may be run again
/// after it ended, however it ended.
pub async fn run_receiver<N: Notify>(
    target: Target,
    notifier: N,
    outbox: OutboxHandle,
    clock: Clock,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let key = target.to_string();
    if let Err(error) = outbox.reclaim(&key, clock()).await {
        tracing::error!(to = key, %error, "outbox: cannot take up the attempts of an earlier sender");
    }
    loop {
        let wait = match outbox.next(&key, clock()).await {
            Ok(Next::Send(attempt)) => {
                kill_point("K10");
                let (outcome, stop) = send(&notifier, &attempt, &clock, shutdown.as_mut()).await;
                kill_point("K12");
                log(&attempt, &outcome);
                if !record(&outbox, &attempt, &outcome, &clock, shutdown.as_mut(), stop).await || stop {
                    return;
                }
                Duration::ZERO
            }
            Ok(Next::Wait(due_ms)) if outbox.unwritten_len() == 0 => {
                let ms =
                    due_ms.map_or(LOOK_AGAIN_MS, |due| due.saturating_sub(clock()).clamp(1, LOOK_AGAIN_MS));
                Duration::from_millis(ms.unsigned_abs())
            }
            Ok(Next::Wait(_)) => STORAGE_RETRY,
            Err(error) => {
                tracing::error!(to = key, %error, "outbox: cannot read what is due, trying again in a second");
                STORAGE_RETRY
            }
        };
        if !wait.is_zero() {
            tokio::select! {
                biased;
                () = shutdown.as_mut() => return,
                () = outbox.woken(&key) => {}
                () = sleep(wait) => {}
            }
        }
    }
}

/// Sends; on a stop, waits a little longer. Answers the outcome and whether to stop.
async fn send<N: Notify, S: Future<Output = ()>>(
    notifier: &N,
    attempt: &Attempt,
    clock: &Clock,
    shutdown: Pin<&mut S>,
) -> (Outcome, bool) {
    let mut sending = std::pin::pin!(notifier.send(attempt, clock()));
    tokio::select! {
        biased;
        outcome = sending.as_mut() => return (outcome, false),
        () = shutdown => {}
    }
    let stopped = Outcome::Uncertain {
        reason: FailReason::ContextCanceled,
        detail: "watchroom was stopped during the attempt".to_owned(),
    };
    (timeout(STOP_GRACE, sending).await.unwrap_or(stopped), true)
}

/// Records the outcome, however long the database refuses it: sending again instead would repeat the message.
/// Gives up only on a stop (the attempt is then uncertain at the next start). Answers whether it is recorded.
async fn record<S: Future<Output = ()>>(
    outbox: &OutboxHandle,
    attempt: &Attempt,
    outcome: &Outcome,
    clock: &Clock,
    mut shutdown: Pin<&mut S>,
    stopping: bool,
) -> bool {
    loop {
        let Err(error) = outbox.finish(attempt, outcome, clock()).await else { return true };
        tracing::error!(delivery = attempt.delivery_id, %error, "outbox: cannot record an outcome, trying again");
        if stopping || matches!(error, super::OutboxError::State { .. } | super::OutboxError::Stopped) {
            return matches!(error, super::OutboxError::State { .. });
        }
        tokio::select! {
            biased;
            () = shutdown.as_mut() => return false,
            () = sleep(STORAGE_RETRY) => {}
        }
    }
}

fn log(attempt: &Attempt, outcome: &Outcome) {
    let (delivery, number, to) = (&attempt.delivery_id, attempt.number, &attempt.target);
    let detail = crate::notification::visible(outcome.detail());
    match outcome {
        Outcome::Sent { .. } => tracing::debug!(delivery, number, to, %detail, "notification sent"),
        Outcome::Retry { .. } => {
            tracing::warn!(delivery, number, to, %detail, "notification failed, will retry");
        }
        Outcome::Uncertain { .. } => {
            tracing::warn!(delivery, number, to, %detail, "notification may have arrived or not");
        }
        Outcome::Dead { .. } => tracing::error!(delivery, number, to, %detail, "notification given up"),
    }
}
