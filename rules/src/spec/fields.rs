//! Reads the values of a mapping by key and type; says what is wrong with each.

use record::Decimal;

use super::keys::{Key, MAX_DURATION_MS, names};
use super::node::{Content, Entry, Node};
use super::report::Report;
use crate::condition::duration::{self, parse_duration};
use crate::condition::literal::decimal as decimal_of;
use crate::condition::nearest::did_you_mean;

/// A text and the byte of the file at which it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
}

/// A mapping being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    /// What the mapping is, for messages: `a rule`.
    what: &'static str,
    /// Where it begins.
    pub(super) at: usize,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// The mapping of a node; anything else is reported.
    pub(super) fn of(node: &'a Node, what: &'static str, report: &mut Report<'_>) -> Option<Self> {
        match &node.content {
            Content::Map(entries) => Some(Self { what, at: node.at, entries }),
            other => {
                report.error(
                    node.at,
                    format!("expected {what} as a mapping `key: value`, found {}", other.name()),
                );
                None
            }
        }
    }

    /// The entry of a key.
    pub(super) fn entry(&self, key: &str) -> Option<&'a Entry> {
        #[cfg(test)]
        tests::look_up(self.what, key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The entry of a key that must be there.
    pub(super) fn need(&self, key: &str, report: &mut Report<'_>) -> Option<&'a Entry> {
        let entry = self.entry(key);
        if entry.is_none() {
            report.error(self.at, format!("{} needs the key `{key}`", self.what));
        }
        entry
    }

    pub(super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// Reports every key that is not among `known`.
    pub(super) fn only(&self, known: &[Key], report: &mut Report<'_>) {
        let known = names(known);
        for entry in self.entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            unknown_key(entry, self.what, &known, report);
        }
    }
}

/// Reports a key that means nothing here.
pub(super) fn unknown_key(entry: &Entry, what: &str, known: &[&str], report: &mut Report<'_>) {
    let hint = did_you_mean(&entry.key, known.iter().copied());
    let list = if hint.is_empty() { format!("; known keys: {}", known.join(", ")) } else { hint };
    report.error(entry.key_at, format!("unknown key `{}` in {what}{list}", entry.key));
}

/// A text (any scalar).
pub(super) fn text<'a>(entry: &'a Entry, report: &mut Report<'_>) -> Option<Text<'a>> {
    text_of(&entry.value, entry, report)
}

fn text_of<'a>(node: &'a Node, entry: &Entry, report: &mut Report<'_>) -> Option<Text<'a>> {
    match &node.content {
        Content::Scalar { text, .. } if !text.is_empty() => Some(Text { at: node.at, text }),
        Content::Null | Content::Scalar { .. } => {
            report.error(value_at(node, entry), format!("`{}` has no value", entry.key));
            None
        }
        other => {
            report.error(node.at, format!("`{}` expects a single value, found {}", entry.key, other.name()));
            None
        }
    }
}

/// Where a value stands; where its key stands when it is not there.
fn value_at(node: &Node, entry: &Entry) -> usize {
    if node.content == Content::Null { entry.key_at } else { node.at }
}

/// A list of texts, or one text.
pub(super) fn texts<'a>(entry: &'a Entry, report: &mut Report<'_>) -> Option<Vec<Text<'a>>> {
    match &entry.value.content {
        Content::List(items) => items.iter().map(|item| text_of(item, entry, report)).collect(),
        _ => text(entry, report).map(|one| vec![one]),
    }
}

/// A duration in milliseconds.
pub(super) fn duration(entry: &Entry, report: &mut Report<'_>) -> Option<i64> {
    let Text { at, text } = text(entry, report)?;
    let message = match parse_duration(text) {
        Some(ms) if ms <= MAX_DURATION_MS => return Some(ms),
        Some(_) => format!("`{}` is longer than ten years", entry.key),
        None if text.bytes().all(|b| b.is_ascii_digit()) => {
            format!("`{}` is a duration and needs a unit: `{text}s`, `{text}m`, ...", entry.key)
        }
        None => format!("`{text}` is not a duration; `{}` is {}", entry.key, duration::FORM),
    };
    report.error(at, message);
    None
}

/// A list of durations of whole seconds, or one.
pub(super) fn seconds_each(entry: &Entry, report: &mut Report<'_>) -> Option<Vec<(usize, i64)>> {
    let items = match &entry.value.content {
        Content::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    let one = |item: &Node| Entry { key: entry.key.clone(), key_at: entry.key_at, value: item.clone() };
    let read: Vec<_> = items.iter().map(|item| Some((item.at, seconds(&one(item), report)?))).collect();
    read.into_iter().collect()
}

/// A duration of whole seconds, at least one.
pub(super) fn seconds(entry: &Entry, report: &mut Report<'_>) -> Option<i64> {
    let ms = duration(entry, report)?;
    if ms < 1000 || ms % 1000 != 0 {
        report.error(entry.value.at, format!("`{}` must be whole seconds, at least 1s", entry.key));
        return None;
    }
    Some(ms)
}

/// A whole number from `least` to `most`.
pub(super) fn whole(entry: &Entry, least: u64, most: u64, report: &mut Report<'_>) -> Option<u64> {
    let quoted = matches!(&entry.value.content, Content::Scalar { quoted: true, .. });
    let Text { at, text } = text(entry, report)?;
    let digits = !quoted && text.bytes().all(|b| b.is_ascii_digit());
    let message = match text.parse::<u64>() {
        Ok(n) if digits && (least..=most).contains(&n) => return Some(n),
        Ok(n) if digits && n < least => format!("`{}` must be at least {least}", entry.key),
        _ if digits => format!("`{}` must be at most {most}", entry.key),
        Ok(_) if quoted => format!("`{}` is a whole number; write it without quotes: {text}", entry.key),
        _ if text.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())) => {
            format!("`{}` must be at least {least}", entry.key)
        }
        _ => format!("`{}` expects a whole number, found `{text}`", entry.key),
    };
    report.error(at, message);
    None
}

