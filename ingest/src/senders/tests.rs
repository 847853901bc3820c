//! Parcels as listeners make them, judged by a naive model.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use record::{Decoder, FormatSet, Transport};

use super::*;
use crate::inbox::{Inbox, InboxConfig, InboxReceiver, inbox};
use crate::journal::{Journal, JournalConfig};
use crate::ledger::{Ledger, ReadCounts};

/// A listener without a socket.
struct Listener {
    inbox: Inbox,
    receiver: InboxReceiver,
    ledger: Arc<Ledger>,
    decoder: Decoder,
}

impl Listener {
    fn new() -> Self {
        let (inbox, receiver) = inbox(&InboxConfig::default());
        let formats = Arc::new(FormatSet::shipped("Asia/Shanghai".parse().unwrap()));
        let decoder = Decoder::new(formats, Transport::Syslog, None);
        Self { inbox, receiver, ledger: Arc::new(Ledger::new("t".into())), decoder }
    }

    /// A parcel of these frames as the journal thread gets it; each with its source.
    fn parcel(&mut self, frames: &[(&str, &str)], recv_ms: InstantMs) -> Parcel {
        let lent = pin!(self.inbox.lend(1, &self.ledger)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(mut parcel)) = lent else { panic!("the budget is used up") };
        for (source, frame) in frames {
            let source = parcel.batch.source_index(&Arc::from(*source));
            self.decoder.push(&mut parcel.batch, source, frame.as_bytes(), Some(recv_ms), false);
        }
        let read = ReadCounts { frames: frames.len() as u64, ..ReadCounts::default() };
        parcel.when_durable();
        self.inbox.hand_over(parcel, &read, self.decoder.take_counts()).unwrap();
        self.receiver.try_recv().unwrap()
    }
}

/// A frame with an id and a number.
fn frame(eid: &str, seq: u64) -> String {
    format!(
        "<14>1 2016-07-22T18:15:00.512+08:00 host app - - [lc@32473 eid=\"{eid}\" seq=\"{seq}\"] line {eid}"
    )
}

fn messages(parcel: &Parcel) -> Vec<&str> {
    parcel.batch.rows.iter().map(|row| parcel.batch.text(row.message)).collect()
}

fn check(senders: &mut Senders, listener: &mut Listener, frames: &[(&str, &str)], kept: &[&str]) {
    let mut parcel = listener.parcel(frames, 1_000);
    senders.filter(&mut parcel);
    assert_eq!(messages(&parcel), kept);
    assert_eq!(parcel.repeated as usize, frames.len() - kept.len());
    assert!(parcel.idents.is_empty());
    let rows = parcel.batch.rows.len() as u64;
    parcel.ledger().add_committed(rows, parcel.repeated, None);
}

#[test]
fn what_was_here_before_is_taken_out_of_its_senders_lines_only() {
    let (mut senders, mut listener) = (Senders::new(&SendersConfig::default()), Listener::new());
    let (a, b, c) = (&*frame("a", 0), &*frame("b", 1), &*frame("c", 2));
    let (first, other) = ("tcp/10.0.0.1", "udp/10.0.0.2");
    check(&mut senders, &mut listener, &[(first, a), (first, b), (first, a)], &["line a", "line b"]);
    check(
        &mut senders,
        &mut listener,
        &[(other, a), (first, "no id"), (other, b)],
        &["line a", "no id", "line b"],
    );
    // The same sender by another input, and the other one between.
    let again = "relp/10.0.0.1";
    check(&mut senders, &mut listener, &[(again, b), (other, c), (again, c)], &["line c", "line c"]);
    check(&mut senders, &mut listener, &[(first, a), (other, b)], &[]);
    check(&mut senders, &mut listener, &[(first, "no id"), (first, "no id")], &["no id", "no id"]);
    let snapshot = listener.ledger.snapshot();
    assert_eq!((snapshot.stored, snapshot.duplicate, snapshot.in_flight()), (9, 4, 0));
    assert_eq!(snapshot.unaccounted(), 0);
}

