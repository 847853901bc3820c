//! Any bytes, in any cutting, give the same RELP frames and the same error, and the buffer stays bounded.
#![no_main]

use ingest::relp::frame::{Command, FrameError, FrameReader, Step};
use libfuzzer_sys::fuzz_target;

const BOUND: usize = 64;
/// Number, command and length with their spaces, and the final line feed.
const AROUND: usize = 9 + 1 + 32 + 1 + 9 + 1 + 1;

type Found = Vec<(u32, Command, Vec<u8>, bool)>;

fn frames(stream: &[u8], piece: usize) -> (Found, Option<FrameError>) {
    let mut reader = FrameReader::new(BOUND);
    let (mut found, mut buf) = (Found::new(), Vec::new());
    for chunk in stream.chunks(piece) {
        buf.extend_from_slice(chunk);
        loop {
            match reader.next(&buf) {
                Ok(Step::Frame { txnr, command, data, truncated, consumed }) => {
                    assert!(txnr <= 999_999_999 && data.len() <= BOUND && data.end < consumed);
                    assert!(!truncated || data.len() == BOUND);
                    found.push((txnr, command, buf[data].to_vec(), truncated));
                    buf.drain(..consumed);
                }
                Ok(Step::Excess(excess)) => {
                    assert!(!excess.is_empty());
                    buf.drain(excess);
                }
                Ok(Step::Incomplete) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        // What is left waits for more.
        assert!(buf.len() <= BOUND + AROUND);
    }
    (found, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((piece, stream)) = data.split_first() else { return };
    let whole = frames(stream, usize::MAX);
    assert_eq!(whole, frames(stream, 1));
    assert_eq!(whole, frames(stream, usize::from(*piece).max(1)));
});
