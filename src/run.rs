//! `watchroom run`: from the configuration to a node at work, and its orderly end.
//!
//! Refuses to know: what the stages do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, Result, bail, ensure};
use ingest::Senders;
use ingest::journal::{Journal, JournalReader, Recovery};
use record::{Batch, FormatSet, Lsn};
use rules::{Engine, RuleSet};
use sinks::alert_book::AlertBook;
use sinks::notification::Scene;
use sinks::outbox::{Outbox, OutboxConfig, OutboxHandle};
use sinks::trace_store::TraceReader;
use sinks::trace_store::embedded::{self, EmbeddedWriter};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::clock::{Clock, system_clock};
use crate::config::Config;
use crate::counters::Sources;
use crate::journal_thread::JournalThread;
use crate::judge_thread::{JudgeThread, Tellers, publish, records};
use crate::pipeline::{self, Inputs, Node, Stages};
use crate::progress::Progress;
use crate::replay::Replay;
use crate::store_thread::StoreThread;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(args: &crate::cli::ConfigArg) -> Result<ExitCode> {
    start_log();
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok()
        .context("a second TLS provider is installed")?;
    let config = Config::load(args.config.as_deref())?;
    let formats = Arc::new(config.formats()?);
    let rules = load_rules(&config, &formats)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let node = Setup::new(&config, formats, rules, &runtime)?;
    node.work(&runtime)?;
    Ok(ExitCode::SUCCESS)
}

/// Where the node of this configuration serves its pages, as it said itself when it started.
pub(crate) fn web_address(config: &Config) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(config.data_dir.join("addresses.json")).ok()?;
    let addresses: BTreeMap<String, SocketAddr> = serde_json::from_str(&text).ok()?;
    addresses.get("web").copied()
}

