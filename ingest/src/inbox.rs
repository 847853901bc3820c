//! The bounded hand-off from listeners to the journal thread.
//!
//! A listener borrows a [`Parcel`] before it reads from its socket; the parcel travels through the journal, the
//! judge and the trace store and gives its share of the budget and its memory back when it is dropped there. So the
//! budget bounds everything in flight, and when it is used up listeners stop reading: TCP and RELP senders wait, UDP
//! overflows in the kernel and is counted there. Refuses to know: what the bytes are, and who consumes them.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use record::{Batch, DecodeCounts, Row, Span};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::ledger::{Ledger, ReadCounts};
use crate::senders::{Ident, Marks};

/// Bounds of the hand-off.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct InboxConfig {
    /// Memory of all batches between the sockets and the trace store. When it is used up, inputs stop reading.
    pub budget_bytes: usize,
    /// At most so many batches are in flight.
    pub max_parcels: usize,
    /// Name of the structured data element in which senders give `eid` and `seq`.
    pub ident_element: String,
}

impl Default for InboxConfig {
    fn default() -> Self {
        Self { budget_bytes: 64 << 20, max_parcels: 1024, ident_element: "lc@32473".to_owned() }
    }
}

/// Memory that a batch takes for each byte read from a socket: the frame itself, and for a line of 66 columns about
/// as much again for its spans and its row.
pub const MEMORY_PER_BYTE: usize = 3;
/// Batches with more memory than this are not kept for reuse.
const KEEP_BATCH_BYTES: usize = 4 << 20;

/// The listeners' side. Clones share one budget.
#[derive(Debug, Clone)]
pub struct Inbox {
    shared: Arc<Shared>,
    sender: SyncSender<Parcel>,
}

/// The journal thread's side.
#[derive(Debug)]
pub struct InboxReceiver {
    receiver: Receiver<Parcel>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: InboxConfig,
    bytes: Arc<Semaphore>,
    parcels: Arc<Semaphore>,
    /// Memory to be used again: the first touch of a page costs more than reading a line into it.
    pool: Mutex<Pool>,
    waits: AtomicU64,
}

/// Batches at rest, with the lists of what senders say of their rows.
#[derive(Debug, Default)]
struct Pool {
    batches: Vec<(Batch, Vec<Ident>)>,
    /// Memory that they have taken.
    bytes: usize,
}

/// The other side is gone: the process is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the inbox is closed: the process is ending")]
pub struct InboxClosed;

/// A batch on its way, with its share of the budget.
#[derive(Debug)]
pub struct Parcel {
    /// The records.
    pub batch: Batch,
    /// What senders say of the rows as they were handed over (see [`Inbox::hand_over`]); in the order of rows, empty
    /// where senders say nothing.
    pub idents: Vec<Ident>,
    /// Frames that were taken out because they repeat what the journal holds, or will hold before this parcel is
    /// durable. Counted as duplicate with the commit.
    pub repeated: u64,
    ledger: Arc<Ledger>,
    durable: Option<oneshot::Sender<()>>,
    shared: Arc<Shared>,
    bytes: Option<OwnedSemaphorePermit>,
    _parcel: OwnedSemaphorePermit,
}

/// Makes the two sides.
pub fn inbox(config: &InboxConfig) -> (Inbox, InboxReceiver) {
    let max_parcels = config.max_parcels.max(1);
    let shared = Arc::new(Shared {
        config: config.clone(),
        bytes: Arc::new(Semaphore::new(config.budget_bytes.min(u32::MAX as usize))),
        parcels: Arc::new(Semaphore::new(max_parcels)),
        pool: Mutex::default(),
        waits: AtomicU64::new(0),
    });
    // Every parcel holds a permit, so the channel is never full.
    let (sender, receiver) = sync_channel(max_parcels);
    (Inbox { shared: Arc::clone(&shared), sender }, InboxReceiver { receiver, shared })
}

