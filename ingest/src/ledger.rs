//! The loss ledger of one input: what was received, and what became of it. Exact.
//!
//! ```text
//! received = stored + duplicate + joined + rejected(reason) + dropped(queue) + in flight
//! ```
//! in frames; `dropped(kernel)` stands beside it: those were sent, but never received. In flight are the frames on
//! their way to the journal's next commit and those that wait for their continuation; 0 at rest. All that one read
//! brought is counted at once under one lock, so the equation holds at every moment, not only at rest; the lock is
//! taken per batch, not per line. Refuses to know: how numbers are shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::{DecodeCounts, FrameFault, InstantMs};

use crate::tls::HandshakeFault;

/// Why bytes that arrived became no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rejected {
    /// Nothing in the frame.
    Empty,
    /// The count before the frame is beyond the hard bound.
    CountTooLarge,
    /// Bytes between two counted frames.
    Garbage,
    /// The stream ended within a counted frame.
    Unfinished,
}

/// Why a message was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dropped {
    /// The kernel's receive buffer was full (UDP): sent, never received.
    Kernel,
    /// Received, but the process ended before it could be handed over.
    Queue,
}

impl Rejected {
    /// All, in the order of their counters.
    pub const ALL: [Self; 4] = [Self::Empty, Self::CountTooLarge, Self::Garbage, Self::Unfinished];

    /// As a label shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::CountTooLarge => "count_too_large",
            Self::Garbage => "garbage",
            Self::Unfinished => "unfinished",
        }
    }
}

impl From<FrameFault> for Rejected {
    fn from(fault: FrameFault) -> Self {
        match fault {
            FrameFault::CountTooLarge => Self::CountTooLarge,
            FrameFault::Garbage => Self::Garbage,
            FrameFault::Unfinished => Self::Unfinished,
        }
    }
}

impl Dropped {
    /// All, in the order of their counters.
    pub const ALL: [Self; 2] = [Self::Kernel, Self::Queue];

    /// As a label shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Queue => "queue",
        }
    }
}

/// Counters of one input, shared by its connections and by the stages behind it.
#[derive(Debug)]
pub struct Ledger {
    counts: Mutex<LedgerSnapshot>,
    input: Arc<str>,
}

/// A ledger at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// Name of the input.
    pub input: Arc<str>,
    /// Frames taken from the network.
    pub received_frames: u64,
    /// Bytes taken from the network.
    pub received_bytes: u64,
    /// Records given to the journal thread, and frames recognised as sent again before.
    pub handed_over: u64,
    /// Frames that wait for their continuation.
    pub waiting: u64,
    /// Frames that became part of the record before them (continuation).
    pub joined: u64,
    /// Records that the journal holds.
    pub stored: u64,
    /// Frames recognised as sent again; what they repeat is in the journal.
    pub duplicate: u64,
    /// Frames cut at the bound; they are handed over all the same.
    pub truncated: u64,
    /// By reason, in the order of [`Rejected::ALL`].
    pub rejected: [(Rejected, u64); Rejected::ALL.len()],
    /// By reason, in the order of [`Dropped::ALL`].
    pub dropped: [(Dropped, u64); Dropped::ALL.len()],
    /// Connections now.
    pub connections: u64,
    /// Connections accepted so far.
    pub connections_accepted: u64,
    /// Connections closed at once because of a bound.
    pub connections_refused: u64,
    /// Times the system refused to accept a connection (out of files, say).
    pub accept_errors: u64,
    /// Connections that ended with an error instead of an end.
    pub read_errors: u64,
    /// Sessions ended because their sender broke the protocol (RELP).
    pub session_faults: u64,
    /// Sessions ended because nothing could be made durable for 30 s (RELP).
    pub session_stalls: u64,
    /// TLS handshakes that failed, by reason, in the order of [`HandshakeFault::ALL`].
    pub handshakes_failed: [(HandshakeFault, u64); HandshakeFault::ALL.len()],
    /// Sessions ended because their sender went on in another one (RELP).
    pub session_superseded: u64,
    /// Size of the kernel's receive buffer as granted (UDP).
    pub receive_buffer_bytes: u64,
    /// When the last record came; counted by whoever makes it durable.
    pub last_received_ms: Option<InstantMs>,
    /// What the decoders counted.
    pub decoded: DecodeCounts,
}

/// What one read brought; merged into the ledger at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Frames found, bad ones included.
    pub frames: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Frames cut at the bound.
    pub truncated: u64,
    /// Frames that wait for their continuation: those that began to, less those that no longer do.
    pub waiting: i64,
    /// By reason, in the order of [`Rejected::ALL`].
    pub rejected: [u64; Rejected::ALL.len()],
}

impl ReadCounts {
    /// Counts a rejected frame.
    pub fn reject(&mut self, reason: Rejected) {
        self.rejected[reason as usize] += 1;
    }

    /// Adds what a later read brought.
    pub(crate) fn add(&mut self, later: &ReadCounts) {
        let ReadCounts { frames, bytes, truncated, waiting, rejected } = later;
        self.frames += frames;
        self.bytes += bytes;
        self.truncated += truncated;
        self.waiting += waiting;
        for (sum, count) in self.rejected.iter_mut().zip(rejected) {
            *sum += count;
        }
    }
}

