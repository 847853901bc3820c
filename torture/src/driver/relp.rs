//! A RELP client as librelp is one: a window, answers matched to frames, and after a lost session the whole list of
//! unanswered frames again: same bytes, same order, new transaction numbers.
//!
//! It keeps the promise's other half: which messages were acknowledged. Refuses to know: why sessions end.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::clock::{background, pause};
use crate::lines::Lines;

/// librelp's default.
pub const WINDOW: usize = 128;
const OFFERS: &str =
    "relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog";
/// Between two tries to connect.
const RECONNECT_AFTER: Duration = Duration::from_millis(20);
/// A session without any answer for so long is given up, as librelp does after 90 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// What the client knows; read while it works.
#[derive(Debug, Default)]
pub struct Progress {
    /// Messages acknowledged, by line number, in order of acknowledgement.
    acked: Mutex<Vec<u64>>,
    acked_count: AtomicU64,
    sessions: AtomicU64,
    repeated: AtomicU64,
    /// The number after the last that was sent.
    sent: AtomicU64,
    wrongs: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// What a client did.
#[derive(Debug)]
pub struct Done {
    /// Messages that were acknowledged, by line number.
    pub acked: Vec<u64>,
    /// The number after the last message.
    pub sent: u64,
    /// Everything the server did that no server may do.
    pub wrongs: Vec<String>,
}

/// Whether senders go on when they have sent what they were to send at least: until a drill has brought about what it
/// is for, however slow the machine.
#[derive(Debug, Clone, Default)]
pub struct Open(Arc<AtomicBool>);

impl Open {
    /// They go on, or no longer.
    pub fn set(&self, open: bool) {
        self.0.store(open, Relaxed);
    }

