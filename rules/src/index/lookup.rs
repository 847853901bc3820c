//! From the columns of a record to the conditions that may hold for it.
//!
//! Each column that some key names is looked at once a record. Nothing is allocated.

use std::collections::BTreeMap;
use std::hash::Hash;

use aho_corasick::AhoCorasick;
use hashbrown::HashMap;
use record::{Decimal, RecordRef, Value, ValueKey};

use super::key::{Key, Postings};
use crate::condition::test::Field;
use crate::condition::text::{has_capitals, lower_into};

/// Conditions by what a record shows.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    texts: Vec<TextColumn>,
    values: Vec<(usize, Table<ValueKey>)>,
    /// Lower case of the text at hand.
    lowered: String,
}

/// Keys on one text column.
#[derive(Debug)]
struct TextColumn {
    field: Field,
    equal: Table<Box<[u8]>>,
    keywords: Option<Keywords>,
}

/// The words looked for in one column, in one automaton.
#[derive(Debug)]
struct Keywords {
    automaton: AhoCorasick,
    /// Conditions by word.
    roots: Vec<Vec<u32>>,
}

/// Conditions by value: ranges into one list.
#[derive(Debug)]
struct Table<K> {
    ranges: HashMap<K, (u32, u32), foldhash::fast::FixedState>,
    roots: Vec<u32>,
}

impl<K: Eq + Hash> Table<K> {
    fn new(entries: Vec<(K, Vec<u32>)>) -> Self {
        let mut ranges =
            HashMap::with_capacity_and_hasher(entries.len(), foldhash::fast::FixedState::default());
        let mut roots = Vec::new();
        let end = |roots: &Vec<u32>| u32::try_from(roots.len()).unwrap_or(u32::MAX);
        for (key, list) in entries {
            let start = end(&roots);
            roots.extend(list);
            ranges.insert(key, (start, end(&roots)));
        }
        Self { ranges, roots }
    }

    fn range(&self, range: Option<&(u32, u32)>) -> &[u32] {
        range.map_or(&[], |(start, end)| &self.roots[*start as usize..*end as usize])
    }
}

/// A word and the conditions it leads to.
type Posting<K> = (K, Vec<u32>);

impl Lookup {
    pub(super) fn new(postings: Postings) -> Self {
        type Texts = (Vec<Posting<Box<[u8]>>>, Vec<Posting<Box<str>>>);
        let mut texts: BTreeMap<Field, Texts> = BTreeMap::new();
        let mut values: BTreeMap<usize, Vec<Posting<ValueKey>>> = BTreeMap::new();
        let mut sorted: Vec<_> = postings.roots.into_iter().collect();
        sorted.sort();
        for (key, roots) in sorted {
            match key {
                Key::Text(field, text) => {
                    texts.entry(field).or_default().0.push((text.into_boxed_bytes(), roots));
                }
                Key::Keyword(field, word) => texts.entry(field).or_default().1.push((word, roots)),
                Key::Value(column, value) => values.entry(column).or_default().push((value, roots)),
            }
        }
        Self {
            texts: texts
                .into_iter()
                .map(|(field, (equal, words))| TextColumn {
                    field,
                    equal: Table::new(equal),
                    keywords: Keywords::new(words),
                })
                .collect(),
            values: values.into_iter().map(|(column, entries)| (column, Table::new(entries))).collect(),
            lowered: String::new(),
        }
    }

    /// Appends the conditions that the record's values lead to; a condition may appear several times.
    pub(super) fn candidates(&mut self, record: &RecordRef<'_>, out: &mut Vec<u32>) {
        for column in &self.texts {
            let Some(text) = record.raw(column.field.column) else { continue };
            if column.field.lower && has_capitals(text) {
                self.lowered.clear();
                lower_into(std::str::from_utf8(text).unwrap_or_default(), &mut self.lowered);
                column.candidates(self.lowered.as_bytes(), out);
            } else {
                column.candidates(text, out);
            }
        }
        for (column, table) in &self.values {
            if let Some(value) = record.value(*column).and_then(key_of) {
                out.extend_from_slice(table.range(table.ranges.get(&value)));
            }
        }
    }
}

impl TextColumn {
    fn candidates(&self, text: &[u8], out: &mut Vec<u32>) {
        if !self.equal.roots.is_empty() {
            out.extend_from_slice(self.equal.range(self.equal.ranges.get(text)));
        }
        if let Some(keywords) = &self.keywords {
            for found in keywords.automaton.find_overlapping_iter(text) {
                out.extend_from_slice(&keywords.roots[found.pattern().as_usize()]);
            }
        }
    }
}

impl Keywords {
    /// `None` when there are no words.
    fn new(words: Vec<Posting<Box<str>>>) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        let automaton = AhoCorasick::new(words.iter().map(|(word, _)| word.as_bytes()))
            .expect("an automaton of words that fit a rule file has fewer than 2^31 states");
        Some(Self { automaton, roots: words.into_iter().map(|(_, roots)| roots).collect() })
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
