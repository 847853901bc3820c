//! The head of a session, held back until it is known whether it repeats what was here before.
//!
//! Refuses to know: how that is found out.

use record::DecodeCounts;

use super::tail::{TAIL_LINES, line_hash};
use crate::inbox::Parcel;
use crate::ledger::ReadCounts;

/// What may be held back; beyond it what has come decides.
const BYTES_MAX: usize = 4 << 20;
const SHEAVES_MAX: usize = 64;

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

    /// Takes out its first `lines` lines: they repeat what was here before.
    fn repeat(&mut self, lines: usize) {
        self.parcel.batch.rows.drain(..lines);
        self.parcel.repeated += lines as u64;
    }
}

impl Head {
    pub(super) fn push(&mut self, sheaf: Sheaf) {
        sheaf.hash_into(&mut self.lines);
        self.bytes += sheaf.parcel.batch.bytes.len();
        self.sheaves.push(sheaf);
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
        self.lines.len() >= TAIL_LINES || self.bytes >= BYTES_MAX || self.sheaves.len() >= SHEAVES_MAX
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
