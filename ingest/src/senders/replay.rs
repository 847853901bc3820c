//! What the journal says of senders, from a position to its end: how a snapshot is brought up to date after a crash.
//!
//! Reads stored frames as they stand; of those without the element nothing but their source is looked at. Refuses to
//! know: formats, records.

use record::{InstantMs, Lsn, parse_header};

use super::Senders;
use super::ident::{Ident, Marks};
use crate::journal::{Entry, EntryKind, JournalError, JournalReader};

/// How often gaps are looked at, in receive time.
const TICK_MS: i64 = 1_000;

impl Senders {
    /// Takes in what a reader has, as if it came now; `each` sees every frame too. Returns the last position read.
    ///
    /// # Errors
    /// What the reader says.
    pub fn replay(
        &mut self,
        reader: &mut JournalReader,
        mut each: impl FnMut(&Entry<'_>),
    ) -> Result<Lsn, JournalError> {
        let begin = format!("[{} ", self.config.structured_data_id);
        let finder = memchr::memmem::Finder::new(&begin);
        let (mut last_lsn, mut ticked_ms) = (0, InstantMs::MIN);
        self.places.clear();
        while let Some(entry) = reader.next()? {
            last_lsn = entry.lsn;
            if entry.recv_ms.saturating_sub(ticked_ms) >= TICK_MS {
                ticked_ms = entry.recv_ms;
                self.tick(entry.recv_ms);
            }
            if entry.kind == EntryKind::Frame {
                self.take_stored(&entry, finder.find(entry.frame).is_some());
                each(&entry);
            }
        }
        Ok(last_lsn)
    }

    fn take_stored(&mut self, entry: &Entry<'_>, may_say: bool) {
        let place = self.place(entry.source);
        let silent_after_ms = self.silent_after_ms();
        let Some(sender) = self.senders.get_mut(place) else { return };
        if may_say {
            let said = parse_header(entry.frame).structured_data;
            let element = self.config.structured_data_id.as_bytes();
            let marks = Marks::read(&entry.frame[said.start as usize..said.end as usize], element);
            if !marks.is_empty() {
                sender.take(&[Ident { row: 0, marks }], entry.recv_ms);
            }
        }
        sender.hear(entry.source, 1, entry.recv_ms, silent_after_ms);
    }
}
