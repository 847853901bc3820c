//! What a record must show for a condition to hold: a set of keys of which at least one is needed.
//!
//! Refuses to know: records.

use std::collections::HashMap;

use record::{Decimal, ValueKey};

use super::bounds::Bound;
use crate::condition::test::{Field, Order, Test, TextTest};

/// Something a record can be looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// The text of a column.
    Text(Field, Box<str>),
    /// The typed value of a column.
    Value(usize, ValueKey),
    /// A word within the text of a column.
    Keyword(Field, Box<str>),
    /// The number of a column stands so to this one.
    Beyond(usize, Order, Decimal),
}

/// What it costs to look a column up in an automaton, in conditions evaluated in vain.
const KEYWORD_COST: usize = 50;
/// A bool halves the records at best.
const BOOL_COST: usize = 30;
/// Of a bound nothing is known, and most numbers may lie beyond it: any other key is better.
const BOUND_COST: usize = 1_000_000;

/// How many conditions mention each key.
#[derive(Debug, Default)]
pub(super) struct Popularity {
    counts: HashMap<Key, usize>,
}

impl Popularity {
    /// Counts the keys that a condition could be found by.
    pub(super) fn count(&mut self, test: &Test) {
        match test {
            Test::All(parts) | Test::Any(parts) => parts.iter().for_each(|part| self.count(part)),
            leaf => {
                for key in leaf_keys(leaf).map(|keys| keys.any_of).unwrap_or_default() {
                    *self.counts.entry(key).or_default() += 1;
                }
            }
        }
    }

    /// How many conditions would be evaluated, at most, when these keys are shown.
    fn cost(&self, keys: &[Key]) -> usize {
        keys.iter().map(|key| self.counts.get(key).copied().unwrap_or_default() + base_cost(key)).sum()
    }
}

fn base_cost(key: &Key) -> usize {
    match key {
        Key::Keyword(..) => KEYWORD_COST,
        Key::Value(_, ValueKey::Bool(_)) => BOOL_COST,
        Key::Beyond(..) => BOUND_COST,
        Key::Text(..) | Key::Value(..) => 0,
    }
}

/// How a condition is found: the keys of which a record must show one, and what is left to ask when it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) any_of: Vec<Key>,
    /// Together with any of the keys the same as the condition.
    pub(super) rest: Test,
}

impl Keys {
    fn enough(any_of: Vec<Key>) -> Option<Self> {
        Some(Self { any_of, rest: Test::Const(true) })
    }

    /// Whether a record shows one of the keys at most.
    pub(super) fn is_exclusive(&self) -> bool {
        if let [Key::Beyond(..)] = *self.any_of {
            return true;
        }
        let column = |key: &Key| match key {
            Key::Text(field, _) => Some((*field, true)),
            Key::Value(column, _) => Some((Field { column: *column, lower: false }, false)),
            Key::Keyword(..) | Key::Beyond(..) => None,
        };
        let mut columns = self.any_of.iter().map(column);
        let first = columns.next().flatten();
        first.is_some() && columns.all(|column| column == first)
    }
}

impl Keys {
    /// Takes a comparison of a number out of what is left to ask: the keys then lead there in the order of bounds, and a
    /// number that does not meet it costs nothing. `None` where the keys are bounds themselves.
    pub(super) fn take_bound(&mut self) -> Option<Bound> {
        if self.any_of.iter().any(|key| matches!(key, Key::Beyond(..))) {
            return None;
        }
        let bound = |test: &Test| match *test {
            Test::Order(column, order, ValueKey::Decimal(bound)) => Some(Bound { column, order, bound }),
            _ => None,
        };
        if let Test::All(parts) = &self.rest {
            let (at, found) = parts.iter().enumerate().find_map(|(at, part)| Some((at, bound(part)?)))?;
            let mut rest = parts.to_vec();
            rest.remove(at);
            self.rest = Test::all(rest);
            return Some(found);
        }
        let found = bound(&self.rest)?;
        self.rest = Test::Const(true);
        Some(found)
    }
}

/// The keys of a test without parts; `None` when it has none.
fn leaf_keys(test: &Test) -> Option<Keys> {
    match test {
        Test::Const(false) => Keys::enough(Vec::new()),
        Test::Equal(column, value) => Keys::enough(vec![Key::Value(*column, value.clone())]),
        Test::OneOf(column, values) => {
            Keys::enough(values.iter().map(|value| Key::Value(*column, value.clone())).collect())
        }
        Test::Order(column, order, ValueKey::Decimal(bound)) => {
            Keys::enough(vec![Key::Beyond(*column, *order, *bound)])
        }
        Test::Text(field, TextTest::Equal(text)) => Keys::enough(vec![Key::Text(*field, text.clone())]),
        Test::Text(field, TextTest::OneOf(texts)) => {
            Keys::enough(texts.iter().map(|text| Key::Text(*field, text.clone())).collect())
        }
        Test::Text(field, TextTest::Contains(keyword)) => {
            Keys::enough(vec![Key::Keyword(*field, keyword.word().into())])
        }
        Test::Text(field, TextTest::StartsWith(word) | TextTest::EndsWith(word)) => {
            Some(Keys { any_of: vec![Key::Keyword(*field, word.clone())], rest: test.clone() })
        }
        Test::Text(field, TextTest::Matches(pattern)) => {
            let words = pattern.needed_words()?;
            let any_of = words.into_iter().map(|word| Key::Keyword(*field, word)).collect();
            Some(Keys { any_of, rest: test.clone() })
        }
        _ => None,
    }
}

/// The cheapest keys of a condition; `None` when a record can meet it without showing any key.
pub(super) fn choose(test: &Test, popularity: &Popularity) -> Option<Keys> {
    match test {
        Test::All(parts) => {
            let chosen =
                parts.iter().enumerate().filter_map(|(at, part)| Some((at, choose(part, popularity)?)));
            let (at, keys) = chosen.min_by_key(|(_, keys)| popularity.cost(&keys.any_of))?;
            let mut rest = parts.to_vec();
            rest[at] = keys.rest;
            Some(Keys { any_of: keys.any_of, rest: Test::all(rest) })
        }
        Test::Any(parts) => {
            let (mut any_of, mut enough) = (Vec::new(), true);
            for part in parts {
                let keys = choose(part, popularity)?;
                any_of.extend(keys.any_of);
                enough &= keys.rest == Test::Const(true);
            }
            any_of.sort();
            any_of.dedup();
            Some(Keys { any_of, rest: if enough { Test::Const(true) } else { test.clone() } })
        }
        leaf => leaf_keys(leaf),
    }
}
