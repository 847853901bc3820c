//! What the condition language knows, as data: operators, functions, bounds. Messages and docs/rules.md are made from it.
//!
//! Refuses to know: how any of it is checked or asked.

use super::{check, parse, pattern};

/// An operator or a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// Its name, or its sign.
    pub(crate) name: &'static str,
    /// How it is written.
    pub(crate) written: &'static str,
    /// Types of the fields that it is for.
    pub(crate) types: &'static str,
    /// When it holds, or what it is.
    pub(crate) holds: &'static str,
    /// A condition over fields of order-trace.
    pub(crate) example: &'static str,
}

const fn form(
    name: &'static str,
    written: &'static str,
    types: &'static str,
    holds: &'static str,
    example: &'static str,
) -> Form {
    Form { name, written, types, holds, example }
}

/// Every operator, loosest last.
pub(crate) const OPERATORS: [Form; 12] = [
    form("==", "f == v", "all", "the values are equal by their type", "amount == 1.00"),
    form("!=", "f != v", "all", "there is a value, and it is another", "response_code != \"0000\""),
    form(
        "<",
        "f < v",
        "string, decimal, integer, timestamp",
        "it is less; texts by code points",
        "elapsed_ms < 3s",
    ),
    form("<=", "f <= v", "as `<`", "it is less or equal", "amount <= 0"),
    form(">", "f > v", "as `<`", "it is greater", "sent_at > timestamp(\"2016-07-22T18:15:00+08:00\")"),
    form(">=", "f >= v", "as `<`", "it is greater or equal", "amount >= 50000.00"),
    form("in", "f in [v, w]", "all", "it is one of them", "channel in [\"GHT\", \"UMP\"]"),
    form(
        "f == g",
        "f == g, f < g, ...",
        "two of one type; decimal and integer count as one",
        "both are there, and stand so to each other",
        "refund_amount > amount",
    ),
    form("f", "f", "bool", "it is true", "success"),
    form("!", "!a", "a condition", "it does not hold", "!(channel == \"TEST\")"),
    form("&&", "a && b", "conditions", "both hold", "success && has(amount)"),
    form("||", "a || b", "conditions", "one of them holds", "has(error_code) || !success"),
];

/// Every function.
pub(crate) const FUNCTIONS: [Form; 9] = [
    form(
        "matches",
        "f.matches(\"pattern\")",
        "string, `lower(f)`",
        "the pattern (RE2) is found; anywhere unless `^` and `$` anchor it",
        "response_code.matches(r\"^\\d{4}$\")",
    ),
    form(
        "contains",
        "f.contains(\"x\")",
        "string, `lower(f)`",
        "the text is in it",
        "response_message.contains(\"超时\")",
    ),
    form(
        "startsWith",
        "f.startsWith(\"x\")",
        "string, `lower(f)`",
        "the text is at its start",
        "module.startsWith(\"通道\")",
    ),
    form(
        "endsWith",
        "f.endsWith(\"x\")",
        "string, `lower(f)`",
        "the text is at its end",
        "step.endsWith(\"后\")",
    ),
    form(
        "inCidr",
        "f.inCidr(\"10.0.0.0/8\")",
        "ip",
        "the address lies in the network",
        "client_ip.inCidr(\"2001:db8::/32\")",
    ),
    form("has", "has(f)", "all", "the field is there and fits its type", "has(order_no)"),
    form(
        "lower",
        "lower(f)",
        "string",
        "its text in lower case, for a comparison or a function of strings",
        "lower(remark).contains(\"timeout\")",
    ),
    form(
        "timestamp",
        "timestamp(\"...\")",
        "compared with timestamp",
        "an instant of RFC 3339 with an offset",
        "settled_at >= timestamp(\"2016-07-22T10:15:00Z\")",
    ),
    form(
        "duration",
        "duration(\"3s\")",
        "compared with integer",
        "its milliseconds, as `3s` without quotes",
        "elapsed_ms > duration(\"1m30s\")",
    ),
];

/// Names of the functions.
pub(crate) const FUNCTION_NAMES: [&str; FUNCTIONS.len()] = {
    let mut names = [""; FUNCTIONS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = FUNCTIONS[at].name;
        at += 1;
    }
    names
};

/// What is bounded, how much of it there may be, and in what unit (`B`: bytes).
pub(crate) fn bounds() -> [(&'static str, usize, &'static str); 5] {
    [
        ("text of a condition", parse::MAX_TEXT_BYTES, "B"),
        ("nesting of parentheses, lists, calls and `!`", parse::MAX_DEPTH, ""),
        ("values in a list of `in` (an empty list is refused)", check::MAX_LIST, ""),
        ("text of a pattern", pattern::MAX_PATTERN_BYTES, "B"),
        ("memory of a compiled pattern", pattern::MAX_COMPILED_BYTES, "B"),
    ]
}

#[cfg(test)]
mod tests {
    use record::FormatSet;

    use super::super::syntax::CompareOp;
    use super::*;
    use crate::Condition;

    #[test]
    fn every_example_is_a_condition_that_uses_what_it_shows() {
        let formats = FormatSet::shipped(chrono_tz::Asia::Shanghai);
        let format = formats.get(formats.find("order-trace").unwrap());
        for form in OPERATORS.iter().chain(&FUNCTIONS) {
            let compiled = Condition::compile(form.example, format);
            assert!(compiled.is_ok(), "{}: {compiled:?}", form.example);
            let shown = form.name.starts_with('f') || form.example.contains(form.name);
            assert!(shown, "{} is not an example of {}", form.example, form.name);
        }
    }

    #[test]
    fn every_operator_is_in_the_table() {
        for op in CompareOp::ALL {
            assert!(OPERATORS.iter().any(|form| form.name == op.symbol()), "{op:?}");
        }
    }
}
