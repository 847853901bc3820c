//! However a stream is cut into reads, the rows are the same and every frame is accounted for.

use proptest::prelude::*;
use record::{ColumnConfig, Encoding, FormatConfig, MaskRule, Row};

use super::*;
use crate::ledger::Ledger;
use crate::ledger::LedgerSnapshot;

fn formats(continuation: bool) -> Arc<FormatSet> {
    let shipped = FormatSet::shipped("Asia/Shanghai".parse().unwrap());
    if !continuation {
        return Arc::new(shipped);
    }
    let column = |name: &str| ColumnConfig {
        name: name.to_owned(),
        kind: None,
        pattern: None,
        zone: None,
        mask: MaskRule::default(),
    };
    let joined = FormatConfig {
        name: "joined".to_owned(),
        grammar: Default::default(),
        delimiter: "||".to_owned(),
        encoding: Encoding::Auto,
        zone: None,
        continuation,
        unescape: false,
        columns: vec![column("a"), column("b")],
        time: None,
        header_time: false,
        rest: false,
        min_columns: None,
        detect: None,
    };
    Arc::new(shipped.with(vec![joined]).unwrap())
}

/// What comes out: texts and whether they were cut; and a ledger that has counted it.
struct Outcome {
    rows: Vec<(String, bool)>,
    ledger: Ledger,
}

fn decode(stream: &mut StreamDecoder, reads: &[&[u8]], ended: bool) -> Outcome {
    let ledger = Ledger::new("t".into());
    let mut rows = Vec::new();
    let mut collect = |stream: &mut StreamDecoder, batch: Batch| {
        let (read, decoded) = stream.take_counts();
        ledger.add_read(&read, decoded, batch.rows.len() as u64);
        let text = |row: &Row| (batch.text(row.frame).to_owned(), row.flags.has(record::RowFlags::TRUNCATED));
        rows.extend(batch.rows.iter().map(text));
    };
    for read in reads {
        let mut rest = *read;
        while !rest.is_empty() {
            let mut batch = Batch::default();
            let space = stream.space();
            let length = space.len().min(rest.len());
            space[..length].copy_from_slice(&rest[..length]);
            stream.filled(length, 1, &mut batch);
            rest = &rest[length..];
            collect(stream, batch);
        }
    }
    if ended {
        let mut batch = Batch::default();
        stream.finish(1, &mut batch);
        collect(stream, batch);
    }
    Outcome { rows, ledger }
}

fn stream(max_frame_bytes: usize) -> StreamDecoder {
    StreamDecoder::new(formats(false), None, max_frame_bytes, "t/1".into())
}

fn joining() -> StreamDecoder {
    let formats = formats(true);
    let format = formats.find("joined");
    StreamDecoder::new(formats, format, 131_072, "t/1".into())
}

fn texts(outcome: &Outcome) -> Vec<&str> {
    outcome.rows.iter().map(|row| row.0.as_str()).collect()
}

#[test]
fn what_is_left_at_the_end_is_kept_and_flagged_as_cut() {
    let ended = decode(&mut stream(1024), &[b"one\ntw"], true);
    assert_eq!(ended.rows, [("one".to_owned(), false), ("tw".to_owned(), true)]);
    assert_eq!(ended.ledger.snapshot().truncated, 1);
    let open = decode(&mut stream(1024), &[b"one\ntw"], false);
    assert_eq!(texts(&open), ["one"]);
}

#[test]
fn frames_that_hold_nothing_are_rejected_and_counted() {
    let outcome = decode(&mut stream(1024), &[b"1 \n5 <14>\n\0"], true);
    let snapshot = outcome.ledger.snapshot();
    assert_eq!(snapshot.unaccounted(), 0, "{snapshot:?}");
}

#[test]
fn a_frame_waits_for_its_continuation_until_the_connection_is_idle() {
    let mut stream = joining();
    let outcome = decode(&mut stream, &[b"a||b\nc||", b"d\n||e\n"], false);
    assert_eq!(texts(&outcome), ["a||b"]);
    let snapshot = outcome.ledger.snapshot();
    let LedgerSnapshot { received_frames, joined, handed_over, waiting, .. } = snapshot;
    assert_eq!((received_frames, joined, handed_over, waiting), (3, 1, 1, 1));
    assert_eq!(snapshot.unaccounted(), 0);
    assert!(stream.wants_idle());
    let mut batch = Batch::default();
    stream.idle(&mut batch);
    assert_eq!(batch.text(batch.rows[0].frame), "c||d||e");
    assert!(!stream.wants_idle());
}

#[test]
fn a_buffer_grows_with_its_sender_and_shrinks_when_it_is_idle() {
    let mut stream = stream(131_072);
    let line = [vec![b'x'; 100_000], vec![b'\n']].concat();
    let lines = line.repeat(30);
    let outcome = decode(&mut stream, &[&lines], false);
    assert_eq!(outcome.rows.len(), 30);
    assert_eq!(stream.space().len(), FULL_BUFFER_BYTES);
    decode(&mut stream, &[&line[1..40_000]], false);
    assert!(stream.wants_idle());
    stream.idle(&mut Batch::default());
    assert_eq!((stream.buf.len(), stream.wants_idle()), (65_536, false), "half a line keeps its room");
    let outcome = decode(&mut stream, &[&line[40_000..]], false);
    assert_eq!(outcome.rows[0].0.len(), 99_999);
    stream.idle(&mut Batch::default());
    assert_eq!(stream.space().len(), INITIAL_BUFFER_BYTES);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = "[ -~]{0,60}";
    prop_oneof![
        text.prop_map(|text| format!("<14>{text}\n").into_bytes()),
        text.prop_map(|text| format!("{text}\n").into_bytes()),
        text.prop_map(|text| format!("{} <14>{text}", text.len() + 4).into_bytes()),
        "[x]{1000,3000}".prop_map(|text| format!("{text}\n").into_bytes()),
        "\\|\\|[a-z]{0,5}".prop_map(|text| format!("{text}\n").into_bytes()),
        "[a-z]{0,5}\\|\\|[a-z]{0,5}".prop_map(|text| format!("{text}\n").into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..50),
    ]
}

proptest! {
    #[test]
    fn reads_may_be_cut_anywhere(
        pieces in proptest::collection::vec(piece(), 0..20),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..30),
        joins in any::<bool>(),
    ) {
        let bytes = pieces.concat();
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let reads: Vec<_> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let fresh = || if joins { joining() } else { stream(1024) };
        let whole = decode(&mut fresh(), &[&bytes], true);
        let cut = decode(&mut fresh(), &reads, true);
        prop_assert_eq!(&whole.rows, &cut.rows);
        let (whole, cut) = (whole.ledger.snapshot(), cut.ledger.snapshot());
        prop_assert_eq!((whole.unaccounted(), whole.waiting), (0, 0));
        prop_assert_eq!(cut.unaccounted(), 0);
        prop_assert_eq!(cut.received_bytes, bytes.len() as u64);
        prop_assert_eq!(&whole, &cut);
    }
}
