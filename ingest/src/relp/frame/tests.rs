//! The grammar, byte by byte.

use super::*;

type Found = (u32, Command, Vec<u8>, bool);

/// Frames of a stream, given to the reader `piece` bytes at a time: number, command, data, truncated.
fn frames(stream: &[u8], piece: usize, bound: usize) -> (Vec<Found>, Option<FrameError>) {
    let mut reader = FrameReader::new(bound);
    let (mut found, mut buf) = (Vec::new(), Vec::new());
    for chunk in stream.chunks(piece) {
        buf.extend_from_slice(chunk);
        loop {
            match reader.next(&buf) {
                Ok(Step::Frame { txnr, command, data, truncated, consumed }) => {
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
        assert!(buf.len() <= bound + 54 + piece, "more is kept than a header and the bound");
    }
    (found, None)
}

fn check(stream: &[u8], expected: &[(u32, Command, &[u8], bool)], error: Option<FrameError>) {
    for piece in 1..=stream.len().max(1) {
        let (found, failed) = frames(stream, piece, 10);
        let found: Vec<_> = found.iter().map(|(n, c, d, t)| (*n, *c, &**d, *t)).collect();
        assert_eq!((&*found, failed), (expected, error), "{piece} bytes at a time");
    }
}

#[test]
fn frames_with_and_without_data() {
    check(
        b"1 open 3 a=b\n2 syslog 4 \n\n \x00\n3 close 0\n000000004 serverclose 0\n",
        &[
            (1, Command::Open, b"a=b", false),
            (2, Command::Syslog, b"\n\n \x00", false),
            (3, Command::Close, b"", false),
            (4, Command::ServerClose, b"", false),
        ],
        None,
    );
}

#[test]
fn long_data_is_cut_and_the_next_frame_found() {
    check(
        b"1 syslog 12 0123456789ab\n2 syslog 10 0123456789\n3 syslog 30 012345678901234567890123456789\n4 x 0\n",
        &[
            (1, Command::Syslog, b"0123456789", true),
            (2, Command::Syslog, b"0123456789", false),
            (3, Command::Syslog, b"0123456789", true),
            (4, Command::Unknown, b"", false),
        ],
        None,
    );
}

#[test]
fn every_part_can_be_wrong() {
    for (stream, error) in [
        (&b"GET / HTTP/1.1\r\n"[..], FrameError::Txnr(b'G')),
        (b" 1 open 0\n", FrameError::Txnr(b' ')),
        (b"1\n", FrameError::Txnr(b'\n')),
        (b"1000000000 syslog 0\n", FrameError::TxnrTooLong),
        (b"0000000001 syslog 0\n", FrameError::TxnrTooLong),
        (b"1 sys1og 1 x\n", FrameError::Command(b'1')),
        (b"1  1 x\n", FrameError::Command(b' ')),
        (b"1 abcdefghijklmnopqrstuvwxyzabcdefg 0\n", FrameError::CommandTooLong),
        (b"1 syslog x\n", FrameError::Length(b'x')),
        (b"1 syslog -1 x\n", FrameError::Length(b'-')),
        (b"1 syslog 1\nx", FrameError::Length(b'\n')),
        (b"1 syslog 1000000000 x\n", FrameError::LengthTooLong),
        (b"1 syslog 16777217 x", FrameError::TooLarge(16_777_217)),
        (b"1 syslog 2 abc\n", FrameError::Trailer(b'c')),
        (b"1 syslog 12 0123456789abc\n", FrameError::Trailer(b'c')),
        (b"1 syslog 0 \n", FrameError::Trailer(b' ')),
    ] {
        check(stream, &[], Some(error));
    }
}

#[test]
fn a_word_of_32_letters_is_a_command() {
    check(b"1 abcdefghijklmnopqrstuvwxyzabcdef 0\n", &[(1, Command::Unknown, b"", false)], None);
}

#[test]
fn a_length_reserves_nothing() {
    let mut reader = FrameReader::new(10);
    assert_eq!(reader.next(b"1 syslog 16777216 x"), Ok(Step::Incomplete));
}
