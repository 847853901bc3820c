//! What rules mean, case by case.

mod conditions;
mod rule_files;
#[path = "../../src/index/sample.rs"]
mod sample;
