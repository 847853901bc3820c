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
mod table;
#[cfg(test)]
mod tests;

use record::RecordRef;

use crate::RuleSet;
use crate::condition::Condition;
use crate::condition::test::Test;
use crate::rule::{Kind, Rule};
use key::Posting;
use lookup::Lookup;
use share::Shared;

/// One rule that a record concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Position of the rule in its set, as in [`RuleSet::infos`].
    pub rule: u32,
    /// The rule's `where` holds.
    pub matched: bool,
    /// The rule's `reset` holds (`consecutive`).
    pub reset: bool,
}

/// Finds the rules that a record concerns.
#[derive(Debug)]
pub struct RuleIndex {
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
    always: Vec<Posting>,
    /// Roots that may hold for the record at hand.
    candidates: Vec<Posting>,
}

/// A condition and the rules that have it.
#[derive(Debug)]
struct Root {
    /// Node of the shared tests.
    node: u32,
    /// Number of the record it was last looked at for.
    seen: u32,
    /// What to report when it holds.
    first: Hit,
    /// And what else, when several rules share it.
    more: Vec<Hit>,
}

impl RuleIndex {
    /// The index of a set of rules.
    pub fn of(set: &RuleSet) -> Self {
        Self::new(&set.rules)
    }

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
    pub fn hits(&mut self, record: &RecordRef<'_>, hits: &mut Vec<Hit>) {
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
        match self.roots.get_mut(root) {
            Some(known) => known.more.push(hit),
            None => self.roots.push(Root { node, seen: 0, first: hit, more: Vec::new() }),
        }
    }

    /// Chooses the keys of every root, when all are known.
    fn finish(&mut self) {
        let mut popularity = key::Popularity::default();
        let tests: Vec<_> = self.roots.iter().map(|root| self.shared.test(root.node)).collect();
        tests.iter().for_each(|test| popularity.count(test));
        let mut postings = key::Postings::default();
        for (root, test) in (0_u32..).zip(&tests) {
            match key::choose(test, &popularity) {
                Some(keys) => postings.add(root, keys),
                None => self.always.push(Posting::new(root, matches!(test, Test::Const(true)))),
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
        for posting in &self.candidates {
            let root = &mut self.roots[posting.root()];
            let is_new = std::mem::replace(&mut root.seen, number) != number;
            if is_new && (posting.enough() || self.shared.holds(root.node, record)) {
                hits.push(root.first);
                hits.extend_from_slice(&root.more);
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
