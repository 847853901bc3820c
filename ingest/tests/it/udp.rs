//! UDP: datagrams as messages, exact counts of what the kernel drops, shutdown.

use std::net::UdpSocket;

use ingest::{Dropped, ListenerConfig, Protocol, Rejected, UdpInput};

use crate::support::{assert_balanced, config, messages, node, take_all};

#[test]
fn a_datagram_is_a_message_whatever_is_in_it() {
    let node = node(64 << 20);
    let config = ListenerConfig { max_frame_bytes: 1024, ..config(Protocol::Udp) };
    let input = UdpInput::bind(&config, &node.context).unwrap();
    let (address, ledger) = (input.local_addr().unwrap(), input.ledger());
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = UdpSocket::bind("127.0.0.3:0").unwrap();
    let long = "x".repeat(5000);
    for text in ["<14>1 - web1 orders - - - one\n", "two\nlines", "", "\n", &long] {
        sender.send_to(text.as_bytes(), address).unwrap();
    }
    other.send_to(b"from another", address).unwrap();
    node.shutdown.send(true).unwrap();
    input.run().unwrap();
    let got = take_all(&node.receiver);
    assert_eq!(messages(&got), ["one", "two\nlines", &"x".repeat(1024), "from another"]);
    assert_eq!((got[0].source.as_str(), got[3].source.as_str()), ("udp/127.0.0.1", "udp/127.0.0.3"));
    assert_eq!(got.iter().map(|record| record.truncated).collect::<Vec<_>>(), [false, false, true, false]);
    let snapshot = ledger.snapshot();
    assert_eq!((snapshot.received_frames, snapshot.rejected(Rejected::Empty)), (6, 2));
    assert_balanced(&ledger);
}

/// Sends from this thread while the input runs in another; shuts down at the end.
fn flood(receive_buffer_bytes: usize, datagrams: u64, run_first: bool) -> ingest::LedgerSnapshot {
    let node = node(64 << 20);
    let config = ListenerConfig { receive_buffer_bytes: Some(receive_buffer_bytes), ..config(Protocol::Udp) };
    let input = UdpInput::bind(&config, &node.context).unwrap();
    let (address, ledger) = (input.local_addr().unwrap(), input.ledger());
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = || {
        for i in 0..datagrams {
            sender
                .send_to(format!("<14>line {i} of a flood that nobody can take").as_bytes(), address)
                .unwrap();
        }
        node.shutdown.send(true).unwrap();
    };
    std::thread::scope(|scope| {
        if run_first {
            let running = scope.spawn(|| input.run());
            send();
            running.join().unwrap().unwrap();
        } else {
            send();
            input.run().unwrap();
        }
    });
    let got = take_all(&node.receiver);
    assert_balanced(&ledger);
    let snapshot = ledger.snapshot();
    assert_eq!(got.len() as u64 + snapshot.dropped(Dropped::Kernel), datagrams, "{snapshot:?}");
    snapshot
}

#[test]
fn what_the_kernel_drops_is_counted_exactly() {
    let snapshot = flood(4096, 5000, false);
    assert!(snapshot.dropped(Dropped::Kernel) > 4000, "{snapshot:?}");
    assert!(snapshot.received_frames > 0);
    flood(4096, 50_000, true);
}

#[test]
fn a_buffer_that_is_large_enough_loses_nothing() {
    let snapshot = flood(4 << 20, 2000, false);
    assert_eq!((snapshot.received_frames, snapshot.dropped(Dropped::Kernel)), (2000, 0));
}
