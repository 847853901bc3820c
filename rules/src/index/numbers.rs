//! Numbers of the record at hand: each is read once, however many conditions compare it.
//!
//! Refuses to know: conditions.

use record::{Decimal, RecordRef};

/// Columns whose numbers are compared.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    columns: Vec<usize>,
    /// By place: the record it was read for, and the number.
    read: Vec<(u32, Option<Decimal>)>,
    /// Number of the record at hand, from 1.
    record: u32,
}

impl Numbers {
    /// Where the number of a column is kept.
    pub(super) fn place(&mut self, column: usize) -> usize {
        self.columns.iter().position(|known| *known == column).unwrap_or_else(|| {
            self.columns.push(column);
            self.read.push((0, None));
            self.columns.len() - 1
        })
    }

    /// Another record follows; `anew`: numbers of records begin anew.
    pub(super) fn next_record(&mut self, number: u32, anew: bool) {
        self.record = number;
        if anew {
            self.read.fill((0, None));
        }
    }

    /// The number of the record at hand; `None` for a null.
    pub(super) fn get(&mut self, place: usize, record: &RecordRef<'_>) -> Option<Decimal> {
        let (read_for, value) = &mut self.read[place];
        if *read_for != self.record {
            (*read_for, *value) = (self.record, record.decimal(self.columns[place]));
        }
        *value
    }
}
