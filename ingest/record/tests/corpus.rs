//! The golden corpus: every line of `corpus/*.log` with the dump of what it reads as, in the `.txt` beside it.
//!
//! A file named `pinned-FORMAT.log` is read as a listener of that format would; the others line by line.
//! `UPDATE_EXPECT=1 cargo test -p record --test corpus` writes the dumps anew; read the difference before it is kept.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use expect_test::expect_file;
use record::{Batch, Decoder, FormatSet, Transport, dump};

/// 2016-07-22 18:15:00 in Shanghai.
const RECV_MS: i64 = 1_469_182_500_000;
const LINES_MIN: usize = 150;

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the corpus is part of the crate")
        .map(|entry| entry.expect("its files can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    files
}

fn lines(file: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(file).expect("it was listed");
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn every_line_reads_as_its_dump_says() {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    for file in files() {
        let stem = file.file_stem().and_then(|s| s.to_str()).expect("names are ASCII");
        let pinned = stem.strip_prefix("pinned-").map(|name| formats.find(name).expect("a shipped format"));
        let mut out = String::new();
        for (number, line) in lines(&file).iter().enumerate() {
            let mut decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, pinned);
            let mut batch = Batch::default();
            decoder.push(&mut batch, 0, line, Some(RECV_MS), false);
            write!(out, "{}: ", number + 1).expect("a string takes any text");
            for record in batch.records(&formats) {
                out.push_str(&dump(&record));
            }
            let counts = decoder.take_counts();
            for (reason, _) in counts.plain {
                writeln!(out, "  plain because: {reason:?}").expect("a string takes any text");
            }
            if counts.cards_masked > 0 {
                writeln!(out, "  cards masked: {}", counts.cards_masked).expect("a string takes any text");
            }
        }
        expect_file![file.with_extension("txt")].assert_eq(&out);
    }
}

#[test]
fn the_corpus_is_large_enough() {
    let found: usize = files().iter().map(|file| lines(file).len()).sum();
    assert!(found >= LINES_MIN, "{found} lines");
}
