//! Kinds about single things (orders): what a thing is, what makes it bad, in words and in meaning.
//!
//! Refuses to know: YAML, what is remembered of a thing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use record::{Format, RecordRef};

use crate::condition::Condition;
use crate::condition::duration::show_duration;
use crate::condition::test::Test;

/// A rule about single things. Durations in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Things {
    /// Column that names the thing; of `new_value` the field whose values are the things.
    pub(crate) each: usize,
    /// Bad things of a key needed.
    pub(crate) count: u64,
    /// How long a thing stays bad.
    pub(crate) resolve_after_ms: i64,
    /// What makes it bad.
    pub(crate) kind: ThingKind,
}

/// Values that may follow a value, as canonical texts.
pub(crate) type Allowed = Arc<BTreeMap<Box<[u8]>, BTreeSet<Box<[u8]>>>>;

/// What makes a thing bad.
#[derive(Debug, Clone)]
pub(crate) enum ThingKind {
    /// Two of its records that should agree do not.
    Mismatch {
        left: Condition,
        right: Condition,
        /// Columns that should agree.
        compare: Vec<usize>,
        /// How far apart the records may lie.
        within_ms: i64,
    },
    /// A value (which is the thing) that its key did not have for long.
    NewValue {
        /// Seen at least this long ago, it is new again.
        remember_ms: i64,
        /// For this long after history start nothing is new.
        learn_ms: i64,
    },
    /// Its records fit steps, one after the other.
    Sequence { steps: Vec<Condition>, within_ms: i64 },
    /// A field changed from one value to another that may not follow it.
    Transition { field: usize, allowed: Allowed },
    /// It began and did not end in time.
    Unfinished {
        start: Condition,
        finish: Condition,
        /// Time it has.
        within_ms: i64,
        /// How far before the start a finish of it may lie.
        skew_ms: i64,
    },
}

impl Things {
    /// Name as in rule files.
    pub(crate) fn name(&self) -> &'static str {
        match &self.kind {
            ThingKind::Unfinished { .. } => "unfinished",
            ThingKind::Transition { .. } => "transition",
            ThingKind::Sequence { .. } => "sequence",
            ThingKind::Mismatch { .. } => "mismatch",
            ThingKind::NewValue { .. } => "new_value",
        }
    }

    /// How far back it looks.
    pub(crate) fn within_ms(&self) -> i64 {
        match self.kind {
            ThingKind::Unfinished { within_ms, .. } => within_ms,
            ThingKind::Transition { .. } => 0,
            ThingKind::Sequence { within_ms, .. } | ThingKind::Mismatch { within_ms, .. } => within_ms,
            ThingKind::NewValue { remember_ms, .. } => remember_ms,
        }
    }

    /// Conditions of the roles that a record may have for a thing, by bit.
    pub(crate) fn roles(&self) -> Vec<&Condition> {
        match &self.kind {
            ThingKind::Unfinished { start, finish, .. } => vec![start, finish],
            ThingKind::Mismatch { left, right, .. } => vec![left, right],
            ThingKind::Transition { .. } | ThingKind::NewValue { .. } => Vec::new(),
            ThingKind::Sequence { steps, .. } => steps.iter().collect(),
        }
    }

    /// The roles of a record, by bit.
    pub(crate) fn roles_of(&self, record: &RecordRef<'_>) -> u32 {
        let bit = |(i, condition): (usize, &Condition)| u32::from(condition.holds(record)) << i;
        match &self.kind {
            ThingKind::Unfinished { start: one, finish: other, .. }
            | ThingKind::Mismatch { left: one, right: other, .. } => {
                [one, other].into_iter().enumerate().map(bit).sum()
            }
            ThingKind::Sequence { steps, .. } => steps.iter().enumerate().map(bit).sum(),
            ThingKind::Transition { .. } | ThingKind::NewValue { .. } => 0,
        }
    }

    /// What must hold of a record, besides the filter, for it to be looked at.
    pub(crate) fn needs(&self) -> Test {
        let roles = || self.roles().into_iter().map(|role| role.test().clone()).collect();
        let own = match &self.kind {
            ThingKind::Transition { field, .. } => Test::Has(*field),
            ThingKind::NewValue { .. } => return Test::Has(self.each),
            ThingKind::Unfinished { .. } | ThingKind::Sequence { .. } | ThingKind::Mismatch { .. } => {
                Test::any(roles())
            }
        };
        Test::all(vec![Test::Has(self.each), own])
    }

    /// Columns whose values a thing remembers of each record.
    pub(crate) fn values(&self) -> &[usize] {
        match &self.kind {
            ThingKind::Unfinished { .. } | ThingKind::Sequence { .. } | ThingKind::NewValue { .. } => &[],
            ThingKind::Transition { field, .. } => std::slice::from_ref(field),
            ThingKind::Mismatch { compare, .. } => compare,
        }
    }

    /// Its shape in words.
    pub(crate) fn summary(&self, format: &Format) -> String {
        let column = |column: usize| format.columns().get(column).map_or("", |column| &*column.name);
        let (count, each) = (self.count, column(self.each));
        match &self.kind {
            ThingKind::Unfinished { within_ms, .. } => {
                format!("at least {count} {each} begun and not finished within {}", show_duration(*within_ms))
            }
            ThingKind::Sequence { steps, within_ms } => {
                let (steps, within) = (steps.len(), show_duration(*within_ms));
                format!("at least {count} {each} through {steps} steps within {within}")
            }
            ThingKind::Transition { field, .. } => {
                format!("at least {count} {each} with a change of {} that is not allowed", column(*field))
            }
            ThingKind::Mismatch { compare, within_ms, .. } => {
                let compare: Vec<&str> = compare.iter().map(|field| column(*field)).collect();
                let (compare, within) = (compare.join(", "), show_duration(*within_ms));
                format!("at least {count} {each} that differ in {compare} within {within}")
            }
            ThingKind::NewValue { remember_ms, .. } => {
                let remember = show_duration(*remember_ms);
                format!("at least {count} values of {each} not seen in the last {remember}")
            }
        }
    }
}
