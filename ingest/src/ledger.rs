//! The loss ledger of one input: what was received, and what became of it. Exact.
//!
//! `received = handed_over + joined + rejected(reason) + dropped(reason) + duplicate`, frames; `dropped(kernel)`
//! stands beside it: those were sent, but never received. Counted per batch, not per line. Refuses to know: how
//! numbers are shown.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use record::{DecodeCounts, FrameFault, InstantMs};

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
    input: Arc<str>,
    received_frames: AtomicU64,
    received_bytes: AtomicU64,
    handed_over: AtomicU64,
    joined: AtomicU64,
    stored: AtomicU64,
    duplicate: AtomicU64,
    truncated: AtomicU64,
    rejected: [AtomicU64; Rejected::ALL.len()],
    dropped: [AtomicU64; Dropped::ALL.len()],
    connections: AtomicU64,
    connections_accepted: AtomicU64,
    connections_refused: AtomicU64,
    accept_errors: AtomicU64,
    read_errors: AtomicU64,
    receive_buffer_bytes: AtomicU64,
    /// 0: nothing yet.
    last_received_ms: AtomicI64,
    decoded: Mutex<DecodeCounts>,
}

/// A ledger at one moment. Numbers of one batch appear together or not at all only when the input is at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// Name of the input.
    pub input: Arc<str>,
    /// Frames taken from the network.
    pub received_frames: u64,
    /// Bytes taken from the network.
    pub received_bytes: u64,
    /// Records given to the journal thread.
    pub handed_over: u64,
    /// Frames that became part of the record before them (continuation).
    pub joined: u64,
    /// Records stored; counted by whoever stores.
    pub stored: u64,
    /// Frames recognised as sent again.
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
    /// By reason, in the order of [`Rejected::ALL`].
    pub rejected: [u64; Rejected::ALL.len()],
}

impl ReadCounts {
    /// Counts a rejected frame.
    pub fn reject(&mut self, reason: Rejected) {
        self.rejected[reason as usize] += 1;
    }
}

impl Ledger {
    /// All zero.
    pub fn new(input: Arc<str>) -> Self {
        Self {
            input,
            received_frames: AtomicU64::default(),
            received_bytes: AtomicU64::default(),
            handed_over: AtomicU64::default(),
            joined: AtomicU64::default(),
            stored: AtomicU64::default(),
            duplicate: AtomicU64::default(),
            truncated: AtomicU64::default(),
            rejected: Default::default(),
            dropped: Default::default(),
            connections: AtomicU64::default(),
            connections_accepted: AtomicU64::default(),
            connections_refused: AtomicU64::default(),
            accept_errors: AtomicU64::default(),
            read_errors: AtomicU64::default(),
            receive_buffer_bytes: AtomicU64::default(),
            last_received_ms: AtomicI64::default(),
            decoded: Mutex::default(),
        }
    }

    /// Name of the input.
    pub fn input(&self) -> &Arc<str> {
        &self.input
    }

    /// Adds what a read brought and what the decoder made of it.
    pub fn add_read(&self, read: &ReadCounts, decoded: DecodeCounts) {
        self.received_frames.fetch_add(read.frames, Relaxed);
        self.received_bytes.fetch_add(read.bytes, Relaxed);
        self.truncated.fetch_add(read.truncated, Relaxed);
        self.joined.fetch_add(decoded.continued, Relaxed);
        for (counter, count) in self.rejected.iter().zip(read.rejected) {
            if count > 0 {
                counter.fetch_add(count, Relaxed);
            }
        }
        merge(&mut self.decoded.lock().unwrap_or_else(PoisonError::into_inner), decoded);
    }

    /// Records given to the journal thread.
    pub fn add_handed_over(&self, records: u64) {
        self.handed_over.fetch_add(records, Relaxed);
    }

    /// Records stored, the last of them received at `recv_ms`.
    pub fn add_stored(&self, records: u64, recv_ms: Option<InstantMs>) {
        self.stored.fetch_add(records, Relaxed);
        if let Some(recv_ms) = recv_ms {
            self.last_received_ms.fetch_max(recv_ms, Relaxed);
        }
    }

    /// Frames recognised as sent again.
    pub fn add_duplicate(&self, frames: u64) {
        self.duplicate.fetch_add(frames, Relaxed);
    }

    /// Frames that arrived and became no record.
    pub fn add_rejected(&self, reason: Rejected, frames: u64) {
        self.rejected[reason as usize].fetch_add(frames, Relaxed);
    }

    /// Messages lost.
    pub fn add_dropped(&self, reason: Dropped, messages: u64) {
        self.dropped[reason as usize].fetch_add(messages, Relaxed);
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Relaxed);
        self.connections_accepted.fetch_add(1, Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn accept_error(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn read_error(&self) {
        self.read_errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn set_receive_buffer(&self, bytes: u64) {
        self.receive_buffer_bytes.store(bytes, Relaxed);
    }

    /// All counters now.
    pub fn snapshot(&self) -> LedgerSnapshot {
        LedgerSnapshot {
            input: Arc::clone(&self.input),
            received_frames: self.received_frames.load(Relaxed),
            received_bytes: self.received_bytes.load(Relaxed),
            handed_over: self.handed_over.load(Relaxed),
            joined: self.joined.load(Relaxed),
            stored: self.stored.load(Relaxed),
            duplicate: self.duplicate.load(Relaxed),
            truncated: self.truncated.load(Relaxed),
            rejected: Rejected::ALL.map(|reason| (reason, self.rejected[reason as usize].load(Relaxed))),
            dropped: Dropped::ALL.map(|reason| (reason, self.dropped[reason as usize].load(Relaxed))),
            connections: self.connections.load(Relaxed),
            connections_accepted: self.connections_accepted.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            accept_errors: self.accept_errors.load(Relaxed),
            read_errors: self.read_errors.load(Relaxed),
            receive_buffer_bytes: self.receive_buffer_bytes.load(Relaxed),
            last_received_ms: Some(self.last_received_ms.load(Relaxed)).filter(|ms| *ms != 0),
            decoded: self.decoded.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl LedgerSnapshot {
    /// Rejected frames for a reason.
    pub fn rejected(&self, reason: Rejected) -> u64 {
        self.rejected[reason as usize].1
    }

    /// Lost messages for a reason.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize].1
    }

    /// Frames received and not yet accounted for: on their way now (a frame that waits for its continuation, say);
    /// 0 when the input is at rest, or frames are being lost.
    pub fn unaccounted(&self) -> i64 {
        let rejected: u64 = self.rejected.iter().map(|entry| entry.1).sum();
        let accounted =
            self.handed_over + self.joined + self.duplicate + rejected + self.dropped(Dropped::Queue);
        self.received_frames.wrapping_sub(accounted).cast_signed()
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
