//! What each rule costs, by samples: the time of every 1,021st record and every 61st settling, scaled up.
//!
//! The time comes from whoever runs the engine, as a function that is asked at the samples only; without one nothing is
//! measured. No verdict depends on it. Refuses to know: clocks.

/// One record in so many is measured: a prime, so that no pattern of the traffic goes with it.
const RECORDS: u64 = 1_021;
/// One settling of due rules in so many is measured.
const SETTLINGS: u64 = 61;

/// What one rule took, since the engine was told how to measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleCost {
    /// Verdicts given: instants settled, key by key. Counted, not sampled.
    pub evaluations: u64,
    /// Records of the sample that concerned the rule.
    pub takes: u64,
    /// How long they took, without the search in the index of all rules.
    pub takes_ns: u64,
    /// Settlings of the sample in which something of the rule was due.
    pub settlings: u64,
    /// How long they took.
    pub settlings_ns: u64,
}

impl RuleCost {
    /// All the time that the rule took, estimated from the samples.
    pub fn total_ns(&self) -> u64 {
        let takes_ns = self.takes_ns.saturating_mul(RECORDS);
        takes_ns.saturating_add(self.settlings_ns.saturating_mul(SETTLINGS))
    }

    pub(super) fn took(&mut self, ns: u64) {
        self.takes += 1;
        self.takes_ns += ns;
    }

    pub(super) fn settled(&mut self, ns: u64) {
        self.settlings += 1;
        self.settlings_ns += ns;
    }

    /// What a record that concerns it costs; `None`: none was measured.
    pub fn ns_per_match(&self) -> Option<u64> {
        self.takes_ns.checked_div(self.takes)
    }
}

/// Nanoseconds since any moment.
pub(super) type Nanos = fn() -> u64;

/// When and by what to measure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sampler {
    nanos: Option<Nanos>,
    records: u64,
    settlings: u64,
}

impl Sampler {
    pub(super) fn new(nanos: Nanos) -> Self {
        Self { nanos: Some(nanos), ..Self::default() }
    }

    /// A record concerns some rule: what to measure it by, if it is to be measured.
    pub(super) fn record(&mut self) -> Option<Nanos> {
        self.records += 1;
        self.nanos.filter(|_| self.records.is_multiple_of(RECORDS))
    }

    /// Some rules are due: what to measure them by, if they are to be measured.
    pub(super) fn settling(&mut self) -> Option<Nanos> {
        self.settlings += 1;
        self.nanos.filter(|_| self.settlings.is_multiple_of(SETTLINGS))
    }
}

/// Calls `what`; how long it took, if it is to be measured.
pub(super) fn measured(nanos: Option<Nanos>, what: impl FnOnce()) -> Option<u64> {
    let began = nanos.map(|nanos| nanos());
    what();
    nanos.zip(began).map(|(nanos, began)| nanos().saturating_sub(began))
}
