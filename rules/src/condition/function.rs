//! The functions of the condition language and the types of their arguments.

use record::{ColumnType, Decimal, Format, ValueKey};

use super::check::{Checked, Operand, column, describe, error, operand, with_article};
use super::cidr::Cidr;
use super::duration::{self, parse_duration};
use super::nearest::did_you_mean;
use super::pattern::Pattern;
use super::reference::FUNCTION_NAMES;
use super::syntax::{Expr, ExprKind};
use super::test::{Test, TextTest};
use super::text::Keyword;

/// A function that answers yes or no.
pub(super) fn call(expr: &Expr, name: &str, args: &[Expr], format: &Format) -> Checked<Test> {
    match name {
        "has" => has(expr, args, format),
        "inCidr" => in_cidr(expr, args, format),
        "matches" | "contains" | "startsWith" | "endsWith" => text_test(expr, name, args, format),
        "lower" | "timestamp" | "duration" => {
            error(expr, format!("expected a condition, but {name}(...) is a value; compare it"))
        }
        _ => unknown(expr, name),
    }
}

/// Refuses a function that there is not.
pub(super) fn unknown<T>(expr: &Expr, name: &str) -> Checked<T> {
    let hint = did_you_mean(name, FUNCTION_NAMES);
    let list = if hint.is_empty() { format!("; there are {}", FUNCTION_NAMES.join(", ")) } else { hint };
    error(expr, format!("there is no function `{name}`{list}"))
}

fn has(expr: &Expr, args: &[Expr], format: &Format) -> Checked<Test> {
    match args {
        [Expr { kind: ExprKind::Field(name), .. }] => Ok(Test::Has(column(&args[0], name, format)?)),
        [other] => error(other, format!("has(...) takes a field, found {}", describe(other))),
        _ => error(expr, format!("has(...) takes one field, found {} arguments", args.len())),
    }
}

/// `lower(field)`.
pub(super) fn lower(expr: &Expr, args: &[Expr], format: &Format) -> Checked<Operand> {
    let [arg] = args else {
        return error(expr, format!("lower(...) takes one field, found {} arguments", args.len()));
    };
    let mut field = text_operand("lower", arg, format)?;
    field.field.lower = true;
    field.shown = format!("lower({})", field.shown);
    Ok(field)
}

/// A string field, or the lower case of one.
fn text_operand(function: &str, arg: &Expr, format: &Format) -> Checked<Operand> {
    match operand(arg, format)? {
        Some(found) if matches!(found.kind, ColumnType::String) => Ok(found),
        Some(found) => error(
            arg,
            format!(
                "{function}(...) expects a string field, but `{}` is {}",
                found.shown,
                with_article(&found.kind)
            ),
        ),
        None => error(arg, format!("{function}(...) expects a string field first, found {}", describe(arg))),
    }
}

/// The two arguments `field, "text"`.
fn pair<'a>(expr: &Expr, name: &str, args: &'a [Expr]) -> Checked<(&'a Expr, &'a Expr, &'a str)> {
    let [subject, argument] = args else {
        return error(
            expr,
            format!(
                "{name} takes a field and a string, as in field.{name}(\"...\"); found {} arguments",
                args.len()
            ),
        );
    };
    match &argument.kind {
        ExprKind::String(text) => Ok((subject, argument, text)),
        _ => error(argument, format!("expected a string for {name}(...), found {}", describe(argument))),
    }
}

fn text_test(expr: &Expr, name: &str, args: &[Expr], format: &Format) -> Checked<Test> {
    let (subject, argument, text) = pair(expr, name, args)?;
    let subject = text_operand(name, subject, format)?;
    if text.is_empty() {
        return error(
            argument,
            format!(
                "every text {name} the empty string; write has({}) to ask whether it is there",
                subject.shown
            ),
        );
    }
    if subject.field.lower && name != "matches" && text.chars().flat_map(char::to_lowercase).ne(text.chars())
    {
        let lowered: String = text.chars().flat_map(char::to_lowercase).collect();
        return error(argument, format!("{} never has capitals; write {lowered:?}", subject.shown));
    }
    let test = match name {
        "contains" => TextTest::Contains(Keyword::new(text)),
        "startsWith" => TextTest::StartsWith(text.into()),
        "endsWith" => TextTest::EndsWith(text.into()),
        _ => match Pattern::new(text) {
            Ok(pattern) => TextTest::Matches(pattern),
            Err(message) => return error(argument, message),
        },
    };
    Ok(Test::Text(subject.field, test))
}

fn in_cidr(expr: &Expr, args: &[Expr], format: &Format) -> Checked<Test> {
    let (subject, argument, text) = pair(expr, "inCidr", args)?;
    let found = match operand(subject, format)? {
        Some(found) if matches!(found.kind, ColumnType::Ip) => found,
        Some(found) => {
            return error(
                subject,
                format!(
                    "inCidr(...) expects an ip field, but `{}` is {}",
                    found.shown,
                    with_article(&found.kind)
                ),
            );
        }
        None => {
            return error(
                subject,
                format!("inCidr(...) expects an ip field first, found {}", describe(subject)),
            );
        }
    };
    match Cidr::parse(text) {
        Ok(network) => Ok(Test::InCidr(found.field.column, network)),
        Err(message) => error(argument, message),
    }
}

/// `timestamp("...")` or `duration("...")`; a duration is its milliseconds as a number.
pub(super) fn time_literal(expr: &Expr, name: &str, args: &[Expr]) -> Checked<ValueKey> {
    let [Expr { kind: ExprKind::String(text), .. }] = args else {
        return error(expr, format!("{name}(...) takes one string"));
    };
    if name == "duration" {
        return match parse_duration(text) {
            Some(ms) => Ok(ValueKey::Decimal(Decimal::from(ms).normalize())),
            None => error(&args[0], format!("{text:?} is not a duration; it is {}", duration::FORM)),
        };
    }
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(instant) => Ok(ValueKey::Timestamp(instant.timestamp_millis())),
        Err(_) => error(
            &args[0],
            format!(
                "{text:?} is not an instant of RFC 3339; write \"2016-07-22T18:15:00+08:00\" or \"2016-07-22T10:15:00Z\""
            ),
        ),
    }
}
