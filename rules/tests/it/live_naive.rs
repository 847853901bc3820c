//! A live run written down as plainly as it is defined: journal entries in, what people are told out.
//!
//! Watermark, history start and every verdict are computed anew from all entries up to the one at hand; the verdicts
//! themselves are those of the naive models. Shares no code with the engine, which must agree with it on random
//! journals (`live.rs`).

use std::collections::BTreeSet;

use crate::naive::{self, Seen, Shape};
use crate::things_naive::{self, Rec};

const NEVER: i64 = i64::MIN / 4;
const AHEAD_MAX: i64 = 600_000;
const IDLE_AFTER: i64 = 10_000;

/// A journal entry; its position is its place, from 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival {
    pub(crate) recv: i64,
    /// Time that the line tells; a tick, and a line without a time, has none.
    pub(crate) at: Option<i64>,
    /// The record as a rule that counts sees it.
    pub(crate) seen: Option<Seen>,
    /// The record as a rule about single things sees it.
    pub(crate) rec: Option<Rec>,
}

impl Arrival {
    /// The time of a record that is judged.
    fn judged(&self) -> Option<i64> {
        self.at.filter(|at| *at <= self.recv + AHEAD_MAX)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Judge {
    Counts(naive::Rule),
    Things(things_naive::Rule),
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) judge: Judge,
    pub(crate) settle: i64,
}

/// What people are told. Of a withdrawn alert only that it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    pub(crate) key: String,
    pub(crate) lsn: u64,
    pub(crate) change: &'static str,
    pub(crate) early: bool,
    pub(crate) active: i64,
    pub(crate) fired: Option<i64>,
    pub(crate) ended: Option<i64>,
}

/// What a live run comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) steps: Vec<Step>,
    /// Keys with an alert on, with whether it is early only.
    pub(crate) on: Vec<(String, bool)>,
    pub(crate) skewed: u64,
    pub(crate) late: u64,
}

/// The watermark's clock at one entry.
#[derive(Debug, Clone, Copy)]
struct Clock {
    before: i64,
    /// As far as it goes without passing the record itself.
    middle: i64,
    after: i64,
}

fn clocks(arrivals: &[Arrival]) -> Vec<Clock> {
    let (mut highest, mut now, mut all) = (None::<i64>, NEVER, Vec::new());
    let mut last_line = arrivals.first().map_or(0, |first| first.recv);
    for arrival in arrivals {
        let before = now;
        if let Some(at) = arrival.judged() {
            highest = highest.max(Some(at));
            last_line = arrival.recv;
        }
        let is_idle = arrival.judged().is_none() && arrival.recv - last_line >= IDLE_AFTER;
        let to = if is_idle { Some(arrival.recv) } else { highest.map(|h| h.min(arrival.recv)) };
        now = now.max(to.unwrap_or(NEVER));
        let middle = arrival.judged().map_or(now, |at| now.min(before.max(at)));
        all.push(Clock { before, middle, after: now });
    }
    all
}

fn floor(at: i64, length: i64) -> i64 {
    at.div_euclid(length) * length
}

/// One rule over one journal.
struct Run<'a> {
    rule: &'a Rule,
    arrivals: &'a [Arrival],
    clocks: Vec<Clock>,
    /// Watermark after each entry.
    marks: Vec<i64>,
    /// History start as known after each entry.
    starts: Vec<i64>,
    /// Bucket length; of kinds exact to the millisecond the second in which they are told.
    unit: i64,
    is_exact: bool,
}

impl<'a> Run<'a> {
    fn new(rule: &'a Rule, arrivals: &'a [Arrival]) -> Self {
        let (unit, is_exact) = match &rule.judge {
            Judge::Counts(counts) if matches!(counts.shape, Shape::Consecutive { .. }) => (1_000, true),
            Judge::Counts(counts) => (naive::step(counts), false),
            Judge::Things(_) => (1_000, true),
        };
        let clocks = clocks(arrivals);
        let lateness = rule.lateness();
        let marks: Vec<i64> = clocks.iter().map(|clock| clock.after - lateness).collect();
        let (mut lowest, mut decided, mut starts) = (None::<i64>, false, Vec::new());
        for (arrival, mark) in arrivals.iter().zip(&marks) {
            match arrival.judged() {
                Some(at) if !decided => lowest = Some(lowest.map_or(at, |low| low.min(at))),
                None if lowest.is_none() => lowest = Some(arrival.recv),
                _ => {}
            }
            decided |= lowest.is_some_and(|low| floor(low, unit) + unit <= *mark);
            starts.push(lowest.unwrap_or(i64::MAX / 4));
        }
        Self { rule, arrivals, clocks, marks, starts, unit, is_exact }
    }

