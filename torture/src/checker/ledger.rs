//! I7: at rest every input's counts add up.
//!
//! Refuses to know: what was sent.

use std::collections::BTreeSet;

use super::Violations;
use crate::node::sum;

/// received = stored + joined + rejected + duplicate + dropped, for every input of an exposition taken at rest.
pub fn ledger(exposition: &str, violations: &mut Violations) {
    let inputs: BTreeSet<&str> = exposition
        .lines()
        .filter(|line| line.starts_with("watchroom_input_frames_received_total{"))
        .filter_map(|line| line.split("input=\"").nth(1)?.split('"').next())
        .collect();
    for input in inputs {
        let label = format!("input=\"{input}\"");
        let count = |name: &str| sum(exposition, &format!("watchroom_input_{name}"), &label);
        let received = count("frames_received_total");
        let parts = [
            ("stored", count("frames_stored_total")),
            ("joined", count("joined_total")),
            ("rejected", count("rejected_total")),
            ("duplicate", count("duplicate_total")),
            ("dropped", count("dropped_total")),
            ("in flight", count("in_flight_frames")),
        ];
        let accounted: u64 = parts.iter().map(|(_, count)| count).sum();
        if received != accounted || parts[5].1 != 0 {
            violations.add("I7", format!("{input}: received {received}, accounted {accounted}: {parts:?}"));
        }
    }
}
