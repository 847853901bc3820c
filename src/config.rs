//! The configuration file: gathers each crate's own config, with defaults that run on one machine with nothing else.
//!
//! The doc comment of each key is its manual entry; docs/configuration.md shows a whole file.
//! Refuses to know: what any stage does with its part.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use chrono_tz::Tz;
use ingest::{JournalConfig, ListenerConfig, Protocol, SendersConfig};
use record::FormatSet;
use rules::{RuleError, RuleFile};
use serde::Deserialize;
use sinks::receivers::Receiver;
use sinks::trace_store::embedded::EmbeddedConfig;

/// The shipped rules, for a binary that stands alone.
const SHIPPED_RULES: [(&str, &str); 6] = [
    ("rules.d/logs.yaml", include_str!("../rules.d/logs.yaml")),
    ("rules.d/network.yaml", include_str!("../rules.d/network.yaml")),
    ("rules.d/orders.yaml", include_str!("../rules.d/orders.yaml")),
    ("rules.d/results.yaml", include_str!("../rules.d/results.yaml")),
    ("rules.d/security.yaml", include_str!("../rules.d/security.yaml")),
    ("rules.d/settlement.yaml", include_str!("../rules.d/settlement.yaml")),
];

/// The first byte that is no text.
fn not_text(text: &str, path: &Path) -> Option<RuleError> {
    let before = text.get(..text.find('\0')?)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Some(RuleError {
        file: path.display().to_string(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..)?.chars().count() + 1,
        message: "here stands a byte that is no text in UTF-8; save the file as UTF-8".to_owned(),
    })
}

/// A message of serde about an unknown key, with the nearest known one.
fn nearest_key(message: &str) -> String {
    let key = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    let Some((key, rest)) = key else { return message.to_owned() };
    let known = rest.trim_start_matches(", expected one of ").split(", ").map(|name| name.trim_matches('`'));
    let near = rules::did_you_mean(key, known);
    if near.is_empty() { message.to_owned() } else { format!("unknown key `{key}`{near}") }
}

/// The configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where it was read from; `None`: these are the defaults.
    #[serde(skip)]
    pub(crate) path: Option<PathBuf>,
    /// Folder of everything this node writes: journal, traces, outbox, addresses.json.
    pub(crate) data_dir: PathBuf,
    /// The platform's time zone: of order-trace lines and of the pages.
    pub(crate) zone: Tz,
    /// Formats of your own, or shipped ones described anew.
    pub(crate) formats: Vec<record::FormatConfig>,
    /// Where lines come in.
    pub(crate) listeners: Vec<ListenerConfig>,
    /// Bytes that may be on their way from the listeners to the store; beyond it TCP senders wait.
    pub(crate) in_flight_bytes: usize,
    /// Rule files, or folders of `*.yaml`. Default: `rules.d` if it is there, else the rules in the binary.
    pub(crate) rule_files: Option<Vec<PathBuf>>,
    /// How often the rule files are looked at, in seconds; what changed and is right is taken. 0: only on SIGHUP and
    /// `POST /-/reload`.
    pub(crate) rules_watch_interval_s: u32,
    /// Who is told about alerts.
    pub(crate) receivers: Vec<Receiver>,
    /// Pages, API, metrics.
    pub(crate) web: WebConfig,
    /// The local journal.
    pub(crate) journal: JournalConfig,
    /// The embedded trace store.
    pub(crate) traces: TracesConfig,
    /// What is kept of senders.
    pub(crate) senders: SendersConfig,
    /// Least time between two snapshots of the rules' state; a restart replays the journal behind the last one. They
    /// come more rarely when taking one holds up the judge for more than a twentieth of this.
    pub(crate) snapshot_interval_ms: u32,
}

/// Pages, API and metrics.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebConfig {
    /// Address of the pages. There is no login yet: keep it on loopback.
    pub(crate) listen_address: SocketAddr,
    /// How people reach the pages, for links in mails. Default: `http://` and the listen address.
    pub(crate) external_url: Option<String>,
}

/// The trace store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TracesConfig {
    /// Whether records are kept for trails and search.
    pub(crate) enabled: bool,
    /// Days that records are kept.
    pub(crate) retention_days: u32,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self { enabled: true, retention_days: 30 }
    }
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { listen_address: SocketAddr::from(([127, 0, 0, 1], 9650)), external_url: None }
    }
}

impl Default for Config {
    fn default() -> Self {
        let listener = |name: &str, protocol, port| {
            ListenerConfig::new(name, protocol, SocketAddr::from(([127, 0, 0, 1], port)))
        };
        Self {
            path: None,
            data_dir: PathBuf::from("var"),
            zone: Tz::Asia__Shanghai,
            formats: Vec::new(),
            listeners: vec![
                listener("syslog-udp", Protocol::Udp, 5514),
                listener("syslog-tcp", Protocol::Tcp, 5514),
                listener("relp", Protocol::Relp, 2514),
            ],
            in_flight_bytes: 64 << 20,
            rule_files: None,
            rules_watch_interval_s: 5,
            receivers: Vec::new(),
            web: WebConfig::default(),
            journal: JournalConfig::default(),
            traces: TracesConfig::default(),
            senders: SendersConfig::default(),
            snapshot_interval_ms: 5_000,
        }
    }
}