    /// Of which entries the verdict about an instant is made, when those before `len` are known.
    fn known(&self, t: i64, len: usize) -> usize {
        let end = if self.is_exact { t + 1 } else { t + self.unit };
        len.min(self.marks.partition_point(|mark| *mark < end) + 1)
    }

    /// The verdict at an instant when the entries before `len` are known.
    fn active(&self, key: &str, t: i64, len: usize, early: bool) -> bool {
        let known = &self.arrivals[..self.known(t, len)];
        let Some(&start) = known.len().checked_sub(1).and_then(|last| self.starts.get(last)) else {
            return false;
        };
        let judged = known.iter().enumerate().filter(|(_, arrival)| arrival.judged().is_some());
        match &self.rule.judge {
            Judge::Counts(counts) => {
                let shape = if early { early_part(&counts.shape) } else { Some(counts.shape.clone()) };
                let seen = judged.filter_map(|(i, a)| Some((i, a.seen.as_ref()?)));
                let seen: Vec<(usize, &Seen)> = seen.filter(|(_, seen)| seen.key == key).collect();
                shape.is_some_and(|shape| naive::active(&shape, &seen, t, start))
            }
            Judge::Things(rule) => {
                if early && matches!(rule.kind, things_naive::Kind::Unfinished { .. }) {
                    return false;
                }
                let recs = judged.filter_map(|(i, a)| Some((i, a.rec.as_ref()?)));
                let recs: Vec<(usize, &Rec)> =
                    recs.filter(|(_, rec)| rec.passes && !rec.thing.is_empty()).collect();
                let things: BTreeSet<&str> = recs.iter().map(|(_, rec)| rec.thing.as_str()).collect();
                let is_bad = |thing: &&str| {
                    let of: Vec<_> = recs.iter().filter(|(_, rec)| rec.thing == **thing).copied().collect();
                    things_naive::bad(rule, &of, t, start).contains(key)
                };
                things.iter().filter(|thing| is_bad(thing)).count() >= rule.count
            }
        }
    }

    fn keys(&self) -> BTreeSet<String> {
        match &self.rule.judge {
            Judge::Counts(naive::Rule { shape: Shape::Flatline(flatline), .. })
                if flatline.expect.is_ok() =>
            {
                flatline.expect.iter().flatten().map(|key| (*key).to_owned()).collect()
            }
            Judge::Counts(_) => {
                self.arrivals.iter().filter_map(|a| a.seen.as_ref()).map(|s| s.key.clone()).collect()
            }
            Judge::Things(_) => {
                self.arrivals.iter().filter_map(|a| a.rec.as_ref()).map(|r| r.key.clone()).collect()
            }
        }
    }

    /// Instants before it are settled.
    fn end(&self) -> i64 {
        let mark = self.marks.last().copied().unwrap_or(NEVER);
        if self.is_exact { mark } else { floor(mark, self.unit) }
    }

    /// Instants between which no verdict changes, as far as all is settled.
    fn instants(&self) -> Vec<i64> {
        let end = self.end();
        let times = || self.arrivals.iter().filter_map(Arrival::judged);
        let first = times().chain(self.arrivals.first().map(|a| a.recv)).min().unwrap_or(end);
        if !self.is_exact {
            let first = floor(first, self.unit);
            return (0..).map(|n| first + n * self.unit).take_while(|t| *t < end).collect();
        }
        let lasts: Vec<i64> = match &self.rule.judge {
            Judge::Counts(naive::Rule { shape: Shape::Consecutive { within, .. }, .. }) => vec![0, *within],
            Judge::Counts(_) => vec![0],
            Judge::Things(rule) => {
                let within = match rule.kind {
                    things_naive::Kind::Unfinished { within, .. } => within,
                    _ => 0,
                };
                vec![0, within, rule.resolve_after, within + rule.resolve_after]
            }
        };
        let marks = self.marks.iter().copied();
        let all = times().flat_map(|at| lasts.iter().map(move |d| at + d)).chain(marks);
        all.filter(|t| *t >= first && *t < end).collect::<BTreeSet<i64>>().into_iter().collect()
    }

