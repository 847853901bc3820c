//! The one place that reads clocks, waits, and starts threads.
//!
//! Refuses to know: what is waited for.

use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "deadlines of drills")]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "lines for a live node carry the time of the day")]
pub fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Looks until `look` finds something.
///
/// # Errors
/// `what`, when patience is over; what `look` fails with.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    within(PATIENCE, what, look)
}

/// [`eventually`] with a patience of its own.
///
/// # Errors
/// As [`eventually`].
pub fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begun.elapsed() > patience {
            bail!("gave up after {} s waiting: {what}", patience.as_secs());
        }
        pause(LOOK_EVERY);
    }
}

/// Lets others run; for pacing and between two looks, never instead of a condition.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// A thread of its own.
///
/// # Errors
/// The system has no thread left.
pub fn background<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    Ok(std::thread::Builder::new().name(name.to_owned()).spawn(body)?)
}
