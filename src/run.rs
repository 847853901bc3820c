//! `watchroom run`: from the configuration to a node at work, and its orderly end.
//!
//! Refuses to know: what the stages do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use anyhow::{Context, Result};
use ingest::Senders;
use record::{FormatSet, Lsn};
use rules::RuleSet;
use sinks::alert_book::AlertBook;
use sinks::notification::Scene;
use sinks::notifier::Integration;
use sinks::outbox::{Outbox, OutboxConfig, OutboxHandle};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::bench::Bench;
use crate::clock::{Clock, nanos, system_clock};
use crate::config::Config;
use crate::counters::Sources;
use crate::journal_thread::JournalThread;
use crate::judge_thread::{JudgeThread, Tellers};
use crate::opening::Opened;
use crate::pipeline::{self, Inputs, Node, Stages};
use crate::progress::Progress;
use crate::published::{Publisher, Question, questions};
use crate::reload::{Reload, StartRules};
use crate::replay::Replay;
use crate::restore::{Restored, restore};
use crate::rule_source::RuleSource;
use crate::senders_thread::{self, SenderSnapshots, SendersThread};
use crate::snapshot_thread::{SnapshotThread, Snapshots};
use crate::store_thread::StoreThread;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(args: &crate::cli::ConfigArg) -> Result<ExitCode> {
    start_log();
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok()
        .context("a second TLS provider is installed")?;
    let config = Arc::new(Config::load(args.config.as_deref())?);
    let formats = Arc::new(config.formats()?);
    let (rules, start_rules) = load_rules(&config, &formats)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    // What comes before the listeners have read their files asks for nothing.
    drop(pipeline::hangups(&runtime)?);
    let ends = Ends::listen(&runtime)?;
    let node = Setup::new(&config, formats, (&rules, start_rules), &runtime)?;
    node.work(&runtime, ends)?;
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

fn load_rules(config: &Config, formats: &Arc<FormatSet>) -> Result<(Arc<RuleSet>, StartRules)> {
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("data_dir: {} cannot be made", config.data_dir.display()))?;
    let source = RuleSource::of(config);
    let (rules, stamp, problem) = source.start(formats)?;
    if let Some(problem) = &problem {
        tracing::error!(
            "{problem}\nthe rule files are not right: the node starts with the last rules that were, {} of them; mend the \
             files, they are read again when they change, on SIGHUP and on POST /-/reload",
            rules.len()
        );
    }
    let len = rules.len();
    Ok((rules, StartRules { source, stamp, problem, len }))
}

/// Everything that is opened before the first line is read.
struct Setup {
    config_summary: String,
    formats: Arc<FormatSet>,
    clock: Clock,
    progress: Arc<Progress>,
    restored: Restored,
    publisher: Publisher,
    asked: Receiver<Question>,
    replay: Option<Replay>,
    opened: Opened,
    snapshots: (Snapshots, SnapshotThread),
    journal_config: ingest::JournalConfig,
    store_enabled: bool,
    tellers: Tellers,
    inputs: Inputs,
    sender_state: Senders,
    sender_snapshots: Option<SenderSnapshots>,
    senders_thread: SendersThread,
    shutdown: watch::Sender<bool>,
    senders_shutdown: watch::Sender<bool>,
    senders: tokio::task::JoinSet<()>,
    pages: tokio::task::JoinHandle<()>,
}

