//! Any frame becomes one row of valid text; the splitter says what the grammar says; masking twice is masking once; a
//! stored frame makes the row that it was.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use record::{Batch, Decoder, FormatSet, Transport, dump, grammar, mask_cards, split};

static FORMATS: LazyLock<Arc<FormatSet>> =
    LazyLock::new(|| Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai)));

fuzz_target!(|frame: &[u8]| {
    for delimiter in [&b"||"[..], b"|", b"\t", b"<>"] {
        let mut spans = Vec::new();
        split(frame, delimiter, 0, &mut spans);
        let parts: Vec<&[u8]> = spans.iter().map(|s| &frame[s.start as usize..s.end as usize]).collect();
        assert_eq!(parts, grammar::fields(frame, delimiter));
    }
    let mut once = frame.to_vec();
    mask_cards(&mut once);
    assert_eq!(mask_cards(&mut once), 0);

    let mut batch = Batch::default();
    let recv_ms = Some(1_469_182_500_000);
    Decoder::new(Arc::clone(&FORMATS), Transport::Syslog, None).push(&mut batch, 0, frame, recv_ms, false);
    for record in batch.records(&FORMATS) {
        let text = std::str::from_utf8(batch.slice(record.row.frame)).expect("frames are UTF-8");
        for column in 0..record.row.spans_len as usize {
            assert!(record.raw(column).is_none() || record.text(column).is_some());
        }
        let mut again = Batch::default();
        let mut reader = Decoder::new(Arc::clone(&FORMATS), Transport::File, None);
        reader.push_stored(&mut again, 0, record.row.format, text.as_bytes(), 0, recv_ms, record.row.flags);
        assert_eq!(dump(&record), dump(&again.record(0, &FORMATS)));
    }
});
