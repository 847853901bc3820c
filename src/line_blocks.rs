//! A file of lines cut into blocks of whole lines, so that blocks can be decoded side by side.
//!
//! A block never ends between a line and its continuation (a line that starts with `||`). Refuses to know: formats.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Bytes read at a time: small enough to stay in a core's cache until they are decoded.
const READ_BYTES: usize = 512 * 1024;
/// Longer lines are cut here and flagged, as on a socket.
pub(crate) const LINE_BYTES_MAX: usize = 128 * 1024;
/// A run of continuations longer than this is cut where a line ends.
const RUN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Reads a file block by block.
pub(crate) struct LineBlocks {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    /// What was read and belongs to the next block.
    carry: Vec<u8>,
    /// The rest of a line that is too long is being dropped.
    dropping: bool,
    ended: bool,
}

impl LineBlocks {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let input: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
            Box::new(file)
        };
        Ok(Self::of(path, input))
    }

    fn of(path: &Path, input: Box<dyn Read + Send>) -> Self {
        Self { path: path.to_owned(), input, carry: Vec::new(), dropping: false, ended: false }
    }

    /// Replaces `block` by the next whole lines; false at the end of the file.
    pub(crate) fn next(&mut self, block: &mut Vec<u8>) -> Result<bool> {
        block.clear();
        block.append(&mut self.carry);
        while !self.ended {
            let from = block.len();
            self.read(block)?;
            self.drop_excess(block, from);
            if self.ended {
                break;
            }
            if let Some(end) = last_end(block) {
                self.carry.extend_from_slice(&block[end..]);
                block.truncate(end);
                return Ok(true);
            }
        }
        Ok(!block.is_empty())
    }

    /// Appends what one read brings.
    fn read(&mut self, block: &mut Vec<u8>) -> Result<()> {
        let from = block.len();
        block.resize(from + READ_BYTES, 0);
        let mut filled = from;
        while filled < block.len() {
            match self.input.read(&mut block[filled..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("{}: cannot be read", self.path.display()));
                }
            }
        }
        block.truncate(filled);
        Ok(())
    }

    /// A line without end does not fill the memory: one byte beyond the bound is kept to tell that it was longer.
    fn drop_excess(&mut self, block: &mut Vec<u8>, from: usize) {
        if self.dropping {
            match memchr::memchr(b'\n', &block[from..]) {
                Some(end) => {
                    drop(block.drain(from..from + end));
                    self.dropping = false;
                }
                None => block.truncate(from),
            }
        }
        let start = memchr::memrchr(b'\n', block).map_or(0, |end| end + 1);
        if block.len() - start > LINE_BYTES_MAX + 1 {
            block.truncate(start + LINE_BYTES_MAX + 1);
            self.dropping = true;
        }
    }
}

/// Where the last line ends that the following bytes do not continue; `None` if no line ends so.
fn last_end(block: &[u8]) -> Option<usize> {
    for newline in memchr::memrchr_iter(b'\n', block) {
        let rest = &block[newline + 1..];
        if rest.len() >= 2 && !rest.starts_with(b"||") {
            return Some(newline + 1);
        }
    }
    let last = memchr::memrchr(b'\n', block)?;
    (block.len() > RUN_BYTES_MAX).then_some(last + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = LineBlocks::of(Path::new("test"), Box::new(io::Cursor::new(bytes.to_vec())));
        let (mut all, mut block) = (Vec::new(), Vec::new());
        while reader.next(&mut block).expect("memory can be read") {
            all.push(block.clone());
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn nothing_is_lost_and_no_continuation_is_cut_off(
            lines in proptest::collection::vec(("(\\|\\|)?[a|]{0,9}", 1usize..60_000), 1..40),
            ended in any::<bool>(),
        ) {
            let mut text = Vec::new();
            for (start, length) in &lines {
                text.extend_from_slice(start.as_bytes());
                text.resize(text.len() + length, b'x');
                text.push(b'\n');
            }
            if !ended {
                text.pop();
            }
            let blocks = blocks(&text);
            prop_assert_eq!(blocks.concat(), text);
            for block in blocks.iter().skip(1) {
                prop_assert!(!block.starts_with(b"||"));
            }
            for block in blocks.iter().rev().skip(1) {
                prop_assert!(block.ends_with(b"\n"));
            }
        }
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; 5_000_000];
        text.extend_from_slice(b"\nshort\n");
        let all = blocks(&text).concat();
        assert_eq!(all.len(), LINE_BYTES_MAX + 1 + "\nshort\n".len());
        assert!(all.ends_with(b"x\nshort\n"));
    }
}
