//! The condition language: a checked subset of CEL over the fields of one format.
//!
//! ```text
//! response_code in ["NET_ERR", "TIMEOUT"] && amount >= 100.00 && !(channel == "TEST")
//! ```
//!
//! | written | fields | holds when |
//! |---|---|---|
//! | `f == v`, `f != v` | all | the values are equal (decimals exactly: 1.0 = 1.00), or differ |
//! | `f < v`, `<=`, `>`, `>=` | string, number, timestamp | the order says so; strings by code points |
//! | `f in [v, w]` | all | the value is one of them |
//! | `f == g`, `f < g` ... | two of one type | as above; integer and decimal fields are both numbers |
//! | `f.contains("x")`, `startsWith`, `endsWith` | string | the text is in it, at its start, at its end |
//! | `f.matches(r"x\d+")` | string | the pattern (RE2) is found anywhere; `^` and `$` anchor it |
//! | `lower(f) == "x"`, `lower(f).contains("x")` ... | string | as above, of the text in lower case |
//! | `f.inCidr("10.0.0.0/8")` | ip | the address is in the network |
//! | `has(f)` | all | the field is there and fits its type |
//! | `success` | bool | it is true |
//! | `a && b`, `a \|\| b`, `!a`, `(a)` | | as usual; `!` binds tightest, `\|\|` loosest |
//!
//! `f.fn(x)` may be written `fn(f, x)`. Values: `"text"`, `'text'`, `r"raw"`, `12`, `-0.50`, `true`, `false`,
//! `90s` (compared with integer fields as milliseconds), `timestamp("2016-07-22T18:15:00+08:00")`. A field whose name
//! is no plain name stands in backticks. An empty or ill-typed field is null: every comparison and function of it is
//! false (`!=` too), and so `!` of that is true.
//!
//! Text -> `parse` -> [`syntax::Expr`] -> `check` -> [`test::Test`]. Every bound has a name: text
//! [`parse::MAX_TEXT_BYTES`], nesting [`parse::MAX_DEPTH`]. Refuses to know: windows, YAML.

mod check;
mod cidr;
pub(crate) mod duration;
mod function;
pub(crate) mod literal;
pub(crate) mod logic;
pub(crate) mod nearest;
mod needed;
mod parse;
mod pattern;
pub(crate) mod reference;
#[cfg(test)]
mod round_trip;
pub(crate) mod simpler;
mod syntax;
pub(crate) mod test;
pub(crate) mod text;

use std::sync::Arc;

use record::{Format, RecordRef};

use test::Test;

/// A compiled, type-checked condition over the records of one format.
#[derive(Debug, Clone)]
pub struct Condition {
    test: Arc<Test>,
}

/// Why a text is no condition of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// Byte of the text that it is about.
    pub offset: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Condition {
    /// Reads, checks and compiles a condition over the fields of `format`.
    pub fn compile(text: &str, format: &Format) -> Result<Self, ConditionError> {
        let expr = parse::parse(text)?;
        Ok(Self { test: Arc::new(check::condition(&expr, format)?) })
    }

    /// The condition that every record meets.
    pub(crate) fn always() -> Self {
        Self { test: Arc::new(Test::Const(true)) }
    }

    /// Whether it holds for a record of the format it was compiled for.
    pub fn holds(&self, record: &RecordRef<'_>) -> bool {
        self.test.holds(record)
    }

    /// The condition that holds when this one and another do.
    pub(crate) fn and(&self, other: Test) -> Self {
        Self { test: Arc::new(Test::all(vec![self.test().clone(), other])) }
    }

    /// What it asks.
    pub(crate) fn test(&self) -> &Test {
        &self.test
    }
}
