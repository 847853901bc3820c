//! What rules mean, case by case.

mod conditions;
mod naive;
mod rule_files;
mod sample;
mod streams;
