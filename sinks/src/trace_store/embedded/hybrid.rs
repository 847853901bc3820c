//! Parquet's hybrid of run lengths and bit packing, for levels and dictionary numbers.
//!
//! As in parquet-format's Encodings.md, "Run Length Encoding / Bit-Packing Hybrid", without the length in front.
//! Refuses to know: what the values stand for.

/// A run of at least so many equal values is worth a run length; bit packing goes by so many values too.
const GROUP: usize = 8;

/// Bits that the numbers 0 to `highest` need; one at least, which every reader understands.
pub(super) fn width(highest: u32) -> u32 {
    (u32::BITS - highest.leading_zeros()).max(1)
}

/// Appends `values`, each below 2 to the power of `width` (1 to 32), to `out`.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut at = 0;
    while at < values.len() {
        let run = run(&values[at..]);
        if run >= GROUP {
            varint((run as u64) << 1, out);
            let bytes = values[at].to_le_bytes();
            out.extend_from_slice(&bytes[..width.div_ceil(8) as usize]);
            at += run;
            continue;
        }
        let start = at;
        while at < values.len() && (at == start || self::run(&values[at..]) < GROUP) {
            at = (at + GROUP).min(values.len());
        }
        let groups = (at - start).div_ceil(GROUP);
        varint((groups as u64) << 1 | 1, out);
        pack(&values[start..at], groups, width, out);
    }
}

/// How many values at the beginning are equal.
fn run(values: &[u32]) -> usize {
    // Most runs are short: one look says so.
    if values.len() < GROUP || values[GROUP - 1] != values[0] {
        return 0;
    }
    values.iter().take_while(|value| **value == values[0]).count()
}

/// Little-endian bits, lowest first; the last group is filled up with zeros.
fn pack(values: &[u32], groups: usize, width: u32, out: &mut Vec<u8>) {
    let end = out.len() + groups * width as usize;
    out.reserve(end + 8 - out.len());
    let (mut held, mut bits) = (0_u64, 0);
    for value in values {
        held |= u64::from(*value) << bits;
        bits += width;
        if bits >= u32::BITS {
            out.extend_from_slice(&held.to_le_bytes()[..4]);
            held >>= u32::BITS;
            bits -= u32::BITS;
        }
    }
    out.extend_from_slice(&held.to_le_bytes());
    out.resize(end, 0);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `count` values back as the format's text says, one bit at a time.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let (byte, rest) = bytes.split_first().expect("a header");
                bytes = rest;
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let length = (header >> 1) as usize;
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                bytes = rest;
                let value = value.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
                values.extend(std::iter::repeat_n(value, length));
            } else {
                let (packed, rest) = bytes.split_at(length * width as usize);
                bytes = rest;
                let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
                let value =
                    |i: usize| (0..width as usize).map(|b| bit(i * width as usize + b) << b).sum::<u32>();
                values.extend((0..length * 8).map(value));
            }
        }
        assert!(bytes.is_empty(), "nothing follows");
        assert!(values.len() < count + GROUP && values[count..].iter().all(|value| *value == 0));
        values.truncate(count);
        values
    }

    fn runs() -> impl Strategy<Value = (u32, Vec<u32>)> {
        (1..=32_u32).prop_flat_map(|width| {
            let value = 0..=u32::MAX >> (32 - width);
            let run = prop_oneof![3 => 1..4_usize, 1 => 4..40_usize];
            let runs = prop::collection::vec((value, run), 0..40);
            let spread = |runs: Vec<(u32, usize)>| -> Vec<u32> {
                runs.into_iter().flat_map(|(value, run)| std::iter::repeat_n(value, run)).collect()
            };
            (Just(width), runs.prop_map(spread))
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back((width, values) in runs()) {
            let mut out = vec![7];
            encode(&values, width, &mut out);
            prop_assert_eq!(decode(&out[1..], width, values.len()), values);
        }
    }

    #[test]
    fn widths() {
        assert_eq!([0, 1, 2, 3, 4, 255, 256, u32::MAX].map(width), [1, 1, 2, 2, 3, 8, 9, 32]);
    }

    #[test]
    fn the_examples_of_the_format() {
        // Encodings.md: the numbers 0 to 7 in three bits are 10001000 11000110 11111010.
        let mut out = Vec::new();
        encode(&[0, 1, 2, 3, 4, 5, 6, 7], 3, &mut out);
        assert_eq!(out, [0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
        out.clear();
        encode(&[4; 100], 3, &mut out);
        assert_eq!(out, [0xc8, 0x01, 4]);
    }
}
