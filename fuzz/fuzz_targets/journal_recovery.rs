//! Any bytes as a segment, and a journal with any bytes in it changed: opening never panics, never gives an entry that
//! was not written, and never passes over damage below the last commit in silence.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use ingest::journal::{Journal, JournalConfig, JournalError, JournalReader};
use libfuzzer_sys::fuzz_target;
use record::{Batch, Decoder, FormatSet, Transport};

const NAME: &str = "00000000000000000001.journal";
const HEADER_BYTES: usize = 32;

type Entries = Vec<(u64, i64, Vec<u8>)>;

struct Given {
    dir: PathBuf,
    /// A journal of several commits, without the empty rest of its segment.
    bytes: Vec<u8>,
    entries: Entries,
    /// All below the last commit.
    durable: u64,
    used: usize,
}

static GIVEN: LazyLock<Given> = LazyLock::new(given);

fn config(dir: &Path) -> JournalConfig {
    let dir = dir.to_path_buf();
    JournalConfig { dir, segment_bytes: 64 << 10, reserve_bytes: 0, spare_segments: 0, ..JournalConfig::default() }
}

fn given() -> Given {
    let shm = Path::new("/dev/shm");
    let place = if shm.is_dir() { shm.to_path_buf() } else { std::env::temp_dir() };
    let dir = place.join(format!("watchroom-fuzz-{}", std::process::id()));
    let zone = chrono_tz::Asia::Shanghai;
    let formats = Arc::new(FormatSet::shipped(zone));
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, None);
    drop(fs::remove_dir_all(&dir));
    let (mut journal, _) = Journal::open(&config(&dir)).expect("a new journal");
    let mut durable = 0;
    for group in 0..5_i64 {
        durable = journal.next_lsn() - 1;
        let mut batch = Batch::default();
        let source = batch.source_index(&Arc::from("tcp/127.0.0.1"));
        for n in 0..=group {
            let line = format!("<134>Jul 22 18:15:00 host app: line {group} {n}");
            decoder.push(&mut batch, source, line.as_bytes(), Some(1_469_182_500_000 + group), false);
        }
        decoder.flush(&mut batch, source);
        journal.append(&mut batch, &formats).expect("room");
        journal.append_tick(1_469_182_500_000 + group).expect("room");
        journal.commit().expect("the disk");
    }
    drop(journal);
    let mut bytes = fs::read(dir.join(NAME)).expect("the segment");
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used + 64);
    let entries = read(&dir).expect("an undamaged journal");
    Given { dir, bytes, entries, durable, used }
}

fn read(dir: &Path) -> Result<Entries, JournalError> {
    let mut reader = JournalReader::open(dir, 1)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next()? {
        entries.push((entry.lsn, entry.recv_ms, entry.frame.to_vec()));
    }
    Ok(entries)
}

/// Opens a segment's bytes as a node would; what it gives, if it takes it.
fn open(given: &Given, bytes: &[u8]) -> Option<(u64, u64, Entries)> {
    drop(fs::remove_dir_all(&given.dir));
    fs::create_dir_all(&given.dir).expect("a folder");
    fs::write(given.dir.join(NAME), bytes).expect("a file");
    let (_, recovery) = Journal::open(&config(&given.dir)).ok()?;
    let entries = read(&given.dir).expect("what recovery took can be read");
    assert_eq!(recovery.next_lsn, entries.len() as u64 + 1, "{recovery:?}");
    Some((recovery.torn_bytes, recovery.damaged_entries, entries))
}

/// A segment of salt zero whose entries are the input's pieces, each with its length and checksum set right.
fn checked(pieces: &[u8]) -> Vec<u8> {
    let mut bytes = b"WRJRNL01".to_vec();
    bytes.extend_from_slice(&1_u64.to_le_bytes());
    bytes.extend_from_slice(&[0; 12]);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    assert_eq!(bytes.len(), HEADER_BYTES);
    let seed = crc32c::crc32c(&0_u64.to_le_bytes());
    let mut rest = pieces;
    while let Some((length, behind)) = rest.split_first() {
        let (piece, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        bytes.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c_append(seed, piece).to_le_bytes());
        bytes.extend_from_slice(piece);
        rest = behind;
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let given = &*GIVEN;
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 3 {
        0 => drop(open(given, rest)),
        1 => drop(open(given, &checked(rest))),
        _ => {
            let mut bytes = given.bytes.clone();
            let mut changed = Vec::new();
            for edit in rest.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
                bytes[at] ^= edit[2];
                changed.push(at);
            }
            if bytes == given.bytes {
                return;
            }
            let Some((torn_bytes, _, entries)) = open(given, &bytes) else { return };
            assert!(given.entries.starts_with(&entries), "entries that nobody wrote");
            let lost = entries.len() < given.entries.len();
            // More than one change may take away every proof that there was something.
            if changed.len() == 1 {
                assert!(entries.len() as u64 >= given.durable, "{} of {}", entries.len(), given.durable);
            }
            if changed.iter().all(|at| *at < given.used) && changed.len() == 1 {
                assert!(!lost || torn_bytes > 0, "cut and not counted");
            }
        }
    }
});
