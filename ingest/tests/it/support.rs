//! A node without its back: an inbox, a clock that stands still, a switch to shut down.

use std::sync::Arc;

use ingest::{
    Inbox, InboxConfig, InboxReceiver, InputContext, Ledger, ListenerConfig, Protocol, Tails, inbox,
};
use record::{FormatSet, RowFlags};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What every test's clock says.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

pub(crate) struct Node {
    pub(crate) context: InputContext,
    pub(crate) inbox: Inbox,
    pub(crate) receiver: InboxReceiver,
    pub(crate) shutdown: watch::Sender<bool>,
}

/// A record as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) source: String,
    pub(crate) message: String,
    pub(crate) truncated: bool,
}

pub(crate) fn node(budget_bytes: usize) -> Node {
    let (inbox, receiver) =
        inbox(&InboxConfig { budget_bytes, max_parcels: 100_000, ..InboxConfig::default() });
    let (shutdown, watch) = watch::channel(false);
    let formats = Arc::new(FormatSet::shipped("Asia/Shanghai".parse().unwrap()));
    let context = InputContext {
        formats,
        inbox: inbox.clone(),
        clock: Arc::new(|| NOW_MS),
        shutdown: watch,
        tails: Tails::default(),
    };
    Node { context, inbox, receiver, shutdown }
}

pub(crate) fn config(protocol: Protocol) -> ListenerConfig {
    let name = if protocol == Protocol::Tcp { "tcp" } else { "udp" };
    ListenerConfig::new(name, protocol, "127.0.0.1:0".parse().unwrap())
}

/// Everything that was handed over so far; counts it as stored.
pub(crate) fn take_all(receiver: &InboxReceiver) -> Vec<Got> {
    let mut got = Vec::new();
    while let Ok(parcel) = receiver.try_recv() {
        parcel.ledger().add_committed(parcel.batch.rows.len() as u64, parcel.repeated, None);
        got.extend(parcel.batch.rows.iter().map(|row| {
            assert_eq!(row.recv_ms, Some(NOW_MS));
            Got {
                source: parcel.batch.sources[usize::from(row.source)].to_string(),
                message: parcel.batch.text(row.message).to_owned(),
                truncated: row.flags.has(RowFlags::TRUNCATED),
            }
        }));
    }
    got
}

pub(crate) fn messages(got: &[Got]) -> Vec<&str> {
    got.iter().map(|record| record.message.as_str()).collect()
}

/// At rest, all that was received has gone somewhere, and what was handed over was stored.
pub(crate) fn assert_balanced(ledger: &Ledger) {
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.unaccounted(), 0, "{snapshot:?}");
    assert_eq!(snapshot.in_flight(), 0, "{snapshot:?}");
    assert_eq!(snapshot.connections, 0, "{snapshot:?}");
}

/// Waits until the other side's kernel has everything that was written: nothing is in this side's send queue any more.
pub(crate) async fn arrived(stream: &TcpStream) {
    let ends =
        [stream.local_addr().unwrap(), stream.peer_addr().unwrap()].map(|end| format!(":{:04X}", end.port()));
    loop {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let row = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let mut own = row.filter(|row| row[1].ends_with(&ends[0]) && row[2].ends_with(&ends[1]));
        if own.next().unwrap()[4].starts_with("00000000:") {
            return;
        }
        tokio::task::yield_now().await;
    }
}
