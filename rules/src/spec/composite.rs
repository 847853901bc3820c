//! `composite`: reads the expression; when all files are read, finds the rules that it names.
//!
//! Names stand as they are (letters, digits, `_ - . :`) or in quotes. `!` binds tightest, then `&&`, then `||`.
//! Refuses to know: what alerts are, when they are on.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use record::FormatSet;

use super::RuleError;
use super::fields;
use super::group::RuleReader;
use super::place::Place;
use crate::condition::nearest::did_you_mean;
use crate::engine::unit_ms_of;
use crate::rule::{Composite, Expr, Kind, Rule};

/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 64;
/// Most names of an expression.
const MAX_NAMES: usize = 256;
/// Keys of every rule that mean nothing here.
const OTHERS: [(&str, &str); 4] = [
    ("where", "its members have conditions"),
    ("by", "name the labels of the members' alerts in `on`"),
    ("format", "its members have formats"),
    ("sum", "its members have records"),
];

/// A composite whose names are not found yet.
pub(super) struct Open {
    /// Position of its rule.
    pub(super) rule: usize,
    pub(super) file: String,
    /// Where each name stands first.
    names: Vec<Place>,
}

/// What the expression names and `on` lists, with places in the file; the rule's members are found later.
pub(super) fn read(rule: &mut RuleReader<'_, '_>) -> Option<Kind> {
    for (key, instead) in OTHERS {
        if let Some(entry) = rule.fields.entry(key) {
            let message = format!("kind `composite` has no `{key}`: {instead}; remove it");
            rule.report.error(entry.key_at, message);
        }
    }
    // What is wrong with `on` is said where the key of the rule is read.
    let entry = rule.need("expr")?;
    let text = fields::text(entry, rule.report)?;
    let mut parser = Parser { text: text.text, at: 0, depth: 0, names: Vec::new() };
    match parser.whole() {
        Ok(expr) => Some(Kind::Composite(Composite {
            text: text.text.trim().into(),
            expr,
            names: parser.names.iter().map(|(name, _)| name.as_str().into()).collect(),
            members: Vec::new(),
            meanings: Vec::new(),
            leaves: Vec::new(),
            clocks: Vec::new(),
        })),
        Err((at, message)) => {
            rule.report.error_within(text.at, text.text, at, message);
            None
        }
    }
}

/// The labels of `on`, as the key of the rule; there are no columns behind them.
pub(super) fn key(rule: &mut RuleReader<'_, '_>) -> Vec<(Arc<str>, usize)> {
    let mut all: Vec<(Arc<str>, usize)> = Vec::new();
    let Some(entry) = rule.fields.entry("on") else { return all };
    for name in fields::texts(entry, rule.report).unwrap_or_default() {
        if name.text == "alertname" {
            rule.report.error(name.at, "`alertname` is that of the composite itself; remove it");
        } else if all.iter().any(|(known, _)| **known == *name.text) {
            rule.report.error(name.at, format!("`{}` is named twice in `on`", name.text));
        }
        all.push((name.text.into(), usize::MAX));
    }
    all
}

/// Remembers where the names stand.
pub(super) fn open(rule: &mut RuleReader<'_, '_>, position: usize) -> Option<Open> {
    let report = &mut *rule.report;
    let text = fields::text(rule.fields.entry("expr")?, report)?;
    let mut parser = Parser { text: text.text, at: 0, depth: 0, names: Vec::new() };
    parser.whole().ok()?;
    let place = |at: usize| report.source.place(report.source.within(text.at, text.text, at));
    let names = parser.names.iter().map(|(_, at)| place(*at)).collect();
    Some(Open { rule: position, file: report.file.to_owned(), names })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// With the byte at which each stands first.
    names: Vec<(String, usize)>,
}

type Parsed = Result<Expr, (usize, String)>;

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn whole(&mut self) -> Parsed {
        let expr = self.any()?;
        self.space();
        match self.rest().chars().next() {
            None => Ok(expr),
            Some(')') => Err((self.at, "this `)` closes nothing".to_owned())),
            Some(_) => Err((self.at, "expected `&&`, `||` or the end of the expression".to_owned())),
        }
    }

    fn any(&mut self) -> Parsed {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Any(parts) })
    }

    fn all(&mut self) -> Parsed {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::All(parts) })
    }

    fn one(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((self.at, format!("nested deeper than {MAX_DEPTH}")));
        }
        let expr = if self.take("!") {
            Expr::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let opened = self.at - 1;
            let inner = self.any()?;
            if !self.take(")") {
                return Err((opened, "this `(` is not closed".to_owned()));
            }
            inner
        } else {
            self.name()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn name(&mut self) -> Parsed {
        self.space();
        let start = self.at;
        let name = match self.rest().chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => {
                let Some(len) = self.rest().get(1..).and_then(|rest| rest.find(quote)) else {
                    return Err((start, format!("this {quote} is not closed")));
                };
                let name = self.rest().get(1..=len).unwrap_or_default().to_owned();
                self.at += len + 2;
                name
            }
            _ => {
                let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
                let len = self.rest().find(|c| !fits(c)).unwrap_or(self.rest().len());
                let name = self.rest().get(..len).unwrap_or_default().to_owned();
                self.at += len;
                name
            }
        };
        if name.is_empty() {
            return Err((start, "expected the name of an alert, `!` or `(`".to_owned()));
        }
        if let Some(known) = self.names.iter().position(|(known, _)| *known == name) {
            return Ok(Expr::Name(known));
        }
        if self.names.len() == MAX_NAMES {
            return Err((start, format!("more than {MAX_NAMES} names")));
        }
        self.names.push((name, start));
        Ok(Expr::Name(self.names.len() - 1))
    }
}