impl Setup {
    fn new(
        config: &Arc<Config>,
        formats: Arc<FormatSet>,
        (rules, start_rules): (&Arc<RuleSet>, StartRules),
        runtime: &Runtime,
    ) -> Result<Self> {
        let dir = &config.data_dir;
        let clock = system_clock();
        let progress = Arc::new(Progress::new());
        progress.set_trouble("start", Some("replaying the journal".to_owned()));
        let (shutdown, shutdown_rx) = watch::channel(false);
        let (senders_shutdown, senders_rx) = watch::channel(false);

        let mut opened = Opened::open(config, &formats, &progress)?;
        let tails = ingest::Tails::default();
        let sender_state =
            senders_thread::open(dir, &config.senders, opened.journal.as_ref(), &tails, &progress)?;
        let (sender_snapshots, senders_thread) =
            senders_thread::snapshots(dir, opened.journal.is_some(), &clock, &progress);
        let inputs = Inputs::bind(runtime, config, &formats, &clock, &tails, &shutdown_rx)?;
        let (questions, asked) = questions();
        let reload = Reload::new(config, &inputs, start_rules, &formats, &questions, &clock);
        let reload = pipeline::start_reload(runtime, reload, config.rules_watch(), &senders_rx)?;
        let web = bind_pages(config, runtime)?;
        let web_address = web.local_addr()?;
        let external_url = config.web.external_url.clone().unwrap_or_else(|| format!("http://{web_address}"));

        let (integrations, outbox) = open_outbox(config, &external_url)?;
        let tellers = Tellers { book: AlertBook::default(), outbox, clock: Arc::clone(&clock) };

        let durable_lsn = opened.next_lsn - 1;
        let taken = std::mem::take(&mut opened.snapshots);
        let mut restored = restore(taken, durable_lsn, rules, &formats, &tellers, &progress);
        let replay = opened.replay(restored.lsn, &formats)?;

        restored.engine.measure(nanos);
        let publisher = Publisher::new(rules, &progress, &clock);
        publisher.publish(&restored.engine);
        let sources = Sources::new(&inputs, &formats, &progress, &tellers, &reload, &questions);
        let bench = Arc::new(Bench::new(config, &progress, &questions));
        let deps = sources.deps(Arc::clone(&opened.reader), bench, external_url, config.zone);
        let pages = pipeline::start_pages(runtime, web, deps, &senders_rx);
        let senders = pipeline::start_senders(runtime, integrations, &tellers.outbox, &clock, &senders_rx);
        announce(dir, &inputs, web_address);
        let snapshots = snapshots(config, restored.lsn, &progress);
        Ok(Self {
            config_summary: format!("{} rules", rules.infos().len()),
            restored,
            publisher,
            asked,
            replay,
            opened,
            snapshots,
            formats,
            clock,
            progress,
            journal_config: config.journal.clone(),
            store_enabled: config.traces.enabled,
            tellers,
            inputs,
            sender_state,
            sender_snapshots,
            senders_thread,
            shutdown,
            senders_shutdown,
            senders,
            pages,
        })
    }

    /// Starts the stages, waits for the signal, ends in order.
    fn work(mut self, runtime: &Runtime, ends: Ends) -> Result<()> {
        let progress = Arc::clone(&self.progress);
        let stages = Stages {
            journal: self.journal_stage(),
            store: self.store_stage(),
            snapshots: self.snapshots.1,
            senders: self.senders_thread,
            judge: {
                let (engine, lsn) = (self.restored.engine, self.restored.lsn);
                let (replay, snapshots, tellers) = (self.replay, self.snapshots.0, self.tellers);
                let (publisher, questions) = (self.publisher, self.asked);
                let (shutdown, progress) = (self.shutdown.subscribe(), self.progress);
                Box::new(move |entries, store| JudgeThread {
                    entries,
                    engine,
                    lsn,
                    replay,
                    store,
                    ticks: None,
                    tellers,
                    snapshots,
                    shutdown,
                    publisher,
                    questions,
                    progress,
                })
            },
        };
        let node = Node::start(runtime, self.inputs, stages)?;
        tracing::info!("at work: {}", self.config_summary);
        runtime.block_on(ends.received());
        tracing::info!("stopping: taking what has been received");
        self.shutdown.send_replace(true);
        node.finish(runtime)?;
        self.senders_shutdown.send_replace(true);
        runtime.block_on(async {
            while self.senders.join_next().await.is_some() {}
            // Its end is an error only if it panicked, and then there is nothing left to end.
            drop(self.pages.await);
        });
        tracing::info!("stopped: {}", pipeline::summary(&progress));
        Ok(())
    }