impl Inbox {
    /// Waits until `bytes` of the budget are free (a greater wish than the whole budget counts as the whole) and
    /// lends an empty parcel. Ask before reading; [`Parcel::settle`] gives back what was asked for in excess.
    ///
    /// # Errors
    /// The receiver is gone.
    pub async fn lend(&self, bytes: usize, ledger: &Arc<Ledger>) -> Result<Parcel, InboxClosed> {
        let wish = self.wish(bytes);
        if self.shared.bytes.available_permits() < wish as usize
            || self.shared.parcels.available_permits() == 0
        {
            self.shared.waits.fetch_add(1, Ordering::Relaxed);
        }
        // Parcel first: who holds bytes never waits for a parcel held by somebody who waits for bytes, since the
        // order is the same for all.
        let parcel = Arc::clone(&self.shared.parcels).acquire_owned().await.map_err(|_| InboxClosed)?;
        let bytes = Arc::clone(&self.shared.bytes).acquire_many_owned(wish).await.map_err(|_| InboxClosed)?;
        let (batch, idents) = self.shared.pool.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (ledger, shared, bytes) = (Arc::clone(ledger), Arc::clone(&self.shared), Some(bytes));
        Ok(Parcel { batch, idents, repeated: 0, ledger, durable: None, shared, bytes, _parcel: parcel })
    }

    /// [`Inbox::lend`] for threads. Asks `give_up` each `poll` while it waits; `None` when that says yes.
    ///
    /// # Errors
    /// The receiver is gone.
    pub fn lend_blocking(
        &self,
        bytes: usize,
        ledger: &Arc<Ledger>,
        poll: Duration,
        give_up: impl Fn() -> bool,
    ) -> Result<Option<Parcel>, InboxClosed> {
        let mut lend = pin!(self.lend(bytes, ledger));
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match lend.as_mut().poll(&mut context) {
                Poll::Ready(lent) => return lent.map(Some),
                Poll::Pending if give_up() => return Ok(None),
                Poll::Pending => std::thread::park_timeout(poll),
            }
        }
    }

    /// The end of a listener's turn: counts what it read and hands over what it made of that, if anything: rows,
    /// frames recognised as sent again, or somebody who waits to be told.
    ///
    /// # Errors
    /// The receiver is gone; the records are counted as dropped.
    pub fn hand_over(
        &self,
        mut parcel: Parcel,
        read: &ReadCounts,
        decoded: DecodeCounts,
    ) -> Result<(), InboxClosed> {
        let ledger = Arc::clone(&parcel.ledger);
        let records = parcel.batch.rows.len() as u64 + parcel.repeated;
        // Before it is sent: what is stored has been handed over.
        ledger.add_read(read, decoded, records);
        if records == 0 && parcel.durable.is_none() {
            return Ok(());
        }
        parcel.identify();
        parcel.settle();
        let sent = self.pass(parcel);
        if sent.is_err() {
            ledger.add_not_handed_over(records);
        }
        sent
    }

    /// Reads what senders say of their lines, and hands a parcel over without counting. Never waits: whoever holds a
    /// parcel has its place.
    ///
    /// # Errors
    /// The receiver is gone.
    pub fn send(&self, mut parcel: Parcel) -> Result<(), InboxClosed> {
        parcel.identify();
        self.pass(parcel)
    }

    fn pass(&self, parcel: Parcel) -> Result<(), InboxClosed> {
        self.sender.try_send(parcel).map_err(|refused| match refused {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => InboxClosed,
        })
    }

    /// Memory in flight, in bytes of the budget.
    pub fn in_flight_bytes(&self) -> usize {
        self.shared.in_flight_bytes()
    }

    /// How often a listener had to wait for the budget.
    pub fn waits(&self) -> u64 {
        self.shared.waits.load(Ordering::Relaxed)
    }

    fn wish(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.clamp(1, self.shared.config.budget_bytes.max(1))).unwrap_or(u32::MAX)
    }
}

impl InboxReceiver {
    /// Waits for a parcel.
    ///
    /// # Errors
    /// `Timeout` when none came; `Disconnected` when all listeners are gone and nothing is left.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Parcel, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }

