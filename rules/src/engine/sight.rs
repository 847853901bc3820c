//! A record as a rule sees it: key, values, what it says of a single thing.
//!
//! Refuses to know: what is made of it.

use record::{InstantMs, RecordRef};

use super::fields::{push_value, write_key};
use super::recent::Match;
use super::state::Sighting;
use super::things::Look;
use crate::index::Hit;
use crate::rule::{Kind, Rule, Spike};

/// Buffers for one record's values, kept to save allocation.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    key: Vec<u8>,
    distinct: Vec<u8>,
    thing: Vec<u8>,
    value: Vec<u8>,
}

/// What a record that the index found is to a rule. `line` is the number of its text.
pub(super) fn sight<'a>(
    rule: &Rule,
    record: &'a RecordRef<'_>,
    hit: Hit,
    (event_ms, line): (InstantMs, u64),
    scratch: &'a mut Scratch,
) -> Sighting<'a> {
    write_key(record, rule.by.iter().map(|(_, column)| *column), &mut scratch.key);
    scratch.distinct.clear();
    if let Some(field) = rule.kind.distinct_field() {
        push_value(record, field, &mut scratch.distinct);
    }
    let bytes = |column: Option<usize>| column.and_then(|c| record.raw(c)).unwrap_or_default();
    let part = match &rule.kind {
        Kind::Ratio { part, .. } => hit.matched && part.holds(record),
        _ => false,
    };
    let number = match &rule.kind {
        Kind::Aggregate { field, .. } => record.decimal(*field),
        Kind::Spike { spike: Spike { sum: Some(field), .. }, .. } => record.decimal(*field),
        _ => None,
    };
    let Scratch { key, distinct, thing, value } = scratch;
    let look = match &rule.kind {
        Kind::Things(things) => Some(Look::at(things, record, key, thing, value)),
        _ => None,
    };
    Sighting {
        found: Match {
            at: event_ms,
            lsn: record.row.lsn,
            line,
            order: bytes(rule.order),
            amount: bytes(rule.sum),
        },
        key,
        distinct: (!distinct.is_empty()).then_some(distinct),
        matched: hit.matched,
        part,
        number,
        look,
    }
}
