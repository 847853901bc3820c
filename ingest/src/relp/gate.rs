//! Whether new sessions are taken: not while messages of an ended one still wait for the journal.
//!
//! A sender that cannot connect suspends and keeps its messages in its own queue, on its own disk; one that is connected
//! and gets no answers holds a window of them in memory. Refuses to know: sockets.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// Sessions that were ended because nothing was made durable for too long: what each of them waited for.
#[derive(Debug, Default)]
pub(super) struct Gate {
    stalled: Mutex<Vec<Stalled>>,
}

/// What a session waited for.
#[derive(Debug)]
pub(super) enum Stalled {
    /// That a parcel becomes durable.
    Parcel(oneshot::Receiver<()>),
    /// Room in the inbox.
    Room,
}

impl Gate {
    /// A session ended. No more are taken until what it waited for has come.
    pub(super) fn shut(&self, stalled: Stalled) {
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner).push(stalled);
    }

    /// Whether sessions are taken. `has_room`: the inbox lends.
    pub(super) fn is_open(&self, has_room: bool) -> bool {
        let mut stalled = self.stalled.lock().unwrap_or_else(PoisonError::into_inner);
        stalled.retain_mut(|stalled| match stalled {
            Stalled::Parcel(durable) => matches!(durable.try_recv(), Err(TryRecvError::Empty)),
            Stalled::Room => !has_room,
        });
        stalled.is_empty()
    }
}
