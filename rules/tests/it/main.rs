//! What rules mean, case by case.

mod conditions;
mod rule_files;
