//! Who sends, and what is known of it: lines sent again are recognised by their ids, numbers that are missing are
//! noticed, silence too.
//!
//! A sender is an authenticated name (from its certificate) or else an address: what stands behind `INPUT/` in the
//! source of a row, whichever input it came by; never the HOSTNAME in a message, which anybody can write. The journal's
//! thread alone owns [`Senders`]: one place, one order. Refuses to know: sockets, threads, clocks (time is passed in).

mod ident;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use record::{Batch, InstantMs};

pub use ident::{Ident, Marks};
pub use window::WINDOW_EIDS;
use window::Window;

use crate::inbox::Parcel;

/// What is kept of senders.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SendersConfig {
    /// Name of the RFC 5424 structured data element in which senders give `eid` (an id of the line) and `seq` (its
    /// number).
    pub structured_data_id: String,
    /// So many senders are remembered, at least 64. Beyond it the one that was heard least recently is forgotten, those without
    /// ids first. One with a full window of ids takes 1.7 MiB.
    pub max_senders: usize,
    /// A sender that was heard regularly and then not for so long is shown as silent; 0: none is.
    pub silent_after_seconds: u32,
}

impl Default for SendersConfig {
    fn default() -> Self {
        Self { structured_data_id: "lc@32473".to_owned(), max_senders: 1024, silent_after_seconds: 300 }
    }
}

/// Datagrams of so many senders may come at once.
const MIN_SENDERS: usize = 64;

/// All senders that are remembered.
#[derive(Debug)]
pub struct Senders {
    config: SendersConfig,
    window_eids: usize,
    senders: Vec<Sender>,
    by_name: HashMap<Arc<str>, usize>,
    /// Senders forgotten because there were too many.
    forgotten: u64,
    /// By source of the batch at hand: where its sender is.
    places: Vec<usize>,
}

/// What is known of one sender.
#[derive(Debug)]
struct Sender {
    name: Arc<str>,
    last_heard_ms: InstantMs,
    lines: u64,
    duplicates: u64,
    window: Window,
}

impl Senders {
    /// Knows nobody yet.
    pub fn new(config: &SendersConfig) -> Self {
        Self::with_window(config, WINDOW_EIDS)
    }

    /// [`Senders::new`] with smaller windows, for tests.
    fn with_window(config: &SendersConfig, window_eids: usize) -> Self {
        Self {
            config: config.clone(),
            window_eids,
            senders: Vec::new(),
            by_name: HashMap::new(),
            forgotten: 0,
            places: Vec::new(),
        }
    }

    /// Takes the rows out of a parcel that repeat what was here before, counts them in [`Parcel::repeated`], and
    /// remembers the others. Call it once for each parcel, in the order of the journal, before the journal gives
    /// positions. A row to which others were joined goes only if all of it was here: nothing is lost.
    pub fn filter(&mut self, parcel: &mut Parcel) {
        self.locate(&parcel.batch);
        let mut idents = std::mem::take(&mut parcel.idents);
        if !idents.is_empty() {
            parcel.repeated += self.take_out(&mut parcel.batch, &idents);
        }
        idents.clear();
        parcel.idents = idents;
        self.hear(&parcel.batch);
    }

    /// Finds or makes the senders of a batch's sources.
    fn locate(&mut self, batch: &Batch) {
        self.places.clear();
        for source in &batch.sources {
            let place = self.place(source);
            self.places.push(place);
        }
    }

    /// Removes repeated rows; says how many.
    fn take_out(&mut self, batch: &mut Batch, idents: &[Ident]) -> u64 {
        let (mut at, mut kept) = (0, 0);
        let rows = batch.rows.len();
        for row in 0..rows {
            let first = at;
            while idents.get(at).is_some_and(|ident| ident.row as usize == row) {
                at += 1;
            }
            let marks = &idents[first..at];
            let source = usize::from(batch.rows[row].source);
            let sender = self.places.get(source).and_then(|place| self.senders.get_mut(*place));
            if !marks.is_empty() && sender.is_some_and(|sender| !sender.take(marks)) {
                continue;
            }
            if kept != row {
                batch.rows.swap(kept, row);
            }
            kept += 1;
        }
        batch.rows.truncate(kept);
        (rows - kept) as u64
    }

    /// Counts lines and notes when they came.
    fn hear(&mut self, batch: &Batch) {
        if let [place] = self.places[..] {
            if let (Some(sender), Some(last)) = (self.senders.get_mut(place), batch.rows.last()) {
                sender.hear(batch.rows.len() as u64, last.recv_ms);
            }
            return;
        }
        for row in &batch.rows {
            let place = self.places.get(usize::from(row.source));
            if let Some(sender) = place.and_then(|place| self.senders.get_mut(*place)) {
                sender.hear(1, row.recv_ms);
            }
        }
    }

    /// Where the sender of a source is; it is made if it is new.
    fn place(&mut self, source: &str) -> usize {
        let name = source.split_once('/').map_or(source, |(_input, name)| name);
        if let Some(place) = self.by_name.get(name) {
            return *place;
        }
        let name: Arc<str> = name.into();
        let sender = Sender::new(Arc::clone(&name), self.window_eids);
        let place = if self.senders.len() < self.config.max_senders.max(MIN_SENDERS) {
            self.senders.push(sender);
            self.senders.len() - 1
        } else {
            let place = self.least();
            self.by_name.remove(&self.senders[place].name);
            self.forgotten += 1;
            self.senders[place] = sender;
            place
        };
        self.by_name.insert(name, place);
        place
    }

    /// The sender that is missed least, none of the batch at hand: one without ids, so that a flood of
    /// strangers does not make ids forgotten; then the one heard least recently.
    fn least(&self) -> usize {
        let rank = |(place, sender): &(usize, &Sender)| {
            (self.places.contains(place), sender.window.len() > 0, sender.last_heard_ms)
        };
        self.senders.iter().enumerate().min_by_key(rank).map_or(0, |(place, _)| place)
    }
}

impl Sender {
    fn new(name: Arc<str>, window_eids: usize) -> Self {
        let window = Window::new(window_eids);
        Self { name, last_heard_ms: InstantMs::MIN, lines: 0, duplicates: 0, window }
    }

    /// Remembers what is said of a row; `false` if all of it was said before.
    fn take(&mut self, marks: &[Ident]) -> bool {
        let mut eids = marks.iter().filter_map(|ident| ident.marks.eid).peekable();
        if eids.peek().is_none() {
            return true;
        }
        let mut new = false;
        for eid in eids {
            new |= self.window.insert(eid);
        }
        self.duplicates += u64::from(!new);
        new
    }

    fn hear(&mut self, lines: u64, recv_ms: Option<InstantMs>) {
        self.lines += lines;
        self.last_heard_ms = self.last_heard_ms.max(recv_ms.unwrap_or(InstantMs::MIN));
    }
}

#[cfg(test)]
mod tests;
