//! Texts of recently matched lines, bounded in bytes, the oldest out first.
//!
//! An alert shows a few of them at once; the rest is found in the trace store by LSN. Refuses to know: rules.

use std::collections::VecDeque;

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks kept: 16 MiB of text.
const CHUNKS_MAX: usize = 64;

#[derive(Debug, Default)]
struct Chunk {
    first: u64,
    text: String,
    ends: Vec<u32>,
}

/// The store. A line is named by the number that [`Lines::add`] returns.
#[derive(Debug, Default)]
pub(super) struct Lines {
    chunks: VecDeque<Chunk>,
    next: u64,
}

impl Lines {
    /// Keeps a line.
    pub(super) fn add(&mut self, line: &str) -> u64 {
        if self.chunks.back().is_none_or(|chunk| chunk.text.len() + line.len() > CHUNK_BYTES) {
            let mut chunk = Chunk::default();
            if self.chunks.len() >= CHUNKS_MAX
                && let Some(oldest) = self.chunks.pop_front()
            {
                chunk = oldest;
                chunk.text.clear();
                chunk.ends.clear();
            }
            chunk.first = self.next;
            self.chunks.push_back(chunk);
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.text.push_str(line);
            chunk.ends.push(u32::try_from(chunk.text.len()).unwrap_or(u32::MAX));
        }
        self.next += 1;
        self.next - 1
    }

    /// A line, or empty if it is no longer at hand.
    pub(super) fn get(&self, number: u64) -> &str {
        let at = self.chunks.partition_point(|chunk| chunk.first <= number);
        let found = at.checked_sub(1).and_then(|at| {
            let chunk = &self.chunks[at];
            let i = usize::try_from(number - chunk.first).ok()?;
            let end = *chunk.ends.get(i)? as usize;
            let start = if i == 0 { 0 } else { chunk.ends[i - 1] as usize };
            chunk.text.get(start..end)
        });
        found.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_lines_until_they_are_out() {
        let mut lines = Lines::default();
        let text = |i: u64| format!("line {i} {}", "x".repeat(1_000));
        for i in 0..40_000 {
            assert_eq!(lines.add(&text(i)), i);
        }
        assert_eq!(lines.get(39_999), text(39_999));
        assert_eq!(lines.get(30_000), text(30_000));
        assert_eq!(lines.get(0), "");
        assert_eq!(lines.get(40_000), "");
        assert!(lines.chunks.len() <= CHUNKS_MAX);
    }
}
