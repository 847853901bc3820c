//! The session against the probes of real servers and a naive model.

use proptest::prelude::*;

use super::super::frame::{FrameReader, Step};
use super::*;

const OFFERS: &str = "relp_version=0\nrelp_software=test\ncommands=syslog";

fn frame(txnr: u32, command: &str, data: &str) -> String {
    if data.is_empty() {
        format!("{txnr} {command} 0\n")
    } else {
        format!("{txnr} {command} {} {data}\n", data.len())
    }
}

/// What a server says to these frames when every message gets durable, told without states.
fn model(frames: &[(u32, &str, &str)]) -> (String, Vec<String>) {
    let (mut said, mut messages, mut expected, mut opened) = (String::new(), Vec::new(), 1, false);
    for (txnr, command, data) in frames {
        let bye = |said: &mut String, why: Option<&str>| {
            if let Some(why) = why {
                said.push_str(&frame(*txnr, "rsp", why));
            }
            said.push_str("0 serverclose 0\n");
        };
        let why = match (*command, opened) {
            _ if *txnr != expected => None,
            ("open", false) if data.contains("commands=syslog") => {
                let offers = format!(
                    "relp_version=0\nrelp_software=watchroom,{}\ncommands=syslog",
                    env!("CARGO_PKG_VERSION")
                );
                said.push_str(&frame(*txnr, "rsp", &format!("200 OK\n{offers}")));
                opened = true;
                expected += 1;
                continue;
            }
            ("open", false) => Some("500 required command not supported by client"),
            ("syslog", true) => {
                messages.push((*data).to_owned());
                said.push_str(&frame(*txnr, "rsp", "200 OK"));
                expected += 1;
                continue;
            }
            ("close", true) => Some("200 OK"),
            ("open", true) => Some("500 session is open already"),
            _ => None,
        };
        bye(&mut said, why);
        break;
    }
    (said, messages)
}

/// What the session says to a stream that comes in pieces, when messages get durable in groups.
fn spoken(stream: &[u8], pieces: &[usize], acks: &[u64]) -> (String, Vec<String>) {
    let (mut session, mut reader) = (Session::new(0), FrameReader::new(1024));
    let (mut out, mut messages, mut buf, mut at) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let (mut pieces, mut acks) = (pieces.iter().cycle(), acks.iter().cycle());
    while at < stream.len() {
        let piece = (*pieces.next().expect("cycles")).min(stream.len() - at);
        buf.extend_from_slice(&stream[at..at + piece]);
        at += piece;
        while let Step::Frame { txnr, command, data, consumed, .. } = reader.next(&buf).expect("well-formed")
        {
            if session.frame(txnr, command, &buf[data.clone()], &mut out) == Ok(Action::Deliver) {
                messages.push(String::from_utf8(buf[data].to_vec()).expect("text"));
            }
            buf.drain(..consumed);
        }
        let durable = (*acks.next().expect("cycles")).min(session.unanswered);
        session.ack(durable, &mut out);
    }
    session.ack(session.unanswered, &mut out);
    assert_eq!(session.is_over(), out.ends_with(b"0 serverclose 0\n"));
    (String::from_utf8(out).expect("text"), messages)
}

type Frames = Vec<(u32, &'static str, &'static str)>;

/// Mostly a session as it should be, sometimes not.
fn frames() -> impl Strategy<Value = Frames> {
    let body = prop_oneof![
        20 => Just(("syslog", "a message")),
        5 => Just(("syslog", "")),
        2 => Just(("close", "")),
        1 => Just(("open", OFFERS)),
        1 => Just(("rsp", "200 OK")),
        1 => Just(("serverclose", "")),
        1 => Just(("starttls", "")),
        1 => Just(("nonsense", "x")),
    ];
    let slips = prop_oneof![60 => Just(0_i64), 1 => Just(1), 1 => Just(-1), 1 => Just(-1000)];
    let first = prop_oneof![8 => Just(("open", OFFERS)), 1 => Just(("open", "")), 1 => Just(("syslog", "x"))];
    let rest = prop::collection::vec((body, slips), 0..30);
    (first, rest).prop_map(|(first, rest)| {
        let numbered = rest.into_iter().enumerate().map(|(index, ((command, data), slip))| {
            let txnr = index as i64 + 2 + slip;
            (txnr.max(0) as u32, command, data)
        });
        std::iter::once((1, first.0, first.1)).chain(numbered).collect()
    })
}

