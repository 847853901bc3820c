//! Whether a condition can hold at all, or always does: found by looking at what it asks of each field.
//!
//! What is said is true (a property test compares it with records); not everything that is true is found.
//! Refuses to know: where conditions stand.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use record::ValueKey;

use super::test::{Order, Test, TextTest};

/// Most parts that are looked at in all; what is not found by then is not said.
const MAX_PARTS: usize = 20_000;

/// A test whose negations stand at its leaves.
#[derive(Debug, Clone)]
enum Formula<'a> {
    Leaf(&'a Test, bool),
    All(Vec<Formula<'a>>),
    Any(Vec<Formula<'a>>),
}

fn formula(test: &Test, holds: bool) -> Formula<'_> {
    match (test, holds) {
        (Test::Const(value), _) if *value == holds => Formula::All(Vec::new()),
        (Test::Const(_), _) => Formula::Any(Vec::new()),
        (Test::Not(inner), _) => formula(inner, !holds),
        (Test::All(parts), true) | (Test::Any(parts), false) => {
            Formula::All(parts.iter().map(|part| formula(part, holds)).collect())
        }
        (Test::Any(parts), true) | (Test::All(parts), false) => {
            Formula::Any(parts.iter().map(|part| formula(part, holds)).collect())
        }
        (leaf, _) => Formula::Leaf(leaf, holds),
    }
}

/// Whether no record meets all of these.
pub(crate) fn never(tests: &[&Test]) -> bool {
    contradicts(tests.iter().map(|test| formula(test, true)).collect(), &mut MAX_PARTS.clone())
}

/// Whether every record meets it.
pub(crate) fn always(test: &Test) -> bool {
    contradicts(vec![formula(test, false)], &mut MAX_PARTS.clone())
}

/// Whether every record that has a value in `column` meets it.
pub(crate) fn always_with(test: &Test, column: usize) -> bool {
    contradicts(vec![formula(test, false), formula(&Test::Has(column), true)], &mut MAX_PARTS.clone())
}

/// The columns that a test looks at.
pub(crate) fn columns(test: &Test) -> BTreeSet<usize> {
    match test {
        Test::Const(_) => BTreeSet::new(),
        Test::Has(column)
        | Test::Equal(column, _)
        | Test::OneOf(column, _)
        | Test::Order(column, ..)
        | Test::InCidr(column, _) => BTreeSet::from([*column]),
        Test::Text(field, _) => BTreeSet::from([field.column]),
        Test::Same(left, right) | Test::OrderOf(left, _, right) => BTreeSet::from([*left, *right]),
        Test::Not(inner) => columns(inner),
        Test::All(parts) | Test::Any(parts) => parts.iter().flat_map(columns).collect(),
    }
}

/// Every part of a test, the whole first.
pub(crate) fn visit<'a>(test: &'a Test, look: &mut dyn FnMut(&'a Test) -> bool) {
    if !look(test) {
        return;
    }
    match test {
        Test::Not(inner) => visit(inner, look),
        Test::All(parts) | Test::Any(parts) => parts.iter().for_each(|part| visit(part, look)),
        _ => {}
    }
}

/// Tries the alternatives one after the other, those of the shortest choice first.
fn contradicts(parts: Vec<Formula<'_>>, budget: &mut usize) -> bool {
    let (mut leaves, mut choices) = (Vec::new(), Vec::new());
    let mut rest = parts;
    while let Some(part) = rest.pop() {
        match part {
            Formula::Leaf(test, holds) => leaves.push((test, holds)),
            Formula::All(parts) => rest.extend(parts),
            Formula::Any(parts) => choices.push(parts),
        }
    }
    let cost = 1 + leaves.len() + choices.len();
    if *budget < cost {
        *budget = 0;
        return false;
    }
    *budget -= cost;
    if clash(&leaves) {
        return true;
    }
    let Some(shortest) = (0..choices.len()).min_by_key(|at| choices[*at].len()) else { return false };
    let choice = choices.swap_remove(shortest);
    choice.into_iter().all(|one| {
        let known = leaves.iter().map(|(test, holds)| Formula::Leaf(test, *holds));
        let others = choices.iter().cloned().map(Formula::Any);
        contradicts(known.chain([one]).chain(others).collect(), budget)
    })
}

type Leaf<'a> = (&'a Test, bool);
/// A value, and which of two bounds at it is the narrower.
type Bound = (ValueKey, bool);

