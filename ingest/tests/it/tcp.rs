//! TCP: framing as it arrives, bounds, back-pressure, shutdown.

use std::net::SocketAddr;

use ingest::{ListenerConfig, Protocol, Rejected, TcpInput};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Got, Node, arrived, assert_balanced, config, messages, node, take_all};

const BUDGET: usize = 64 << 20;

/// What the binary does with an input.
pub(crate) async fn serve(mut input: TcpInput) {
    let mut connections = JoinSet::new();
    while let Some(connection) = input.accept().await {
        connections.spawn(connection.run());
    }
    while let Some(ended) = connections.join_next().await {
        ended.unwrap();
    }
}

/// Serves while `client` runs, then shuts down. What arrived, with a balanced ledger.
async fn with_client<C: Future<Output = ()>>(
    config: &ListenerConfig,
    client: impl FnOnce(SocketAddr) -> C,
) -> (Vec<Got>, ingest::LedgerSnapshot) {
    let node = node(BUDGET);
    let input = TcpInput::bind(config, &node.context).unwrap();
    let (address, ledger) = (input.local_addr(), input.ledger());
    let client = async {
        client(address).await;
        node.shutdown.send(true).unwrap();
    };
    tokio::join!(serve(input), client);
    let got = take_all(&node.receiver);
    assert_balanced(&ledger);
    (got, ledger.snapshot())
}

async fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    // The listener closes when it has read to the end.
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

/// An RFC 5424 message around a text.
fn syslog(text: &str) -> String {
    format!("<14>1 2016-07-22T18:15:00.496+08:00 web1 orders - - - {text}")
}

fn counted(text: &str) -> String {
    let message = syslog(text);
    format!("{} {message}", message.len())
}

#[tokio::test]
async fn both_framings_on_one_connection() {
    let bytes = [
        counted("one\nwith a line feed"),
        syslog("two") + "\n",
        "three, no header\r\n".to_owned(),
        counted("four") + &counted("five"),
        syslog("six, perhaps half a line"),
    ]
    .concat();
    let (got, snapshot) =
        with_client(&config(Protocol::Tcp), |to| async move { send(to, bytes.as_bytes()).await }).await;
    let expected =
        ["one\nwith a line feed", "two", "three, no header", "four", "five", "six, perhaps half a line"];
    assert_eq!(messages(&got), expected);
    assert!(got.iter().all(|record| record.source == "tcp/127.0.0.1"));
    let cut: Vec<bool> = got.iter().map(|record| record.truncated).collect();
    assert_eq!(cut, [false, false, false, false, false, true], "no part passes for the whole");
    assert_eq!((snapshot.received_frames, snapshot.connections_accepted), (6, 1));
}

#[tokio::test]
async fn one_byte_at_a_time() {
    let bytes = [counted("one"), syslog("two") + "\n", counted("three")].concat();
    let (got, snapshot) = with_client(&config(Protocol::Tcp), |to| async move {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in bytes.as_bytes() {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    })
    .await;
    assert_eq!(messages(&got), ["one", "two", "three"]);
    assert_eq!(snapshot.received_frames, 3);
}

#[tokio::test]
async fn a_message_over_the_bound_is_cut_and_the_next_is_whole() {
    let long = "x".repeat(3_000_000);
    let bytes = [syslog(&long) + "\n", syslog("two") + "\n", counted(&long), counted("four")].concat();
    let config = ListenerConfig { max_frame_bytes: 2048, ..config(Protocol::Tcp) };
    let (got, snapshot) = with_client(&config, |to| async move { send(to, bytes.as_bytes()).await }).await;
    assert_eq!(got.iter().map(|record| record.truncated).collect::<Vec<_>>(), [true, false, true, false]);
    assert_eq!((got[1].message.as_str(), got[3].message.as_str()), ("two", "four"));
    assert!(got[0].message.len() > 1900 && got[0].message.len() < 2048 && got[0].message == got[2].message);
    assert_eq!((snapshot.truncated, snapshot.decoded.truncated), (2, 2));
}

#[tokio::test]
async fn a_counted_frame_that_the_sender_did_not_finish_is_rejected_and_counted() {
    let bytes = counted("one") + "100 <14>half";
    let (got, snapshot) =
        with_client(&config(Protocol::Tcp), |to| async move { send(to, bytes.as_bytes()).await }).await;
    assert_eq!(messages(&got), ["one"]);
    assert_eq!((snapshot.received_frames, snapshot.rejected(Rejected::Unfinished)), (2, 1));
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_at_once() {
    let config =
        ListenerConfig { max_connections: 24, max_connections_per_peer: 1000, ..config(Protocol::Tcp) };
    let (got, snapshot) = with_client(&config, |to| async move {
        let mut kept = Vec::new();
        let mut refused = 0;
        for i in 0..1024 {
            let mut stream = TcpStream::connect(to).await.unwrap();
            if i < 24 {
                kept.push(stream);
                continue;
            }
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
            refused += 1;
        }
        assert_eq!(refused, 1000);
        for mut stream in kept {
            stream.write_all(b"still served\n").await.unwrap();
        }
    })
    .await;
    assert_eq!(got.len(), 24);
    assert_eq!((snapshot.connections_accepted, snapshot.connections_refused), (24, 1000));
}

#[tokio::test]
async fn one_peer_cannot_take_all_connections_and_places_come_back() {
    let config = ListenerConfig { max_connections_per_peer: 2, ..config(Protocol::Tcp) };
    let (got, snapshot) = with_client(&config, |to| async move {
        let _kept = (TcpStream::connect(to).await.unwrap(), TcpStream::connect(to).await.unwrap());
        let mut refused = TcpStream::connect(to).await.unwrap();
        assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0);
        for _ in 0..5 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            let mut other = socket.connect(to).await.unwrap();
            other.write_all(b"other\n").await.unwrap();
            other.shutdown().await.unwrap();
            assert_eq!(other.read(&mut [0]).await.unwrap(), 0);
        }
    })
    .await;
    assert_eq!(got.iter().filter(|record| record.source == "tcp/127.0.0.2").count(), 5);
    assert_eq!((snapshot.connections_accepted, snapshot.connections_refused), (7, 1));
}

