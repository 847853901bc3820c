//! All tasks, threads, queues and bounds of a running node, in one place.
//!
//! ```text
//! listeners (tasks; udp: threads) --Inbox: in_flight_bytes--> journal thread --Entry--> judge thread --Judged--> store thread --> filing thread
//!                                                                  \-> alert book, outbox --> one task per receiver
//!                                                                  \-> snapshot thread, which also watches the disk
//! ```
//! A queue between two threads has as many places as there may be parcels, and each parcel holds its place in the inbox:
//! so only the listeners ever wait for room. Refuses to know: what the stages do.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use ingest::tls::TlsServer;
use ingest::{
    Inbox, InboxConfig, InboxReceiver, InputContext, Ledger, Protocol, RelpInput, Tails, TcpInput, UdpInput,
    inbox,
};
use record::FormatSet;
use sinks::notifier::Integration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::Config;
use crate::journal_thread::{Entry, JournalThread};
use crate::judge_thread::JudgeThread;
use crate::reload::Reload;
use crate::senders_thread::SendersThread;
use crate::snapshot_thread::SnapshotThread;
use crate::store_thread::{Judged, StoreThread};

/// Batches between the listeners and the end of the store thread.
const PARCELS_MAX: usize = 1_024;
/// Places for time entries beside the parcels.
const TICKS_MAX: usize = 16;

/// A listener that is bound but not read yet.
enum Bound {
    Tcp(TcpInput),
    Udp(Box<UdpInput>),
    Relp(RelpInput),
}

/// One input as pages and metrics name it.
pub(crate) struct Input {
    /// Its name.
    pub(crate) name: String,
    /// Its protocol's name.
    pub(crate) protocol: &'static str,
    /// Where it really listens.
    pub(crate) address: SocketAddr,
    /// Its counts.
    pub(crate) ledger: Arc<Ledger>,
    /// Its TLS side, if it has one.
    pub(crate) tls: Option<Arc<TlsServer>>,
}

/// The listeners of a node and the two ends of its inbox.
pub(crate) struct Inputs {
    bound: Vec<Bound>,
    /// Their names and counts.
    pub(crate) inputs: Vec<Arc<Input>>,
    /// The journal thread's end.
    pub(crate) receiver: InboxReceiver,
    inbox: Inbox,
    /// What RELP senders sent last, as far as the journal told it.
    pub(crate) tails: Tails,
}

impl Inputs {
    /// Binds all listeners; nothing is read before [`Node::start`], the kernel holds what comes.
    pub(crate) fn bind(
        runtime: &Runtime,
        config: &Config,
        formats: &Arc<FormatSet>,
        clock: &Clock,
        tails: &Tails,
        shutdown: &watch::Receiver<bool>,
    ) -> Result<Self> {
        let _guard = runtime.enter();
        let (inbox, receiver) = inbox(&InboxConfig {
            budget_bytes: config.in_flight_bytes,
            max_parcels: PARCELS_MAX,
            ident_element: config.senders.structured_data_id.clone(),
        });
        let context = InputContext {
            formats: Arc::clone(formats),
            inbox: inbox.clone(),
            clock: Arc::clone(clock),
            shutdown: shutdown.clone(),
            tails: tails.clone(),
        };
        let mut bound = Vec::new();
        let mut inputs = Vec::new();
        for config in &config.listeners {
            let (protocol, address, ledger, tls) = match config.protocol {
                Protocol::Tcp => {
                    let input = TcpInput::bind(config, &context)?;
                    let name = if config.tls.is_some() { "tls" } else { "tcp" };
                    let known = (name, input.local_addr(), input.ledger(), input.tls());
                    bound.push(Bound::Tcp(input));
                    known
                }
                Protocol::Relp => {
                    let input = RelpInput::bind(config, &context)?;
                    let name = if config.tls.is_some() { "relp-tls" } else { "relp" };
                    let known = (name, input.local_addr(), input.ledger(), input.tls());
                    bound.push(Bound::Relp(input));
                    known
                }
                Protocol::Udp => {
                    let input = UdpInput::bind(config, &context)?;
                    let known = ("udp", input.local_addr()?, input.ledger(), None);
                    bound.push(Bound::Udp(Box::new(input)));
                    known
                }
            };
            inputs.push(Arc::new(Input { name: config.name.clone(), protocol, address, ledger, tls }));
        }
        Ok(Self { bound, inputs, receiver, inbox, tails: context.tails })
    }
}

