//! Which rule has something to do at which clock: time passes without a look at the rules for which it changes nothing.
//!
//! What was queued may be stale (the rule has less to do by now): it is found so when it is reached, never searched for.
//! Refuses to know: what is to be done.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use record::InstantMs;

/// The deadlines of all rules. Those of [`InstantMs::MAX`] never come.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BinaryHeap<Reverse<(InstantMs, u32)>>,
    /// The earliest place of each rule in the queue: not after its deadline.
    queued: Vec<InstantMs>,
}

impl Deadlines {
    /// Of all rules in their order.
    pub(super) fn of(deadlines: impl Iterator<Item = InstantMs>) -> Self {
        let mut all = Self::default();
        for (rule, at) in (0u32..).zip(deadlines) {
            all.queued.push(InstantMs::MAX);
            all.set(rule, at);
        }
        all
    }

    /// The deadline of a rule may have changed. Must be called wherever it may have come nearer.
    pub(super) fn set(&mut self, rule: u32, at: InstantMs) {
        let queued = &mut self.queued[rule as usize];
        if at < *queued {
            *queued = at;
            self.queue.push(Reverse((at, rule)));
        }
    }

    /// Below this clock no rule has anything to do.
    pub(super) fn first(&self) -> InstantMs {
        self.queue.peek().map_or(InstantMs::MAX, |Reverse((at, _))| *at)
    }

    /// Replaces `due` by the rules whose deadline may have come, in their order. Of each [`Deadlines::set`] must follow.
    pub(super) fn take(&mut self, until: InstantMs, due: &mut Vec<u32>) {
        due.clear();
        while self.first() <= until {
            let Some(Reverse((at, rule))) = self.queue.pop() else { break };
            let queued = &mut self.queued[rule as usize];
            if *queued == at {
                *queued = InstantMs::MAX;
                due.push(rule);
            }
        }
        due.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As looking at every rule: all that are due are found, in their order, each once, whatever is stale.
        #[test]
        fn finds_what_looking_at_each_finds(
            start in proptest::collection::vec(0i64..50, 1..9),
            steps in proptest::collection::vec((any::<bool>(), 0usize..9, 0i64..80), 0..200),
        ) {
            let mut model = start;
            let mut held = Deadlines::of(model.iter().copied());
            let (mut now, mut due) = (0, Vec::new());
            for (pass, rule, number) in steps {
                if pass {
                    now = now.max(number);
                    held.take(now, &mut due);
                    let late = |rule: &u32| model[*rule as usize] <= now;
                    let expect: Vec<u32> = (0u32..).take(model.len()).filter(late).collect();
                    let found: Vec<u32> = due.iter().copied().filter(late).collect();
                    prop_assert_eq!(&found, &expect);
                    for rule in &due {
                        if model[*rule as usize] <= now {
                            model[*rule as usize] = if number % 3 == 0 { InstantMs::MAX } else { now + number };
                        }
                        held.set(*rule, model[*rule as usize]);
                    }
                } else {
                    let rule = rule % model.len();
                    model[rule] = number;
                    held.set(rule as u32, number);
                }
                prop_assert!(held.first() <= model.iter().copied().min().unwrap_or(InstantMs::MAX));
            }
        }
    }
}
