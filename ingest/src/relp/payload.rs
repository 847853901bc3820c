//! From the messages of one session to rows of a batch: decoding, counting, and which messages a batch stands for.
//!
//! A format may continue frames: the decoder then keeps the last message back until it knows what follows. Such a
//! message is not settled, and so is not answered, until its row is in a batch. Refuses to know: RELP's numbers.

use std::sync::Arc;

use record::{Batch, DecodeCounts, Decoder, FormatId, FormatSet, InstantMs, Transport};

use crate::ledger::{ReadCounts, Rejected};

/// Decodes the messages of one session.
#[derive(Debug)]
pub(super) struct Payloads {
    decoder: Decoder,
    source: Arc<str>,
    /// Messages that the decoder keeps back: one, and those that continue it.
    held: u64,
    /// What the ledger knows of frames that wait.
    told_waiting: i64,
    /// Messages that became rows, parts of rows, or nothing (empty ones) since the last call of
    /// [`Payloads::take_settled`].
    settled: u64,
    counts: ReadCounts,
}

impl Payloads {
    pub(super) fn new(formats: Arc<FormatSet>, format: Option<FormatId>, source: Arc<str>) -> Self {
        let decoder = Decoder::new(formats, Transport::Syslog, format);
        Self { decoder, source, held: 0, told_waiting: 0, settled: 0, counts: ReadCounts::default() }
    }

    /// Who sends.
    pub(super) fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// Takes the data of a `syslog` frame.
    pub(super) fn push(&mut self, batch: &mut Batch, data: &[u8], recv_ms: InstantMs, truncated: bool) {
        self.counts.frames += 1;
        self.counts.truncated += u64::from(truncated);
        if is_empty(data) {
            self.counts.reject(Rejected::Empty);
            // It is answered in its turn: behind those that are kept back.
            if self.held > 0 {
                self.held += 1;
            } else {
                self.settled += 1;
            }
            return;
        }
        let rows = batch.rows.len();
        let source = batch.source_index(&self.source);
        self.decoder.push(batch, source, data, Some(recv_ms), truncated);
        if batch.rows.len() > rows {
            self.settled += std::mem::take(&mut self.held);
        }
        if self.decoder.is_waiting() { self.held += 1 } else { self.settled += 1 }
    }

    /// Nothing follows for now: what was kept back is whole.
    pub(super) fn flush(&mut self, batch: &mut Batch) {
        if self.held > 0 {
            let source = batch.source_index(&self.source);
            self.decoder.flush(batch, source);
            self.settled += std::mem::take(&mut self.held);
        }
    }

    /// Whether [`Payloads::flush`] would do anything.
    pub(super) fn holds_back(&self) -> bool {
        self.held > 0
    }

    /// Counts bytes read from the network.
    pub(super) fn count_bytes(&mut self, bytes: u64) {
        self.counts.bytes += bytes;
    }

    /// Counts a frame that will not come to its end.
    pub(super) fn count_unfinished(&mut self) {
        self.counts.frames += 1;
        self.counts.reject(Rejected::Unfinished);
    }

    /// What is kept back will not be taken: its sender is not answered and sends it again.
    pub(super) fn abandon(&mut self) {
        if self.held > 0 {
            // Those that continue it are counted as joined.
            self.counts.reject(Rejected::Unfinished);
            self.held = 0;
        }
    }

    /// How many messages were settled since the last call, in order of arrival.
    pub(super) fn take_settled(&mut self) -> u64 {
        std::mem::take(&mut self.settled)
    }

    /// What was counted since the last call.
    pub(super) fn take_counts(&mut self) -> (ReadCounts, DecodeCounts) {
        let waiting = i64::from(self.held > 0);
        self.counts.waiting = waiting - std::mem::replace(&mut self.told_waiting, waiting);
        (std::mem::take(&mut self.counts), self.decoder.take_counts())
    }
}

/// Whether the decoder makes nothing of it.
fn is_empty(data: &[u8]) -> bool {
    let data = data.strip_suffix(b"\n").unwrap_or(data);
    let data = data.strip_suffix(b"\r").unwrap_or(data);
    data.strip_suffix(b"\0").unwrap_or(data).is_empty()
}
