//! Certificates for tests, made by the openssl command: authorities, and what they sign.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Extensions of a good client certificate.
pub(crate) const CLIENT: &str = "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n";
/// Extensions of a good server certificate.
pub(crate) const SERVER: &str =
    "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n";

/// A folder of certificates, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("ingest-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A self-signed certificate with these `-addext` extensions. openssl makes an authority of it unless told otherwise.
    pub(crate) fn self_signed(&self, name: &str, extensions: &[&str]) -> Identity {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let subject = format!("/CN={name}");
        let mut args = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        args.extend(["-days", "3650", "-subj", &subject, "-keyout", &key, "-out", &certificate]);
        args.extend(extensions.iter().flat_map(|extension| ["-addext", extension]));
        openssl(&self.0, &args);
        Identity { certificate: self.0.join(certificate), key: self.0.join(key) }
    }

    pub(crate) fn authority(&self, name: &str) -> Identity {
        self.self_signed(name, &[])
    }

    /// A certificate of 30 days. Empty extensions make it X.509 v1.
    pub(crate) fn signed(&self, by: &Identity, name: &str, extensions: &str) -> Identity {
        let (key, request, certificate) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
        let subject = format!("/CN={name}");
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"];
        openssl(&self.0, &[new.as_slice(), &[&subject, "-keyout", &key, "-out", &request]].concat());
        let (ca, ca_key) = (by.certificate.display().to_string(), by.key.display().to_string());
        let mut args = vec!["x509", "-req", "-days", "30", "-in", &request, "-out", &certificate];
        args.extend(["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"]);
        let file = format!("{name}.ext");
        if !extensions.is_empty() {
            self.write(&file, extensions);
            args.extend(["-extfile", &file]);
        }
        openssl(&self.0, &args);
        Identity { certificate: self.0.join(certificate), key: self.0.join(key) }
    }

    /// A good client certificate of this DNS name.
    pub(crate) fn client(&self, by: &Identity, name: &str) -> Identity {
        self.signed(by, name, &format!("subjectAltName=DNS:{name}\n{CLIENT}"))
    }

    /// `SHA256:AB:..`, as openssl says it.
    pub(crate) fn fingerprint(&self, of: &Identity) -> String {
        let file = of.certificate.display().to_string();
        let said = openssl(&self.0, &["x509", "-noout", "-fingerprint", "-sha256", "-in", &file]);
        format!("SHA256:{}", said.split_once('=').unwrap().1.trim())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Runs openssl in a folder: its output.
pub(crate) fn openssl(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("openssl").args(args).current_dir(folder).output();
    let done = done.expect("openssl is installed; run `make test` once");
    assert!(done.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
