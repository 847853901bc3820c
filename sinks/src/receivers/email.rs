//! `email_configs`: how one receiver gets its mails.
//!
//! Refuses to know: SMTP itself.

use std::path::PathBuf;

use lettre::message::{Mailbox, Mailboxes};
use serde::Deserialize;

use super::secret::check_secret;
use super::{KeyError, TlsConfig, yes};

/// Mails to one list of addresses, by SMTP (`smarthost`) or into a folder (`directory`): exactly one of the two.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// Addresses, separated by commas: `duty@pay.example, Night Shift <night@pay.example>`.
    pub to: String,
    /// The sender's address. Its domain stands in every Message-ID.
    pub from: String,
    /// The mail server as `host:port`: 587 or 25 (STARTTLS), 465 (TLS from the first byte).
    #[serde(default)]
    pub smarthost: Option<Smarthost>,
    /// Instead of a mail server: a folder that gets each mail as `<message-id>.eml`, written whole or not at all.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// The name given to the mail server in EHLO. Default: this machine's name.
    #[serde(default)]
    pub hello: Option<String>,
    /// User name for AUTH (PLAIN or LOGIN). Only sent over TLS.
    #[serde(default)]
    pub auth_username: Option<String>,
    /// File with the password for AUTH, read at each attempt.
    #[serde(default)]
    pub auth_password_file: Option<PathBuf>,
    /// Refuse to send without TLS. Default true; false means: send in clear text, unless `tls` says otherwise.
    #[serde(default)]
    pub require_tls: Option<bool>,
    /// `starttls`, `implicit` or `none`. Default: `implicit` on port 465, `none` with `require_tls: false`, else
    /// `starttls`. There is no fall-back to clear text: a server without TLS gets nothing and the mail is kept.
    #[serde(default)]
    pub tls: Option<MailTls>,
    /// Which certificates to believe. Default: the public authorities.
    #[serde(default)]
    pub tls_config: TlsConfig,
    /// Tell also when the alert is over. Default true (Alertmanager's is false for mail).
    #[serde(default = "yes")]
    pub send_resolved: bool,
    /// Longest wait for each answer of the mail server but the last, in milliseconds. Default 30000.
    #[serde(default = "step_timeout_ms")]
    pub timeout_ms: u64,
    /// Longest wait for the server's word that it has taken the mail, in milliseconds. Default 600000, as RFC 5321
    /// section 4.5.3.2.6 asks: giving up earlier means more mails sent twice.
    #[serde(default = "accept_timeout_ms")]
    pub accept_timeout_ms: u64,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Clear text, then TLS by the STARTTLS command (RFC 3207), or nothing is sent.
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// Clear text.
    None,
}

/// A mail server's `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Smarthost {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl TryFrom<String> for Smarthost {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not host:port, such as mail.example.com:587");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_not_a_port| wrong())?;
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl EmailConfig {
    /// How the connection is protected, from `tls`, `require_tls` and the port.
    pub fn tls(&self) -> MailTls {
        let port = self.smarthost.as_ref().map(|s| s.port);
        match (self.tls, self.require_tls) {
            (Some(tls), _) => tls,
            (None, _) if port == Some(465) => MailTls::Implicit,
            (None, Some(false)) => MailTls::None,
            (None, _) => MailTls::Starttls,
        }
    }

    /// The sender.
    pub fn sender(&self) -> Result<Mailbox, String> {
        self.from.parse().map_err(|e| format!("{:?} is not a mail address: {e}", self.from))
    }

    /// The recipients, at least one.
    pub fn recipients(&self) -> Result<Mailboxes, String> {
        let mailboxes: Option<Mailboxes> = self.to.parse().ok();
        mailboxes
            .filter(|m| m.iter().next().is_some())
            .ok_or_else(|| format!("{:?} is not a list of mail addresses separated by commas", self.to))
    }

    pub(super) fn check(&self) -> Result<(), KeyError> {
        self.sender().map_err(|e| ("from", e))?;
        self.recipients().map_err(|e| ("to", e))?;
        match (&self.smarthost, &self.directory) {
            (None, None) => return Err(("smarthost", "is missing; give smarthost or directory".to_owned())),
            (Some(_), Some(_)) => {
                return Err(("directory", "stands beside smarthost; give one of the two".to_owned()));
            }
            _ => {}
        }
        for (key, timeout_ms) in
            [("timeout_ms", self.timeout_ms), ("accept_timeout_ms", self.accept_timeout_ms)]
        {
            if timeout_ms == 0 {
                return Err((key, "is 0: no answer can be so fast".to_owned()));
            }
        }
        if self.require_tls == Some(true) && self.tls() == MailTls::None {
            return Err(("tls", "is none while require_tls is true; change one of the two".to_owned()));
        }
        self.check_auth()?;
        self.tls_config.check().map_err(|e| ("tls_config.ca_file", e))
    }

    fn check_auth(&self) -> Result<(), KeyError> {
        let Some(path) = &self.auth_password_file else {
            return match self.auth_username {
                Some(_) => Err(("auth_password_file", "is missing; auth_username needs it".to_owned())),
                None => Ok(()),
            };
        };
        if self.auth_username.is_none() {
            return Err(("auth_username", "is missing; auth_password_file needs it".to_owned()));
        }
        if self.tls() == MailTls::None {
            return Err(("auth_username", "would go over the wire in clear text; use TLS".to_owned()));
        }
        check_secret(path).map(drop).map_err(|e| ("auth_password_file", e.to_string()))
    }
}

fn step_timeout_ms() -> u64 {
    30_000
}

fn accept_timeout_ms() -> u64 {
    600_000
}
