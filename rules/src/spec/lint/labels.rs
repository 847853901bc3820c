//! Labels of a composite's `on` that no alert which it names can have: they are empty for ever.
//!
//! Looked at when all files are read, since the named rules may stand in any. Refuses to know: where files lie.

use std::collections::{BTreeSet, HashMap};

use super::super::node::Content;
use super::checks::Look;
use super::{Lint, lint};
use crate::condition::nearest::did_you_mean;
use crate::rule::{Kind, Rule};

/// Name of the lint.
const NAME: &str = "unknown-label";

/// A label, and what is to be said if no named alert has it.
#[derive(Debug)]
pub(super) struct Asked {
    /// The composite.
    rule: String,
    label: String,
    /// Where it stands; its message lacks what is known at the end only.
    pub(super) lint: Lint,
}

impl Look<'_, '_> {
    /// Takes note of the labels of `on`.
    pub(super) fn labels(&mut self) {
        let (Kind::Composite(_), Some(entry)) =
            (&self.rule.kind, self.fields.entries().iter().find(|entry| entry.key == "on"))
        else {
            return;
        };
        let places: Vec<usize> = match &entry.value.content {
            Content::List(items) => items.iter().map(|item| item.at).collect(),
            _ => Vec::new(),
        };
        for (i, (label, _)) in self.rule.by.iter().enumerate() {
            let at = places.get(i).copied().unwrap_or(entry.value.at);
            self.linter.labels.push(Asked {
                rule: self.rule.alert.to_string(),
                label: label.to_string(),
                lint: lint(
                    self.report,
                    at,
                    NAME,
                    format!("no alert that `{}` names has a label `{label}`", self.rule.alert),
                ),
            });
        }
    }
}

/// Those of the labels that no named alert can have.
pub(super) fn unknown(asked: Vec<Asked>, rules: &[Rule]) -> Vec<Lint> {
    let by_name: HashMap<&str, &Rule> = rules.iter().map(|rule| (&*rule.alert, rule)).collect();
    let mut held = HashMap::new();
    let mut found = Vec::new();
    for Asked { rule, label, mut lint } in asked {
        let Some(Kind::Composite(composite)) = by_name.get(&*rule).map(|rule| &rule.kind) else { continue };
        let mut known = BTreeSet::new();
        for name in &composite.names {
            known.extend(labels_of(name, &by_name, &mut held));
        }
        if !known.contains(&*label) {
            let hint = did_you_mean(&label, known.iter().copied());
            lint.message += &format!(": it is always empty{hint}");
            found.push(lint);
        }
    }
    found
}

/// The labels that alerts of a rule can have; `held`: those that are known.
fn labels_of<'a>(
    name: &str,
    rules: &HashMap<&str, &'a Rule>,
    held: &mut HashMap<&'a str, BTreeSet<&'a str>>,
) -> BTreeSet<&'a str> {
    let Some(rule) = rules.get(name) else { return BTreeSet::new() };
    if let Some(known) = held.get(name) {
        return known.clone();
    }
    let mut known: BTreeSet<&str> = rule.by.iter().map(|(name, _)| &**name).collect();
    if let Kind::Composite(composite) = &rule.kind {
        // Of its `on` those that the alerts it names can have.
        let mut inner = BTreeSet::new();
        composite.names.iter().for_each(|name| inner.extend(labels_of(name, rules, held)));
        known.retain(|name| inner.contains(name));
    }
    known.extend(rule.labels.keys().map(String::as_str));
    held.insert(&rule.alert, known.clone());
    known
}
