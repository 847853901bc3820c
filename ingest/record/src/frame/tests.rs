//! Frames of a stream, in one piece and in many.

use super::*;

/// Frames and faults of a stream that arrives in pieces of the given sizes, over and over.
fn frames(stream: &[u8], bound: usize, pieces: &[usize]) -> Vec<Result<(Vec<u8>, bool), FrameFault>> {
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
