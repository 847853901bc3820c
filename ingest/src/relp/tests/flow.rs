//! When answers go out: after the commit, in order; at shutdown and at a journal without room.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_answered_before_it_is_durable() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(hello() + &messages(2..4)).await;
    client.listen().await;
    server.take();
    client.say(messages(4..5)).await;
    client.listen().await;
    server.take();
    assert_eq!(client.take_heard(), welcome(0));
    assert_eq!(server.taken.len(), 2, "a parcel a read");
    // The later one first: answers wait for the earlier one.
    server.taken.pop().expect("two parcels").durable();
    client.listen().await;
    assert_eq!(client.take_heard(), "");
    server.commit();
    client.listen().await;
    assert_eq!(client.take_heard(), answers(2..5));
    assert_eq!(server.stored, ["message 2", "message 3", "message 4"]);
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_will_never_be_durable_is_never_answered() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(hello() + &messages(2..4)).await;
    client.listen().await;
    server.take();
    server.taken.clear();
    client.listen().await;
    assert_eq!((client.take_heard(), client.ended), (welcome(0), true));
}

#[tokio::test(start_paused = true)]
async fn shutdown_answers_what_was_taken_and_says_goodbye() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(hello() + &messages(2..4) + "4 syslog 9 half").await;
    client.listen().await;
    server.shutdown.send_replace(true);
    client.listen().await;
    assert_eq!(client.take_heard(), welcome(0));
    server.settle(&mut client).await;
    assert_eq!((client.take_heard(), client.ended), (answers(2..4) + BYE, true));
    drop(client);
    while server.connections.join_next().await.is_some() {}
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_journal_without_room_ends_the_session_and_keeps_the_door_shut() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(hello() + &messages(2..4)).await;
    client.listen().await;
    server.commit();
    client.say(messages(4..6)).await;
    client.listen().await;
    server.take();
    assert_eq!(client.take_heard(), welcome(0) + &answers(2..4));
    assert!(server.shared.gate.is_open(true));
    tokio::time::sleep(Duration::from_millis(29_900)).await;
    client.listen().await;
    assert!(!client.ended);
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.listen().await;
    assert_eq!((&*client.take_heard(), client.ended), (BYE, true));
    assert!(!server.shared.gate.is_open(true));
    assert_eq!(server.shared.ledger.snapshot().session_stalls, 1);
    server.commit();
    assert!(server.shared.gate.is_open(true), "what it waited for is durable");

    // The sender comes again with what was not answered: it is not stored twice.
    let mut again = server.connect();
    again.say(hello() + &frame(2, "syslog", "message 4") + &frame(3, "syslog", "message 5")).await;
    server.settle(&mut again).await;
    assert_eq!(again.take_heard(), welcome(0) + &answers(2..4));
    assert_eq!(server.stored, ["message 2", "message 3", "message 4", "message 5"]);
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn an_inbox_without_room_ends_the_session_too() {
    let mut server = Server::new();
    let inbox = server.shared.context.inbox.clone();
    let all = inbox.lend(8 << 20, &server.shared.ledger).await.expect("the budget is free");
    let mut client = server.connect();
    client.say(hello() + &messages(2..3)).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    client.listen().await;
    assert!(client.ended);
    assert!(!server.shared.gate.is_open(false));
    drop(all);
    assert!(server.shared.gate.is_open(true));
    server.commit();
    assert!(server.stored.is_empty());
    server.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_session_with_too_much_under_way_is_not_read() {
    let mut server = Server::new();
    let mut client = server.connect();
    client.say(hello()).await;
    client.listen().await;
    for txnr in 2..102 {
        client.say(messages(txnr..txnr + 1)).await;
        client.listen().await;
    }
    server.take();
    assert_eq!(server.taken.len(), 64);
    server.settle(&mut client).await;
    assert_eq!(client.take_heard(), welcome(0) + &answers(2..102));
    server.assert_balanced();
}
