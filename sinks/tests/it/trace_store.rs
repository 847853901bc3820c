//! The embedded trace store against a plain list of rows, and against what a crash leaves behind.

mod filing;
mod journal;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use record::{Batch, Decoder, Lsn, RowFlags, Transport};
use sinks::trace_store::embedded::{EmbeddedConfig, EmbeddedReader, EmbeddedWriter, Gap, TraceScan, open};
use sinks::trace_store::{Search, TraceError, TraceReader};

use journal::{Entry, HOUR_MS, Journal, START_MS, Scratch, formats};

fn config(dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig { dir: dir.to_owned(), max_buffer_bytes: 1 << 20, ..EmbeddedConfig::default() }
}

fn open_in(dir: &Path) -> (EmbeddedWriter, EmbeddedReader) {
    open(config(dir), formats()).expect("the store opens")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .flat_map(|hour| fs::read_dir(hour.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

/// Every question that the journal knows an answer to.
fn check(reader: &EmbeddedReader, journal: &Journal) {
    for lsn in (0..=journal.last() + 1).step_by(3) {
        assert_eq!(reader.by_lsn(lsn).unwrap(), journal.by_lsn(lsn), "record {lsn}");
    }
    for id in ["O-0", "O-1", "S-1", "C-2", "T-0", "nobody", ""] {
        for limit in [0, 1, 3, 1_000] {
            assert_eq!(reader.trail(id, limit).unwrap(), journal.trail(id, limit), "trail {id} {limit}");
        }
    }
    for search in journal.searches() {
        assert_eq!(reader.search(&search).unwrap(), journal.search(&search), "{search:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Entry>),
    Flush,
    Maintain,
    /// The process ends without a word; what the files lack is fed again, and so many positions before it.
    Crash(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(journal::entry(), 1..12).prop_map(Step::Append),
        3 => Just(Step::Flush),
        2 => Just(Step::Maintain),
        1 => (0..20_u64).prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn answers_are_those_of_a_plain_list(steps in steps()) {
        let scratch = Scratch::new();
        // Some of the rows are from 1970.
        let config = EmbeddedConfig { retention_days: u32::MAX, ..config(&scratch.dir) };
        let (mut writer, mut reader) = open(config.clone(), formats()).unwrap();
        let mut journal = Journal::default();
        for step in steps {
            match step {
                Step::Append(entries) => {
                    let from = journal.last() + 1;
                    journal.extend(entries);
                    writer.append(&journal.batch(from)).unwrap();
                }
                Step::Flush => writer.flush().unwrap(),
                Step::Maintain => writer.maintain(START_MS).unwrap(),
                Step::Crash(again) => {
                    drop(writer);
                    (writer, reader) = open(config.clone(), formats()).unwrap();
                    let from = (writer.stored_lsn() + 1).saturating_sub(again).max(1);
                    writer.append(&journal.batch(from)).unwrap();
                }
            }
            prop_assert_eq!(writer.gaps(), &[]);
        }
        check(&reader, &journal);
        writer.flush().unwrap();
        check(&reader, &journal);
        check_scan(&scratch.dir, &journal);
        let (_, reader) = open_in(&scratch.dir);
        check(&reader, &journal);
    }
}

/// What a scan of the files brings: every record of a range once, in the order of the journal.
fn check_scan(dir: &Path, journal: &Journal) {
    for range in [i64::MIN..i64::MAX, START_MS + 500..START_MS + 3_000, START_MS..START_MS] {
        let mut scan = TraceScan::open(dir, range.clone()).unwrap();
        assert_eq!(scan.stored_lsn(), journal.last());
        let mut found = Vec::new();
        scan.read(|scanned| {
            found.extend(scanned.rows);
            true
        })
        .unwrap();
        assert_eq!(found, journal.in_range(range));
        assert_eq!(scan.done_lsn(), journal.last());
    }
}

#[test]
fn a_scan_goes_on_when_its_files_are_joined_meanwhile() {
    let scratch = Scratch::new();
    let journal = store_files(&scratch.dir, 9, 40);
    let mut scan = TraceScan::open(&scratch.dir, i64::MIN..i64::MAX).unwrap();
    let (mut writer, _) = open_in(&scratch.dir);
    let mut found = Vec::new();
    scan.read(|scanned| {
        if found.is_empty() {
            let before = files(&scratch.dir).len();
            writer.maintain(START_MS).unwrap();
            assert!(files(&scratch.dir).len() < before, "nothing was joined");
        }
        found.extend(scanned.rows);
        true
    })
    .unwrap();
    assert_eq!(found, journal.in_range(i64::MIN..i64::MAX));
}

#[test]
fn a_scan_disturbs_no_writer() {
    let scratch = Scratch::new();
    store_files(&scratch.dir, 1, 3);
    let unfinished = files(&scratch.dir)[0].with_extension("parquet.tmp");
    fs::write(&unfinished, b"half").unwrap();
    assert_eq!(TraceScan::open(&scratch.dir, 0..1).unwrap().stored_lsn(), 3);
    assert!(unfinished.exists());
    let nowhere = scratch.dir.join("nowhere");
    assert_eq!(TraceScan::open(&nowhere, 0..1).unwrap().times_ms(), None);
    assert!(!nowhere.exists());
}

/// So many files with so many rows each, in one hour.
fn store_files(dir: &Path, count: usize, rows: usize) -> Journal {
    let (mut writer, _) = open_in(dir);
    let mut journal = Journal::default();
    for _ in 0..count {
        let from = journal.last() + 1;
        journal.extend((0..rows).map(Entry::sample));
        writer.append(&journal.batch(from)).unwrap();
        writer.flush().unwrap();
    }
    journal
}

#[test]
fn small_files_are_joined_and_say_the_same() {
    let scratch = Scratch::new();
    let journal = store_files(&scratch.dir, 8, 50);
    let (mut writer, reader) = open_in(&scratch.dir);
    assert_eq!(writer.stats().files, 8);
    writer.maintain(START_MS).unwrap();
    assert_eq!((writer.stats().files, writer.stats().merges, files(&scratch.dir).len()), (1, 1, 1));
    assert_eq!(writer.stats().file_rows, 400);
    check(&reader, &journal);
    check(&open_in(&scratch.dir).1, &journal);
}

#[test]
fn a_crash_between_joining_and_removing_doubles_nothing() {
    let scratch = Scratch::new();
    let journal = store_files(&scratch.dir, 8, 50);
    let parts: Vec<(PathBuf, Vec<u8>)> =
        files(&scratch.dir).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let (mut writer, _) = open_in(&scratch.dir);
    writer.maintain(START_MS).unwrap();
    drop(writer);
    for (path, bytes) in &parts {
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(files(&scratch.dir).len(), 9);
    let (writer, reader) = open_in(&scratch.dir);
    assert_eq!((writer.stats().files, files(&scratch.dir).len(), writer.gaps()), (1, 1, &[][..]));
    check(&reader, &journal);
}

#[test]
fn an_unfinished_file_is_removed() {
    let scratch = Scratch::new();
    let journal = store_files(&scratch.dir, 1, 50);
    let whole = files(&scratch.dir).remove(0);
    let unfinished = whole.with_file_name("00000000000000000051_00000000000000000060_0_0_10.parquet.tmp");
    fs::write(&unfinished, b"PAR1 half").unwrap();
    let (writer, reader) = open_in(&scratch.dir);
    assert_eq!((files(&scratch.dir), writer.stored_lsn()), (vec![whole], 50));
    check(&reader, &journal);
}

#[test]
fn a_damaged_file_is_named() {
    let scratch = Scratch::new();
    store_files(&scratch.dir, 2, 50);
    let path = files(&scratch.dir).remove(1);
    let bytes = fs::read(&path).unwrap();
    for kept in [0, 11, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..kept]).unwrap();
        match open(config(&scratch.dir), formats()).map(|_| ()) {
            Err(TraceError::Corrupt { path: named, .. }) => assert_eq!(Path::new(&named), path),
            other => panic!("{kept} bytes: {other:?}"),
        }
    }
    // A footer that says nonsense is found by whoever asks.
    let mut broken = bytes.clone();
    let footer = bytes.len() - 200;
    broken[footer..footer + 100].fill(0xff);
    fs::write(&path, &broken).unwrap();
    let (_, reader) = open_in(&scratch.dir);
    match reader.search(&Search { limit: 10, ..Search::default() }) {
        Err(TraceError::Corrupt { path: named, .. }) => assert_eq!(Path::new(&named), path),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_file_is_reported_as_a_gap() {
    let scratch = Scratch::new();
    store_files(&scratch.dir, 3, 50);
    fs::remove_file(&files(&scratch.dir)[1]).unwrap();
    let (writer, _) = open_in(&scratch.dir);
    assert_eq!((writer.gaps(), writer.stored_lsn()), (&[Gap { first: 51, last: 100 }][..], 150));
}

#[test]
fn files_that_share_records_are_refused() {
    let scratch = Scratch::new();
    store_files(&scratch.dir, 2, 50);
    let second = files(&scratch.dir).remove(1);
    let name = second.file_name().unwrap().to_str().unwrap().replace("_51_", "_").replace("0051_", "0050_");
    fs::rename(&second, second.with_file_name(name)).unwrap();
    assert!(matches!(open(config(&scratch.dir), formats()), Err(TraceError::Corrupt { .. })));
}

#[test]
fn a_jump_is_a_gap_and_cuts_the_file() {
    let scratch = Scratch::new();
    let mut journal = Journal::default();
    journal.extend((0..30).map(Entry::sample));
    let (mut writer, reader) = open_in(&scratch.dir);
    let mut batch = journal.batch(1);
    batch.rows.retain(|row| !(11..=20).contains(&row.lsn));
    writer.append(&batch).unwrap();
    assert_eq!((writer.gaps(), writer.stored_lsn()), (&[Gap { first: 11, last: 20 }][..], 10));
    assert_eq!(reader.by_lsn(15).unwrap(), None);
    assert_eq!(reader.by_lsn(25).unwrap(), journal.by_lsn(25));
    batch.rows[0].lsn = 0;
    assert!(matches!(writer.append(&batch), Err(TraceError::Unnumbered)));
}

#[test]
fn rows_that_cannot_be_written_wait_up_to_a_bound() {
    let scratch = Scratch::new();
    let (mut writer, reader) = open_in(&scratch.dir);
    let mut journal = Journal::default();
    // A file stands where the folder of the hour should be.
    let hour = scratch.dir.join("2016-07-22T10");
    fs::write(&hour, b"in the way").unwrap();
    let mut failures = 0;
    let refused = loop {
        let from = journal.last() + 1;
        journal.extend((0..1_000).map(Entry::sample));
        match writer.append(&journal.batch(from)) {
            Ok(()) => {}
            Err(TraceError::Behind { stored_lsn: 0, buffered_bytes }) => break buffered_bytes,
            Err(TraceError::Io { .. }) => failures += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(journal.last() < 100_000, "there is a bound");
    };
    assert_eq!((failures, writer.stored_lsn()), (1, 0));
    assert!((2 << 20..3 << 20).contains(&refused), "{refused}");
    assert_eq!(reader.by_lsn(1).unwrap(), journal.by_lsn(1));
    // Later rows are refused too: nothing is skipped.
    let from = journal.last() + 1;
    journal.extend((0..10).map(Entry::sample));
    assert!(matches!(writer.append(&journal.batch(from)), Err(TraceError::Behind { .. })));
    assert!(writer.maintain(START_MS).is_err());
    fs::remove_file(&hour).unwrap();
    writer.maintain(START_MS).unwrap();
    writer.append(&journal.batch(writer.stored_lsn() + 1)).unwrap();
    writer.flush().unwrap();
    assert_eq!((writer.gaps(), writer.stored_lsn()), (&[][..], journal.last()));
    assert_eq!(writer.stats().file_rows, journal.rows().count() as u64);
}

#[test]
fn rows_become_a_file_when_they_waited_long_enough() {
    let scratch = Scratch::new();
    let (mut writer, _) = open_in(&scratch.dir);
    let mut journal = Journal::default();
    journal.extend([Entry::sample(0), Entry::tick(), Entry::sample(1)]);
    writer.append(&journal.batch(1)).unwrap();
    writer.maintain(START_MS).unwrap();
    writer.maintain(START_MS + 599_999).unwrap();
    assert_eq!(writer.stored_lsn(), 0);
    writer.maintain(START_MS + 600_000).unwrap();
    assert_eq!(writer.stored_lsn(), 3);
}

#[test]
fn old_files_go_and_the_newest_stays() {
    let scratch = Scratch::new();
    let (mut writer, reader) = open_in(&scratch.dir);
    let mut journal = Journal::default();
    for hour in 0..3 {
        let from = journal.last() + 1;
        journal.extend((0..10).map(|i| Entry::sample(i).at(START_MS + hour * HOUR_MS)));
        writer.append(&journal.batch(from)).unwrap();
    }
    writer.flush().unwrap();
    assert_eq!(writer.stats().files, 3);
    let day_ms = 24 * HOUR_MS;
    writer.maintain(START_MS + 30 * day_ms).unwrap();
    assert_eq!(files(&scratch.dir).len(), 3);
    writer.maintain(START_MS + HOUR_MS + 30 * day_ms).unwrap();
    assert_eq!((files(&scratch.dir).len(), writer.stats().expired_files), (2, 1));
    assert!(!scratch.dir.join("2016-07-22T10").exists());
    assert_eq!(reader.by_lsn(5).unwrap(), None);
    writer.maintain(START_MS + 100 * day_ms).unwrap();
    assert_eq!(open_in(&scratch.dir).0.stored_lsn(), journal.last());
}

#[test]
fn flags_survive() {
    let scratch = Scratch::new();
    let mut journal = Journal::default();
    journal.extend([Entry::sample(0).flagged(RowFlags(0x3f)), Entry::sample(1).flagged(RowFlags(0x8000))]);
    let (mut writer, reader) = open_in(&scratch.dir);
    writer.append(&journal.batch(1)).unwrap();
    writer.flush().unwrap();
    let flags = |lsn: Lsn| reader.by_lsn(lsn).unwrap().unwrap().flags;
    assert_eq!((flags(1), flags(2)), (0x3f, 0x8000));
}

#[test]
fn a_row_is_seen_once_while_it_moves_from_memory_to_a_file() {
    const ROUNDS: usize = 40;
    let scratch = Scratch::new();
    let (mut writer, reader) = open_in(&scratch.dir);
    let mut journal = Journal::default();
    journal.extend((0..ROUNDS * 7).map(|i| Entry::sample(7 * i)));
    // How many rows were appended: whoever looks from then on sees at least so many.
    let appended = AtomicUsize::new(0);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0_u32;
            loop {
                let least = appended.load(Ordering::Acquire);
                let lsns: Vec<Lsn> =
                    reader.trail("O-0", 10_000).unwrap().rows.iter().map(|row| row.lsn).collect();
                assert!(lsns.iter().copied().eq(1..=lsns.len() as Lsn), "{lsns:?}");
                assert!(lsns.len() >= least, "{} rows of {least}", lsns.len());
                looks += 1;
                if least == ROUNDS * 7 {
                    break looks;
                }
            }
        });
        for round in 0..ROUNDS {
            let mut batch = journal.batch(1);
            batch.rows.retain(|row| (row.lsn as usize - 1) / 7 == round);
            writer.append(&batch).unwrap();
            appended.store((round + 1) * 7, Ordering::Release);
            writer.flush().unwrap();
            writer.maintain(START_MS).unwrap();
        }
        watcher.join().unwrap()
    });
    assert!(seen > 0 && writer.stats().merges >= 4);
    assert_eq!(reader.trail("O-0", 10_000).unwrap().rows.len(), ROUNDS * 7);
}

#[test]
fn a_stored_frame_is_decoded_to_the_same_record() {
    let formats = formats();
    let line =
        "2016-07-22 18:15:00.512||pool-1||通道适配器||发三方后||CEX1||S1||||||04||9000||处理中||98XX||||GHT";
    let lines = [
        format!("<134>1 2016-07-22T10:15:00.6Z host-1 pay - - - {line}"),
        line.to_owned(),
        "no columns".into(),
    ];
    let mut batch = Batch::default();
    let source = batch.source_index(&"tcp-514/10.0.0.7".into());
    let mut decoder = Decoder::new(formats.clone(), Transport::Syslog, formats.find("order-trace"));
    for line in &lines {
        decoder.push(&mut batch, source, line.as_bytes(), Some(START_MS), false);
    }
    decoder.flush(&mut batch, source);
    (1..).zip(&mut batch.rows).for_each(|(lsn, row)| row.lsn = lsn);
    let scratch = Scratch::new();
    let (mut writer, reader) = open_in(&scratch.dir);
    writer.append(&batch).unwrap();
    writer.flush().unwrap();
    assert_eq!(reader.trail("CEX1", 10).unwrap().rows.len(), 2);
    for (index, row) in batch.rows.iter().enumerate() {
        let stored = reader.by_lsn(row.lsn).unwrap().expect("it was stored");
        let mut again = Batch::default();
        let source = again.source_index(&stored.source.as_str().into());
        let format = formats.find(&stored.format).expect("a known format");
        let frame = stored.frame.as_bytes();
        let flags = RowFlags(stored.flags);
        Decoder::new(formats.clone(), Transport::Syslog, None).push_stored(
            &mut again,
            source,
            format,
            frame,
            stored.lsn,
            stored.recv_ms,
            flags,
        );
        let (left, right) = (batch.record(index, &formats), again.record(0, &formats));
        let columns = 0..row.spans_len as usize + 1;
        assert!(columns.clone().all(|column| left.raw(column) == right.raw(column)));
        assert_eq!((left.host(), left.program()), (right.host(), right.program()));
        assert_eq!(
            (left.message(), left.source(), row.event_ms),
            (right.message(), right.source(), again.rows[0].event_ms)
        );
        assert_eq!(
            (row.recv_ms, row.flags, row.format),
            (again.rows[0].recv_ms, again.rows[0].flags, again.rows[0].format)
        );
    }
}

#[test]
fn unknown_keys_of_the_configuration_are_refused() {
    let read = |text: &str| serde_saphyr::from_str::<EmbeddedConfig>(text).map_err(|e| e.to_string());
    assert_eq!(read("dir: /var/traces").unwrap().flush_after_s, 600);
    assert!(read("directory: /var/traces").unwrap_err().contains("directory"));
}