/// Makes the journal thread from the inbox and the judge's queue.
pub(crate) type MakeJournal = Box<dyn FnOnce(InboxReceiver, SyncSender<Entry>) -> JournalThread>;
/// Makes the judge thread from its queue and the store's.
pub(crate) type MakeJudge = Box<dyn FnOnce(Receiver<Entry>, Option<SyncSender<Judged>>) -> JudgeThread>;
/// Makes the store thread from its queue.
pub(crate) type MakeStore = Box<dyn FnOnce(Receiver<Judged>) -> StoreThread>;

/// The stages behind the inbox, each still to be given the queue that feeds it.
pub(crate) struct Stages {
    /// Positions and durability.
    pub(crate) journal: MakeJournal,
    /// Verdicts.
    pub(crate) judge: MakeJudge,
    /// Traces; `None`: records are not kept.
    pub(crate) store: Option<MakeStore>,
    /// What a restart needs of the judge.
    pub(crate) snapshots: SnapshotThread,
    /// Writes down what is known of senders.
    pub(crate) senders: SendersThread,
}

/// A node at work.
pub(crate) struct Node {
    listeners: JoinSet<()>,
    threads: Vec<JoinHandle<()>>,
    stages: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts all listeners and stages.
    pub(crate) fn start(runtime: &Runtime, inputs: Inputs, stages: Stages) -> Result<Self> {
        let Inputs { bound, receiver, inbox, .. } = inputs;
        let (entries_tx, entries_rx) = sync_channel(PARCELS_MAX + TICKS_MAX);
        let mut stage_threads = Vec::new();
        let store_tx = match stages.store {
            Some(make) => {
                // At most one message of ticks stands before each parcel.
                let (judged_tx, judged_rx) = sync_channel(2 * PARCELS_MAX);
                let mut store = make(judged_rx);
                // It ends when the store thread has had its last file made.
                if let Some(filing) = store.writer.split() {
                    stage_threads.push(stage("filing", move || {
                        filing.run();
                        Ok(())
                    })?);
                }
                stage_threads.push(stage("store", move || store.run())?);
                Some(judged_tx)
            }
            None => None,
        };
        let snapshots = stages.snapshots;
        stage_threads.push(stage("snapshots", move || {
            snapshots.run();
            Ok(())
        })?);
        let senders = stages.senders;
        stage_threads.push(stage("senders", move || {
            senders.run();
            Ok(())
        })?);
        let judge = (stages.judge)(entries_rx, store_tx);
        stage_threads.push(stage("judge", move || judge.run())?);
        let journal = (stages.journal)(receiver, entries_tx);
        stage_threads.push(stage("journal", move || journal.run())?);

        let mut listeners = JoinSet::new();
        let mut threads = Vec::new();
        for input in bound {
            match input {
                Bound::Tcp(input) => drop(listeners.spawn_on(accept(input), runtime.handle())),
                Bound::Relp(input) => drop(listeners.spawn_on(accept_relp(input), runtime.handle())),
                Bound::Udp(input) => threads.push(stage("udp", move || Ok(input.run()?))?),
            }
        }
        // The listeners hold the inbox: when the last of them is gone, the journal thread knows.
        drop(inbox);
        Ok(Self { listeners, threads, stages: stage_threads })
    }

    /// Waits until the listeners have drained and every stage has done its last work. Call after the shutdown signal.
    pub(crate) fn finish(mut self, runtime: &Runtime) -> Result<()> {
        runtime.block_on(async { while self.listeners.join_next().await.is_some() {} });
        for thread in self.threads.into_iter().chain(self.stages) {
            thread.join().map_err(|_| anyhow::anyhow!("a stage panicked"))?;
        }
        Ok(())
    }
}

