//! Which rules a record concerns, without asking each rule.
//!
//! For each condition a set of keys is found of which a record must show at least one, or the condition cannot hold
//! ([`key`]): equality and `in` values of all rules are one hash index by (column, value), keywords one automaton for
//! each column, bounds of numbers are sorted ([`lookup`], [`bounds`]). Of conditions found so the rest is evaluated, every part that several share once
//! ([`share`]); those without keys are evaluated always. Refuses to know: windows, keys of rules.

mod bounds;
mod build;
mod key;
mod lookup;
mod numbers;
mod posting;
#[cfg(test)]
pub(crate) mod sample;
mod share;
mod table;
#[cfg(test)]
mod tests;

use record::{FormatId, RecordRef};

use crate::RuleSet;
use crate::rule::{Kind, Rule};
use build::Builder;
use lookup::{Lookup, Shown};
use numbers::Numbers;
use posting::{Action, Posting};
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
#[derive(Debug, Clone)]
pub struct RuleIndex {
    /// By format number.
    formats: Vec<FormatIndex>,
}

/// The rules of one format.
#[derive(Debug, Clone, Default)]
struct FormatIndex {
    shared: Shared,
    numbers: Numbers,
    lookup: Lookup,
    roots: Vec<Root>,
    /// Hits beyond the first of conditions that several rules share.
    more: Vec<Box<[Hit]>>,
    /// What conditions look at, ascending.
    columns: Vec<usize>,
    /// What every record leads to.
    always: Vec<Posting>,
    /// What the record at hand leads to.
    candidates: Vec<Posting>,
}

/// A condition and the rules that have it.
#[derive(Debug, Clone)]
struct Root {
    /// Node of what is to be evaluated.
    node: u32,
    /// Number of the record it was last looked at for.
    seen: u32,
    /// What to report when it holds.
    first: Hit,
    /// Where the other hits are: position in `more`, from 1; 0 for none.
    more: u32,
}

impl RuleIndex {
    /// The index of a set of rules.
    pub fn of(set: &RuleSet) -> Self {
        Self::new(&set.rules)
    }

    /// Builds the index over all rules of a set.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let formats = rules.iter().map(|rule| usize::from(rule.format.0) + 1).max().unwrap_or_default();
        let mut builders: Vec<Builder> = Vec::new();
        builders.resize_with(formats, Builder::default);
        // A composite looks at alerts, at no record.
        let looking = (0_u32..).zip(rules).filter(|(_, rule)| !matches!(rule.kind, Kind::Composite(_)));
        for (position, rule) in looking {
            let builder = &mut builders[usize::from(rule.format.0)];
            let filter = match &rule.kind {
                Kind::Things(things) => &rule.filter.and(things.needs()),
                _ => &rule.filter,
            };
            builder.add(filter, Hit { rule: position, matched: true, reset: false });
            if let Kind::Consecutive { reset: Some(reset), .. } = &rule.kind {
                builder.add(reset, Hit { rule: position, matched: false, reset: true });
            }
        }
        Self { formats: builders.into_iter().map(Builder::finish).collect() }
    }

    /// The columns of a format that some condition looks at, ascending: what [`RuleIndex::hits`] depends on.
    pub fn columns(&self, format: FormatId) -> &[usize] {
        self.formats.get(usize::from(format.0)).map_or(&[], |format| &format.columns)
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
    fn hits(&mut self, record: &RecordRef<'_>, hits: &mut Vec<Hit>) {
        let (number, anew) = self.shared.next_record();
        if anew {
            self.roots.iter_mut().for_each(|root| root.seen = 0);
        }
        self.candidates.clear();
        self.candidates.extend_from_slice(&self.always);
        self.numbers.next_record(number, anew);
        let (numbers, out) = (&mut self.numbers, &mut self.candidates);
        self.lookup.candidates(&mut Shown { record, numbers, out });
        for posting in &self.candidates {
            let (position, evaluate) = match posting.action() {
                Action::Matched(rule) => {
                    hits.push(Hit { rule, matched: true, reset: false });
                    continue;
                }
                Action::Reset(rule) => {
                    hits.push(Hit { rule, matched: false, reset: true });
                    continue;
                }
                Action::Holds(position) => (position, false),
                Action::Evaluate(position) => (position, true),
            };
            let root = &mut self.roots[position as usize];
            let is_new = std::mem::replace(&mut root.seen, number) != number;
            if is_new && (!evaluate || self.shared.holds(root.node, record, &mut self.numbers)) {
                hits.push(root.first);
                if root.more > 0 {
                    hits.extend_from_slice(&self.more[root.more as usize - 1]);
                }
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
