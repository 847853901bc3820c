//! What should have happened: the alerts that a backtest finds in the distinct messages.
//!
//! Refuses to know: what did happen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::node::Node;

/// One alert: its labels and when it began.
pub type Episode = (BTreeMap<String, String>, String);

/// The alerts that fired, according to `watchroom backtest` over `messages` by event time. (A file has no receive times:
/// in the order of arrival a sender that is ahead would make the others late, which they were not on the node.)
///
/// # Errors
/// The backtest cannot be run.
pub fn fired(node: &Node, folder: &Path, messages: &[&str]) -> Result<BTreeSet<Episode>> {
    let file = folder.join("model.log");
    let mut by_time = messages.to_vec();
    by_time.sort_by_key(|message| message.split("||").next().unwrap_or_default());
    std::fs::write(&file, by_time.join("\n") + "\n")?;
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules.d/network.yaml");
    let (rules, file) = (rules.display().to_string(), file.display().to_string());
    let (code, out, err) = node.command(&["backtest", "--rules", &rules, "--file", &file, "--json"])?;
    ensure!(code <= 1, "backtest: {err}");
    let mut episodes = BTreeSet::new();
    for line in out.lines() {
        let alert: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if let Some(fired_at) = alert["fired_at"].as_str() {
            let mut labels: BTreeMap<String, String> = alert["labels"]
                .as_object()
                .context("an alert has labels")?
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            labels.insert("alertname".to_owned(), alert["alert"].as_str().unwrap_or_default().to_owned());
            episodes.insert((labels, fired_at.to_owned()));
        }
    }
    Ok(episodes)
}
