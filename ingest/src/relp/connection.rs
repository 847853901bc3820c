//! One RELP connection: reads, takes frames, hands messages over, answers once they are durable.
//!
//! Reading goes on while answers are outstanding, within a bound. What no answer was sent for is the sender's to send
//! again: at a broken connection, at shutdown and at a journal without room nothing is lost by ending. Refuses to
//! know: sockets (any stream will do), rules, stores, how tasks are run.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use record::Batch;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::buffer::Buffer;
use super::frame::{FrameReader, Step};
use super::gate::Stalled;
use super::head::{Head, Sheaf};
use super::link::{Link, Moved};
use super::payload::Payloads;
use super::session::{Action, Fault, Session};
use super::tails::{Lane, Owner, Superseded, Verdict};
use super::window::{NeverDurable, Window};
use crate::accept::down;
use crate::inbox::{InboxClosed, MEMORY_PER_BYTE, Parcel};

/// A connection silent for so long gives back its memory, and a message that waited for its continuation is whole.
const IDLE_MS: u64 = 200;
/// So long the head of a session waits for more of it when it may repeat what was here before.
const HEAD_MS: u64 = 2_000;
/// The same for a head of several lines: that they stand within a tail in their order is no chance, and a link may stall
/// for seconds in the middle of a replay. Well below the 90 s after which librelp gives a session up.
const REPLAY_MS: u64 = 25_000;
/// A message is acknowledged within this, or the session ends.
const ACK_MS: u64 = 30_000;

/// A session and all that belongs to it.
pub(super) struct Connection<S> {
    link: Link<S>,
    buffer: Buffer,
    frames: FrameReader,
    session: Session,
    payloads: Payloads,
    place: Place,
    owner: Owner,
    /// Hashes of the lines at hand.
    lines: Vec<u64>,
    window: Window,
    began: Instant,
    /// When bytes last came.
    read_ms: u64,
    /// Since when answers wait to be sent.
    unsent_since_ms: Option<u64>,
    shutdown: watch::Receiver<bool>,
    shared: Arc<Shared>,
}

/// Where the lines of a session are remembered.
#[derive(Debug)]
enum Place {
    /// Not known yet: the first ones are held back.
    Head(Head),
    Lane(Arc<Lane>),
    /// Nowhere.
    Unknown,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// All was said that was to be said; it is closed in order.
    Said,
    /// It broke, or its client left without a word.
    Broken(Option<io::Error>),
    /// Its sender goes on in another session.
    Superseded,
    /// The process is ending.
    NeverDurable,
}