impl Ledger {
    /// All zero.
    pub fn new(input: Arc<str>) -> Self {
        let counts = LedgerSnapshot {
            input: Arc::clone(&input),
            received_frames: 0,
            received_bytes: 0,
            handed_over: 0,
            waiting: 0,
            joined: 0,
            stored: 0,
            duplicate: 0,
            truncated: 0,
            rejected: Rejected::ALL.map(|reason| (reason, 0)),
            dropped: Dropped::ALL.map(|reason| (reason, 0)),
            connections: 0,
            connections_accepted: 0,
            connections_refused: 0,
            accept_errors: 0,
            read_errors: 0,
            session_faults: 0,
            session_stalls: 0,
            handshakes_failed: HandshakeFault::ALL.map(|fault| (fault, 0)),
            session_superseded: 0,
            receive_buffer_bytes: 0,
            last_received_ms: None,
            decoded: DecodeCounts::default(),
        };
        Self { counts: Mutex::new(counts), input }
    }

    fn lock(&self) -> MutexGuard<'_, LedgerSnapshot> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Name of the input.
    pub fn input(&self) -> &Arc<str> {
        &self.input
    }

    /// Adds what a read brought, what the decoder made of it, and how many records of it go to the journal thread.
    pub fn add_read(&self, read: &ReadCounts, decoded: DecodeCounts, handed_over: u64) {
        let mut counts = self.lock();
        counts.received_frames += read.frames;
        counts.received_bytes += read.bytes;
        counts.truncated += read.truncated;
        counts.joined += decoded.continued;
        counts.handed_over += handed_over;
        counts.waiting = counts.waiting.saturating_add_signed(read.waiting);
        for (counter, count) in counts.rejected.iter_mut().zip(read.rejected) {
            counter.1 += count;
        }
        merge(&mut counts.decoded, decoded);
    }

    /// Records that were counted as handed over and are lost: the process ends.
    pub fn add_not_handed_over(&self, records: u64) {
        let mut counts = self.lock();
        counts.handed_over = counts.handed_over.saturating_sub(records);
        counts.dropped[Dropped::Queue as usize].1 += records;
    }

    /// What became of records handed over, after the commit: stored (the last of them received at `recv_ms`), and
    /// sent again.
    pub fn add_committed(&self, stored: u64, duplicate: u64, recv_ms: Option<InstantMs>) {
        let mut counts = self.lock();
        counts.stored += stored;
        counts.duplicate += duplicate;
        counts.last_received_ms = counts.last_received_ms.max(recv_ms);
    }

    /// Frames that arrived and became no record.
    pub fn add_rejected(&self, reason: Rejected, frames: u64) {
        self.lock().rejected[reason as usize].1 += frames;
    }

    /// Messages lost.
    pub fn add_dropped(&self, reason: Dropped, messages: u64) {
        self.lock().dropped[reason as usize].1 += messages;
    }

    pub(crate) fn connection_opened(&self) {
        let mut counts = self.lock();
        counts.connections += 1;
        counts.connections_accepted += 1;
    }

    pub(crate) fn connection_closed(&self) {
        self.lock().connections -= 1;
    }

    pub(crate) fn connection_refused(&self) {
        self.lock().connections_refused += 1;
    }

    pub(crate) fn accept_error(&self) {
        self.lock().accept_errors += 1;
    }

    pub(crate) fn read_error(&self) {
        self.lock().read_errors += 1;
    }

    pub(crate) fn session_fault(&self) {
        self.lock().session_faults += 1;
    }

    pub(crate) fn session_stalled(&self) {
        self.lock().session_stalls += 1;
    }

    pub(crate) fn handshake_failed(&self, fault: HandshakeFault) {
        self.lock().handshakes_failed[fault as usize].1 += 1;
    }

    pub(crate) fn session_superseded(&self) {
        self.lock().session_superseded += 1;
    }

    pub(crate) fn set_receive_buffer(&self, bytes: u64) {
        self.lock().receive_buffer_bytes = bytes;
    }

    /// All counters now.
    pub fn snapshot(&self) -> LedgerSnapshot {
        self.lock().clone()
    }
}

impl LedgerSnapshot {
    /// Rejected frames for a reason.
    pub fn rejected(&self, reason: Rejected) -> u64 {
        self.rejected[reason as usize].1
    }

    /// Failed TLS handshakes for a reason.
    pub fn handshakes_failed(&self, fault: HandshakeFault) -> u64 {
        self.handshakes_failed[fault as usize].1
    }

    /// Lost messages for a reason.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize].1
    }

    /// Frames on their way to the journal's next commit, or waiting for their continuation.
    pub fn in_flight(&self) -> u64 {
        self.waiting + self.handed_over.saturating_sub(self.stored + self.duplicate)
    }

    /// Frames received of which nothing is known: 0, or frames are being lost (negative: more is accounted for than
    /// was received).
    pub fn unaccounted(&self) -> i64 {
        let rejected: u64 = self.rejected.iter().map(|entry| entry.1).sum();
        let decided = self.stored + self.duplicate + self.joined + rejected + self.dropped(Dropped::Queue);
        self.received_frames.wrapping_sub(decided + self.in_flight()).cast_signed()
    }
}

/// Adds counts of a decoder to a sum.
pub(crate) fn merge(sum: &mut DecodeCounts, counts: DecodeCounts) {
    let DecodeCounts {
        records,
        ill_typed,
        plain,
        short,
        long,
        truncated,
        transcoded,
        cards_masked,
        continued,
    } = counts;
    records.into_iter().for_each(|(key, n)| *sum.records.entry(key).or_default() += n);
    ill_typed.into_iter().for_each(|(key, n)| *sum.ill_typed.entry(key).or_default() += n);
    plain.into_iter().for_each(|(key, n)| *sum.plain.entry(key).or_default() += n);
    short.into_iter().for_each(|(key, n)| *sum.short.entry(key).or_default() += n);
    long.into_iter().for_each(|(key, n)| *sum.long.entry(key).or_default() += n);
    sum.truncated += truncated;
    sum.transcoded += transcoded;
    sum.cards_masked += cards_masked;
    sum.continued += continued;
}
