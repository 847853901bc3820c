//! A bound stream listener: accepts within the bounds, counts what it refuses, opens what it accepted.
//!
//! ```text
//! let mut acceptor = Acceptor::bind(config, context, ledger)?;
//! while let Some(arrival) = acceptor.accept().await { spawn(async { let wire = arrival.open().await?; ... }) }
//! ```
//! [`Arrival::open`] runs in the connection's own task, so that nobody's handshake keeps others waiting. A [`Wire`]
//! holds its place among the allowed connections and gives it back on drop. Refuses to know: what is said on the wire.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::config::{InputContext, InputError, ListenerConfig};
use crate::ledger::Ledger;
use crate::tls::TlsServer;
use crate::wire::{Peer, Wire};

/// Pause after the system refused a connection (no file descriptors, say), doubled each time in a row up to
/// [`ACCEPT_PAUSE_MAX`].
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The longest of these pauses.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A listening socket with its bounds.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: Listener,
    local_addr: SocketAddr,
    shutdown: watch::Receiver<bool>,
    /// After the last accept failed: how long to wait before the next.
    pause: Option<Duration>,
    places: Arc<Places>,
    tls: Option<Arc<TlsServer>>,
}

#[derive(Debug)]
enum Listener {
    Open(TcpListener),
    /// Shutting down: only what already waits to be accepted.
    Backlog(std::net::TcpListener),
    Closed,
}

/// The bounds, and who holds places now.
#[derive(Debug)]
struct Places {
    input: String,
    max_connections: usize,
    max_connections_per_peer: usize,
    ledger: Arc<Ledger>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// A place among the allowed connections, given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
    places: Arc<Places>,
}

/// An accepted connection on which nothing was said yet.
#[derive(Debug)]
pub(crate) struct Arrival {
    stream: TcpStream,
    place: Place,
    tls: Option<Arc<TlsServer>>,
    shutdown: watch::Receiver<bool>,
}

impl Acceptor {
    /// Reads the TLS files if there are any and takes the address. Within a tokio runtime.
    ///
    /// # Errors
    /// The address is taken or not ours; TLS files that cannot be used.
    pub(crate) fn bind(
        config: &ListenerConfig,
        context: &InputContext,
        ledger: Arc<Ledger>,
    ) -> Result<Self, InputError> {
        let tls = match &config.tls {
            Some(tls) => Some(Arc::new(TlsServer::load(&config.name, tls, &context.clock, &ledger)?)),
            None => None,
        };
        let fail = |source| InputError::Bind { name: config.name.clone(), address: config.address, source };
        let listener = std::net::TcpListener::bind(config.address).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        if let Some(bytes) = config.receive_buffer_bytes {
            // Connections inherit it.
            setsockopt(&listener, sockopt::RcvBuf, &bytes).map_err(|e| fail(e.into()))?;
        }
        let local_addr = listener.local_addr().map_err(fail)?;
        let listener = Listener::Open(TcpListener::from_std(listener).map_err(fail)?);
        let places = Arc::new(Places {
            input: config.name.clone(),
            max_connections: config.max_connections,
            max_connections_per_peer: config.max_connections_per_peer.max(1),
            ledger,
            taken: Mutex::default(),
        });
        Ok(Self { listener, local_addr, shutdown: context.shutdown.clone(), pause: None, places, tls })
    }

    /// Where it listens (the real port when port 0 was asked for).
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Its TLS side, if it has one.
    pub(crate) fn tls(&self) -> Option<&Arc<TlsServer>> {
        self.tls.as_ref()
    }

    /// The next connection within the bounds; `None` when the node shuts down and all that waited were accepted.
    pub(crate) async fn accept(&mut self) -> Option<Arrival> {
        loop {
            let accepted = match &self.listener {
                Listener::Open(listener) => tokio::select! {
                    biased;
                    () = down(&mut self.shutdown) => {
                        self.close();
                        continue;
                    }
                    accepted = paused(self.pause, listener) => accepted,
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
                    self.pause = None;
                    if let Some(place) = Places::take(&self.places, peer.ip().to_canonical()) {
                        keep_alive(&stream);
                        // Answers are small and waited for. If it cannot be set, they are slow.
                        stream.set_nodelay(true).ok();
                        let (tls, shutdown) = (self.tls.clone(), self.shutdown.clone());
                        return Some(Arrival { stream, place, tls, shutdown });
                    }
                }
                Err(error) => {
                    self.failed(&error);
                    if let Listener::Backlog(_) = self.listener {
                        return None;
                    }
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

    fn failed(&mut self, error: &io::Error) {
        self.places.ledger.accept_error();
        let pause = self.pause.map_or(ACCEPT_PAUSE, |pause| (pause * 2).min(ACCEPT_PAUSE_MAX));
        self.pause = Some(pause);
        tracing::warn!(input = %self.places.input, %error, ?pause, "cannot accept a connection");
    }
}

impl Places {
    fn take(this: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = this.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let Taken { total, by_peer } = &mut *taken;
        let of_peer = by_peer.get(&address).copied().unwrap_or_default();
        if *total >= this.max_connections || of_peer >= this.max_connections_per_peer {
            this.ledger.connection_refused();
            tracing::debug!(input = %this.input, peer = %address, "connection refused: too many");
            return None;
        }
        by_peer.insert(address, of_peer + 1);
        *total += 1;
        this.ledger.connection_opened();
        Some(Place { address, places: Arc::clone(this) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        if let Some(of_peer) = taken.by_peer.get_mut(&self.address) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.by_peer.remove(&self.address);
            }
        }
        self.places.ledger.connection_closed();
    }
}

impl Arrival {
    /// Makes the connection ready for talk: at once over plain TCP, after the handshake over TLS. `None`: it did not
    /// come to that; why is counted.
    pub(crate) async fn open(self) -> Option<Wire> {
        let Self { stream, place, tls, mut shutdown } = self;
        let address = place.address;
        let Some(tls) = tls else {
            return Some(Wire::plain(stream, Peer { address, name: None }, place));
        };
        // Before its end nothing was received: at shutdown there is nothing to take.
        let (stream, name) = tokio::select! {
            biased;
            done = tls.handshake(stream, address) => done?,
            () = down(&mut shutdown) => return None,
        };
        Some(Wire::tls(stream, Peer { address, name }, place))
    }
}

/// Waits until the node shuts down (or nobody is left to say so).
pub(crate) async fn down(shutdown: &mut watch::Receiver<bool>) {
    shutdown.wait_for(|down| *down).await.map(drop).ok();
}

async fn paused(pause: Option<Duration>, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
    }
    listener.accept().await
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