    /// The settled life of a key's alerts: what becomes known of which instant.
    fn settled(&self, key: &str) -> Vec<(i64, Step)> {
        let end = self.end();
        let instants = self.instants();
        let mut activity: Vec<(i64, i64)> = Vec::new();
        for (i, &t) in instants.iter().enumerate() {
            if self.active(key, t, self.arrivals.len(), false) {
                let until = instants.get(i + 1).copied().unwrap_or(end);
                match activity.last_mut() {
                    Some(last) if last.1 == t => last.1 = until,
                    _ => activity.push((t, until)),
                }
            }
        }
        let (pending_for, keep_firing_for) = self.rule.waits();
        let shape = Shape::Any { resolve_after: 0 };
        let waits = naive::Rule { shape, lateness: 0, pending_for, keep_firing_for };
        let mut known = Vec::new();
        for told in naive::life(&waits, key, &activity, end) {
            let step = |change, fired, ended| Step {
                key: key.to_owned(),
                lsn: 0,
                change,
                early: false,
                active: told.active_at,
                fired,
                ended,
            };
            known.push((told.active_at, step("pending", None, None)));
            known.extend(told.fired_at.map(|at| (at, step("fired", Some(at), None))));
            let change = if told.fired_at.is_some() { "resolved" } else { "dropped" };
            known.extend(told.ended_at.map(|at| (at, step(change, told.fired_at, Some(at)))));
        }
        known
    }

    /// The first instant that is active by what is known and not told yet.
    fn first_active(&self, key: &str, len: usize, (told, mark): (i64, i64)) -> Option<i64> {
        let times = self.arrivals[..len].iter().filter_map(Arrival::judged);
        let mut candidates: BTreeSet<i64> = match self.is_exact {
            // A late record counts from the watermark on, which may be settled meanwhile, and not told yet.
            true => {
                times.chain(self.marks[..len].iter().copied()).chain([mark]).filter(|t| *t > told).collect()
            }
            false => times.map(|at| floor(at, self.unit)).filter(|t| *t > told).collect(),
        };
        candidates.insert(told);
        candidates.into_iter().find(|&t| self.active(key, t, len, true))
    }
}

/// What of a shape more records of the past can only confirm.
fn early_part(shape: &Shape) -> Option<Shape> {
    match shape {
        Shape::Any { .. } | Shape::Frequency { .. } | Shape::Sustained { .. } | Shape::Consecutive { .. } => {
            Some(shape.clone())
        }
        Shape::Cardinality { min: Some(min), within, .. } => {
            Some(Shape::Cardinality { min: Some(*min), max: None, within: *within })
        }
        _ => None,
    }
}

impl Rule {
    pub(crate) fn lateness(&self) -> i64 {
        match &self.judge {
            Judge::Counts(rule) => rule.lateness,
            Judge::Things(rule) => rule.lateness,
        }
    }

    fn waits(&self) -> (i64, i64) {
        match &self.judge {
            Judge::Counts(rule) => (rule.pending_for, rule.keep_firing_for),
            Judge::Things(rule) => (rule.pending_for, rule.keep_firing_for),
        }
    }

    /// Whether the rule looks at a record.
    fn looks_at(&self, arrival: &Arrival) -> bool {
        match &self.judge {
            Judge::Counts(rule) => arrival.seen.as_ref().is_some_and(|seen| {
                seen.matched || seen.reset && matches!(rule.shape, Shape::Consecutive { .. })
            }),
            Judge::Things(rule) => arrival.rec.as_ref().is_some_and(|rec| {
                let has_role = match rule.kind {
                    things_naive::Kind::Sequence { steps, .. } => rec.roles[..steps].contains(&true),
                    things_naive::Kind::Transition { .. } => !rec.value.is_empty(),
                    things_naive::Kind::NewValue { .. } => true,
                    _ => rec.roles[..2].contains(&true),
                };
                rec.passes && !rec.thing.is_empty() && has_role
            }),
        }
    }
}

/// One key's alert as people know it.
struct Teller<'a> {
    run: &'a Run<'a>,
    key: &'a str,
    settled: Vec<(i64, Step)>,
    next: usize,
    /// Instants before it are told.
    told: i64,
    /// An alert is on, and whether it is early only.
    on: Option<bool>,
    waiting: Option<i64>,
    steps: Vec<Step>,
}

