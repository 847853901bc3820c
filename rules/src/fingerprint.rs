//! One number for what a rule means: while it is the same, the state that the rule gathered means the same.
//!
//! It covers everything that the state or the identity of alerts depends on, named by column names and written in a
//! fixed form, so that it outlives restarts, versions and moves between files. Annotations and the number of sample
//! lines are not in it. Refuses to know: windows, snapshots.

use std::fmt::Write as _;

use record::{Format, ValueKey};

use crate::alert::fnv1a;
use crate::condition::test::{Test, TextTest};
use crate::rule::{Distinct, Kind, Rule, ThingKind, Things};

/// Changed when states of an unchanged rule come to mean something else.
const MEANING: &str = "1";

impl Rule {
    /// FNV-1a 64 of the rule's meaning over records of its format.
    pub(crate) fn fingerprint(&self, format: &Format) -> u64 {
        self.meaning(format).bytes().fold(0xcbf2_9ce4_8422_2325, fnv1a)
    }

    fn meaning(&self, format: &Format) -> String {
        let mut out = Meaning { format, text: format!("{MEANING} {:?} {:?}", &*self.alert, format.name()) };
        out.field("time", format.time_column());
        out.part("where");
        out.test(self.filter.test());
        out.part("by");
        self.by.iter().for_each(|(_, column)| out.column(*column));
        if let Kind::Composite(_) = self.kind {
            self.by.iter().for_each(|(label, _)| out.show(label));
        }
        out.kind(&self.kind);
        let numbers = [self.lateness_ms, self.settle_ms, self.for_ms, self.keep_firing_for_ms];
        out.show(&(numbers, &self.labels, self.shadow));
        out.field("sum", self.sum);
        out.field("order", self.order);
        for row in &*self.thresholds {
            out.show(&("row", &row.by, row.from_ms, row.until_ms, row.numbers.named().collect::<Vec<_>>()));
        }
        out.text
    }
}

/// The meaning being written.
struct Meaning<'a> {
    format: &'a Format,
    text: String,
}

