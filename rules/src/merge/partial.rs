//! What some workers know together: for every fact how often each of them found it, and how far each has come.
//!
//! Refuses to know: windows, verdicts, where it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use record::{InstantMs, Lsn};

use super::fact::{Fact, Shown};
use crate::codec::{Damage, In, Out, Read};

const MAGIC: &[u8; 6] = b"WRPART";
const VERSION: u8 = 2;
/// Matches that are remembered for the reasons of one rule's alerts, the newest: as many as an engine remembers.
const SHOWN_MAX: usize = 32_768;
/// Lines that are remembered, the newest.
pub(super) const LINES_MAX: usize = 16_384;

/// A worker's name: no two workers of a set have the same, and one that starts with nothing takes a new one.
pub type WorkerName = Arc<str>;

/// How far a worker has come. Every part of it only grows (or, the lowest time, only falls).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// Its clock; `None` before the first entry that says something.
    pub(super) base: Option<InstantMs>,
    /// Highest event time.
    pub(super) highest: Option<InstantMs>,
    /// By format.
    pub(super) formats: BTreeMap<Arc<str>, Heard>,
    /// Receive time of the first entry that only passed time.
    pub(super) first_tick: Option<InstantMs>,
}

/// What is known of the records of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    /// Lowest event time.
    pub(super) lowest: InstantMs,
    /// Receive time of the first; `None`: it came from a file.
    pub(super) first: Option<InstantMs>,
}

/// Where a line stands: event time, position, and whose it is.
pub(super) type LinePlace = (InstantMs, Lsn, WorkerName);

/// How often each worker found a fact.
pub(super) type Found = BTreeMap<WorkerName, u64>;

/// What some workers know together. Of no workers: [`Partial::default`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partial {
    pub(super) workers: BTreeMap<WorkerName, Progress>,
    /// By the fingerprint of the rule.
    pub(super) facts: BTreeMap<u64, BTreeMap<Fact, Found>>,
    /// By the fingerprint of the rule: matches for the reasons of its alerts.
    pub(super) shown: BTreeMap<u64, BTreeSet<(Shown, WorkerName)>>,
    pub(super) lines: BTreeMap<LinePlace, Arc<str>>,
}

/// The least of those that are there.
pub(super) fn least(a: Option<InstantMs>, b: Option<InstantMs>) -> Option<InstantMs> {
    a.into_iter().chain(b).min()
}

/// The newest lines stay.
pub(super) fn bound_lines(lines: &mut BTreeMap<LinePlace, impl Sized>) {
    while lines.len() > LINES_MAX {
        lines.pop_first();
    }
}

impl Progress {
    pub(super) fn merge(&mut self, other: &Progress) {
        self.base = self.base.max(other.base);
        self.highest = self.highest.max(other.highest);
        self.first_tick = least(self.first_tick, other.first_tick);
        for (format, &heard) in &other.formats {
            self.hear(format, heard);
        }
    }

    /// There are records of a format.
    pub(super) fn hear(&mut self, format: &Arc<str>, new: Heard) {
        match self.formats.get_mut(format) {
            Some(heard) => {
                // One from a file comes before every receive time.
                *heard = Heard { lowest: heard.lowest.min(new.lowest), first: heard.first.min(new.first) };
            }
            None => drop(self.formats.insert(Arc::clone(format), new)),
        }
    }
}

impl Partial {
    /// Adds what others know. Commutative, associative and idempotent: of each number of each worker the one that has
    /// come furthest stays, of matches and lines the newest of all.
    pub fn merge(&mut self, other: &Partial) {
        for (worker, progress) in &other.workers {
            self.workers.entry(Arc::clone(worker)).or_default().merge(progress);
        }
        for (rule, facts) in &other.facts {
            let known = self.facts.entry(*rule).or_default();
            for (fact, found) in facts {
                let Some(held) = known.get_mut(fact) else {
                    known.insert(fact.clone(), found.clone());
                    continue;
                };
                for (worker, &n) in found {
                    let held = held.entry(Arc::clone(worker)).or_default();
                    *held = n.max(*held);
                }
            }
        }
        for (rule, shown) in &other.shown {
            let known = self.shown.entry(*rule).or_default();
            for one in shown {
                if !known.contains(one) {
                    known.insert(one.clone());
                }
            }
        }
        for (place, line) in &other.lines {
            if !self.lines.contains_key(place) {
                self.lines.insert(place.clone(), Arc::clone(line));
            }
        }
        self.bound();
    }