/// One TCP listener with its connections, until shutdown.
async fn accept(mut input: TcpInput) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = input.accept() => match accepted {
                Some(connection) => drop(connections.spawn(connection.run())),
                None => break,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    while connections.join_next().await.is_some() {}
}

/// One RELP listener with its sessions, until shutdown.
async fn accept_relp(mut input: RelpInput) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = input.accept() => match accepted {
                Some(connection) => drop(sessions.spawn(connection.run())),
                None => break,
            },
            Some(_) = sessions.join_next() => {}
        }
    }
    while sessions.join_next().await.is_some() {}
}

/// A stage of its own thread. A stage that fails or panics ends the process at once: going on without it would lose or
/// silence lines, while a restart recovers from the journal.
fn stage(name: &'static str, body: impl FnOnce() -> Result<()> + Send + 'static) -> Result<JoinHandle<()>> {
    let guarded = move || match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!("{name}: {}; stopping", crate::output::told(&error));
            std::process::exit(1);
        }
        Err(_panic) => {
            tracing::error!("{name}: panicked; stopping");
            std::process::exit(1);
        }
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .with_context(|| format!("cannot start the {name} thread"))
}

/// The senders, one task per receiver integration.
pub(crate) fn start_senders(
    runtime: &Runtime,
    integrations: Vec<Integration>,
    outbox: &sinks::outbox::OutboxHandle,
    clock: &Clock,
    shutdown: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for integration in integrations {
        let ended = raised(shutdown.clone());
        drop(senders.spawn_on(integration.run(outbox.clone(), Arc::clone(clock), ended), runtime.handle()));
    }
    senders
}

/// The pages, as a task.
pub(crate) fn start_pages(
    runtime: &Runtime,
    listener: tokio::net::TcpListener,
    deps: dashboards::Deps,
    shutdown: &watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    let ended = raised(shutdown.clone());
    runtime.spawn(async move {
        if let Err(error) = dashboards::serve(listener, deps, ended).await {
            tracing::error!("pages: {error}");
        }
    })
}

/// From here on SIGHUP does not end the process; who holds this hears it.
pub(crate) fn hangups(runtime: &Runtime) -> Result<Signal> {
    let _guard = runtime.enter();
    Ok(signal(SignalKind::hangup())?)
}

/// Reloads at each SIGHUP, and rules when their files change, as a task: `watch` is how often it looks at them, if it
/// does. Gives back what it reloads with.
pub(crate) fn start_reload(
    runtime: &Runtime,
    reload: Reload,
    watch: Option<Duration>,
    shutdown: &watch::Receiver<bool>,
) -> Result<Arc<Reload>> {
    let mut hangups = hangups(runtime)?;
    let shared = Arc::new(reload);
    let (reload, shutdown) = (Arc::clone(&shared), shutdown.clone());
    drop(runtime.spawn(async move {
        let mut ended = std::pin::pin!(raised(shutdown));
        let mut wait = watch;
        loop {
            let look = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let reload = Arc::clone(&reload);
            // How it went is logged and kept there.
            tokio::select! {
                () = &mut ended => return,
                _ = hangups.recv() => drop(tokio::task::spawn_blocking(move || reload.now()).await),
                () = look => {
                    let again = tokio::task::spawn_blocking(move || reload.look()).await;
                    wait = again.ok().flatten().or(watch);
                }
            }
        }
    }));
    Ok(shared)
}

/// Ready once the flag is raised or its owner is gone.
async fn raised(mut flag: watch::Receiver<bool>) {
    // An error means that the owner is gone.
    drop(flag.wait_for(|raised| *raised).await);
}

/// Positions at which a stage stands, for the log at the end.
pub(crate) fn summary(progress: &crate::progress::Progress) -> String {
    format!(
        "{} records judged, journal at {}, stored to {}",
        progress.judged.load(Relaxed),
        progress.durable_lsn.load(Relaxed),
        progress.stored_lsn.load(Relaxed)
    )
}
