//! Watchroom as a receiver: started with a configuration of ours, watched by its own `/metrics`.
//!
//! Refuses to know: how it works inside.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::process::{Process, wait_until};

/// How long a start may take.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked how far it is: an answer costs it about half a millisecond, which is in its figures.
const POLL: Duration = Duration::from_millis(20);

/// What is switched on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    /// Journal and trace store.
    pub(crate) keeps: bool,
    /// A webhook that is told of alerts.
    pub(crate) webhook: Option<&'a str>,
}

/// A running Watchroom.
#[derive(Debug)]
pub(crate) struct Watchroom {
    /// Its process.
    pub(crate) process: Process,
    /// Its syslog listener.
    pub(crate) address: SocketAddr,
    /// Its RELP listener.
    pub(crate) relp: SocketAddr,
    web: SocketAddr,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Records judged.
    pub(crate) judged: u64,
    /// Records that came too late to be judged fully.
    pub(crate) late: u64,
    /// Last journal position on disk.
    pub(crate) durable_lsn: u64,
    /// Last journal position in trace files.
    pub(crate) stored_lsn: u64,
    /// Rows that the trace store holds in memory.
    pub(crate) fresh_rows: u64,
}

impl Watchroom {
    /// Starts `program` with its data in `folder`, an empty one.
    pub(crate) fn start(
        program: &Path,
        rules: &Path,
        folder: &Path,
        options: Options<'_>,
    ) -> anyhow::Result<Self> {
        let data = folder.join("data");
        std::fs::write(folder.join("watchroom.yaml"), configuration(&data, rules, options)?)?;
        let mut process = Self::run(program, folder)?;
        let mut addresses = BTreeMap::new();
        wait_until("addresses.json", &mut process, Duration::from_millis(10), START_PATIENCE, || {
            let text = std::fs::read_to_string(data.join("addresses.json")).unwrap_or_default();
            addresses = serde_json::from_str::<BTreeMap<String, SocketAddr>>(&text).unwrap_or_default();
            Ok(["web", "bench", "relp"].iter().all(|name| addresses.contains_key(*name)))
        })
        .with_context(|| std::fs::read_to_string(folder.join("watchroom.log")).unwrap_or_default())?;
        let (web, address, relp) = (addresses["web"], addresses["bench"], addresses["relp"]);
        let mut watchroom = Self { process, address, relp, web };
        watchroom.wait_for_readiness(START_PATIENCE)?;
        Ok(watchroom)
    }

    fn run(program: &Path, folder: &Path) -> anyhow::Result<Process> {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("watchroom.log"))?;
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(folder.join("watchroom.yaml"));
        Process::start(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
    }

    /// Starts it again, after its process has ended, with the same data at the same addresses; waits for nothing.
    pub(crate) fn start_again(&mut self, program: &Path, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join("watchroom.yaml");
        let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        config["web"]["listen_address"] = serde_json::json!(self.web);
        for (at, address) in [self.address, self.relp].into_iter().enumerate() {
            config["listeners"][at]["address"] = serde_json::json!(address);
        }
        std::fs::write(&path, config.to_string())?;
        self.process = Self::run(program, folder)?;
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub(crate) fn wait_for_readiness(&mut self, patience: Duration) -> anyhow::Result<()> {
        let web = self.web;
        wait_until("readiness", &mut self.process, Duration::from_millis(5), patience, || {
            Ok(get(web, "/-/ready").is_ok())
        })
    }

    /// Asks it how far it is.
    pub(crate) fn progress(&self) -> anyhow::Result<Progress> {
        progress_of(self.web)
    }

    /// Waits until it is so far.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        patience: Duration,
        done: impl Fn(Progress) -> bool,
    ) -> anyhow::Result<()> {
        let (web, mut last) = (self.web, Progress::default());
        wait_until(what, &mut self.process, POLL, patience, || {
            if let Ok(progress) = progress_of(web) {
                last = progress;
                return Ok(done(progress));
            }
            Ok(false)
        })
        .with_context(|| format!("the last that was known: {last:?}"))
    }
}

fn progress_of(web: SocketAddr) -> anyhow::Result<Progress> {
    let text = get(web, "/metrics")?;
    let value = |name: &str| -> u64 {
        let sample = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok();
        text.lines().find_map(sample).map_or(0, |value| value as u64)
    };
    Ok(Progress {
        judged: value("watchroom_engine_records_total"),
        late: value("watchroom_engine_late_total"),
        durable_lsn: value("watchroom_journal_durable_lsn"),
        stored_lsn: value("watchroom_trace_store_stored_lsn"),
        fresh_rows: value("watchroom_trace_store_fresh_rows"),
    })
}

fn configuration(data: &Path, rules: &Path, options: Options<'_>) -> anyhow::Result<String> {
    let rules = rules.canonicalize().with_context(|| format!("{} is not there", rules.display()))?;
    let receivers = match options.webhook {
        Some(url) => {
            serde_json::json!([{"name": "bench", "webhook_configs": [{"url": url, "send_resolved": false}]}])
        }
        None => serde_json::json!([]),
    };
    // JSON is YAML.
    let config = serde_json::json!({
        "data_dir": data,
        "zone": "Asia/Shanghai",
        "listeners": [
            {"name": "bench", "protocol": "tcp", "address": "127.0.0.1:0"},
            {"name": "relp", "protocol": "relp", "address": "127.0.0.1:0"},
        ],
        "rule_files": [rules],
        "receivers": receivers,
        "web": {"listen_address": "127.0.0.1:0"},
        "journal": {"enabled": options.keeps, "dir": data.join("journal")},
        "traces": {"enabled": options.keeps},
    });
    Ok(serde_json::to_string_pretty(&config)?)
}

fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    anyhow::ensure!(
        answer.starts_with("HTTP/1.1 200"),
        "{path}: {}",
        answer.lines().next().unwrap_or_default()
    );
    Ok(answer)
}