    /// A match for the reasons of a rule's alerts.
    pub(super) fn show(&mut self, rule: u64, shown: Shown, worker: &WorkerName) {
        self.shown.entry(rule).or_default().insert((shown, Arc::clone(worker)));
    }

    /// Lets go of the oldest matches and lines beyond the bounds.
    pub(super) fn bound(&mut self) {
        for shown in self.shown.values_mut() {
            while shown.len() > SHOWN_MAX {
                shown.pop_first();
            }
        }
        bound_lines(&mut self.lines);
    }

    /// Lets go of facts before an instant: what a coordinator no longer needs.
    pub fn forget(&mut self, before: InstantMs) {
        let first = Fact { at: before, ..Fact::default() };
        for facts in self.facts.values_mut() {
            *facts = facts.split_off(&first);
        }
        self.facts.retain(|_, facts| !facts.is_empty());
        for shown in self.shown.values_mut() {
            shown.retain(|(shown, _)| shown.at >= before);
        }
        self.shown.retain(|_, shown| !shown.is_empty());
        self.lines.retain(|(at, ..), _| *at >= before);
    }

    /// Facts held.
    pub fn len(&self) -> usize {
        self.facts.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing was found that concerns a rule.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Appends it as bytes: `"WRPART" | version u8 | body | crc32c u32` of all before it.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(MAGIC);
        let mut out = Out { bytes };
        out.byte(VERSION);
        let mut names: Vec<&WorkerName> = self.workers.keys().collect();
        let all = self.facts.values().flat_map(BTreeMap::values).flat_map(BTreeMap::keys);
        names.extend(all.filter(|name| !self.workers.contains_key(*name)));
        names.extend(self.shown.values().flatten().map(|(_, worker)| worker));
        names.extend(self.lines.keys().map(|(.., worker)| worker));
        names.sort_unstable();
        names.dedup();
        out.len(names.len());
        for &name in &names {
            out.text(name);
            out.flag(self.workers.contains_key(name));
            if let Some(progress) = self.workers.get(name) {
                progress.write(&mut out);
            }
        }
        out.len(self.facts.len());
        for (rule, facts) in &self.facts {
            out.bytes.extend_from_slice(&rule.to_le_bytes());
            out.len(facts.len());
            let mut near = 0;
            for (fact, found) in facts {
                fact.write(near, &mut out);
                near = fact.at;
                out.len(found.len());
                for (worker, &n) in found {
                    out.len(names.binary_search(&worker).unwrap_or_default());
                    out.number(n);
                }
            }
        }
        let place = |worker: &WorkerName| names.binary_search(&worker).unwrap_or_default();
        out.len(self.shown.len());
        for (rule, shown) in &self.shown {
            out.bytes.extend_from_slice(&rule.to_le_bytes());
            out.len(shown.len());
            let mut near = 0;
            for (shown, worker) in shown {
                shown.write(near, &mut out);
                near = shown.at;
                out.len(place(worker));
            }
        }
        out.len(self.lines.len());
        for ((at, lsn, worker), line) in &self.lines {
            out.signed(*at);
            out.number(*lsn);
            out.len(place(worker));
            out.text(line);
        }
        let crc = crc32c::crc32c(&bytes[start..]);
        bytes.extend_from_slice(&crc.to_le_bytes());
    }

