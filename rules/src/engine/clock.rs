//! The watermark's clock: how far event time has come, by the entries of the journal alone.
//!
//! `base` is min(highest event time, receive time) and never goes back; a rule's watermark is `base` minus its
//! lateness. Refuses to know: rules, windows, the wall clock.

use record::InstantMs;

use crate::codec::{In, Out, Read};

/// Without lines for this long (by receive time) the clock follows the receive time.
pub(super) const IDLE_AFTER_MS: i64 = 10_000;
/// A record further ahead of its receive time is not judged.
pub(super) const SKEW_MAX_MS: i64 = 600_000;
/// Lateness of the watermark that has no rule.
pub(super) const DEFAULT_LATENESS_MS: i64 = 5_000;
/// Before every instant that a log can hold; far from the ends so that sums with it do not overflow.
pub(super) const NEVER: InstantMs = i64::MIN / 4;

/// How far one record moves the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Advance {
    /// Where it stood.
    pub(super) before: InstantMs,
    /// As far as it goes without passing the record's own time: what is settled up to here cannot contain the
    /// record, so settling may come before counting.
    pub(super) middle: InstantMs,
    /// Where it stands now; beyond `middle` only if the receive time passed a record that is behind others.
    pub(super) after: InstantMs,
}

/// Event time as the journal tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    highest: Option<InstantMs>,
    base: InstantMs,
    last_line_recv: Option<InstantMs>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { highest: None, base: NEVER, last_line_recv: None }
    }

    /// Highest event time of a judged record.
    pub(super) fn highest(&self) -> Option<InstantMs> {
        self.highest
    }

    /// Where the clock stands; [`NEVER`] before the first entry that says something.
    pub(super) fn base(&self) -> InstantMs {
        self.base
    }

    /// Whether a record's time is not to be believed.
    pub(super) fn is_skewed(event_ms: InstantMs, recv_ms: Option<InstantMs>) -> bool {
        recv_ms.is_some_and(|recv| event_ms > recv.saturating_add(SKEW_MAX_MS))
    }

    /// It stands there at least: others have read the records.
    pub(super) fn stand(&mut self, base: InstantMs, highest: Option<InstantMs>) {
        self.base = self.base.max(base);
        self.highest = self.highest.max(highest);
    }

    /// Takes a record that is judged. A file has no receive time: the highest event time alone.
    pub(super) fn record(&mut self, event_ms: InstantMs, recv_ms: Option<InstantMs>) -> Advance {
        let highest = self.highest.map_or(event_ms, |h| h.max(event_ms));
        self.highest = Some(highest);
        let before = self.base;
        let after = before.max(recv_ms.map_or(highest, |recv| highest.min(recv)));
        self.base = after;
        self.last_line_recv = recv_ms.or(self.last_line_recv);
        Advance { before, middle: after.min(before.max(event_ms)), after }
    }

    /// Takes a receive time without a judged record: a tick, or a line whose own time is missing or skewed (such
    /// lines do not count as lines here: a sender with a broken clock must not hold time for the others, and
    /// while it talks there are no ticks). Returns where the clock stands.
    pub(super) fn tick(&mut self, recv_ms: InstantMs) -> InstantMs {
        let since = *self.last_line_recv.get_or_insert(recv_ms);
        let target = if recv_ms.saturating_sub(since) >= IDLE_AFTER_MS {
            Some(recv_ms)
        } else {
            self.highest.map(|highest| highest.min(recv_ms))
        };
        self.base = target.map_or(self.base, |target| self.base.max(target));
        self.base
    }
}

impl Clock {
    pub(super) fn write(&self, out: &mut Out<'_>) {
        out.maybe(self.highest);
        out.signed(self.base);
        out.maybe(self.last_line_recv);
    }

    pub(super) fn read(read: &mut In<'_>) -> Read<Self> {
        Ok(Self {
            highest: read.maybe_instant()?,
            base: read.instant()?,
            last_line_recv: read.maybe_instant()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_follows_its_highest_event() {
        let mut clock = Clock::new();
        clock.record(10_000, None);
        let advance = clock.record(4_000, None);
        assert_eq!(advance, Advance { before: 10_000, middle: 10_000, after: 10_000 });
        assert_eq!(clock.record(12_500, None), Advance { before: 10_000, middle: 12_500, after: 12_500 });
    }

    #[test]
    fn a_fast_clock_does_not_move_time_for_others() {
        let mut clock = Clock::new();
        clock.record(300_000, Some(1_000));
        assert_eq!(clock.base(), 1_000);
        assert_eq!(clock.tick(2_000), 2_000);
        // a line far behind: the receive time carries the clock past it, so it is counted before settling
        assert_eq!(clock.record(1_500, Some(9_000)), Advance { before: 2_000, middle: 2_000, after: 9_000 });
        assert!(Clock::is_skewed(601_001, Some(1_000)));
        assert!(!Clock::is_skewed(601_000, Some(1_000)));
        assert!(!Clock::is_skewed(i64::MAX, None));
    }

    #[test]
    fn idle_time_passes_by_ticks() {
        let mut clock = Clock::new();
        clock.record(1_000, Some(1_200));
        assert_eq!(clock.tick(11_199), 1_000);
        assert_eq!(clock.tick(11_200), 11_200);
        clock.record(1_500, Some(11_300));
        assert_eq!(clock.base(), 11_200);
    }
}
