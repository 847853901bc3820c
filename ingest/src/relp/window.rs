//! What a session handed over and has not acknowledged yet, oldest first.
//!
//! Refuses to know: what was handed over.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::sync::oneshot;

/// Parcels of one session that may be on their way to the journal.
const PARCELS_MAX: usize = 64;
/// Bytes of them. A session that has more under way is not read.
const BYTES_MAX: usize = 4 << 20;

/// Parcels under way.
#[derive(Debug, Default)]
pub(super) struct Window {
    parcels: VecDeque<Pending>,
    bytes: usize,
}

#[derive(Debug)]
struct Pending {
    durable: oneshot::Receiver<()>,
    messages: u64,
    bytes: usize,
    since_ms: u64,
}

/// The journal will never hold what waits: the process is ending. Acknowledge nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NeverDurable;

impl Window {
    /// A parcel was handed over that stands for so many messages.
    pub(super) fn push(&mut self, durable: oneshot::Receiver<()>, messages: u64, bytes: usize, now_ms: u64) {
        self.bytes += bytes;
        self.parcels.push_back(Pending { durable, messages, bytes, since_ms: now_ms });
    }

    /// Messages that made no rows: answered behind those before them. `false`: there are none before them.
    pub(super) fn attach(&mut self, messages: u64) -> bool {
        let last = self.parcels.back_mut();
        last.map(|last| last.messages += messages).is_some()
    }

    /// Waits until the oldest parcel is durable, then takes all that are: how many messages that were. Pending for
    /// ever when nothing is under way. May be dropped and called again.
    pub(super) async fn durable(&mut self) -> Result<u64, NeverDurable> {
        poll_fn(|cx| {
            let mut messages = None;
            while let Some(oldest) = self.parcels.front_mut() {
                match Pin::new(&mut oldest.durable).poll(cx) {
                    Poll::Ready(Ok(())) => {
                        *messages.get_or_insert(0) += oldest.messages;
                        self.bytes -= oldest.bytes;
                        self.parcels.pop_front();
                    }
                    // What came before it is durable and may be said.
                    Poll::Ready(Err(_)) if messages.is_none() => return Poll::Ready(Err(NeverDurable)),
                    Poll::Ready(Err(_)) | Poll::Pending => break,
                }
            }
            messages.map_or(Poll::Pending, |messages| Poll::Ready(Ok(messages)))
        })
        .await
    }

    /// When the oldest parcel was handed over.
    pub(super) fn since_ms(&self) -> Option<u64> {
        self.parcels.front().map(|oldest| oldest.since_ms)
    }

    /// Whether no more may be handed over for now.
    pub(super) fn is_full(&self) -> bool {
        self.parcels.len() >= PARCELS_MAX || self.bytes >= BYTES_MAX
    }

    /// Gives up on all: who wants to know may wait for the oldest.
    pub(super) fn abandon(&mut self) -> Option<oneshot::Receiver<()>> {
        self.bytes = 0;
        let oldest = self.parcels.drain(..).next();
        oldest.map(|oldest| oldest.durable)
    }
}
