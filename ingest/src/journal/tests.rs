//! The journal against a plain list of what was written: reopening, tearing, damage, recycling, reading alongside.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use record::{Batch, FormatId, InstantMs, Lsn, Row, RowFlags, Span};

use super::*;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A directory that is removed at the end of the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let unique = format!("journal-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> JournalConfig {
        JournalConfig { dir: self.0.clone(), segment_bytes: 64 << 10, ..JournalConfig::default() }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// What a test writes and expects to read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    recv_ms: InstantMs,
    flags: RowFlags,
    source: String,
    frame: Vec<u8>,
}

fn line(recv_ms: InstantMs, source: &str, frame: &[u8]) -> Line {
    Line { recv_ms, flags: RowFlags::default(), source: source.to_owned(), frame: frame.to_vec() }
}

fn numbered(from: usize, count: usize) -> Vec<Line> {
    (from..from + count)
        .map(|i| line(i as i64, "tcp/10.0.0.7", format!("line number {i}").as_bytes()))
        .collect()
}

fn batch(lines: &[Line]) -> Batch {
    let mut batch = Batch::default();
    for line in lines {
        let start = batch.bytes.len() as u32;
        batch.bytes.extend_from_slice(&line.frame);
        let frame = Span { start, end: batch.bytes.len() as u32 };
        let source = batch.source_index(&Arc::from(line.source.as_str()));
        batch.rows.push(Row {
            lsn: 0,
            recv_ms: Some(line.recv_ms),
            event_ms: None,
            frame,
            message: frame,
            host: Span::default(),
            program: Span::default(),
            structured_data: Span::default(),
            pri: None,
            format: FormatId(1),
            source,
            flags: line.flags,
            spans_start: 0,
            spans_len: 0,
            ill_typed: 0,
        });
    }
    batch
}

fn append(journal: &mut Journal, lines: &[Line]) -> Result<Vec<Lsn>, JournalError> {
    let mut batch = batch(lines);
    journal.append_named(&mut batch, |id| if id == FormatId(1) { "order-trace" } else { "?" })?;
    Ok(batch.rows.iter().map(|row| row.lsn).collect())
}

fn write(journal: &mut Journal, lines: &[Line]) {
    append(journal, lines).unwrap();
    journal.commit().unwrap();
}

fn read_on(reader: &mut JournalReader) -> Result<Vec<(Lsn, Line)>, JournalError> {
    let mut lines = Vec::new();
    while let Some(entry) = reader.next()? {
        assert_eq!(entry.format, if entry.kind == EntryKind::Tick { "" } else { "order-trace" });
        lines.push((
            entry.lsn,
            Line {
                recv_ms: entry.recv_ms,
                flags: entry.flags,
                source: entry.source.to_owned(),
                frame: entry.frame.to_vec(),
            },
        ));
    }
    Ok(lines)
}

fn read_all(dir: &Path) -> Result<Vec<Line>, JournalError> {
    let first = inspect(dir)?.segments.first().map_or(1, |s| s.first_lsn);
    let entries = read_on(&mut JournalReader::open(dir, first)?)?;
    assert!(entries.iter().zip(first..).all(|(entry, lsn)| entry.0 == lsn), "positions are dense");
    Ok(entries.into_iter().map(|entry| entry.1).collect())
}

fn only_segment(dir: &Dir) -> PathBuf {
    segment::segment_path(&dir.0, 1)
}

fn used_bytes(dir: &Dir) -> u64 {
    inspect(&dir.0).unwrap().segments.last().unwrap().used_bytes
}

#[test]
fn a_new_journal_is_empty_and_starts_at_1() {
    let dir = Dir::new();
    let (mut journal, recovery) = Journal::open(&dir.config()).unwrap();
    assert_eq!((recovery.first_lsn, recovery.next_lsn, recovery.entries, recovery.torn_bytes), (1, 1, 0, 0));
    assert_eq!((journal.first_lsn(), journal.durable_lsn(), journal.commit().unwrap()), (1, 0, 0));
    assert_eq!(append(&mut journal, &numbered(0, 3)).unwrap(), [1, 2, 3]);
    assert_eq!((journal.durable_lsn(), journal.commit().unwrap(), journal.next_lsn()), (0, 3, 4));
    assert_eq!(journal.append_tick(99).unwrap(), 4);
    assert_eq!(journal.commit().unwrap(), 4);
}

