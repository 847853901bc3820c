//! Processes and folders that end with their handle, and what the kernel says a process used.
//!
//! Refuses to know: what the processes do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Linux counts CPU time for `/proc` in hundredths of a second on every architecture (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
/// A process gets this long to end in order.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// A folder that is removed with its handle.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new folder inside `parent`.
    pub(crate) fn make(parent: &Path) -> anyhow::Result<Self> {
        let parent = parent.canonicalize().with_context(|| format!("{} is not there", parent.display()))?;
        let path = parent.join(format!("watchroom-bench-{}-{}", std::process::id(), wall_us()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays for the user to see; the figures do not depend on it.
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// A process that is ended with its handle.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        Ok(Self(command.spawn().with_context(|| format!("cannot start {name}"))?))
    }

    /// Its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Fails when it has ended: who waits for it would wait for ever.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.0.try_wait()? {
            Some(status) => bail!("the process ended too early: {status}"),
            None => Ok(()),
        }
    }

    /// CPU seconds so far, all threads, user and system (proc(5), `/proc/PID/stat` fields 14 and 15).
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        cpu_s(&format!("/proc/{}/stat", self.0.id()))
    }

    /// Most memory that was resident at once, bytes (`VmHWM`).
    pub(crate) fn peak_resident_bytes(&self) -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Asks it to end, waits, and ends it if it does not.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        let Ok(None) = self.0.try_wait() else { return Ok(()) };
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        let begun = clock();
        while clock() - begun < END_PATIENCE {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the process did not end within {} s of SIGTERM", END_PATIENCE.as_secs())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already: then there is nothing to kill, only to reap.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// CPU seconds from a `stat` file of proc(5).
pub(crate) fn cpu_s(path: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    let (_, behind_name) = text.rsplit_once(')').context("no process name")?;
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// CPU seconds that all processes of the machine used since it started, without idling and waiting.
pub(crate) fn machine_cpu_s() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy: u64 =
        ticks.iter().take(8).enumerate().filter(|(i, _)| *i != 3 && *i != 4).map(|(_, n)| n).sum();
    Ok(busy as f64 / TICKS_PER_SECOND)
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "measuring is reading the clock")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// Microseconds since the epoch: a clock that two processes of one machine share.
#[expect(clippy::disallowed_methods, reason = "measuring is reading the clock")]
pub(crate) fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(0)
}

/// Waits until `done`, asking every `every`; fails when `process` ends or `patience` does.
pub(crate) fn wait_until(
    what: &str,
    process: &mut Process,
    every: Duration,
    patience: Duration,
    mut done: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let begun = clock();
    while !done()? {
        process.check().with_context(|| format!("waiting for {what}"))?;
        if clock() - begun > patience {
            bail!("no {what} within {} s", patience.as_secs());
        }
        std::thread::sleep(every);
    }
    Ok(())
}
