//! A condition after checking: column numbers and typed values, ready to be asked of a record.
//!
//! Tests are ordered and hashed so that equal ones can be found and shared. Refuses to know: names and text of
//! conditions.

use record::{ColumnType, Decimal, RecordRef, Value, ValueKey};

use super::cidr::Cidr;
use super::pattern::Pattern;
use super::text::Keyword;

/// A compiled condition or a part of one. Null and ill-typed values fail every test except [`Test::Not`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Test {
    /// Always the same.
    Const(bool),
    /// The column has a value of its type.
    Has(usize),
    /// The column's value is this one. Numbers are [`ValueKey::Decimal`], whatever the column.
    Equal(usize, ValueKey),
    /// The column's value is one of these, sorted.
    OneOf(usize, Box<[ValueKey]>),
    /// The column's value stands so to this one.
    Order(usize, Order, ValueKey),
    /// The values of two columns of one type are equal.
    Same(usize, usize),
    /// The values of two columns of one type stand so to each other.
    OrderOf(usize, Order, usize),
    /// The address is in the network.
    InCidr(usize, Cidr),
    /// Something about a text.
    Text(Field, TextTest),
    /// Not so; true for a null.
    Not(Box<Test>),
    /// All hold; two or more, cheapest first.
    All(Box<[Test]>),
    /// At least one holds; two or more, cheapest first.
    Any(Box<[Test]>),
}

/// A string column, in lower case or as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Field {
    pub(crate) column: usize,
    pub(crate) lower: bool,
}

/// Tests of texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TextTest {
    Equal(Box<str>),
    /// One of these, sorted.
    OneOf(Box<[Box<str>]>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    /// By code points.
    Order(Order, Box<str>),
    Contains(Keyword),
    Matches(Pattern),
}

/// Order of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Order {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Order {
    pub(crate) fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Order::Less => ordering.is_lt(),
            Order::LessEqual => ordering.is_le(),
            Order::Greater => ordering.is_gt(),
            Order::GreaterEqual => ordering.is_ge(),
        }
    }
}

impl Test {
    /// Joins tests that must all hold, flattened, without repeats, cheapest first.
    pub(crate) fn all(tests: Vec<Test>) -> Test {
        let mut flat = Vec::with_capacity(tests.len());
        for test in tests {
            match test {
                Test::All(inner) => flat.extend(inner),
                Test::Const(true) => {}
                Test::Const(false) => return Test::Const(false),
                other => flat.push(other),
            }
        }
        tidy(&mut flat);
        match flat.len() {
            0 => Test::Const(true),
            1 => flat.swap_remove(0),
            _ => Test::All(flat.into()),
        }
    }

    /// Joins tests of which one suffices, flattened, without repeats, cheapest first.
    pub(crate) fn any(tests: Vec<Test>) -> Test {
        let mut flat = Vec::with_capacity(tests.len());
        for test in tests {
            match test {
                Test::Any(inner) => flat.extend(inner),
                Test::Const(false) => {}
                Test::Const(true) => return Test::Const(true),
                other => flat.push(other),
            }
        }
        tidy(&mut flat);
        match flat.len() {
            0 => Test::Const(false),
            1 => flat.swap_remove(0),
            _ => Test::Any(flat.into()),
        }
    }

    /// Appends the columns that it looks at.
    pub(crate) fn columns(&self, out: &mut Vec<usize>) {
        match self {
            Test::Const(_) => {}
            Test::Has(column)
            | Test::Equal(column, _)
            | Test::OneOf(column, _)
            | Test::Order(column, ..)
            | Test::InCidr(column, _)
            | Test::Text(Field { column, .. }, _) => out.push(*column),
            Test::Same(left, right) | Test::OrderOf(left, _, right) => out.extend([*left, *right]),
            Test::Not(inner) => inner.columns(out),
            Test::All(parts) | Test::Any(parts) => parts.iter().for_each(|part| part.columns(out)),
        }
    }

    /// The opposite.
    pub(super) fn negate(self) -> Test {
        match self {
            Test::Const(value) => Test::Const(!value),
            Test::Not(inner) => *inner,
            other => Test::Not(Box::new(other)),
        }
    }

