//! What the disk under journal and store can do, beside the figures that depend on it.
//!
//! Refuses to know: who writes what.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::process::clock;
use crate::statistics::percentile;

/// Writes a size.
const SYNCS: usize = 200;

/// Time of an append and fdatasync, milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk {
    /// 4 KiB: median and 99th percentile.
    pub(crate) small_ms: (f64, f64),
    /// 256 KiB: median and 99th percentile.
    pub(crate) large_ms: (f64, f64),
}

/// Appends to a file in `folder`.
pub(crate) fn measure(folder: &Path) -> anyhow::Result<Disk> {
    let path = folder.join("syncs");
    let mut file = File::create(&path)?;
    let small_ms = syncs(&mut file, 4 * 1024)?;
    let large_ms = syncs(&mut file, 256 * 1024)?;
    std::fs::remove_file(path)?;
    Ok(Disk { small_ms, large_ms })
}

fn syncs(file: &mut File, bytes: usize) -> anyhow::Result<(f64, f64)> {
    let block = vec![7u8; bytes];
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = clock();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push((clock() - begun).as_secs_f64() * 1_000.0);
    }
    Ok((percentile(&times, 50.0).unwrap_or(0.0), percentile(&times, 99.0).unwrap_or(0.0)))
}
