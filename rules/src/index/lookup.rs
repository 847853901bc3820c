//! From the columns of a record to the conditions that may hold for it.
//!
//! Each column that some key names is looked at once a record. Nothing is allocated.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use record::{Decimal, RecordRef, Value, ValueKey};

use super::bounds::{Bound, Bounds};
use super::key::Key;
use super::numbers::Numbers;
use super::posting::{Bounded, Posting, Postings};
use super::table::{List, Lists, Table, TextTable, by_place};
use crate::condition::test::Field;
use crate::condition::text::{has_capitals, lower_into};

/// Most memory for the fast form of an automaton; beyond it a compact one is used.
const MAX_DFA_BYTES: usize = 16 * 1024 * 1024;

/// Conditions by what a record shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Lookup {
    texts: Vec<TextColumn>,
    values: Vec<(usize, Table<ValueKey>)>,
    /// Bounds by the places of their numbers.
    bounds: Vec<(usize, Bounds)>,
    /// Lower case of the text at hand.
    lowered: String,
}

/// Keys on one text column.
#[derive(Debug, Clone)]
struct TextColumn {
    field: Field,
    equal: TextTable,
    keywords: Option<Keywords>,
}

/// The words looked for in one column, in one automaton.
#[derive(Debug, Clone)]
struct Keywords {
    automaton: AhoCorasick,
    /// Conditions by word.
    by_word: Vec<List>,
    lists: Lists,
}

/// A key of a column and the conditions it leads to.
type Keyed<K> = (K, Vec<Bounded>);

/// The record at hand and what it leads to.
pub(super) struct Shown<'a, 'b> {
    pub(super) record: &'a RecordRef<'b>,
    pub(super) numbers: &'a mut Numbers,
    /// A condition may appear several times.
    pub(super) out: &'a mut Vec<Posting>,
}

impl Lookup {
    pub(super) fn new(postings: Postings, numbers: &mut Numbers) -> Self {
        type Texts = (Vec<Keyed<Box<[u8]>>>, Vec<Keyed<Box<str>>>);
        let mut texts: BTreeMap<Field, Texts> = BTreeMap::new();
        let mut values: BTreeMap<usize, Vec<Keyed<ValueKey>>> = BTreeMap::new();
        let mut bounds: Vec<Bounded> = Vec::new();
        for (key, list) in postings.by_key {
            match key {
                Key::Text(field, text) => {
                    let keyed = (text.into_boxed_bytes(), list);
                    texts.entry(field).or_default().0.push(keyed);
                }
                Key::Keyword(field, word) => texts.entry(field).or_default().1.push((word, list)),
                Key::Value(column, value) => values.entry(column).or_default().push((value, list)),
                Key::Beyond(column, order, bound) => {
                    let bound = Some(Bound { column, order, bound });
                    bounds.extend(list.into_iter().map(|(_, posting)| (bound, posting)));
                }
            }
        }
        let texts = texts.into_iter().map(|(field, (equal, words))| TextColumn {
            field,
            equal: TextTable::new(equal, numbers),
            keywords: Keywords::new(words, numbers),
        });
        let texts = texts.collect();
        let values = values.into_iter().map(|(column, entries)| (column, Table::new(entries, numbers)));
        let values = values.collect();
        Self { texts, values, bounds: by_place(&bounds, numbers), lowered: String::new() }
    }

    /// Appends the conditions that the record's values lead to.
    pub(super) fn candidates(&mut self, shown: &mut Shown<'_, '_>) {
        let record = shown.record;
        for column in &self.texts {
            let Some(text) = record.raw(column.field.column) else { continue };
            if column.field.lower && has_capitals(text) {
                self.lowered.clear();
                lower_into(std::str::from_utf8(text).unwrap_or_default(), &mut self.lowered);
                column.candidates(self.lowered.as_bytes(), shown);
            } else {
                column.candidates(text, shown);
            }
        }
        for (column, table) in &self.values {
            if let Some(value) = record.value(*column).and_then(key_of) {
                table.find(&value, shown);
            }
        }
        for (place, bounds) in &self.bounds {
            if let Some(number) = shown.numbers.get(*place, record) {
                bounds.find(number, shown.out);
            }
        }
    }
}

impl TextColumn {
    fn candidates(&self, text: &[u8], shown: &mut Shown<'_, '_>) {
        if !self.equal.is_empty() {
            self.equal.find(text, shown);
        }
        if let Some(keywords) = &self.keywords {
            for found in keywords.automaton.find_overlapping_iter(text) {
                keywords.lists.append(keywords.by_word[found.pattern().as_usize()], shown);
            }
        }
    }
}

impl Keywords {
    /// `None` when there are no words.
    fn new(mut words: Vec<Keyed<Box<str>>>, numbers: &mut Numbers) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        words.sort_by(|a, b| a.0.cmp(&b.0));
        let bytes = words.iter().flat_map(|(word, _)| word.bytes());
        let mut classes = [false; 256];
        bytes.clone().for_each(|byte| classes[usize::from(byte)] = true);
        let row_bytes = 4 * (classes.iter().filter(|used| **used).count() + 1).next_power_of_two();
        let is_small = bytes.count().saturating_mul(row_bytes) <= MAX_DFA_BYTES;
        let automaton = AhoCorasick::builder()
            .kind(is_small.then_some(AhoCorasickKind::DFA))
            .build(words.iter().map(|(word, _)| word.as_bytes()))
            .expect("an automaton of words that fit a rule file has fewer than 2^31 states");
        let mut lists = Lists::default();
        let by_word = words.iter().map(|(_, postings)| lists.push(postings, numbers)).collect();
        Some(Self { automaton, by_word, lists })
    }
}

/// The value as conditions name it: every number is a decimal.
fn key_of(value: Value<'_>) -> Option<ValueKey> {
    match value {
        Value::String(_) => None,
        Value::Integer(n) => Some(ValueKey::Decimal(Decimal::from(n).normalize())),
        other => Some(other.to_key()),
    }
}
