//! What a worker tells of the records that concern a rule: facts, and how often each was found.
//!
//! A fact is a record with all that the rule does not look at left out: of kinds in buckets the time is the start of
//! the bucket, and neither position nor order nor money is in it, so that records that are the same to the rule are
//! one fact. Kinds about single things keep the position, by which equal instants are told apart, and what their
//! reasons show. Refuses to know: workers, windows.

use record::{Decimal, InstantMs, Lsn};

use crate::codec::{In, Out, Read};

/// Digits after the point that a decimal has at most.
const DIGITS: u32 = 28;

/// One or more records as a rule sees them. Ordered by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Fact {
    /// Event time; of kinds in buckets the start of the bucket.
    pub(crate) at: InstantMs,
    /// Position in the journal; 0 if it does not matter.
    pub(crate) lsn: Lsn,
    /// Canonical bytes of the key.
    pub(crate) key: Box<[u8]>,
    /// A match; else a reset.
    pub(crate) matched: bool,
    /// `ratio`: it is of the part.
    pub(crate) part: bool,
    /// What is summed or aggregated.
    pub(crate) number: Option<Decimal>,
    /// Canonical text of the value that `distinct` counts.
    pub(crate) distinct: Option<Box<[u8]>>,
    /// What it says of a single thing.
    pub(crate) thing: Option<Box<ThingFact>>,
}

/// What a record says of a single thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct ThingFact {
    pub(crate) name: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
    pub(crate) roles: u32,
    pub(crate) order: Box<[u8]>,
    pub(crate) amount: Box<[u8]>,
}

/// A match as reasons show it: what its fact left out. Ordered by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown {
    /// Event time.
    pub(crate) at: InstantMs,
    /// Position in the journal of the worker that found it.
    pub(crate) lsn: Lsn,
    /// Canonical bytes of the key.
    pub(crate) key: Box<[u8]>,
    pub(crate) order: Box<[u8]>,
    pub(crate) amount: Box<[u8]>,
}

impl Shown {
    /// Appends it; its time as what it is after `near`.
    pub(super) fn write(&self, near: InstantMs, out: &mut Out<'_>) {
        out.signed(self.at - near);
        out.number(self.lsn);
        for text in [&self.key, &self.order, &self.amount] {
            out.blob(text);
        }
    }

    /// What [`Shown::write`] wrote.
    pub(super) fn read(near: InstantMs, read: &mut In<'_>) -> Read<Self> {
        let at = near.saturating_add(read.instant()?);
        read.check(at.unsigned_abs() < 1 << 60, "an instant")?;
        let lsn = read.number()?;
        let mut text = || read.blob().map(Box::<[u8]>::from);
        Ok(Self { at, lsn, key: text()?, order: text()?, amount: text()? })
    }
}

const MATCHED: u8 = 1;
const PART: u8 = 2;
const NUMBER: u8 = 4;
const DISTINCT: u8 = 8;
const THING: u8 = 16;

impl Fact {
    /// Appends it; its time as what it is after `near`.
    pub(super) fn write(&self, near: InstantMs, out: &mut Out<'_>) {
        let bits = [
            (self.matched, MATCHED),
            (self.part, PART),
            (self.number.is_some(), NUMBER),
            (self.distinct.is_some(), DISTINCT),
            (self.thing.is_some(), THING),
        ];
        out.byte(bits.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
        out.signed(self.at - near);
        out.blob(&self.key);
        if let Some(number) = self.number {
            out.bytes.extend_from_slice(&number.serialize());
        }
        if let Some(value) = &self.distinct {
            out.blob(value);
        }
        if let Some(thing) = &self.thing {
            out.number(self.lsn);
            out.number(u64::from(thing.roles));
            for text in [&thing.name, &thing.value, &thing.order, &thing.amount] {
                out.blob(text);
            }
        }
    }

    /// What [`Fact::write`] wrote.
    pub(super) fn read(near: InstantMs, read: &mut In<'_>) -> Read<Self> {
        let bits = read.byte()?;
        read.check(bits < 2 * THING, "a fact")?;
        let at = near.saturating_add(read.instant()?);
        read.check(at.unsigned_abs() < 1 << 60, "an instant")?;
        let mut fact = Fact {
            at,
            key: read.blob()?.into(),
            matched: bits & MATCHED != 0,
            part: bits & PART != 0,
            ..Fact::default()
        };
        if bits & NUMBER != 0 {
            let bytes: [u8; 16] = read.array()?;
            let fits = bytes[..2] == [0; 2] && u32::from(bytes[2]) <= DIGITS && bytes[3] & 0x7f == 0;
            read.check(fits, "a decimal")?;
            fact.number = Some(Decimal::deserialize(bytes));
        }
        if bits & DISTINCT != 0 {
            fact.distinct = Some(read.blob()?.into());
        }
        if bits & THING != 0 {
            fact.lsn = read.number()?;
            let roles = read.number_u32()?;
            let mut text = || read.blob().map(Box::<[u8]>::from);
            let (name, value, order, amount) = (text()?, text()?, text()?, text()?);
            fact.thing = Some(Box::new(ThingFact { name, value, roles, order, amount }));
        }
        Ok(fact)
    }
}
