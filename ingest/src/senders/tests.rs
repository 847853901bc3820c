//! Parcels as listeners make them, judged by a naive model.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use record::{Decoder, FormatSet, Transport};

use super::*;
use crate::inbox::{Inbox, InboxConfig, InboxReceiver, inbox};
use crate::ledger::{Ledger, ReadCounts};

/// A listener without a socket.
struct Listener {
    inbox: Inbox,
    receiver: InboxReceiver,
    ledger: Arc<Ledger>,
    decoder: Decoder,
}

impl Listener {
    fn new() -> Self {
        let (inbox, receiver) = inbox(&InboxConfig::default());
        let formats = Arc::new(FormatSet::shipped("Asia/Shanghai".parse().unwrap()));
        let decoder = Decoder::new(formats, Transport::Syslog, None);
        Self { inbox, receiver, ledger: Arc::new(Ledger::new("t".into())), decoder }
    }

    /// A parcel of these frames as the journal thread gets it; each with its source.
    fn parcel(&mut self, frames: &[(&str, &str)], recv_ms: InstantMs) -> Parcel {
        let lent = pin!(self.inbox.lend(1, &self.ledger)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(mut parcel)) = lent else { panic!("the budget is used up") };
        for (source, frame) in frames {
            let source = parcel.batch.source_index(&Arc::from(*source));
            self.decoder.push(&mut parcel.batch, source, frame.as_bytes(), Some(recv_ms), false);
        }
        let read = ReadCounts { frames: frames.len() as u64, ..ReadCounts::default() };
        parcel.when_durable();
        self.inbox.hand_over(parcel, &read, self.decoder.take_counts()).unwrap();
        self.receiver.try_recv().unwrap()
    }
}

/// A frame with an id and a number.
fn frame(eid: &str, seq: u64) -> String {
    format!(
        "<14>1 2016-07-22T18:15:00.512+08:00 host app - - [lc@32473 eid=\"{eid}\" seq=\"{seq}\"] line {eid}"
    )
}

fn messages(parcel: &Parcel) -> Vec<&str> {
    parcel.batch.rows.iter().map(|row| parcel.batch.text(row.message)).collect()
}

fn check(senders: &mut Senders, listener: &mut Listener, frames: &[(&str, &str)], kept: &[&str]) {
    let mut parcel = listener.parcel(frames, 1_000);
    senders.filter(&mut parcel);
    assert_eq!(messages(&parcel), kept);
    assert_eq!(parcel.repeated as usize, frames.len() - kept.len());
    assert!(parcel.idents.is_empty());
    let rows = parcel.batch.rows.len() as u64;
    parcel.ledger().add_committed(rows, parcel.repeated, None);
}

#[test]
fn what_was_here_before_is_taken_out_of_its_senders_lines_only() {
    let (mut senders, mut listener) = (Senders::new(&SendersConfig::default()), Listener::new());
    let (a, b, c) = (&*frame("a", 0), &*frame("b", 1), &*frame("c", 2));
    let (first, other) = ("tcp/10.0.0.1", "udp/10.0.0.2");
    check(&mut senders, &mut listener, &[(first, a), (first, b), (first, a)], &["line a", "line b"]);
    check(
        &mut senders,
        &mut listener,
        &[(other, a), (first, "no id"), (other, b)],
        &["line a", "no id", "line b"],
    );
    // The same sender by another input, and the other one between.
    let again = "relp/10.0.0.1";
    check(&mut senders, &mut listener, &[(again, b), (other, c), (again, c)], &["line c", "line c"]);
    check(&mut senders, &mut listener, &[(first, a), (other, b)], &[]);
    check(&mut senders, &mut listener, &[(first, "no id"), (first, "no id")], &["no id", "no id"]);
    let snapshot = listener.ledger.snapshot();
    assert_eq!((snapshot.stored, snapshot.duplicate, snapshot.in_flight()), (9, 4, 0));
    assert_eq!(snapshot.unaccounted(), 0);
}