#[test]
fn a_sender_heard_regularly_is_silent_when_it_pauses_and_not_when_the_node_was_away() {
    let config = SendersConfig { silent_after_seconds: 300, ..SendersConfig::default() };
    let (mut senders, mut listener) = (Senders::new(&config), Listener::new());
    let minute = 60_000;
    let mut hear = |senders: &mut Senders, source: &str, at_ms| {
        let mut parcel = listener.parcel(&[(source, "line")], at_ms);
        senders.filter(&mut parcel);
    };
    let silent = |senders: &Senders, at_ms| {
        let mut names: Vec<String> =
            senders.view(at_ms).senders.iter().filter(|s| s.silent).map(|s| s.name.to_string()).collect();
        names.sort();
        names
    };
    for at in 0..=10 {
        hear(&mut senders, "t/regular", at * minute);
    }
    hear(&mut senders, "t/once", 10 * minute);
    (0..3).for_each(|at| hear(&mut senders, "t/rare", at * 20 * minute));
    assert!(silent(&senders, 15 * minute).is_empty());
    assert_eq!(silent(&senders, 15 * minute + 1), ["regular"]);
    senders.resume(20 * minute);
    assert!(silent(&senders, 25 * minute).is_empty());
    assert_eq!(silent(&senders, 25 * minute + 1), ["regular"]);
    hear(&mut senders, "t/regular", 26 * minute);
    assert!(silent(&senders, 60 * minute).is_empty());
    let off = SendersConfig { silent_after_seconds: 0, ..SendersConfig::default() };
    senders.config = off;
    assert!(silent(&senders, 1_000 * minute).is_empty());
}

#[test]
fn the_least_recently_heard_is_forgotten_first_and_those_with_ids_last() {
    let config = SendersConfig { max_senders: 64, ..SendersConfig::default() };
    let (mut senders, mut listener) = (Senders::new(&config), Listener::new());
    let mut hear = |senders: &mut Senders, source: &str, frame: &str, at_ms| {
        let mut parcel = listener.parcel(&[(source, frame)], at_ms);
        senders.filter(&mut parcel);
    };
    hear(&mut senders, "t/with-ids", &frame("a", 0), 0);
    hear(&mut senders, "t/kept", "line", 1);
    for n in 0..200 {
        hear(&mut senders, "t/kept", "line", 2 + n);
        hear(&mut senders, &format!("udp/stranger-{n}"), "line", 2 + n);
    }
    let view = senders.view(300);
    assert_eq!((view.senders.len(), view.forgotten), (64, 138));
    for name in ["with-ids", "kept", "stranger-199", "stranger-138"] {
        assert!(view.senders.iter().any(|sender| *sender.name == *name), "{name}");
    }
}

/// What the model and the senders are put through.
#[derive(Debug, Clone)]
enum Step {
    /// A sender sends new lines.
    New(usize, usize),
    /// A sender repeats its last lines, and some new ones behind them.
    Suffix(usize, usize, usize),
    /// A sender repeats anything: which of all its lines, how many.
    Any(usize, proptest::sample::Index, usize),
    /// Lines of two senders with the same ids in one parcel, each twice.
    Twice(usize),
    /// What is known is written down; the journal goes on.
    Snapshot,
    /// kill -9: what was committed is all that is left.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let any = any::<proptest::sample::Index>();
    prop_oneof![
        4 => (0..3_usize, 1..40_usize).prop_map(|(s, n)| Step::New(s, n)),
        3 => (0..3_usize, 1..60_usize, 0..10_usize).prop_map(|(s, n, new)| Step::Suffix(s, n, new)),
        2 => (0..3_usize, any, 1..30_usize).prop_map(|(s, at, n)| Step::Any(s, at, n)),
        1 => (1..5_usize).prop_map(Step::Twice),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restart),
    ]
}

/// Ids in the window of the test.
const WINDOW: usize = 100;

/// A node without sockets: senders, a journal, a snapshot. And the model beside it: queues that are searched.
struct Drill {
    listener: Listener,
    senders: Senders,
    journal: Journal,
    config: JournalConfig,
    snapshot: PathBuf,
    formats: Arc<FormatSet>,
    /// By sender: all it ever sent.
    sent: [Vec<u64>; 3],
    seen: HashMap<usize, VecDeque<u64>>,
    next: u64,
    now_ms: InstantMs,
}

impl Drill {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("watchroom-senders-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).unwrap();
        let config =
            JournalConfig { dir: dir.join("journal"), segment_bytes: 1 << 20, ..JournalConfig::default() };
        Self {
            listener: Listener::new(),
            senders: Senders::with_window(&SendersConfig::default(), WINDOW),
            journal: Journal::open(&config).unwrap().0,
            config,
            snapshot: dir.join("senders.snapshot"),
            formats: Arc::new(FormatSet::shipped("Asia/Shanghai".parse().unwrap())),
            sent: Default::default(),
            seen: HashMap::new(),
            next: 0,
            now_ms: 1_000,
        }
    }

    fn fresh(&mut self, sender: usize, lines: usize) -> Vec<(usize, u64)> {
        let from = self.next;
        self.next += lines as u64;
        (from..self.next).map(|id| (sender, id)).collect()
    }