/// An exact number from `least` to `most`.
pub(super) fn decimal(
    entry: &Entry,
    least: Decimal,
    most: Decimal,
    report: &mut Report<'_>,
) -> Option<Decimal> {
    let quoted = matches!(&entry.value.content, Content::Scalar { quoted: true, .. });
    let Text { at, text } = text(entry, report)?;
    let message = match decimal_of(text) {
        Some(number) if !quoted && (least..=most).contains(&number) => return Some(number),
        Some(_) if quoted => format!("`{}` is a number; write it without quotes: {text}", entry.key),
        Some(_) => format!("`{}` must be from {least} to {most}", entry.key),
        None => format!("`{}` expects a number as in 0.95, found `{text}`", entry.key),
    };
    report.error(at, message);
    None
}

/// One of some words.
pub(super) fn word<'a>(entry: &Entry, words: &[&'a str], report: &mut Report<'_>) -> Option<&'a str> {
    let Text { at, text } = text(entry, report)?;
    let found = words.iter().find(|word| **word == text).copied();
    if found.is_none() {
        let hint = did_you_mean(text, words.iter().copied());
        report.error(at, format!("`{}` is one of {}, found `{text}`{hint}", entry.key, words.join(", ")));
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    //! What the parser asks for, so that it can be compared with the table of keys.

    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static LOOKED_UP: RefCell<BTreeSet<(&'static str, String)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn look_up(what: &'static str, key: &str) {
        LOOKED_UP.with_borrow_mut(|all| all.insert((what, key.to_owned())));
    }

    /// The keys asked for on this thread since it was last asked, by what they are keys of.
    pub(in super::super) fn looked_up() -> BTreeSet<(&'static str, String)> {
        LOOKED_UP.take()
    }
}
