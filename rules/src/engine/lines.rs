//! Texts of recently matched lines, bounded in bytes, the oldest out first.
//!
//! An alert shows a few of them at once; the rest is found in the trace store by LSN. Refuses to know: rules.

use std::collections::VecDeque;

use crate::codec::{In, Out, Read};

/// Bytes of one chunk.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks kept: 16 MiB of text.
const CHUNKS_MAX: usize = 64;

#[derive(Debug, Default)]
struct Chunk {
    first: u64,
    text: String,
    ends: Vec<u32>,
    /// Lines and bytes that stood here when a snapshot was taken: those still needed are in [`Lines::restored`].
    before: u64,
    before_bytes: usize,
}

/// The store. A line is named by the number that [`Lines::add`] returns.
#[derive(Debug, Default)]
pub(super) struct Lines {
    chunks: VecDeque<Chunk>,
    next: u64,
    /// Lines that a snapshot brought, by number.
    restored: VecDeque<(u64, Box<str>)>,
}

impl Lines {
    /// Keeps a line.
    pub(super) fn add(&mut self, line: &str) -> u64 {
        if self.chunks.back().is_none_or(|chunk| chunk.bytes() + line.len() > CHUNK_BYTES) {
            let mut chunk = Chunk::default();
            if self.chunks.len() >= CHUNKS_MAX
                && let Some(oldest) = self.chunks.pop_front()
            {
                chunk = oldest;
                chunk.text.clear();
                chunk.ends.clear();
                (chunk.before, chunk.before_bytes) = (0, 0);
                let first = self.chunks.front().map_or(self.next, |chunk| chunk.first);
                while self.restored.front().is_some_and(|(number, _)| *number < first) {
                    self.restored.pop_front();
                }
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
            let Some(i) = (number - chunk.first).checked_sub(chunk.before) else {
                let at = self.restored.binary_search_by_key(&number, |(held, _)| *held).ok()?;
                return Some(&*self.restored[at].1);
            };
            let i = usize::try_from(i).ok()?;
            let end = *chunk.ends.get(i)? as usize;
            let start = if i == 0 { 0 } else { chunk.ends[i - 1] as usize };
            chunk.text.get(start..end)
        });
        found.unwrap_or_default()
    }
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.before_bytes + self.text.len()
    }
}

impl Lines {
    /// Which lines are at hand, and the text of those that are needed (ascending).
    pub(super) fn write(&self, needed: &[u64], out: &mut Out<'_>) {
        out.number(self.next);
        out.len(self.chunks.len());
        for chunk in &self.chunks {
            out.number(chunk.first);
            out.len(chunk.bytes());
        }
        let kept =
            || needed.iter().map(|&number| (number, self.get(number))).filter(|(_, line)| !line.is_empty());
        out.len(kept().count());
        for (number, line) in kept() {
            out.number(number);
            out.text(line);
        }
    }

    pub(super) fn read(read: &mut In<'_>) -> Read<Self> {
        let mut lines = Self { next: read.counter()?, ..Self::default() };
        let len = read.len(2)?;
        read.check(len <= CHUNKS_MAX, "fewer chunks of lines")?;
        for _ in 0..len {
            let first = read.number()?;
            let last = lines.chunks.back().map_or(0, |chunk| chunk.first);
            read.check(first >= last && first <= lines.next, "chunks of lines in order")?;
            let before_bytes = usize::try_from(read.counter()?).or_else(|_| read.damage("a length"))?;
            lines.chunks.push_back(Chunk { first, before_bytes, ..Chunk::default() });
        }
        let ends = lines.chunks.iter().skip(1).map(|chunk| chunk.first).chain([lines.next]);
        let before: Vec<u64> = lines.chunks.iter().zip(ends).map(|(chunk, end)| end - chunk.first).collect();
        lines.chunks.iter_mut().zip(before).for_each(|(chunk, before)| chunk.before = before);
        for _ in 0..read.len(2)? {
            let number = read.number()?;
            let in_order = lines.restored.back().is_none_or(|(last, _)| *last < number);
            read.check(in_order && number < lines.next, "lines in order")?;
            lines.restored.push_back((number, read.text()?.into()));
        }
        Ok(lines)
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
