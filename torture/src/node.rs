//! A node under torture: its data folder, its process, how that ended, what its pages say.
//!
//! Refuses to know: why it is killed.

mod binary;
mod http;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::{eventually, within};
use crate::scratch::Scratch;

pub use binary::binary;

/// How long a node may take to listen after its start, on a busy machine and without optimisation.
const START_PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGKILL.
    Killed,
    /// At a kill point.
    KillPoint,
    /// By itself, with this code.
    Exit(i32),
    /// By another signal.
    Signal(i32),
}

/// Where a node listens now; shared with proxies and drivers. Empty while it is down.
#[derive(Debug, Clone, Default)]
pub struct Front(Arc<Mutex<BTreeMap<String, SocketAddr>>>);

impl Front {
    /// Address of a listener, if the node is up.
    pub fn get(&self, name: &str) -> Option<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn set(&self, addresses: BTreeMap<String, SocketAddr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }
}

/// Kills the node that is up, from wherever.
#[derive(Debug, Clone, Default)]
pub struct Trigger(Arc<Mutex<Aim>>);

#[derive(Debug, Default)]
struct Aim {
    /// The life that can be ended: its process id, until it is reaped or the trigger was pulled.
    life: Option<u32>,
    disarmed: bool,
}

impl Trigger {
    /// The life that the node has now, for [`Trigger::pull`].
    pub fn life(&self) -> Option<u32> {
        self.aim().life
    }