fn start_log() {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

fn load_rules(config: &Config, formats: &Arc<FormatSet>) -> Result<Arc<RuleSet>> {
    let files = config.rule_files()?;
    match RuleSet::load(&files, formats) {
        Ok(rules) => Ok(Arc::new(rules)),
        Err(errors) => {
            crate::check::complain_all(&errors);
            bail!("the rules are not right; nothing was started")
        }
    }
}

/// Everything that is opened before the first line is read.
struct Setup {
    config_summary: String,
    formats: Arc<FormatSet>,
    clock: Clock,
    progress: Arc<Progress>,
    engine: Engine,
    journal: Option<Journal>,
    journal_dir: Option<std::path::PathBuf>,
    first_lsn: Lsn,
    crowded_bytes: u64,
    store: Option<EmbeddedWriter>,
    store_enabled: bool,
    tellers: Tellers,
    inputs: Inputs,
    senders_config: ingest::SendersConfig,
    shutdown: watch::Sender<bool>,
    senders_shutdown: watch::Sender<bool>,
    senders: tokio::task::JoinSet<()>,
    pages: tokio::task::JoinHandle<()>,
}

impl Setup {
    fn new(config: &Config, formats: Arc<FormatSet>, rules: Arc<RuleSet>, runtime: &Runtime) -> Result<Self> {
        let dir = &config.data_dir;
        std::fs::create_dir_all(dir)
            .with_context(|| format!("data_dir: {} cannot be made", dir.display()))?;
        let clock = system_clock();
        let progress = Arc::new(Progress::new());
        progress.set_trouble("start", Some("replaying the journal".to_owned()));
        let (shutdown, shutdown_rx) = watch::channel(false);
        let (senders_shutdown, senders_rx) = watch::channel(false);

        // The journal first: its lock keeps a second node away from the files of the one at work.
        let journal = open_journal(config)?;
        let (store, reader) = open_store(config, &formats, &progress);
        let stored_lsn = store.as_ref().map_or(0, EmbeddedWriter::stored_lsn);
        if let Some(journal) = &journal {
            check_journal_reaches(journal, stored_lsn, config)?;
        }
        let inputs = Inputs::bind(runtime, config, &formats, &clock, &shutdown_rx)?;
        let web = runtime.block_on(tokio::net::TcpListener::bind(config.web.listen_address)).with_context(
            || {
                format!(
                    "web.listen_address: cannot listen on {}; another program may hold it",
                    config.web.listen_address
                )
            },
        )?;
        let web_address = web.local_addr()?;
        let external_url = config.web.external_url.clone().unwrap_or_else(|| format!("http://{web_address}"));

        let scene = Scene { external_url: external_url.clone(), zone: config.zone };
        let integrations = sinks::notifier::integrations(&config.receivers, &scene)?;
        let routes = integrations.iter().map(|i| i.route.clone()).collect();
        let outbox = Outbox::open(&dir.join("outbox.db"), OutboxConfig::default(), routes)?;
        let outbox = OutboxHandle::new(outbox);
        let tellers = Tellers { book: AlertBook::default(), outbox, clock: Arc::clone(&clock) };

        let sources = Sources {
            inputs: inputs.inputs.clone(),
            formats: Arc::clone(&formats),
            rules: rules.infos(),
            progress: Arc::clone(&progress),
            tellers: tellers.clone(),
            started_ms: clock(),
        };
        let deps = sources.deps(reader, external_url, config.zone);
        let pages = pipeline::start_pages(runtime, web, deps, &senders_rx);
        let senders = pipeline::start_senders(runtime, integrations, &tellers.outbox, &clock, &senders_rx);
        announce(dir, &inputs, web_address)?;
        let next_lsn = journal.as_ref().map_or(stored_lsn + 1, Journal::next_lsn);
        Ok(Self {
            config_summary: format!("{} rules", rules.infos().len()),
            engine: Engine::new(rules, Arc::clone(&formats)),
            formats,
            clock,
            progress,
            journal_dir: journal.as_ref().map(|_| config.journal.dir.clone()),
            journal,
            first_lsn: next_lsn,
            crowded_bytes: config.journal.max_bytes / 10 * 8,
            store,
            store_enabled: config.traces.enabled,
            tellers,
            inputs,
            senders_config: config.senders.clone(),
            shutdown,
            senders_shutdown,
            senders,
            pages,
        })
    }

    /// Replays, starts the stages, waits for the signal, ends in order.
    fn work(mut self, runtime: &Runtime) -> Result<()> {
        self.replay()?;
        self.progress.set_trouble("start", None);
        let Self { formats, clock, progress, engine, journal, journal_dir, store, tellers, .. } = self;
        let (first_lsn, crowded_bytes) = (self.first_lsn, self.crowded_bytes);
        let store_enabled = self.store_enabled;
        let senders = Senders::new(&self.senders_config);
        let journal_stage = {
            let (formats, clock, progress) =
                (Arc::clone(&formats), Arc::clone(&clock), Arc::clone(&progress));
            move |inbox, judge| JournalThread {
                inbox,
                journal,
                next_lsn: first_lsn,
                crowded_bytes,
                store_enabled,
                judge,
                formats,
                clock,
                progress,
                senders,
            }
        };
        let judge_progress = Arc::clone(&progress);
        let summary_progress = Arc::clone(&progress);
        let stages = Stages {
            journal: Box::new(journal_stage),
            judge: Box::new(move |entries, store| JudgeThread {
                entries,
                engine,
                store,
                tellers,
                progress: judge_progress,
            }),
            store: store.map(|writer| -> pipeline::MakeStore {
                Box::new(move |parcels| StoreThread {
                    parcels,
                    writer,
                    journal_dir,
                    formats,
                    clock,
                    progress,
                    trouble: None,
                })
            }),
        };
        let node = Node::start(runtime, self.inputs, stages)?;
        tracing::info!("at work: {}", self.config_summary);
        runtime.block_on(signalled())?;
        tracing::info!("stopping: taking what has been received");
        self.shutdown.send_replace(true);
        node.finish(runtime)?;
        self.senders_shutdown.send_replace(true);
        runtime.block_on(async {
            while self.senders.join_next().await.is_some() {}
            // Its end is an error only if it panicked, and then there is nothing left to end.
            drop(self.pages.await);
        });
        tracing::info!("stopped: {}", pipeline::summary(&summary_progress));
        Ok(())
    }

    /// Feeds the engine and the store with what the journal holds, as if it came now.
    fn replay(&mut self) -> Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let first = journal.first_lsn();
        let reader = journal.reader(first)?;
        self.progress.next_lsn.store(journal.next_lsn(), Relaxed);
        self.progress.durable_lsn.store(journal.durable_lsn(), Relaxed);
        let count = replay_into(reader, self)?;
        publish(&self.engine, &self.progress);
        if count > 0 {
            tracing::info!("replayed {count} records from journal position {first}");
        }
        Ok(())
    }
}

