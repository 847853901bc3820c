//! Secrets: kept out of logs and errors, read from files when they are used.
//!
//! Refuses to know: what a secret opens.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The longest secret file read, in bytes: a password or token, not a disk image named by mistake.
const SECRET_MAX: u64 = 64 * 1024;

/// A text that is never shown: `Debug` prints `<secret>`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the wire, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A secret's file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("secret file {path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds nothing usable. The content is not shown.
    #[error("secret file {path}: {message}", path = path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: &'static str,
    },
}

/// Says in the log if everybody on the machine may read a secret. Returns the secret's checked content.
pub(super) fn check_secret(path: &Path) -> Result<Secret, SecretError> {
    use std::os::unix::fs::PermissionsExt as _;
    let secret = read_secret(path)?;
    if std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o004 != 0) {
        tracing::warn!(path = %path.display(), "every user of this machine can read this secret file: chmod 0600");
    }
    Ok(secret)
}

/// Reads a secret: the file's text without line ends at its end. Read anew at each use, so it can be rotated.
pub fn read_secret(path: &Path) -> Result<Secret, SecretError> {
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    let content = |message| SecretError::Content { path: path.to_owned(), message };
    if std::fs::metadata(path).map_err(io)?.len() > SECRET_MAX {
        return Err(content("is larger than 64 KiB; name a file that holds only the secret"));
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(content("is empty; write the secret into it"));
    }
    if text.contains(char::is_control) {
        return Err(content("holds control characters or several lines; write only the secret, on one line"));
    }
    Ok(Secret::new(text))
}
