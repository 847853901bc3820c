//! The tails of all senders' last sessions, so that what a sender sends again after a reconnect is not counted twice.
//!
//! A sender may have many sessions at once (one per worker of its queue, or many behind one address). Each writes to a lane
//! of its own; the lane's number stands in the flags of its rows, so that the journal tells the lanes apart after a
//! restart. A session whose head repeats a lane's tail goes on with that lane; if another session still owns it, that one is
//! dead without knowing it, and must end. Refuses to know: sockets, clocks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::{Batch, Row, RowFlags};
use tokio::sync::Notify;

use super::tail::{Likeness, Tail, line_hash};

/// Lanes of one sender: as many as the flags of a row can say.
const LANES_MAX: u8 = 63;
/// Lanes of all senders: 32 KiB each at most. Beyond it the one used least recently, and by nobody now, is forgotten.
const ALL_LANES_MAX: usize = 4096;

/// So often a lane may grow while it is being taken over.
const GROWN_MAX: usize = 8;

/// Tails by sender. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tails {
    shared: Arc<Mutex<Registry>>,
}

#[derive(Debug, Default)]
struct Registry {
    /// Lanes by source, then by number (from 1).
    sources: HashMap<Arc<str>, BTreeMap<u8, Arc<Lane>>>,
    lanes: usize,
    uses: u64,
}

/// What one session after the other writes to.
#[derive(Debug)]
pub(super) struct Lane {
    number: u8,
    used: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tail: Tail,
    owner: Option<Arc<Notify>>,
}

/// Who a session is to its lane, and how it hears that another has taken the lane over.
#[derive(Debug, Clone, Default)]
pub(super) struct Owner(Arc<Notify>);

/// What a head turned out to be.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It may be a replay of which only a part has come.
    Open,
    /// Its first lines (0: none) repeat what was here. The session writes to this lane from now on; `None`: the sender has
    /// too many sessions, this one will not be recognised again.
    Repeats(usize, Option<Arc<Lane>>),
}

/// The lane belongs to another session now: what this one read, the other will read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Superseded;

impl Tails {
    /// Feeds a line that the journal holds; call it for all of them in the order of the journal, before anything is
    /// received. Lines of inputs other than RELP are passed over.
    pub fn recover(&self, source: &str, flags: RowFlags, frame: &[u8]) {
        if (1..=LANES_MAX).contains(&flags.lane()) {
            self.restore(source, flags.lane(), [line_hash(frame)]);
        }
    }

    /// Feeds the lines of a batch, as [`Tails::recover`] does.
    pub fn note(&self, batch: &Batch) {
        let whence = |row: &Row| (row.source, row.flags.lane());
        for rows in batch.rows.chunk_by(|a, b| whence(a) == whence(b)) {
            let (source, lane) = whence(&rows[0]);
            if (1..=LANES_MAX).contains(&lane)
                && let Some(source) = batch.sources.get(usize::from(source))
            {
                self.restore(source, lane, rows.iter().map(|row| line_hash(batch.slice(row.frame))));
            }
        }
    }

    /// Everything, to be written down. Integers little endian: for each lane, the one used least recently first: the
    /// source (length u16, UTF-8), the lane's number (u8), its lines (count u32, a hash u64 each).
    pub fn encode(&self) -> Vec<u8> {
        let registry = self.lock();
        let sources = registry.sources.iter();
        let mut lanes: Vec<_> =
            sources.flat_map(|(source, lanes)| lanes.values().map(move |lane| (source, lane))).collect();
        lanes.sort_unstable_by_key(|(_, lane)| lane.used.load(Relaxed));
        let mut out = Vec::new();
        for (source, lane) in lanes {
            let state = lane.lock();
            let (lines, name) = (state.tail.lines(), &source.as_bytes()[..source.len().min(65_535)]);
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(name);
            out.push(lane.number);
            out.extend_from_slice(&(lines.len() as u32).to_le_bytes());
            lines.for_each(|line| out.extend_from_slice(&line.to_le_bytes()));
        }
        out
    }

