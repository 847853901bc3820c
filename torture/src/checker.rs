//! The checker: what was sent, acknowledged and received against what the node kept. Answers violations.
//!
//! Refuses to know: which faults there were.

mod alerts;
mod ledger;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use anyhow::Result;

use crate::lines::Lines;
use crate::node::Node;
use crate::stored::{self, Row};

pub use alerts::{Told, alerts, deliveries};
pub use ledger::ledger;

/// Violations of one kind that are written out; more are only counted.
const SHOWN: usize = 5;

/// What one sender knows.
#[derive(Debug)]
pub enum Sent {
    /// It has acknowledgements: those lines are stored once, the others at most once.
    Acknowledged {
        /// Its lines.
        lines: Lines,
        /// Which it sent.
        numbers: Range<u64>,
        /// Which were acknowledged.
        acked: Vec<u64>,
        /// So many senders sent the same messages, each under ids of its own: all of them count.
        copies: u32,
    },
    /// It has none: of each session the first lines up to some line are stored, once, and at least those that were
    /// seen to be durable.
    Sessions {
        /// Its lines.
        lines: Lines,
        /// The lines of each session, in order.
        sessions: Vec<Range<u64>>,
        /// Lines that the node said were durable.
        durable: Vec<u64>,
    },
    /// Through an rsyslog that is killed: each at most once. Its disk queue may hand on some that it damaged (so that even the
    /// order number is none), or spliced from a new head and an old text.
    Relayed {
        /// Its lines.
        lines: Lines,
        /// Which it sent.
        numbers: Range<u64>,
        /// How many may be damaged.
        damaged: usize,
    },
}

impl Sent {
    fn lines(&self) -> &Lines {
        match self {
            Self::Acknowledged { lines, .. } | Self::Sessions { lines, .. } | Self::Relayed { lines, .. } => {
                lines
            }
        }
    }

    fn sent(&self, n: u64) -> bool {
        match self {
            Self::Acknowledged { numbers, .. } | Self::Relayed { numbers, .. } => numbers.contains(&n),
            Self::Sessions { sessions, .. } => sessions.iter().any(|session| session.contains(&n)),
        }
    }
}

