//! What rules mean, case by case.

mod calendars;
mod composite;
mod composite_reasons;
mod conditions;
mod explain;
mod keys_bound;
mod live;
mod live_naive;
mod merge;
mod naive;
mod reference;
mod reloads;
mod rule_files;
#[path = "../../src/index/sample.rs"]
mod sample;
mod snapshots;
mod streams;
mod support;
mod things;
mod things_edges;
mod things_naive;
mod thresholds;