#[tokio::test]
async fn a_full_inbox_makes_the_sender_wait_and_loses_nothing() {
    const LINES: usize = 60_000;
    let Node { context, inbox, receiver, shutdown } = node(300_000);
    let input = TcpInput::bind(&config(Protocol::Tcp), &context).unwrap();
    let (address, ledger) = (input.local_addr(), input.ledger());
    let bytes: String = (0..LINES).map(|i| format!("line {i} {}\n", "x".repeat(600))).collect();
    let client = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut sent = 0;
        // Nobody consumes: at some point the sender is stuck while the input waits for the budget.
        while inbox.waits() == 0 {
            match stream.try_write(&bytes.as_bytes()[sent..]) {
                Ok(n) => sent += n,
                Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
            }
            assert!(sent < bytes.len(), "the sender was never stuck");
            tokio::task::yield_now().await;
        }
        assert!(inbox.in_flight_bytes() <= 300_000);
        let consumer = tokio::task::spawn_blocking(move || {
            let mut got = Vec::new();
            while got.len() < LINES {
                got.extend(take_all(&receiver));
            }
            got
        });
        stream.write_all(&bytes.as_bytes()[sent..]).await.unwrap();
        let got = consumer.await.unwrap();
        shutdown.send(true).unwrap();
        got
    };
    let ((), got) = tokio::join!(serve(input), client);
    assert!(got.iter().enumerate().all(|(i, record)| record.message.starts_with(&format!("line {i} "))));
    assert_eq!(got.len(), LINES);
    assert_balanced(&ledger);
}

#[tokio::test]
async fn shutdown_takes_what_the_kernel_already_holds() {
    let Node { context, receiver, shutdown, .. } = node(BUDGET);
    let input = TcpInput::bind(&config(Protocol::Tcp), &context).unwrap();
    let (address, ledger) = (input.local_addr(), input.ledger());
    let bytes: String = (0..3000).map(|i| format!("line {i}\n")).collect();
    // None of them is accepted, let alone read, when the node is told to end.
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    streams[0].write_all(b"and half a li").await.unwrap();
    for stream in &streams {
        arrived(stream).await;
    }
    shutdown.send(true).unwrap();
    serve(input).await;
    let got = take_all(&receiver);
    assert_eq!(got.len(), 9001);
    let cut: Vec<_> = got.iter().filter(|record| record.truncated).collect();
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0].message, "and half a li");
    assert_balanced(&ledger);
    for mut stream in streams {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "closed");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_keeps_what_it_brought() {
    let Node { context, receiver, shutdown, .. } = node(BUDGET);
    let input = TcpInput::bind(&config(Protocol::Tcp), &context).unwrap();
    let (address, ledger) = (input.local_addr(), input.ledger());
    let client = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"one\ntwo and mo").await.unwrap();
        while ledger.snapshot().received_bytes < 14 {
            tokio::task::yield_now().await;
        }
        // The sender dies: a reset instead of an end.
        stream.set_zero_linger().unwrap();
        drop(stream);
        while ledger.snapshot().connections > 0 {
            tokio::task::yield_now().await;
        }
        shutdown.send(true).unwrap();
    };
    tokio::join!(serve(input), client);
    let got = take_all(&receiver);
    assert_eq!(messages(&got), ["one", "two and mo"]);
    assert_eq!((got[0].truncated, got[1].truncated, ledger.snapshot().read_errors), (false, true, 1));
    assert_balanced(&ledger);
}
