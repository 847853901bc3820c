//! What may be said when in a RELP session, and what is answered: a state machine over frames, no I/O.
//!
//! Answers go out in the order of the frames, and a message is answered only when the caller says that it is durable. A
//! `syslog` frame is never answered with 500: librelp would forget the message. So whatever goes wrong ends the
//! session, and the sender sends again what was not answered. Refuses to know: sockets, what messages say, clocks
//! (the caller passes milliseconds of one that never goes back).

use std::io::Write;

use super::frame::{Command, FrameError};
use super::offers::{Offers, OffersError};

/// A session must be opened within this.
pub const OPEN_MS: u64 = 10_000;
/// A frame that has begun must end within this. A session without a frame may rest for ever.
pub const FRAME_MS: u64 = 30_000;
/// After this comes 1.
const TXNR_MAX: u32 = 999_999_999;

/// What the caller does with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Its data is a message. Call [`Session::ack`] once it is durable.
    Deliver,
    /// Nothing; an answer may have been written.
    Nothing,
    /// Nothing, and no further frame. The session ends by itself when all is answered.
    End,
}

/// Why a session ends, other than by its client's `close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no RELP.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A frame is missing or came twice.
    #[error("frame {got} came where {expected} was expected")]
    Order {
        /// The number that had to come.
        expected: u32,
        /// The number that came.
        got: u32,
    },
    /// A frame with the number 0: hints are for servers.
    #[error("a hint (frame 0) came from the client")]
    Hint,
    /// Something else than `open` came first.
    #[error("a frame came before open")]
    BeforeOpen,
    /// `open` came in an open session.
    #[error("open came a second time")]
    SecondOpen,
    /// `open` with offers that cannot be read.
    #[error("bad offers: {0}")]
    Offers(#[from] OffersError),
    /// `open` without the command that messages come in.
    #[error("the client does not offer the command syslog")]
    NoSyslog,
    /// A command that no client may send.
    #[error("an unknown command or one that only servers send")]
    Command,
    /// No `open` in time.
    #[error("not opened within 10 s")]
    OpenLate,
    /// The rest of a frame did not come in time.
    #[error("a frame was not complete within 30 s")]
    FrameLate,
}

