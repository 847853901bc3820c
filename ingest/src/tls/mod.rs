//! TLS of a listener: its files, who may send, the handshake, and the exchange of files while connections live.
//!
//! ```text
//! TlsServer::load ──▶ handshake: current files ──▶ Wire
//!        reload: prepare (all listeners) ──▶ install (all listeners)
//! ```
//! Sessions are never resumed: each connection is judged by the files and the list of its own moment. Refuses to know:
//! what is said on the wire, and who asks for the reload.

mod allow;
mod certificate;
mod config;
mod fault;
mod files;
mod verifier;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::TimeProvider;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use config::{ClientAuth, TlsConfig};
pub use fault::HandshakeFault;

use crate::config::{Clock, InputError};
use crate::ledger::Ledger;
use allow::AllowList;
use fault::{Failure, Throttle};
use files::FileError;
use verifier::PeerVerifier;

/// A handshake that takes longer has failed.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The TLS side of one listener.
pub struct TlsServer {
    input: String,
    clock: Clock,
    ledger: Arc<Ledger>,
    throttle: Throttle,
    current: Mutex<Arc<Loaded>>,
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").field("input", &self.input).finish_non_exhaustive()
    }
}

/// The node's clock, for the dates of certificates.
struct NodeTime(Clock);

impl TimeProvider for NodeTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(&self.0))
    }
}

impl fmt::Debug for NodeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeTime")
    }
}

/// Files that were read and found good, ready to be used.
#[derive(Debug)]
pub struct Prepared(Loaded);

#[derive(Debug)]
struct Loaded {
    config: TlsConfig,
    server: Arc<ServerConfig>,
    allow: AllowList,
    leaf: CertificateDer<'static>,
}

/// What the files of a section would say to a listener that started now: why it could not, or what senders will object to.
pub fn problems(config: &TlsConfig, clock: &Clock) -> Vec<String> {
    let now = unix_time(clock);
    match Loaded::read(config, clock) {
        Ok(loaded) => loaded.untimely(now).into_iter().chain(loaded.flaws(now)).collect(),
        Err(problem) => vec![problem],
    }
}

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that is missing, empty, or does not fit the others, with its key in the configuration. What senders will
    /// object to (an expired certificate, one without names) is only logged: the other listeners shall work.
    pub(crate) fn load(
        input: &str,
        config: &TlsConfig,
        clock: &Clock,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, InputError> {
        let now = unix_time(clock);
        let loaded = Loaded::read(config, clock).map_err(|message| refused(input, message))?;
        for problem in loaded.untimely(now).into_iter().chain(loaded.flaws(now)) {
            tracing::warn!(%input, "{problem}");
        }
        Ok(Self {
            input: input.to_owned(),
            clock: Arc::clone(clock),
            ledger: Arc::clone(ledger),
            throttle: Throttle::default(),
            current: Mutex::new(Arc::new(loaded)),
        })
    }

    /// Name of its listener.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// When the certificate in use ends, Unix seconds.
    pub fn not_after_seconds(&self) -> Option<i64> {
        certificate::not_after(&self.current().leaf)
    }

    /// Reads the files anew, of `config` if it is given (its allow-list may have changed), and changes nothing.
    ///
    /// # Errors
    /// As at the start; moreover a certificate that is not valid now.
    pub fn prepare(&self, config: Option<&TlsConfig>) -> Result<Prepared, InputError> {
        let current = self.current();
        let now = unix_time(&self.clock);
        let refused = |message| refused(&self.input, message);
        let loaded = Loaded::read(config.unwrap_or(&current.config), &self.clock).map_err(refused)?;
        if let Some(problem) = loaded.untimely(now) {
            return Err(refused(problem));
        }
        for problem in loaded.flaws(now) {
            tracing::warn!(input = %self.input, "{problem}");
        }
        Ok(Prepared(loaded))
    }

    /// From here on handshakes use what was prepared; connections that stand go on.
    pub fn install(&self, prepared: Prepared) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(prepared.0);
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does the handshake. The stream with the name by which the sender is known; `None`: it failed, and that is counted
    /// and logged.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        peer: IpAddr,
    ) -> Option<(TlsStream<TcpStream>, Option<Arc<str>>)> {
        let current = self.current();
        let accept = TlsAcceptor::from(Arc::clone(&current.server)).accept(stream);
        let done = match tokio::time::timeout(HANDSHAKE_TIMEOUT, accept).await {
            Ok(done) => done.map_err(Failure::from),
            Err(_elapsed) => Err(Failure::timeout()),
        };
        match done {
            Ok(stream) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let name = certificate.and_then(|certificate| current.allow.name_of(certificate));
                Some((stream, name))
            }
            Err(failure) => {
                self.failed(peer, &failure);
                None
            }
        }
    }

    fn failed(&self, peer: IpAddr, failure: &Failure) {
        let Failure { fault, message } = failure;
        self.ledger.handshake_failed(*fault);
        let Some(unsaid) = self.throttle.admit(peer, *fault, (self.clock)()) else { return };
        let (input, reason, advice) = (&self.input, fault.name(), fault.advice());
        tracing::warn!(%input, %peer, reason, unsaid, "TLS handshake failed: {message}; {advice}");
    }
}

