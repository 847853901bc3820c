//! RELP, the reliable event logging protocol of rsyslog, over TCP or TLS: a listener and its sessions, as futures that
//! the binary spawns.
//!
//! ```text
//! while let Some(connection) = input.accept().await { spawn(connection.run()) }
//! ```
//! A message is acknowledged after the commit of the journal that holds it and never before, in the order of arrival;
//! so whatever happens, its sender either knows that it is kept or sends it again. One `syslog` frame is one message.
//! Refuses to know: rules, stores, how tasks are run.

mod buffer;
mod connection;
#[doc(hidden)]
pub mod frame;
mod gate;
mod head;
mod link;
#[doc(hidden)]
pub mod offers;
mod payload;
#[doc(hidden)]
pub mod session;
mod tail;
mod tails;
mod window;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use record::FormatId;
use tokio::time::timeout;

use crate::accept::{Acceptor, Arrival};
use crate::config::{InputContext, InputError, ListenerConfig};
use crate::ledger::Ledger;
use crate::tls::TlsServer;
use gate::Gate;
pub use tails::Tails;

/// A listening socket for RELP.
#[derive(Debug)]
pub struct RelpInput {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

/// What all connections of an input share.
#[derive(Debug)]
struct Shared {
    config: ListenerConfig,
    format: Option<FormatId>,
    context: InputContext,
    ledger: Arc<Ledger>,
    gate: Gate,
}

/// An accepted connection.
#[derive(Debug)]
pub struct RelpConnection {
    arrival: Arrival,
    shared: Arc<Shared>,
}

impl RelpInput {
    /// Takes the address. Within a tokio runtime.
    ///
    /// # Errors
    /// The address is taken or not ours; a configuration that cannot work.
    pub fn bind(config: &ListenerConfig, context: &InputContext) -> Result<Self, InputError> {
        let format = config.check(&context.formats)?;
        let ledger = Arc::new(Ledger::new(config.name.as_str().into()));
        let acceptor = Acceptor::bind(config, context, Arc::clone(&ledger))?;
        let (config, context) = (config.clone(), context.clone());
        let shared = Arc::new(Shared { config, format, context, ledger, gate: Gate::default() });
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

    /// The next connection within the bounds; `None` when the node shuts down and all that waited were accepted. While
    /// the journal makes nothing durable connections are closed at once, so that senders spool.
    pub async fn accept(&mut self) -> Option<RelpConnection> {
        loop {
            let arrival = self.acceptor.accept().await?;
            let Shared { gate, context, ledger, .. } = &*self.shared;
            // Ready at once or not at all.
            let has_room = timeout(Duration::ZERO, context.inbox.lend(1, ledger)).await.is_ok();
            if gate.is_open(has_room) {
                return Some(RelpConnection { arrival, shared: Arc::clone(&self.shared) });
            }
            ledger.connection_refused();
        }
    }
}

impl RelpConnection {
    /// Serves until the sender closes, the connection breaks or the node shuts down. Never fails: what went wrong is in
    /// the ledger.
    pub async fn run(self) {
        let Self { arrival, shared } = self;
        let Some(wire) = arrival.open().await else { return };
        let source = format!("{}/{}", shared.config.name, wire.peer()).into();
        connection::Connection::new(wire, source, shared).run().await;
    }
}

#[cfg(test)]
mod tests;