#[test]
fn receive_times_never_go_backwards_not_even_over_a_restart() {
    let dir = Dir::new();
    let mut rows = batch(&[line(500, "a", b"1"), line(300, "a", b"2"), line(700, "a", b"3")]);
    rows.rows[2].recv_ms = None;
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    journal.append_named(&mut rows, |_| "order-trace").unwrap();
    assert!(rows.rows.iter().all(|row| row.recv_ms == Some(500)), "raised in the rows too");
    journal.commit().unwrap();
    drop(journal);
    let (mut journal, recovery) = Journal::open(&dir.config()).unwrap();
    assert_eq!(recovery.last_recv_ms, Some(500));
    journal.append_tick(100).unwrap();
    journal.commit().unwrap();
    assert_eq!(read_all(&dir.0).unwrap().iter().map(|l| l.recv_ms).collect::<Vec<_>>(), [500; 4]);
}

#[test]
fn commits_are_due_by_bytes_or_by_time() {
    let dir = Dir::new();
    let config = JournalConfig { commit_bytes: 200, ..dir.config() };
    let (mut journal, _) = Journal::open(&config).unwrap();
    assert_eq!((journal.commit_due(1_000), journal.commit_wait_ms(1_000)), (false, None));
    append(&mut journal, &[line(1_000, "s", b"x")]).unwrap();
    assert!(journal.commit_due(1_000), "a line that comes alone does not wait");
    journal.commit().unwrap();
    append(&mut journal, &[line(1_003, "s", b"x")]).unwrap();
    assert_eq!((journal.commit_due(1_004), journal.commit_wait_ms(1_004)), (false, Some(1)));
    assert!(journal.commit_due(1_005));
    assert!(journal.commit_due(900), "a clock set back delays nothing");
    append(&mut journal, &[line(1_003, "s", &[b'x'; 150])]).unwrap();
    assert!(journal.commit_due(1_003));
    journal.commit().unwrap();
    assert!(!journal.commit_due(2_000));
}

#[test]
fn one_process_at_a_time() {
    let dir = Dir::new();
    let held = Journal::open(&dir.config()).unwrap();
    assert!(matches!(Journal::open(&dir.config()), Err(JournalError::Locked { .. })));
    drop(held);
    assert!(Journal::open(&dir.config()).is_ok());
}

#[test]
fn without_a_disk_positions_are_given_out_all_the_same() {
    let config = JournalConfig { enabled: false, dir: "/nonexistent/x".into(), ..JournalConfig::default() };
    let (mut journal, _) = Journal::open(&config).unwrap();
    assert_eq!(append(&mut journal, &numbered(0, 2)).unwrap(), [1, 2]);
    assert_eq!((journal.commit().unwrap(), journal.release(9).unwrap(), journal.disk_bytes()), (2, 0, 0));
}

