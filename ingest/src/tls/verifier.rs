//! Which client certificates are accepted: by authority and then by the allow-list, or, without an authority, exactly the
//! pinned ones.
//!
//! Refuses to know: files, sockets.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::allow::{AllowList, Fingerprint, names};
use super::certificate::check_dates;

/// A genuine certificate of somebody who may not send.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is not on the allow-list; its names are [{}], its fingerprint is {fingerprint}", names.join(", "))]
pub(crate) struct NotAllowed {
    names: Vec<String>,
    fingerprint: Fingerprint,
}

/// Accepts what the chain check (if there are authorities) and the allow-list accept.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<dyn ClientCertVerifier>>,
    allow: AllowList,
}

impl PeerVerifier {
    /// `authorities`: none for certificates that are pinned by their fingerprint.
    ///
    /// # Errors
    /// There are authorities, but none in the store.
    pub(crate) fn new(
        provider: &Arc<CryptoProvider>,
        authorities: Option<RootCertStore>,
        allow: AllowList,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let chain = authorities.map(|roots| {
            // Without hints a sender shows the certificate it has, and the refusal can say what is wrong with it.
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
                .clear_root_hint_subjects()
                .build()
        });
        Ok(Self { provider: Arc::clone(provider), chain: chain.transpose()?, allow })
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let listed = match &self.chain {
            Some(chain) => {
                chain.verify_client_cert(end_entity, intermediates, now)?;
                self.allow.is_empty() || self.allow.has(end_entity)
            }
            None => {
                check_dates(end_entity, now)?;
                self.allow.has_fingerprint(end_entity)
            }
        };
        if listed {
            return Ok(ClientCertVerified::assertion());
        }
        let refusal = NotAllowed { names: names(end_entity), fingerprint: Fingerprint::of(end_entity) };
        Err(CertificateError::Other(OtherError(Arc::new(refusal))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
