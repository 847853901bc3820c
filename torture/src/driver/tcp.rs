//! Plain syslog over TCP: nothing is acknowledged, so a session remembers what it wrote, and lost lines are never
//! sent again.
//!
//! Refuses to know: why sessions end.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::clock::{background, pause};
use crate::lines::Lines;
use crate::rng::Rng;

const RECONNECT_AFTER: Duration = Duration::from_millis(20);
/// Lines written at once: 1 to this many.
const BURST: u64 = 100;

/// How messages are framed (RFC 6587).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Ended by LF.
    Lf,
    /// Preceded by their length.
    OctetCounted,
}

#[derive(Debug, Default)]
struct Progress {
    /// Lines of each session, in order; the last may have been written in part.
    sessions: Mutex<Vec<Range<u64>>>,
    written: AtomicU64,
    stop: AtomicBool,
}

/// A sender at work.
#[derive(Debug)]
pub struct Sender {
    progress: Arc<Progress>,
    working: Option<JoinHandle<()>>,
}

impl Sender {
    /// Sends lines of `numbers` once each, over as many sessions as it takes; `pace` after each burst.
    ///
    /// # Errors
    /// No thread.
    pub fn start(
        to: impl Fn() -> Option<SocketAddr> + Send + 'static,
        lines: Lines,
        numbers: Range<u64>,
        framing: Framing,
        pace: Duration,
        mut rng: Rng,
    ) -> Result<Self> {
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        let working = background("tcp", move || {
            let mut next = numbers.start;
            while next < numbers.end && !shared.stop.load(Relaxed) {
                if let Some(mut stream) = to().and_then(|at| TcpStream::connect(at).ok()) {
                    let first = next;
                    lock(&shared.sessions).push(first..first);
                    while next < numbers.end && !shared.stop.load(Relaxed) {
                        let end = (next + rng.range(1, BURST + 1)).min(numbers.end);
                        let bytes: Vec<u8> = (next..end).flat_map(|n| framed(&lines, n, framing)).collect();
                        // What is not written whole may still arrive in part, so it belongs to the session.
                        next = end;
                        if let Some(session) = lock(&shared.sessions).last_mut() {
                            session.end = end;
                        }
                        let written = stream.write_all(&bytes);
                        shared.written.store(next, Relaxed);
                        if written.is_err() {
                            break;
                        }
                        pause(pace);
                    }
                }
                pause(RECONNECT_AFTER);
            }
        })?;
        Ok(Self { progress, working: Some(working) })
    }

    /// Up to which line it has written.
    pub fn written(&self) -> u64 {
        self.progress.written.load(Relaxed)
    }

    /// Whether it has written all.
    pub fn done(&self) -> bool {
        self.working.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The lines of each session so far.
    pub fn sessions(&self) -> Vec<Range<u64>> {
        lock(&self.progress.sessions).clone()
    }

    /// The lines of each session.
    ///
    /// # Errors
    /// It panicked.
    pub fn finish(mut self) -> Result<Vec<Range<u64>>> {
        self.progress.stop.store(true, Relaxed);
        if let Some(working) = self.working.take() {
            working.join().map_err(|_| anyhow!("the sender panicked"))?;
        }
        Ok(self.sessions())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.progress.stop.store(true, Relaxed);
    }
}

/// A line with its framing.
pub fn framed(lines: &Lines, n: u64, framing: Framing) -> Vec<u8> {
    let mut frame = lines.frame(n);
    match framing {
        Framing::Lf => frame.push(b'\n'),
        Framing::OctetCounted => {
            let mut counted = format!("{} ", frame.len()).into_bytes();
            counted.append(&mut frame);
            frame = counted;
        }
    }
    frame
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