impl Loaded {
    fn read(config: &TlsConfig, clock: &Clock) -> Result<Self, String> {
        let allow = config.check()?;
        Self::open(config, allow, clock).map_err(|error| error.to_string())
    }

    fn open(config: &TlsConfig, allow: AllowList, clock: &Clock) -> Result<Self, FileError> {
        let chain = files::certificates("certificate", &config.certificate)?;
        let key = files::private_key("key", &config.key)?;
        let authorities = match &config.client_ca {
            Some(path) => Some(files::authorities("client_ca", path)?),
            None => None,
        };
        let provider = Arc::new(ring::default_provider());
        let leaf = chain[0].clone();
        let time = Arc::new(NodeTime(Arc::clone(clock)));
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), time)
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3");
        let builder = match config.client_auth() {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Required => {
                builder.with_client_cert_verifier(verifier(&provider, config, authorities, &allow)?)
            }
        };
        let mut server = builder.with_single_cert(chain, key).map_err(|error| unusable(config, &error))?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { config: config.clone(), server: Arc::new(server), allow, leaf })
    }

    fn untimely(&self, now: UnixTime) -> Option<String> {
        certificate::untimely(&self.leaf, now).map(|flaw| self.told(&flaw))
    }

    fn flaws(&self, now: UnixTime) -> Vec<String> {
        let flaws = certificate::flaws(&self.leaf, now);
        let mut flaws: Vec<String> = flaws.iter().map(|flaw| self.told(flaw)).collect();
        if files::is_public(&self.config.key) {
            let path = self.config.key.display();
            flaws.push(format!("tls.key: {path}: everybody on this machine can read it; chmod o= it"));
        }
        flaws
    }

    fn told(&self, flaw: &certificate::Flaw) -> String {
        format!("tls.certificate: {}: {}", self.config.certificate.display(), flaw.0)
    }
}

fn verifier(
    provider: &Arc<CryptoProvider>,
    config: &TlsConfig,
    authorities: Option<rustls::RootCertStore>,
    allow: &AllowList,
) -> Result<Arc<PeerVerifier>, FileError> {
    PeerVerifier::new(provider, authorities, allow.clone()).map(Arc::new).map_err(|error| {
        let path = config.client_ca.as_deref().unwrap_or(std::path::Path::new(""));
        FileError::new("client_ca", path, error.to_string())
    })
}

fn unusable(config: &TlsConfig, error: &rustls::Error) -> FileError {
    match error {
        rustls::Error::InconsistentKeys(_) => FileError::new(
            "key",
            &config.key,
            format!(
                "does not belong to tls.certificate ({}); both must come from one request",
                config.certificate.display()
            ),
        ),
        rustls::Error::InvalidCertificate(_) => FileError::new(
            "certificate",
            &config.certificate,
            format!("cannot be used: {error} (it must be X.509 v3)"),
        ),
        error => FileError::new("key", &config.key, format!("cannot be used: {error}")),
    }
}

fn refused(input: &str, message: String) -> InputError {
    InputError::Config { name: input.to_owned(), message }
}

fn unix_time(clock: &Clock) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(clock().try_into().unwrap_or_default()))
}