/// Why a connection woke.
enum Woken {
    Shutdown,
    Durable(Result<u64, NeverDurable>),
    Moved(io::Result<Moved>),
    Superseded,
    Time,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, source: Arc<str>, shared: Arc<Shared>) -> Self {
        let formats = Arc::clone(&shared.context.formats);
        Self {
            link: Link::new(stream),
            buffer: Buffer::default(),
            frames: FrameReader::new(shared.config.max_frame_bytes),
            session: Session::new(0),
            payloads: Payloads::new(formats, shared.format, source),
            place: Place::Head(Head::default()),
            owner: Owner::default(),
            lines: Vec::new(),
            window: Window::default(),
            began: Instant::now(),
            read_ms: 0,
            unsent_since_ms: None,
            shutdown: shared.context.shutdown.clone(),
            shared,
        }
    }

    /// Serves until the end.
    pub(super) async fn run(mut self) {
        let ended = loop {
            if self.session.is_over() && self.link.is_sent() {
                break Ended::Said;
            }
            if let Err(ended) = self.turn().await {
                break ended;
            }
        };
        match ended {
            Ended::Said => {
                self.leave();
                self.link.close().await;
            }
            Ended::Broken(error) => {
                if let Some(error) = error {
                    self.shared.ledger.read_error();
                    let (input, source) = (&self.shared.config.name, self.payloads.source());
                    tracing::debug!(%input, %source, %error, "connection broke");
                }
                self.keep_rest().await;
                self.leave();
            }
            Ended::Superseded => {
                self.shared.ledger.session_superseded();
                let (input, source) = (&self.shared.config.name, self.payloads.source());
                tracing::info!(%input, %source, "the sender goes on in another session: this one ends");
            }
            Ended::NeverDurable => {}
        }
    }

    async fn turn(&mut self) -> Result<(), Ended> {
        match self.woken().await {
            Woken::Shutdown => self.stop().await,
            Woken::Durable(durable) => self.acknowledge(durable),
            Woken::Moved(moved) => match self.moved(moved)? {
                0 => Ok(()),
                bytes => self.received(bytes).await,
            },
            Woken::Superseded => Err(Ended::Superseded),
            Woken::Time => self.timed().await,
        }
    }

    async fn woken(&mut self) -> Woken {
        let now_ms = self.now_ms();
        if self.link.is_sent() {
            self.unsent_since_ms = None;
        } else {
            self.unsent_since_ms.get_or_insert(now_ms);
        }
        let deadline = self.deadline_ms().map(|ms| self.began + Duration::from_millis(ms));
        let takes_frames = self.session.takes_frames();
        let placed = matches!(self.place, Place::Lane(_));
        let reads = takes_frames && !self.window.is_full() && !self.link.is_clogged();
        let space = if reads { Some(self.buffer.space()) } else { None };
        tokio::select! {
            biased;
            () = down(&mut self.shutdown), if takes_frames => Woken::Shutdown,
            () = self.owner.superseded(), if placed => Woken::Superseded,
            durable = self.window.durable() => Woken::Durable(durable),
            moved = self.link.moved(space) => Woken::Moved(moved),
            () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => Woken::Time,
        }
    }

    /// When time itself is an event.
    fn deadline_ms(&self) -> Option<u64> {
        let idle = self.payloads.holds_back() || self.buffer.is_large();
        let idle = idle.then_some(self.read_ms + IDLE_MS);
        let stalled = self.window.since_ms().map(|since_ms| since_ms + ACK_MS);
        let unsent = self.unsent_since_ms.map(|since_ms| since_ms + ACK_MS);
        [idle, stalled, unsent, self.head_deadline_ms(), self.session.deadline_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Until when more is waited for of lines that are held back because they may repeat something.
    fn head_deadline_ms(&self) -> Option<u64> {
        let Place::Head(head) = &self.place else { return None };
        let patience_ms = if head.lines().len() > 1 { REPLAY_MS } else { HEAD_MS };
        (!head.is_empty()).then_some(self.read_ms + patience_ms)
    }

    /// The lane is free for the session that goes on.
    fn leave(&self) {
        if let Place::Lane(lane) = &self.place {
            lane.leave(&self.owner, self.session.was_closed());
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Bytes read.
    fn moved(&mut self, moved: io::Result<Moved>) -> Result<usize, Ended> {
        match moved {
            Ok(Moved::Wrote) => {
                self.unsent_since_ms = None;
                Ok(0)
            }
            Ok(Moved::Read(0)) => Err(Ended::Broken(None)),
            Ok(Moved::Read(bytes)) => Ok(bytes),
            Err(error) => Err(Ended::Broken(Some(error))),
        }
    }

    fn acknowledge(&mut self, durable: Result<u64, NeverDurable>) -> Result<(), Ended> {
        let messages = durable.map_err(|NeverDurable| Ended::NeverDurable)?;
        self.session.ack(messages, self.link.out());
        Ok(())
    }

    async fn received(&mut self, bytes: usize) -> Result<(), Ended> {
        self.buffer.filled(bytes);
        self.payloads.count_bytes(bytes as u64);
        self.read_ms = self.now_ms();
        let Some(mut parcel) = self.borrow(self.buffer.held().len()).await? else { return Ok(()) };
        self.take(&mut parcel.batch);
        if !self.session.takes_frames() {
            self.payloads.flush(&mut parcel.batch);
            self.buffer.clear();
            self.hand_over(parcel)?;
            return self.end_head();
        }
        self.hand_over(parcel)
    }

    /// Takes all whole frames of the buffer.
    fn take(&mut self, batch: &mut Batch) {
        let recv_ms = (self.shared.context.clock)();
        let mut began = false;
        while self.session.takes_frames() {
            match self.frames.next(self.buffer.held()) {
                Ok(Step::Frame { txnr, command, data, truncated, consumed }) => {
                    let data = &self.buffer.held()[data];
                    match self.session.frame(txnr, command, data, self.link.out()) {
                        Ok(Action::Deliver) => self.payloads.push(batch, data, recv_ms, truncated),
                        Ok(Action::Nothing | Action::End) => {}
                        Err(fault) => self.faulted(fault),
                    }
                    self.buffer.consume(consumed);
                    began = true;
                }
                Ok(Step::Excess(excess)) => self.buffer.remove(excess),
                Ok(Step::Incomplete) => break,
                Err(error) => {
                    self.session.end(self.link.out());
                    self.faulted(error.into());
                }
            }
        }
        self.session.rest(self.now_ms(), !self.buffer.held().is_empty(), began);
    }

    /// Sends on what was decoded, and counts. Messages are answered when their rows are durable. The first lines of a
    /// session wait until it is known whether they repeat what was here before.
    fn hand_over(&mut self, parcel: Parcel) -> Result<(), Ended> {
        let (read, decoded) = self.payloads.take_counts();
        let sheaf = Sheaf { parcel, read, decoded, messages: self.payloads.take_settled() };
        match &mut self.place {
            Place::Head(head) if !head.is_empty() || !sheaf.parcel.batch.rows.is_empty() => {
                if head.push(sheaf) { self.decide(false) } else { Ok(()) }
            }
            _ => self.pass(sheaf),
        }
    }

    /// Finds out whether the head repeats something; `last`: without waiting for more of it.
    fn decide(&mut self, last: bool) -> Result<(), Ended> {
        let Place::Head(head) = &mut self.place else { return Ok(()) };
        if head.is_empty() {
            return Ok(());
        }
        let (tails, source) = (&self.shared.context.tails, self.payloads.source());
        let (repeated, place) = match tails.seek(source, head.lines(), last || head.is_full(), &self.owner) {
            Verdict::Open => return Ok(()),
            Verdict::Repeats(repeated, lane) => (repeated, lane.map_or(Place::Unknown, Place::Lane)),
        };
        let head = std::mem::take(head);
        self.place = place;
        head.release(repeated).into_iter().try_for_each(|sheaf| self.pass(sheaf))
    }

    /// No more of the head will come. What stands within a tail is in the journal; the sender may send it again, in
    /// a session that then repeats it to the end.
    fn end_head(&mut self) -> Result<(), Ended> {
        let Place::Head(head) = &mut self.place else { return Ok(()) };
        let lines = head.lines().len();
        if lines == 0 || !self.shared.context.tails.holds(self.payloads.source(), head.lines()) {
            return self.decide(true);
        }
        let head = std::mem::take(head);
        self.place = Place::Unknown;
        head.release(lines).into_iter().try_for_each(|sheaf| self.pass(sheaf))
    }

    fn pass(&mut self, sheaf: Sheaf) -> Result<(), Ended> {
        let shared = &self.shared;
        self.lines.clear();
        sheaf.hash_into(&mut self.lines);
        let Sheaf { mut parcel, read, decoded, messages } = sheaf;
        let bytes = parcel.batch.bytes.len();
        let waits = !parcel.batch.rows.is_empty() || parcel.repeated > 0;
        let durable = waits.then(|| parcel.when_durable());
        let handed_over = match &self.place {
            Place::Lane(lane) => {
                for row in &mut parcel.batch.rows {
                    row.flags = row.flags.with_lane(lane.number());
                }
                let hand_over = || shared.context.inbox.hand_over(parcel, &read, decoded);
                lane.extend(&self.owner, self.lines.drain(..), hand_over)
                    .map_err(|Superseded| Ended::Superseded)?
            }
            Place::Head(_) | Place::Unknown => shared.context.inbox.hand_over(parcel, &read, decoded),
        };
        handed_over.map_err(|InboxClosed| Ended::NeverDurable)?;
        match durable {
            Some(durable) => {
                let now_ms = self.now_ms();
                self.window.push(durable, messages, bytes, now_ms);
            }
            // Empty messages.
            None if messages > 0 && !self.window.attach(messages) => {
                self.session.ack(messages, self.link.out());
            }
            None => {}
        }
        Ok(())
    }

    /// Borrows for `bytes` of messages; answers go on meanwhile. `None`: there was no room for too long, and the
    /// session is over.
    async fn borrow(&mut self, bytes: usize) -> Result<Option<Parcel>, Ended> {
        let began_ms = self.now_ms();
        let shared = Arc::clone(&self.shared);
        let mut lend = pin!(shared.context.inbox.lend(bytes * MEMORY_PER_BYTE, &shared.ledger));
        loop {
            let since_ms = self.window.since_ms().map_or(began_ms, |since_ms| since_ms.min(began_ms));
            let deadline = self.began + Duration::from_millis(since_ms + ACK_MS);
            tokio::select! {
                biased;
                lent = &mut lend => {
                    self.session.paused(self.now_ms() - began_ms);
                    return lent.map(Some).map_err(|_closed| Ended::NeverDurable);
                }
                durable = self.window.durable() => self.acknowledge(durable)?,
                moved = self.link.moved(None) => drop(self.moved(moved)?),
                () = sleep_until(deadline) => {
                    self.stall();
                    return Ok(None);
                }
            }
        }
    }

    async fn timed(&mut self) -> Result<(), Ended> {
        let now_ms = self.now_ms();
        let over = |since_ms: Option<u64>| since_ms.is_some_and(|since_ms| now_ms >= since_ms + ACK_MS);
        if over(self.unsent_since_ms) {
            return Err(Ended::Broken(Some(io::ErrorKind::TimedOut.into())));
        }
        if over(self.window.since_ms()) {
            self.stall();
            return Ok(());
        }
        if let Some(fault) = self.session.late(now_ms, self.link.out()) {
            self.faulted(fault);
            self.flush().await?;
            return self.end_head();
        }
        if self.head_deadline_ms().is_some_and(|deadline_ms| now_ms >= deadline_ms) {
            self.decide(true)?;
        }
        if now_ms >= self.read_ms + IDLE_MS {
            self.buffer.shrink();
            return self.flush().await;
        }
        Ok(())
    }

    /// What the decoder keeps back is whole.
    async fn flush(&mut self) -> Result<(), Ended> {
        if !self.payloads.holds_back() {
            return Ok(());
        }
        let Some(mut parcel) = self.borrow(1).await? else { return Ok(()) };
        self.payloads.flush(&mut parcel.batch);
        self.hand_over(parcel)
    }

    /// The node shuts down: takes no more, ends once everything is answered.
    async fn stop(&mut self) -> Result<(), Ended> {
        self.session.end(self.link.out());
        self.buffer.clear();
        self.flush().await?;
        self.end_head()
    }

    /// Nothing was made durable for too long: ends, and lets nobody in until there is room.
    fn stall(&mut self) {
        let (input, source) = (&self.shared.config.name, self.payloads.source());
        tracing::warn!(%input, %source, "nothing could be made durable for 30 s: the session ends, its sender keeps what was not acknowledged");
        self.shared.ledger.session_stalled();
        self.shared.gate.shut(self.window.abandon().map_or(Stalled::Room, Stalled::Parcel));
        self.payloads.abandon();
        let (read, decoded) = self.payloads.take_counts();
        self.shared.ledger.add_read(&read, decoded, 0);
        self.session.give_up(self.link.out());
    }

    fn faulted(&self, fault: Fault) {
        self.shared.ledger.session_fault();
        let (input, source) = (&self.shared.config.name, self.payloads.source());
        tracing::warn!(%input, %source, "the session ends: {fault}");
    }

    /// The connection is gone. Whole messages are kept although nobody hears the answer: their sender may be gone for
    /// good.
    async fn keep_rest(&mut self) {
        if !self.buffer.held().is_empty() || self.payloads.holds_back() {
            let shared = Arc::clone(&self.shared);
            let bytes = self.buffer.held().len() * MEMORY_PER_BYTE;
            let lend = shared.context.inbox.lend(bytes, &shared.ledger);
            let Ok(Ok(mut parcel)) = timeout(Duration::from_millis(ACK_MS), lend).await else { return };
            self.take(&mut parcel.batch);
            if self.session.takes_frames() && !self.buffer.held().is_empty() {
                self.payloads.count_unfinished();
            }
            self.payloads.flush(&mut parcel.batch);
            drop(self.hand_over(parcel));
        }
        drop(self.end_head());
    }
}
