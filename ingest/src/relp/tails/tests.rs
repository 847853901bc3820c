//! The registry of tails against a naive model of senders that send again.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// A sender with its sessions, as librelp behaves: it keeps what is not answered and sends it again, in order.
#[derive(Default)]
struct Worker {
    unanswered: VecDeque<u64>,
    session: Option<Session>,
}

/// The server's side of it.
struct Session {
    owner: Owner,
    in_flight: VecDeque<u64>,
    head: Vec<u64>,
    lane: Option<Arc<Lane>>,
    /// Taken and not answered.
    taken: usize,
}

#[derive(Debug, Clone)]
enum Op {
    Send(usize),
    Deliver(usize),
    Answer(usize),
    /// The connection breaks; the server hears of it, or does not.
    Cut(bool),
    /// Nothing is left to send again, and the sender says so.
    Close,
    /// The server dies.
    Restart,
}

struct World {
    tails: Tails,
    source: Arc<str>,
    journal: Vec<(u8, u64)>,
    workers: [Worker; 2],
    sent: u64,
}

fn hash(line: u64) -> u64 {
    line_hash(&line.to_le_bytes())
}

impl World {
    fn new() -> Self {
        let (tails, source) = (Tails::default(), Arc::from("relp/peer"));
        Self { tails, source, journal: Vec::new(), workers: Default::default(), sent: 0 }
    }

    fn step(&mut self, worker: usize, op: &Op) {
        self.connect(worker);
        match *op {
            Op::Send(lines) => {
                for _ in 0..lines {
                    let worker = &mut self.workers[worker];
                    worker.unanswered.push_back(self.sent);
                    worker.session.as_mut().expect("connected").in_flight.push_back(self.sent);
                    self.sent += 1;
                }
            }
            Op::Deliver(lines) => self.deliver(worker, lines, false),
            Op::Answer(lines) => {
                let worker = &mut self.workers[worker];
                let session = worker.session.as_mut().expect("connected");
                let lines = lines.min(session.taken);
                session.taken -= lines;
                worker.unanswered.drain(..lines);
            }
            Op::Cut(heard) => self.cut(worker, heard, false),
            Op::Close if self.workers[worker].unanswered.is_empty() => self.cut(worker, true, true),
            Op::Close => {}
            Op::Restart => {
                for worker in &mut self.workers {
                    worker.session = None;
                }
                let written = self.recovered(0..self.journal.len() / 2, &[]).encode();
                self.tails = self.recovered(self.journal.len() / 2..self.journal.len(), &written);
            }
        }
    }

    /// Tails from what was written down and what the journal holds from there on.
    fn recovered(&self, journal: std::ops::Range<usize>, written: &[u8]) -> Tails {
        let tails = Tails::default();
        assert!(tails.decode(written));
        for (lane, line) in &self.journal[journal] {
            tails.recover(&self.source, RowFlags::default().with_lane(*lane), &line.to_le_bytes());
        }
        tails
    }

    fn connect(&mut self, worker: usize) {
        let worker = &mut self.workers[worker];
        worker.session.get_or_insert_with(|| Session {
            owner: Owner::default(),
            in_flight: worker.unanswered.clone(),
            head: Vec::new(),
            lane: None,
            taken: 0,
        });
    }

    fn cut(&mut self, worker: usize, heard: bool, done: bool) {
        let session = self.workers[worker].session.take();
        if let Some((session, lane)) = session.and_then(|s| s.lane.clone().map(|lane| (s, lane)))
            && heard
        {
            lane.leave(&session.owner, done);
        }
    }

    fn deliver(&mut self, worker: usize, lines: usize, last: bool) {
        let session = self.workers[worker].session.as_mut().expect("connected");
        let lines = lines.min(session.in_flight.len());
        let came: Vec<u64> = session.in_flight.drain(..lines).collect();
        session.head.extend(came);
        if session.lane.is_none() {
            let hashes: Vec<u64> = session.head.iter().copied().map(hash).collect();
            if hashes.is_empty() {
                return;
            }
            match self.tails.seek(&self.source, &hashes, last, &session.owner) {
                Verdict::Open => return,
                Verdict::Repeats(repeated, lane) => {
                    session.head.drain(..repeated);
                    session.taken += repeated;
                    session.lane = lane;
                }
            }
        }
        let new = std::mem::take(&mut session.head);
        session.taken += new.len();
        let lane = session.lane.as_ref().expect("two workers find lanes");
        let journal = &mut self.journal;
        lane.extend(&session.owner, new.iter().copied().map(hash), || {
            journal.extend(new.iter().map(|line| (lane.number(), *line)));
        })
        .expect("nobody else goes on with this worker's lines");
    }
}

