//! Why a handshake failed, in words for counters and for the people who have to mend it.
//!
//! Refuses to know: who counts and who logs.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use record::InstantMs;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::verifier::NotAllowed;

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HandshakeFault {
    /// The sender showed no certificate.
    NoCertificate,
    /// Its certificate is signed by nobody we know.
    UnknownCa,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is X.509 v1.
    X509V1,
    /// Its certificate is genuine, but it may not send.
    NotAllowed,
    /// Its certificate is not for clients.
    WrongPurpose,
    /// Its certificate cannot be used for another reason.
    BadCertificate,
    /// It speaks no TLS version that we do.
    ProtocolVersion,
    /// No cipher suite in common: anonymous Diffie-Hellman, say.
    NoCipher,
    /// It does not speak TLS.
    NotTls,
    /// It refused our certificate, or gave up for another reason.
    RefusedByPeer,
    /// It closed the connection.
    Disconnected,
    /// It did not finish in time.
    Timeout,
    /// Anything else.
    Other,
}

impl HandshakeFault {
    /// All, in the order of their counters.
    pub const ALL: [Self; 15] = [
        Self::NoCertificate,
        Self::UnknownCa,
        Self::Expired,
        Self::NotYetValid,
        Self::X509V1,
        Self::NotAllowed,
        Self::WrongPurpose,
        Self::BadCertificate,
        Self::ProtocolVersion,
        Self::NoCipher,
        Self::NotTls,
        Self::RefusedByPeer,
        Self::Disconnected,
        Self::Timeout,
        Self::Other,
    ];

    /// As a label shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::UnknownCa => "unknown_ca",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::X509V1 => "x509_v1",
            Self::NotAllowed => "not_allowed",
            Self::WrongPurpose => "wrong_purpose",
            Self::BadCertificate => "bad_certificate",
            Self::ProtocolVersion => "protocol_version",
            Self::NoCipher => "no_cipher",
            Self::NotTls => "not_tls",
            Self::RefusedByPeer => "refused_by_peer",
            Self::Disconnected => "disconnected",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }

    /// What to do about it.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::NoCertificate => {
                "give the sender a certificate (rsyslog: streamDriver.certFile, or tls.myCert for RELP)"
            }
            Self::UnknownCa => {
                "the certificate's issuer is not in tls.client_ca (one of the same name may be, with another key); \
                 sign it with that authority, or add its own to the file"
            }
            Self::Expired => "renew the sender's certificate",
            Self::NotYetValid => "check the sender's certificate and both clocks",
            Self::X509V1 => {
                "the certificate is X.509 v1; sign it with -extfile, so that it is v3 (docs/rsyslog.md has the commands)"
            }
            Self::NotAllowed => {
                "add one of its names or its fingerprint to tls.allow if this sender may send"
            }
            Self::WrongPurpose => "sign the sender's certificate with extendedKeyUsage = clientAuth",
            Self::BadCertificate => {
                "make the sender's certificate anew: v3, RSA of 2048 bits or more or ECDSA, no authority's own \
                 (docs/rsyslog.md has the commands)"
            }
            Self::ProtocolVersion => "the sender must speak TLS 1.2 or 1.3",
            Self::NoCipher => {
                "a sender without a certificate may have tried anonymous TLS: give it a certificate and tls.authMode, \
                 or have it offer modern cipher suites"
            }
            Self::NotTls => {
                "the sender speaks plain syslog or something else: turn TLS on there, or use another port"
            }
            Self::RefusedByPeer => {
                "see the sender's log: it may not know the authority of this listener's certificate, or expect another name"
            }
            Self::Disconnected => "see the sender's log",
            Self::Timeout => "the sender may be speaking plain syslog, or the network loses packets",
            Self::Other => "see the sender's log",
        }
    }
}

/// A handshake that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: HandshakeFault,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn timeout() -> Self {
        Self { fault: HandshakeFault::Timeout, message: "the handshake took too long".to_owned() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let fault = match tls {
            Some(tls) => fault(tls),
            None if error.kind() == io::ErrorKind::InvalidData => HandshakeFault::Other,
            // Whatever the socket says (reset, broken pipe, end of file), the other side has gone.
            None => HandshakeFault::Disconnected,
        };
        let message = match tls {
            Some(Error::InvalidCertificate(CertificateError::Other(other))) => other.0.to_string(),
            Some(tls) => tls.to_string(),
            None => error.to_string(),
        };
        Self { fault, message }
    }
}

