//! Recent matches of one rule, for the reasons of its alerts: LSNs, orders, amounts, lines. Bounded.
//!
//! No verdict depends on it. Refuses to know: windows, thresholds.

use std::collections::VecDeque;

use record::{InstantMs, Lsn};

use crate::codec::{In, Out, Read};

const CHUNK_ITEMS: usize = 1_024;
/// Matches remembered per rule: 32 chunks of 1,024.
const CHUNKS_MAX: usize = 32;
/// Longer texts are no order numbers.
const ORDER_MAX: usize = 256;
/// Longer texts are no amounts.
const AMOUNT_MAX: usize = 64;
/// Line of a match that is counted and not shown: what is shown of it comes by itself.
pub(super) const UNSHOWN: u64 = u64::MAX;
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
        let order = if found.order.len() <= ORDER_MAX { found.order } else { &[] };
        let amount = if found.amount.len() <= AMOUNT_MAX { found.amount } else { &[] };
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

/// Which matches a snapshot keeps. The others leave holes: what is kept is let go when it would have been.
#[derive(Debug)]
pub(super) struct Kept {
    by_offset: Vec<bool>,
}

impl Recent {
    fn len(&self) -> usize {
        self.chunks.back().map_or(0, |last| (self.chunks.len() - 1) * CHUNK_ITEMS + last.items.len())
    }

    /// Begins to choose.
    pub(super) fn keep_none(&self) -> Kept {
        Kept { by_offset: vec![false; self.len()] }
    }

    /// Keeps the matches of a key as far back as a reason can look: to the last of the first `outside_max` in a row
    /// that are before `oldest_ms`, an instant that no window to come goes back to. Tells each that is kept.
    pub(super) fn keep(
        &self,
        (key, last): (u32, u32),
        oldest_ms: InstantMs,
        outside_max: usize,
        kept: &mut Kept,
        mut tell: impl FnMut(&Match<'_>),
    ) {
        let (mut number, mut outside) = (last, 0);
        for found in self.of_key(key, last) {
            outside = if found.at < oldest_ms { outside + 1 } else { 0 };
            let offset = number.wrapping_sub(self.first) as usize;
            kept.by_offset[offset] = true;
            number = self.chunks[offset / CHUNK_ITEMS].items[offset % CHUNK_ITEMS].before;
            tell(&found);
            if outside >= outside_max {
                return;
            }
        }
    }

    /// The number of a match as a snapshot holds it: from 1, by place; 0 for one that is not kept.
    pub(super) fn place(&self, number: u32, kept: &Kept) -> u64 {
        let offset = number.wrapping_sub(self.first);
        let is_kept = number != NONE && kept.by_offset.get(offset as usize) == Some(&true);
        if is_kept { u64::from(offset) + 1 } else { 0 }
    }

    pub(super) fn write(&self, kept: &Kept, out: &mut Out<'_>) {
        out.number(u64::from(self.first));
        out.len(self.len());
        out.len(kept.by_offset.iter().filter(|kept| **kept).count());
        let (mut at, mut line, mut lsn) = (0, 0, 0);
        let items = self.chunks.iter().flat_map(|chunk| chunk.items.iter().map(move |item| (chunk, item)));
        for (offset, (chunk, item)) in items.enumerate().filter(|(offset, _)| kept.by_offset[*offset]) {
            out.len(offset);
            out.signed(item.at - at);
            out.signed(item.lsn as i64 - lsn as i64);
            out.signed(item.line as i64 - line as i64);
            out.number(self.place(item.before, kept));
            out.number(u64::from(item.key));
            let (start, order_len) = (item.text as usize, usize::from(item.order_len));
            out.blob(&chunk.texts[start..start + order_len]);
            out.blob(&chunk.texts[start + order_len..start + order_len + usize::from(item.amount_len)]);
            (at, line, lsn) = (item.at, item.line, item.lsn);
        }
    }

    pub(super) fn read(read: &mut In<'_>) -> Read<Self> {
        let first = read.number_u32()?;
        let len = read.number()?;
        let fits = len <= (CHUNKS_MAX * CHUNK_ITEMS) as u64 && u64::from(first) + len < u64::from(NONE);
        read.check(fits, "fewer matches")?;
        let hole =
            Item { at: 0, lsn: 0, line: 0, before: NONE, key: NONE, text: 0, order_len: 0, amount_len: 0 };
        let mut recent = Self { chunks: VecDeque::new(), first };
        for offset in 0..len as usize {
            if offset % CHUNK_ITEMS == 0 {
                recent.chunks.push_back(Chunk::default());
            }
            recent.chunks[offset / CHUNK_ITEMS].items.push(hole);
        }
        let (mut at, mut line, mut lsn) = (0_i64, 0_i64, 0_i64);
        for _ in 0..read.len(8)? {
            let offset = read.number()?;
            read.check(offset < len, "the place of a match")?;
            at = at.saturating_add(read.signed()?);
            lsn = lsn.saturating_add(read.signed()?);
            line = line.saturating_add(read.signed()?);
            read.check(at.unsigned_abs() < 1 << 61 && lsn >= 0 && line >= 0, "a match")?;
            let before = match read.number()? {
                0 => NONE,
                place if place <= offset => first.wrapping_add(place as u32 - 1),
                _ => return read.damage("an earlier match of the key"),
            };
            let (key, order, amount) = (read.number_u32()?, read.blob()?, read.blob()?);
            let chunk = &mut recent.chunks[offset as usize / CHUNK_ITEMS];
            let fits = order.len() <= ORDER_MAX && amount.len() <= AMOUNT_MAX;
            read.check(fits && chunk.texts.len() <= CHUNK_ITEMS * (ORDER_MAX + AMOUNT_MAX), "a short text")?;
            chunk.items[offset as usize % CHUNK_ITEMS] = Item {
                at,
                lsn: lsn as u64,
                line: line as u64,
                before,
                key,
                text: chunk.texts.len() as u32,
                order_len: order.len() as u16,
                amount_len: amount.len() as u16,
            };
            chunk.texts.extend_from_slice(order);
            chunk.texts.extend_from_slice(amount);
        }
        Ok(recent)
    }

    /// The number of a match by its place in a snapshot, 0 for none.
    pub(super) fn number(&self, place: u64) -> u32 {
        match u32::try_from(place) {
            Ok(place @ 1..) => self.first.wrapping_add(place - 1),
            _ => NONE,
        }
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
