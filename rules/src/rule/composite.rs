//! `composite`: alerts of other rules combined; the expression and what it names.
//!
//! Refuses to know: YAML, when alerts are on.

use std::sync::Arc;

/// A rule over other rules' alerts.
#[derive(Debug, Clone)]
pub(crate) struct Composite {
    /// The expression as written.
    pub(crate) text: Arc<str>,
    pub(crate) expr: Expr,
    /// The alerts that it names, each once, in the order of their first mention.
    pub(crate) names: Vec<Arc<str>>,
    /// Positions of their rules in the set.
    pub(crate) members: Vec<u32>,
    /// Fingerprints of their rules.
    pub(crate) meanings: Vec<u64>,
    /// Positions of the rules over records on which it hangs at last.
    pub(crate) leaves: Vec<u32>,
    /// Bucket length and lateness of each rule on which it hangs, its own included, each pair once.
    pub(crate) clocks: Vec<(i64, i64)>,
}

/// Names by their position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    Name(usize),
    Not(Box<Expr>),
    All(Vec<Expr>),
    Any(Vec<Expr>),
}

impl Expr {
    /// Whether it holds when `on` says which names do.
    pub(crate) fn holds(&self, on: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Expr::Name(name) => on(*name),
            Expr::Not(inner) => !inner.holds(on),
            Expr::All(parts) => parts.iter().all(|part| part.holds(on)),
            Expr::Any(parts) => parts.iter().any(|part| part.holds(on)),
        }
    }
}
