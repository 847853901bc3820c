//! The parts of all conditions, each distinct one once; what was found of a part is kept while a record is looked at.
//!
//! Refuses to know: rules.

use std::collections::HashMap;

use record::{Decimal, RecordRef, ValueKey};

use super::numbers::Numbers;
use crate::condition::test::{Order, Test};

/// All distinct parts of the conditions of one format.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    nodes: Vec<Node>,
    /// What is known of each node: number of the record it was found for, times two, plus whether it holds.
    found: Vec<u32>,
    /// Number of the record at hand, from 1.
    record: u32,
    /// While building only.
    ids: HashMap<Test, u32>,
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(Test),
    /// A number's place in [`Numbers`], and how it must stand to a bound.
    Number(usize, Order, Decimal),
    Not(u32),
    All(Box<[u32]>),
    Any(Box<[u32]>),
}

impl Shared {
    /// The node of a test; equal tests have one node.
    pub(super) fn intern(&mut self, test: &Test, numbers: &mut Numbers) -> u32 {
        if let Some(known) = self.ids.get(test) {
            return *known;
        }
        let node = match test {
            Test::Not(inner) => Node::Not(self.intern(inner, numbers)),
            Test::All(parts) => Node::All(parts.iter().map(|part| self.intern(part, numbers)).collect()),
            Test::Any(parts) => Node::Any(parts.iter().map(|part| self.intern(part, numbers)).collect()),
            Test::Order(column, order, ValueKey::Decimal(bound)) => {
                Node::Number(numbers.place(*column), *order, *bound)
            }
            leaf => Node::Leaf(leaf.clone()),
        };
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(node);
        self.ids.insert(test.clone(), id);
        id
    }

    /// No more tests will come.
    pub(super) fn seal(&mut self) {
        self.ids = HashMap::new();
        self.found = vec![0; self.nodes.len()];
    }

    /// Forgets what was found: another record follows. Returns its number, never 0; numbers begin anew after
    /// 2^31 records, and then `true` stands beside it.
    pub(super) fn next_record(&mut self) -> (u32, bool) {
        let anew = self.record == u32::MAX / 2;
        if anew {
            self.found.fill(0);
            self.record = 0;
        }
        self.record += 1;
        (self.record, anew)
    }

    /// How many distinct parts there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// As if nearly all record numbers were used.
    #[cfg(test)]
    pub(super) fn skip_to_end(&mut self) {
        self.record = u32::MAX / 2 - 2;
    }

    /// Whether the test at `node` holds for the record at hand.
    pub(super) fn holds(&mut self, node: u32, record: &RecordRef<'_>, numbers: &mut Numbers) -> bool {
        let Self { nodes, found, record: number, .. } = self;
        holds(nodes, &mut Known { found, numbers }, *number, node, record)
    }
}

/// What is known of the record at hand.
struct Known<'a> {
    found: &'a mut [u32],
    numbers: &'a mut Numbers,
}

/// Recursion is as deep as conditions nest, which their grammar bounds.
fn holds(nodes: &[Node], known: &mut Known<'_>, number: u32, node: u32, record: &RecordRef<'_>) -> bool {
    let before = known.found[node as usize];
    if before >> 1 == number {
        return before & 1 == 1;
    }
    let holds = match &nodes[node as usize] {
        Node::Leaf(test) => test.holds(record),
        Node::Number(place, order, bound) => {
            known.numbers.get(*place, record).is_some_and(|value| order.holds(value.cmp(bound)))
        }
        Node::Not(inner) => !holds(nodes, known, number, *inner, record),
        Node::All(parts) => parts.iter().all(|part| holds(nodes, known, number, *part, record)),
        Node::Any(parts) => parts.iter().any(|part| holds(nodes, known, number, *part, record)),
    };
    known.found[node as usize] = number << 1 | u32::from(holds);
    holds
}
