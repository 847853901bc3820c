//! A record as a rule about single things sees it.
//!
//! Refuses to know: what is remembered, what is bad.

use record::RecordRef;

use super::badness::Entry;
use crate::engine::fields::{push_value, write_key};
use crate::engine::state::Sighting;
use crate::rule::{ThingKind, Things};

/// Of each key the values are things of their own.
fn push_prefix(key: &[u8], thing: &mut Vec<u8>) {
    let len = u32::try_from(key.len()).expect("a frame is shorter than 4 GiB");
    thing.extend_from_slice(&len.to_le_bytes());
    thing.extend_from_slice(key);
}

/// Key and value of a thing of `new_value`.
pub(super) fn split_prefix(thing: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = thing.split_first_chunk::<4>() else { return (&[], thing) };
    rest.split_at((u32::from_le_bytes(*len) as usize).min(rest.len()))
}

/// What a record says of a thing.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Look<'a> {
    /// Canonical bytes of the thing's name; of `new_value` with those of the key before it.
    pub(in crate::engine) thing: &'a [u8],
    /// Canonical bytes of what the kind compares.
    pub(in crate::engine) value: &'a [u8],
    /// Which of the rule's conditions hold, by bit.
    pub(in crate::engine) roles: u32,
}

impl<'a> Look<'a> {
    /// Looks at a record of a key that the rule's index found; the buffers are replaced.
    pub(in crate::engine) fn at(
        things: &Things,
        record: &RecordRef<'_>,
        key: &[u8],
        thing: &'a mut Vec<u8>,
        value: &'a mut Vec<u8>,
    ) -> Self {
        thing.clear();
        if let ThingKind::NewValue { .. } = things.kind {
            push_prefix(key, thing);
        }
        push_value(record, things.each, thing);
        write_key(record, things.values().iter().copied(), value);
        Look { thing, value, roles: things.roles_of(record) }
    }

    /// What is remembered of the record.
    pub(super) fn entry(&self, seen: &Sighting<'_>) -> Entry {
        let parts = [seen.key, self.value, seen.found.order, seen.found.amount];
        let texts = parts.concat().into_boxed_slice();
        let end = |n: usize| {
            let len = parts[..n].iter().map(|part| part.len()).sum::<usize>();
            u32::try_from(len).expect("a frame is shorter than 4 GiB")
        };
        let ends = [end(1), end(2), end(3)];
        let found = &seen.found;
        Entry { at: found.at, lsn: found.lsn, line: found.line, roles: self.roles, texts, ends }
    }
}