impl Config {
    /// Reads a file, or gives the defaults. Errors name file, line, column, and what is expected there.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self> {
        let mut config = match path {
            None => Self::default(),
            Some(path) => {
                let text = crate::lines::read_text(path).context("the configuration")?;
                if let Some(fault) = not_text(&text, path) {
                    return Err(anyhow!(fault));
                }
                Self::parse(&text, path)?
            }
        };
        config.path = path.map(Path::to_owned);
        if config.journal.dir.as_os_str().is_empty() {
            config.journal.dir = config.data_dir.join("journal");
        }
        config.check().with_context(|| path.map_or_else(String::new, |p| p.display().to_string()))?;
        Ok(config)
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map_or((1, 1), |l| (l.line(), l.column()));
            let message = error.without_snippet().to_string();
            let message = nearest_key(message.split(" at line ").next().unwrap_or_default());
            anyhow!(RuleError {
                file: path.display().to_string(),
                line: usize::try_from(place.0).unwrap_or(1),
                column: usize::try_from(place.1).unwrap_or(1),
                message: format!("{message}\nhint: docs/configuration.md lists every key"),
            })
        })
    }

    fn check(&self) -> Result<()> {
        let mut names = std::collections::HashSet::new();
        for listener in &self.listeners {
            ensure!(
                names.insert(&listener.name),
                "listeners: two are called `{}`; names are unique",
                listener.name
            );
            ensure!(
                listener.name != "web",
                "listeners: `web` is the name of the pages' address; choose another"
            );
        }
        ensure!(
            self.in_flight_bytes >= 1 << 20,
            "in_flight_bytes: {} is too small; at least 1048576",
            self.in_flight_bytes
        );
        sinks::receivers::check(&self.receivers)?;
        let formats = self.formats()?;
        for listener in &self.listeners {
            listener.check(&formats)?;
            if let Some(format) = &listener.format {
                let known: Vec<&str> = formats.iter().map(|(_, f)| f.name()).collect();
                ensure!(
                    formats.find(format).is_some(),
                    "listeners: `{}`: no format `{format}`; known: {}",
                    listener.name,
                    known.join(", ")
                );
            }
        }
        Ok(())
    }

    /// What the files that `tls:` sections name would say if the node started now, with the path that says it; nothing
    /// is wrong with a configuration that is checked on another machine.
    pub(crate) fn certificate_problems(&self, clock: &crate::clock::Clock) -> Vec<(PathBuf, String)> {
        let sections = self.listeners.iter().filter_map(|l| l.tls.as_ref().map(|tls| (&l.name, tls)));
        let told = |(name, tls): (&String, &ingest::tls::TlsConfig)| {
            let problems = ingest::tls::problems(tls, clock);
            let said = problems.into_iter().map(|problem| format!("listener `{name}`: {problem}"));
            said.map(|problem| (tls.certificate.clone(), problem)).collect::<Vec<_>>()
        };
        sections.flat_map(told).collect()
    }

    /// The shipped formats and those of the file.
    pub(crate) fn formats(&self) -> Result<FormatSet> {
        Ok(FormatSet::shipped(self.zone).with(self.formats.clone())?)
    }

    /// The rule files that hold.
    pub(crate) fn rule_files(&self) -> Result<Vec<RuleFile>> {
        match self.rule_paths() {
            Some(paths) => crate::lines::rule_files(&paths),
            None => Ok(Self::shipped_rules()),
        }
    }

    /// Where the rule files are; `None`: the rules in the binary hold.
    pub(crate) fn rule_paths(&self) -> Option<Vec<PathBuf>> {
        let default = || Path::new("rules.d").is_dir().then(|| vec![PathBuf::from("rules.d")]);
        self.rule_files.clone().or_else(default)
    }

    /// How often rule files are looked at, if they are.
    pub(crate) fn rules_watch(&self) -> Option<Duration> {
        let seconds = u64::from(self.rules_watch_interval_s);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// The rules in the binary.
    pub(crate) fn shipped_rules() -> Vec<RuleFile> {
        let file =
            |(name, text): &(&str, &str)| RuleFile { name: (*name).to_owned(), text: (*text).to_owned() };
        SHIPPED_RULES.iter().map(file).collect()
    }

    /// Where snapshots are.
    pub(crate) fn snapshot_dir(&self) -> PathBuf {
        self.data_dir.join("snapshots")
    }

    /// The trace store's own config.
    pub(crate) fn embedded(&self) -> EmbeddedConfig {
        EmbeddedConfig {
            dir: self.data_dir.join("traces"),
            retention_days: self.traces.retention_days,
            ..EmbeddedConfig::default()
        }
    }
}
