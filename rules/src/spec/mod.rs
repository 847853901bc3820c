//! Rule files: YAML in the envelope that SREs know from Prometheus, checked against the formats.
//!
//! ```yaml
//! groups:
//!   - name: network
//!     labels: {team: payments}        # given to every rule of the group; a rule's own labels win
//!     rules:
//!       - alert: ChannelNetworkDown
//!         kind: consecutive
//!         where: response_code in ["NET_ERR", "TIMEOUT"]
//!         by: [channel]
//!         count: 12
//!         within: 1m
//! ```
//! A file is read into a tree that knows its places ([`node`]), the tree into rules ([`group`], [`kind`]). Whatever
//! is wrong is collected with its line and column; a set is made only of files without fault.
//! Refuses to know: where files lie, and what verdicts are.

mod composite;
mod excerpt;
mod fields;
mod group;
mod intervals;
pub(crate) mod keys;
mod kind;
mod lint;
mod node;
mod place;
mod report;
mod template;
mod test_file;
mod things;
mod thresholds;
mod volume;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use record::{FormatSet, InstantMs};

pub(crate) use kind::kinds;
pub use lint::{LINTS, Lint, LintSpec};
pub(crate) use template::fill;
pub use test_file::{Placed, TestCase, TestExpect, TestFile, TestInput, TestState, TestText};

use crate::rule::{Kind, Rule};

/// A rule file as read by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// How messages name it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Something wrong in a rule file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RuleError {
    /// File name.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong and what to do (may end in a `hint:` line).
    pub message: String,
}

/// A rule as pages and tools show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its name.
    pub alert: Arc<str>,
    /// Its group.
    pub group: Arc<str>,
    /// Its file.
    pub file: Arc<str>,
    /// The line of its `alert`, from 1.
    pub line: usize,
    /// Its lines of the file, as its author wrote them.
    pub text: Arc<str>,
    /// Its kind.
    pub kind: &'static str,
    /// One line: its shape in words.
    pub summary: String,
    /// The fields of its key.
    pub by: Vec<Arc<str>>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, with places.
    pub annotations: BTreeMap<String, String>,
    /// `for`.
    pub for_ms: i64,
    /// `keep_firing_for`.
    pub keep_firing_for_ms: i64,
    /// Judged and recorded, never sent.
    pub shadow: bool,
}

/// Rules that were checked against the formats.
#[derive(Debug, Clone)]
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    /// Positions of composites, each after those that it names.
    pub(crate) composites: Vec<u32>,
    infos: Vec<RuleInfo>,
}

impl RuleSet {
    /// Reads, checks and compiles rule files. All errors of all files are returned, in file order.
    pub fn load(files: &[RuleFile], formats: &Arc<FormatSet>) -> Result<RuleSet, Vec<RuleError>> {
        let mut loading = group::Loading::new(formats, None);
        for file in files {
            loading.file(file);
        }
        loading.finish().map(|(set, _)| set)
    }

    /// As [`RuleSet::load`], and says what is probably not meant, in file order. `now_ms` is the clock's time, for what
    /// expires.
    pub fn lint(
        files: &[RuleFile],
        formats: &Arc<FormatSet>,
        now_ms: InstantMs,
    ) -> Result<(RuleSet, Vec<Lint>), Vec<RuleError>> {
        let mut loading = group::Loading::new(formats, Some(lint::Linter::new(now_ms)));
        for file in files {
            loading.file(file);
        }
        loading.finish()
    }

    /// The rules in file order.
    pub fn infos(&self) -> Vec<RuleInfo> {
        self.infos.clone()
    }

    /// The place of a rule among [`RuleSet::infos`], by its name.
    pub fn position(&self, alert: &str) -> Option<usize> {
        self.rules.iter().position(|rule| *rule.alert == *alert)
    }

    /// The rule at a place and those on which it hangs, for somebody who asks about it alone.
    pub(crate) fn only(&self, place: usize) -> Self {
        let kept = self.hangs_on(place);
        let moved = |at: &u32| kept.iter().position(|&old| old == *at as usize).map_or(0, |new| new as u32);
        let mut rules: Vec<Rule> = kept.iter().map(|&at| self.rules[at].clone()).collect();
        for rule in &mut rules {
            if let Kind::Composite(composite) = &mut rule.kind {
                composite.members.iter_mut().for_each(|at| *at = moved(at));
                composite.leaves.iter_mut().for_each(|at| *at = moved(at));
            }
        }
        let composites = self.composites.iter().filter(|&&at| kept.contains(&(at as usize)));
        Self {
            rules,
            composites: composites.map(moved).collect(),
            infos: kept.iter().map(|&at| self.infos[at].clone()).collect(),
        }
    }

    /// Places of a rule and, of a composite, of all rules on which it hangs, ascending.
    pub(crate) fn hangs_on(&self, place: usize) -> Vec<usize> {
        let (mut known, mut open) = (BTreeSet::new(), vec![place]);
        while let Some(at) = open.pop() {
            let Some(rule) = self.rules.get(at).filter(|_| known.insert(at)) else { continue };
            if let Kind::Composite(composite) = &rule.kind {
                open.extend(composite.members.iter().map(|&member| member as usize));
            }
        }
        known.into_iter().filter(|&at| at < self.rules.len()).collect()
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