/// Violations found.
#[derive(Debug, Default)]
pub struct Violations(BTreeMap<&'static str, Vec<String>>);

impl Violations {
    /// Notes one.
    pub fn add(&mut self, invariant: &'static str, what: impl Into<String>) {
        self.0.entry(invariant).or_default().push(what.into());
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Violations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (invariant, found) in &self.0 {
            for what in found.iter().take(SHOWN) {
                writeln!(f, "{invariant}: {what}")?;
            }
            if found.len() > SHOWN {
                writeln!(f, "{invariant}: and {} more", found.len() - SHOWN)?;
            }
        }
        Ok(())
    }
}

/// I1 and I11 over the data of a node that is down. `strangers`: others sent too, hostile input for instance. Answers
/// the rows.
///
/// # Errors
/// The data cannot be read.
pub fn records(
    node: &Node,
    sent: &[Sent],
    strangers: bool,
    violations: &mut Violations,
) -> Result<BTreeMap<u64, Row>> {
    let rows = stored::rows(node)?;
    let mut counted: Vec<HashMap<u64, u32>> = sent.iter().map(|_| HashMap::new()).collect();
    let mut unlike: Vec<(&Sent, u64, &Row)> = Vec::new();
    let mut unknown: Vec<&Row> = Vec::new();
    for row in rows.values() {
        let whose = sent.iter().zip(&mut counted).find_map(|(sender, counted)| {
            let n = sender.lines().number(&row.order_no).filter(|n| sender.sent(*n))?;
            Some((sender, counted, n))
        });
        match whose {
            Some((sender, counted, n)) => {
                *counted.entry(n).or_default() += 1;
                if !compare(row, sender.lines(), n) {
                    unlike.push((sender, n, row));
                }
            }
            None if !strangers => unknown.push(row),
            None => {}
        }
    }
    let mut forgiven = 0;
    for (sender, n, row) in unlike {
        match sender {
            Sent::Relayed { damaged, .. } if forgiven < *damaged => forgiven += 1,
            _ => violations.add("I1", format!("line {n} is stored as {:?}", row.message)),
        }
    }
    take_halves(sent, &counted, &mut unknown);
    let damaged =
        sent.iter().map(|sender| if let Sent::Relayed { damaged, .. } = sender { *damaged } else { 0 });
    let spared = damaged.sum::<usize>().saturating_sub(forgiven).min(unknown.len());
    forgiven += spared;
    for row in unknown.drain(spared..) {
        violations.add("I1", format!("nobody sent what is stored at {}: {:?}", row.lsn, row.message));
    }
    for (sender, counted) in sent.iter().zip(&mut counted) {
        if let Sent::Relayed { damaged, .. } = sender {
            forgive_spliced(counted, &mut forgiven, *damaged);
        }
        once(sender, counted, violations);
    }
    positions(node, &rows, violations)?;
    cards(node, sent, &rows, violations)?;
    Ok(rows)
}

/// What a node that ends has read of a line when its link ends there is half a line: stored, and flagged as cut. Each session
/// without acknowledgements may have one, of the line behind its last whole one; where it is cut before its order number is
/// whole, it is known by its text.
fn take_halves(sent: &[Sent], counted: &[HashMap<u64, u32>], unknown: &mut Vec<&Row>) {
    for (sender, counted) in sent.iter().zip(counted) {
        let Sent::Sessions { lines, sessions, .. } = sender else { continue };
        for session in sessions {
            let Some(next) = session.clone().find(|n| !counted.contains_key(n)) else { continue };
            let frame = lines.frame(next);
            let frame = String::from_utf8_lossy(&frame);
            let half = |row: &&Row| is_cut(row) && frame.contains(&row.message);
            if let Some(at) = unknown.iter().position(half) {
                unknown.remove(at);
            }
        }
    }
}

fn is_cut(row: &Row) -> bool {
    row.flags.iter().any(|flag| flag == "truncated")
}

/// Where a killed rsyslog begins to write its queue again, the head of a new entry (with a new id) was seen to join the text
/// of an old one: a line that it handed on before, whole. A window that Watchroom took twice would be many lines.
fn forgive_spliced(counted: &mut HashMap<u64, u32>, forgiven: &mut usize, damaged: usize) {
    for count in counted.values_mut().filter(|count| **count == 2) {
        if *forgiven < damaged {
            *forgiven += 1;
            *count = 1;
        }
    }
}

/// A whole line, word for word. (Card numbers are masked: lines with one are compared up to it.)
fn compare(row: &Row, lines: &Lines, n: u64) -> bool {
    let message = lines.message(n);
    let (stored, sent) = match message.find("||card ") {
        Some(at) if Lines::card_of(n).is_some() => (row.message.get(..at), message.get(..at)),
        _ => (Some(row.message.as_str()), Some(message.as_str())),
    };
    stored == sent || is_cut(row)
}

fn once(sender: &Sent, counted: &HashMap<u64, u32>, violations: &mut Violations) {
    let lines = sender.lines();
    let copies = if let Sent::Acknowledged { copies, .. } = sender { *copies } else { 1 };
    for (n, count) in counted.iter().filter(|(_, count)| **count > copies) {
        violations.add("I1", format!("{} is stored {count} times", lines.order_no(*n)));
    }
    let lost = |n: &u64| counted.get(n).is_none_or(|count| *count < copies);
    match sender {
        Sent::Acknowledged { acked, .. } => {
            for n in acked.iter().filter(|n| lost(n)) {
                violations.add("I1", format!("{} was acknowledged and is not stored", lines.order_no(*n)));
            }
        }
        Sent::Sessions { sessions, durable, .. } => {
            for n in durable.iter().filter(|n| lost(n)) {
                violations.add("I1", format!("{} was durable and is not stored", lines.order_no(*n)));
            }
            for session in sessions {
                let Some(first_lost) = session.clone().find(|n| lost(n)) else { continue };
                if let Some(later) = (first_lost..session.end).find(|n| !lost(n)) {
                    let (a, b) = (lines.order_no(first_lost), lines.order_no(later));
                    violations.add("I1", format!("{a} is lost, but {b} of the same session is stored"));
                }
            }
        }
        Sent::Relayed { .. } => {}
    }
}

/// The store holds exactly the journal's frames, and its files are one range without gap or double.
fn positions(node: &Node, rows: &BTreeMap<u64, Row>, violations: &mut Violations) -> Result<()> {
    let entries = match stored::entries(&node.data().join("journal")) {
        Ok(entries) => entries,
        Err(error) => {
            violations.add("I1", format!("the journal cannot be read: {error:#}"));
            return Ok(());
        }
    };
    for lsn in entries.frames.keys().filter(|lsn| !rows.contains_key(lsn)) {
        violations.add("I1", format!("the journal holds {lsn}, the trace store does not"));
    }
    for lsn in rows.keys().filter(|lsn| **lsn >= entries.first && !entries.frames.contains_key(lsn)) {
        violations.add("I1", format!("the trace store holds {lsn}, the journal does not"));
    }
    let mut expected = 1;
    for (first, last) in stored::file_ranges(&node.data().join("traces"))? {
        if last < expected {
            continue; // joined into the file before, not removed yet
        }
        if first != expected {
            violations.add("I1", format!("a trace file starts at {first}, {expected} comes next"));
        }
        expected = last + 1;
    }
    Ok(())
}

/// No byte of any file, and nothing that a search answers, shows a card number.
fn cards(node: &Node, sent: &[Sent], rows: &BTreeMap<u64, Row>, violations: &mut Violations) -> Result<()> {
    let ranges = sent.iter().flat_map(|sender| match sender {
        Sent::Acknowledged { numbers, .. } | Sent::Relayed { numbers, .. } => vec![numbers.clone()],
        Sent::Sessions { sessions, .. } => sessions.clone(),
    });
    let cards: std::collections::HashSet<String> = ranges.flatten().filter_map(Lines::card_of).collect();
    let mut look = |place: &str, bytes: &[u8]| {
        if let Some(card) = shown(bytes, &cards) {
            violations.add("I11", format!("{place} shows the card number {card}"));
        }
    };
    for row in rows.values() {
        look(&format!("record {}", row.lsn), row.message.as_bytes());
    }
    look("the log", node.said()?.as_bytes());
    stored::each_file(node.data(), &mut |path, bytes| {
        look(&path.display().to_string(), bytes);
        Ok(())
    })
}

/// A card number that stands in the bytes: sixteen digits, alone or in groups of four.
fn shown(bytes: &[u8], cards: &std::collections::HashSet<String>) -> Option<String> {
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes.iter().chain(b"\n") {
        match byte {
            b'0'..=b'9' => digits.push(*byte),
            b' ' | b'-' => {}
            _ => {
                let found = digits.windows(16).find_map(|window| {
                    let text = std::str::from_utf8(window).ok()?;
                    cards.get(text).cloned()
                });
                if found.is_some() {
                    return found;
                }
                digits.clear();
            }
        }
    }
    None
}
