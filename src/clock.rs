//! The wall clock: the binary's one place that reads it. Everything else is given `now`.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use record::InstantMs;

/// Gives milliseconds since the epoch, UTC.
pub(crate) type Clock = Arc<dyn Fn() -> InstantMs + Send + Sync>;

/// Now, by the system's clock.
#[expect(clippy::disallowed_methods, reason = "the edge that reads the clock")]
pub(crate) fn now_ms() -> InstantMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// [`now_ms`] as a value to pass on.
pub(crate) fn system_clock() -> Clock {
    Arc::new(now_ms)
}

/// How long something took, whatever becomes of the wall clock meanwhile. For counters and pauses, never for verdicts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "the edge that reads the clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since it began.
    pub(crate) fn elapsed_ns(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since it began.
    pub(crate) fn elapsed_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Nanoseconds since it was first asked. For samples of what rules cost.
pub(crate) fn nanos() -> u64 {
    static BEGAN: std::sync::LazyLock<Stopwatch> = std::sync::LazyLock::new(Stopwatch::start);
    BEGAN.elapsed_ns()
}
