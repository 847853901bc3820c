//! Who sends, and what is known of it: lines sent again are recognised by their ids, numbers that are missing are
//! noticed, silence too.
//!
//! A sender is an authenticated name (from its certificate) or else an address: what stands behind `INPUT/` in the
//! source of a row, whichever input it came by; never the HOSTNAME in a message, which anybody can write. The journal's
//! thread alone owns [`Senders`]: one place, one order. Refuses to know: sockets, threads, clocks (time is passed in).

mod ident;
mod replay;
mod sender;
mod sequence;
mod snapshot;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use record::{Batch, InstantMs};

pub use ident::{Ident, Marks};
use sender::Sender;
pub use sender::SenderView;
pub use sequence::{FILL_MS, Gap};
pub use snapshot::{FrozenSenders, Restored, SnapshotError};
pub use window::WINDOW_EIDS;

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
    /// Since when this node listens.
    since_ms: InstantMs,
}

/// All senders at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendersView {
    /// In no order.
    pub senders: Vec<SenderView>,
    /// Senders forgotten because there were too many.
    pub forgotten: u64,
}

impl Default for Senders {
    fn default() -> Self {
        Self::new(&SendersConfig::default())
    }
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
            since_ms: InstantMs::MIN,
        }
    }

    /// The node listens from now on: whoever was silent or owed a line while it was away has time until it is late
    /// again.
    pub fn resume(&mut self, now_ms: InstantMs) {
        self.since_ms = now_ms;
        self.senders.iter_mut().for_each(|sender| sender.sequence.resume(now_ms));
    }

    /// Counts as missing the numbers that did not come in time. Call it each second or so.
    pub fn tick(&mut self, now_ms: InstantMs) {
        for sender in &mut self.senders {
            let missing = sender.sequence.expire(now_ms);
            if missing > 0 {
                tracing::warn!(sender = %sender.name, missing, "lines that were numbered and sent did not come");
            }
        }
    }

    /// For pages and metrics.
    pub fn view(&self, now_ms: InstantMs) -> SendersView {
        let silent_after_ms = self.silent_after_ms();
        let view = |sender: &Sender| sender.view(now_ms, self.since_ms, silent_after_ms);
        SendersView { senders: self.senders.iter().map(view).collect(), forgotten: self.forgotten }
    }

    fn silent_after_ms(&self) -> Option<i64> {
        let seconds = self.config.silent_after_seconds;
        (seconds > 0).then(|| i64::from(seconds) * 1_000)
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
            let said = |sender: &mut Sender| !sender.take(marks, batch.rows[row].recv_ms.unwrap_or_default());
            if !marks.is_empty() && sender.is_some_and(said) {
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

    /// Counts lines and notes when they came. A row at a time only where one batch has lines of several.
    fn hear(&mut self, batch: &Batch) {
        let silent_after_ms = self.silent_after_ms();
        let mut hear = |source: usize, lines, recv_ms: Option<InstantMs>| {
            let Some(sender) = self.places.get(source).and_then(|place| self.senders.get_mut(*place)) else {
                return;
            };
            sender.hear(&batch.sources[source], lines, recv_ms.unwrap_or_default(), silent_after_ms);
        };
        match (&batch.sources[..], batch.rows.last()) {
            ([_], Some(last)) => hear(0, batch.rows.len() as u64, last.recv_ms),
            _ => batch.rows.iter().for_each(|row| hear(usize::from(row.source), 1, row.recv_ms)),
        }
    }

    /// Where the sender of a source is; it is made if it is new.
    fn place(&mut self, source: &str) -> usize {
        let name = sender::parts(source).1;
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

#[cfg(test)]
mod tests;
