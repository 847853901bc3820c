//! Splitting a line into columns in one pass.
//!
//! Refuses to know: formats. The plain statement of the same language is `grammar::fields`.

use wide::u8x16;

use crate::Span;

const BLOCK: usize = 64;
const LANES: usize = 16;

/// Appends the spans of the columns of `line` to `spans`; offsets are relative to `base`: a line at offset 100 of a
/// batch has base 100. Delimiters are found leftmost first and do not overlap: `a|||b` is `a` and `|b`. An empty line is
/// one empty column. An empty delimiter never occurs: the line is one column.
pub fn split(line: &[u8], delimiter: &[u8], base: u32, spans: &mut Vec<Span>) {
    match delimiter {
        [a, b] if a == b => split_doubled::<false>(line, *a, base, usize::MAX, spans),
        [] => spans.push(Span { start: base, end: base + offset(line.len()) }),
        _ => {
            let mut start = base;
            for at in memchr::memmem::find_iter(line, delimiter) {
                spans.push(Span { start, end: base + offset(at) });
                start = base + offset(at + delimiter.len());
            }
            spans.push(Span { start, end: base + offset(line.len()) });
        }
    }
}

/// The same for a delimiter of one byte written twice, up to column `most`, which takes what remains. `most` is at
/// least 1.
pub(crate) fn split_first(line: &[u8], byte: u8, base: u32, most: usize, spans: &mut Vec<Span>) {
    split_doubled::<true>(line, byte, base, spans.len() + most - 1, spans);
}

/// Lines are shorter than 4 GiB: frames are bounded far below.
fn offset(at: usize) -> u32 {
    at as u32
}

/// Delimiters of one byte written twice, 64 bytes at a time: bit i of a block's mask says that a delimiter may begin
/// at byte i.
///
/// When it stops, it stops at `full` spans: what remains is the last one.
fn split_doubled<const STOPS: bool>(line: &[u8], byte: u8, base: u32, full: usize, spans: &mut Vec<Span>) {
    let needle = u8x16::splat(byte);
    let mut start = base;
    // Whether the block's first byte is the second byte of the delimiter before it.
    let mut taken = 0_u64;
    let mut block_base = base;
    let (blocks, tail) = line.as_chunks::<BLOCK>();
    let mut padded = [!byte; BLOCK];
    padded[..tail.len()].copy_from_slice(tail);
    let mut next = blocks.iter().chain(std::iter::once(&padded)).peekable();
    while let Some(block) = next.next() {
        let mask = equal_bits(block, needle);
        let follows = next.peek().is_some_and(|following| following[0] == byte);
        let mut candidates = mask & (mask >> 1 | u64::from(follows) << 63) & !taken;
        taken = 0;
        spans.reserve(candidates.count_ones() as usize);
        while candidates != 0 {
            if STOPS && spans.len() == full {
                spans.push(Span { start, end: base + offset(line.len()) });
                return;
            }
            let bit = candidates.trailing_zeros();
            spans.push(Span { start, end: block_base + bit });
            start = block_base + bit + 2;
            // This delimiter, and the one that would begin at its second byte.
            candidates &= !(0b11 << bit);
            taken = u64::from(bit == 63);
        }
        block_base += BLOCK as u32;
    }
    spans.push(Span { start, end: base + offset(line.len()) });
}

/// Bit i: byte i of the block equals the needle.
fn equal_bits(block: &[u8; BLOCK], needle: u8x16) -> u64 {
    let mut bits = 0;
    for (i, lane) in block.as_chunks::<LANES>().0.iter().enumerate() {
        bits |= u64::from(u8x16::from(*lane).simd_eq(needle).to_bitmask()) << (i * LANES);
    }
    bits
}

#[cfg(test)]
mod tests;