    /// Feeds what [`Tails::encode`] gave. `false`: it is something else from somewhere on.
    pub fn decode(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Some(((source, lane, lines), rest)) = decode_lane(bytes) else { return false };
            self.restore(source, lane, lines.iter().copied().map(u64::from_le_bytes));
            bytes = rest;
        }
        true
    }

    /// The same tails, apart from these from now on.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::default();
        let whole = copy.decode(&self.encode());
        debug_assert!(whole, "what was encoded can be decoded");
        copy
    }

    /// Feeds lines of a lane by their hashes.
    fn restore(&self, source: &str, lane: u8, hashes: impl IntoIterator<Item = u64>) {
        let mut registry = self.lock();
        let lane = match registry.sources.get(source).and_then(|lanes| lanes.get(&lane)) {
            Some(lane) => Arc::clone(lane),
            None => registry.add(&source.into(), lane),
        };
        lane.touch(&mut registry);
        lane.lock().tail.extend(hashes);
    }

    /// Compares the head of a session with the tails of its sender. `last`: more lines of it are not to be waited for.
    pub(super) fn seek(&self, source: &Arc<str>, head: &[u64], last: bool, owner: &Owner) -> Verdict {
        let mut registry = self.lock();
        // A lane that grows meanwhile has another end; whoever is dead without knowing it stops soon.
        for _ in 0..GROWN_MAX {
            let Some((likeness, lane)) = registry.best(source, head) else { break };
            if likeness.open && !last {
                return Verdict::Open;
            }
            if likeness.repeats == 0 {
                break;
            }
            if lane.take_over(owner, &head[..likeness.repeats]) {
                lane.touch(&mut registry);
                return Verdict::Repeats(likeness.repeats, Some(lane));
            }
        }
        Verdict::Repeats(0, registry.vacant(source, owner))
    }

    /// Whether all lines of a head that will not grow any more are within a tail.
    pub(super) fn holds(&self, source: &Arc<str>, head: &[u64]) -> bool {
        let best = self.lock().best(source, head);
        best.is_some_and(|(likeness, _)| likeness.open || likeness.repeats == head.len())
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Source, number, lines.
type Written<'a> = (&'a str, u8, &'a [[u8; 8]]);

/// A lane at the front of what [`Tails::encode`] gave, and what follows.
fn decode_lane(bytes: &[u8]) -> Option<(Written<'_>, &[u8])> {
    let (length, bytes) = bytes.split_first_chunk()?;
    let (source, bytes) = bytes.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let (lane, bytes) = bytes.split_first()?;
    let (count, bytes) = bytes.split_first_chunk()?;
    let (lines, rest) = bytes.split_at_checked((u32::from_le_bytes(*count) as usize).checked_mul(8)?)?;
    let whole = (1..=LANES_MAX).contains(lane);
    whole.then_some(((std::str::from_utf8(source).ok()?, *lane, lines.as_chunks().0), rest))
}

impl Registry {
    /// The lane whose tail the head is most like: one of which it may yet repeat more, or of which it repeats most; of
    /// equals one that belongs to nobody.
    fn best(&self, source: &Arc<str>, head: &[u64]) -> Option<(Likeness, Arc<Lane>)> {
        let lanes = self.sources.get(source)?.values();
        let compared = lanes.filter_map(|lane| {
            let state = lane.lock();
            let likeness = (!state.tail.is_empty()).then(|| state.tail.compare(head))?;
            Some((likeness, state.owner.is_none(), lane))
        });
        let best = compared.max_by_key(|(likeness, vacant, _)| (likeness.open, likeness.repeats, *vacant));
        best.map(|(likeness, _, lane)| (likeness, Arc::clone(lane)))
    }

    fn add(&mut self, source: &Arc<str>, number: u8) -> Arc<Lane> {
        if self.lanes >= ALL_LANES_MAX {
            self.forget();
        }
        let lane = Arc::new(Lane { number, used: AtomicU64::new(0), state: Mutex::default() });
        self.sources.entry(Arc::clone(source)).or_default().insert(number, Arc::clone(&lane));
        self.lanes += 1;
        lane
    }

    /// A lane for a session that repeats nothing: one with nothing in it, a new one, or the one used least recently.
    fn vacant(&mut self, source: &Arc<str>, owner: &Owner) -> Option<Arc<Lane>> {
        let lanes = self.sources.get(source);
        let vacant =
            || lanes.into_iter().flat_map(BTreeMap::values).filter(|lane| lane.lock().owner.is_none());
        let empty = vacant().find(|lane| lane.lock().tail.is_empty()).cloned();
        let free = (1..=LANES_MAX).find(|number| lanes.is_none_or(|lanes| !lanes.contains_key(number)));
        let lane = match (empty, free) {
            (Some(empty), _) => empty,
            (None, Some(free)) => self.add(source, free),
            (None, None) => vacant().min_by_key(|lane| lane.used.load(Relaxed)).cloned()?,
        };
        lane.touch(self);
        let mut state = lane.lock();
        state.tail.clear();
        state.owner = Some(Arc::clone(&owner.0));
        drop(state);
        Some(lane)
    }

    /// Forgets the lane used least recently that belongs to nobody.
    fn forget(&mut self) {
        let lanes =
            self.sources.iter().flat_map(|(source, lanes)| lanes.values().map(move |lane| (source, lane)));
        let oldest = lanes
            .filter(|(_, lane)| lane.lock().owner.is_none())
            .min_by_key(|(_, lane)| lane.used.load(Relaxed));
        let Some((source, number)) = oldest.map(|(source, lane)| (Arc::clone(source), lane.number)) else {
            return;
        };
        if let Some(lanes) = self.sources.get_mut(&source) {
            lanes.remove(&number);
            if lanes.is_empty() {
                self.sources.remove(&source);
            }
        }
        self.lanes -= 1;
    }
}

impl Lane {
    /// Its number in the flags of rows.
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// Adds lines that `hand_over` hands over, unless the lane belongs to another session. Both at once: who compares
    /// with a tail may rely on its lines being on their way to the journal.
    pub(super) fn extend<T>(
        &self,
        owner: &Owner,
        lines: impl IntoIterator<Item = u64>,
        hand_over: impl FnOnce() -> T,
    ) -> Result<T, Superseded> {
        let mut state = self.lock();
        if !state.owner.as_ref().is_some_and(|known| Arc::ptr_eq(known, &owner.0)) {
            return Err(Superseded);
        }
        state.tail.extend(lines);
        Ok(hand_over())
    }

    /// The session has ended; `done`: its sender has nothing to send again.
    pub(super) fn leave(&self, owner: &Owner, done: bool) {
        let mut state = self.lock();
        if state.owner.as_ref().is_some_and(|known| Arc::ptr_eq(known, &owner.0)) {
            state.owner = None;
            if done {
                state.tail.clear();
            }
        }
    }

    /// Takes the lane if its last lines are still these; the session that owns it hears of it.
    fn take_over(&self, owner: &Owner, lines: &[u64]) -> bool {
        let mut state = self.lock();
        let tail = state.tail.lines();
        let skipped = tail.len().saturating_sub(lines.len());
        if !tail.skip(skipped).eq(lines.iter().copied()) {
            return false;
        }
        if let Some(old) = state.owner.replace(Arc::clone(&owner.0)) {
            old.notify_one();
        }
        true
    }

    fn touch(&self, registry: &mut Registry) {
        registry.uses += 1;
        self.used.store(registry.uses, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    /// Waits until another session takes the lane over.
    pub(super) async fn superseded(&self) {
        self.0.notified().await;
    }
}

#[cfg(test)]
mod tests;