    fn is(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Where the client finds its server at each try.
pub type Where = Box<dyn Fn() -> Option<SocketAddr> + Send>;

/// A client at work.
#[derive(Debug)]
pub struct Client {
    progress: Arc<Progress>,
    working: Option<JoinHandle<()>>,
}

impl Client {
    /// Sends lines of `numbers`, and further ones while `open`, until each is acknowledged.
    ///
    /// # Errors
    /// No thread.
    pub fn start(
        to: Where,
        lines: Lines,
        numbers: std::ops::Range<u64>,
        open: Open,
        window: usize,
    ) -> Result<Self> {
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        let working = background("relp", move || {
            let (next, end) = (numbers.start, numbers.end);
            let mut queue = Queue { lines, next, end, open, unacked: VecDeque::new() };
            while !queue.done() && !shared.stop.load(Relaxed) {
                if let Some(mut session) = to().and_then(Session::connect) {
                    shared.sessions.fetch_add(1, Relaxed);
                    session.run(&mut queue, window, &shared);
                }
                pause(RECONNECT_AFTER);
            }
            shared.sent.store(queue.next, Relaxed);
        })?;
        Ok(Self { progress, working: Some(working) })
    }

    /// How many are acknowledged.
    pub fn acked_count(&self) -> u64 {
        self.progress.acked_count.load(Relaxed)
    }

    /// Whether all are acknowledged.
    pub fn done(&self) -> bool {
        self.working.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Sessions so far, and messages sent again in them.
    pub fn sessions(&self) -> (u64, u64) {
        (self.progress.sessions.load(Relaxed), self.progress.repeated.load(Relaxed))
    }

    /// Ends it.
    ///
    /// # Errors
    /// The client panicked.
    pub fn finish(mut self) -> Result<Done> {
        self.progress.stop.store(true, Relaxed);
        if let Some(working) = self.working.take() {
            working.join().map_err(|_| anyhow!("the client panicked"))?;
        }
        let acked = std::mem::take(&mut *lock(&self.progress.acked));
        let wrongs = std::mem::take(&mut *lock(&self.progress.wrongs));
        Ok(Done { acked, sent: self.progress.sent.load(Relaxed), wrongs })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.progress.stop.store(true, Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Messages not yet acknowledged: those under way, then those never sent.
struct Queue {
    lines: Lines,
    next: u64,
    end: u64,
    open: Open,
    /// In order of sending: line number, and transaction number in the session at work.
    unacked: VecDeque<(u64, u64)>,
}

impl Queue {
    fn done(&self) -> bool {
        self.unacked.is_empty() && !self.has_more()
    }

    fn has_more(&self) -> bool {
        self.next < self.end || self.open.is()
    }
}

struct Session {
    stream: TcpStream,
    txnr: u64,
    answers: Vec<u8>,
}

/// Why a session goes no further.
enum Over {
    /// The link is gone, or the server said so.
    Lost,
    /// The server broke the protocol.
    Wrong(String),
}

impl From<std::io::Error> for Over {
    fn from(_gone: std::io::Error) -> Self {
        Self::Lost
    }
}

impl Session {
    fn connect(to: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(to).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(50))).ok()?;
        Some(Self { stream, txnr: 0, answers: Vec::new() })
    }

    fn run(&mut self, queue: &mut Queue, window: usize, progress: &Progress) {
        match self.work(queue, window, progress) {
            Ok(()) | Err(Over::Lost) => {}
            Err(Over::Wrong(what)) => lock(&progress.wrongs).push(what),
        }
    }

    fn work(&mut self, queue: &mut Queue, window: usize, progress: &Progress) -> Result<(), Over> {
        let open = self.frame("open", OFFERS.as_bytes());
        self.stream.write_all(&open)?;
        self.answer_to_open(progress)?;
        self.repeat(queue, progress)?;
        while !queue.done() {
            self.fill(queue, window)?;
            self.read(progress)?;
            self.settle(queue, progress)?;
        }
        let close = self.frame("close", b"");
        self.stream.write_all(&close)?;
        // Whether it is answered is the server's conformance test; everything is acknowledged.
        Ok(())
    }

    fn frame(&mut self, command: &str, data: &[u8]) -> Vec<u8> {
        self.txnr += 1;
        let mut frame = format!("{} {command} {}", self.txnr, data.len()).into_bytes();
        if !data.is_empty() {
            frame.push(b' ');
            frame.extend_from_slice(data);
        }
        frame.push(b'\n');
        frame
    }

    fn answer_to_open(&mut self, progress: &Progress) -> Result<(), Over> {
        loop {
            if let Some((txnr, status, _)) = self.next_answer()? {
                return match (txnr, status) {
                    (1, 200) => Ok(()),
                    // A node that is ending says so to whoever has just come: no answer is owed.
                    (0, 0) => Err(Over::Lost),
                    _ => Err(Over::Wrong(format!("`open` was answered with {status} under number {txnr}"))),
                };
            }
            self.read(progress)?;
        }
    }

    /// The whole list of unanswered frames again.
    fn repeat(&mut self, queue: &mut Queue, progress: &Progress) -> Result<(), Over> {
        let mut again = Vec::new();
        for at in 0..queue.unacked.len() {
            let (number, _) = queue.unacked[at];
            again.extend(self.frame("syslog", &queue.lines.frame(number)));
            queue.unacked[at].1 = self.txnr;
        }
        progress.repeated.fetch_add(queue.unacked.len() as u64, Relaxed);
        Ok(self.stream.write_all(&again)?)
    }

    fn fill(&mut self, queue: &mut Queue, window: usize) -> Result<(), Over> {
        let mut fresh = Vec::new();
        while queue.unacked.len() < window && queue.has_more() {
            fresh.extend(self.frame("syslog", &queue.lines.frame(queue.next)));
            queue.unacked.push_back((queue.next, self.txnr));
            queue.next += 1;
        }
        Ok(self.stream.write_all(&fresh)?)
    }

    /// Waits for more of the server's bytes.
    fn read(&mut self, progress: &Progress) -> Result<(), Over> {
        let begun = crate::clock::now();
        let mut buf = [0; 8 << 10];
        loop {
            match self.stream.read(&mut buf) {
                Ok(0) => return Err(Over::Lost),
                Ok(read) => {
                    self.answers.extend_from_slice(&buf[..read]);
                    return Ok(());
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if progress.stop.load(Relaxed) || begun.elapsed() > ANSWER_TIMEOUT {
                        return Err(Over::Lost);
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Takes the acknowledged from the list.
    fn settle(&mut self, queue: &mut Queue, progress: &Progress) -> Result<(), Over> {
        while let Some((txnr, status, text)) = self.next_answer()? {
            if txnr == 0 {
                return Err(Over::Lost);
            }
            let Some(at) = queue.unacked.iter().position(|(_, sent)| *sent == txnr) else {
                return Err(Over::Wrong(format!("number {txnr} was answered and is not under way")));
            };
            if status != 200 {
                return Err(Over::Wrong(format!("a message was answered with {status} {text}")));
            }
            if at > 0 {
                return Err(Over::Wrong(format!("number {txnr} was answered before {at} earlier ones")));
            }
            if let Some((number, _)) = queue.unacked.remove(at) {
                lock(&progress.acked).push(number);
                progress.acked_count.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    /// The next whole answer: number, status, text. `serverclose` has number 0.
    fn next_answer(&mut self) -> Result<Option<(u64, u16, String)>, Over> {
        let Some((head, data_at)) = head(&self.answers) else { return Ok(None) };
        let wrong = || Over::Wrong("an answer is no RELP frame".to_owned());
        let mut parts = head.split(' ');
        let txnr: u64 = parts.next().and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        let command = parts.next().ok_or_else(wrong)?.to_owned();
        let length: usize = parts.next().and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        let end = data_at + length;
        if self.answers.len() <= end {
            return Ok(None);
        }
        let data = String::from_utf8_lossy(&self.answers[data_at..end]).into_owned();
        self.answers.drain(..=end);
        match command.as_str() {
            "serverclose" => Ok(Some((0, 0, String::new()))),
            "rsp" if length == 0 => Ok(Some((txnr, 200, String::new()))),
            "rsp" => {
                let status = data.split(' ').next().and_then(|s| s.parse().ok()).ok_or_else(wrong)?;
                Ok(Some((txnr, status, data)))
            }
            _ => Err(wrong()),
        }
    }
}

/// `TXNR COMMAND LENGTH` and where the data starts; `None` until they are whole.
fn head(bytes: &[u8]) -> Option<(String, usize)> {
    let mut spaces = 0;
    for (at, byte) in bytes.iter().enumerate() {
        spaces += usize::from(*byte == b' ');
        if *byte == b'\n' {
            // No data: the LF that ends the frame stands where data would start.
            return Some((String::from_utf8_lossy(&bytes[..at]).into_owned(), at));
        }
        if spaces == 3 {
            return Some((String::from_utf8_lossy(&bytes[..at]).into_owned(), at + 1));
        }
    }
    None
}