    fn journal_stage(&mut self) -> pipeline::MakeJournal {
        let (journal, next_lsn) = (self.opened.journal.take(), self.opened.next_lsn);
        let (config, store_enabled) = (self.journal_config.clone(), self.store_enabled);
        let sender_snapshots = self.sender_snapshots.take();
        let mut senders = std::mem::take(&mut self.sender_state);
        senders.resume((self.clock)());
        let (formats, clock, progress) =
            (Arc::clone(&self.formats), Arc::clone(&self.clock), Arc::clone(&self.progress));
        // A copy: what is received is in the original before it is in the journal.
        let tails = self.inputs.tails.copy();
        let shutdown = self.shutdown.subscribe();
        Box::new(move |inbox, judge| JournalThread {
            inbox,
            journal,
            next_lsn,
            crowded_bytes: config.max_bytes / 10 * 8,
            retention_ms: i64::from(config.retention_s) * 1_000,
            store_enabled,
            judge,
            formats,
            clock,
            shutdown,
            progress,
            senders,
            tails,
            sender_snapshots,
        })
    }

    fn store_stage(&mut self) -> Option<pipeline::MakeStore> {
        let writer = self.opened.store.take()?;
        let behind = self.journal_config.enabled && writer.stored_lsn() + 1 < self.opened.next_lsn;
        let journal_dir = self.journal_config.enabled.then(|| self.journal_config.dir.clone());
        let (formats, clock, progress) =
            (Arc::clone(&self.formats), Arc::clone(&self.clock), Arc::clone(&self.progress));
        let trouble = behind.then(|| "taking up what the journal holds since the last file".to_owned());
        self.progress.set_trouble("trace store", trouble.clone());
        Some(Box::new(move |judged| StoreThread {
            judged,
            writer,
            journal_dir,
            formats,
            clock,
            progress,
            trouble,
            behind,
        }))
    }
}

/// Who is told, and the file of what they are told.
fn open_outbox(config: &Config, external_url: &str) -> Result<(Vec<Integration>, OutboxHandle)> {
    let scene = Scene { external_url: external_url.to_owned(), zone: config.zone };
    let integrations = sinks::notifier::integrations(&config.receivers, &scene)?;
    let routes = integrations.iter().map(|integration| integration.route.clone()).collect();
    let outbox = Outbox::open(&config.data_dir.join("outbox.db"), OutboxConfig::default(), routes)?;
    Ok((integrations, OutboxHandle::new(outbox)))
}

fn bind_pages(config: &Config, runtime: &Runtime) -> Result<tokio::net::TcpListener> {
    let address = config.web.listen_address;
    runtime.block_on(tokio::net::TcpListener::bind(address)).with_context(|| {
        format!("web.listen_address: cannot listen on {address}; another program may hold it")
    })
}

/// The two sides of taking snapshots. Without a journal there are none: nothing could be replayed behind them.
fn snapshots(config: &Config, judged_lsn: Lsn, progress: &Arc<Progress>) -> (Snapshots, SnapshotThread) {
    crate::snapshot_thread::snapshots(
        config.snapshot_dir(),
        (config.data_dir.clone(), config.journal.reserve_bytes),
        config.journal.enabled.then_some(u64::from(config.snapshot_interval_ms)),
        judged_lsn,
        progress,
    )
}

/// Says where the node listens: in the log, and in `addresses.json` for tools (port 0 means any free port).
fn announce(dir: &Path, inputs: &Inputs, web: SocketAddr) {
    let mut addresses = BTreeMap::from([("web".to_owned(), web)]);
    for input in &inputs.inputs {
        tracing::info!("{}: listening for syslog over {} on {}", input.name, input.protocol, input.address);
        addresses.insert(input.name.clone(), input.address);
    }
    tracing::info!("pages on http://{web}/");
    let path = dir.join("addresses.json");
    let temporary = dir.join("addresses.json.tmp");
    let text = serde_json::json!(addresses).to_string();
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &path));
    if let Err(error) = written {
        // Only tools read it: a full disk must not keep the node from starting.
        tracing::error!("{} cannot be written, tools will not find this node: {error}", path.display());
    }
}

/// The signals that end a node in order. Heard from the start on: one that comes while the node starts ends it once it has
/// started, as any other does.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn listen(runtime: &Runtime) -> Result<Self> {
        let _guard = runtime.enter();
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
