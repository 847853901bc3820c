//! Types: from an [`Expr`] to a [`Test`] over the columns of a format.

use record::{ColumnType, Decimal, Format, Value, ValueKey};

use super::ConditionError;
use super::function;
use super::nearest::no_field;
use super::reference::FUNCTION_NAMES;
use super::syntax::{CompareOp, Expr, ExprKind};
use super::test::{Field, Order, Test, TextTest};

/// Longest list of `in`.
pub(super) const MAX_LIST: usize = 10_000;
/// How an instant is written.
const TIMESTAMP_HINT: &str = "; write timestamp(\"2016-07-22T18:15:00+08:00\")";

pub(super) type Checked<T> = Result<T, ConditionError>;

pub(super) fn error<T>(at: &Expr, message: impl Into<String>) -> Checked<T> {
    Err(ConditionError { offset: at.at, message: message.into() })
}

/// Checks a whole condition.
pub(super) fn condition(expr: &Expr, format: &Format) -> Checked<Test> {
    match &expr.kind {
        ExprKind::Bool(value) => Ok(Test::Const(*value)),
        ExprKind::Not(inner) => condition(inner, format).map(Test::negate),
        ExprKind::And(parts) => conditions(parts, format).map(Test::all),
        ExprKind::Or(parts) => conditions(parts, format).map(Test::any),
        ExprKind::Compare { op, left, right } => compare(expr, *op, left, right, format),
        ExprKind::In { left, right } => one_of(left, right, format),
        ExprKind::Call { name, args } => function::call(expr, name, args, format),
        ExprKind::Field(name) => {
            let column = column(expr, name, format)?;
            match &format.columns()[column].kind {
                ColumnType::Bool => Ok(Test::Equal(column, ValueKey::Bool(true))),
                kind => error(
                    expr,
                    format!(
                        "expected a condition, but `{name}` is {}; compare it, or write has({name})",
                        with_article(kind)
                    ),
                ),
            }
        }
        ExprKind::String(_) | ExprKind::Number(..) | ExprKind::Duration(_) | ExprKind::List(_) => {
            error(expr, format!("expected a condition, found {}; compare a field with it", describe(expr)))
        }
    }
}

fn conditions(parts: &[Expr], format: &Format) -> Checked<Vec<Test>> {
    parts.iter().map(|part| condition(part, format)).collect()
}

/// Position of a named column.
pub(super) fn column(at: &Expr, name: &str, format: &Format) -> Checked<usize> {
    format.column(name).map_or_else(|| error(at, no_field(format, name)), Ok)
}

/// What an expression is, for messages.
pub(super) fn describe(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::String(text) if text.chars().count() > 60 => "a long string".to_owned(),
        ExprKind::String(text) => format!("the string {text:?}"),
        ExprKind::Number(_, written) => format!("the number {written}"),
        ExprKind::Duration(ms) => format!("the duration {}", super::duration::show_duration(*ms)),
        ExprKind::Bool(value) => format!("`{value}`"),
        ExprKind::List(_) => "a list".to_owned(),
        ExprKind::Field(name) => format!("the field `{name}`"),
        ExprKind::Call { name, .. } => format!("`{name}(...)`"),
        ExprKind::Not(_) | ExprKind::And(_) | ExprKind::Or(_) => "a condition".to_owned(),
        ExprKind::Compare { .. } | ExprKind::In { .. } => "a comparison".to_owned(),
    }
}

/// A side of a comparison that is read from the record.
pub(super) struct Operand {
    pub(super) field: Field,
    pub(super) kind: ColumnType,
    pub(super) shown: String,
}

/// The field (or lower case of one) that an expression stands for; `None` for anything else.
pub(super) fn operand(expr: &Expr, format: &Format) -> Checked<Option<Operand>> {
    match &expr.kind {
        ExprKind::Field(name) => {
            let column = column(expr, name, format)?;
            let kind = format.columns()[column].kind.clone();
            Ok(Some(Operand { field: Field { column, lower: false }, kind, shown: name.clone() }))
        }
        ExprKind::Call { name, args } if name == "lower" => function::lower(expr, args, format).map(Some),
        ExprKind::Call { name, .. } if !FUNCTION_NAMES.contains(&name.as_str()) => {
            function::unknown(expr, name)
        }
        _ => Ok(None),
    }
}

fn compare(at: &Expr, op: CompareOp, left: &Expr, right: &Expr, format: &Format) -> Checked<Test> {
    match (operand(left, format)?, operand(right, format)?) {
        (Some(left), Some(right)) => fields(at, op, &left, &right),
        (Some(left), None) => with_literal(op, &left, right),
        (None, Some(right)) => with_literal(op.flipped(), &right, left),
        (None, None) => match (&left.kind, &right.kind) {
            (_, ExprKind::Bool(value)) if !is_literal(left) => with_bool(at, op, left, *value, format),
            (ExprKind::Bool(value), _) if !is_literal(right) => with_bool(at, op, right, *value, format),
            _ => error(
                left,
                format!("`{}` compares a field with a value; found {}", op.symbol(), describe(left)),
            ),
        },
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::String(_)
            | ExprKind::Number(..)
            | ExprKind::Duration(_)
            | ExprKind::Bool(_)
            | ExprKind::List(_)
    )
}

