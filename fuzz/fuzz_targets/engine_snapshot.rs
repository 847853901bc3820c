//! Any bytes are an engine's state or are refused with a reason; an engine that comes of them can go on.
//!
//! The mark, the version and the checksum are set right before reading, so that what is within is reached; the first
//! bytes of the input choose between a given state that the rest changes and the rest as it is.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Engine, RuleFile, RuleSet};

const T0: i64 = 1_469_182_500_000;
const RULES: &str = r#"
groups:
  - name: g
    rules:
      - {alert: A, kind: any, where: has(channel), by: [channel], for: 3s, resolve_after: 5s}
      - {alert: F, kind: frequency, where: has(channel), count: 2, within: 10s, distinct: {field: channel, min: 2}}
      - {alert: S, kind: sustained, where: has(channel), count: 1, every: 2s, within: 4s, keep_firing_for: 2s,
         distinct: {field: merchant_no, min: 1, over: step}, settle: 1s}
      - {alert: C, kind: consecutive, where: 'response_code == "E"', reset: 'response_code == "0"', by: [channel],
         count: 2, within: 10s}
"#;

struct Given {
    rules: Arc<RuleSet>,
    formats: Arc<FormatSet>,
    rest: Batch,
    snapshot: Vec<u8>,
}

static GIVEN: LazyLock<Given> = LazyLock::new(|| {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let file = RuleFile { name: "fuzz.yaml".into(), text: RULES.into() };
    let rules = Arc::new(RuleSet::load(&[file], &formats).expect("the rules above are right"));
    let (first, rest) = (lines(&formats, 0..12), lines(&formats, 12..24));
    let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(&formats));
    engine.judge(&first, &mut Vec::new());
    let mut snapshot = Vec::new();
    engine.snapshot(&mut snapshot);
    Given { rules, formats, rest, snapshot }
});

fn lines(formats: &Arc<FormatSet>, range: std::ops::Range<i64>) -> Batch {
    let mut batch = Batch::default();
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, formats.find("order-trace"));
    for i in range.clone() {
        let mut columns = vec![String::new(); 66];
        columns[0] = format!("2016-07-22 18:15:{:02}.{:03}", i % 60, i * 37 % 1000);
        columns[9] = if i % 4 == 3 { "0".into() } else { "E".into() };
        columns[11] = format!("M{}", i % 3);
        columns[13] = format!("CH{}", i % 2);
        decoder.push(&mut batch, 0, columns.join("||").as_bytes(), Some(T0 + i * 1_000), false);
    }
    decoder.flush(&mut batch, 0);
    for (row, lsn) in batch.rows.iter_mut().zip(range.start as u64 + 1..) {
        row.lsn = lsn;
    }
    batch
}

fuzz_target!(|input: &[u8]| {
    let given = &*GIVEN;
    let mut bytes = given.snapshot[..given.snapshot.len() - 4].to_vec();
    match input.split_first_chunk::<3>() {
        // Overwrites, removes or inserts a run of bytes of the given state.
        Some((&[how, high, low], change)) if how < 128 => {
            let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
            let end = (at + usize::from(how % 32)).min(bytes.len());
            bytes.splice(at..end, change.iter().copied());
        }
        _ => bytes.splice(8.., input.iter().copied()).for_each(drop),
    }
    bytes.truncate(bytes.len().max(8));
    let head = given.snapshot[..8].to_vec();
    bytes.splice(..bytes.len().min(8), head);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let Ok((mut engine, _)) = Engine::restore(Arc::clone(&given.rules), Arc::clone(&given.formats), &bytes)
    else {
        return;
    };
    let mut out = Vec::new();
    engine.judge(&given.rest, &mut out);
    engine.tick(1_000, T0 + 100_000, &mut out);
    let mut written = Vec::new();
    engine.snapshot(&mut written);
    // A state that no entries lead to may be refused (a key that is never looked at outlives its numbers).
    if let Ok((again, _)) = Engine::restore(Arc::clone(&given.rules), Arc::clone(&given.formats), &written) {
        assert_eq!(again.state_hash(), engine.state_hash());
    }
});
