//! The binary under torture: `WATCHROOM_TORTURE_BINARY`, else what cargo builds with kill points, once.
//!
//! Refuses to know: what it does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail};

/// Path of the binary. The build is that of the whole workspace, so that it shares every artefact with
/// `cargo test --workspace`.
///
/// # Errors
/// It cannot be built.
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find().map_err(|e| format!("{e:#}")));
    found.as_deref().map_err(|e| anyhow!("{e}"))
}

fn find() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("WATCHROOM_TORTURE_BINARY") {
        return Ok(PathBuf::from(given));
    }
    if let Some(built) = fresh() {
        return Ok(built);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--workspace", "--bin", "watchroom", "--locked", "--message-format", "json"])
        .args(["--features", "watchroom/failpoints"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo cannot be run")?;
    if !built.status.success() {
        bail!("the binary cannot be built; see above");
    }
    let executable = built
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "watchroom")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    executable.context("cargo named no binary")
}

/// The binary that `cargo test --workspace` built beside this program, if it is newer than every source and has kill
/// points.
fn fresh() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let folder = own.parent().filter(|folder| folder.ends_with("deps")).and_then(Path::parent)?;
    let binary = folder.join("watchroom");
    let built = binary.metadata().ok()?.modified().ok()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = ["Cargo.lock", "src", "ingest", "rules", "sinks", "dashboards"];
    if sources.iter().any(|source| newest(&root.join(source)).is_none_or(|at| at > built)) {
        return None;
    }
    let armed = Command::new(&binary).arg("--version").env("FAILPOINTS", "K0=return").output().ok()?;
    (!armed.status.success()).then_some(binary)
}

/// When a file, or the youngest of a folder, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return path.metadata().ok()?.modified().ok();
    }
    let mut youngest = SystemTime::UNIX_EPOCH;
    for entry in std::fs::read_dir(path).ok()? {
        youngest = youngest.max(newest(&entry.ok()?.path())?);
    }
    Some(youngest)
}