proptest! {
    #[test]
    fn says_what_the_model_says_however_the_stream_is_cut(
        frames in frames(),
        pieces in prop::collection::vec(1_usize..40, 1..10),
        acks in prop::collection::vec(0_u64..6, 1..10),
    ) {
        let stream: String = frames.iter().map(|(txnr, command, data)| frame(*txnr, command, data)).collect();
        let expected = model(&frames);
        prop_assert_eq!(&spoken(stream.as_bytes(), &pieces, &acks), &expected);
        prop_assert_eq!(&spoken(stream.as_bytes(), &[1], &[0]), &expected);
        prop_assert_eq!(&spoken(stream.as_bytes(), &[stream.len()], &[u64::MAX]), &expected);
    }
}

#[test]
fn after_999999999_comes_1() {
    let mut out = Vec::new();
    let mut session = Session::new(0);
    session.frame(1, Command::Open, OFFERS.as_bytes(), &mut out).expect("opens");
    (session.expected, session.oldest) = (TXNR_MAX, TXNR_MAX);
    assert_eq!(session.frame(TXNR_MAX, Command::Syslog, b"x", &mut out), Ok(Action::Deliver));
    assert_eq!(session.frame(1, Command::Syslog, b"x", &mut out), Ok(Action::Deliver));
    out.clear();
    session.ack(2, &mut out);
    assert_eq!(out, b"999999999 rsp 6 200 OK\n1 rsp 6 200 OK\n");
}

#[test]
fn a_session_must_be_opened_in_time() {
    let mut out = Vec::new();
    let mut session = Session::new(5);
    assert_eq!(session.deadline_ms(), Some(10_005));
    assert_eq!(session.late(10_004, &mut out), None);
    assert_eq!(session.late(10_005, &mut out), Some(Fault::OpenLate));
    assert_eq!(out, b"0 serverclose 0\n");
}

#[test]
fn a_frame_must_end_in_time_but_silence_is_legal() {
    let mut out = Vec::new();
    let mut session = Session::new(0);
    session.frame(1, Command::Open, OFFERS.as_bytes(), &mut out).expect("opens");
    session.rest(100, false, true);
    assert_eq!(session.deadline_ms(), None);
    session.rest(200, true, false);
    session.rest(20_000, true, false);
    assert_eq!(session.deadline_ms(), Some(30_200), "counted from its first byte");
    session.paused(1_000);
    assert_eq!(session.deadline_ms(), Some(31_200), "not counted while nobody read");
    session.rest(25_000, true, true);
    assert_eq!(session.late(54_999, &mut out), None, "that one came to its end: this is the next");
    assert_eq!(session.late(55_000, &mut out), Some(Fault::FrameLate));
    assert!(session.is_over());
}

#[test]
fn what_is_not_durable_is_not_answered_when_this_side_gives_up() {
    let mut out = Vec::new();
    let mut session = Session::new(0);
    session.frame(1, Command::Open, OFFERS.as_bytes(), &mut out).expect("opens");
    session.frame(2, Command::Syslog, b"x", &mut out).expect("is taken");
    session.frame(3, Command::Close, b"", &mut out).expect("is taken");
    out.clear();
    session.give_up(&mut out);
    assert_eq!(out, b"0 serverclose 0\n");
    assert!(session.is_over() && !session.was_closed());
}