#[test]
fn torn_at_every_byte_of_the_last_commit() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    write(&mut journal, &numbered(0, 3));
    write(&mut journal, &numbered(3, 2));
    let durable = used_bytes(&dir);
    let mut ends = vec![];
    for i in 5..8 {
        append(&mut journal, &numbered(i, 1)).unwrap();
        ends.push(durable + journal.pending_bytes() as u64);
    }
    journal.commit().unwrap();
    drop(journal);
    let whole = fs::read(only_segment(&dir)).unwrap();
    let all = numbered(0, 8);
    for cut in durable..*ends.last().unwrap() {
        for shorter in [true, false] {
            let mut torn = whole.clone();
            if shorter {
                torn.truncate(cut as usize);
            } else {
                torn[cut as usize..].fill(0);
            }
            fs::write(only_segment(&dir), &torn).unwrap();
            let complete = 5 + ends.iter().filter(|end| **end <= cut).count();
            let (mut journal, recovery) = Journal::open(&dir.config()).unwrap();
            assert_eq!(
                (recovery.entries, recovery.next_lsn),
                (complete as u64, complete as u64 + 1),
                "cut at {cut}"
            );
            let boundary = cut == durable || ends.contains(&cut);
            assert_eq!(recovery.torn_bytes == 0, boundary, "cut at {cut}, {} torn", recovery.torn_bytes);
            write(&mut journal, &numbered(100, 1));
            let mut expected = all[..complete].to_vec();
            expected.extend(numbered(100, 1));
            assert_eq!(read_all(&dir.0).unwrap(), expected, "cut at {cut}");
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_cuts_the_last_commit_and_never_changes_a_line() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    (0..3).for_each(|commit| write(&mut journal, &numbered(commit * 3, 3)));
    let last_commit = used_bytes(&dir) as usize;
    write(&mut journal, &numbered(9, 3));
    drop(journal);
    let all = numbered(0, 12);
    let whole = fs::read(only_segment(&dir)).unwrap();
    let used = used_bytes(&dir) as usize;
    for at in 0..used {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(only_segment(&dir), &damaged).unwrap();
        let in_last_commit = at >= last_commit;
        match Journal::open(&dir.config()) {
            Err(JournalError::Corrupt { .. }) => assert!(!in_last_commit, "byte {at}"),
            Err(other) => panic!("byte {at}: {other}"),
            Ok((journal, recovery)) => {
                assert!(in_last_commit && recovery.torn_bytes > 0, "byte {at} went unnoticed");
                drop(journal);
                let left = read_all(&dir.0).unwrap();
                assert!(left.len() >= 9 && left == all[..left.len()], "byte {at}");
            }
        }
    }
}

#[test]
fn damage_names_the_file_the_place_and_the_proof() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    write(&mut journal, &numbered(0, 2));
    let second = used_bytes(&dir);
    write(&mut journal, &numbered(2, 1));
    write(&mut journal, &numbered(3, 1));
    drop(journal);
    let file = fs::OpenOptions::new().write(true).open(only_segment(&dir)).unwrap();
    // A page of zeros looks like the end: it must not pass for it.
    file.write_all_at(&[0; 50], second).unwrap();
    let error = Journal::open(&dir.config()).unwrap_err().to_string();
    assert!(error.contains("00000000000000000001.journal"), "{error}");
    assert!(error.contains(&format!("byte {second} (lsn 3)")), "{error}");
    assert!(error.contains("entry 4 of a later commit"), "{error}");
    let inspection = inspect(&dir.0).unwrap();
    assert_eq!((inspection.entries(), inspection.segments[0].lost, inspection.faults().count()), (3, 1, 1));
}

#[test]
fn a_commit_of_which_only_later_pages_reached_the_disk_is_torn_not_damaged() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    write(&mut journal, &numbered(0, 2));
    let start = used_bytes(&dir);
    write(&mut journal, &numbered(2, 5));
    drop(journal);
    let file = fs::OpenOptions::new().write(true).open(only_segment(&dir)).unwrap();
    file.write_all_at(&[0; 60], start).unwrap();
    file.write_all_at(&[7; 4], start).unwrap();
    let (mut journal, recovery) = Journal::open(&dir.config()).unwrap();
    assert_eq!(recovery.next_lsn, 3);
    assert!(recovery.torn_bytes > 100);
    write(&mut journal, &numbered(50, 1));
    assert_eq!(read_all(&dir.0).unwrap(), [numbered(0, 2), numbered(50, 1)].concat());
}