/// One side of a session: the server's.
#[derive(Debug, Clone)]
pub struct Session {
    phase: Phase,
    /// The number that the next frame must have.
    expected: u32,
    /// The number of the oldest message that is not answered.
    oldest: u32,
    /// Messages that are not answered.
    unanswered: u64,
    /// The client said that it ends, and was answered: it has nothing to send again.
    closed: bool,
    open_by_ms: u64,
    /// When the frame that is not complete began.
    half_since_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Open,
    /// No frames are taken any more. What is said last, once all messages are answered.
    Ending(Last),
    /// Everything has been said.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Only that we close.
    Bye,
    /// The answer to `close`.
    Closed { txnr: u32 },
    /// The answer to an `open` that cannot be.
    Refused { txnr: u32, why: &'static str },
}

impl Session {
    /// A connection was accepted at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            phase: Phase::New,
            expected: 1,
            oldest: 2,
            unanswered: 0,
            closed: false,
            open_by_ms: now_ms + OPEN_MS,
            half_since_ms: None,
        }
    }

    /// Takes a frame in order of arrival; answers are appended to `out`.
    ///
    /// # Errors
    /// The session is ending because of it, as after [`Session::end`].
    pub fn frame(
        &mut self,
        txnr: u32,
        command: Command,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Action, Fault> {
        if matches!(self.phase, Phase::Ending(_) | Phase::Over) {
            return Ok(Action::End);
        }
        let taken = self.take(txnr, command, data, out);
        if let Err(fault) = &taken {
            let last = match fault {
                Fault::NoSyslog => Last::Refused { txnr, why: "required command not supported by client" },
                Fault::Offers(_) => Last::Refused { txnr, why: "invalid offers" },
                Fault::SecondOpen => Last::Refused { txnr, why: "session is open already" },
                _ => Last::Bye,
            };
            self.end_with(last, out);
        }
        taken
    }

    fn take(&mut self, txnr: u32, command: Command, data: &[u8], out: &mut Vec<u8>) -> Result<Action, Fault> {
        if txnr == 0 {
            return Err(Fault::Hint);
        }
        if txnr != self.expected {
            return Err(Fault::Order { expected: self.expected, got: txnr });
        }
        self.expected = following(txnr);
        match (self.phase, command) {
            (Phase::New, Command::Open) => {
                let offers = Offers::parse(data)?;
                if !offers.syslog {
                    return Err(Fault::NoSyslog);
                }
                rsp(out, txnr, &offers.answer());
                self.phase = Phase::Open;
                Ok(Action::Nothing)
            }
            (Phase::New, _) => Err(Fault::BeforeOpen),
            (_, Command::Syslog) => {
                self.unanswered += 1;
                Ok(Action::Deliver)
            }
            (_, Command::Close) => {
                self.end_with(Last::Closed { txnr }, out);
                Ok(Action::End)
            }
            (_, Command::Open) => Err(Fault::SecondOpen),
            _ => Err(Fault::Command),
        }
    }

    /// The `messages` oldest that were not answered are durable.
    pub fn ack(&mut self, messages: u64, out: &mut Vec<u8>) {
        debug_assert!(messages <= self.unanswered, "more is durable than was delivered");
        for _ in 0..messages.min(self.unanswered) {
            rsp(out, self.oldest, "200 OK");
            self.oldest = following(self.oldest);
            self.unanswered -= 1;
        }
        self.say_last(out);
    }

    /// This side wants to end: takes no more frames; says so once all messages are answered.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.end_with(Last::Bye, out);
    }

    /// This side ends now: what is not answered is left for the sender to send again.
    pub fn give_up(&mut self, out: &mut Vec<u8>) {
        if self.phase != Phase::Over {
            out.extend_from_slice(SERVERCLOSE);
            self.phase = Phase::Over;
        }
    }

    fn end_with(&mut self, last: Last, out: &mut Vec<u8>) {
        if !matches!(self.phase, Phase::Ending(_) | Phase::Over) {
            self.phase = Phase::Ending(last);
            self.half_since_ms = None;
        }
        self.say_last(out);
    }

    fn say_last(&mut self, out: &mut Vec<u8>) {
        let Phase::Ending(last) = self.phase else { return };
        if self.unanswered > 0 {
            return;
        }
        match last {
            Last::Bye => {}
            Last::Closed { txnr } => {
                rsp(out, txnr, "200 OK");
                self.closed = true;
            }
            Last::Refused { txnr, why } => rsp(out, txnr, &format!("500 {why}")),
        }
        out.extend_from_slice(SERVERCLOSE);
        self.phase = Phase::Over;
    }

    /// All whole frames were taken; `half`: a part of another one has come.
    pub fn rest(&mut self, now_ms: u64, half: bool, began: bool) {
        if !half || !self.takes_frames() {
            self.half_since_ms = None;
        } else if began || self.half_since_ms.is_none() {
            self.half_since_ms = Some(now_ms);
        }
    }

    /// The caller did not read for so long: the sender is not to blame.
    pub fn paused(&mut self, ms: u64) {
        self.open_by_ms += ms;
        self.half_since_ms = self.half_since_ms.map(|since_ms| since_ms + ms);
    }

    /// When [`Session::late`] will have something to say, unless frames come before.
    pub fn deadline_ms(&self) -> Option<u64> {
        let open = (self.phase == Phase::New).then_some(self.open_by_ms);
        let frame = self.half_since_ms.map(|since_ms| since_ms + FRAME_MS);
        [open, frame].into_iter().flatten().min()
    }

    /// Ends the session if its client has let it wait too long.
    pub fn late(&mut self, now_ms: u64, out: &mut Vec<u8>) -> Option<Fault> {
        if self.deadline_ms().is_none_or(|deadline_ms| now_ms < deadline_ms) {
            return None;
        }
        let fault = if self.half_since_ms.is_some_and(|since_ms| now_ms >= since_ms + FRAME_MS) {
            Fault::FrameLate
        } else {
            Fault::OpenLate
        };
        self.end(out);
        Some(fault)
    }

    /// Whether frames are still taken.
    pub fn takes_frames(&self) -> bool {
        matches!(self.phase, Phase::New | Phase::Open)
    }

    /// Whether the client ended the session itself, with everything answered.
    pub fn was_closed(&self) -> bool {
        self.closed
    }

    /// Whether everything has been said: close the connection once it is sent.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }
}

const SERVERCLOSE: &[u8] = b"0 serverclose 0\n";

/// The number after `txnr`.
pub fn following(txnr: u32) -> u32 {
    if txnr >= TXNR_MAX { 1 } else { txnr + 1 }
}

/// Appends an answer.
fn rsp(out: &mut Vec<u8>, txnr: u32, data: &str) {
    writeln!(out, "{txnr} rsp {} {data}", data.len()).expect("writing to a vector cannot fail");
}

#[cfg(test)]
mod tests;
