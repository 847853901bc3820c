//! Which rules a record concerns, without asking each rule. stub
//!
//! Equality and `in` values of all rules are one hash index by (column, value), keywords one automaton, shared
//! sub-conditions are evaluated once. Refuses to know: windows, keys.

use record::RecordRef;

use crate::rule::Rule;

/// One rule that a record concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    /// Position of the rule in its set.
    pub(crate) rule: u32,
    /// The rule's `where` holds.
    pub(crate) matched: bool,
    /// The rule's `reset` holds (`consecutive`).
    pub(crate) reset: bool,
}

/// Finds the rules that a record concerns.
#[derive(Debug)]
pub(crate) struct RuleIndex {
    _private: (),
}

impl RuleIndex {
    /// Builds the index over all rules of a set.
    pub(crate) fn new(_rules: &[Rule]) -> Self {
        todo!()
    }

    /// Replaces `hits` by the rules for which `where` or `reset` holds, in rule order, each once.
    pub(crate) fn hits(&mut self, _record: &RecordRef<'_>, _hits: &mut Vec<Hit>) {
        todo!()
    }
}
