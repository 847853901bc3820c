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

use std::collections::BTreeMap;
use std::sync::Arc;

use record::{FormatSet, InstantMs};

pub(crate) use kind::kinds;
pub use lint::{LINTS, Lint, LintSpec};
pub(crate) use template::fill;
pub use test_file::{Placed, TestCase, TestExpect, TestFile, TestInput, TestState, TestText};

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
    pub(crate) rules: Vec<crate::rule::Rule>,
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

    /// The rule at a place and those whose alerts it looks at, for somebody who asks about it alone.
    pub(crate) fn only(&self, place: usize) -> Self {
        let looks_at_others = self.rules.get(place).is_some_and(|rule| rule.kind.name() == "composite");
        if looks_at_others {
            return self.clone();
        }
        let one = place..(place + 1).min(self.rules.len());
        let (rules, infos) = (self.rules[one.clone()].to_vec(), self.infos[one].to_vec());
        Self { rules, composites: Vec::new(), infos }
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
