//! One number for a whole state: two engines that took the same entries agree on it.
//!
//! It does not depend on the places where keys happen to stand. Refuses to know: what the numbers are good for.

use super::life::Life;
use super::state::{Key, Memory, RuleState};
use crate::alert::fnv1a;

/// Continues a hash by numbers.
pub(super) fn numbers(seed: u64, numbers: impl IntoIterator<Item = i64>) -> u64 {
    bytes(seed, numbers.into_iter().flat_map(i64::to_le_bytes))
}

pub(super) fn bytes(seed: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(seed ^ 0xcbf2_9ce4_8422_2325, fnv1a)
}

impl RuleState {
    /// Of the history start, all things and all keys, whatever their order.
    pub(super) fn hash(&self) -> u64 {
        let seed = numbers(3, self.history.hash_numbers()).wrapping_add(self.things.hash());
        self.keys.iter().fold(seed, |sum, (_, key_bytes, key)| {
            sum.wrapping_add(self.key_hash(bytes(1, key_bytes.iter().copied()), key))
        })
    }

    fn key_hash(&self, seed: u64, key: &Key) -> u64 {
        let memory = match &key.memory {
            Memory::Tally(tally) => {
                let counts = tally.counts.iter(self.frontier).flat_map(|(b, count)| [b, i64::from(count)]);
                let value = |(id, bucket): (u32, i64)| {
                    numbers(bytes(2, self.values.text(id).iter().copied()), [bucket])
                };
                let distinct = tally.values().into_iter().flat_map(|held| held.iter());
                let part = tally.part().into_iter().flat_map(|part| part.iter(self.frontier));
                let counts = counts.chain(part.flat_map(|(b, count)| [b, i64::from(count)]));
                let numbers_held = tally.numbers().into_iter().flat_map(|held| held.hash_numbers());
                let counts = counts.chain(numbers_held).chain(tally.last_expired());
                numbers(distinct.map(value).fold(seed, u64::wrapping_add), counts)
            }
            Memory::Mix(mix) => numbers(seed, mix.hash_numbers()),
            Memory::Bad(bad) => numbers(seed, bad.hash_numbers()),
            Memory::Run(run) => numbers(seed, run.entries().iter().copied()),
        };
        let Some(episode) = &key.episode else { return memory };
        let life = match episode.life {
            Life::Idle => [0, 0, 0],
            Life::Pending { active_ms } => [1, active_ms, 0],
            Life::Firing { active_ms } => [2, active_ms, 0],
            Life::Fading { active_ms, inactive_ms } => [3, active_ms, inactive_ms],
        };
        let told = bytes(numbers(memory, life), episode.alert.id.bytes());
        numbers(told, [episode.alert.active_ms, episode.alert.reason.count as i64])
    }
}
