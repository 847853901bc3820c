//! Frames of a stream, in one piece and in many.

use proptest::prelude::*;

use super::*;

type Found = Vec<Result<(Vec<u8>, bool), FrameFault>>;

/// Frames and faults of a stream that arrives in pieces of the given sizes, over and over.
fn frames(stream: &[u8], bound: usize, pieces: &[usize]) -> Found {
    let mut framer = Framer::new(bound);
    let mut found = Vec::new();
    let (mut buf, mut read, mut sizes) = (Vec::new(), 0, pieces.iter().cycle());
    loop {
        let ended = read == stream.len();
        loop {
            let step = if ended { framer.finish(&buf) } else { framer.next(&buf) };
            let consumed = match step {
                Step::Frame { start, end, consumed, truncated } => {
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
            assert!(consumed > 0 && consumed <= buf.len(), "{step:?} of {} bytes", buf.len());
            buf.drain(..consumed);
        }
        if ended {
            assert!(buf.is_empty(), "left over: {buf:?}");
            return found;
        }
        let upto = stream.len().min(read + sizes.next().unwrap().max(&1));
        buf.extend_from_slice(&stream[read..upto]);
        read = upto;
    }
}

fn check(stream: &[u8], expect: &[&str]) {
    let shown = |pieces: &[usize]| -> Vec<String> {
        frames(stream, 30, pieces)
            .into_iter()
            .map(|f| match f {
                Ok((frame, false)) => String::from_utf8(frame).unwrap(),
                Ok((frame, true)) => format!("{}...", String::from_utf8(frame).unwrap()),
                Err(fault) => format!("! {fault:?}"),
            })
            .collect()
    };
    assert_eq!(shown(&[usize::MAX / 2]), expect);
    assert_eq!(shown(&[1]), expect, "byte by byte");
}

#[test]
fn both_framings_in_one_stream() {
    check(
        b"<13>a\r\n\n5 <13>b<14>c\n6 <13>de2016-07-22 18:15:00||x\n404 not found\n",
        &["<13>a", "<13>b", "<14>c", "<13>de", "2016-07-22 18:15:00||x", "404 not found"],
    );
    check(b"<13>a\0<13>b\0\n<13>c\0", &["<13>a", "<13>b", "<13>c"]);
    check(b"7 <13>b\n6 <13>de", &["<13>b\n6", "! Garbage"]);
}

#[test]
fn the_bound_cuts_and_the_rest_is_skipped() {
    let x = |n: usize| "x".repeat(n);
    let (long, cut) = (x(100), x(30) + "...");
    check(format!("{long}\n<13>b\n").as_bytes(), &[&cut, "<13>b"]);
    check(format!("{}\r\n{}\n", x(30), x(31)).as_bytes(), &[&x(30), &cut]);
    check(format!("104 <13>{long}5 <13>b").as_bytes(), &[&format!("<13>{}...", x(26)), "<13>b"]);
    check(format!("104 <13>{}", x(50)).as_bytes(), &[&format!("<13>{}...", x(26))]);
    check(b"20 <13>cut off", &["! Unfinished"]);
}

#[test]
fn a_wrong_count_costs_its_neighbour_at_most() {
    check(b"4 <13>one7 <13>two7 <13>six", &["<13>", "! Garbage", "<13>two", "<13>six"]);
    check(b"9 <13>one7 <13>two7 <13>six", &["<13>one7 ", "<13>two", "<13>six"]);
    check(b"999999999 <13>one7 <13>two", &["! CountTooLarge", "<13>two"]);
    check(b"16777217 <13>one\n<13>two\n", &["! CountTooLarge", "<13>two"]);
    check(b"123456789012345678901 <13>text\n", &["123456789012345678901 <13>text"]);
    check(b"4 <13>5||ok7 <13>two", &["<13>", "5||ok", "<13>two"]);
    check(b"3 <13>is too short for a PRI\n", &["3 <13>is too short for a PRI"]);
    check(b"0 <13>a\n007 <13>b\n+5 <13>c\n5  <13>d\n", &["0 <13>a", "007 <13>b", "+5 <13>c", "5  <13>d"]);
}

/// The same framing of a whole stream, as plainly as it can be said.
fn naive(stream: &[u8], bound: usize) -> Found {
    let (mut found, mut left, mut after_counted) = (Vec::new(), stream, false);
    loop {
        let empty = left.iter().take_while(|b| [b'\n', b'\r', 0].contains(b)).count();
        after_counted &= !left[..empty].contains(&b'\n');
        left = &left[empty..];
        if left.is_empty() {
            return found;
        }
        let digits = left.iter().take_while(|b| b.is_ascii_digit()).count();
        let pri = if left.get(digits) == Some(&b' ') { naive_pri(&left[digits + 1..]) } else { 0 };
        let count = std::str::from_utf8(&left[..digits]).unwrap().parse::<usize>().unwrap_or(usize::MAX);
        let resume_after = if left[0] != b'0' && (1..=20).contains(&digits) && pri > 0 && count >= pri {
            left = &left[digits + 1..];
            if count > COUNT_MAX {
                found.push(Err(FrameFault::CountTooLarge));
                Some(true)
            } else if left.len() < count.min(bound) {
                found.push(Err(FrameFault::Unfinished));
                return found;
            } else {
                let frame = &left[..count.min(bound)];
                let kept = if count > bound { frame } else { naive_trim(frame) };
                found.push(Ok((kept.to_vec(), count > bound)));
                left = &left[count.min(left.len())..];
                after_counted = true;
                None
            }
        } else if after_counted && left[0] != b'<' && digits == 0 {
            found.push(Err(FrameFault::Garbage));
            Some(true)
        } else {
            let (end, next) = naive_end(left, 1, after_counted);
            let line = naive_trim(&left[..end]);
            if line.len() <= bound {
                found.push(Ok((line.to_vec(), false)));
                after_counted &= end == next && end < left.len();
                left = &left[next..];
                None
            } else {
                found.push(Ok((left[..bound].to_vec(), true)));
                left = &left[bound..];
                Some(after_counted)
            }
        };
        if let Some(counts) = resume_after {
            let (end, next) = naive_end(left, 0, counts);
            after_counted = end == next && end < left.len();
            left = &left[next..];
        }
    }
}

fn naive_pri(text: &[u8]) -> usize {
    let digits = text.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    let is_pri =
        text.first() == Some(&b'<') && (1..=3).contains(&digits) && text.get(digits + 1) == Some(&b'>');
    if is_pri { digits + 2 } else { 0 }
}

fn naive_trim(frame: &[u8]) -> &[u8] {
    let mut frame = frame;
    for trailer in [b"\n", b"\r", b"\0"] {
        frame = frame.strip_suffix(trailer).unwrap_or(frame);
    }
    frame
}

fn naive_end(text: &[u8], from: usize, counts: bool) -> (usize, usize) {
    for i in from..text.len() {
        if text[i] == b'\n' || text[i] == 0 && text.get(i + 1) == Some(&b'<') {
            return (i, i + 1);
        }
        let before = text[..i].iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let zeros = text[i - before..i].iter().all(|b| *b == b'0');
        let digits = text[i..].iter().take_while(|b| b.is_ascii_digit()).count();
        let number = text[i] != b'0' && zeros && digits > 0 && before + digits <= 8;
        if counts && number && text.get(i + digits) == Some(&b' ') && naive_pri(&text[i + digits + 1..]) > 0 {
            return (i, i);
        }
    }
    (text.len(), text.len())
}

/// Streams of right and wrong frames in both framings, and noise.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::collection::vec(prop::sample::select(&b"ab<>013 9\n\r\0|"[..]), 0..40);
    let piece = (text, 0..9_u8, 0..8_usize).prop_map(|(text, kind, off)| {
        let message = [b"<13>", &text[..]].concat();
        let counted = |count: usize| [count.to_string().as_bytes(), b" ", &message].concat();
        match kind {
            0..=2 => counted(message.len()),
            3 => counted((message.len() + off).saturating_sub(4)),
            4 => counted(20_000_000 * off + 30),
            5 | 6 => [&message[..], b"\n"].concat(),
            7 => [&message[..], b"\0"].concat(),
            _ => text,
        }
    });
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_split_gives_what_the_plain_statement_says(
        stream in streams(),
        bound in 1..60_usize,
        pieces in prop::collection::vec(1..30_usize, 1..6),
    ) {
        let expected = naive(&stream, bound);
        prop_assert_eq!(frames(&stream, bound, &[usize::MAX / 2]), &expected[..], "in one piece");
        prop_assert_eq!(frames(&stream, bound, &[1]), &expected[..], "byte by byte");
        prop_assert_eq!(frames(&stream, bound, &pieces), &expected[..], "in pieces");
    }
}

/// A long line that comes in small reads is not searched from its beginning at each of them.
#[test]
fn the_buffer_stays_bounded_and_the_time_linear() {
    let mut framer = Framer::new(1_000);
    let mut buf = Vec::new();
    for _ in 0..100_000 {
        buf.extend_from_slice(b"some text without an end, 16 bytes or more ");
        while let Step::Frame { consumed, .. } | Step::Skip { consumed } = framer.next(&buf) {
            buf.drain(..consumed);
        }
        assert!(buf.len() <= 1_100);
    }
}
