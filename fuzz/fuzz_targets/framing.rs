//! Any bytes, in any cutting, give the same frames and faults, and every step makes progress.
#![no_main]

use libfuzzer_sys::fuzz_target;
use record::{FrameFault, Framer, Step};

const BOUND: usize = 64;

fn frames(stream: &[u8], piece: usize) -> Vec<Result<(Vec<u8>, bool), FrameFault>> {
    let mut framer = Framer::new(BOUND);
    let (mut found, mut buf, mut read) = (Vec::new(), Vec::new(), 0);
    loop {
        let ended = read == stream.len();
        loop {
            let step = if ended { framer.finish(&buf) } else { framer.next(&buf) };
            let consumed = match step {
                Step::Frame { start, end, consumed, truncated } => {
                    assert!(end - start <= BOUND && end <= consumed);
                    found.push(Ok((buf[start..end].to_vec(), truncated)));
                    consumed
                }
                Step::Bad { fault, consumed } => {
                    found.push(Err(fault));
                    consumed
                }
                Step::Skip { consumed } => consumed,
                Step::Incomplete => break,
            };
            assert!(consumed > 0 && consumed <= buf.len());
            buf.drain(..consumed);
        }
        if ended {
            assert!(buf.is_empty());
            return found;
        }
        // What is left waits for more: the bound, a count and the longest trailer.
        assert!(buf.len() < BOUND + 32);
        let upto = stream.len().min(read + piece);
        buf.extend_from_slice(&stream[read..upto]);
        read = upto;
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((piece, stream)) = data.split_first() else { return };
    let whole = frames(stream, usize::MAX / 2);
    assert_eq!(whole, frames(stream, 1));
    assert_eq!(whole, frames(stream, usize::from(*piece).max(1)));
});
