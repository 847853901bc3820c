//! The things of one rule as bytes and back.
//!
//! Refuses to know: keys and alerts.

use super::badness::{Entry, RECORDS_MAX};
use super::{Thing, Things};
use crate::codec::{In, Out, Read};
use crate::engine::keys::Keys;
use crate::engine::schedule::Schedule;

/// Instants of seconds beyond this are in no log.
const SECONDS_MAX: u64 = 1 << 50;

impl Things {
    /// Appends all things; `lines` gets the numbers of the lines that alerts to come may show.
    pub(in crate::engine) fn write(&self, out: &mut Out<'_>, with_lines: bool, lines: &mut Vec<u64>) {
        self.things.write(out, |_, thing, out| {
            out.maybe(thing.due);
            out.len(thing.entries.len());
            for entry in &thing.entries {
                entry.write(out);
            }
        });
        self.schedule.write(out);
        out.maybe(self.known.start);
        if with_lines {
            lines.extend(self.things.iter().flat_map(|(_, _, thing)| thing.entries.iter().map(|e| e.line)));
        }
    }

    /// Fills it with what [`Things::write`] wrote of the same rule.
    pub(in crate::engine) fn fill(&mut self, read: &mut In<'_>) -> Read<()> {
        let things = Keys::read(read, |_, _, read| {
            let due = read.maybe_instant()?;
            let len = read.len(5)?;
            read.check((1..=RECORDS_MAX).contains(&len), "records of a thing")?;
            let entries = (0..len).map(|_| Entry::read(read)).collect::<Read<Vec<_>>>()?;
            let sorted = entries.is_sorted_by_key(|entry| (entry.at, entry.lsn));
            read.check(sorted, "records in order")?;
            Ok(Thing { entries, due })
        })?;
        let schedule = Schedule::read(read, |second, slot| {
            second.unsigned_abs() < SECONDS_MAX && things.has_place(slot)
        })?;
        self.known.start = read.maybe_instant()?;
        (self.things, self.schedule) = (things, schedule);
        Ok(())
    }

    /// Whether there is such a place, free or not.
    pub(in crate::engine) fn has_place(&self, thing: u32) -> bool {
        self.things.has_place(thing)
    }
}

impl Entry {
    fn write(&self, out: &mut Out<'_>) {
        out.signed(self.at);
        out.number(self.lsn);
        out.number(self.line);
        out.number(u64::from(self.roles));
        out.blob(self.key());
        out.blob(self.value());
        out.blob(self.order());
        out.blob(self.amount());
    }

    fn read(read: &mut In<'_>) -> Read<Self> {
        let (at, lsn, line, roles) = (read.instant()?, read.number()?, read.counter()?, read.number_u32()?);
        let (mut texts, mut ends) = (Vec::new(), [0; 3]);
        for i in 0..4 {
            texts.extend_from_slice(read.blob()?);
            if let Some(end) = ends.get_mut(i) {
                *end = u32::try_from(texts.len()).or_else(|_| read.damage("short texts"))?;
            }
        }
        Ok(Self { at, lsn, line, roles, texts: texts.into(), ends })
    }
}
