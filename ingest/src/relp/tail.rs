//! The tail of a session, and whether the head of another repeats it.
//!
//! A sender whose session broke sends everything again that it has no answer to: in order, the same bytes, and so
//! what arrived of it the first time is the end of what arrived at all. Lines are compared as they are stored (masked,
//! UTF-8), by a 64-bit hash, so that a tail can be rebuilt from the journal. Refuses to know: connections, senders.

use std::collections::VecDeque;

/// Lines of a session that are remembered: more than any sender's window (128 by default).
pub(crate) const TAIL_LINES: usize = 4096;

/// The hash of a line as stored. Fixed for ever: tails are written to disk.
pub(crate) fn line_hash(frame: &[u8]) -> u64 {
    twox_hash::XxHash64::oneshot(0, frame)
}

/// The last lines of a session, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tail(VecDeque<u64>);

/// What a head is to a tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Likeness {
    /// So many lines at the head are the tail's last ones, to its very end.
    pub(crate) repeats: usize,
    /// All lines of the head stand within the tail: more of them may complete a longer match.
    pub(crate) open: bool,
}

impl Tail {
    /// Remembers lines.
    pub(crate) fn extend(&mut self, lines: impl IntoIterator<Item = u64>) {
        self.0.extend(lines);
        let surplus = self.0.len().saturating_sub(TAIL_LINES);
        self.0.drain(..surplus);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }

    /// Whether there is nothing to repeat.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hashes, oldest first.
    pub(crate) fn lines(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.0.iter().copied()
    }

    /// Compares a head with this tail. Takes time in proportion to both (Knuth, Morris and Pratt), however alike
    /// their lines are.
    pub(crate) fn compare(&self, head: &[u64]) -> Likeness {
        let Some(last) = head.len().checked_sub(1) else { return Likeness { repeats: 0, open: true } };
        let borders = borders(head);
        let mut matched = 0;
        let mut open = false;
        for (index, line) in self.0.iter().enumerate() {
            while matched > 0 && (matched > last || head[matched] != *line) {
                matched = borders[matched - 1];
            }
            matched += usize::from(head[matched] == *line);
            open |= matched > last && index + 1 < self.0.len();
        }
        Likeness { repeats: matched, open }
    }
}

/// For each prefix of `head`: the length of the longest shorter prefix that also ends it.
fn borders(head: &[u64]) -> Vec<usize> {
    let mut borders = vec![0; head.len()];
    for end in 1..head.len() {
        let mut length = borders[end - 1];
        while length > 0 && head[length] != head[end] {
            length = borders[length - 1];
        }
        borders[end] = length + usize::from(head[length] == head[end]);
    }
    borders
}

#[cfg(test)]
mod tests;
