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

    /// Calls `tell` for the names that hold and make it what it is: parts that come out otherwise do not count, nor does
    /// a name that makes it so by not holding. May tell a name more than once.
    pub(crate) fn carriers(&self, on: &dyn Fn(usize) -> bool, tell: &mut dyn FnMut(usize)) {
        match self {
            Expr::Name(name) if on(*name) => tell(*name),
            Expr::Name(_) => {}
            Expr::Not(inner) => inner.carriers(on, tell),
            Expr::All(parts) | Expr::Any(parts) => {
                let own = self.holds(on);
                parts.iter().filter(|part| part.holds(on) == own).for_each(|part| part.carriers(on, tell));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Expr;

    fn name(name: usize) -> Expr {
        Expr::Name(name)
    }

    fn not(expr: Expr) -> Expr {
        Expr::Not(Box::new(expr))
    }

    #[track_caller]
    fn check(expr: &Expr, on: &[usize], expect: &[usize]) {
        let mut told = Vec::new();
        expr.carriers(&|name| on.contains(&name), &mut |name| told.push(name));
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, expect, "{expr:?} with {on:?}");
    }

    #[test]
    fn names_that_carry_an_expression() {
        let either = Expr::Any(vec![name(0), Expr::All(vec![name(1), not(name(2))])]);
        check(&either, &[0], &[0]);
        check(&either, &[0, 1], &[0, 1]);
        // The second part is false: neither of its names made it true.
        check(&either, &[0, 1, 2], &[0]);
        check(&either, &[1], &[1]);
        check(&not(not(name(0))), &[0], &[0]);
        check(&not(Expr::Any(vec![not(name(0)), name(1)])), &[0], &[0]);
        check(&not(name(0)), &[], &[]);
        check(&Expr::Any(vec![name(0), not(name(1))]), &[0, 1], &[0]);
    }
}