#[test]
fn segments_roll_are_given_back_and_used_again() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    let big = |i: usize| vec![line(i as i64, "s", &vec![b'a' + (i % 26) as u8; 20_000])];
    (0..30).for_each(|i| write(&mut journal, &big(i)));
    assert_eq!(read_all(&dir.0).unwrap(), (0..30).flat_map(big).collect::<Vec<_>>());
    let segments = inspect(&dir.0).unwrap().segments.len();
    assert_eq!(segments, 10, "three lines fit in a segment");
    assert_eq!(journal.release(3).unwrap(), 0, "lsn 3 is still needed");
    assert_eq!(journal.release(4).unwrap(), 1);
    assert_eq!(journal.first_lsn(), 4);
    assert_eq!(journal.release(24).unwrap(), 6);
    assert_eq!(inspect(&dir.0).unwrap().spares, 4, "spare_segments");
    assert_eq!(journal.release(1_000).unwrap(), 2, "never the one being written");
    let taken = journal.disk_bytes();
    (30..42).for_each(|i| write(&mut journal, &big(i)));
    assert_eq!(journal.disk_bytes(), taken, "spares were used");
    assert_eq!(read_all(&dir.0).unwrap(), (27..42).flat_map(big).collect::<Vec<_>>());
    assert!(matches!(JournalReader::open(&dir.0, 27), Err(JournalError::Released { lsn: 27, first: 28 })));
    drop(journal);
    let (journal, recovery) = Journal::open(&dir.config()).unwrap();
    assert_eq!((recovery.first_lsn, recovery.next_lsn, recovery.torn_bytes), (28, 43, 0));
    assert_eq!(journal.disk_bytes(), taken);
}

#[test]
fn what_an_overwritten_segment_held_before_never_comes_back() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    (0..5).for_each(|_| write(&mut journal, &numbered(0, 800)));
    journal.release(journal.next_lsn()).unwrap();
    let before = journal.next_lsn();
    while inspect(&dir.0).unwrap().segments.len() < 2 {
        write(&mut journal, &numbered(0, 10));
    }
    let path = inspect(&dir.0).unwrap().segments.last().unwrap().path.clone();
    let used = used_bytes(&dir);
    let next = journal.next_lsn();
    drop(journal);
    assert!(next > before);
    assert!(fs::read(&path).unwrap()[used as usize + 8..].iter().any(|byte| *byte != 0), "holds old entries");
    // A torn commit right before the old entries.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[44, 0, 0, 0, 1, 2, 3, 4], used).unwrap();
    let (_, recovery) = Journal::open(&dir.config()).unwrap();
    assert_eq!(recovery.next_lsn, next);
}

#[test]
fn damage_that_nobody_needs_stops_nobody() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    (0..6).for_each(|i| write(&mut journal, &numbered(i * 2, 2)));
    let at = used_bytes(&dir) / 2;
    let path = only_segment(&dir);
    drop(journal);
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0xff; 4], at).unwrap();
    let open =
        |unneeded| Journal::open_locked(JournalLock::take(&dir.config()).unwrap(), &dir.config(), unneeded);
    let Err(JournalError::Corrupt { lsn, .. }) = open(0) else { panic!("the damage is somebody's") };
    assert!((5..=8).contains(&lsn), "the middle of 12: {lsn}");
    let inspection = inspect(&dir.0).unwrap();
    let lost = inspection.segments[0].lost;
    assert_eq!((inspection.entries() + lost, inspection.faults().count()), (12, 1));
    // The group commit of two entries is the smallest thing that can be told to be lost.
    let group_end = lsn + lost - 1;
    assert!(open(group_end - 1).is_err(), "the last lost entry is needed");
    let (mut journal, recovery) = open(group_end).unwrap();
    assert_eq!((recovery.next_lsn, recovery.damaged_entries, recovery.torn_bytes), (13, lost, 0));
    write(&mut journal, &numbered(12, 1));
    let tail = read_on(&mut journal.reader(group_end + 1).unwrap()).unwrap();
    assert_eq!(tail.iter().map(|e| e.0).collect::<Vec<_>>(), (group_end + 1..=13).collect::<Vec<_>>());
    let outcome = read_on(&mut journal.reader(lsn).unwrap());
    assert!(matches!(outcome, Err(JournalError::Corrupt { .. })), "{outcome:?}");
}

