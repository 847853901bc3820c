//! The circuit breaker of one integration: after several failures in a row it is left alone, then tried by one
//! delivery at a time after waits that grow, until it answers.
//!
//! Pure: instants are passed in; its state does not survive a restart. Refuses to know: deliveries, clocks.

use std::collections::VecDeque;

use record::InstantMs;
use serde::{Deserialize, Serialize};

/// When an integration is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Failures in a row that open it. Default 5.
    pub failures: usize,
    /// These lie within so many milliseconds, the time that the attempts themselves took not counted: else a receiver
    /// that never answers, the slowest to fail, would never open it. Default 30000.
    pub within_ms: i64,
    /// First wait before a probe, in milliseconds; it doubles with each failed one. Default 5000.
    pub wait_min_ms: i64,
    /// Longest wait before a probe, in milliseconds: a receiver that is mended hears from us within it. Default 60000.
    pub wait_max_ms: i64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, within_ms: 30_000, wait_min_ms: 5_000, wait_max_ms: 60_000 }
    }
}

/// What a sender may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Send what is due.
    Send,
    /// Send one delivery, to see whether the receiver is back.
    Probe,
    /// Nothing before this instant.
    Wait(InstantMs),
    /// Nothing before the probe under way has ended.
    Probing,
}

/// Where a breaker stands, as pages and metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Deliveries are sent.
    #[default]
    Closed,
    /// Deliveries wait.
    Open,
    /// One delivery is being sent to see whether the receiver is back.
    HalfOpen,
}

impl BreakerState {
    /// All of them, in the order of their numbers in metrics.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// `closed`, `open`, `half_open`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    Closed,
    Open { until_ms: InstantMs, wait_ms: i64 },
    Probing { wait_ms: i64 },
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Breaker {
    config: BreakerConfig,
    inner: Inner,
    /// Time since the first attempt that no attempt took, in milliseconds.
    idle_ms: i64,
    ended_ms: Option<InstantMs>,
    /// Instants of the failures since the last answer, on `idle_ms`; at most `config.failures`.
    failures: VecDeque<i64>,
    opened_total: u64,
}

impl Breaker {
    /// A closed one.
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            inner: Inner::Closed,
            idle_ms: 0,
            ended_ms: None,
            failures: VecDeque::new(),
            opened_total: 0,
        }
    }

    /// What may be done now. A wait longer than any the breaker gives means that the clock was set back: it is over.
    pub fn permit(&self, now_ms: InstantMs) -> Permit {
        match self.inner {
            Inner::Closed => Permit::Send,
            Inner::Open { until_ms, .. }
                if now_ms < until_ms && until_ms.saturating_sub(now_ms) <= self.config.wait_max_ms =>
            {
                Permit::Wait(until_ms)
            }
            Inner::Open { .. } => Permit::Probe,
            Inner::Probing { .. } => Permit::Probing,
        }
    }

    /// An attempt begins: call it after [`Permit::Send`] or [`Permit::Probe`] was followed.
    pub fn began(&mut self) {
        if let Inner::Open { wait_ms, .. } = self.inner {
            self.inner = Inner::Probing { wait_ms };
        }
    }

    /// An attempt ended; `answered`: the receiver said something about the message, yes or no. Returns whether this
    /// closed the breaker.
    pub fn ended(&mut self, started_ms: InstantMs, now_ms: InstantMs, answered: bool) -> bool {
        if let Some(ended_ms) = self.ended_ms {
            self.idle_ms = self.idle_ms.saturating_add(started_ms.saturating_sub(ended_ms).max(0));
        }
        self.ended_ms = Some(now_ms);
        if answered {
            self.failures.clear();
            return std::mem::replace(&mut self.inner, Inner::Closed) != Inner::Closed;
        }
        match self.inner {
            Inner::Closed => self.failed(now_ms),
            Inner::Probing { wait_ms } | Inner::Open { wait_ms, .. } => {
                self.open(now_ms, wait_ms.saturating_mul(2));
            }
        }
        false
    }

    /// The attempt under way is nobody's any more (its sender ended): the next one may probe at once.
    pub fn abandoned(&mut self, now_ms: InstantMs) {
        if let Inner::Probing { wait_ms } = self.inner {
            self.inner = Inner::Open { until_ms: now_ms, wait_ms };
        }
    }

    /// Where it stands.
    pub fn state(&self) -> BreakerState {
        match self.inner {
            Inner::Closed => BreakerState::Closed,
            Inner::Open { .. } => BreakerState::Open,
            Inner::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// When the next probe may go; `None` unless it is open.
    pub fn until_ms(&self) -> Option<InstantMs> {
        match self.inner {
            Inner::Open { until_ms, .. } => Some(until_ms),
            _ => None,
        }
    }

    /// How often it has opened; a probe that fails does not count again.
    pub fn opened_total(&self) -> u64 {
        self.opened_total
    }

    fn failed(&mut self, now_ms: InstantMs) {
        self.failures.push_back(self.idle_ms);
        while self.failures.front().is_some_and(|at| self.idle_ms - at > self.config.within_ms) {
            self.failures.pop_front();
        }
        if self.failures.len() >= self.config.failures.max(1) {
            self.opened_total += 1;
            self.open(now_ms, self.config.wait_min_ms);
        }
    }

    fn open(&mut self, now_ms: InstantMs, wait_ms: i64) {
        let wait_ms = wait_ms.clamp(1, self.config.wait_max_ms.max(1));
        self.failures.clear();
        self.inner = Inner::Open { until_ms: now_ms.saturating_add(wait_ms), wait_ms };
    }
}

#[cfg(test)]
mod tests;
