//! `webhook_configs`: how one receiver is called over HTTP.
//!
//! Refuses to know: HTTP itself and the payload.

use std::path::PathBuf;

use serde::Deserialize;

use super::secret::check_secret;
use super::{KeyError, Secret, SecretError, read_secret, yes};

/// A POST with Alertmanager's payload version 4 per notification. Redirects are not followed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to POST. Treated as a secret: shown nowhere. Give `url` or `url_file`.
    #[serde(default)]
    pub url: Option<Secret>,
    /// File with the URL, read at each attempt.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// Tell also when the alert is over. Default true.
    #[serde(default = "yes")]
    pub send_resolved: bool,
    /// Alerts in one payload at most; the others are counted in `truncatedAlerts`. 0, the default: no limit. Without
    /// grouping every payload holds one alert.
    #[serde(default)]
    pub max_alerts: usize,
    /// Credentials and certificates.
    #[serde(default)]
    pub http_config: HttpConfig,
    /// Longest wait for the whole exchange, in milliseconds. Default 10000.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

/// How to speak HTTP: the part of Alertmanager's `http_config` that is understood.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The `Authorization` header.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// User name and password instead.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// Which certificates to believe. Default: those of the system.
    #[serde(default)]
    pub tls_config: TlsConfig,
}

/// `Authorization: TYPE CREDENTIALS`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// Default `Bearer`.
    #[serde(default = "bearer", rename = "type")]
    pub scheme: String,
    /// File with the token, read at each attempt.
    pub credentials_file: PathBuf,
}

/// HTTP basic authentication (RFC 7617).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub username: String,
    /// File with the password, read at each attempt.
    pub password_file: PathBuf,
}

/// Which server certificates to believe.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file of the certificate authorities to believe instead of the usual ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl WebhookConfig {
    /// The URL, from the file if it is there.
    pub fn url(&self) -> Result<Secret, SecretError> {
        match (&self.url, &self.url_file) {
            (_, Some(path)) => read_secret(path),
            (Some(url), None) => Ok(url.clone()),
            (None, None) => Ok(Secret::new("")),
        }
    }

    pub(super) fn check(&self) -> Result<(), KeyError> {
        if self.url.is_some() == self.url_file.is_some() {
            return Err(("url", "give exactly one of url and url_file".to_owned()));
        }
        if self.timeout_ms == 0 {
            return Err(("timeout_ms", "is 0: no answer can be so fast".to_owned()));
        }
        let key = if self.url.is_some() { "url" } else { "url_file" };
        let url = self.url().map_err(|e| (key, e.to_string()))?;
        check_url(&url).map_err(|e| (key, e.to_owned()))?;
        if self.http_config.authorization.is_some() && self.http_config.basic_auth.is_some() {
            return Err(("http_config", "has authorization and basic_auth; give one of the two".to_owned()));
        }
        for path in self.http_config.secret_files() {
            check_secret(path).map_err(|e| ("http_config", e.to_string()))?;
        }
        self.http_config.tls_config.check().map_err(|e| ("http_config.tls_config.ca_file", e))
    }
}

impl HttpConfig {
    fn secret_files(&self) -> impl Iterator<Item = &PathBuf> {
        let token = self.authorization.iter().map(|a| &a.credentials_file);
        token.chain(self.basic_auth.iter().map(|b| &b.password_file))
    }
}

impl TlsConfig {
    /// The authorities' PEM text, if a file is named.
    pub fn ca_pem(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let pem = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        if !pem.windows(27).any(|w| w == b"-----BEGIN CERTIFICATE-----") {
            return Err(format!("{}: holds no PEM certificate", path.display()));
        }
        Ok(Some(pem))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.ca_pem().map(drop)
    }
}

/// Checks a URL without showing it.
pub(crate) fn check_url(url: &Secret) -> Result<reqwest::Url, &'static str> {
    let url = reqwest::Url::parse(url.expose()).map_err(|_shown_nowhere| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is not an http or https URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("carries a user name or password; use http_config.basic_auth");
    }
    Ok(url)
}

fn timeout_ms() -> u64 {
    10_000
}

fn bearer() -> String {
    "Bearer".to_owned()
}
