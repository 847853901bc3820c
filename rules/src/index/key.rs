//! What a record must show for a condition to hold: a set of keys of which at least one is needed.
//!
//! Refuses to know: records.

use std::collections::HashMap;

use record::ValueKey;

use crate::condition::test::{Field, Test, TextTest};

/// Something a record can be looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// The text of a column.
    Text(Field, Box<str>),
    /// The typed value of a column.
    Value(usize, ValueKey),
    /// A word within the text of a column.
    Keyword(Field, Box<str>),
}

/// What it costs to look a column up in an automaton, in conditions evaluated in vain.
const KEYWORD_COST: usize = 50;
/// A bool halves the records at best.
const BOOL_COST: usize = 30;

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
                for key in leaf_keys(leaf).unwrap_or_default() {
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
        Key::Text(..) | Key::Value(..) => 0,
    }
}

/// The keys of a test without parts; `None` when it has none.
fn leaf_keys(test: &Test) -> Option<Vec<Key>> {
    match test {
        Test::Const(false) => Some(Vec::new()),
        Test::Equal(column, value) => Some(vec![Key::Value(*column, value.clone())]),
        Test::OneOf(column, values) => {
            Some(values.iter().map(|value| Key::Value(*column, value.clone())).collect())
        }
        Test::Text(field, TextTest::Equal(text)) => Some(vec![Key::Text(*field, text.clone())]),
        Test::Text(field, TextTest::OneOf(texts)) => {
            Some(texts.iter().map(|text| Key::Text(*field, text.clone())).collect())
        }
        Test::Text(field, TextTest::Contains(keyword)) => {
            Some(vec![Key::Keyword(*field, keyword.word().into())])
        }
        Test::Text(field, TextTest::StartsWith(word) | TextTest::EndsWith(word)) => {
            Some(vec![Key::Keyword(*field, word.clone())])
        }
        _ => None,
    }
}

/// The cheapest keys of a condition; `None` when a record can meet it without showing any key.
pub(super) fn choose(test: &Test, popularity: &Popularity) -> Option<Vec<Key>> {
    match test {
        Test::All(parts) => {
            parts.iter().filter_map(|part| choose(part, popularity)).min_by_key(|keys| popularity.cost(keys))
        }
        Test::Any(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(choose(part, popularity)?);
            }
            all.sort();
            all.dedup();
            Some(all)
        }
        leaf => leaf_keys(leaf),
    }
}

/// The conditions to evaluate for each key.
#[derive(Debug, Default)]
pub(super) struct Postings {
    pub(super) roots: HashMap<Key, Vec<u32>>,
}

impl Postings {
    /// A condition is to be evaluated when a record shows the key.
    pub(super) fn add(&mut self, key: Key, root: u32) {
        self.roots.entry(key).or_default().push(root);
    }
}
