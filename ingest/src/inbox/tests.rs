//! The budget: who waits, who is woken, what comes back.

use std::sync::mpsc::TryRecvError;

use super::*;

fn ledger() -> Arc<Ledger> {
    Arc::new(Ledger::new("t".into()))
}

fn small() -> (Inbox, InboxReceiver) {
    inbox(&InboxConfig { budget_bytes: 1000, max_parcels: 3, ..InboxConfig::default() })
}

/// Polls once.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn the_budget_bounds_what_is_in_flight_until_the_parcel_is_dropped() {
    let (inbox, receiver) = small();
    let ledger = ledger();
    let first = now(inbox.lend(600, &ledger)).unwrap().unwrap();
    assert_eq!((inbox.in_flight_bytes(), inbox.waits()), (600, 0));
    assert!(now(inbox.lend(600, &ledger)).is_none());
    assert_eq!((inbox.in_flight_bytes(), inbox.waits()), (600, 1));
    inbox.send(first).unwrap();
    let first = receiver.try_recv().unwrap();
    assert!(now(inbox.lend(600, &ledger)).is_none(), "received is still in flight");
    drop(first);
    assert!(now(inbox.lend(600, &ledger)).is_some());
    assert_eq!(inbox.in_flight_bytes(), 0);
}

#[test]
fn a_wish_beyond_the_budget_gets_all_of_it() {
    let (inbox, _receiver) = small();
    let parcel = now(inbox.lend(usize::MAX, &ledger())).unwrap().unwrap();
    assert_eq!(inbox.in_flight_bytes(), 1000);
    drop(parcel);
    let nothing = now(inbox.lend(0, &ledger())).unwrap().unwrap();
    assert_eq!(inbox.in_flight_bytes(), 1);
    drop(nothing);
}

#[test]
fn parcels_are_bounded_too_and_sending_never_waits() {
    let (inbox, receiver) = small();
    let ledger = ledger();
    for _ in 0..3 {
        inbox.send(now(inbox.lend(1, &ledger)).unwrap().unwrap()).unwrap();
    }
    assert!(now(inbox.lend(1, &ledger)).is_none());
    drop(receiver.try_recv().unwrap());
    assert!(now(inbox.lend(1, &ledger)).is_some());
    assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_ok());
    assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[test]
fn settling_gives_back_what_the_batch_does_not_take() {
    let (inbox, _receiver) = small();
    let mut parcel = now(inbox.lend(900, &ledger())).unwrap().unwrap();
    parcel.batch.bytes.extend_from_slice(&[b'x'; 100]);
    parcel.settle();
    assert_eq!(inbox.in_flight_bytes(), 100);
    parcel.batch.bytes.extend_from_slice(&[b'x'; 5000]);
    parcel.settle();
    assert_eq!(inbox.in_flight_bytes(), 100, "never more than was lent");
    drop(parcel);
    assert_eq!(inbox.in_flight_bytes(), 0);
}

#[test]
fn memory_is_used_again_and_comes_back_empty() {
    let (inbox, _receiver) = small();
    let mut parcel = now(inbox.lend(10, &ledger())).unwrap().unwrap();
    parcel.batch.bytes.extend_from_slice(&[b'x'; 300]);
    let memory = parcel.batch.bytes.as_ptr();
    drop(parcel);
    let again = now(inbox.lend(10, &ledger())).unwrap().unwrap();
    assert_eq!((again.batch.bytes.len(), again.batch.bytes.as_ptr()), (0, memory));
}

#[test]
fn whoever_waits_learns_that_the_batch_is_durable_or_never_will_be() {
    let (inbox, receiver) = small();
    let mut parcel = now(inbox.lend(1, &ledger())).unwrap().unwrap();
    let mut told = parcel.when_durable();
    inbox.send(parcel).unwrap();
    let mut parcel = receiver.try_recv().unwrap();
    assert!(told.try_recv().is_err());
    parcel.durable();
    assert_eq!(told.try_recv(), Ok(()));
    let mut lost = parcel.when_durable();
    drop(parcel);
    assert!(matches!(lost.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
}

#[test]
fn a_receiver_that_is_gone_ends_everybody() {
    let (inbox, receiver) = small();
    let held = now(inbox.lend(1000, &ledger())).unwrap().unwrap();
    let ledger = ledger();
    let mut waiting = pin!(inbox.lend(1, &ledger));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(receiver);
    assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Ready(Err(InboxClosed))));
    assert_eq!(inbox.send(held), Err(InboxClosed));
}

#[test]
fn a_thread_that_waits_is_woken_or_gives_up() {
    let (inbox, receiver) = small();
    let ledger = ledger();
    let held = now(inbox.lend(1000, &ledger)).unwrap().unwrap();
    let no_wait = Duration::from_millis(1);
    assert!(inbox.lend_blocking(1, &ledger, no_wait, || true).unwrap().is_none());
    std::thread::scope(|scope| {
        // An hour: only a wake-up ends it in time.
        let waiting = scope.spawn(|| inbox.lend_blocking(1, &ledger, Duration::from_secs(3600), || false));
        inbox.send(held).unwrap();
        drop(receiver.recv_timeout(Duration::from_secs(3600)).unwrap());
        assert!(waiting.join().unwrap().unwrap().is_some());
    });
}
