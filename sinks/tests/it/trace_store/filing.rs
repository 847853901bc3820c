//! Files made by a second thread while the writer takes rows: the same answers, the same bound, the same after a crash.

use std::fs;
use std::thread;

use proptest::prelude::*;
use sinks::trace_store::TraceError;
use sinks::trace_store::embedded::{EmbeddedConfig, open};

use super::journal::{Entry, Journal, START_MS, Scratch, formats};
use super::{Step, check, config, files, open_in, steps};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn answers_are_those_of_a_plain_list(steps in steps()) {
        let scratch = Scratch::new();
        let config = EmbeddedConfig { retention_days: u32::MAX, ..config(&scratch.dir) };
        thread::scope(|scope| {
            let start = || {
                let (mut writer, reader) = open(config.clone(), formats()).unwrap();
                let work = writer.split().expect("it was not split before");
                (writer, reader, scope.spawn(move || work.run()))
            };
            let (mut writer, mut reader, mut filing) = start();
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
                        // What was ordered may be carried out or not: the thread ends with the writer.
                        drop(writer);
                        filing.join().unwrap();
                        (writer, reader, filing) = start();
                        let from = (writer.stored_lsn() + 1).saturating_sub(again).max(1);
                        writer.append(&journal.batch(from)).unwrap();
                    }
                }
                assert_eq!(writer.gaps(), &[]);
            }
            check(&reader, &journal);
            writer.flush().unwrap();
            let last_row = journal.rows().last().map_or(0, |row| row.0);
            assert!(writer.stored_lsn() >= last_row, "flushing waits for the file");
            check(&reader, &journal);
            drop(writer);
            filing.join().unwrap();
            check(&open_in(&scratch.dir).1, &journal);
        });
    }
}

/// Rows in batches of a thousand, enough for several files of 1 MiB.
fn batches(journal: &mut Journal, count: usize) -> Vec<record::Batch> {
    let mut batches = Vec::new();
    for _ in 0..count {
        let from = journal.last() + 1;
        journal.extend((0..1_000).map(Entry::sample));
        batches.push(journal.batch(from));
    }
    batches
}

#[test]
fn a_crash_between_sealing_and_renaming_loses_and_doubles_nothing() {
    let scratch = Scratch::new();
    let mut journal = Journal::default();
    let batches = batches(&mut journal, 12);
    let (mut writer, reader) = open_in(&scratch.dir);
    // Nobody carries the order out: the rows stay sealed.
    let work = writer.split();
    let mut taken = 0;
    for batch in &batches {
        let rows = writer.stats().fresh_rows;
        writer.append(batch).unwrap();
        taken = batch.rows.last().map_or(taken, |row| row.lsn);
        // Less than a second file's rows, or the next append would wait for ever.
        if writer.stats().fresh_bytes > (7 << 20) / 4 {
            assert_eq!(writer.stats().fresh_rows, rows + batch.rows.len());
            break;
        }
    }
    assert!(taken < journal.last() && writer.stats().fresh_bytes > 1 << 20);
    assert_eq!((writer.stored_lsn(), files(&scratch.dir).len()), (0, 0));
    assert_eq!(reader.by_lsn(1).unwrap(), journal.by_lsn(1), "sealed rows are found");
    drop((writer, work));

    let (mut writer, reader) = open_in(&scratch.dir);
    assert_eq!(writer.stored_lsn(), 0);
    batches.iter().for_each(|batch| writer.append(batch).unwrap());
    writer.flush().unwrap();
    assert_eq!((writer.gaps(), writer.stored_lsn()), (&[][..], journal.last()));
    assert_eq!(writer.stats().file_rows, journal.rows().count() as u64);
    check(&reader, &journal);
}

#[test]
fn rows_of_two_files_at_most_are_in_memory() {
    let scratch = Scratch::new();
    let mut journal = Journal::default();
    let batches = batches(&mut journal, 20);
    let (mut writer, reader) = open_in(&scratch.dir);
    let work = writer.split().unwrap();
    assert!(writer.split().is_none());
    thread::scope(|scope| {
        scope.spawn(move || work.run());
        for batch in &batches {
            writer.append(batch).unwrap();
            let bytes = writer.stats().fresh_bytes;
            assert!(bytes < (2 << 20) + (1 << 19), "{bytes}");
        }
        writer.flush().unwrap();
        assert_eq!((writer.stored_lsn(), writer.stats().fresh_rows), (journal.last(), 0));
        assert!(files(&scratch.dir).len() > 3);
        check(&reader, &journal);
        // The thread ends with the writer; the scope waits for it.
        drop(writer);
    });
}

#[test]
fn failures_are_told_and_tried_again() {
    let scratch = Scratch::new();
    let (mut writer, reader) = open_in(&scratch.dir);
    let work = writer.split().unwrap();
    let mut journal = Journal::default();
    let hour = scratch.dir.join("2016-07-22T10");
    fs::write(&hour, b"in the way").unwrap();
    thread::scope(|scope| {
        scope.spawn(move || work.run());
        let mut failures = 0;
        loop {
            let from = journal.last() + 1;
            journal.extend((0..1_000).map(Entry::sample));
            match writer.append(&journal.batch(from)) {
                Ok(()) => {}
                Err(TraceError::Behind { stored_lsn: 0, .. }) => break,
                Err(TraceError::Io { .. }) => failures += 1,
                Err(other) => panic!("{other}"),
            }
            assert!(journal.last() < 100_000, "there is a bound");
        }
        // Told once; or not at all if the memory was full before the thread had failed.
        assert!(failures <= 1, "{failures}");
        assert_eq!((writer.stored_lsn(), writer.is_failing()), (0, true));
        assert_eq!(reader.by_lsn(1).unwrap(), journal.by_lsn(1));
        assert!(writer.maintain(START_MS).is_err());
        fs::remove_file(&hour).unwrap();
        writer.maintain(START_MS).unwrap();
        assert!(!writer.is_failing());
        writer.append(&journal.batch(writer.stored_lsn() + 1)).unwrap();
        writer.flush().unwrap();
        assert_eq!((writer.gaps(), writer.stored_lsn()), (&[][..], journal.last()));
        assert_eq!(writer.stats().file_rows, journal.rows().count() as u64);
        drop(writer);
    });
}

#[test]
fn work_that_nobody_does_is_an_error() {
    let scratch = Scratch::new();
    let (mut writer, reader) = open_in(&scratch.dir);
    drop(writer.split());
    let mut journal = Journal::default();
    journal.extend((0..10).map(Entry::sample));
    writer.append(&journal.batch(1)).unwrap();
    assert!(matches!(writer.flush(), Err(TraceError::Io { .. })));
    assert_eq!((writer.stored_lsn(), writer.stats().fresh_rows), (0, 10));
    check(&reader, &journal);
}
