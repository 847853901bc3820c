//! The grammar of conditions: text in, [`Expr`] out.
//!
//! ```text
//! or       = and ("||" and)*
//! and      = relation ("&&" relation)*
//! relation = unary (("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") unary)?
//! unary    = "!" unary | postfix
//! postfix  = primary ("." name "(" list? ")")*
//! primary  = "(" or ")" | "[" list? "]" | string | number | duration | "true" | "false" | name ("(" list? ")")?
//! ```
//! Refuses to know: which fields there are and whether types agree (`check`).

use nom::Err;
use nom::IResult;
use nom::Parser;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::multispace0;
use nom::combinator::{opt, recognize};
use nom::error::{ErrorKind, ParseError};
use nom::sequence::preceded;

use super::ConditionError;
use super::duration::{self, parse_duration};
use super::literal;
use super::syntax::{CompareOp, Expr, ExprKind};

/// Longest condition.
pub(super) const MAX_TEXT_BYTES: usize = 256 * 1024;
/// Deepest nesting of parentheses, lists, calls and `!`.
pub(super) const MAX_DEPTH: usize = 64;

/// Reads a whole condition.
pub(super) fn parse(text: &str) -> Result<Expr, ConditionError> {
    if text.len() > MAX_TEXT_BYTES {
        let message =
            format!("the condition is {} bytes long; at most {MAX_TEXT_BYTES} are read", text.len());
        return Err(ConditionError { offset: 0, message });
    }
    let grammar = Grammar { text };
    let whole = grammar.or(text, 0).and_then(|(rest, expr)| {
        let (rest, ()) = space(rest)?;
        if rest.is_empty() { Ok(expr) } else { fail(rest, after_expression(rest)) }
    });
    whole.map_err(|error| {
        let fault = match error {
            Err::Error(fault) | Err::Failure(fault) => fault,
            Err::Incomplete(_) => Fault { rest_len: 0, message: None },
        };
        let offset = text.len() - fault.rest_len;
        let rest = text.get(offset..).unwrap_or_default();
        ConditionError {
            offset,
            message: fault.message.unwrap_or_else(|| expected("a field or a value", rest)),
        }
    })
}

/// Why a text cannot be read, and how much of it was left.
pub(super) struct Fault {
    rest_len: usize,
    message: Option<String>,
}

impl ParseError<&str> for Fault {
    fn from_error_kind(rest: &str, _kind: ErrorKind) -> Self {
        Fault { rest_len: rest.len(), message: None }
    }
    fn append(_rest: &str, _kind: ErrorKind, other: Self) -> Self {
        other
    }
}

pub(super) type Parsed<'a, T> = IResult<&'a str, T, Fault>;

/// Gives up at `rest`: no other reading is tried.
pub(super) fn fail<T>(rest: &str, message: String) -> Result<T, Err<Fault>> {
    Err(Err::Failure(Fault { rest_len: rest.len(), message: Some(message) }))
}

/// `expected WHAT, found WHAT`.
fn expected(what: &str, rest: &str) -> String {
    let rest = rest.trim_start();
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').take(32).collect();
    match (word.is_empty(), rest.chars().next()) {
        (_, None) => format!("expected {what}, but the condition ends here"),
        (false, _) => format!("expected {what}, found `{word}`"),
        (true, Some(c)) => format!("expected {what}, found `{c}`"),
    }
}

/// What to say about text that follows a complete condition.
fn after_expression(rest: &str) -> String {
    let starts = |words: &[&str]| words.iter().any(|word| rest.starts_with(word));
    if starts(&["and", "AND"]) {
        "`and` is written `&&`".to_owned()
    } else if starts(&["or", "OR"]) {
        "`or` is written `||`".to_owned()
    } else if starts(&["=~", "~"]) {
        "`=~` is written `field.matches(\"pattern\")`".to_owned()
    } else if starts(&["="]) && !starts(&["=="]) {
        "`=` is written `==`".to_owned()
    } else if starts(&["&"]) {
        "`&` is written `&&`".to_owned()
    } else if starts(&["|"]) {
        "`|` is written `||`".to_owned()
    } else if starts(&["==", "!=", "<", ">", "in "]) {
        "comparisons do not chain; join them with `&&`".to_owned()
    } else if starts(&["+", "-", "*", "/", "%"]) {
        "there is no arithmetic in conditions; compare a field with a value".to_owned()
    } else if starts(&[")", "]"]) {
        "this bracket closes nothing".to_owned()
    } else {
        expected("`&&`, `||` or the end", rest)
    }
}