/// `has(f) == false`: a condition is never null, so this is the condition or its opposite.
fn with_bool(at: &Expr, op: CompareOp, inner: &Expr, value: bool, format: &Format) -> Checked<Test> {
    let test = condition(inner, format)?;
    match op {
        CompareOp::Equal if value => Ok(test),
        CompareOp::NotEqual if !value => Ok(test),
        CompareOp::Equal | CompareOp::NotEqual => Ok(test.negate()),
        _ => error(at, format!("a condition has no order; `{}` needs `==` or `!=`", op.symbol())),
    }
}

fn fields(at: &Expr, op: CompareOp, left: &Operand, right: &Operand) -> Checked<Test> {
    let is_number = |kind: &ColumnType| matches!(kind, ColumnType::Decimal | ColumnType::Integer);
    if left.kind.name() != right.kind.name() && !(is_number(&left.kind) && is_number(&right.kind)) {
        let (left_kind, right_kind) = (with_article(&left.kind), with_article(&right.kind));
        return error(
            at,
            format!(
                "`{}` is {left_kind} and `{}` is {right_kind}; only fields of one type are compared",
                left.shown, right.shown
            ),
        );
    }
    if left.field.lower || right.field.lower {
        return error(at, "lower(...) is compared with a string, not with another field");
    }
    let (l, r) = (left.field.column, right.field.column);
    Ok(match order(op) {
        Ok(order) => {
            ordered(at, op, left)?;
            Test::OrderOf(l, order, r)
        }
        Err(true) => Test::Same(l.min(r), l.max(r)),
        Err(false) => Test::all(vec![Test::Has(l), Test::Has(r), Test::Same(l.min(r), l.max(r)).negate()]),
    })
}

/// The order an operator asks for; `Err(true)` for `==`, `Err(false)` for `!=`.
fn order(op: CompareOp) -> Result<Order, bool> {
    match op {
        CompareOp::Equal => Err(true),
        CompareOp::NotEqual => Err(false),
        CompareOp::Less => Ok(Order::Less),
        CompareOp::LessEqual => Ok(Order::LessEqual),
        CompareOp::Greater => Ok(Order::Greater),
        CompareOp::GreaterEqual => Ok(Order::GreaterEqual),
    }
}

/// Refuses `<` and the like for types without a useful order.
fn ordered(at: &Expr, op: CompareOp, operand: &Operand) -> Checked<()> {
    match operand.kind {
        ColumnType::Bool => error(
            at,
            format!("`{}` is a bool and has no order; `{}` needs `==` or `!=`", operand.shown, op.symbol()),
        ),
        ColumnType::Ip => error(
            at,
            format!(
                "`{}` is an ip and has no order; write {}.inCidr(\"10.0.0.0/8\")",
                operand.shown, operand.shown
            ),
        ),
        _ => Ok(()),
    }
}

fn with_literal(op: CompareOp, operand: &Operand, literal: &Expr) -> Checked<Test> {
    let order = order(op);
    if order.is_ok() {
        ordered(literal, op, operand)?;
    }
    let column = operand.field.column;
    // Every text but the null one differs from "".
    if matches!((&operand.kind, &literal.kind, order), (ColumnType::String, ExprKind::String(text), Err(false)) if text.is_empty())
    {
        return Ok(Test::Has(column));
    }
    let value = literal_value(operand, literal)?;
    Ok(match order {
        Ok(order) => ordered_by(operand, order, value),
        Err(true) => equal(operand, value),
        Err(false) => Test::all(vec![Test::Has(column), equal(operand, value).negate()]),
    })
}

fn equal(operand: &Operand, value: ValueKey) -> Test {
    match value {
        ValueKey::String(text) => Test::Text(operand.field, TextTest::Equal(text)),
        other => Test::Equal(operand.field.column, other),
    }
}

fn ordered_by(operand: &Operand, order: Order, value: ValueKey) -> Test {
    match value {
        ValueKey::String(text) => Test::Text(operand.field, TextTest::Order(order, text)),
        other => Test::Order(operand.field.column, order, other),
    }
}

