//! What rsyslog's imrelp was probed with, and what this server does. Where the two differ the table says so.

use super::*;

/// Says `script` in one piece, in pieces of 7 and byte by byte; expects these answers, and the end or not.
async fn probe(name: &str, script: &[u8], expected: &str, ended: bool) {
    for piece in [script.len(), 7, 1] {
        let mut server = Server::new();
        let mut client = server.connect();
        for part in script.chunks(piece) {
            client.say(part).await;
            if piece != 1 {
                tokio::task::yield_now().await;
            }
        }
        server.settle(&mut client).await;
        assert_eq!(
            (&*client.take_heard(), client.ended),
            (expected, ended),
            "{name}, {piece} bytes at a time"
        );
        drop(client);
        while server.connections.join_next().await.is_some() {}
        server.commit();
        server.assert_balanced();
    }
}

/// A session that was opened, says `script`, is answered `expected` and closed.
async fn closes(name: &str, script: &str, expected: &str) {
    let expected = welcome(0) + expected + BYE;
    probe(name, (hello() + script).as_bytes(), &expected, true).await;
}

async fn stays(name: &str, script: &str, expected: &str) {
    probe(name, (hello() + script).as_bytes(), &(welcome(0) + expected), false).await;
}

fn opened_with(offers: &str) -> String {
    frame(1, "open", offers)
}

#[tokio::test(start_paused = true)]
async fn as_imrelp_does() {
    closes("session", &(messages(2..5) + &frame(5, "close", "")), &answers(2..6)).await;
    closes("TXNR gap", &messages(3..4), "").await;
    closes("TXNR repeat", &(messages(2..3) + &messages(2..3)), &answers(2..3)).await;
    closes("TXNR of 10 digits", "1000000000 syslog 1 x\n", "").await;
    closes("bad trailer", "2 syslog 1 xy", "").await;
    closes("unknown command", "2 nonsense 1 x\n", "").await;
    closes("digit in command", "2 sys1og 1 x\n", "").await;
    closes("starttls", "2 starttls 0\n", "").await;
    closes("rsp from client", "2 rsp 6 200 OK\n", "").await;
    closes("a space where no data is", "2 syslog 0 \n", "").await;
    probe("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", BYE, true).await;
    let refused = frame(1, "rsp", "500 required command not supported by client") + BYE;
    probe("open without offers", b"1 open 0\n", &refused, true).await;
    probe("open without syslog", opened_with("relp_version=0\ncommands=eventlog").as_bytes(), &refused, true)
        .await;
    stays("message without data", &frame(2, "syslog", ""), &answers(2..3)).await;
    stays("zeros before TXNR", "000000002 syslog 1 x\n", &answers(2..3)).await;
    stays("LF and NUL in data", "2 syslog 4 \n\0\nx\n", &answers(2..3)).await;
    stays("half a frame", "2 syslog 100 x", "").await;
}

#[tokio::test(start_paused = true)]
async fn where_imrelp_does_otherwise() {
    // imrelp: 500, and the session goes on.
    probe("message before open", messages(1..2).as_bytes(), BYE, true).await;
    // imrelp: answered as frame 0.
    closes("hint with a message", "0 syslog 1 x\n", "").await;
    // imrelp: the session is aborted, and the sender sends the same frame for ever.
    let long = "x".repeat(5_000);
    stays("oversize", &(frame(2, "syslog", &long) + &messages(3..4)), &answers(2..4)).await;
    closes("far too large", "2 syslog 16777217 x", "").await;
    // imrelp: always 0.
    probe("version 1", opened_with("relp_version=1\ncommands=syslog").as_bytes(), &welcome(1), false).await;
    probe("version 7", opened_with("commands=a,syslog\nrelp_version=7").as_bytes(), &welcome(1), false).await;
    let bad = frame(1, "rsp", "500 invalid offers") + BYE;
    probe("version without number", opened_with("relp_version=x\ncommands=syslog").as_bytes(), &bad, true)
        .await;
    closes("open twice", &frame(2, "open", OFFERS), &frame(2, "rsp", "500 session is open already")).await;
    closes("frames after close", &(frame(2, "close", "") + &messages(3..4)), &answers(2..3)).await;
    closes("hint to close", "0 serverclose 0\n", "").await;
    // An error behind messages: they are answered first.
    closes("messages, then nonsense", &(messages(2..5) + "5 nonsense 0\n"), &answers(2..5)).await;
}

#[tokio::test(start_paused = true)]
async fn oversize_is_stored_cut() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(hello() + &frame(2, "syslog", &"x".repeat(5_000))).await;
    server.settle(&mut client).await;
    assert_eq!(server.stored, ["x".repeat(1024)]);
    assert_eq!(server.shared.ledger.snapshot().truncated, 1);
}

#[tokio::test(start_paused = true)]
async fn late_sessions_and_frames_end() {
    let mut server = Server::new();
    let mut silent = server.connect();
    let mut half = server.connect();
    let mut idle = server.connect();
    half.say(hello() + "2 syslog 10 x").await;
    idle.say(hello()).await;
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    silent.listen().await;
    assert!(!silent.ended);
    tokio::time::sleep(Duration::from_secs(1)).await;
    silent.listen().await;
    assert_eq!((&*silent.take_heard(), silent.ended), (BYE, true), "no open within 10 s");
    tokio::time::sleep(Duration::from_secs(21)).await;
    half.listen().await;
    assert_eq!((half.take_heard(), half.ended), (welcome(0) + BYE, true), "no end of a frame within 30 s");
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    idle.listen().await;
    assert_eq!((idle.take_heard(), idle.ended), (welcome(0), false), "idle for a day");
    assert_eq!(server.shared.ledger.snapshot().session_faults, 2);
}
