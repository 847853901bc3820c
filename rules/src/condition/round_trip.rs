//! A condition that is printed and read again is the same: the grammar loses nothing and mixes nothing up.

use proptest::prelude::*;
use record::Decimal;

use super::duration::show_duration;
use super::parse::parse;
use super::syntax::{CompareOp, Expr, ExprKind};

const KEYWORDS: [&str; 4] = ["true", "false", "null", "in"];

/// As people write it. Parentheses wherever they may stand, so that nesting is kept.
fn print(expr: &Expr) -> String {
    let inner = |expr: &Expr| match expr.kind {
        ExprKind::Not(_)
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Compare { .. }
        | ExprKind::In { .. } => {
            format!("( {})", print(expr))
        }
        _ => print(expr),
    };
    let all = |parts: &[Expr], join: &str| parts.iter().map(inner).collect::<Vec<_>>().join(join);
    match &expr.kind {
        ExprKind::String(text) => quoted(text),
        ExprKind::Number(_, written) => written.clone(),
        ExprKind::Duration(ms) => show_duration(*ms),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::List(items) => format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(" ,\n")),
        ExprKind::Field(name) => field(name),
        ExprKind::Call { name, args } => match args.split_first() {
            // `receiver.name(args)`; after a number the point would belong to it.
            Some((first, rest)) if name.len() % 2 == 0 => {
                let rest = rest.iter().map(print).collect::<Vec<_>>().join(",");
                format!("({}).{name}({rest})", print(first))
            }
            _ => format!("{name}({})", args.iter().map(print).collect::<Vec<_>>().join(", ")),
        },
        ExprKind::Not(expr) => format!("!{}", inner(expr)),
        ExprKind::And(parts) => all(parts, " && "),
        ExprKind::Or(parts) => all(parts, "||"),
        ExprKind::Compare { op, left, right } => format!("{} {} {}", inner(left), op.symbol(), inner(right)),
        ExprKind::In { left, right } => format!("{} in {}", inner(left), inner(right)),
    }
}

fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

fn field(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&name)
        && name != "not";
    if plain { name.to_owned() } else { format!("`{name}`") }
}

/// The same without places.
fn placeless(expr: Expr) -> Expr {
    let all = |parts: Vec<Expr>| parts.into_iter().map(placeless).collect();
    let one = |part: Box<Expr>| Box::new(placeless(*part));
    let kind = match expr.kind {
        ExprKind::List(items) => ExprKind::List(all(items)),
        ExprKind::Call { name, args } => ExprKind::Call { name, args: all(args) },
        ExprKind::Not(expr) => ExprKind::Not(one(expr)),
        ExprKind::And(parts) => ExprKind::And(all(parts)),
        ExprKind::Or(parts) => ExprKind::Or(all(parts)),
        ExprKind::Compare { op, left, right } => ExprKind::Compare { op, left: one(left), right: one(right) },
        ExprKind::In { left, right } => ExprKind::In { left: one(left), right: one(right) },
        leaf => leaf,
    };
    Expr { at: 0, kind }
}

fn expressions() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        any::<String>().prop_map(ExprKind::String),
        (any::<i64>(), 0_u32..12).prop_map(|(digits, scale)| {
            let number = Decimal::new(digits, scale);
            ExprKind::Number(number, number.to_string())
        }),
        (0_i64..100_000_000_000).prop_map(ExprKind::Duration),
        any::<bool>().prop_map(ExprKind::Bool),
        "[a-zA-Z_网][a-zA-Z0-9_网]{0,6}|[^`]{1,6}|true|in|not|r".prop_map(ExprKind::Field),
    ]
    .prop_map(|kind| Expr { at: 0, kind });
    leaf.prop_recursive(4, 40, 4, |inner| {
        let some = |least| prop::collection::vec(inner.clone(), least..5);
        let pair = (inner.clone(), inner.clone()).prop_map(|(left, right)| (Box::new(left), Box::new(right)));
        let name = "[a-z][a-zA-Z0-9_]{0,5}"
            .prop_filter("keywords are no functions", |name| !KEYWORDS.contains(&name.as_str()));
        prop_oneof![
            some(0).prop_map(ExprKind::List),
            (name, some(0)).prop_map(|(name, args)| ExprKind::Call { name, args }),
            inner.clone().prop_map(|expr| ExprKind::Not(Box::new(expr))),
            some(2).prop_map(ExprKind::And),
            some(2).prop_map(ExprKind::Or),
            (prop::sample::select(&CompareOp::ALL[..]), pair.clone())
                .prop_map(|(op, (left, right))| ExprKind::Compare { op, left, right }),
            pair.prop_map(|(left, right)| ExprKind::In { left, right }),
        ]
        .prop_map(|kind| Expr { at: 0, kind })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn what_is_printed_reads_back(expr in expressions()) {
        let text = print(&expr);
        let read = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}\n{error:?}")))?;
        prop_assert_eq!(placeless(read), expr, "{}", text);
    }
}
