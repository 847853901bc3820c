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
                for key in leaf_keys(leaf).unwrap_or_default().any_of {
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

/// Keys of which a record must show one for a condition to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) any_of: Vec<Key>,
    /// To show one is enough: the condition needs no evaluation.
    pub(super) enough: bool,
}

impl Keys {
    fn enough(any_of: Vec<Key>) -> Option<Self> {
        Some(Self { any_of, enough: true })
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
        Test::Text(field, TextTest::Equal(text)) => Keys::enough(vec![Key::Text(*field, text.clone())]),
        Test::Text(field, TextTest::OneOf(texts)) => {
            Keys::enough(texts.iter().map(|text| Key::Text(*field, text.clone())).collect())
        }
        Test::Text(field, TextTest::Contains(keyword)) => {
            Keys::enough(vec![Key::Keyword(*field, keyword.word().into())])
        }
        Test::Text(field, TextTest::StartsWith(word) | TextTest::EndsWith(word)) => {
            Some(Keys { any_of: vec![Key::Keyword(*field, word.clone())], enough: false })
        }
        _ => None,
    }
}

/// The cheapest keys of a condition; `None` when a record can meet it without showing any key.
pub(super) fn choose(test: &Test, popularity: &Popularity) -> Option<Keys> {
    match test {
        Test::All(parts) => {
            let chosen = parts.iter().filter_map(|part| choose(part, popularity));
            let cheapest = chosen.min_by_key(|keys| popularity.cost(&keys.any_of))?;
            Some(Keys { enough: false, ..cheapest })
        }
        Test::Any(parts) => {
            let mut all = Keys { any_of: Vec::new(), enough: true };
            for part in parts {
                let keys = choose(part, popularity)?;
                all.any_of.extend(keys.any_of);
                all.enough &= keys.enough;
            }
            all.any_of.sort();
            all.any_of.dedup();
            Some(all)
        }
        leaf => leaf_keys(leaf),
    }
}

/// A condition that a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting(u32);

impl Posting {
    /// `enough`: it holds, without evaluation. At most 2^31 conditions.
    pub(super) fn new(root: u32, enough: bool) -> Self {
        Self(root << 1 | u32::from(enough))
    }
    pub(super) fn root(self) -> usize {
        (self.0 >> 1) as usize
    }
    pub(super) fn enough(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The conditions that each key leads to.
#[derive(Debug, Default)]
pub(super) struct Postings {
    pub(super) by_key: HashMap<Key, Vec<Posting>>,
}

impl Postings {
    /// A record that shows one of the keys may meet the condition.
    pub(super) fn add(&mut self, root: u32, keys: Keys) {
        for key in keys.any_of {
            self.by_key.entry(key).or_default().push(Posting::new(root, keys.enough));
        }
    }
}
