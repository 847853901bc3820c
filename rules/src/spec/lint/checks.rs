//! What is looked for in a rule.

use record::{ColumnType, Format};

use super::super::fields::Fields;
use super::super::kind::KINDS;
use super::super::node::Content;
use super::super::report::Report;
use super::Linter;
use crate::condition::Condition;
use crate::condition::duration::show_duration;
use crate::condition::logic;
use crate::condition::simpler::simpler;
use crate::condition::test::{Test, TextTest};
use crate::rule::{Kind, Rule, ThingKind};

/// Fields that have a new value with nearly every order or record.
const WIDE: [&str; 8] = [
    "order_no",
    "serial_no",
    "channel_serial_no",
    "original_order_no",
    "trace_id",
    "request_id",
    "card_no",
    "callback_token",
];

/// A rule being looked at.
pub(super) struct Look<'a, 'r> {
    pub(super) linter: &'a mut Linter,
    pub(super) rule: &'a Rule,
    pub(super) format: &'a Format,
    pub(super) fields: &'a Fields<'a>,
    pub(super) report: &'a Report<'r>,
}

pub(super) fn rule(look: &mut Look<'_, '_>) {
    look.conditions();
    look.life();
    look.people();
    look.keys();
    look.twins();
    look.hours();
    look.thresholds();
    look.labels();
}

impl Look<'_, '_> {
    /// Where the value of a key stands; the rule itself without it.
    fn at(&self, key: &str) -> usize {
        self.fields
            .entries()
            .iter()
            .find(|entry| entry.key == key)
            .map_or(self.fields.at, |entry| entry.value.at)
    }

    fn has(&self, key: &str) -> bool {
        self.fields.entries().iter().any(|entry| entry.key == key)
    }

    fn add(&mut self, at: usize, name: &'static str, message: impl Into<String>) {
        self.linter.add(self.report, at, name, message.into());
    }

    fn column(&self, column: usize) -> &str {
        self.format.columns().get(column).map_or("", |column| &*column.name)
    }