/// Whether leaves contradict each other.
fn clash(leaves: &[Leaf<'_>]) -> bool {
    let mut said = leaves.to_vec();
    said.sort_unstable();
    said.dedup();
    if said.iter().any(|(test, holds)| *holds && said.binary_search(&(*test, false)).is_ok()) {
        return true;
    }
    let mut by_column: BTreeMap<usize, Vec<Leaf<'_>>> = BTreeMap::new();
    for leaf in said {
        for column in columns(leaf.0) {
            by_column.entry(column).or_default().push(leaf);
        }
    }
    by_column.iter().any(|(column, leaves)| clash_of_column(*column, leaves))
}

fn clash_of_column(column: usize, leaves: &[Leaf<'_>]) -> bool {
    let there = leaves.iter().any(|(_, holds)| *holds);
    if !there {
        return false;
    }
    // Every leaf is false on a null, so that one which holds says that there is a value.
    if leaves.contains(&(&Test::Has(column), false)) {
        return true;
    }
    let (lowered, plain): (Vec<Leaf<'_>>, Vec<Leaf<'_>>) =
        leaves.iter().copied().partition(|(test, _)| matches!(test, Test::Text(field, _) if field.lower));
    let all: Vec<Leaf<'_>> = leaves.to_vec();
    without_value(&plain, &all)
        || without_value(&lowered, &lowered)
        || empty_range(&plain)
        || two_ends(&plain)
}

/// Whether none of the values that some leaf lists meets the others.
fn without_value(lists: &[Leaf<'_>], others: &[Leaf<'_>]) -> bool {
    let candidates = lists.iter().find_map(|(test, holds)| match (test, holds) {
        (Test::Equal(_, value), true) => Some(vec![value.clone()]),
        (Test::OneOf(_, values), true) => Some(values.to_vec()),
        (Test::Text(_, TextTest::Equal(text)), true) => Some(vec![ValueKey::String(text.clone())]),
        (Test::Text(_, TextTest::OneOf(texts)), true) => {
            Some(texts.iter().map(|text| ValueKey::String(text.clone())).collect())
        }
        _ => None,
    });
    let is_bool = lists.iter().any(|(test, _)| matches!(test, Test::Equal(_, ValueKey::Bool(_))));
    let candidates = match candidates {
        None if is_bool => vec![ValueKey::Bool(false), ValueKey::Bool(true)],
        None => return false,
        Some(found) => found,
    };
    !candidates
        .iter()
        .any(|value| others.iter().all(|(test, holds)| meets(value, test).is_none_or(|m| m == *holds)))
}

/// Whether a value meets a leaf about its column alone; `None`: it depends on more.
fn meets(value: &ValueKey, test: &Test) -> Option<bool> {
    Some(match (test, value) {
        (Test::Has(_), _) => true,
        (Test::Equal(_, other), _) => other == value,
        (Test::OneOf(_, others), _) => others.contains(value),
        (Test::Order(_, order, other), _) => order.holds(value.cmp(other)),
        (Test::InCidr(_, network), ValueKey::Ip(address)) => network.contains(*address),
        (Test::Text(field, test), ValueKey::String(text)) => test.holds(text.as_bytes(), field.lower),
        _ => return None,
    })
}

/// Whether bounds leave no value between them. A value is there.
fn empty_range(leaves: &[Leaf<'_>]) -> bool {
    let (mut least, mut most): (Option<Bound>, Option<Bound>) = (None, None);
    for (test, holds) in leaves {
        let (order, value) = match test {
            Test::Order(_, order, value) => (*order, value.clone()),
            Test::Text(_, TextTest::Order(order, text)) => (*order, ValueKey::String(text.clone())),
            _ => continue,
        };
        // `!(f < 5)` of a value that is there is `f >= 5`.
        let order = if *holds { order } else { opposite(order) };
        // (value, strict): the greater lower bound, the smaller upper bound; strict is narrower.
        match order {
            Order::Greater | Order::GreaterEqual => {
                let new = (value, order == Order::Greater);
                least = Some(least.map_or(new.clone(), |old| old.max(new)));
            }
            Order::Less | Order::LessEqual => {
                let new = (value, order == Order::LessEqual);
                most = Some(most.map_or(new.clone(), |old| old.min(new)));
            }
        }
    }
    match (least, most) {
        (Some((low, low_strict)), Some((high, high_inclusive))) => {
            low > high || low == high && (low_strict || !high_inclusive)
        }
        _ => false,
    }
}

fn opposite(order: Order) -> Order {
    match order {
        Order::Less => Order::GreaterEqual,
        Order::LessEqual => Order::Greater,
        Order::Greater => Order::LessEqual,
        Order::GreaterEqual => Order::Less,
    }
}

/// Whether two beginnings, or two ends, exclude each other.
fn two_ends(leaves: &[Leaf<'_>]) -> bool {
    let ends = |of: fn(&TextTest) -> Option<&str>| -> Vec<&str> {
        let found = leaves.iter().filter_map(|(test, holds)| match (test, holds) {
            (Test::Text(_, test), true) => of(test),
            _ => None,
        });
        found.collect()
    };
    let starts = ends(|test| if let TextTest::StartsWith(text) = test { Some(text) } else { None });
    let tails = ends(|test| if let TextTest::EndsWith(text) = test { Some(text) } else { None });
    let clash = |all: &[&str], fit: fn(&str, &str) -> bool| {
        all.iter()
            .enumerate()
            .any(|(at, one)| all[at + 1..].iter().any(|other| !fit(one, other) && !fit(other, one)))
    };
    clash(&starts, |one, other| one.starts_with(other)) || clash(&tails, |one, other| one.ends_with(other))
}