fn ops() -> impl Strategy<Value = Vec<(usize, Op)>> {
    let op = prop_oneof![
        6 => (1_usize..12).prop_map(Op::Send),
        6 => (1_usize..12).prop_map(Op::Deliver),
        4 => (1_usize..12).prop_map(Op::Answer),
        2 => any::<bool>().prop_map(Op::Cut),
        1 => Just(Op::Close),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec((0_usize..2, op), 0..60)
}

proptest! {
    #[test]
    fn each_line_is_kept_once_whatever_breaks(ops in ops()) {
        let mut world = World::new();
        for (worker, op) in &ops {
            world.step(*worker, op);
        }
        for worker in 0..2 {
            world.connect(worker);
            world.deliver(worker, usize::MAX, false);
            world.deliver(worker, usize::MAX, true);
        }
        let mut times: HashMap<u64, usize> = HashMap::new();
        for (_, line) in &world.journal {
            *times.entry(*line).or_default() += 1;
        }
        for line in 0..world.sent {
            prop_assert_eq!(times.get(&line), Some(&1), "line {}", line);
        }
    }
}

#[test]
fn a_session_that_is_dead_without_knowing_it_is_told() {
    let (tails, source) = (Tails::default(), Arc::from("relp/peer"));
    let (old, new) = (Owner::default(), Owner::default());
    let Verdict::Repeats(0, Some(lane)) = tails.seek(&source, &[1], false, &old) else { panic!("it is new") };
    lane.extend(&old, [1, 2, 3], || ()).expect("its own");
    let Verdict::Repeats(2, Some(same)) = tails.seek(&source, &[2, 3, 4], false, &new) else {
        panic!("two lines repeat")
    };
    assert_eq!(same.number(), lane.number());
    assert_eq!(lane.extend(&old, [4], || ()), Err(Superseded));
    let told = old.superseded();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(told);
}

#[test]
fn an_orderly_end_leaves_nothing_to_repeat() {
    let (tails, source) = (Tails::default(), Arc::from("relp/peer"));
    let (old, new) = (Owner::default(), Owner::default());
    let Verdict::Repeats(0, Some(lane)) = tails.seek(&source, &[1], false, &old) else { panic!("it is new") };
    lane.extend(&old, [1], || ()).expect("its own");
    lane.leave(&old, true);
    assert!(matches!(tails.seek(&source, &[1], false, &new), Verdict::Repeats(0, Some(_))));
}

#[test]
fn lanes_are_bounded_and_the_oldest_goes_first() {
    let tails = Tails::default();
    for sender in 0..ALL_LANES_MAX as u64 + 10 {
        tails.restore(&format!("relp/{sender}"), 1, [sender]);
    }
    assert_eq!(tails.lock().lanes, ALL_LANES_MAX);
    assert!(!tails.holds(&Arc::from("relp/0"), &[0]));
    assert!(tails.holds(&Arc::from("relp/10"), &[10]));
    let source: Arc<str> = Arc::from("relp/busy");
    let owners: Vec<Owner> = std::iter::repeat_with(Owner::default).take(64).collect();
    let lanes = owners.iter().map(|owner| tails.seek(&source, &[7], true, owner));
    let with_lane = lanes.filter(|verdict| matches!(verdict, Verdict::Repeats(0, Some(_)))).count();
    assert_eq!(with_lane, usize::from(LANES_MAX));
}

#[test]
fn what_was_written_down_by_somebody_else_is_refused() {
    let tails = Tails::default();
    tails.restore("relp/a", 3, [1, 2]);
    let written = tails.encode();
    for length in 1..written.len() {
        assert!(!Tails::default().decode(&written[..length]), "{length} bytes of it");
    }
    let again = Tails::default();
    assert!(again.decode(&written));
    assert_eq!(again.encode(), written);
}