/// Reports names that no rule has, and cycles. A label that no named alert has is empty for all of them.
pub(super) fn check(
    open: &[Open],
    rules: &[Rule],
    known: &HashMap<String, String>,
    errors: &mut Vec<RuleError>,
) {
    let position: HashMap<&str, usize> =
        rules.iter().enumerate().map(|(i, rule)| (&*rule.alert, i)).collect();
    for open in open {
        let Kind::Composite(composite) = &rules[open.rule].kind else { continue };
        let mut error = |place: Place, message: String| {
            errors.push(RuleError {
                file: open.file.clone(),
                line: place.line,
                column: place.column,
                message,
            });
        };
        for (name, place) in composite.names.iter().zip(&open.names) {
            if !known.contains_key(&**name) {
                let hint = did_you_mean(name, known.keys().map(String::as_str));
                error(*place, format!("there is no alert `{name}`{hint}"));
            }
            let Some(&member) = position.get(&**name) else { continue };
            if let Some(path) = path(rules, &position, member, open.rule) {
                error(*place, format!("`{}` hangs on itself: {path}", rules[open.rule].alert));
            }
        }
    }
}

/// The names on the way from one rule to another that it hangs on.
fn path(rules: &[Rule], position: &HashMap<&str, usize>, from: usize, to: usize) -> Option<String> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![to, from]];
    while let Some(way) = ways.pop() {
        let last = way[way.len() - 1];
        if last == to {
            let names: Vec<&str> = way.iter().map(|&i| &*rules[i].alert).collect();
            return Some(names.join(" -> "));
        }
        if let (true, Kind::Composite(composite)) = (seen.insert(last), &rules[last].kind) {
            let next = composite.names.iter().filter_map(|name| position.get(&**name));
            ways.extend(next.map(|&next| [way.as_slice(), &[next]].concat()));
        }
    }
    None
}

/// Fills in what the composites of a checked set need; returns their positions, each after those it names.
pub(super) fn link(rules: &mut [Rule], formats: &FormatSet) -> Vec<u32> {
    let position: HashMap<Arc<str>, usize> =
        rules.iter().enumerate().map(|(i, rule)| (Arc::clone(&rule.alert), i)).collect();
    let mut order: Vec<u32> = Vec::new();
    let mut waiting: Vec<usize> = (0..rules.len()).filter(|&i| is_composite(&rules[i])).collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|&at| {
            let Kind::Composite(composite) = &rules[at].kind else { return false };
            let members: Vec<usize> = composite.names.iter().map(|name| position[name]).collect();
            let is_linked = |&i: &usize| !is_composite(&rules[i]) || order.contains(&(i as u32));
            if !members.iter().all(is_linked) {
                return true;
            }
            let filled = filled(composite, &members, at, rules, formats);
            rules[at].kind = Kind::Composite(filled);
            order.push(at as u32);
            false
        });
        assert!(waiting.len() < before, "there is no cycle");
    }
    order
}

fn is_composite(rule: &Rule) -> bool {
    matches!(rule.kind, Kind::Composite(_))
}

fn filled(
    composite: &Composite,
    members: &[usize],
    at: usize,
    rules: &[Rule],
    formats: &FormatSet,
) -> Composite {
    let (mut leaves, mut clocks) = (BTreeSet::new(), BTreeSet::new());
    clocks.insert((unit_ms_of(&rules[at].kind), rules[at].lateness_ms));
    for &member in members {
        match &rules[member].kind {
            Kind::Composite(inner) => {
                leaves.extend(inner.leaves.iter().copied());
                clocks.extend(inner.clocks.iter().copied());
            }
            kind => {
                leaves.insert(member as u32);
                clocks.insert((unit_ms_of(kind), rules[member].lateness_ms));
            }
        }
    }
    let meaning = |&member: &usize| rules[member].fingerprint(formats.get(rules[member].format));
    Composite {
        members: members.iter().map(|&member| member as u32).collect(),
        meanings: members.iter().map(meaning).collect(),
        leaves: leaves.into_iter().collect(),
        clocks: clocks.into_iter().collect(),
        ..composite.clone()
    }
}