fn replay_into(reader: JournalReader, setup: &mut Setup) -> Result<u64> {
    let mut replay = Replay::new(reader, Arc::clone(&setup.formats));
    let mut batch = Batch::default();
    let mut transitions = Vec::new();
    let mut count = 0;
    while replay.next(&mut batch)? {
        setup.engine.judge(&batch, &mut transitions);
        setup.tellers.tell(&mut transitions);
        if let Some(store) = &mut setup.store {
            store.append(&batch)?;
        }
        count += records(&batch);
        setup.progress.judged.store(count, Relaxed);
    }
    if replay.unknown_formats() > 0 {
        tracing::warn!(
            "{} journaled records are of formats that are no longer configured; read as plain",
            replay.unknown_formats()
        );
    }
    Ok(count)
}

/// A store that cannot be opened silences nobody: the node works without it, says so, and its journal keeps everything.
fn open_store(
    config: &Config,
    formats: &Arc<FormatSet>,
    progress: &Progress,
) -> (Option<EmbeddedWriter>, Arc<dyn TraceReader>) {
    if !config.traces.enabled {
        return (None, Arc::new(crate::counters::NoTraces));
    }
    match embedded::open(config.embedded(), Arc::clone(formats)) {
        Ok((writer, reader)) => (Some(writer), Arc::new(reader)),
        Err(error) => {
            let why = format!(
                "{error}; alerts go on, records wait in the journal; move the file away and start again"
            );
            tracing::error!("{why}");
            progress.set_trouble("trace store", Some(why));
            (None, Arc::new(crate::counters::NoTraces))
        }
    }
}

fn open_journal(config: &Config) -> Result<Option<Journal>> {
    if !config.journal.enabled {
        return Ok(None);
    }
    let (journal, recovery): (Journal, Recovery) = Journal::open(&config.journal)?;
    if recovery.torn_bytes > 0 {
        tracing::warn!(
            "the journal's last commit was cut short by a crash: {} bytes dropped",
            recovery.torn_bytes
        );
    }
    Ok(Some(journal))
}

/// New lines must get positions above those of the stored ones, or the store would take them for repeated.
fn check_journal_reaches(journal: &Journal, stored_lsn: Lsn, config: &Config) -> Result<()> {
    ensure!(
        journal.next_lsn() > stored_lsn,
        "{}: the journal ends at position {}, but the trace store holds records up to {stored_lsn}: the journal was \
         removed or exchanged\nhint: put it back, or move the traces away ({}) to begin anew",
        config.journal.dir.display(),
        journal.next_lsn() - 1,
        config.data_dir.join("traces").display()
    );
    Ok(())
}

/// Says where the node listens: in the log, and in `addresses.json` for tools (port 0 means any free port).
fn announce(dir: &Path, inputs: &Inputs, web: SocketAddr) -> Result<()> {
    let mut addresses = BTreeMap::from([("web".to_owned(), web)]);
    for input in &inputs.inputs {
        tracing::info!("{}: listening for syslog over {} on {}", input.name, input.protocol, input.address);
        addresses.insert(input.name.clone(), input.address);
    }
    tracing::info!("pages on http://{web}/");
    let path = dir.join("addresses.json");
    let temporary = dir.join("addresses.json.tmp");
    std::fs::write(&temporary, serde_json::to_vec(&addresses)?)
        .and_then(|()| std::fs::rename(&temporary, &path))
        .with_context(|| format!("{} cannot be written", path.display()))
}

async fn signalled() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
