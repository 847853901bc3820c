//! Room on the disk: how much is left, and whether a new segment leaves the reserve alone.
//!
//! Refuses to know: what the reserve is for.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::error::JournalError;

/// Bytes that an unprivileged process may still take on the file system of a directory.
///
/// # Errors
/// The directory cannot be asked.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let about = statvfs(dir).map_err(io::Error::from)?;
    Ok(about.blocks_available().saturating_mul(about.fragment_size()))
}

/// Whether `wanted` more bytes leave `reserve_bytes` free.
pub(super) fn check(dir: &Path, wanted: u64, reserve_bytes: u64) -> Result<(), JournalError> {
    let free = free_bytes(dir).map_err(|e| JournalError::io("ask for the free space of", dir, e))?;
    if free >= wanted.saturating_add(reserve_bytes) {
        return Ok(());
    }
    Err(JournalError::Reserve { dir: dir.to_path_buf(), free, reserve_bytes })
}
