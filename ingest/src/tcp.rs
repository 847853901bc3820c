//! Syslog over TCP (RFC 6587): a listener and its connections, as futures that the binary spawns.
//!
//! ```text
//! while let Some(connection) = input.accept().await { spawn(connection.run()) }
//! ```
//! Back-pressure: a connection borrows from the inbox before it reads, so a full pipeline leaves the bytes in the
//! kernel and the sender waits. Refuses to know: rules, stores, how tasks are run.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use record::FormatId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::config::{InputContext, InputError, ListenerConfig};
use crate::inbox::{InboxClosed, MEMORY_PER_BYTE, Parcel};
use crate::ledger::{Dropped, Ledger};
use crate::stream::{End, StreamDecoder};

/// A connection silent for so long gives back its memory, and a frame that waited for its continuation is whole.
const IDLE: Duration = Duration::from_millis(500);
/// At shutdown no connection is read for more than this: a sender that never pauses must not keep the node up.
const MAX_DRAIN_BYTES: usize = 64 << 20;
/// Pause after the system refused a connection (no file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket.
#[derive(Debug)]
pub struct TcpInput {
    listener: Listener,
    local_addr: SocketAddr,
    shutdown: watch::Receiver<bool>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Listener {
    Open(TcpListener),
    /// Shutting down: only what already waits to be accepted.
    Backlog(std::net::TcpListener),
    Closed,
}

#[derive(Debug)]
struct Shared {
    config: ListenerConfig,
    format: Option<FormatId>,
    context: InputContext,
    ledger: Arc<Ledger>,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    decoder: StreamDecoder,
    shutdown: watch::Receiver<bool>,
    place: Place,
}

/// A place among the allowed connections, given back on drop.
#[derive(Debug)]
struct Place {
    peer: IpAddr,
    shared: Arc<Shared>,
}

impl TcpInput {
    /// Takes the address. Within a tokio runtime.
    ///
    /// # Errors
    /// The address is taken or not ours; a configuration that cannot work.
    pub fn bind(config: &ListenerConfig, context: &InputContext) -> Result<Self, InputError> {
        let format = config.check(&context.formats)?;
        let fail = |source| InputError::Bind { name: config.name.clone(), address: config.address, source };
        let listener = std::net::TcpListener::bind(config.address).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        if let Some(bytes) = config.receive_buffer_bytes {
            // Connections inherit it.
            setsockopt(&listener, sockopt::RcvBuf, &bytes).map_err(|e| fail(e.into()))?;
        }
        let local_addr = listener.local_addr().map_err(fail)?;
        let shared = Arc::new(Shared {
            config: config.clone(),
            format,
            context: context.clone(),
            ledger: Arc::new(Ledger::new(config.name.as_str().into())),
            connections: Mutex::default(),
        });
        let listener = Listener::Open(TcpListener::from_std(listener).map_err(fail)?);
        Ok(Self { listener, local_addr, shutdown: context.shutdown.clone(), shared })
    }

