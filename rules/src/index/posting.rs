//! What a key leads to, packed into four bytes.

use std::collections::HashMap;

use super::Hit;
use super::bounds::Bound;
use super::key::Key;

/// What to do when a record shows a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// A rule's `where` holds, and no other key leads there.
    Matched(u32),
    /// A rule's `reset` holds, and no other key leads there.
    Reset(u32),
    /// The condition at this position holds; other keys may lead there too.
    Holds(u32),
    /// The rest of the condition at this position is to be evaluated.
    Evaluate(u32),
}

/// A packed [`Action`]. Positions are below 2^30: more rules than any memory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posting(u32);

impl Posting {
    pub(super) fn new(action: Action) -> Self {
        let (tag, position) = match action {
            Action::Matched(rule) => (0, rule),
            Action::Reset(rule) => (1, rule),
            Action::Holds(root) => (2, root),
            Action::Evaluate(root) => (3, root),
        };
        Self(position << 2 | tag)
    }

    /// The posting of a hit that no other key leads to.
    pub(super) fn of_hit(hit: Hit) -> Self {
        Self::new(if hit.reset { Action::Reset(hit.rule) } else { Action::Matched(hit.rule) })
    }

    pub(super) fn action(self) -> Action {
        let position = self.0 >> 2;
        match self.0 & 3 {
            0 => Action::Matched(position),
            1 => Action::Reset(position),
            2 => Action::Holds(position),
            _ => Action::Evaluate(position),
        }
    }
}

/// A posting, and the bound that a number must meet besides.
pub(super) type Bounded = (Option<Bound>, Posting);

/// What each key leads to.
#[derive(Debug, Default)]
pub(super) struct Postings {
    pub(super) by_key: HashMap<Key, Vec<Bounded>>,
}

impl Postings {
    /// Each of the keys leads to the posting, where a number meets the bound besides.
    pub(super) fn add(&mut self, keys: Vec<Key>, bound: Option<Bound>, posting: Posting) {
        for key in keys {
            self.by_key.entry(key).or_default().push((bound, posting));
        }
    }
}