impl Teller<'_> {
    /// Tells what is settled before an instant.
    fn tell(&mut self, until: i64, lsn: u64) {
        let (pending_for, _) = self.run.rule.waits();
        while let Some((_, step)) = self.settled.get(self.next).filter(|(at, _)| *at < until) {
            let was_told = match step.change {
                "pending" => {
                    let was_early = self.on.is_some();
                    // That it fired early is confirmed by the settled firing.
                    self.on = Some(was_early && pending_for == 0);
                    was_early || pending_for == 0
                }
                "fired" => self.on.replace(false) == Some(true),
                _ => {
                    self.on = None;
                    false
                }
            };
            if !was_told {
                self.steps.push(Step { lsn, ..step.clone() });
            }
            self.next += 1;
        }
        self.told = self.told.max(until);
    }

    fn raise(&mut self, at: i64, lsn: u64) {
        let fires = self.run.rule.waits().0 == 0;
        self.on = Some(true);
        self.steps.push(Step {
            key: self.key.to_owned(),
            lsn,
            change: if fires { "fired" } else { "pending" },
            early: true,
            active: at,
            fired: fires.then_some(at),
            ended: None,
        });
    }

    /// Raises what is active by the entries before `len`, withdraws what is not; `at`: the record that is taken.
    fn look(&mut self, len: usize, base: i64, at: Option<i64>, lsn: u64) {
        let mark = base - self.run.rule.lateness();
        let first = self.run.first_active(self.key, len, (self.told, mark));
        let settle = self.run.rule.settle;
        match (self.on, first) {
            (Some(true), None) => {
                self.on = None;
                self.steps.push(Step {
                    key: self.key.to_owned(),
                    lsn,
                    change: "withdrawn",
                    early: true,
                    active: 0,
                    fired: None,
                    ended: None,
                });
            }
            (None, Some(first)) if self.waiting.is_none() => {
                let due = at.unwrap_or(first) + settle;
                if settle == 0 || due <= base {
                    self.raise(first, lsn);
                } else {
                    self.waiting = Some(due);
                }
            }
            _ => {}
        }
    }

    /// The clock has come to `base` with the entries before `len`.
    fn pass(&mut self, len: usize, base: i64, lsn: u64) {
        let until = floor(base - self.run.rule.lateness(), self.run.unit);
        if until > self.told {
            self.tell(until, lsn);
            self.look(len, base, None, lsn);
        }
        if self.waiting.is_some_and(|due| due <= base) {
            self.waiting = None;
            self.look(len, base, None, lsn);
        }
    }

    fn take(&mut self, i: usize, lsn: u64) {
        let (arrival, base) = (&self.run.arrivals[i], self.run.clocks[i].middle);
        let mark = base - self.run.rule.lateness();
        // Any record may move history start, on which some kinds about things depend.
        if !self.run.rule.looks_at(arrival) && !matches!(self.run.rule.judge, Judge::Things(_)) {
            return;
        }
        let at = arrival.at.unwrap_or_default();
        match &self.run.rule.judge {
            Judge::Counts(rule) => {
                let Some(seen) = arrival.seen.as_ref().filter(|seen| seen.key == self.key) else { return };
                if let Shape::Consecutive { within, .. } = rule.shape {
                    if at <= mark - within {
                        return;
                    }
                    if at < mark {
                        self.tell(mark, lsn);
                    }
                }
                if seen.matched || self.on == Some(true) {
                    self.look(i + 1, base, Some(at), lsn);
                }
            }
            Judge::Things(_) => self.look(i + 1, base, None, lsn),
        }
    }
}

/// What a live run of one rule comes to.
pub(crate) fn run(rule: &Rule, arrivals: &[Arrival]) -> Outcome {
    let run = Run::new(rule, arrivals);
    let mut outcome = Outcome::default();
    for key in run.keys() {
        let mut teller = Teller {
            run: &run,
            key: &key,
            settled: run.settled(&key),
            next: 0,
            told: NEVER,
            on: None,
            waiting: None,
            steps: Vec::new(),
        };
        for (i, lsn) in (0..arrivals.len()).zip(1..) {
            let clock = run.clocks[i];
            if arrivals[i].judged().is_some() {
                teller.pass(i, clock.middle, lsn);
                teller.take(i, lsn);
            }
            teller.pass(i + 1, clock.after, lsn);
        }
        outcome.on.extend(teller.on.map(|early| (key.clone(), early)));
        outcome.steps.extend(teller.steps);
    }
    for (arrival, clock) in arrivals.iter().zip(&run.clocks) {
        outcome.skewed += u64::from(arrival.at.is_some() && arrival.judged().is_none());
        let is_late = arrival.judged().is_some_and(|at| at < clock.before - rule.lateness());
        outcome.late += u64::from(is_late && rule.looks_at(arrival));
    }
    outcome.steps.sort_by(|a, b| (&a.key, a.lsn).cmp(&(&b.key, b.lsn)));
    outcome
}
