//! The head of a session, held back until it is known whether it repeats what was here before.
//!
//! Refuses to know: how that is found out.

use record::DecodeCounts;

use super::tail::{TAIL_LINES, line_hash};
use crate::inbox::Parcel;
use crate::ledger::ReadCounts;

/// What may be held back; beyond it what has come decides.
const BYTES_MAX: usize = 4 << 20;
/// What further reads bring is joined to the last sheaf: a sender may send a window byte by byte.
const SHEAVES_MAX: usize = 16;

/// What one read brought, ready to be handed over.
#[derive(Debug)]
pub(super) struct Sheaf {
    pub(super) parcel: Parcel,
    pub(super) read: ReadCounts,
    pub(super) decoded: DecodeCounts,
    /// Messages that are answered when it is durable.
    pub(super) messages: u64,
}

/// The first lines of a session.
#[derive(Debug, Default)]
pub(super) struct Head {
    lines: Vec<u64>,
    sheaves: Vec<Sheaf>,
    bytes: usize,
}

impl Sheaf {
    /// Appends the hashes of its lines.
    pub(super) fn hash_into(&self, lines: &mut Vec<u64>) {
        let batch = &self.parcel.batch;
        lines.extend(batch.rows.iter().map(|row| line_hash(batch.slice(row.frame))));
    }

    /// Joins a later one to it.
    fn join(&mut self, later: Sheaf) {
        let Sheaf { parcel, read, decoded, messages } = later;
        self.parcel.absorb(parcel);
        self.read.add(&read);
        crate::ledger::merge(&mut self.decoded, decoded);
        self.messages += messages;
    }

    /// Takes out its first `lines` lines: they repeat what was here before.
    fn repeat(&mut self, lines: usize) {
        self.parcel.batch.rows.drain(..lines);
        self.parcel.repeated += lines as u64;
    }
}

impl Head {
    /// Holds back what a read brought. Says whether lines were among it.
    pub(super) fn push(&mut self, sheaf: Sheaf) -> bool {
        let before = self.lines.len();
        sheaf.hash_into(&mut self.lines);
        self.bytes += sheaf.parcel.batch.bytes.len();
        let full = self.sheaves.len() >= SHEAVES_MAX;
        match self.sheaves.last_mut() {
            Some(last) if full => last.join(sheaf),
            _ => self.sheaves.push(sheaf),
        }
        self.lines.len() > before
    }

    /// The hashes of its lines.
    pub(super) fn lines(&self) -> &[u64] {
        &self.lines
    }

    /// Whether nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.sheaves.is_empty()
    }

    /// Whether no more is to be waited for.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= TAIL_LINES || self.bytes >= BYTES_MAX
    }

    /// Everything held back, without the first `repeated` lines.
    pub(super) fn release(mut self, mut repeated: usize) -> Vec<Sheaf> {
        for sheaf in &mut self.sheaves {
            let lines = repeated.min(sheaf.parcel.batch.rows.len());
            sheaf.repeat(lines);
            repeated -= lines;
        }
        self.sheaves
    }
}
