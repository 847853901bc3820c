//! Syslog over TCP (RFC 6587) and TLS (RFC 5425): a listener and its connections, as futures that the binary spawns.
//!
//! ```text
//! while let Some(connection) = input.accept().await { spawn(connection.run()) }
//! ```
//! Back-pressure: a connection borrows from the inbox before it reads, so a full pipeline leaves the bytes in the
//! kernel and the sender waits. Refuses to know: rules, stores, how tasks are run.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use record::FormatId;
use tokio::sync::watch;

use crate::accept::{Acceptor, Arrival, down};
use crate::config::{InputContext, InputError, ListenerConfig};
use crate::inbox::{InboxClosed, MEMORY_PER_BYTE, Parcel};
use crate::ledger::Ledger;
use crate::stream::StreamDecoder;
use crate::tls::TlsServer;
use crate::wire::Wire;

/// A connection silent for so long gives back its memory, and a frame that waited for its continuation is whole.
const IDLE: Duration = Duration::from_millis(500);
/// At shutdown no connection is read for more than this: a sender that never pauses must not keep the node up.
const MAX_DRAIN_BYTES: usize = 64 << 20;

/// A listening socket.
#[derive(Debug)]
pub struct TcpInput {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ListenerConfig,
    format: Option<FormatId>,
    context: InputContext,
    ledger: Arc<Ledger>,
}

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    arrival: Arrival,
    shared: Arc<Shared>,
}

/// A connection at work.
#[derive(Debug)]
struct Session {
    wire: Wire,
    decoder: StreamDecoder,
    shutdown: watch::Receiver<bool>,
    shared: Arc<Shared>,
}

impl TcpInput {
    /// Takes the address. Within a tokio runtime.
    ///
    /// # Errors
    /// The address is taken or not ours; a configuration that cannot work.
    pub fn bind(config: &ListenerConfig, context: &InputContext) -> Result<Self, InputError> {
        let format = config.check(&context.formats)?;
        let ledger = Arc::new(Ledger::new(config.name.as_str().into()));
        let acceptor = Acceptor::bind(config, context, Arc::clone(&ledger))?;
        let shared = Arc::new(Shared { config: config.clone(), format, context: context.clone(), ledger });
        Ok(Self { acceptor, shared })
    }

    /// Where it listens (the real port when port 0 was asked for).
    pub fn local_addr(&self) -> SocketAddr {
        self.acceptor.local_addr()
    }

    /// Its counters.
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.shared.ledger)
    }

    /// Its TLS side, if it has one.
    pub fn tls(&self) -> Option<Arc<TlsServer>> {
        self.acceptor.tls().cloned()
    }

    /// The next connection within the bounds; `None` when the node shuts down and all that waited were accepted.
    pub async fn accept(&mut self) -> Option<Connection> {
        let arrival = self.acceptor.accept().await?;
        Some(Connection { arrival, shared: Arc::clone(&self.shared) })
    }
}

impl Connection {
    /// Reads until the sender closes, the connection breaks or the node shuts down. Never fails: what went wrong
    /// is in the ledger.
    pub async fn run(self) {
        let Self { arrival, shared } = self;
        let Some(wire) = arrival.open().await else { return };
        let source = format!("{}/{}", shared.config.name, wire.peer()).into();
        let formats = Arc::clone(&shared.context.formats);
        let decoder = StreamDecoder::new(formats, shared.format, shared.config.max_frame_bytes, source);
        let shutdown = shared.context.shutdown.clone();
        let mut session = Session { wire, decoder, shutdown, shared };
        // An inbox that is closed ends the connection: there is nobody to read for.
        while let Ok(true) = session.turn().await {}
    }
}

/// Why a connection woke.
enum Woken {
    Readable(io::Result<()>),
    Idle,
    Shutdown,
}

/// What a read brought.
#[derive(Debug, Clone, Copy)]
enum Brought {
    Bytes(usize),
    Nothing,
    End,
}

impl Session {
    /// One turn; `false` at the end of the connection.
    async fn turn(&mut self) -> Result<bool, InboxClosed> {
        let brought = match self.woken().await {
            Woken::Shutdown => return self.drain().await.map(|()| false),
            Woken::Idle => {
                let mut parcel = self.borrow(1).await?;
                self.decoder.idle(&mut parcel.batch);
                return self.hand_over(parcel).map(|()| true);
            }
            Woken::Readable(Err(error)) => Err(error),
            Woken::Readable(Ok(())) => Ok(Brought::Nothing),
        };
        let space = self.decoder.space().len();
        let mut parcel = self.borrow(space).await?;
        let brought = brought.and_then(|_| outcome(self.wire.try_read(self.decoder.space())));
        self.take(&brought, &mut parcel);
        self.hand_over(parcel)?;
        Ok(!matches!(brought, Ok(Brought::End) | Err(_)))
    }

    async fn woken(&mut self) -> Woken {
        let wants_idle = self.decoder.wants_idle();
        tokio::select! {
            biased;
            () = down(&mut self.shutdown) => Woken::Shutdown,
            ready = self.wire.readable() => Woken::Readable(ready),
            () = tokio::time::sleep(IDLE), if wants_idle => Woken::Idle,
        }
    }

    /// Borrows for as much as the next read may bring.
    async fn borrow(&self, read_bytes: usize) -> Result<Parcel, InboxClosed> {
        let Shared { context, ledger, .. } = &*self.shared;
        context.inbox.lend(read_bytes * MEMORY_PER_BYTE, ledger).await
    }

    /// Decodes what a read brought.
    fn take(&mut self, brought: &io::Result<Brought>, parcel: &mut Parcel) {
        let recv_ms = (self.shared.context.clock)();
        match brought {
            Ok(Brought::Bytes(read)) => self.decoder.filled(*read, recv_ms, &mut parcel.batch),
            Ok(Brought::Nothing) => {}
            Ok(Brought::End) => self.decoder.finish(recv_ms, &mut parcel.batch),
            Err(error) => {
                self.shared.ledger.read_error();
                tracing::debug!(input = %self.shared.config.name, peer = %self.wire.peer(), %error, "connection broke");
                self.decoder.finish(recv_ms, &mut parcel.batch);
            }
        }
    }

    /// Takes what the kernel already holds, without waiting for more.
    async fn drain(&mut self) -> Result<(), InboxClosed> {
        let mut drained = 0;
        loop {
            let space = self.decoder.space().len();
            let mut parcel = self.borrow(space).await?;
            let brought = outcome(self.wire.read_now(self.decoder.space()));
            if let Ok(Brought::Bytes(read)) = brought
                && drained < MAX_DRAIN_BYTES
            {
                drained += read;
                self.take(&brought, &mut parcel);
                self.hand_over(parcel)?;
                tokio::task::yield_now().await;
                continue;
            }
            self.take(&brought, &mut parcel);
            let recv_ms = (self.shared.context.clock)();
            self.decoder.finish(recv_ms, &mut parcel.batch);
            return self.hand_over(parcel);
        }
    }

    /// Sends on what the decoder made, and counts.
    fn hand_over(&mut self, parcel: Parcel) -> Result<(), InboxClosed> {
        let (read, decoded) = self.decoder.take_counts();
        self.shared.context.inbox.hand_over(parcel, &read, decoded)
    }
}

fn outcome(read: io::Result<usize>) -> io::Result<Brought> {
    match read {
        Ok(0) => Ok(Brought::End),
        Ok(read) => Ok(Brought::Bytes(read)),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(Brought::Nothing)
        }
        Err(e) => Err(e),
    }
}
