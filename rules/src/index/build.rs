//! Builds the index of one format: equal conditions become one, each is filed under its keys.

use std::collections::HashMap;

use super::key::{Keys, Popularity, choose};
use super::lookup::Lookup;
use super::numbers::Numbers;
use super::posting::{Action, Posting, Postings};
use super::share::Shared;
use super::{FormatIndex, Hit, Root};
use crate::condition::Condition;
use crate::condition::test::Test;

/// The conditions of one format.
#[derive(Debug, Default)]
pub(super) struct Builder {
    positions: HashMap<Test, usize>,
    /// Distinct conditions with the hits they cause.
    conditions: Vec<(Test, Vec<Hit>)>,
}

impl Builder {
    /// A condition that causes a hit.
    pub(super) fn add(&mut self, condition: &Condition, hit: Hit) {
        let test = condition.test();
        if let Some(known) = self.positions.get(test) {
            self.conditions[*known].1.push(hit);
        } else {
            self.positions.insert(test.clone(), self.conditions.len());
            self.conditions.push((test.clone(), vec![hit]));
        }
    }

    /// Chooses the keys of every condition, now that all are known.
    pub(super) fn finish(self) -> FormatIndex {
        let mut popularity = Popularity::default();
        self.conditions.iter().for_each(|(test, _)| popularity.count(test));
        let (mut shared, mut numbers) = (Shared::default(), Numbers::default());
        let mut postings = Postings::default();
        let mut index = FormatIndex::default();
        self.conditions.iter().for_each(|(test, _)| test.columns(&mut index.columns));
        index.columns.sort_unstable();
        index.columns.dedup();
        for (position, (test, hits)) in (0_u32..).zip(self.conditions) {
            let mut keys = choose(&test, &popularity);
            let bound = keys.as_mut().and_then(Keys::take_bound);
            let rest = keys.as_ref().map_or(&test, |keys| &keys.rest);
            let action = match rest {
                Test::Const(true) => Action::Holds(position),
                _ => Action::Evaluate(position),
            };
            index.roots.push(root(shared.intern(rest, &mut numbers), &hits, &mut index.more));
            match (keys, hits.as_slice()) {
                (None, _) => index.always.push(Posting::new(action)),
                (Some(keys), [only]) if keys.rest == Test::Const(true) && keys.is_exclusive() => {
                    postings.add(keys.any_of, bound, Posting::of_hit(*only));
                }
                (Some(keys), _) => postings.add(keys.any_of, bound, Posting::new(action)),
            }
        }
        shared.seal();
        index.lookup = Lookup::new(postings, &mut numbers);
        (index.shared, index.numbers) = (shared, numbers);
        index
    }
}

fn root(node: u32, hits: &[Hit], lists: &mut Vec<Box<[Hit]>>) -> Root {
    let (first, more) = hits.split_first().expect("a condition is added with its hit");
    if !more.is_empty() {
        lists.push(more.into());
    }
    let list = if more.is_empty() { 0 } else { u32::try_from(lists.len()).unwrap_or(u32::MAX) };
    Root { node, seen: 0, first: *first, more: list }
}