    /// Where it listens (the real port when port 0 was asked for).
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Its counters.
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.shared.ledger)
    }

    /// The next connection within the bounds; `None` when the node shuts down and all that waited were accepted.
    pub async fn accept(&mut self) -> Option<Connection> {
        loop {
            let accepted = match &self.listener {
                Listener::Open(listener) => tokio::select! {
                    biased;
                    () = down(&mut self.shutdown) => {
                        self.close();
                        continue;
                    }
                    accepted = listener.accept() => accepted,
                },
                Listener::Backlog(listener) => match listener.accept() {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        self.listener = Listener::Closed;
                        return None;
                    }
                    accepted => accepted.and_then(|(stream, peer)| {
                        stream.set_nonblocking(true)?;
                        Ok((TcpStream::from_std(stream)?, peer))
                    }),
                },
                Listener::Closed => return None,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Some(connection) = self.admit(stream, peer.ip().to_canonical()) {
                        return Some(connection);
                    }
                }
                Err(error) => {
                    self.shared.ledger.accept_error();
                    tracing::warn!(input = %self.shared.config.name, %error, "cannot accept a connection");
                    if let Listener::Backlog(_) = self.listener {
                        return None;
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// From here on only what already waits is accepted.
    fn close(&mut self) {
        let listener = std::mem::replace(&mut self.listener, Listener::Closed);
        if let Listener::Open(listener) = listener
            && let Ok(listener) = listener.into_std()
        {
            self.listener = Listener::Backlog(listener);
        }
    }

    fn admit(&self, stream: TcpStream, peer: IpAddr) -> Option<Connection> {
        let Some(place) = Shared::place(&self.shared, peer) else {
            self.shared.ledger.connection_refused();
            tracing::debug!(input = %self.shared.config.name, %peer, "connection refused: too many");
            return None;
        };
        keep_alive(&stream);
        let Shared { config, context, format, .. } = &*self.shared;
        let source = format!("{}/{peer}", config.name).into();
        let formats = Arc::clone(&context.formats);
        let decoder = StreamDecoder::new(formats, *format, config.max_frame_bytes, source);
        Some(Connection { stream, peer, decoder, shutdown: self.shutdown.clone(), place })
    }
}

impl Shared {
    fn place(this: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut connections = this.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Connections { total, by_peer } = &mut *connections;
        if *total >= this.config.max_connections {
            return None;
        }
        let of_peer = by_peer.entry(peer).or_default();
        if *of_peer >= this.config.max_connections_per_peer.max(1) {
            return None;
        }
        *of_peer += 1;
        *total += 1;
        this.ledger.connection_opened();
        Some(Place { peer, shared: Arc::clone(this) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.total -= 1;
        if let Some(of_peer) = connections.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                connections.by_peer.remove(&self.peer);
            }
        }
        self.shared.ledger.connection_closed();
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

impl Connection {
    /// Who is on the other side.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Reads until the sender closes, the connection breaks or the node shuts down. Never fails: what went wrong
    /// is in the ledger.
    pub async fn run(mut self) {
        // An inbox that is closed ends the connection: there is nobody to read for.
        while let Ok(true) = self.turn().await {}
    }

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
        let brought = brought.and_then(|_| outcome(self.stream.try_read(self.decoder.space())));
        self.take(&brought, &mut parcel);
        self.hand_over(parcel)?;
        Ok(!matches!(brought, Ok(Brought::End) | Err(_)))
    }

    async fn woken(&mut self) -> Woken {
        let wants_idle = self.decoder.wants_idle();
        tokio::select! {
            biased;
            () = down(&mut self.shutdown) => Woken::Shutdown,
            ready = self.stream.readable() => Woken::Readable(ready),
            () = tokio::time::sleep(IDLE), if wants_idle => Woken::Idle,
        }
    }

    /// Borrows for as much as the next read may bring.
    async fn borrow(&self, read_bytes: usize) -> Result<Parcel, InboxClosed> {
        let Shared { context, ledger, .. } = &*self.place.shared;
        context.inbox.lend(read_bytes * MEMORY_PER_BYTE, ledger).await
    }

    /// Decodes what a read brought.
    fn take(&mut self, brought: &io::Result<Brought>, parcel: &mut Parcel) {
        let recv_ms = (self.place.shared.context.clock)();
        match brought {
            Ok(Brought::Bytes(read)) => self.decoder.filled(*read, recv_ms, &mut parcel.batch),
            Ok(Brought::Nothing) => {}
            Ok(Brought::End) => self.decoder.finish(End::Closed, recv_ms, &mut parcel.batch),
            Err(error) => {
                self.place.shared.ledger.read_error();
                tracing::debug!(input = %self.place.shared.config.name, peer = %self.peer, %error, "connection broke");
                self.decoder.finish(End::Cut, recv_ms, &mut parcel.batch);
            }
        }
    }

    /// Takes what the kernel already holds, without waiting for more.
    async fn drain(&mut self) -> Result<(), InboxClosed> {
        let mut drained = 0;
        loop {
            let space = self.decoder.space().len();
            let mut parcel = self.borrow(space).await?;
            let brought = outcome(read_now(&self.stream, self.decoder.space()));
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
            let recv_ms = (self.place.shared.context.clock)();
            self.decoder.finish(End::Cut, recv_ms, &mut parcel.batch);
            return self.hand_over(parcel);
        }
    }

    /// Sends the rows on, if there are any, and counts.
    fn hand_over(&mut self, mut parcel: Parcel) -> Result<(), InboxClosed> {
        let ledger = &self.place.shared.ledger;
        let (read, decoded) = self.decoder.take_counts();
        ledger.add_read(&read, decoded);
        let records = parcel.batch.rows.len() as u64;
        if records == 0 {
            return Ok(());
        }
        parcel.settle();
        let sent = self.place.shared.context.inbox.send(parcel);
        match sent {
            Ok(()) => ledger.add_handed_over(records),
            Err(InboxClosed) => ledger.add_dropped(Dropped::Queue, records),
        }
        sent
    }
}

/// Waits until the node shuts down (or nobody is left to say so).
async fn down(shutdown: &mut watch::Receiver<bool>) {
    shutdown.wait_for(|down| *down).await.map(drop).ok();
}

/// Reads past the runtime, whose own view of readiness may lag behind the kernel's.
fn read_now(stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    Ok(recv(stream.as_raw_fd(), space, MsgFlags::MSG_DONTWAIT)?)
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

/// Detects peers that vanished without a word; an idle connection is legal for ever.
fn keep_alive(stream: &TcpStream) {
    let set = setsockopt(stream, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepIdle, &60))
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepInterval, &10))
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepCount, &6));
    if let Err(error) = set {
        tracing::debug!(%error, "cannot set TCP keepalive");
    }
}
