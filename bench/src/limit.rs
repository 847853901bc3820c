//! The limit: what a process can do at most that reads the lines, finds every column and counts by channel.
//!
//! One pass, no copy, no allocation a line; no windows, no rules, nothing kept. Refuses to know: any product.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

use wide::u8x16;

/// Bytes a read.
const READ_BYTES: usize = 1024 * 1024;
/// Longest line.
const LINE_BYTES: usize = 128 * 1024;
/// Index of the channel's column.
const CHANNEL_COLUMN: usize = 13;

/// The limit's process: says its address, takes one connection, says how many lines and channels it saw.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut answers = std::io::stdout();
    writeln!(answers, "{}", listener.local_addr()?)?;
    let (mut stream, _) = listener.accept()?;
    let mut buffer = vec![0u8; READ_BYTES + LINE_BYTES];
    let mut counts = Counts::default();
    let mut held = 0;
    loop {
        let read = stream.read(&mut buffer[held..])?;
        if read == 0 {
            break;
        }
        let filled = held + read;
        let used = counts.take(&buffer[..filled]);
        buffer.copy_within(used..filled, 0);
        held = filled - used;
    }
    writeln!(answers, "{} {} {}", counts.lines, counts.columns, counts.channels())?;
    // The process stays until its CPU time is read.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(ExitCode::SUCCESS)
}

/// What was seen.
#[derive(Debug)]
struct Counts {
    lines: u64,
    columns: u64,
    /// Ends of the columns of the line at hand.
    ends: Vec<u32>,
    /// Open addressing by the channel's first eight bytes.
    table: Vec<(u64, u64)>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { lines: 0, columns: 0, ends: Vec::with_capacity(256), table: vec![(0, 0); 1024] }
    }
}

impl Counts {
    /// Takes all whole lines of `bytes`; gives back how many bytes that was.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut line_start = 0;
        let mut next_allowed = 0;
        self.ends.clear();
        let mut block = 0;
        while block < bytes.len() {
            let (bars, ends) = masks(&bytes[block..]);
            // A bar is the first of a delimiter if another follows; the bar after this block may be its second.
            let following = u64::from(bytes.get(block + 64) == Some(&b'|')) << 63;
            let mut found = (bars & (bars >> 1 | following)) | ends;
            while found != 0 {
                let at = block + found.trailing_zeros() as usize;
                found &= found - 1;
                if bytes[at] == b'\n' {
                    self.end_line(&bytes[line_start..at], line_start);
                    line_start = at + 1;
                } else if at >= next_allowed {
                    self.ends.push(at as u32);
                    next_allowed = at + 2;
                }
            }
            block += 64;
        }
        line_start
    }

    #[inline]
    fn end_line(&mut self, line: &[u8], start: usize) {
        self.lines += 1;
        self.columns += self.ends.len() as u64 + 1;
        if let (Some(before), Some(end)) = (self.ends.get(CHANNEL_COLUMN - 1), self.ends.get(CHANNEL_COLUMN))
        {
            self.count(&line[*before as usize + 2 - start..*end as usize - start]);
        }
        self.ends.clear();
    }

    #[inline]
    fn count(&mut self, channel: &[u8]) {
        let mut key = [0u8; 8];
        let length = channel.len().min(7);
        key[..length].copy_from_slice(&channel[..length]);
        key[7] = 1; // an empty channel is not an empty slot
        let key = u64::from_le_bytes(key);
        let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize;
        while self.table[slot].0 != key && self.table[slot].0 != 0 {
            slot = (slot + 1) % self.table.len();
        }
        self.table[slot] = (key, self.table[slot].1 + 1);
    }

    fn channels(&self) -> usize {
        self.table.iter().filter(|(_, count)| *count > 0).count()
    }
}

/// Where bars and line ends are among the next 64 bytes; bit i is byte i.
#[inline]
fn masks(bytes: &[u8]) -> (u64, u64) {
    let mut padded = [0u8; 64];
    let block: &[u8; 64] = match bytes.first_chunk() {
        Some(block) => block,
        None => {
            padded[..bytes.len()].copy_from_slice(bytes);
            &padded
        }
    };
    let (mut bars, mut ends) = (0, 0);
    for (i, part) in block.as_chunks::<16>().0.iter().enumerate() {
        let part = u8x16::new(*part);
        bars |= u64::from(part.simd_eq(u8x16::splat(b'|')).to_bitmask()) << (16 * i);
        ends |= u64::from(part.simd_eq(u8x16::splat(b'\n')).to_bitmask()) << (16 * i);
    }
    (bars, ends)
}

/// Lines and bytes of a file.
pub(crate) fn count_lines(path: &Path) -> anyhow::Result<(u64, u64)> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0u8; READ_BYTES];
    let (mut lines, mut bytes) = (0, 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((lines, bytes));
        }
        bytes += read as u64;
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, lines: u64, columns: u64, channels: usize) {
        for cut in [1, 7, 63, 64, 65, 1_000_000] {
            let mut counts = Counts::default();
            let mut held: Vec<u8> = Vec::new();
            for part in text.as_bytes().chunks(cut) {
                held.extend_from_slice(part);
                let used = counts.take(&held);
                held.drain(..used);
            }
            assert_eq!(
                (counts.lines, counts.columns, counts.channels()),
                (lines, columns, channels),
                "cut {cut}"
            );
        }
    }

    #[test]
    fn columns_are_found_as_a_plain_split_finds_them() {
        let line = "a||b||||c|||d||||||||x||y||z||1||2||GHT||end";
        let columns = line.split("||").count() as u64;
        assert!(columns > 14);
        check(&format!("{line}\n"), 1, columns, 1);
        check(&format!("{line}\n\nx\n{line}\n"), 4, 2 * columns + 2, 1);
        check(&format!("{}{}||UMP||\n", "-".repeat(61), "||".repeat(13)), 1, 16, 1);
    }
}
