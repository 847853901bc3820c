//! What some workers know together: for every fact how often each of them found it, and how far each has come.
//!
//! Refuses to know: windows, verdicts, where it is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::InstantMs;

use super::fact::Fact;
use crate::codec::{Damage, In, Out, Read};

const MAGIC: &[u8; 6] = b"WRPART";
const VERSION: u8 = 1;

/// A worker's name: no two workers of a set have the same, and one that starts with nothing takes a new one.
pub type WorkerName = Arc<str>;

/// How far a worker has come. Every part of it only grows (or, the lowest time, only falls).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// Its clock; `None` before the first entry that says something.
    pub(super) base: Option<InstantMs>,
    /// Highest event time.
    pub(super) highest: Option<InstantMs>,
    /// By format: the lowest event time.
    pub(super) lowest: BTreeMap<Arc<str>, InstantMs>,
}

/// How often each worker found a fact.
pub(super) type Found = BTreeMap<WorkerName, u64>;

/// What some workers know together. Of no workers: [`Partial::default`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Partial {
    pub(super) workers: BTreeMap<WorkerName, Progress>,
    /// By the fingerprint of the rule.
    pub(super) facts: BTreeMap<u64, BTreeMap<Fact, Found>>,
}

impl Progress {
    pub(super) fn merge(&mut self, other: &Progress) {
        self.base = self.base.max(other.base);
        self.highest = self.highest.max(other.highest);
        for (format, &at) in &other.lowest {
            self.lower(format, at);
        }
    }

    /// There is a record of a format at that time.
    pub(super) fn lower(&mut self, format: &Arc<str>, at: InstantMs) {
        match self.lowest.get_mut(format) {
            Some(lowest) => *lowest = at.min(*lowest),
            None => drop(self.lowest.insert(Arc::clone(format), at)),
        }
    }
}

impl Partial {
    /// Adds what others know. Commutative, associative and idempotent: of each number of each worker the one that has
    /// come furthest stays.
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
    }

    /// Lets go of facts before an instant: what a coordinator no longer needs.
    pub fn forget(&mut self, before: InstantMs) {
        let first = Fact { at: before, ..Fact::default() };
        for facts in self.facts.values_mut() {
            *facts = facts.split_off(&first);
        }
        self.facts.retain(|_, facts| !facts.is_empty());
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
        read.end()?;
        Ok(partial)
    }
}

impl Progress {
    fn write(&self, out: &mut Out<'_>) {
        out.maybe(self.base);
        out.maybe(self.highest);
        out.len(self.lowest.len());
        for (format, &at) in &self.lowest {
            out.text(format);
            out.signed(at);
        }
    }

    fn read(read: &mut In<'_>) -> Read<Self> {
        let (base, highest) = (read.maybe_instant()?, read.maybe_instant()?);
        let len = read.len(2)?;
        let lowest = (0..len).map(|_| Ok((read.text()?.into(), read.instant()?))).collect::<Read<_>>()?;
        Ok(Self { base, highest, lowest })
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