fn space(text: &str) -> Parsed<'_, ()> {
    multispace0.map(|_| ()).parse(text)
}

/// White space, then exactly `symbol`.
fn symbol<'a>(symbol: &'static str) -> impl Parser<&'a str, Output = &'a str, Error = Fault> {
    preceded(multispace0, tag(symbol))
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A name; in backticks it may hold any character but a backtick.
fn name(text: &str) -> Parsed<'_, &str> {
    if let (rest, Some(_)) = opt(tag("`")).parse(text)? {
        let (rest, name) = take_while1(|c| c != '`')(rest)?;
        return match rest.strip_prefix('`') {
            Some(rest) => Ok((rest, name)),
            None => fail(text, "this backtick is not closed".to_owned()),
        };
    }
    recognize((nom::character::complete::satisfy(is_name_start), take_while(is_name))).parse(text)
}

struct Grammar<'a> {
    text: &'a str,
}

impl<'a> Grammar<'a> {
    fn at(&self, rest: &str) -> usize {
        self.text.len() - rest.len()
    }

    fn or(&self, text: &'a str, depth: usize) -> Parsed<'a, Expr> {
        self.chain(text, depth, "||", ExprKind::Or, Self::and)
    }

    fn and(&self, text: &'a str, depth: usize) -> Parsed<'a, Expr> {
        self.chain(text, depth, "&&", ExprKind::And, Self::relation)
    }

    fn chain(
        &self,
        text: &'a str,
        depth: usize,
        operator: &'static str,
        joined: fn(Vec<Expr>) -> ExprKind,
        part: fn(&Self, &'a str, usize) -> Parsed<'a, Expr>,
    ) -> Parsed<'a, Expr> {
        let (mut rest, first) = part(self, text, depth)?;
        let at = first.at;
        let mut parts = vec![first];
        while let Ok((after, _)) = symbol(operator).parse(rest) {
            let (after, next) = part(self, after, depth)?;
            parts.push(next);
            rest = after;
        }
        match parts.pop() {
            Some(only) if parts.is_empty() => Ok((rest, only)),
            Some(last) => {
                parts.push(last);
                Ok((rest, Expr { at, kind: joined(parts) }))
            }
            None => fail(text, expected("a condition", text)),
        }
    }

    fn relation(&self, text: &'a str, depth: usize) -> Parsed<'a, Expr> {
        let (rest, left) = self.unary(text, depth)?;
        let (after, operator) = opt(operator).parse(rest)?;
        let Some(operator) = operator else { return Ok((rest, left)) };
        let (rest, right) = self.unary(after, depth)?;
        let (at, left, right) = (left.at, Box::new(left), Box::new(right));
        let kind = match operator {
            Some(op) => ExprKind::Compare { op, left, right },
            None => ExprKind::In { left, right },
        };
        Ok((rest, Expr { at, kind }))
    }

    fn unary(&self, text: &'a str, depth: usize) -> Parsed<'a, Expr> {
        let (text, ()) = space(text)?;
        let depth = deeper(text, depth)?;
        match opt(tag("!")).parse(text)? {
            (rest, Some(_)) => {
                let (rest, inner) = self.unary(rest, depth)?;
                Ok((rest, Expr { at: self.at(text), kind: ExprKind::Not(Box::new(inner)) }))
            }
            (_, None) => self.postfix(text, depth),
        }
    }

    fn postfix(&self, text: &'a str, depth: usize) -> Parsed<'a, Expr> {
        let (mut rest, mut expr) = self.primary(text, depth)?;
        let mut links = depth;
        while let Ok((after, _)) = symbol(".").parse(rest) {
            links = deeper(rest, links)?;
            let (after, ()) = space(after)?;
            let at = self.at(after);
            let Ok((after, function)) = name(after) else {
                return fail(after, expected("a function", after));
            };
            let Ok((after, _)) = symbol("(").parse(after) else {
                return fail(
                    after,
                    format!("`{function}` needs its argument in parentheses: `{function}(...)`"),
                );
            };
            let (after, mut args) = self.list(after, depth, ")")?;
            args.insert(0, expr);
            expr = Expr { at, kind: ExprKind::Call { name: function.to_owned(), args } };
            rest = after;
        }
        Ok((rest, expr))
    }

    fn primary(&self, text: &'a str, depth: usize) -> Parsed<'a, Expr> {
        let at = self.at(text);
        let expr = |kind| Expr { at, kind };
        if let (rest, Some(_)) = opt(tag("(")).parse(text)? {
            let (rest, inner) = self.or(rest, depth)?;
            let (rest, ()) = space(rest)?;
            return match rest.strip_prefix(')') {
                Some(rest) => Ok((rest, inner)),
                None if rest.is_empty() => fail(text, "this `(` is not closed".to_owned()),
                None => fail(rest, after_expression(rest)),
            };
        }
        if let (rest, Some(_)) = opt(tag("[")).parse(text)? {
            let (rest, items) = self.list(rest, depth, "]")?;
            return Ok((rest, expr(ExprKind::List(items))));
        }
        if let Some(string) = literal::string(text) {
            return string.map(|(rest, value)| (rest, expr(ExprKind::String(value))));
        }
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
            return number(text).map(|(rest, kind)| (rest, expr(kind)));
        }
        let (rest, name) = match name(text) {
            Err(Err::Error(_)) => return fail(text, expected("a field or a value", text)),
            named => named?,
        };
        match name {
            // In backticks it is a field, whatever its name.
            _ if text.starts_with('`') => {}
            "true" => return Ok((rest, expr(ExprKind::Bool(true)))),
            "false" => return Ok((rest, expr(ExprKind::Bool(false)))),
            "null" => {
                return fail(
                    text,
                    "there is no `null`; `has(field)` says whether a field is there".to_owned(),
                );
            }
            "in" => return fail(text, expected("a field or a value", text)),
            "not" if !rest.trim_start().starts_with(['(', '.', '=']) => {
                return fail(text, "`not` is written `!`".to_owned());
            }
            _ => {}
        }
        let Ok((rest, _)) = symbol("(").parse(rest) else {
            return Ok((rest, expr(ExprKind::Field(name.to_owned()))));
        };
        let (rest, args) = self.list(rest, depth, ")")?;
        Ok((rest, expr(ExprKind::Call { name: name.to_owned(), args })))
    }

    /// Expressions between commas up to `close`, which is taken too. A comma after the last is allowed.
    fn list(&self, text: &'a str, depth: usize, close: &'static str) -> Parsed<'a, Vec<Expr>> {
        let mut items = Vec::new();
        let mut rest = text;
        loop {
            if let Ok((rest, _)) = symbol(close).parse(rest) {
                return Ok((rest, items));
            }
            let (after, item) = self.or(rest, depth)?;
            items.push(item);
            let (after, ()) = space(after)?;
            rest = match after.strip_prefix(',') {
                Some(after) => after,
                None if after.starts_with(close) => after,
                None => return fail(after, expected(&format!("`,` or `{close}`"), after)),
            };
        }
    }
}

fn deeper(text: &str, depth: usize) -> Result<usize, Err<Fault>> {
    if depth >= MAX_DEPTH {
        return fail(text, format!("nested deeper than {MAX_DEPTH} levels; split the condition"));
    }
    Ok(depth + 1)
}

/// A comparison operator, or `None` for `in`.
fn operator(text: &str) -> Parsed<'_, Option<CompareOp>> {
    let (text, ()) = space(text)?;
    for (written, op) in [
        ("==", CompareOp::Equal),
        ("!=", CompareOp::NotEqual),
        ("<=", CompareOp::LessEqual),
        (">=", CompareOp::GreaterEqual),
        ("<", CompareOp::Less),
        (">", CompareOp::Greater),
    ] {
        if let Some(rest) = text.strip_prefix(written) {
            return Ok((rest, Some(op)));
        }
    }
    match text.strip_prefix("in") {
        Some(rest) if !rest.starts_with(is_name) => Ok((rest, None)),
        _ => Err(Err::Error(Fault { rest_len: text.len(), message: None })),
    }
}

/// A number or a duration.
fn number(text: &str) -> Parsed<'_, ExprKind> {
    let (rest, written) =
        recognize((opt(tag("-")), take_while(|c: char| is_name(c) || c == '.'))).parse(text)?;
    let has_unit = written.chars().any(char::is_alphabetic) && !written.starts_with('-');
    if has_unit {
        return match parse_duration(written) {
            Some(ms) => Ok((rest, ExprKind::Duration(ms))),
            None => fail(
                text,
                format!("`{written}` is neither a number nor a duration; a duration is {}", duration::FORM),
            ),
        };
    }
    match literal::decimal(written) {
        Some(value) => Ok((rest, ExprKind::Number(value, written.to_owned()))),
        None => fail(text, format!("`{written}` is not a number; write it as in `12`, `-3` or `0.50`")),
    }
}
