//! The receive buffer of a session: bytes in at the back, frames out at the front.
//!
//! Refuses to know: what the bytes mean.

use std::ops::Range;

/// What a buffer starts with, and what an idle one keeps.
const INITIAL_BYTES: usize = 32 << 10;
/// What it grows to while reads fill it.
const FULL_BYTES: usize = 128 << 10;

/// Bytes read and not yet taken.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Free space to read into; never empty. Call it only when no whole frame is left.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.is_empty() {
            self.bytes = vec![0; INITIAL_BYTES];
        } else if self.end == self.bytes.len() {
            // The frame at the front is bounded, and so is this.
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were put into [`Buffer::space`].
    pub(super) fn filled(&mut self, read: usize) {
        self.end += read;
        if self.end == self.bytes.len() && self.bytes.len() < FULL_BYTES {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }

    /// What was read and not taken.
    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Drops bytes at the front.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Removes bytes from the middle; positions as in [`Buffer::held`].
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let (from, upto) = (self.start + range.start, self.start + range.end);
        self.bytes.copy_within(upto..self.end, from);
        self.end -= range.len();
    }

    /// Gives memory back that an idle session does not need.
    pub(super) fn shrink(&mut self) {
        let held = self.end - self.start;
        let keep = held.next_power_of_two().max(INITIAL_BYTES);
        if self.bytes.len() > keep {
            let mut smaller = self.held().to_vec();
            smaller.resize(keep, 0);
            (self.bytes, self.start, self.end) = (smaller, 0, held);
        }
    }

    /// Whether [`Buffer::shrink`] would do anything.
    pub(super) fn is_large(&self) -> bool {
        self.bytes.len() > (self.end - self.start).next_power_of_two().max(INITIAL_BYTES)
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}
