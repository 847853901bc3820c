//! Which rules a record concerns, without asking each rule.
//!
//! For each condition a set of keys is found of which a record must show at least one, or the condition cannot hold
//! ([`key`]): equality and `in` values of all rules are one hash index by (column, value), keywords one automaton for
//! each column ([`lookup`]). Only conditions found so are evaluated, with every part that several share evaluated
//! once ([`share`]); those without keys are evaluated always. Refuses to know: windows, keys of rules.

mod key;
mod lookup;
#[cfg(test)]
mod sample;
mod share;
#[cfg(test)]
mod tests;

use record::RecordRef;

use crate::condition::Condition;
use crate::rule::{Kind, Rule};
use lookup::Lookup;
use share::Shared;

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
    /// By format number.
    formats: Vec<FormatIndex>,
}

/// The rules of one format.
#[derive(Debug, Default)]
struct FormatIndex {
    shared: Shared,
    lookup: Lookup,
    roots: Vec<Root>,
    /// Roots without keys.
    always: Vec<u32>,
    /// Roots that may hold for the record at hand.
    candidates: Vec<u32>,
}

/// A condition and the rules that have it.
#[derive(Debug)]
struct Root {
    /// Node of the shared tests.
    node: u32,
    /// What to report when it holds.
    hits: Vec<Hit>,
    /// Number of the record it was last looked at for.
    seen: u32,
}

impl RuleIndex {
    /// Builds the index over all rules of a set.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let formats = rules.iter().map(|rule| usize::from(rule.format.0) + 1).max().unwrap_or_default();
        let mut index = Self { formats: Vec::new() };
        index.formats.resize_with(formats, FormatIndex::default);
        for (position, rule) in rules.iter().enumerate() {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            let format = &mut index.formats[usize::from(rule.format.0)];
            format.add(&rule.filter, Hit { rule: position, matched: true, reset: false });
            if let Kind::Consecutive { reset: Some(reset), .. } = &rule.kind {
                format.add(reset, Hit { rule: position, matched: false, reset: true });
            }
        }
        index.formats.iter_mut().for_each(FormatIndex::finish);
        index
    }

    /// Replaces `hits` by the rules for which `where` or `reset` holds, in rule order, each once.
    pub(crate) fn hits(&mut self, record: &RecordRef<'_>, hits: &mut Vec<Hit>) {
        hits.clear();
        if let Some(format) = self.formats.get_mut(usize::from(record.row.format.0)) {
            format.hits(record, hits);
        }
    }
}

impl FormatIndex {
    fn add(&mut self, condition: &Condition, hit: Hit) {
        let node = self.shared.intern(condition.test());
        let root = self.shared.root_of(node, self.roots.len());
        if root == self.roots.len() {
            self.roots.push(Root { node, hits: Vec::new(), seen: 0 });
        }
        self.roots[root].hits.push(hit);
    }

    /// Chooses the keys of every root, when all are known.
    fn finish(&mut self) {
        let mut popularity = key::Popularity::default();
        let tests: Vec<_> = self.roots.iter().map(|root| self.shared.test(root.node)).collect();
        tests.iter().for_each(|test| popularity.count(test));
        let mut postings = key::Postings::default();
        for (root, test) in (0_u32..).zip(&tests) {
            match key::choose(test, &popularity) {
                Some(keys) => keys.into_iter().for_each(|key| postings.add(key, root)),
                None => self.always.push(root),
            }
        }
        self.lookup = Lookup::new(postings);
        self.shared.seal();
    }

    fn hits(&mut self, record: &RecordRef<'_>, hits: &mut Vec<Hit>) {
        let (number, anew) = self.shared.next_record();
        if anew {
            self.roots.iter_mut().for_each(|root| root.seen = 0);
        }
        self.candidates.clear();
        self.candidates.extend_from_slice(&self.always);
        self.lookup.candidates(record, &mut self.candidates);
        for root in &self.candidates {
            let root = &mut self.roots[*root as usize];
            let is_new = std::mem::replace(&mut root.seen, number) != number;
            if is_new && self.shared.holds(root.node, record) {
                hits.extend_from_slice(&root.hits);
            }
        }
        if hits.len() > 1 {
            hits.sort_unstable();
            hits.dedup_by(|later, first| {
                let same = later.rule == first.rule;
                if same {
                    first.matched |= later.matched;
                    first.reset |= later.reset;
                }
                same
            });
        }
    }
}