    /// Roughly how much work it is; orders the parts of a conjunction.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Test::Const(_) => 0,
            Test::Has(_) => 2,
            Test::Text(field, test) => test.cost() + if field.lower { 8 } else { 0 },
            Test::Equal(..) => 4,
            Test::OneOf(..) | Test::Order(..) | Test::InCidr(..) => 5,
            Test::Same(..) | Test::OrderOf(..) => 8,
            Test::Not(inner) => inner.cost(),
            Test::All(parts) | Test::Any(parts) => parts.iter().map(Test::cost).fold(0, u32::saturating_add),
        }
    }

    /// Whether it holds for a record of the format it was compiled for.
    pub(crate) fn holds(&self, record: &RecordRef<'_>) -> bool {
        match self {
            Test::All(parts) => parts.iter().all(|part| part.holds(record)),
            Test::Any(parts) => parts.iter().any(|part| part.holds(record)),
            Test::Not(inner) => !inner.holds(record),
            leaf => leaf.leaf_holds(record),
        }
    }

    /// [`Test::holds`] of a test without parts.
    fn leaf_holds(&self, record: &RecordRef<'_>) -> bool {
        match self {
            Test::Const(value) => *value,
            Test::Has(column) => has(record, *column),
            Test::Equal(column, value) => record.value(*column).is_some_and(|v| same(v, value)),
            Test::OneOf(column, values) => record.value(*column).is_some_and(|v| {
                values
                    .binary_search_by(|known| {
                        compare(v, known).map_or(std::cmp::Ordering::Less, |o| o.reverse())
                    })
                    .is_ok()
            }),
            Test::Order(column, order, value) => {
                record.value(*column).and_then(|v| compare(v, value)).is_some_and(|o| order.holds(o))
            }
            Test::Same(left, right) => order_of(record, *left, *right).is_some_and(|o| o.is_eq()),
            Test::OrderOf(left, order, right) => {
                order_of(record, *left, *right).is_some_and(|o| order.holds(o))
            }
            Test::InCidr(column, network) => {
                matches!(record.value(*column), Some(Value::Ip(address)) if network.contains(address))
            }
            Test::Text(field, test) => {
                record.raw(field.column).is_some_and(|text| test.holds(text, field.lower))
            }
            Test::Not(_) | Test::All(_) | Test::Any(_) => self.holds(record),
        }
    }
}

fn tidy(tests: &mut Vec<Test>) {
    tests.sort_by(|a, b| a.cost().cmp(&b.cost()).then_with(|| a.cmp(b)));
    tests.dedup();
}

/// Whether a column is there and fits its type.
fn has(record: &RecordRef<'_>, column: usize) -> bool {
    match record.format.columns().get(column).map(|column| &column.kind) {
        Some(ColumnType::String) => record.raw(column).is_some(),
        _ => record.value(column).is_some(),
    }
}

/// Number of a value that is one.
fn number(value: Value<'_>) -> Option<Decimal> {
    value.as_decimal()
}

fn same(value: Value<'_>, known: &ValueKey) -> bool {
    compare(value, known).is_some_and(std::cmp::Ordering::is_eq)
}

/// Compares values of one type; `None` when the types differ, which checking excludes.
fn compare(value: Value<'_>, known: &ValueKey) -> Option<std::cmp::Ordering> {
    match (value, known) {
        (Value::Integer(_) | Value::Decimal(_), ValueKey::Decimal(k)) => number(value).map(|v| v.cmp(k)),
        (Value::Timestamp(v), ValueKey::Timestamp(k)) => Some(v.cmp(k)),
        (Value::Bool(v), ValueKey::Bool(k)) => Some(v.cmp(k)),
        (Value::Ip(v), ValueKey::Ip(k)) => Some(v.cmp(k)),
        (Value::String(v), ValueKey::String(k)) => Some(v.cmp(k)),
        _ => None,
    }
}

/// Compares two columns of one type; `None` when one is null.
fn order_of(record: &RecordRef<'_>, left: usize, right: usize) -> Option<std::cmp::Ordering> {
    match (record.value(left)?, record.value(right)?) {
        (Value::String(l), Value::String(r)) => Some(l.cmp(r)),
        (Value::Timestamp(l), Value::Timestamp(r)) => Some(l.cmp(&r)),
        (Value::Bool(l), Value::Bool(r)) => Some(l.cmp(&r)),
        (Value::Ip(l), Value::Ip(r)) => Some(l.cmp(&r)),
        (l, r) => Some(number(l)?.cmp(&number(r)?)),
    }
}
