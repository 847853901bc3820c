//! What can be known about a certificate without its authority: dates, purpose, names.
//!
//! webpki checks these before it looks for an issuer, and tells no dates but in errors; so it is asked with no authority
//! at all, and what it complains about is the answer. Refuses to know: files.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error as TlsError, OtherError};
use webpki::{EndEntityCert, Error, KeyUsage};

use super::allow::names;

/// Year 9999, the end of time in X.509.
const FAR_FUTURE_SECONDS: u64 = 253_402_300_799;

/// Something that senders will object to, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw(pub(crate) String);

/// First complaint that does not need the issuer; `None`: there is none.
fn complaint(certificate: &CertificateDer<'_>, now: UnixTime, usage: KeyUsage) -> Option<Error> {
    let parsed = match EndEntityCert::try_from(certificate) {
        Ok(parsed) => parsed,
        Err(error) => return Some(error),
    };
    match parsed.verify_for_usage(&[], &[], &[], now, usage, None, None) {
        Ok(_) | Err(Error::UnknownIssuer) => None,
        Err(error) => Some(error),
    }
}

/// Refuses a client certificate that has expired, is not valid yet, or cannot be read. A pinned one needs no more.
pub(crate) fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), TlsError> {
    let error = match complaint(certificate, now, KeyUsage::client_auth()) {
        Some(Error::CertExpired { time, not_after }) => CertificateError::ExpiredContext { time, not_after },
        Some(Error::CertNotValidYet { time, not_before }) => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Some(error @ (Error::BadDer | Error::UnsupportedCertVersion | Error::InvalidCertValidity)) => {
            CertificateError::Other(OtherError(std::sync::Arc::new(error)))
        }
        _ => return Ok(()),
    };
    Err(error.into())
}

/// Unix seconds after which a certificate is no longer valid; `None`: never, or it cannot be read.
pub(crate) fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let end = UnixTime::since_unix_epoch(Duration::from_secs(FAR_FUTURE_SECONDS));
    match complaint(certificate, end, KeyUsage::server_auth())? {
        Error::CertExpired { not_after, .. } => i64::try_from(not_after.as_secs()).ok(),
        _ => None,
    }
}

/// Whether a listener's own certificate is outside its dates.
pub(crate) fn untimely(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<Flaw> {
    let text = match complaint(certificate, now, KeyUsage::server_auth())? {
        Error::CertExpired { not_after, time } => {
            format!("expired {} days ago; senders will refuse it", days(time.as_secs(), not_after.as_secs()))
        }
        Error::CertNotValidYet { not_before, time } => {
            format!(
                "valid only in {} days; senders will refuse it",
                days(not_before.as_secs(), time.as_secs())
            )
        }
        _ => return None,
    };
    Some(Flaw(text))
}

fn days(later: u64, earlier: u64) -> u64 {
    later.saturating_sub(earlier) / 86_400
}

/// What else senders will object to in a listener's own certificate. Within its dates.
pub(crate) fn flaws(certificate: &CertificateDer<'_>, now: UnixTime) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if names(certificate).is_empty() {
        flaws.push(
            "has no DNS name in subjectAltName; senders that check the name refuse it (openssl x509 -req -extfile, \
             subjectAltName = DNS:..)"
                .to_owned(),
        );
    }
    match complaint(certificate, now, KeyUsage::server_auth()) {
        Some(Error::CaUsedAsEndEntity) => {
            flaws
                .push("is an authority's certificate (CA:TRUE); sign one for this server with it".to_owned());
        }
        Some(Error::RequiredEkuNotFoundContext(_)) => flaws.push(
            "is not for servers: extendedKeyUsage lacks serverAuth; senders that check it refuse it"
                .to_owned(),
        ),
        _ => {}
    }
    flaws.into_iter().map(Flaw).collect()
}
