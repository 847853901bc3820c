//! Any bytes from a client, in any cutting and with any timing of commits, get the same answers: in order, each message
//! once and never with 500, and nothing after the goodbye.
#![no_main]

use ingest::relp::frame::{FrameReader, Step};
use ingest::relp::session::{Action, Session};
use libfuzzer_sys::fuzz_target;

const HELLO: &[u8] = b"1 open 30 relp_version=0\ncommands=syslog\n";

fn answers(stream: &[u8], piece: usize, acks: u64) -> (Vec<u8>, Vec<u32>) {
    let (mut session, mut reader) = (Session::new(0), FrameReader::new(64));
    let (mut out, mut buf, mut delivered, mut answered) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for chunk in stream.chunks(piece) {
        buf.extend_from_slice(chunk);
        while session.takes_frames() {
            match reader.next(&buf) {
                Ok(Step::Frame { txnr, command, data, consumed, .. }) => {
                    if session.frame(txnr, command, &buf[data], &mut out) == Ok(Action::Deliver) {
                        delivered.push(txnr);
                    }
                    buf.drain(..consumed);
                }
                Ok(Step::Excess(excess)) => drop(buf.drain(excess)),
                Ok(Step::Incomplete) => break,
                Err(_) => session.end(&mut out),
            }
        }
        let durable = acks.min(delivered.len() as u64 - answered);
        answered += durable;
        session.ack(durable, &mut out);
    }
    session.ack(delivered.len() as u64 - answered, &mut out);
    assert_eq!(session.is_over(), out.ends_with(b"0 serverclose 0\n"));
    (out, delivered)
}

fuzz_target!(|data: &[u8]| {
    let [piece, acks, opened, stream @ ..] = data else { return };
    let stream = if opened % 4 == 0 { stream.to_vec() } else { [HELLO, stream].concat() };
    let whole = answers(&stream, usize::MAX, u64::MAX);
    assert_eq!(whole, answers(&stream, 1, 0));
    assert_eq!(whole, answers(&stream, usize::from(*piece).max(1), u64::from(*acks)));
    let (out, delivered) = whole;
    let text = String::from_utf8(out).expect("answers are text");
    let mut expected = delivered.iter();
    for line in text.lines() {
        let Some((txnr, rest)) = line.split_once(" rsp ") else { continue };
        let txnr: u32 = txnr.parse().expect("a number");
        if delivered.contains(&txnr) {
            assert_eq!((Some(&txnr), rest), (expected.next(), "6 200 OK"));
        }
    }
    assert_eq!(expected.next(), None, "every message is answered");
    assert!(text.matches("serverclose").count() <= 1);
});
