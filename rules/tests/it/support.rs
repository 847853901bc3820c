//! What the tests of random streams share: rule files of one text, lines as the journal has them, bytes that go bad.

use std::sync::Arc;

use proptest::prelude::*;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{RuleFile, RuleSet};

/// The rules of a file, with the shipped formats.
pub(crate) fn load_file(text: &str) -> (Arc<RuleSet>, Arc<FormatSet>) {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let files = [RuleFile { name: "r.yaml".into(), text: text.to_owned() }];
    let rules = RuleSet::load(&files, &formats).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    (Arc::new(rules), formats)
}

/// Entries of a journal in its order: a line or a tick (none), and when it came.
pub(crate) fn journal(
    formats: &Arc<FormatSet>,
    entries: impl Iterator<Item = (Option<String>, Option<i64>)>,
) -> Batch {
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, formats.find("order-trace"));
    let mut batch = Batch::default();
    let source = batch.source_index(&Arc::from("file"));
    for (line, recv_ms) in entries {
        match line {
            Some(line) => decoder.push(&mut batch, source, line.as_bytes(), recv_ms, false),
            None => batch.push_tick(0, recv_ms.unwrap_or_default()),
        }
    }
    decoder.flush(&mut batch, source);
    for (row, lsn) in batch.rows.iter_mut().zip(1..) {
        row.lsn = lsn;
    }
    batch
}

/// Some rows of a batch.
pub(crate) fn part(whole: &Batch, from: usize, to: usize) -> Batch {
    Batch { rows: whole.rows[from..to].to_vec(), ..whole.clone() }
}

/// What becomes of bytes: where, which value, and how.
pub(crate) type Damage = (prop::sample::Index, u8, u8);

/// A few damages.
pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4)
}

/// Bytes that end with a checksum, damaged; `repair`: with a checksum that fits all the same.
pub(crate) fn damage(written: &[u8], changes: Vec<Damage>, repair: bool) -> Vec<u8> {
    let body = &written[..written.len() - 4];
    let mut bytes = body.to_vec();
    for (at, value, how) in changes {
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = value,
            1 => bytes[at] = bytes[at].wrapping_add(1),
            2 => bytes.truncate(at.max(8)),
            _ => bytes.insert(at, value),
        }
    }
    let crc = crc32c::crc32c(if repair { &bytes } else { body });
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}