    /// What [`Partial::write`] wrote.
    pub fn read(bytes: &[u8]) -> Result<Partial, PartialError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err(PartialError::NotAPartial) };
        let checksum = PartialError::Checksum { len: bytes.len() };
        let Some((rest, crc)) = rest.split_last_chunk::<4>() else { return Err(checksum) };
        match rest.split_first() {
            None => Err(checksum),
            Some((&VERSION, _)) if crc32c::crc32c(&bytes[..bytes.len() - 4]) != u32::from_le_bytes(*crc) => {
                Err(checksum)
            }
            Some((&VERSION, body)) => {
                Self::read_body(&mut In::new(body)).map_err(|Damage { left, expected }| {
                    PartialError::Damaged { at: bytes.len() - 4 - left.min(body.len()), expected }
                })
            }
            Some((&found, _)) => Err(PartialError::Version { found }),
        }
    }

    fn read_body(read: &mut In<'_>) -> Read<Partial> {
        let mut partial = Partial::default();
        let mut names: Vec<WorkerName> = Vec::new();
        for _ in 0..read.len(2)? {
            let name: WorkerName = read.text()?.into();
            read.check(names.last().is_none_or(|last| *last < name), "workers in order")?;
            names.push(Arc::clone(&name));
            if read.flag()? {
                partial.workers.insert(name, Progress::read(read)?);
            }
        }
        for _ in 0..read.len(9)? {
            let rule = u64::from_le_bytes(read.array()?);
            let mut facts: BTreeMap<Fact, Found> = BTreeMap::new();
            let mut near = 0;
            for _ in 0..read.len(5)? {
                let fact = Fact::read(near, read)?;
                near = fact.at;
                let mut found = Found::new();
                for _ in 0..read.len(2)? {
                    let at = usize::try_from(read.number()?).unwrap_or(usize::MAX);
                    let Some(name) = names.get(at) else { return read.damage("a worker") };
                    found.insert(Arc::clone(name), read.counter()?);
                }
                let in_order = facts.last_key_value().is_none_or(|(last, _)| *last < fact);
                read.check(in_order && !found.is_empty(), "facts in order")?;
                facts.insert(fact, found);
            }
            read.check(partial.facts.insert(rule, facts).is_none(), "each rule once")?;
        }
        partial.read_shown(&names, read)?;
        read.end()?;
        Ok(partial)
    }

    fn read_shown(&mut self, names: &[WorkerName], read: &mut In<'_>) -> Read<()> {
        let worker = |read: &mut In<'_>| {
            let at = usize::try_from(read.number()?).unwrap_or(usize::MAX);
            names.get(at).map_or_else(|| read.damage("a worker"), |name| Ok(Arc::clone(name)))
        };
        for _ in 0..read.len(9)? {
            let rule = u64::from_le_bytes(read.array()?);
            let (mut all, mut near) = (BTreeSet::new(), 0);
            for _ in 0..read.len(6)? {
                let shown = Shown::read(near, read)?;
                near = shown.at;
                let worker = worker(read)?;
                read.check(all.insert((shown, worker)), "each match once")?;
            }
            read.check(self.shown.insert(rule, all).is_none(), "each rule once")?;
        }
        for _ in 0..read.len(4)? {
            let (at, lsn, worker) = (read.instant()?, read.number()?, worker(read)?);
            let line = read.text()?.into();
            read.check(self.lines.insert((at, lsn, worker), line).is_none(), "each line once")?;
        }
        Ok(())
    }
}

impl Progress {
    fn write(&self, out: &mut Out<'_>) {
        out.maybe(self.base);
        out.maybe(self.highest);
        out.maybe(self.first_tick);
        out.len(self.formats.len());
        for (format, heard) in &self.formats {
            out.text(format);
            out.signed(heard.lowest);
            out.maybe(heard.first);
        }
    }

    fn read(read: &mut In<'_>) -> Read<Self> {
        let (base, highest) = (read.maybe_instant()?, read.maybe_instant()?);
        let first_tick = read.maybe_instant()?;
        let mut formats = BTreeMap::new();
        for _ in 0..read.len(3)? {
            let name = read.text()?.into();
            formats.insert(name, Heard { lowest: read.instant()?, first: read.maybe_instant()? });
        }
        Ok(Self { base, highest, formats, first_tick })
    }
}

/// Why bytes are not what workers know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartialError {
    /// Something else.
    #[error("not partial counts: they do not begin with their mark; let the worker write them again")]
    NotAPartial,
    /// From another version of the program.
    #[error(
        "partial counts of version {found}, this program reads version {VERSION}; run one version on all nodes"
    )]
    Version {
        /// The version found.
        found: u8,
    },
    /// Torn or changed.
    #[error(
        "the checksum of partial counts does not match their {len} bytes; let the worker write them again"
    )]
    Checksum {
        /// Length of the whole.
        len: usize,
    },
    /// The checksum fits, the content does not.
    #[error(
        "partial counts are damaged near byte {at}: expected {expected}; let the worker write them again"
    )]
    Damaged {
        /// Where, counted from their beginning.
        at: usize,
        /// What should be there.
        expected: &'static str,
    },
}
