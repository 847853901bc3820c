//! The `tls:` section of a listener. Refuses to know: what the files hold.

use std::path::PathBuf;

use super::allow::AllowList;

/// TLS of a listener (TLS 1.2 and 1.3). The files are PEM, and are read again on reload.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// This listener's certificate, followed by its intermediates if there are any.
    pub certificate: PathBuf,
    /// The certificate's private key, not encrypted; readable by this program only.
    pub key: PathBuf,
    /// Certificates of the authorities that sign the senders' certificates.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Who may send: names as the certificate's subjectAltName has them (`web1.example.org`; `*.example.org` stands for
    /// one label), or fingerprints (`SHA256:AB:CD:..`). With `client_ca`, the certificate must be signed by one of those
    /// as well; without it only fingerprints can be checked. Empty: all whom `client_ca` has signed.
    #[serde(default)]
    pub allow: Vec<String>,
    /// `required` (the default when `client_ca` or `allow` is given) or `none`.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
}

/// Whether senders must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Who shows none, or one that is not accepted, is refused.
    Required,
    /// Nobody is asked for one: the line is encrypted, and anybody may send.
    None,
}

impl TlsConfig {
    /// Whether senders must show a certificate.
    pub fn client_auth(&self) -> ClientAuth {
        let default = match (&self.client_ca, self.allow.is_empty()) {
            (None, true) => ClientAuth::None,
            _ => ClientAuth::Required,
        };
        self.client_auth.unwrap_or(default)
    }

    /// Checks what types do not say; reads no file.
    ///
    /// # Errors
    /// What is wrong, with the key it is wrong at, and what to do.
    pub(crate) fn check(&self) -> Result<AllowList, String> {
        let allow = AllowList::parse(&self.allow).map_err(|problem| format!("tls.allow: {problem}"))?;
        match self.client_auth() {
            ClientAuth::None if self.client_ca.is_some() || !self.allow.is_empty() => {
                Err("tls.client_auth: `none` contradicts client_ca and allow; remove one or the other".to_owned())
            }
            ClientAuth::Required if self.client_ca.is_none() && self.allow.is_empty() => Err(
                "tls.client_auth: `required` needs client_ca (who signs the senders' certificates) or fingerprints in allow"
                    .to_owned(),
            ),
            ClientAuth::Required if self.client_ca.is_none() && allow.has_names() => Err(
                "tls.allow: names can be trusted only with client_ca; without it give fingerprints (`SHA256:..`)".to_owned(),
            ),
            ClientAuth::Required | ClientAuth::None => Ok(allow),
        }
    }
}