#[test]
fn the_reserve_is_left_alone() {
    let dir = Dir::new();
    let config = JournalConfig { reserve_bytes: 1 << 60, ..dir.config() };
    let (mut journal, _) = Journal::open(&config).unwrap();
    let big = [line(7, "s", &[b'x'; 40_000])];
    write(&mut journal, &big);
    let mut waiting = batch(&big);
    let error = journal.append_named(&mut waiting, |_| "order-trace").unwrap_err();
    assert!(error.is_full() && error.to_string().contains("reserve_bytes"), "{error}");
    assert_eq!((waiting.rows[0].lsn, journal.next_lsn()), (0, 2), "untouched");
    // A segment that is there already takes no new space.
    drop(journal);
    let config = JournalConfig { spare_segments: 1, ..dir.config() };
    let (mut journal, _) = Journal::open(&config).unwrap();
    write(&mut journal, &big);
    journal.release(2).unwrap();
    drop(journal);
    let config = JournalConfig { reserve_bytes: 1 << 60, ..dir.config() };
    let (mut journal, _) = Journal::open(&config).unwrap();
    write(&mut journal, &big);
    assert_eq!(journal.next_lsn(), 4);
}

#[test]
fn a_failed_sync_is_never_a_full_disk() {
    let error = JournalError::sync(Path::new("x.journal"), std::io::Error::from_raw_os_error(28));
    assert!(!error.is_full(), "{error}");
}

#[test]
fn a_missing_segment_is_an_error() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    (0..9).for_each(|i| write(&mut journal, &[line(i, "s", &[b'x'; 20_000])]));
    fs::remove_file(segment::segment_path(&dir.0, 4)).unwrap();
    let mut reader = JournalReader::open(&dir.0, 1).unwrap();
    assert!((0..3).all(|_| reader.next().unwrap().is_some()));
    let error = reader.next().unwrap_err().to_string();
    assert!(error.contains("lsn 4") && error.contains("segment 00000000000000000007 exists"), "{error}");
    assert!(error.contains("00000000000000000004.journal removed"), "the missing one is named: {error}");
    let inspection = inspect(&dir.0).unwrap();
    assert_eq!((inspection.faults().count(), inspection.segments[0].lost), (1, 3));
    drop(journal);
    assert!(Journal::open(&dir.config()).is_ok(), "what is behind it goes on");
    assert_eq!(read_on(&mut JournalReader::open(&dir.0, 7).unwrap()).unwrap().len(), 3);
}

#[test]
fn a_reader_follows_the_writer() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    let mut reader = journal.reader(3).unwrap();
    append(&mut journal, &numbered(0, 5)).unwrap();
    assert_eq!(read_on(&mut reader).unwrap(), [], "not before the commit");
    journal.commit().unwrap();
    assert_eq!(read_on(&mut reader).unwrap().iter().map(|e| e.0).collect::<Vec<_>>(), [3, 4, 5]);
    for i in 0..20 {
        write(&mut journal, &[line(i, "s", &[b'x'; 30_000])]);
        assert_eq!(read_on(&mut reader).unwrap().iter().map(|e| e.0).collect::<Vec<_>>(), [6 + i as u64]);
    }
    let mut slow = journal.reader(1).unwrap();
    assert_eq!(slow.next().unwrap().unwrap().lsn, 1);
    journal.release(journal.next_lsn()).unwrap();
    (0..20).for_each(|i| write(&mut journal, &[line(i, "s", &[b'x'; 30_000])]));
    let outcome = std::iter::from_fn(|| slow.next().map(|entry| entry.map(|e| e.lsn)).transpose())
        .collect::<Result<Vec<_>, _>>();
    assert!(matches!(outcome, Err(JournalError::Released { .. })), "{outcome:?}");
}

#[test]
fn a_reader_in_another_thread_never_sees_what_is_not_there() {
    const LINES: usize = 40_000;
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    let mut reader = journal.reader(1).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (0..LINES).step_by(50) {
                append(&mut journal, &numbered(from, 50)).unwrap();
                if from % 400 == 0 {
                    journal.commit().unwrap();
                }
            }
            journal.commit().unwrap();
        });
        let mut read = 0;
        while read < LINES {
            // `None` is the end for now; an error would be a false alarm.
            let Some(entry) = reader.next().unwrap() else { continue };
            assert_eq!(entry.lsn, read as u64 + 1);
            assert_eq!(entry.frame, format!("line number {read}").as_bytes());
            read += 1;
        }
    });
    assert!(inspect(&dir.0).unwrap().segments.len() > 10);
}

