//! I2 to I6: the alerts and their deliveries.
//!
//! Refuses to know: the rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::Result;

use super::Violations;
use crate::deliveries;
use crate::model::{self, Episode};
use crate::node::Node;
use crate::receiver::{Receipt, Reply};
use crate::stored::Row;

/// What one receiver was asked, in order.
#[derive(Debug)]
pub struct Told {
    /// Its targets begin so: `duty/webhook`.
    pub target: &'static str,
    /// Requests.
    pub receipts: Vec<Receipt>,
    /// Whether its requests carry labels (mails do not).
    pub labels: bool,
}

/// I2, I3: the alerts people were told about are those of a backtest over the stored records, and an alert has one id.
///
/// # Errors
/// The backtest cannot be run.
pub fn alerts(
    node: &Node,
    folder: &Path,
    rows: &BTreeMap<u64, Row>,
    told: &[Told],
    violations: &mut Violations,
) -> Result<usize> {
    let messages: Vec<&str> = rows.values().map(|row| row.message.as_str()).collect();
    let expected = model::fired(node, folder, &messages)?;
    for receiver in told.iter().filter(|told| told.labels) {
        let firing = receiver.receipts.iter().filter(|r| r.status == "firing" && r.reply.takes());
        let heard: BTreeSet<Episode> = firing.map(|r| (r.labels.clone(), r.starts_at.clone())).collect();
        for missing in expected.difference(&heard) {
            violations.add("I3", format!("{} was not told of {missing:?}", receiver.target));
        }
        for extra in heard.difference(&expected) {
            violations.add("I3", format!("{} was told of {extra:?}, which is no alert", receiver.target));
        }
        ids(receiver, violations);
    }
    Ok(expected.len())
}

/// One delivery id for one alert's news, and the same bytes each time.
fn ids(receiver: &Told, violations: &mut Violations) {
    let mut by_news: HashMap<(&str, &BTreeMap<String, String>, &str), &Receipt> = HashMap::new();
    for receipt in &receiver.receipts {
        let news = (receipt.status.as_str(), &receipt.labels, receipt.starts_at.as_str());
        let first = by_news.entry(news).or_insert(receipt);
        if first.delivery_id != receipt.delivery_id {
            let (a, b) = (&first.delivery_id, &receipt.delivery_id);
            violations.add("I3", format!("{news:?} was told under two ids, {a} and {b}"));
        }
    }
}

/// I4 to I6 over the outbox of a node that is down and what its receivers journaled.
///
/// # Errors
/// The outbox cannot be read.
pub fn deliveries(node: &Node, told: &[Told], violations: &mut Violations) -> Result<usize> {
    let outbox = deliveries::all(node.data())?;
    for (id, delivery) in &outbox {
        if !matches!(delivery.state.as_str(), "sent" | "dead") {
            violations.add("I4", format!("{id} is {} at the end", delivery.state));
        }
    }
    for receiver in told {
        let mut asked: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for receipt in &receiver.receipts {
            let (all, taken) = asked.entry(&receipt.delivery_id).or_default();
            *all += 1;
            *taken += u64::from(receipt.reply.takes());
        }
        for (id, (all, taken)) in &asked {
            let Some(delivery) = outbox.get(*id) else {
                violations.add("I6", format!("{id} was sent and is not in the outbox"));
                continue;
            };
            if *all > delivery.attempts {
                let known = delivery.attempts;
                violations.add("I6", format!("{id} was sent {all} times, {known} attempts are on record"));
            }
            if *taken > 1 + delivery.uncertain {
                let known = delivery.uncertain;
                violations.add("I5", format!("{id} was taken {taken} times with {known} uncertain outcomes"));
            }
        }
        for (id, delivery) in outbox.iter().filter(|(_, d)| d.target.starts_with(receiver.target)) {
            let taken = asked.get(id.as_str()).is_some_and(|(_, taken)| *taken > 0);
            if delivery.state == "sent" && !taken {
                violations.add("I4", format!("{id} is sent, but its receiver never took it"));
            }
        }
        order(receiver, violations);
    }
    Ok(outbox.len())
}

/// Nobody hears of an end before the beginning.
fn order(receiver: &Told, violations: &mut Violations) {
    let mut begun = BTreeSet::new();
    for receipt in receiver.receipts.iter().filter(|r| r.reply == Reply::Take && receiver.labels) {
        let episode = (&receipt.labels, &receipt.starts_at);
        if receipt.status == "firing" {
            begun.insert(episode);
        } else if !begun.contains(&episode) {
            violations.add("I6", format!("{episode:?} was resolved before it fired"));
        }
    }
}
