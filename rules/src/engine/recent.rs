//! Recent matches of one rule, for the reasons of its alerts: LSNs, orders, amounts, lines. Bounded.
//!
//! No verdict depends on it. Refuses to know: windows, thresholds.

use std::collections::VecDeque;

use record::{InstantMs, Lsn};

const CHUNK_ITEMS: usize = 1_024;
/// Matches remembered per rule: 32 chunks of 1,024.
const CHUNKS_MAX: usize = 32;
/// No match.
pub(super) const NONE: u32 = u32::MAX;

/// One match as it is kept.
#[derive(Debug, Clone, Copy)]
struct Item {
    at: InstantMs,
    lsn: Lsn,
    line: u64,
    /// The match of the same key before it.
    before: u32,
    key: u32,
    text: u32,
    order_len: u16,
    amount_len: u16,
}

/// One match as a reason sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match<'a> {
    pub(super) at: InstantMs,
    pub(super) lsn: Lsn,
    /// Number in [`super::lines::Lines`].
    pub(super) line: u64,
    /// Order number; empty if there is none.
    pub(super) order: &'a [u8],
    /// Text of the amount; empty if there is none.
    pub(super) amount: &'a [u8],
}

#[derive(Debug, Default)]
struct Chunk {
    items: Vec<Item>,
    texts: Vec<u8>,
}

/// The matches, each linked to the one of the same key before it.
#[derive(Debug, Default)]
pub(super) struct Recent {
    chunks: VecDeque<Chunk>,
    /// Number of the first item of the first chunk; wraps.
    first: u32,
}

impl Recent {
    /// Adds a match of key `key` whose last match was `before`; returns its number.
    pub(super) fn add(&mut self, key: u32, before: u32, found: Match<'_>) -> u32 {
        if self.chunks.back().is_none_or(|chunk| chunk.items.len() == CHUNK_ITEMS) {
            let mut chunk = Chunk::default();
            if self.chunks.len() == CHUNKS_MAX
                && let Some(oldest) = self.chunks.pop_front()
            {
                self.first = self.first.wrapping_add(CHUNK_ITEMS as u32);
                chunk = oldest;
                chunk.items.clear();
                chunk.texts.clear();
            }
            self.chunks.push_back(chunk);
        }
        let full_chunks = self.chunks.len() - 1;
        let chunk = self.chunks.back_mut().expect("just pushed if there was none");
        let number = self.first.wrapping_add((full_chunks * CHUNK_ITEMS + chunk.items.len()) as u32);
        // Longer texts are no order numbers and no amounts.
        let order = if found.order.len() <= 256 { found.order } else { &[] };
        let amount = if found.amount.len() <= 64 { found.amount } else { &[] };
        chunk.items.push(Item {
            at: found.at,
            lsn: found.lsn,
            line: found.line,
            before,
            key,
            text: chunk.texts.len() as u32,
            order_len: order.len() as u16,
            amount_len: amount.len() as u16,
        });
        chunk.texts.extend_from_slice(order);
        chunk.texts.extend_from_slice(amount);
        if number == NONE - 1 {
            self.skip_none();
        }
        number
    }

    /// The number [`NONE`] is never given: after four thousand million matches all that is remembered is let go.
    fn skip_none(&mut self) {
        self.chunks.clear();
        self.first = 0;
    }

    /// Matches of a key from number `last` backwards.
    pub(super) fn of_key(&self, key: u32, last: u32) -> impl Iterator<Item = Match<'_>> {
        let mut number = last;
        let mut room = u32::MAX;
        std::iter::from_fn(move || {
            let offset = number.wrapping_sub(self.first);
            // Numbers fall along the chain; one that does not is a leftover.
            if number == NONE || offset >= room {
                return None;
            }
            let chunk = self.chunks.get(offset as usize / CHUNK_ITEMS)?;
            let item = chunk.items.get(offset as usize % CHUNK_ITEMS).filter(|item| item.key == key)?;
            (number, room) = (item.before, offset);
            let order_end = item.text as usize + usize::from(item.order_len);
            Some(Match {
                at: item.at,
                lsn: item.lsn,
                line: item.line,
                order: &chunk.texts[item.text as usize..order_end],
                amount: &chunk.texts[order_end..order_end + usize::from(item.amount_len)],
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_by_key_and_bounds() {
        let mut recent = Recent::default();
        let mut last = [NONE; 3];
        for i in 0..100_000u64 {
            let key = (i % 3) as u32;
            let order = format!("o{i}").into_bytes();
            let found = Match { at: i as i64, lsn: i, line: i, order: &order, amount: b"1.5" };
            last[key as usize] = recent.add(key, last[key as usize], found);
        }
        let lsns: Vec<u64> = recent.of_key(1, last[1]).map(|m| m.lsn).collect();
        assert_eq!(lsns[..3], [99_997, 99_994, 99_991]);
        assert!(lsns.len() > 10_000 && lsns.len() <= 11_000, "{}", lsns.len());
        let newest = recent.of_key(1, last[1]).next().unwrap();
        assert_eq!((newest.order, newest.amount), (&b"o99997"[..], &b"1.5"[..]));
        assert_eq!(recent.of_key(2, NONE).count(), 0);
    }
}