fn fault(error: &Error) -> HandshakeFault {
    match error {
        Error::NoCertificatesPresented => HandshakeFault::NoCertificate,
        Error::InvalidCertificate(why) => certificate_fault(why),
        Error::PeerIncompatible(why) => match why {
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            // TLS 1.2 brought that extension.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired => HandshakeFault::ProtocolVersion,
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NamedGroupsExtensionRequired => HandshakeFault::NoCipher,
            _ => HandshakeFault::Other,
        },
        Error::AlertReceived(AlertDescription::ProtocolVersion) => HandshakeFault::ProtocolVersion,
        Error::AlertReceived(_) => HandshakeFault::RefusedByPeer,
        Error::InvalidMessage(_) => HandshakeFault::NotTls,
        _ => HandshakeFault::Other,
    }
}

fn certificate_fault(error: &CertificateError) -> HandshakeFault {
    match error {
        // An authority made anew under its old name has another key: its signatures look broken.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => HandshakeFault::UnknownCa,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => HandshakeFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            HandshakeFault::NotYetValid
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            HandshakeFault::WrongPurpose
        }
        CertificateError::Other(other) if other.0.downcast_ref::<NotAllowed>().is_some() => {
            HandshakeFault::NotAllowed
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(webpki::Error::UnsupportedCertVersion) => HandshakeFault::X509V1,
            _ => HandshakeFault::BadCertificate,
        },
        _ => HandshakeFault::BadCertificate,
    }
}

/// A peer that fails again and again for the same reason is logged once in this time.
const QUIET_MS: InstantMs = 60_000;
/// Peers remembered; beyond it (an attack from many addresses) failures are counted and not logged.
const PEERS_MAX: usize = 1_024;

/// Which failures were logged when.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<(IpAddr, HandshakeFault), Told>>);

#[derive(Debug)]
struct Told {
    at_ms: InstantMs,
    since: u64,
}

impl Throttle {
    /// Whether to log a failure now; with the number of the like that were not logged before it.
    pub(crate) fn admit(&self, peer: IpAddr, fault: HandshakeFault, now_ms: InstantMs) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |told: &Told| (0..QUIET_MS).contains(&(now_ms - told.at_ms));
        if let Some(told) = told.get_mut(&(peer, fault)) {
            if fresh(told) {
                told.since += 1;
                return None;
            }
            let before = std::mem::replace(told, Told { at_ms: now_ms, since: 0 });
            return Some(before.since);
        }
        if told.len() >= PEERS_MAX {
            told.retain(|_, told| fresh(told));
        }
        if told.len() >= PEERS_MAX {
            return None;
        }
        told.insert((peer, fault), Told { at_ms: now_ms, since: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_told_of_once_a_minute_and_reason() {
        let throttle = Throttle::default();
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(throttle.admit(a, HandshakeFault::Expired, 0), Some(0));
        assert_eq!(throttle.admit(a, HandshakeFault::Expired, 1), None);
        assert_eq!(throttle.admit(a, HandshakeFault::Expired, QUIET_MS - 1), None);
        assert_eq!(throttle.admit(a, HandshakeFault::UnknownCa, 2), Some(0));
        assert_eq!(throttle.admit(b, HandshakeFault::Expired, 2), Some(0));
        assert_eq!(throttle.admit(a, HandshakeFault::Expired, QUIET_MS), Some(2));
        assert_eq!(throttle.admit(a, HandshakeFault::Expired, QUIET_MS - 1), Some(0), "the clock went back");
    }

    #[test]
    fn many_peers_do_not_fill_memory() {
        let throttle = Throttle::default();
        let peer = |n: u32| IpAddr::from(n.to_be_bytes());
        let logged = |at_ms| {
            (0..5_000).filter(|n| throttle.admit(peer(*n), HandshakeFault::NotTls, at_ms).is_some()).count()
        };
        assert_eq!(logged(0), PEERS_MAX);
        assert_eq!(logged(QUIET_MS), PEERS_MAX);
    }

    #[test]
    fn names_are_unique_and_in_order() {
        let names: std::collections::BTreeSet<_> =
            HandshakeFault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), HandshakeFault::ALL.len());
        for (index, fault) in HandshakeFault::ALL.iter().enumerate() {
            assert_eq!(*fault as usize, index);
        }
    }
}
