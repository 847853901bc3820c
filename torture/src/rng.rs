//! Chance that a seed repeats (SplitMix64).
//!
//! Refuses to know: what is decided by it.

/// A stream of numbers of one seed.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `low..high`.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low).max(1)
    }

    /// Whether something of this chance happens.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.range(0, 100) < chance
    }

    /// A stream that depends on this one no more.
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }
}