    /// Sends lines in one parcel; checks what is kept.
    fn send(&mut self, lines: &[(usize, u64)]) {
        self.now_ms += 10;
        let text =
            |(sender, id): &(usize, u64)| (format!("in/host-{sender}"), frame(&format!("id-{id}"), *id));
        let owned: Vec<(String, String)> = lines.iter().map(text).collect();
        let frames: Vec<(&str, &str)> = owned.iter().map(|(s, f)| (&**s, &**f)).collect();
        let mut parcel = self.listener.parcel(&frames, self.now_ms);
        self.senders.filter(&mut parcel);
        let mut expected = Vec::new();
        for (sender, id) in lines {
            self.sent[*sender].push(*id);
            let seen = self.seen.entry(*sender).or_default();
            if !seen.contains(id) {
                seen.push_back(*id);
                expected.push(format!("line id-{id}"));
            }
            if seen.len() > WINDOW {
                seen.pop_front();
            }
        }
        assert_eq!(messages(&parcel), expected);
        assert_eq!(parcel.repeated as usize, lines.len() - expected.len());
        self.journal.append(&mut parcel.batch, &self.formats).unwrap();
        self.journal.commit().unwrap();
    }

    fn restart(&mut self) {
        let before = self.senders.view(self.now_ms);
        drop(std::mem::replace(
            &mut self.journal,
            Journal::open(&JournalConfig { enabled: false, ..self.config.clone() }).unwrap().0,
        ));
        self.journal = Journal::open(&self.config).unwrap().0;
        let fresh = Senders::with_window(&SendersConfig::default(), WINDOW);
        let (mut senders, lsn) = match std::fs::read(&self.snapshot) {
            Ok(bytes) => {
                let Restored { senders, lsn, tails } = fresh.restore(&bytes).unwrap();
                assert_eq!(tails, b"tails");
                (senders, lsn)
            }
            Err(_) => (fresh, 0),
        };
        let mut reader = self.journal.reader(lsn + 1).unwrap();
        senders.replay(&mut reader, |_| {}).unwrap();
        let after = senders.view(self.now_ms);
        for sender in before.senders.iter().filter(|sender| sender.lines > 0) {
            let same = after.senders.iter().find(|s| s.name == sender.name).unwrap();
            // What was recognised as sent again is not in the journal: that count is as old as the snapshot.
            let same = SenderView { duplicates: sender.duplicates, ..same.clone() };
            assert_eq!(same, *sender);
        }
        self.senders = senders;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::New(sender, lines) => {
                let lines = self.fresh(*sender, *lines);
                self.send(&lines);
            }
            Step::Suffix(sender, lines, new) => {
                let sent = &self.sent[*sender];
                let mut lines: Vec<(usize, u64)> =
                    sent[sent.len().saturating_sub(*lines)..].iter().map(|id| (*sender, *id)).collect();
                lines.extend(self.fresh(*sender, *new));
                self.send(&lines);
            }
            Step::Any(sender, at, lines) if !self.sent[*sender].is_empty() => {
                let sent = &self.sent[*sender];
                let from = at.index(sent.len());
                let lines: Vec<(usize, u64)> =
                    sent[from..].iter().take(*lines).map(|id| (*sender, *id)).collect();
                self.send(&lines);
            }
            Step::Any(..) => {}
            Step::Twice(lines) => {
                let mut lines = self.fresh(0, *lines);
                lines.extend(lines.clone().iter().map(|(_, id)| (1, *id)));
                lines.extend(lines.clone());
                self.send(&lines);
            }
            Step::Snapshot => {
                let frozen = self.senders.freeze(self.journal.durable_lsn(), b"tails".to_vec());
                let bytes = frozen.save(&self.snapshot).unwrap();
                assert_eq!(bytes, std::fs::metadata(&self.snapshot).unwrap().len());
            }
            Step::Restart => self.restart(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn senders_are_queues_that_are_searched_over_any_restart(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut drill = Drill::new("model");
        steps.iter().for_each(|step| drill.step(step));
        drill.restart();
        std::fs::remove_dir_all(drill.snapshot.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let mut drill = Drill::new("damage");
    drill.step(&Step::New(0, 150));
    drill.step(&Step::Snapshot);
    let bytes = std::fs::read(&drill.snapshot).unwrap();
    let restore = |bytes: &[u8]| {
        Senders::with_window(&SendersConfig::default(), WINDOW).restore(bytes).map(|restored| restored.lsn)
    };
    assert_eq!(restore(&bytes).unwrap(), 150);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(restore(&damaged).is_err(), "byte {at}");
        assert!(restore(&bytes[..at]).is_err(), "cut at {at}");
    }
    std::fs::remove_dir_all(drill.snapshot.parent().unwrap()).unwrap();
}