impl Meaning<'_> {
    fn show(&mut self, what: &dyn std::fmt::Debug) {
        write!(self.text, " {what:?}").expect("a string takes any text");
    }

    fn part(&mut self, name: &str) {
        self.text.push(' ');
        self.text.push_str(name);
    }

    fn column(&mut self, column: usize) {
        // Name, type (with the zone of times) and mask: what decides which value a record shows.
        match self.format.columns().get(column) {
            Some(column) => self.show(&(&*column.name, &column.kind, column.mask)),
            None => self.part("?"),
        }
    }

    fn field(&mut self, name: &str, column: Option<usize>) {
        self.part(name);
        match column {
            Some(column) => self.column(column),
            None => self.part("none"),
        }
    }

    fn kind(&mut self, kind: &Kind) {
        self.part(kind.name());
        match kind {
            Kind::Any { resolve_after_ms } => self.show(resolve_after_ms),
            Kind::Frequency { count, within_ms, distinct } => {
                self.show(&(count, within_ms));
                self.distinct(distinct.as_ref());
            }
            Kind::Sustained { count, every_ms, within_ms, distinct } => {
                self.show(&(count, every_ms, within_ms));
                self.distinct(distinct.as_ref());
            }
            Kind::Consecutive { count, within_ms, reset } => {
                self.show(&(count, within_ms));
                match reset {
                    Some(reset) => self.test(reset.test()),
                    None => self.part("none"),
                }
            }
            Kind::Cardinality { field, within_ms, min, max } => {
                self.column(*field);
                self.show(&(within_ms, min, max));
            }
            Kind::Aggregate { aggregate, field, within_ms, bounds, min_total } => {
                self.part(aggregate.name());
                self.column(*field);
                self.show(&(within_ms, min_total));
                for bound in [bounds.below, bounds.above] {
                    self.show(&bound.map(|bound| bound.normalize().to_string()));
                }
            }
            Kind::Flatline { count, within_ms, expect, hours } => {
                let hours = hours.as_ref().map(|hours| &hours.intervals);
                self.show(&(count, within_ms, expect, hours));
            }
            Kind::Spike { spike, within_ms } => {
                self.field("sum", spike.sum);
                self.show(&(within_ms, spike.offsets_ms, spike.up, spike.down));
                for number in [spike.factor, spike.min_reference, spike.min_current] {
                    self.show(&number.normalize().to_string());
                }
            }
            Kind::Things(things) => self.things(things),
            Kind::Composite(composite) => {
                self.show(&(&composite.expr, &composite.names, &composite.meanings, &composite.clocks));
            }
            Kind::Ratio { part, within_ms, bounds, min_total, confidence } => {
                self.test(part.test());
                self.show(&(within_ms, min_total));
                for bound in [bounds.below, bounds.above, *confidence] {
                    self.show(&bound.map(|bound| bound.normalize().to_string()));
                }
            }
        }
    }

    fn things(&mut self, things: &Things) {
        self.column(things.each);
        self.show(&(things.count, things.resolve_after_ms));
        things.roles().into_iter().for_each(|role| self.test(role.test()));
        things.values().iter().for_each(|column| self.column(*column));
        match &things.kind {
            ThingKind::Unfinished { within_ms, skew_ms, .. } => self.show(&(within_ms, skew_ms)),
            ThingKind::Transition { allowed, .. } => self.show(allowed),
            ThingKind::Sequence { steps, within_ms } => self.show(&(steps.len(), within_ms)),
            ThingKind::Mismatch { compare, within_ms, .. } => self.show(&(compare.len(), within_ms)),
            ThingKind::NewValue { remember_ms, learn_ms } => self.show(&(remember_ms, learn_ms)),
        }
    }

    fn distinct(&mut self, distinct: Option<&Distinct>) {
        self.field("distinct", distinct.map(|distinct| distinct.field));
        if let Some(distinct) = distinct {
            self.show(&(distinct.min, distinct.per_step));
        }
    }

    fn values(&mut self, values: &[ValueKey]) {
        values.iter().for_each(|value| self.show(&value.label()));
    }

    fn test(&mut self, test: &Test) {
        self.text.push('(');
        match test {
            Test::Const(value) => self.show(value),
            Test::Has(column) => self.field("has", Some(*column)),
            Test::Equal(column, value) => {
                self.field("==", Some(*column));
                self.values(std::slice::from_ref(value));
            }
            Test::OneOf(column, values) => {
                self.field("in", Some(*column));
                self.values(values);
            }
            Test::Order(column, order, value) => {
                self.field("order", Some(*column));
                self.show(order);
                self.values(std::slice::from_ref(value));
            }
            Test::Same(left, right) => {
                self.field("same", Some(*left));
                self.column(*right);
            }
            Test::OrderOf(left, order, right) => {
                self.field("order of", Some(*left));
                self.show(order);
                self.column(*right);
            }
            Test::InCidr(column, network) => {
                self.field("cidr", Some(*column));
                self.show(network);
            }
            Test::Text(field, test) => {
                self.field(if field.lower { "lower" } else { "text" }, Some(field.column));
                self.text_test(test);
            }
            Test::Not(inner) => {
                self.part("!");
                self.test(inner);
            }
            Test::All(parts) => {
                self.part("&&");
                parts.iter().for_each(|part| self.test(part));
            }
            Test::Any(parts) => {
                self.part("||");
                parts.iter().for_each(|part| self.test(part));
            }
        }
        self.text.push(')');
    }

    fn text_test(&mut self, test: &TextTest) {
        match test {
            TextTest::Equal(text) => self.show(&("==", text)),
            TextTest::OneOf(texts) => self.show(&("in", texts)),
            TextTest::StartsWith(text) => self.show(&("startsWith", text)),
            TextTest::EndsWith(text) => self.show(&("endsWith", text)),
            TextTest::Order(order, text) => self.show(&(order, text)),
            TextTest::Contains(word) => self.show(&("contains", word.word())),
            TextTest::Matches(pattern) => self.show(&("matches", pattern.text())),
        }
    }
}
