//! Whole connections over a stream in memory, with a clock that stands still unless everybody waits for it.

mod conformance;
mod flow;
mod replay;

use std::sync::Arc;

use record::FormatSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::gate::Gate;
use super::*;
use crate::config::Protocol;
use crate::inbox::{InboxConfig, InboxReceiver, inbox};

const OFFERS: &str = "relp_version=0\nrelp_software=test\ncommands=syslog";

fn frame(txnr: u32, command: &str, data: &str) -> String {
    if data.is_empty() {
        format!("{txnr} {command} 0\n")
    } else {
        format!("{txnr} {command} {} {data}\n", data.len())
    }
}

fn hello() -> String {
    frame(1, "open", OFFERS)
}

/// What a server answers to [`hello`].
fn welcome(version: u32) -> String {
    let software = concat!("watchroom,", env!("CARGO_PKG_VERSION"));
    frame(1, "rsp", &format!("200 OK\nrelp_version={version}\nrelp_software={software}\ncommands=syslog"))
}

fn messages(range: std::ops::Range<u32>) -> String {
    range.map(|n| frame(n, "syslog", &format!("message {n}"))).collect()
}

fn answers(range: std::ops::Range<u32>) -> String {
    range.map(|n| frame(n, "rsp", "200 OK")).collect()
}

const BYE: &str = "0 serverclose 0\n";

/// An input without a socket, and a journal that commits when it is told to.
struct Server {
    shared: Arc<Shared>,
    receiver: InboxReceiver,
    shutdown: watch::Sender<bool>,
    connections: JoinSet<()>,
    /// Parcels that are not durable.
    taken: Vec<crate::Parcel>,
    stored: Vec<String>,
}

impl Server {
    fn new() -> Self {
        let config = InboxConfig { budget_bytes: 8 << 20, max_parcels: 100, ..InboxConfig::default() };
        let (inbox, receiver) = inbox(&config);
        let (shutdown, watch) = watch::channel(false);
        let formats = Arc::new(FormatSet::shipped("Asia/Shanghai".parse().expect("a zone")));
        let context = InputContext {
            formats,
            inbox,
            clock: Arc::new(|| 1_700_000_000_000),
            shutdown: watch,
            tails: Tails::default(),
        };
        let mut config =
            ListenerConfig::new("relp", Protocol::Relp, "127.0.0.1:0".parse().expect("an address"));
        config.max_frame_bytes = 1024;
        let ledger = Arc::new(Ledger::new("relp".into()));
        let gate = Gate::default();
        let shared = Arc::new(Shared { config, format: None, context, ledger, gate });
        let (connections, taken, stored) = (JoinSet::new(), Vec::new(), Vec::new());
        Self { shared, receiver, shutdown, connections, taken, stored }
    }

    fn connect(&mut self) -> Client {
        let (near, far) = duplex(1 << 20);
        let shared = Arc::clone(&self.shared);
        let connection = connection::Connection::new(far, "relp/peer".into(), shared);
        drop(self.connections.spawn(connection.run()));
        Client { stream: near, heard: Vec::new(), ended: false }
    }

    /// Takes what was handed over; it is not durable yet.
    fn take(&mut self) {
        while let Ok(parcel) = self.receiver.try_recv() {
            let batch = &parcel.batch;
            self.stored.extend(batch.rows.iter().map(|row| batch.text(row.message).to_owned()));
            let rows = batch.rows.len() as u64;
            parcel.ledger().add_committed(rows, parcel.repeated, None);
            self.taken.push(parcel);
        }
    }

    fn commit(&mut self) {
        self.take();
        self.taken.drain(..).for_each(|mut parcel| parcel.durable());
    }

    /// Lets everybody do what can be done without time passing, commits, and so on until nothing happens.
    async fn settle(&mut self, client: &mut Client) {
        for _ in 0..4 {
            client.listen().await;
            self.commit();
        }
        client.listen().await;
    }

    /// Everything is accounted for.
    fn assert_balanced(&self) {
        let snapshot = self.shared.ledger.snapshot();
        assert_eq!(snapshot.unaccounted(), 0, "{snapshot:?}");
    }
}

struct Client {
    stream: DuplexStream,
    heard: Vec<u8>,
    ended: bool,
}

impl Client {
    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have ended already.
        self.stream.write_all(bytes.as_ref()).await.ok();
    }

    /// Reads what comes within a millisecond of silence.
    async fn listen(&mut self) {
        let mut space = vec![0; 65_536];
        while !self.ended
            && let Ok(read) = timeout(Duration::from_millis(1), self.stream.read(&mut space)).await
        {
            let read = read.unwrap_or_default();
            self.ended = read == 0;
            self.heard.extend_from_slice(&space[..read]);
        }
    }

    fn take_heard(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.heard)).expect("answers are text")
    }
}
