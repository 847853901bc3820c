//! Conditions that need a number beyond a bound, in the order of their bounds: those that a number meets stand first, so
//! that the others are not looked at.
//!
//! Refuses to know: columns, records.

use record::Decimal;

use super::posting::Posting;
use crate::condition::test::Order;

/// A comparison of a number: its column, how it must stand to the bound, and the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) column: usize,
    pub(super) order: Order,
    pub(super) bound: Decimal,
}

/// What the bounds on one number lead to.
#[derive(Debug, Clone, Default)]
pub(super) struct Bounds {
    /// Upper bounds (`<`, `<=`), the greatest first, then lower ones (`>`, `>=`), the least first.
    by_order: [Vec<(Decimal, Posting)>; 4],
}

const ORDERS: [Order; 4] = [Order::Less, Order::LessEqual, Order::Greater, Order::GreaterEqual];

impl Bounds {
    /// A number that stands so to the bound leads to the posting. [`Bounds::sort`] must follow.
    pub(super) fn add(&mut self, order: Order, bound: Decimal, posting: Posting) {
        let at = ORDERS.iter().position(|known| *known == order).expect("every order is listed");
        self.by_order[at].push((bound, posting));
    }

    /// No more will come.
    pub(super) fn sort(&mut self) {
        for (order, bounds) in ORDERS.iter().zip(&mut self.by_order) {
            bounds.sort_by_key(|(bound, _)| *bound);
            if matches!(order, Order::Less | Order::LessEqual) {
                bounds.reverse();
            }
            bounds.shrink_to_fit();
        }
    }

    /// Appends what a number leads to.
    pub(super) fn find(&self, number: Decimal, out: &mut Vec<Posting>) {
        for (order, bounds) in ORDERS.iter().zip(&self.by_order) {
            let met = bounds.iter().take_while(|(bound, _)| order.holds(number.cmp(bound)));
            out.extend(met.map(|(_, posting)| *posting));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::posting::Action;
    use super::*;

    proptest! {
        #[test]
        fn finds_what_asking_each_finds(
            bounds in prop::collection::vec((0usize..4, -5i64..5, 0u32..2), 0..20),
            numbers in prop::collection::vec((-60i64..60, 0u32..2), 1..10),
        ) {
            let mut held = Bounds::default();
            let bounds: Vec<(Order, Decimal)> =
                bounds.into_iter().map(|(at, n, scale)| (ORDERS[at], Decimal::new(n, scale))).collect();
            for (rule, (order, bound)) in (0u32..).zip(&bounds) {
                held.add(*order, *bound, Posting::new(Action::Matched(rule)));
            }
            held.sort();
            for (n, scale) in numbers {
                let number = Decimal::new(n, scale);
                let mut found = Vec::new();
                held.find(number, &mut found);
                let mut found: Vec<Action> = found.into_iter().map(Posting::action).collect();
                found.sort_by_key(|action| if let Action::Matched(rule) = action { *rule } else { u32::MAX });
                let meets = |(_, (order, bound)): &(u32, &(Order, Decimal))| order.holds(number.cmp(bound));
                let expect: Vec<Action> =
                    (0u32..).zip(&bounds).filter(meets).map(|(rule, _)| Action::Matched(rule)).collect();
                prop_assert_eq!(found, expect);
            }
        }
    }
}
