//! Configuration of a listener, and what every listener is given by the binary.
//!
//! Refuses to know: files and their syntax.

use std::net::SocketAddr;
use std::sync::Arc;

use record::{FormatId, FormatSet, InstantMs};
use tokio::sync::watch;

use crate::inbox::Inbox;
use crate::relp::Tails;
use crate::tls::TlsConfig;

/// How senders talk to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// One datagram is one message (RFC 5426). Nothing can be promised; losses in the kernel are counted.
    Udp,
    /// Messages ended by LF or preceded by their length, told apart message by message (RFC 6587). What the sender
    /// has sent and this node has not read is lost, unseen, when either dies.
    Tcp,
    /// Messages that are acknowledged once they are durable: what is not acknowledged, the sender sends again.
    Relp,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Its name in sources (`name/peer`), counters and pages: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// `udp`, `tcp` or `relp`.
    pub protocol: Protocol,
    /// Where it listens: `127.0.0.1:5514`, `[::]:514`; port 0 takes any free port.
    pub address: SocketAddr,
    /// The format of its lines; without it each line's format is told by its looks.
    #[serde(default)]
    pub format: Option<String>,
    /// A longer message is stored cut to this length, with a flag. 1,024 to 16,777,216.
    #[serde(default = "default_max_frame_bytes")]
    pub max_frame_bytes: usize,
    /// More connections than this are closed at once (tcp).
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
    /// More connections than this from one address are closed at once (tcp).
    #[serde(default = "default_max_connections_per_peer")]
    pub max_connections_per_peer: usize,
    /// The kernel's receive buffer. udp: what bursts may fill before messages are dropped (default 64 MiB; beyond
    /// net.core.rmem_max only with CAP_NET_ADMIN; what was granted is shown). tcp: bounds what a crash of this node
    /// may lose per connection (default: the kernel's choice).
    #[serde(default)]
    pub receive_buffer_bytes: Option<usize>,
    /// TLS on this listener (tcp: syslog over TLS, RFC 5425). Without it everything is sent in the clear.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
}

fn default_max_frame_bytes() -> usize {
    131_072
}
fn default_max_connections() -> usize {
    1024
}
fn default_max_connections_per_peer() -> usize {
    256
}

impl ListenerConfig {
    /// With the default of every key that may be left out.
    pub fn new(name: &str, protocol: Protocol, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            protocol,
            address,
            format: None,
            max_frame_bytes: default_max_frame_bytes(),
            max_connections: default_max_connections(),
            max_connections_per_peer: default_max_connections_per_peer(),
            receive_buffer_bytes: None,
            tls: None,
        }
    }

    /// Checks what types do not say. Returns the format of the lines.
    ///
    /// # Errors
    /// A bad name, an unknown format, a bound out of range.
    pub fn check(&self, formats: &FormatSet) -> Result<Option<FormatId>, InputError> {
        let fail = |message| Err(InputError::Config { name: self.name.clone(), message });
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(good) {
            return fail("name must be 1 to 64 letters, digits, `-`, `_`, `.`".to_owned());
        }
        if !(1024..=16 << 20).contains(&self.max_frame_bytes) {
            return fail(format!("max_frame_bytes is {}, must be 1024 to 16777216", self.max_frame_bytes));
        }
        if let Some(tls) = &self.tls {
            if self.protocol == Protocol::Udp {
                return fail(
                    "tls: datagrams cannot be protected; use protocol tcp, or remove the section".to_owned(),
                );
            }
            if let Err(problem) = tls.check() {
                return fail(problem);
            }
        }
        let Some(wanted) = &self.format else { return Ok(None) };
        if let Some(format) = formats.find(wanted) {
            return Ok(Some(format));
        }
        let known: Vec<_> = formats.iter().map(|(_, format)| format.name()).collect();
        fail(format!("format `{wanted}` is not known; known are {}", known.join(", ")))
    }
}

/// A listener that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The address cannot be taken.
    #[error(
        "input {name}: cannot listen on {address}: {source}; give it a free address of this machine (port 0: any free port)"
    )]
    Bind {
        /// Its name.
        name: String,
        /// Where it should listen.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A configuration that cannot work.
    #[error("input {name}: {message}")]
    Config {
        /// Its name.
        name: String,
        /// What is wrong and what to do.
        message: String,
    },
}

/// Reads the wall clock. The binary gives the real one, tests give theirs.
pub type Clock = Arc<dyn Fn() -> InstantMs + Send + Sync>;

/// What every listener is given by the binary.
#[derive(Clone)]
pub struct InputContext {
    /// The known formats.
    pub formats: Arc<FormatSet>,
    /// Where batches go.
    pub inbox: Inbox,
    /// Receive times come from it.
    pub clock: Clock,
    /// `true` (or a sender that is gone): take what the kernel already holds, hand it over, end.
    pub shutdown: watch::Receiver<bool>,
    /// What RELP senders sent last; filled from the journal before anything is received.
    pub tails: Tails,
}

impl std::fmt::Debug for InputContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InputContext").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}
