//! Mails as files: a folder that any mail program or test can read.
//!
//! Refuses to know: SMTP.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use lettre::Message;

use crate::outbox::{FailReason, Outcome};

/// Writes the mail under a temporary name, syncs it and renames it: a reader sees it whole or not at all.
pub(super) async fn store(directory: &Path, file_name: &str, message: &Message) -> Outcome {
    let (directory, file_name, bytes) = (directory.to_owned(), file_name.to_owned(), message.formatted());
    let write = move || write(&directory, &file_name, &bytes);
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(())) => Outcome::Sent { detail: "stored".to_owned() },
        Ok(Err(error)) => Outcome::retry(FailReason::Other, format!("mailbox folder: {error}")),
        Err(_gone) => Outcome::retry(FailReason::ContextCanceled, "the runtime is shutting down"),
    }
}

fn write(directory: &Path, file_name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let temporary = directory.join(format!(".{file_name}.tmp"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(file_name))?;
    File::open(directory)?.sync_all()
}