    /// Takes a parcel if one is there.
    ///
    /// # Errors
    /// `Empty`; `Disconnected` when all listeners are gone and nothing is left.
    pub fn try_recv(&self) -> Result<Parcel, TryRecvError> {
        self.receiver.try_recv()
    }

    /// Memory in flight, in bytes of the budget.
    pub fn in_flight_bytes(&self) -> usize {
        self.shared.in_flight_bytes()
    }
}

impl Drop for InboxReceiver {
    fn drop(&mut self) {
        // Whoever waits to read learns that nobody takes it any more.
        self.shared.bytes.close();
        self.shared.parcels.close();
    }
}

impl Shared {
    fn in_flight_bytes(&self) -> usize {
        self.config.budget_bytes.min(u32::MAX as usize).saturating_sub(self.bytes.available_permits())
    }
}

impl Parcel {
    /// Whose input it came from; whoever ends its way counts there.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Reads `eid` and `seq` of the rows that have structured data.
    fn identify(&mut self) {
        let Self { batch, idents, shared, .. } = self;
        let element = shared.config.ident_element.as_bytes();
        idents.clear();
        for (row, described) in batch.rows.iter().enumerate() {
            let Span { start, end } = described.structured_data;
            if start < end {
                let marks = Marks::read(batch.slice(described.structured_data), element);
                if !marks.is_empty() {
                    idents.push(Ident { row: row as u32, marks });
                }
            }
        }
    }

    /// Gives back what was borrowed beyond the memory that the batch really takes. Call it once it is filled.
    pub fn settle(&mut self) {
        let Some(held) = &mut self.bytes else { return };
        let taken = memory(&self.batch) + self.idents.len() * size_of::<Ident>();
        let surplus = held.num_permits().saturating_sub(taken.max(1));
        drop(held.split(surplus));
    }

    /// Takes over the rows of a parcel that came after this one, and its share of the budget. Neither was handed over.
    pub(crate) fn absorb(&mut self, mut other: Parcel) {
        for row in 0..other.batch.rows.len() {
            self.batch.copy_row(&other.batch, row);
        }
        self.repeated += other.repeated;
        match (&mut self.bytes, other.bytes.take()) {
            (Some(held), Some(more)) => held.merge(more),
            (none, more) => *none = more,
        }
        self.settle();
    }

    /// Asks to be told when the batch is durable. An error there means that it never will be: do not acknowledge.
    pub fn when_durable(&mut self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.durable = Some(sender);
        receiver
    }

    /// Called by the journal thread after the commit that holds the batch: tells whoever waits for it.
    pub fn durable(&mut self) {
        if let Some(sender) = self.durable.take() {
            // The connection may be gone; its sender will resend, and that is recognised.
            sender.send(()).ok();
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let (mut batch, mut idents) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.idents));
        batch.clear();
        idents.clear();
        let bytes = capacity(&batch, &idents);
        let mut pool = self.shared.pool.lock().unwrap_or_else(PoisonError::into_inner);
        // Half of the budget is enough at rest.
        if bytes > 0 && bytes <= KEEP_BATCH_BYTES && pool.bytes + bytes <= self.shared.config.budget_bytes / 2
        {
            pool.bytes += bytes;
            pool.batches.push((batch, idents));
        }
    }
}

impl Pool {
    fn take(&mut self) -> (Batch, Vec<Ident>) {
        let (batch, idents) = self.batches.pop().unwrap_or_default();
        self.bytes -= capacity(&batch, &idents);
        (batch, idents)
    }
}

/// Bytes of memory that a batch uses.
fn memory(batch: &Batch) -> usize {
    batch.bytes.len() + batch.rows.len() * size_of::<Row>() + batch.spans.len() * size_of::<Span>()
}

/// Bytes of memory that a batch at rest has taken.
fn capacity(batch: &Batch, idents: &Vec<Ident>) -> usize {
    batch.bytes.capacity()
        + batch.rows.capacity() * size_of::<Row>()
        + batch.spans.capacity() * size_of::<Span>()
        + idents.capacity() * size_of::<Ident>()
}

/// Wakes a thread that waits in [`Inbox::lend_blocking`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests;
