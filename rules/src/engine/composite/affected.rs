//! The matches behind an alert that composites name: what their own reasons take orders, money and lines from.
//!
//! Refuses to know: which alerts make an expression true, windows.

use std::sync::Arc;

use record::{InstantMs, Lsn};

use crate::codec::{In, Out, Read};
use crate::engine::reason::MATCHES_MAX;
use crate::engine::recent::Match;

/// A match that outlives its rule's memory of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Met {
    at: InstantMs,
    lsn: Lsn,
    line: u64,
    order: Box<[u8]>,
    /// Empty also where it does not count: without an order number, in a format that has them.
    amount: Box<[u8]>,
}

/// Matches of one alert at one instant, oldest first, the newest 10,000.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::engine) struct Affected(Arc<[Met]>);

impl Affected {
    /// Of matches as a reason looks at them; with `has_orders` a match without order number counts for no money.
    pub(in crate::engine) fn of(mut found: Vec<Match<'_>>, has_orders: bool) -> Self {
        found.sort_by_key(|found| (found.at, found.lsn));
        let newest = found.len().saturating_sub(MATCHES_MAX);
        let met = |found: &Match<'_>| Met {
            at: found.at,
            lsn: found.lsn,
            line: found.line,
            order: found.order.into(),
            amount: if has_orders && found.order.is_empty() { Box::default() } else { found.amount.into() },
        };
        Self(found[newest..].iter().map(met).collect())
    }

    /// Those of several alerts, oldest first, each record once: with the first amount that one of them has for it.
    pub(super) fn union<'a>(all: impl Iterator<Item = &'a Affected>) -> Vec<Match<'a>> {
        let mut found: Vec<Match<'a>> = all.flat_map(|affected| affected.0.iter().map(Met::found)).collect();
        // Stable: of one record the first alert's sight comes first.
        found.sort_by(|a, b| (a.at, a.lsn, a.order).cmp(&(b.at, b.lsn, b.order)));
        found.dedup_by(|next, kept| {
            let is_same = (next.at, next.lsn, next.order) == (kept.at, kept.lsn, kept.order);
            if is_same && kept.amount.is_empty() {
                kept.amount = next.amount;
            }
            is_same
        });
        found
    }

    /// Numbers of the newest lines.
    pub(super) fn lines(&self, samples: usize) -> impl Iterator<Item = u64> {
        self.0[self.0.len().saturating_sub(samples)..].iter().map(|met| met.line)
    }

    pub(super) fn write(&self, out: &mut Out<'_>) {
        out.len(self.0.len());
        for met in &*self.0 {
            out.signed(met.at);
            out.number(met.lsn);
            out.number(met.line);
            out.blob(&met.order);
            out.blob(&met.amount);
        }
    }

    pub(super) fn read(read: &mut In<'_>) -> Read<Self> {
        let mut all = Vec::new();
        for _ in 0..read.len(5)? {
            let (at, lsn, line) = (read.instant()?, read.number()?, read.number()?);
            all.push(Met { at, lsn, line, order: read.blob()?.into(), amount: read.blob()?.into() });
        }
        Ok(Self(all.into()))
    }
}

impl Met {
    fn found(&self) -> Match<'_> {
        Match { at: self.at, lsn: self.lsn, line: self.line, order: &self.order, amount: &self.amount }
    }
}
