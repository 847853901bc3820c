//! What recognising repeated lines costs: per line with and without ids, and how long the journal thread stands still
//! for a snapshot of 100 senders with full windows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::senders::WINDOW_EIDS;
use ingest::{InboxConfig, Ledger, ReadCounts, Senders, SendersConfig, inbox};
use record::{Decoder, FormatSet, Transport};

/// Lines in a parcel.
const LINES: usize = 300;
const SENDERS: usize = 100;

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "a measurement for people")]
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    let (inbox, receiver) = inbox(&InboxConfig::default());
    let ledger = Arc::new(Ledger::new("t".into()));
    let formats = Arc::new(FormatSet::shipped("Asia/Shanghai".parse().expect("a known zone")));
    let mut decoder = Decoder::new(formats, Transport::Syslog, None);
    let mut senders = Senders::new(&SendersConfig::default());
    let mut seq = 0_u128;
    let mut run = |senders: &mut Senders, sender: usize, with_ids: bool, parcels: usize| {
        let (mut filter, mut hand_over) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..parcels {
            let mut parcel = runtime.block_on(inbox.lend(1, &ledger)).expect("the receiver is there");
            let source = parcel.batch.source_index(&Arc::from(format!("in/host-{sender}")));
            for _ in 0..LINES {
                seq += 1;
                let eid = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
                let data = if with_ids {
                    format!("[lc@32473 eid=\"{eid:032x}\" seq=\"{seq}\"]")
                } else {
                    "-".into()
                };
                let frame = format!("<14>1 2016-07-22T18:15:00+08:00 host app - - {data} a line of the log");
                decoder.push(&mut parcel.batch, source, frame.as_bytes(), Some(1), false);
            }
            let begun = now();
            inbox
                .hand_over(parcel, &ReadCounts::default(), decoder.take_counts())
                .expect("the receiver is there");
            hand_over += begun.elapsed();
            let mut parcel = receiver.try_recv().expect("it was handed over");
            let begun = now();
            senders.filter(&mut parcel);
            filter += begun.elapsed();
        }
        let lines = (parcels * LINES) as u128;
        (hand_over.as_nanos() / lines, filter.as_nanos() / lines)
    };
    println!("without ids: (hand over, filter) {:?} ns a line", run(&mut senders, 0, false, 1_000));
    let full = WINDOW_EIDS.div_ceil(LINES);
    println!("with ids, window filling: {:?} ns a line", run(&mut senders, 0, true, full));
    println!("with ids, window full: {:?} ns a line", run(&mut senders, 0, true, 4 * full));
    for sender in 1..SENDERS {
        run(&mut senders, sender, true, full);
    }
    for _ in 0..5 {
        let begun = now();
        let frozen = senders.freeze(1, Vec::new());
        let froze = begun.elapsed();
        let begun = now();
        let path = std::env::temp_dir().join(format!("watchroom-senders-cost-{}", std::process::id()));
        let bytes = frozen.save(&path).expect("the file can be written");
        let saved = begun.elapsed();
        let begun = now();
        Senders::load(&path, &SendersConfig::default()).expect("it can be read").expect("it is there");
        let loaded = begun.elapsed();
        std::fs::remove_file(&path).expect("the file can be removed");
        println!(
            "{SENDERS} senders: stood still {froze:?}, written {bytes} bytes in {saved:?}, read in {loaded:?}"
        );
    }
}
