//! The journal read back into batches, as the listeners made them.
//!
//! Refuses to know: what is done with them.

use std::ops::Range;
use std::sync::Arc;

use ingest::journal::{EntryKind, JournalError, JournalReader};
use record::{Batch, Decoder, FormatSet, Lsn, Transport};

/// Bytes of frames in a batch.
const BATCH_BYTES: usize = 1 << 20;

/// Reads entries and decodes them again.
pub(crate) struct Replay {
    reader: JournalReader,
    decoder: Decoder,
    formats: Arc<FormatSet>,
    unknown_formats: u64,
    /// First position that is not wanted.
    end: Lsn,
    /// The last position read.
    last: Lsn,
}

impl Replay {
    /// From where the reader stands to the journal's end.
    pub(crate) fn new(reader: JournalReader, formats: Arc<FormatSet>) -> Self {
        Self::over(reader, formats, 1..Lsn::MAX)
    }

    /// The positions of a range, at whose start the reader stands.
    pub(crate) fn over(reader: JournalReader, formats: Arc<FormatSet>, range: Range<Lsn>) -> Self {
        let decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, None);
        Self {
            reader,
            decoder,
            formats,
            unknown_formats: 0,
            end: range.end,
            last: range.start.saturating_sub(1),
        }
    }

    /// Replaces `batch` by the next entries, ticks among them; false at the end.
    pub(crate) fn next(&mut self, batch: &mut Batch) -> Result<bool, JournalError> {
        batch.clear();
        let mut source: (Arc<str>, u16) = (Arc::from(""), batch.source_index(&Arc::from("")));
        while batch.bytes.len() < BATCH_BYTES && batch.rows.len() < 8_192 && self.last + 1 < self.end {
            let Some(entry) = self.reader.next()? else { break };
            self.last = entry.lsn;
            if entry.kind == EntryKind::Tick {
                batch.push_tick(entry.lsn, entry.recv_ms);
                continue;
            }
            if *source.0 != *entry.source {
                let name: Arc<str> = Arc::from(entry.source);
                let index = batch.source_index(&name);
                source = (name, index);
            }
            let format = self.formats.find(entry.format).unwrap_or_else(|| {
                // The format was taken out of the configuration: its lines are read as plain ones.
                self.unknown_formats += 1;
                self.formats.find("plain").unwrap_or_default()
            });
            self.decoder.push_stored(
                batch,
                source.1,
                format,
                entry.frame,
                entry.lsn,
                Some(entry.recv_ms),
                entry.flags,
            );
        }
        Ok(!batch.rows.is_empty())
    }

    /// The last position that was read; before the first, the one before the range.
    pub(crate) fn last(&self) -> Lsn {
        self.last
    }

    /// Goes on to this position, inclusive.
    pub(crate) fn go_on_to(&mut self, last: Lsn) {
        self.end = last.saturating_add(1);
    }

    /// How many positions are still to be read.
    pub(crate) fn left(&self) -> u64 {
        self.end.saturating_sub(self.last + 1)
    }

    /// Records whose format the configuration no longer knows.
    pub(crate) fn unknown_formats(&self) -> u64 {
        self.unknown_formats
    }
}
