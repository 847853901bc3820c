//! Rule files. stub
use std::collections::BTreeMap;
use std::sync::Arc;

use record::FormatSet;

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
    /// Its kind.
    pub kind: &'static str,
    /// One line: its shape in words.
    pub summary: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Judged and recorded, never sent.
    pub shadow: bool,
}

/// Rules that were checked against the formats.
#[derive(Debug, Clone)]
pub struct RuleSet {
    pub(crate) rules: Vec<crate::rule::Rule>,
}

impl RuleSet {
    /// Reads, checks and compiles rule files. All errors of all files are returned, in file order.
    pub fn load(_files: &[RuleFile], _formats: &Arc<FormatSet>) -> Result<RuleSet, Vec<RuleError>> {
        todo!()
    }

    /// The rules in file order.
    pub fn infos(&self) -> Vec<RuleInfo> {
        todo!()
    }
}
