//! Asking a bloom filter in a file by reading one of its blocks.
//!
//! Split block bloom filter with XXH64, as in parquet-format's BloomFilter.md; a filter has 64 KiB, a block 32
//! bytes, and a trail asks four filters of every row group.
//! Refuses to know: which column a filter is of.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const BLOCK_BYTES: u64 = 32;
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Where a filter's bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bloom {
    start: u64,
    bytes: u64,
}

impl Bloom {
    /// From the footer's offset and length, which count the header too. The bits are a power of two and the
    /// header is shorter than a block; anything else is not understood and not used.
    pub(super) fn new(offset: i64, length: i32) -> Option<Self> {
        let (offset, length) = (u64::try_from(offset).ok()?, u64::try_from(length).ok()?);
        let bytes = 1 << length.checked_ilog2()?;
        let header = length - bytes;
        (bytes >= BLOCK_BYTES && header > 0 && header < BLOCK_BYTES)
            .then_some(Self { start: offset + header, bytes })
    }

    /// False: the value with this hash is not in the column. True: it probably is.
    pub(super) fn may_hold(self, file: &File, hash: u64) -> io::Result<bool> {
        let blocks = self.bytes / BLOCK_BYTES;
        let block = ((hash >> 32) * blocks) >> 32;
        let mut bits = [0; BLOCK_BYTES as usize];
        file.read_exact_at(&mut bits, self.start + block * BLOCK_BYTES)?;
        let (words, _) = bits.as_chunks::<4>();
        let low = (hash & u64::from(u32::MAX)) as u32;
        Ok(words.iter().zip(SALT).all(|(word, salt)| {
            let bit = low.wrapping_mul(salt) >> 27;
            u32::from_le_bytes(*word) >> bit & 1 == 1
        }))
    }
}

/// Hash of a value as filters know it.
pub(super) fn hash(value: &[u8]) -> u64 {
    twox_hash::XxHash64::oneshot(0, value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use parquet::bloom_filter::Sbbf;

    use super::*;

    #[test]
    fn a_block_answers_as_the_whole_filter() {
        for (number, values) in [1_u64, 100, 5_000].into_iter().enumerate() {
            let mut filter = Sbbf::new_with_ndv_fpp(values, 0.01).unwrap();
            (0..values).for_each(|value| filter.insert(format!("O{value}").as_str()));
            let mut bytes = vec![7; 100];
            filter.write(&mut bytes).unwrap();
            let name = format!("watchroom-bloom-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::write(&path, &bytes).unwrap();
            let length = i32::try_from(bytes.len() - 100).unwrap();
            let bloom = Bloom::new(100, length).unwrap();
            let file = File::open(&path).unwrap();
            for value in (0..2 * values).map(|value| format!("O{value}")) {
                let held = bloom.may_hold(&file, hash(value.as_bytes())).unwrap();
                assert_eq!(held, filter.check(value.as_str()), "{value} of {values}");
            }
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn lengths_that_are_no_filter_are_not_used() {
        for length in [-1, 0, 31, 32, 64, 96, 97] {
            assert_eq!(Bloom::new(0, length), None, "{length}");
        }
    }
}
