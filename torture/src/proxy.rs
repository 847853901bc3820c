//! A TCP proxy with faults: cuts at a byte, loses one direction, delays, slices, resets.
//!
//! It stands at a fixed address before a node that comes up on a new port each time. Refuses to know: what the bytes
//! mean.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

use crate::clock::{background, pause};
use crate::node::Front;

/// How long one side is silent before the proxy looks whether the other has ended.
const LOOK: Duration = Duration::from_millis(20);
/// So long after the first lost answer the link dies, however few were lost.
const LOST_FOR: Duration = Duration::from_millis(300);

/// What happens to one connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Link {
    /// Cut after so many bytes from the client have passed.
    pub cut_up: Option<u64>,
    /// After so many bytes to the client all further ones are lost, and soon the link dies.
    pub lose_down: Option<u64>,
    /// One byte a write.
    pub slice: bool,
    /// Before each read from the client.
    pub delay: Option<Duration>,
    /// The link dies with a reset instead of an end.
    pub reset: bool,
}

/// What the connections had to bear.
#[derive(Debug, Default)]
pub struct Borne {
    /// Connections.
    pub links: AtomicU64,
    /// Links cut in the middle of what a client sent.
    pub cuts: AtomicU64,
    /// Links on which answers were lost.
    pub lost: AtomicU64,
}

/// Decides about each new connection.
pub type Plan = Box<dyn FnMut() -> Link + Send>;

/// A running proxy; ended by drop.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    front: Front,
    name: String,
    borne: Arc<Borne>,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy before the listener `name` of a node.
    ///
    /// # Errors
    /// No port.
    pub fn start(front: Front, name: &str, plan: Plan) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (borne, ended) = (Arc::new(Borne::default()), Arc::new(AtomicBool::new(false)));
        let shared = (front.clone(), name.to_owned(), Arc::clone(&borne), Arc::clone(&ended));
        let accepting = background("proxy", move || {
            accept(&listener, &shared.0, &shared.1, plan, &shared.2, &shared.3);
        })?;
        Ok(Self { address, front, name: name.to_owned(), borne, ended, accepting: Some(accepting) })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients connect, as long as the node is up: what has no acknowledgement would else all be lost here.
    pub fn door(&self) -> impl Fn() -> Option<SocketAddr> + Send + 'static {
        let (front, name, address) = (self.front.clone(), self.name.clone(), self.address);
        move || front.get(&name).map(|_| address)
    }

    /// What the connections had to bear.
    pub fn borne(&self) -> &Borne {
        &self.borne
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        // Wakes the accepting thread; if that cannot be done it is not waiting.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn accept(
    listener: &TcpListener,
    front: &Front,
    name: &str,
    mut plan: Plan,
    borne: &Arc<Borne>,
    ended: &Arc<AtomicBool>,
) {
    while let Ok((client, _)) = listener.accept() {
        if ended.load(Relaxed) {
            return;
        }
        // A node that is down refuses; so does its proxy.
        let Some(target) = front.get(name) else { continue };
        let Ok(server) = TcpStream::connect(target) else { continue };
        borne.links.fetch_add(1, Relaxed);
        let link = plan();
        let pair = Arc::new(Pair { client, server, link, dead: Mutex::new(false) });
        let (up, down) = (Arc::clone(&pair), pair);
        let (borne_up, borne_down) = (Arc::clone(borne), Arc::clone(borne));
        let (ended_up, ended_down) = (Arc::clone(ended), Arc::clone(ended));
        // Without a thread the link is dead, which clients must bear.
        drop(background("proxy up", move || up.up(&borne_up, &ended_up)));
        drop(background("proxy down", move || down.down(&borne_down, &ended_down)));
    }
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
    link: Link,
    dead: Mutex<bool>,
}

impl Pair {
    /// From the client to the server.
    fn up(&self, borne: &Borne, ended: &AtomicBool) {
        let mut buf = [0; 16 << 10];
        let mut passed = 0;
        while let Some(read) = self.read(&self.client, &mut buf, ended) {
            if let Some(delay) = self.link.delay {
                pause(delay);
            }
            let left = self.link.cut_up.map_or(u64::MAX, |cut| cut - passed);
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(read);
            if take > 0 && !self.write(&self.server, &buf[..take]) {
                break;
            }
            passed += take as u64;
            if take < read || self.link.cut_up == Some(passed) {
                borne.cuts.fetch_add(1, Relaxed);
                break;
            }
        }
        self.die();
    }

    /// From the server to the client.
    fn down(&self, borne: &Borne, ended: &AtomicBool) {
        let mut buf = [0; 16 << 10];
        let mut passed = 0;
        while let Some(read) = self.read(&self.server, &mut buf, ended) {
            let left = self.link.lose_down.map_or(u64::MAX, |keep| keep - passed);
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(read);
            if take > 0 && !self.write(&self.client, &buf[..take]) {
                break;
            }
            passed += take as u64;
            if take < read {
                borne.lost.fetch_add(1, Relaxed);
                self.swallow(&mut buf);
                break;
            }
        }
        self.die();
    }

    /// Loses what the server says for a while.
    fn swallow(&self, buf: &mut [u8]) {
        let begun = crate::clock::now();
        while begun.elapsed() < LOST_FOR {
            match (&self.server).read(buf) {
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Bytes read; `None` at the end of either side.
    fn read(&self, mut from: &TcpStream, buf: &mut [u8], ended: &AtomicBool) -> Option<usize> {
        from.set_read_timeout(Some(LOOK)).ok()?;
        loop {
            match from.read(buf) {
                Ok(0) => return None,
                Ok(read) => return Some(read),
                Err(e)
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
                {
                    if ended.load(Relaxed) || *self.dead.lock().unwrap_or_else(PoisonError::into_inner) {
                        return None;
                    }
                }
                Err(_gone) => return None,
            }
        }
    }

    fn write(&self, mut to: &TcpStream, bytes: &[u8]) -> bool {
        if self.link.slice {
            return to.set_nodelay(true).is_ok() && bytes.iter().all(|byte| to.write_all(&[*byte]).is_ok());
        }
        to.write_all(bytes).is_ok()
    }

    /// Both sides see the end.
    fn die(&self) {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *dead, true) {
            return;
        }
        for side in [&self.client, &self.server] {
            if self.link.reset {
                let at_once = linger { l_onoff: 1, l_linger: 0 };
                let _closed = setsockopt(side, sockopt::Linger, &at_once);
            }
            // What is closed already needs no end.
            drop(side.shutdown(if self.link.reset { Shutdown::Read } else { Shutdown::Both }));
        }
    }
}
