//! Lints: what loads, and yet is probably not meant.
//!
//! Each has a name, and is allowed by a comment `# lint: allow NAME` in the rule, directly above it, or, for the whole
//! file, above everything. Refuses to know: how rules are read, what is done about lints.

mod allow;
mod checks;
mod labels;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use record::{Format, InstantMs};

use super::fields::Fields;
use super::report::Report;
use crate::rule::Rule;

/// A kind of lint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LintSpec {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a matter of taste: looked for only when asked.
    pub style: bool,
    /// What it finds, in half a sentence.
    pub about: &'static str,
}

const fn mistake(name: &'static str, about: &'static str) -> LintSpec {
    LintSpec { name, style: false, about }
}

const fn style(name: &'static str, about: &'static str) -> LintSpec {
    LintSpec { name, style: true, about }
}

/// Every lint.
pub const LINTS: [LintSpec; 14] = [
    mistake("never-holds", "a condition, or a part of one, that no record meets"),
    mistake(
        "always-holds",
        "a condition that every record meets, or a part that every record with the field meets",
    ),
    mistake(
        "for-too-long",
        "`for` is not shorter than a single match, run or thing keeps the rule active: one alone never fires",
    ),
    mistake("unused-key", "a key that changes nothing in this rule"),
    mistake("unused-interval", "a time interval that no rule of the file names"),
    mistake("same-meaning", "two rules that differ in nothing but their names"),
    mistake("threshold-unreachable", "a row of `thresholds` that an earlier one always takes the place of"),
    mistake("threshold-expired", "a row of `thresholds` whose `valid_to` is past"),
    mistake("unknown-label", "a label of `on` that no alert which the composite names ever has"),
    style("no-summary", "no annotation `summary`"),
    style("no-class", "no label `class` that is `alarm` or `notice`"),
    style("no-severity", "no label `severity`"),
    style("plain-pattern", "a pattern that a plain test says as well"),
    style("wide-key", "a window for each value of a field that has a new one with nearly every record"),
];

/// Something that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: lint {name}: {message}")]
pub struct Lint {
    /// File name.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Name of the lint, one of [`LINTS`].
    pub name: &'static str,
    /// What was found and what to do.
    pub message: String,
}

/// What is looked for while files are loaded.
#[derive(Debug)]
pub(super) struct Linter {
    /// The clock's time, for what expires.
    now_ms: InstantMs,
    found: Vec<Lint>,
    /// Where rules of a meaning were first seen.
    meanings: HashMap<u64, String>,
    /// First lines of the rules of the file being read.
    starts: Vec<usize>,
    /// Time intervals that rules of the file name.
    used: Vec<String>,
    /// Lints of files before this one.
    done: usize,
    /// Files in their order.
    files: Vec<String>,
    /// Labels of composites' `on`, to be looked at when all rules are known.
    labels: Vec<labels::Asked>,
    /// Of files before this one.
    labels_done: usize,
}

fn lint(report: &Report<'_>, at: usize, name: &'static str, message: String) -> Lint {
    debug_assert!(LINTS.iter().any(|lint| lint.name == name), "{name}");
    let place = report.source.place(at);
    Lint { file: report.file.to_owned(), line: place.line, column: place.column, name, message }
}

impl Linter {
    pub(super) fn new(now_ms: InstantMs) -> Self {
        let (found, meanings) = (Vec::new(), HashMap::new());
        Self {
            now_ms,
            found,
            meanings,
            starts: Vec::new(),
            used: Vec::new(),
            done: 0,
            files: Vec::new(),
            labels: Vec::new(),
            labels_done: 0,
        }
    }

    fn add(&mut self, report: &Report<'_>, at: usize, name: &'static str, message: String) {
        self.found.push(lint(report, at, name, message));
    }

    /// A rule begins here, right or wrong.
    pub(super) fn begin(&mut self, at: usize, report: &Report<'_>) {
        self.starts.push(report.source.place(at).line);
    }

    /// Looks at a rule without fault.
    pub(super) fn rule(&mut self, rule: &Rule, format: &Format, fields: &Fields<'_>, report: &Report<'_>) {
        checks::rule(&mut checks::Look { linter: self, rule, format, fields, report });
    }

    /// Looks at the intervals of a file, and takes out what its comments allow.
    pub(super) fn file(&mut self, intervals: &[(String, usize)], report: &Report<'_>) {
        for (name, at) in
            intervals.iter().filter(|(name, _)| !self.used.contains(name)).cloned().collect::<Vec<_>>()
        {
            self.add(
                report,
                at,
                "unused-interval",
                format!("no rule of this file names `{name}` in `hours`; remove it"),
            );
        }
        self.used.clear();
        let allowed = allow::Allowed::read(report.source.text, &std::mem::take(&mut self.starts));
        let mut new = self.found.split_off(self.done);
        new.retain(|lint| !allowed.allows(lint));
        new.sort_by_key(|lint| (lint.line, lint.column));
        self.found.append(&mut new);
        self.done = self.found.len();
        let mut asked = self.labels.split_off(self.labels_done);
        asked.retain(|asked| !allowed.allows(&asked.lint));
        self.labels.append(&mut asked);
        self.labels_done = self.labels.len();
        self.files.push(report.file.to_owned());
    }

    /// All rules are read and without fault.
    pub(super) fn finish(mut self, rules: &[Rule]) -> Vec<Lint> {
        let before = self.found.len();
        let unknown = labels::unknown(std::mem::take(&mut self.labels), rules);
        self.found.extend(unknown);
        if self.found.len() > before {
            let file = |lint: &Lint| self.files.iter().position(|name| *name == lint.file);
            self.found.sort_by_key(|lint| (file(lint), lint.line, lint.column));
        }
        self.found
    }
}