    /// The conditions of the rule besides `where`, each with its key and where it stands.
    fn others(&self) -> Vec<(&'static str, usize, Condition)> {
        let one = |key: &'static str, condition: &Condition| (key, self.at(key), condition.clone());
        match &self.rule.kind {
            Kind::Ratio { part, .. } => vec![one("match", part)],
            Kind::Consecutive { reset: Some(reset), .. } => vec![one("reset", reset)],
            Kind::Things(things) => match &things.kind {
                ThingKind::Unfinished { start, finish, .. } => {
                    vec![one("start", start), one("finish", finish)]
                }
                ThingKind::Mismatch { left, right, .. } => vec![one("left", left), one("right", right)],
                ThingKind::Sequence { steps, .. } => {
                    let entry = self.fields.entries().iter().find(|entry| entry.key == "steps");
                    let at = |step: usize| match entry.map(|entry| &entry.value.content) {
                        Some(Content::List(items)) => items.get(step).map_or(self.fields.at, |item| item.at),
                        _ => self.fields.at,
                    };
                    steps.iter().enumerate().map(|(step, c)| ("steps", at(step), c.clone())).collect()
                }
                ThingKind::Transition { .. } | ThingKind::NewValue { .. } => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn conditions(&mut self) {
        let filter = self.rule.filter.clone();
        if self.has("where") {
            self.condition("where", self.at("where"), &filter);
        }
        for (key, at, condition) in self.others() {
            self.condition(key, at, &condition);
            // A reset need not satisfy `where`.
            let alone = logic::never(&[condition.test()]) || logic::never(&[filter.test()]);
            if key != "reset" && !alone && logic::never(&[filter.test(), condition.test()]) {
                self.add(
                    at,
                    "never-holds",
                    format!("no record meets both `where` and `{key}`; change one of them"),
                );
            }
        }
    }

    fn condition(&mut self, key: &str, at: usize, condition: &Condition) {
        let test = condition.test();
        if *test == Test::Const(false) || logic::never(&[test]) {
            let of = self.named(test);
            self.add(at, "never-holds", format!("no record meets `{key}`{of}; correct it"));
            return;
        }
        if logic::always(test) {
            let advice = if key == "where" { "remove it, or correct it" } else { "correct it" };
            self.add(at, "always-holds", format!("every record meets `{key}`; {advice}"));
            return;
        }
        let (mut parts, mut always, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        logic::visit(test, &mut |part| {
            match part {
                Test::All(_) if logic::never(&[part]) => parts.push(part.clone()),
                Test::Any(_) => {
                    let columns = logic::columns(part);
                    if let (Some(column), 1) = (columns.first(), columns.len())
                        && logic::always_with(part, *column)
                        && (!logic::always(part))
                    {
                        always.push(*column);
                    }
                    return always.is_empty();
                }
                Test::Text(field, TextTest::Matches(pattern)) => {
                    patterns.push((*field, pattern.text().to_owned()));
                }
                _ => {}
            }
            true
        });
        for part in parts {
            let of = self.named(&part);
            self.add(at, "never-holds", format!("a part of `{key}` holds for no record{of}; correct it"));
        }
        for column in always {
            let name = self.column(column).to_owned();
            let message = format!(
                "what `{key}` asks of `{name}` holds for every record that has it; write has({name}), or `&&` for `||`"
            );
            self.add(at, "always-holds", message);
        }
        for (field, pattern) in patterns {
            let name = self.column(field.column).to_owned();
            if let Some(written) = simpler(&pattern, &name, field.lower) {
                self.add(
                    at,
                    "plain-pattern",
                    format!("the pattern \"{pattern}\" needs no pattern; write {written}"),
                );
            }
        }
    }

    /// `: what it asks of `a`, `b` contradicts itself`.
    fn named(&self, test: &Test) -> String {
        let columns: Vec<String> =
            logic::columns(test).iter().take(3).map(|column| format!("`{}`", self.column(*column))).collect();
        if columns.is_empty() { String::new() } else { format!(": look at {}", columns.join(", ")) }
    }

    /// `for` against how long one match, run or thing keeps the rule active.
    fn life(&mut self) {
        let (what, key, lasts_ms) = match &self.rule.kind {
            Kind::Any { resolve_after_ms } => ("one match", "resolve_after", *resolve_after_ms),
            Kind::Consecutive { within_ms, .. } => ("one run", "within", *within_ms),
            Kind::Things(things) => ("one thing", "resolve_after", things.resolve_after_ms),
            _ => return,
        };
        if self.rule.for_ms >= lasts_ms {
            let message = format!(
                "{what} keeps the rule active for {} at most (`{key}`), so that alone it never fires with `for: {}`; shorten `for`, or lengthen `{key}`",
                show_duration(lasts_ms),
                show_duration(self.rule.for_ms)
            );
            self.add(self.at("for"), "for-too-long", message);
        }
    }

    /// What people need: a summary, a class, a severity.
    fn people(&mut self) {
        let at = self.at("alert");
        if !self.rule.annotations.contains_key("summary") {
            self.add(
                at,
                "no-summary",
                "no annotation `summary`; say in one line what happened: `annotations: {summary: ...}`",
            );
        }
        let class = self.rule.labels.get("class").map(String::as_str);
        if !matches!(class, Some("alarm" | "notice")) {
            self.add(at, "no-class", "no label `class: alarm` (somebody must act) or `class: notice`");
        }
        if !self.rule.labels.contains_key("severity") {
            self.add(at, "no-severity", "no label `severity`; by it people decide who is woken");
        }
    }

    /// Keys that change nothing, keys that cost much.
    fn keys(&mut self) {
        let name = self.rule.kind.name();
        let early = KINDS.iter().find(|spec| spec.name == name).is_some_and(|spec| spec.early != "no");
        if self.rule.settle_ms > 0 && !early {
            let message =
                format!("kind `{name}` is never raised early, so `settle` changes nothing; remove it");
            self.add(self.at("settle"), "unused-key", message);
        }
        let unused = match &self.rule.kind {
            Kind::Spike { spike, .. } if !spike.up && self.has("min_current") => {
                Some(("min_current", "`direction: down` does not look at it"))
            }
            _ => None,
        };
        if let Some((key, why)) = unused {
            self.add(self.at(key), "unused-key", format!("`{key}` changes nothing: {why}; remove it"));
        }
        if self.rule.kind.thing_field().is_some() {
            return;
        }
        for (field, column) in &self.rule.by {
            let kind = self.format.columns().get(*column).map(|column| &column.kind);
            let wide = WIDE.contains(&&**field) || matches!(kind, Some(ColumnType::Timestamp { .. }));
            if wide {
                let message = format!(
                    "`by` has a key for each `{field}`, of which there is no end (100,000 keys are kept); count by something else, or use a kind about single things with `each: {field}`"
                );
                self.add(self.at("by"), "wide-key", message);
            }
        }
    }

    /// Rules that mean the same.
    fn twins(&mut self) {
        let mut nameless = self.rule.clone();
        nameless.alert = "".into();
        let meaning = nameless.fingerprint(self.format);
        let at = self.at("alert");
        let place = self.report.source.place(at);
        let here = format!("`{}` ({}:{}:{})", self.rule.alert, self.report.file, place.line, place.column);
        match self.linter.meanings.get(&meaning) {
            Some(first) => {
                let message = format!("it means the same as {first}; remove one");
                self.add(at, "same-meaning", message);
            }
            None => drop(self.linter.meanings.insert(meaning, here)),
        }
    }

    /// Rows that never come to hold, or hold no more.
    fn thresholds(&mut self) {
        let rows = std::sync::Arc::clone(&self.rule.thresholds);
        let entry = self.fields.entries().iter().find(|entry| entry.key == "thresholds");
        let Some(Content::List(items)) = entry.map(|entry| &entry.value.content) else { return };
        for (position, (row, item)) in rows.iter().zip(items).enumerate() {
            if row.until_ms.is_some_and(|until_ms| until_ms <= self.linter.now_ms) {
                self.add(item.at, "threshold-expired", "this row's `valid_to` is past; remove it");
            }
            let earlier = rows.iter().take(position).position(|earlier| {
                let fits = |(mine, other): (&Option<_>, &Option<_>)| mine.is_none() || mine == other;
                let from = earlier.from_ms.is_none_or(|from| row.from_ms.is_some_and(|own| from <= own));
                let until = earlier.until_ms.is_none_or(|until| row.until_ms.is_some_and(|own| own <= until));
                earlier.by.iter().zip(&row.by).all(fits) && from && until
            });
            if let Some(earlier) = earlier {
                let message = format!(
                    "row {} fits whenever this one does, and the first that fits wins; put this one before it, or remove it",
                    earlier + 1
                );
                self.add(item.at, "threshold-unreachable", message);
            }
        }
    }

    fn hours(&mut self) {
        if let Kind::Flatline { hours: Some(hours), .. } = &self.rule.kind {
            self.linter.used.extend(hours.names.iter().cloned());
        }
    }
}
