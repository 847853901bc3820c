//! What the outbox counts, per integration, for `/metrics` and the board.
//!
//! Refuses to know: how metrics are written.

use serde::Serialize;

use super::{BreakerState, DeliveryState, FailReason, Outcome, Target};

/// Upper bounds of the latency buckets, in milliseconds; a last one without bound follows.
pub const LATENCY_BOUNDS_MS: [i64; 9] = [5, 25, 100, 500, 1_000, 5_000, 10_000, 30_000, 60_000];

/// Durations in buckets, not cumulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LatencyCounts {
    /// Durations up to each of [`LATENCY_BOUNDS_MS`] and above the one before; the last: above all.
    pub buckets: [u64; 10],
    /// Sum of all, in milliseconds.
    pub sum_ms: u64,
}

impl LatencyCounts {
    fn add(&mut self, ms: i64) {
        let bucket =
            LATENCY_BOUNDS_MS.iter().position(|bound| ms <= *bound).unwrap_or(LATENCY_BOUNDS_MS.len());
        self.buckets[bucket] += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms.max(0).unsigned_abs());
    }
}

/// One integration's counters since the start. All reasons are there from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetCounts {
    /// Whose.
    pub target: Target,
    /// Deliveries enqueued.
    pub enqueued_total: u64,
    /// Attempts begun (`notification_requests_total`).
    pub attempts_total: u64,
    /// Deliveries the receiver took (`notifications_total` counts these and `dead_total`).
    pub sent_total: u64,
    /// Attempts that may have arrived.
    pub uncertain_total: u64,
    /// Deliveries given up.
    pub dead_total: u64,
    /// Failed attempts by reason, in the order of [`FailReason::ALL`].
    pub failed_total: [u64; 7],
    /// Deliveries refused because too many waited; also in `dead_total`.
    pub overflow_total: u64,
    /// Deliveries that wait or are under way, now.
    pub queue_length: u64,
    /// Deliveries given up that are kept, now: those of earlier starts included.
    pub dead_length: u64,
    /// How long attempts took.
    pub latency: LatencyCounts,
    /// Whether the integration is tried.
    pub breaker: BreakerState,
    /// When it is tried again; `None` unless the breaker is open.
    pub breaker_until_ms: Option<record::InstantMs>,
    /// How often the breaker has opened.
    pub breaker_opened_total: u64,
}

impl TargetCounts {
    pub(super) fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            enqueued_total: 0,
            attempts_total: 0,
            sent_total: 0,
            uncertain_total: 0,
            dead_total: 0,
            failed_total: [0; 7],
            overflow_total: 0,
            queue_length: 0,
            dead_length: 0,
            latency: LatencyCounts::default(),
            breaker: BreakerState::Closed,
            breaker_until_ms: None,
            breaker_opened_total: 0,
        }
    }

    /// Waiting deliveries were given up.
    pub(super) fn died(&mut self, count: u64) {
        self.dead_total += count;
        self.dead_length += count;
        self.queue_length = self.queue_length.saturating_sub(count);
    }

    /// Dead deliveries wait again.
    pub(super) fn revived(&mut self, count: u64) {
        self.dead_length = self.dead_length.saturating_sub(count);
        self.queue_length += count;
    }

    pub(super) fn finished(&mut self, outcome: &Outcome, state: DeliveryState, took_ms: i64) {
        self.latency.add(took_ms);
        if let Some(reason) = outcome.reason() {
            let at =
                FailReason::ALL.iter().position(|r| *r == reason).expect("ALL names every reason there is");
            self.failed_total[at] += 1;
        }
        self.uncertain_total += u64::from(outcome.is_uncertain());
        match state {
            DeliveryState::Sent => {
                self.sent_total += 1;
                self.queue_length = self.queue_length.saturating_sub(1);
            }
            DeliveryState::Dead => self.died(1),
            _ => {}
        }
    }
}

/// The whole outbox, for `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboxCounts {
    /// Per integration, in configuration order.
    pub targets: Vec<TargetCounts>,
    /// Calls that the database refused (disk full, damaged file).
    pub storage_errors_total: u64,
    /// News kept in memory because the database refused them, now.
    pub unwritten_length: usize,
    /// News that memory had no room for: a restart finds them again in the journal.
    pub unwritten_dropped_total: u64,
    /// The database's last refusal; `None` once it works again.
    pub storage_error: Option<String>,
}
