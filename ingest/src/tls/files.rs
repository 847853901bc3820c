//! The PEM files of a listener, read and checked together.
//!
//! Refuses to know: who may send, and when files are read again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("tls.{key}: {path}: {problem}", path = path.display())]
pub(crate) struct FileError {
    pub(crate) key: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) problem: String,
}

impl FileError {
    pub(crate) fn new(key: &'static str, path: &Path, problem: impl Into<String>) -> Self {
        Self { key, path: path.to_owned(), problem: problem.into() }
    }
}

/// All certificates of a file, at least one.
pub(crate) fn certificates(
    key: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = read(key, path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| FileError::new(key, path, broken(&error)))?;
    if certificates.is_empty() {
        return Err(FileError::new(key, path, "there is no certificate in it (PEM, `BEGIN CERTIFICATE`)"));
    }
    Ok(certificates)
}

/// The authorities of a file, at least one.
pub(crate) fn authorities(key: &'static str, path: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(key, path)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            FileError::new(key, path, format!("certificate {} in it cannot be used: {error}", index + 1))
        })?;
    }
    Ok(roots)
}

/// The private key of a file.
pub(crate) fn private_key(key: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let pem = read(key, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let encrypted = pem.windows(9).any(|window| window == b"ENCRYPTED");
        let problem = match error {
            _ if encrypted => "the key is encrypted; decrypt it: openssl pkey -in FILE -out PLAIN".to_owned(),
            pem::Error::NoItemsFound => "there is no private key in it (PEM, `BEGIN PRIVATE KEY`)".to_owned(),
            error => broken(&error),
        };
        FileError::new(key, path, problem)
    })
}

/// Whether everybody on this machine can read a file.
pub(crate) fn is_public(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|error| FileError::new(key, path, format!("cannot be read: {error}")))
}

fn broken(error: &pem::Error) -> String {
    format!("is not PEM: {error}")
}
