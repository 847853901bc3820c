//! Counting on several workers, judging in one place.
//!
//! A record is of one worker's share (its node's journal). A [`Worker`] finds in its share what concerns each rule:
//! facts, and how often it found each. What workers know is a [`Partial`]: by rule, fact and worker a number that only
//! grows, and how far each worker's clock has come. Merging takes of each number of each worker the greatest and adds
//! nothing up, so it is commutative, associative and idempotent: partials may come in any order, grouped in any way,
//! again and again, and late. Numbers of different workers are added only where they are used. A record that a worker
//! is given again is known by its position and changes nothing.
//!
//! A [`Coordinator`] knows the workers there are. It takes partials as they come, feeds the facts to an engine (the
//! same that judges records; there is no second one), and lets time pass to where the slowest worker stands. So it
//! settles a bucket when every worker has passed it, and its settled verdicts are those of one engine over all
//! records: a record that was not late to its worker is not late here.
//!
//! What reasons show besides (orders, money, lines) goes beside the facts: the newest 32,768 matches of each rule and the
//! newest 16,384 lines of all. A set of which only the newest stay is merged as well as a number that only grows.
//!
//! What is not the same: early verdicts may show the orders before the last; a record that is late where all are read in one order may be in time here,
//! since every worker's clock is at or behind the one clock of that order. Of `aggregate` each number is a fact of its
//! own, so many different ones take as much room as records do.
//!
//! Refuses to know: networks, stores, who sends what to whom.

mod coordinator;
mod fact;
mod partial;
mod worker;

pub use coordinator::Coordinator;
pub(crate) use fact::{Fact, Shown, ThingFact};
pub use partial::{Partial, PartialError, WorkerName};
pub use worker::Worker;