    /// `kill -9`, if the node is in this life still: who decides late does not kill the next one.
    pub fn pull(&self, life: Option<u32>) {
        let mut aim = self.aim();
        let Some(pid) = aim.life.filter(|_| life == aim.life && !aim.disarmed) else { return };
        aim.life = None;
        if let Ok(pid) = i32::try_from(pid) {
            // It may have ended by itself meanwhile; it is not reaped while the lock is held.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// From here on pulling it does nothing.
    pub fn disarm(&self) {
        self.aim().disarmed = true;
    }

    fn aim(&self) -> MutexGuard<'_, Aim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Words of a rule, before drills change it and after.
const WORDS: [&str; 2] =
    ["{channel}: {count} network errors in a row", "{count} network errors in a row on {channel}"];

/// A node, up or down.
#[derive(Debug)]
pub struct Node {
    config: PathBuf,
    rules: PathBuf,
    data: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    front: Front,
    trigger: Trigger,
}

impl Node {
    /// A node that has not started yet. `more` is appended to its configuration (journal, receivers, listeners...);
    /// `trigger` kills it from other threads.
    ///
    /// # Errors
    /// The disk.
    pub fn new(scratch: &Scratch, more: &str, trigger: Trigger) -> Result<Self> {
        Self::with_data(scratch, &scratch.path("data"), more, trigger)
    }

    /// [`Node::new`] with its data in a folder of the caller.
    ///
    /// # Errors
    /// The disk.
    pub fn with_data(scratch: &Scratch, data: &Path, more: &str, trigger: Trigger) -> Result<Self> {
        // A copy: drills change it.
        let rules = scratch.path("rules.yaml");
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules.d/network.yaml"), &rules)?;
        let text = format!(
            "data_dir: {}\nweb: {{listen_address: \"127.0.0.1:0\"}}\nrule_files: [{}]\n{more}\n",
            data.display(),
            rules.display()
        );
        let config = scratch.path("watchroom.yaml");
        fs::write(&config, text)?;
        Ok(Self {
            config,
            rules,
            data: data.to_path_buf(),
            log: scratch.path("node.log"),
            child: None,
            front: Front::default(),
            trigger,
        })
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Everything it writes.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What it said on stderr, all lives together.
    ///
    /// # Errors
    /// The disk.
    pub fn said(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// Where it listens.
    pub fn front(&self) -> Front {
        self.front.clone()
    }

    /// Its process id while it is up.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it with kill points armed (`K3=5*off->return`; empty: none) and waits until it listens. `Some`: it ended
    /// before that.
    ///
    /// # Errors
    /// It is up already; it neither listens nor ends in time.
    pub fn start(&mut self, failpoints: &str) -> Result<Option<End>> {
        if self.child.is_some() {
            bail!("the node is up already");
        }
        let book = self.data.join("addresses.json");
        if book.exists() {
            fs::remove_file(&book)?;
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(binary()?)
            .args(["run", "--config"])
            .arg(&self.config)
            .env("FAILPOINTS", failpoints)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the node cannot be started")?;
        self.trigger.aim().life = Some(child.id());
        self.child = Some(child);
        let what = format!("the node listens; see {}", self.log.display());
        within(START_PATIENCE, &what, || {
            if let Some(end) = self.poll()? {
                return Ok(Some(Some(end)));
            }
            let Ok(text) = fs::read_to_string(&book) else { return Ok(None) };
            let Ok(addresses) = serde_json::from_str(&text) else { return Ok(None) };
            self.front.set(addresses);
            Ok(Some(None))
        })
    }

    /// Starts it and fails if that does not work.
    ///
    /// # Errors
    /// It ended.
    pub fn up(&mut self) -> Result<()> {
        match self.start("")? {
            None => Ok(()),
            Some(end) => bail!("the node ended at its start: {end:?}; see {}", self.log.display()),
        }
    }

    /// Waits until it has replayed its journal and works.
    ///
    /// # Errors
    /// It ended, or takes too long.
    pub fn ready(&mut self) -> Result<()> {
        eventually("the node is ready", || {
            if let Some(end) = self.poll()? {
                bail!("the node ended before it was ready: {end:?}; see {}", self.log.display());
            }
            Ok(self.get("/-/ready").is_ok().then_some(()))
        })
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn poll(&mut self) -> Result<Option<End>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let mut aim = self.trigger.aim();
        let Some(status) = child.try_wait()? else { return Ok(None) };
        aim.life = None;
        drop(aim);
        Ok(Some(self.ended(status)))
    }

    /// Whether a receiver has killed it, which [`Node::poll`] will say.
    pub fn is_shot(&self) -> bool {
        self.child.is_some() && self.trigger.life().is_none()
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It is not up.
    pub fn kill(&mut self) -> Result<End> {
        let child = self.child.as_mut().context("the node is not up")?;
        self.trigger.aim().life = None;
        child.kill()?;
        let status = child.wait()?;
        Ok(self.ended(status))
    }

    /// Sends a signal to it.
    ///
    /// # Errors
    /// It is not up.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("the node is not up")?;
        Ok(kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
    }

    /// Changes the words of a rule and lets the node read its rules again: the engine is exchanged, and must stand where
    /// the one before stood, which `journal verify --replay` finds out.
    ///
    /// # Errors
    /// The disk; it is not up.
    pub fn change_rules(&self) -> Result<()> {
        let text = fs::read_to_string(&self.rules)?;
        let (from, to) = if text.contains(WORDS[0]) { (WORDS[0], WORDS[1]) } else { (WORDS[1], WORDS[0]) };
        let next = self.rules.with_extension("next");
        fs::write(&next, text.replace(from, to))?;
        fs::rename(&next, &self.rules)?;
        self.reload()
    }

    /// Lets it read its rules and certificates again.
    ///
    /// # Errors
    /// It is not up.
    pub fn reload(&self) -> Result<()> {
        self.signal(Signal::SIGHUP)
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Errors
    /// It is not up, or does not end.
    pub fn stop(&mut self) -> Result<End> {
        self.signal(Signal::SIGTERM)?;
        eventually("the node ends after SIGTERM", || self.poll())
    }

    fn ended(&mut self, status: ExitStatus) -> End {
        self.front.set(BTreeMap::new());
        self.child = None;
        match (status.code(), status.signal()) {
            (Some(code), _) => End::Exit(code),
            (None, Some(6)) => End::KillPoint,
            (None, Some(9)) => End::Killed,
            (None, signal) => End::Signal(signal.unwrap_or_default()),
        }
    }

    /// Body of a page that answers 200.
    ///
    /// # Errors
    /// It is down, or answers otherwise.
    pub fn get(&self, path: &str) -> Result<String> {
        let address = self.front.get("web").context("the node is down")?;
        let (status, body) = http::get(address, path)?;
        if status != 200 {
            bail!("{path}: {status}: {body}");
        }
        Ok(body)
    }

    /// A metric, summed over the label sets that contain `labels`.
    ///
    /// # Errors
    /// It is down.
    pub fn metric(&self, name: &str, labels: &str) -> Result<u64> {
        Ok(sum(&self.get("/metrics")?, name, labels))
    }

    /// Runs the binary beside it: exit code, stdout, stderr.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn command(&self, args: &[&str]) -> Result<(i32, String, String)> {
        let done = Command::new(binary()?).args(args).stdin(Stdio::null()).output()?;
        Ok((
            done.status.code().unwrap_or(-1),
            String::from_utf8(done.stdout)?,
            String::from_utf8_lossy(&done.stderr).into_owned(),
        ))
    }
}

/// A metric of an exposition, summed over the label sets that contain `labels`.
pub fn sum(exposition: &str, name: &str, labels: &str) -> u64 {
    let lines = exposition.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
    });
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Already ended is as good.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