#[test]
fn when_the_journal_is_full_the_batch_waits_untouched() {
    let dir = Dir::new();
    let config = JournalConfig { max_bytes: 3 * (64 << 10), ..dir.config() };
    let (mut journal, _) = Journal::open(&config).unwrap();
    let big = [line(7, "s", &[b'x'; 40_000])];
    (0..3).for_each(|_| write(&mut journal, &big));
    let mut waiting = batch(&big);
    let error = journal.append_named(&mut waiting, |_| "order-trace").unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!((waiting.rows[0].lsn, journal.next_lsn()), (0, 4));
    journal.release(2).unwrap();
    journal.append_named(&mut waiting, |_| "order-trace").unwrap();
    assert_eq!((waiting.rows[0].lsn, journal.commit().unwrap()), (4, 4));
    assert!(journal.disk_bytes() <= config.max_bytes);
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    let path = Path::new("x.journal");
    let error = |code| JournalError::io("write", path, std::io::Error::from_raw_os_error(code));
    assert!(error(28).is_full() && error(122).is_full() && !error(5).is_full(), "ENOSPC, EDQUOT, EIO");
}

#[test]
fn a_batch_greater_than_a_segment_gets_one_of_its_own() {
    let dir = Dir::new();
    let (mut journal, _) = Journal::open(&dir.config()).unwrap();
    let huge: Vec<_> = (0..10).map(|i| line(i, "s", &[b'y'; 20_000])).collect();
    write(&mut journal, &numbered(0, 1));
    write(&mut journal, &huge);
    write(&mut journal, &numbered(1, 1));
    drop(journal);
    let expected = [numbered(0, 1), huge, vec![Line { recv_ms: 9, ..numbered(1, 1)[0].clone() }]].concat();
    assert_eq!(read_all(&dir.0).unwrap(), expected);
    assert_eq!(inspect(&dir.0).unwrap().segments.len(), 3);
}

fn any_line() -> impl Strategy<Value = Line> {
    let frame = proptest::collection::vec(any::<u8>(), 0..300);
    (0_i64..10_000, any::<u16>(), "[a-z0-9/.]{0,20}", frame, any::<bool>()).prop_map(
        |(recv_ms, flags, source, frame, tick)| {
            if tick && flags % 4 == 0 {
                return Line { recv_ms, flags: RowFlags::TICK, source: String::new(), frame: Vec::new() };
            }
            Line { recv_ms, flags: RowFlags(flags & !RowFlags::TICK.0), source, frame }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is written in whatever groups, with restarts between, is read back.
    #[test]
    fn what_is_written_is_read(
        groups in proptest::collection::vec((proptest::collection::vec(any_line(), 0..40), any::<bool>(), any::<bool>()), 0..12),
        from in 1_u64..200,
    ) {
        let dir = Dir::new();
        let (mut journal, _) = Journal::open(&dir.config()).unwrap();
        let mut expected: Vec<Line> = Vec::new();
        for (lines, commit, reopen) in groups {
            append(&mut journal, &lines).unwrap();
            for mut line in lines {
                line.recv_ms = line.recv_ms.max(expected.last().map_or(i64::MIN, |l| l.recv_ms));
                expected.push(line);
            }
            if commit || reopen {
                prop_assert_eq!(journal.commit().unwrap(), expected.len() as u64);
            }
            if reopen {
                drop(journal);
                let (again, recovery) = Journal::open(&dir.config()).unwrap();
                prop_assert_eq!(recovery.entries, expected.len() as u64);
                prop_assert_eq!(recovery.last_recv_ms, expected.last().map(|l| l.recv_ms));
                journal = again;
            }
        }
        journal.commit().unwrap();
        prop_assert_eq!(&read_all(&dir.0).unwrap(), &expected);
        let tail = read_on(&mut JournalReader::open(&dir.0, from).unwrap()).unwrap();
        let skipped = expected.len().min(from as usize - 1);
        prop_assert_eq!(tail.into_iter().map(|e| e.1).collect::<Vec<_>>(), &expected[skipped..]);
    }
}
