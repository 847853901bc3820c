//! Senders that come again: what they repeat is not stored again, and answered all the same.

use super::*;

/// Numbered from 2 whatever they say.
fn said(lines: &[&str]) -> String {
    let numbered = lines.iter().zip(2..);
    hello() + &numbered.map(|(line, txnr)| frame(txnr, "syslog", line)).collect::<String>()
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_answered_after_the_commit_of_what_it_repeats() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(said(&["a", "b", "c"])).await;
    client.listen().await;
    drop(client);
    while server.connections.join_next().await.is_some() {}
    // Nothing is durable yet.
    let mut again = server.connect();
    again.say(said(&["b", "c", "d"])).await;
    again.listen().await;
    server.take();
    assert_eq!(again.take_heard(), welcome(0));
    assert_eq!(server.stored, ["a", "b", "c", "d"]);
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), answers(2..5));
    assert_eq!(server.shared.ledger.snapshot().duplicate, 2);
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_replay_in_pieces_is_waited_for() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(said(&["a", "b", "c"])).await;
    server.settle(&mut client).await;
    drop(client);
    while server.connections.join_next().await.is_some() {}
    let mut again = server.connect();
    again.say(said(&["a", "b"])).await;
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), welcome(0), "it may be a replay");
    again.say(frame(4, "syslog", "c") + &frame(5, "syslog", "d")).await;
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), answers(2..6));
    assert_eq!(server.stored, ["a", "b", "c", "d"]);
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_only_looks_like_a_replay_is_new_after_two_seconds() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(said(&["a", "b", "c"])).await;
    server.settle(&mut client).await;
    drop(client);
    while server.connections.join_next().await.is_some() {}
    let mut again = server.connect();
    again.say(said(&["a"])).await;
    server.settle(&mut again).await;
    assert_eq!(server.stored.len(), 3);
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), welcome(0) + &answers(2..3));
    assert_eq!(server.stored, ["a", "b", "c", "a"]);
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_link_that_stalls_within_a_replay_doubles_nothing() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(said(&["a", "b", "c"])).await;
    server.settle(&mut client).await;
    drop(client);
    while server.connections.join_next().await.is_some() {}
    let mut again = server.connect();
    again.say(said(&["a", "b"])).await;
    server.settle(&mut again).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), welcome(0), "the rest is still to come");
    again.say(frame(4, "syslog", "c") + &frame(5, "syslog", "d")).await;
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), answers(2..6));
    assert_eq!(server.stored, ["a", "b", "c", "d"]);
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn an_orderly_close_is_no_reason_to_repeat() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(said(&["a"]) + &frame(3, "close", "")).await;
    server.settle(&mut client).await;
    drop(client);
    while server.connections.join_next().await.is_some() {}
    let mut again = server.connect();
    again.say(said(&["a"])).await;
    server.settle(&mut again).await;
    assert_eq!(server.stored, ["a", "a"], "the same line, said twice");
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_session_that_goes_on_ends_the_one_before() {
    let mut server = Server::new();
    let mut old = server.connect();
    old.say(said(&["a", "b"])).await;
    server.settle(&mut old).await;
    let mut new = server.connect();
    new.say(said(&["b", "c"])).await;
    server.settle(&mut new).await;
    old.listen().await;
    assert!(old.ended);
    assert_eq!(new.take_heard(), welcome(0) + &answers(2..4));
    assert_eq!(server.stored, ["a", "b", "c"]);
    assert_eq!(server.shared.ledger.snapshot().session_superseded, 1);
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_head_that_breaks_off_within_a_tail_is_not_stored_again() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(said(&["a", "b", "c"])).await;
    server.settle(&mut client).await;
    drop(client);
    while server.connections.join_next().await.is_some() {}
    let mut broken = server.connect();
    broken.say(said(&["a", "b"])).await;
    broken.listen().await;
    drop(broken);
    while server.connections.join_next().await.is_some() {}
    let mut again = server.connect();
    again.say(said(&["a", "b", "c", "d"])).await;
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), welcome(0) + &answers(2..6));
    assert_eq!(server.stored, ["a", "b", "c", "d"]);
    assert_eq!(server.shared.ledger.snapshot().duplicate, 5);
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_journal_tells_what_was_said() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(said(&["a", "b", "c"])).await;
    client.listen().await;
    server.take();
    let restarted = Server::new();
    for parcel in &server.taken {
        for row in &parcel.batch.rows {
            assert!(row.flags.lane() > 0);
            restarted.shared.context.tails.recover("relp/peer", row.flags, parcel.batch.slice(row.frame));
        }
    }
    let mut server = restarted;
    let mut again = server.connect();
    again.say(said(&["a", "b", "c", "d"])).await;
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), welcome(0) + &answers(2..6));
    assert_eq!(server.stored, ["d"]);
    server.assert_balanced();
}

/// A window sent again in more reads than parcels are held back was once counted as new.
#[tokio::test(start_paused = true)]
async fn a_replay_byte_by_byte_is_recognised() {
    let lines: Vec<String> = (0..40).map(|n| format!("line {n}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(said(&lines)).await;
    server.settle(&mut client).await;
    drop(client);
    while server.connections.join_next().await.is_some() {}
    let mut again = server.connect();
    let text = said(&lines) + &frame(42, "syslog", "new");
    for byte in text.as_bytes() {
        again.say([*byte]).await;
        server.settle(&mut again).await;
    }
    assert_eq!(again.take_heard(), welcome(0) + &answers(2..43));
    assert_eq!(server.stored.len(), 41);
    assert_eq!(server.shared.ledger.snapshot().duplicate, 40);
    server.assert_balanced();
}
