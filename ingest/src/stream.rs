//! From the bytes of one connection to rows of a batch: buffer, framing, decoding, counting. No socket in here.
//!
//! Refuses to know: where bytes come from (TCP and TLS share it) and where batches go.

use std::sync::Arc;

use record::{Batch, DecodeCounts, Decoder, FormatId, FormatSet, Framer, InstantMs, Step, Transport};

use crate::ledger::{ReadCounts, Rejected};

/// What a connection's buffer starts with.
const INITIAL_BUFFER_BYTES: usize = 32 << 10;
/// What it grows to while reads fill it: small enough to stay in a core's cache between reading and decoding.
const FULL_BUFFER_BYTES: usize = 128 << 10;

/// Reads frames from one connection.
#[derive(Debug)]
pub(crate) struct StreamDecoder {
    framer: Framer,
    decoder: Decoder,
    source: Arc<str>,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    max_buffer_bytes: usize,
    /// Frames given to the decoder that are neither rows nor joined to one: one may wait for its continuation, the
    /// others were empty.
    open: u64,
    /// Of these, as many as the ledger knows of.
    told_open: u64,
    counts: ReadCounts,
    decoded: DecodeCounts,
}

impl StreamDecoder {
    pub(crate) fn new(
        formats: Arc<FormatSet>,
        format: Option<FormatId>,
        max_frame_bytes: usize,
        source: Arc<str>,
    ) -> Self {
        Self {
            framer: Framer::new(max_frame_bytes),
            decoder: Decoder::new(formats, Transport::Syslog, format),
            source,
            buf: Vec::new(),
            start: 0,
            end: 0,
            // A whole frame with its count, and something of the next.
            max_buffer_bytes: FULL_BUFFER_BYTES.max(2 * max_frame_bytes),
            open: 0,
            told_open: 0,
            counts: ReadCounts::default(),
            decoded: DecodeCounts::default(),
        }
    }

    /// Free space to read into; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buf.is_empty() {
            self.buf = vec![0; INITIAL_BUFFER_BYTES];
        } else if self.end == self.buf.len() {
            self.grow();
        }
        &mut self.buf[self.end..]
    }

    /// Takes `read` bytes that were put into [`StreamDecoder::space`]: appends the rows of all whole frames.
    pub(crate) fn filled(&mut self, read: usize, recv_ms: InstantMs, batch: &mut Batch) {
        self.end += read;
        self.counts.bytes += read as u64;
        let full = self.end == self.buf.len();
        self.decode(recv_ms, batch);
        if self.end - self.start == self.max_buffer_bytes {
            // The framer bounds frames well below this; should it ever not, the connection must not stand still.
            self.counts.frames += 1;
            self.counts.reject(Rejected::Garbage);
            self.start = self.end;
        }
        if full && self.buf.len() < FULL_BUFFER_BYTES {
            self.grow();
        }
    }

    /// Nothing came for a while: appends a frame that waited for its continuation, gives memory back.
    pub(crate) fn idle(&mut self, batch: &mut Batch) {
        self.flush(batch, batch.rows.len());
        if self.buf.len() > self.idle_bytes() {
            let mut smaller = self.buf[self.start..self.end].to_vec();
            smaller.resize(self.idle_bytes(), 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.buf = smaller;
        }
    }

    /// Whether [`StreamDecoder::idle`] would do anything.
    pub(crate) fn wants_idle(&self) -> bool {
        self.open > 0 || self.buf.len() > self.idle_bytes()
    }

    /// What an idle connection may keep: room for its half frame.
    fn idle_bytes(&self) -> usize {
        (self.end - self.start).next_power_of_two().max(INITIAL_BUFFER_BYTES)
    }

    /// The stream has ended: what is left may be half a line (its sender died) or a last line without its line feed.
    /// It is kept and flagged as cut: never is a part taken for the whole.
    pub(crate) fn finish(&mut self, recv_ms: InstantMs, batch: &mut Batch) {
        self.decode(recv_ms, batch);
        let before = batch.rows.len();
        while self.start < self.end {
            match self.framer.finish(&self.buf[self.start..self.end]) {
                Step::Frame { start, end, consumed, .. } => {
                    self.push(batch, self.start + start..self.start + end, recv_ms, true);
                    self.start += consumed.max(1);
                }
                Step::Bad { fault, consumed } => {
                    self.counts.frames += 1;
                    self.counts.reject(fault.into());
                    self.start += consumed.max(1);
                }
                Step::Skip { consumed } => self.start += consumed.max(1),
                Step::Incomplete => break,
            }
        }
        self.start = self.end;
        self.flush(batch, before);
    }

    /// What was counted since the last call.
    pub(crate) fn take_counts(&mut self) -> (ReadCounts, DecodeCounts) {
        self.counts.waiting = self.open.wrapping_sub(self.told_open).cast_signed();
        self.told_open = self.open;
        (std::mem::take(&mut self.counts), std::mem::take(&mut self.decoded))
    }

    fn decode(&mut self, recv_ms: InstantMs, batch: &mut Batch) {
        let before = batch.rows.len();
        let mut pushed = 0;
        while self.start < self.end {
            match self.framer.next(&self.buf[self.start..self.end]) {
                Step::Frame { start, end, consumed, truncated } => {
                    self.push(batch, self.start + start..self.start + end, recv_ms, truncated);
                    self.start += consumed.max(1);
                    pushed += 1;
                }
                Step::Bad { fault, consumed } => {
                    self.counts.frames += 1;
                    self.counts.reject(fault.into());
                    self.start += consumed.max(1);
                }
                Step::Skip { consumed } => self.start += consumed.max(1),
                Step::Incomplete => break,
            }
        }
        if pushed > 0 {
            self.settle((batch.rows.len() - before) as u64, 1);
        }
    }

    fn push(
        &mut self,
        batch: &mut Batch,
        frame: std::ops::Range<usize>,
        recv_ms: InstantMs,
        truncated: bool,
    ) {
        self.counts.frames += 1;
        self.counts.truncated += u64::from(truncated);
        self.open += 1;
        let source = batch.source_index(&self.source);
        self.decoder.push(batch, source, &self.buf[frame], Some(recv_ms), truncated);
    }

    /// Appends the frame that waits. `before`: rows of the batch that are accounted for.
    fn flush(&mut self, batch: &mut Batch, before: usize) {
        let source = batch.source_index(&self.source);
        self.decoder.flush(batch, source);
        self.settle((batch.rows.len() - before) as u64, 0);
    }

    /// Accounts for open frames: `rows` of them became rows, others joined those; at most `waiting` still wait.
    fn settle(&mut self, rows: u64, waiting: u64) {
        let decoded = self.decoder.take_counts();
        self.open = self.open.saturating_sub(rows + decoded.continued);
        let empty = self.open.saturating_sub(waiting);
        self.open -= empty;
        self.counts.rejected[Rejected::Empty as usize] += empty;
        crate::ledger::merge(&mut self.decoded, decoded);
    }

    fn grow(&mut self) {
        let length = (self.buf.len() * 2).clamp(INITIAL_BUFFER_BYTES, self.max_buffer_bytes);
        self.buf.resize(length, 0);
    }
}

#[cfg(test)]
mod tests;