fn one_of(left: &Expr, right: &Expr, format: &Format) -> Checked<Test> {
    let Some(operand) = operand(left, format)? else {
        return error(left, format!("`in` looks for a field's value; found {}", describe(left)));
    };
    let ExprKind::List(items) = &right.kind else {
        return error(right, format!("`in` needs a list as in [\"A\", \"B\"], found {}", describe(right)));
    };
    if items.is_empty() {
        return error(right, "the list is empty, so nothing is ever in it");
    }
    if items.len() > MAX_LIST {
        return error(right, format!("the list has {} values; at most {MAX_LIST} are allowed", items.len()));
    }
    let mut values = items.iter().map(|item| literal_value(&operand, item)).collect::<Checked<Vec<_>>>()?;
    values.sort();
    values.dedup();
    if let [_] = values.as_slice() {
        return Ok(values.pop().map_or(Test::Const(false), |only| equal(&operand, only)));
    }
    let texts: Option<Vec<Box<str>>> = values
        .iter()
        .map(|value| match value {
            ValueKey::String(text) => Some(text.clone()),
            _ => None,
        })
        .collect();
    Ok(match texts {
        Some(texts) => Test::Text(operand.field, TextTest::OneOf(texts.into())),
        None => Test::OneOf(operand.field.column, values.into()),
    })
}

/// The value of a literal in the type of the field it is compared with.
pub(super) fn literal_value(operand: &Operand, literal: &Expr) -> Checked<ValueKey> {
    let value = match (&operand.kind, &literal.kind) {
        (ColumnType::String, ExprKind::String(text)) => return text_value(operand, literal, text),
        (ColumnType::Decimal | ColumnType::Integer, ExprKind::Number(number, _)) => {
            Some(ValueKey::Decimal(number.normalize()))
        }
        (ColumnType::Integer, ExprKind::Duration(ms)) => {
            Some(ValueKey::Decimal(Decimal::from(*ms).normalize()))
        }
        (ColumnType::Bool, ExprKind::Bool(value)) => Some(ValueKey::Bool(*value)),
        (ColumnType::Ip, ExprKind::String(text)) => match text.parse() {
            Ok(address) => Some(ValueKey::Ip(address)),
            Err(_) if text.contains('/') => {
                return error(
                    literal,
                    format!("expected an ip, found a network; write {}.inCidr({text:?})", operand.shown),
                );
            }
            Err(_) => return error(literal, format!("{text:?} is not an ip address")),
        },
        (kind, ExprKind::Call { name, args }) if name == "timestamp" || name == "duration" => {
            let value = function::time_literal(literal, name, args)?;
            match (kind, value) {
                (ColumnType::Timestamp { .. }, value @ ValueKey::Timestamp(_)) => Some(value),
                (ColumnType::Integer, ValueKey::Decimal(ms)) => Some(ValueKey::Decimal(ms)),
                _ => None,
            }
        }
        _ => None,
    };
    match value {
        Some(value) => Ok(value),
        None => mismatch(operand, literal),
    }
}

fn text_value(operand: &Operand, literal: &Expr, text: &str) -> Checked<ValueKey> {
    if text.is_empty() {
        return error(
            literal,
            format!("an empty field is null and equals nothing; write !has({})", operand.shown),
        );
    }
    if operand.field.lower && text.chars().flat_map(char::to_lowercase).ne(text.chars()) {
        let lowered: String = text.chars().flat_map(char::to_lowercase).collect();
        return error(literal, format!("{} never has capitals; write {lowered:?}", operand.shown));
    }
    Ok(ValueKey::String(text.into()))
}

/// The type error of a literal, with what to write instead.
fn mismatch<T>(operand: &Operand, literal: &Expr) -> Checked<T> {
    let hint = match (&operand.kind, &literal.kind) {
        (ColumnType::Decimal | ColumnType::Integer, ExprKind::String(text)) => {
            let is_number = super::literal::decimal(text).is_some();
            format!(
                "; write the number without quotes{}",
                if is_number { format!(": {text}") } else { String::new() }
            )
        }
        (ColumnType::String, ExprKind::Number(_, written)) => {
            format!("; write it in quotes: \"{written}\"")
        }
        (ColumnType::String, ExprKind::Bool(value)) => format!("; write it in quotes: \"{value}\""),
        (ColumnType::Bool, ExprKind::String(_) | ExprKind::Number(..)) => {
            "; write true or false without quotes".to_owned()
        }
        (kind @ ColumnType::Timestamp { .. }, ExprKind::String(text)) => match kind.parse(text) {
            Ok(Value::Timestamp(instant)) => {
                format!("; write timestamp(\"{}\")", record::rfc3339_ms(instant))
            }
            _ => TIMESTAMP_HINT.to_owned(),
        },
        (ColumnType::Timestamp { .. }, _) => TIMESTAMP_HINT.to_owned(),
        (ColumnType::Ip, _) => "; write it in quotes: \"10.0.0.1\"".to_owned(),
        (_, ExprKind::List(_)) => "; a list needs `in`".to_owned(),
        (ColumnType::Decimal, ExprKind::Duration(_)) => {
            "; durations are compared with integer fields, as milliseconds".to_owned()
        }
        _ => String::new(),
    };
    let expected = with_article(&operand.kind);
    error(literal, format!("expected {expected} for `{}`, found {}{hint}", operand.shown, describe(literal)))
}

/// The name of a type with its article.
pub(super) fn with_article(kind: &ColumnType) -> String {
    let article = if matches!(kind, ColumnType::Integer | ColumnType::Ip) { "an" } else { "a" };
    format!("{article} {}", kind.name())
}
