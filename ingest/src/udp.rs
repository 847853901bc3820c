//! Syslog over UDP (RFC 5426): the body of a thread that the binary starts.
//!
//! Datagrams are taken many at a time. What the kernel drops because its buffer is full is counted exactly: with
//! each datagram it says how many were dropped before it, and `/proc/net/udp` says how many after the last.
//! Refuses to know: rules, stores, threads.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, getsockopt, recvmmsg, setsockopt, sockopt,
};
use record::{Batch, Decoder, Transport};
use tokio::sync::watch;

use crate::config::{InputContext, InputError, ListenerConfig};
use crate::inbox::{InboxClosed, MEMORY_PER_BYTE};
use crate::kernel_drops::KernelDrops;
use crate::ledger::{Dropped, Ledger, ReadCounts, Rejected};

/// Datagrams taken with one system call.
const DATAGRAMS: usize = 64;
/// No datagram is longer.
const DATAGRAM_BYTES: usize = 65_536;
/// How long the thread sleeps in the kernel before it looks whether the node shuts down.
const POLL: Duration = Duration::from_millis(200);
/// Asked for when the configuration does not say.
const DEFAULT_RECEIVE_BUFFER_BYTES: usize = 64 << 20;
/// Source names kept; beyond it they are made anew.
const MAX_SOURCES: usize = 10_000;

/// A bound socket.
#[derive(Debug)]
pub struct UdpInput {
    socket: UdpSocket,
    config: ListenerConfig,
    context: InputContext,
    ledger: Arc<Ledger>,
    decoder: Decoder,
    sources: HashMap<IpAddr, Arc<str>>,
    drops: KernelDrops,
    /// Granted by the kernel.
    receive_buffer_bytes: usize,
    buf: Vec<u8>,
    /// Datagrams of the last read: where they are in `buf`, and who sent them.
    datagrams: Vec<(usize, usize, IpAddr)>,
}

impl UdpInput {
    /// Takes the address and the largest receive buffer that it may have.
    ///
    /// # Errors
    /// The address is taken or not ours; a configuration that cannot work.
    pub fn bind(config: &ListenerConfig, context: &InputContext) -> Result<Self, InputError> {
        let format = config.check(&context.formats)?;
        let fail = |source| InputError::Bind { name: config.name.clone(), address: config.address, source };
        let socket = UdpSocket::bind(config.address).map_err(fail)?;
        let wanted = config.receive_buffer_bytes.unwrap_or(DEFAULT_RECEIVE_BUFFER_BYTES);
        if setsockopt(&socket, sockopt::RcvBufForce, &wanted).is_err() {
            // Without CAP_NET_ADMIN the kernel cuts the wish to net.core.rmem_max.
            setsockopt(&socket, sockopt::RcvBuf, &wanted).map_err(|e| fail(e.into()))?;
        }
        let granted = getsockopt(&socket, sockopt::RcvBuf).map_err(|e| fail(e.into()))?;
        setsockopt(&socket, sockopt::RxqOvfl, &1).map_err(|e| fail(e.into()))?;
        socket.set_read_timeout(Some(POLL)).map_err(fail)?;
        let ledger = Arc::new(Ledger::new(config.name.as_str().into()));
        ledger.set_receive_buffer(granted as u64);
        if granted < wanted {
            tracing::warn!(input = %config.name, wanted, granted, "small receive buffer: raise net.core.rmem_max");
        }
        let drops = KernelDrops::new(&socket).map_err(fail)?;
        Ok(Self {
            socket,
            config: config.clone(),
            context: context.clone(),
            ledger,
            decoder: Decoder::new(Arc::clone(&context.formats), Transport::Syslog, format),
            sources: HashMap::new(),
            drops,
            receive_buffer_bytes: granted,
            buf: vec![0; DATAGRAMS * DATAGRAM_BYTES],
            datagrams: Vec::with_capacity(DATAGRAMS),
        })
    }

    /// Where it listens (the real port when port 0 was asked for).
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Its counters.
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// Receives until the node shuts down; then takes what the kernel still holds, and ends.
    ///
    /// # Errors
    /// The socket fails for good.
    pub fn run(mut self) -> io::Result<()> {
        while !down(&self.context.shutdown) {
            match self.receive(MsgFlags::MSG_WAITFORONE) {
                Ok(()) if self.pass_on().is_err() => return Ok(()),
                Ok(()) => {}
                Err(Errno::EAGAIN) => self.count_drops(),
                // An ICMP error for something nobody here sent, or a signal.
                Err(Errno::EINTR | Errno::ECONNREFUSED) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.drain()
    }

    /// Takes what the kernel holds; no more than its buffer, for a flood must not keep the node up.
    fn drain(&mut self) -> io::Result<()> {
        let mut drained = 0;
        while drained <= self.receive_buffer_bytes {
            match self.receive(MsgFlags::MSG_DONTWAIT) {
                Ok(()) => drained += self.datagrams.iter().map(|datagram| datagram.1.max(1)).sum::<usize>(),
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(errno.into()),
            }
            if self.pass_on().is_err() {
                break;
            }
        }
        self.count_drops();
        Ok(())
    }

    /// Fills `buf` and `datagrams`.
    fn receive(&mut self, flags: MsgFlags) -> nix::Result<()> {
        self.datagrams.clear();
        let mut slices: Vec<_> =
            self.buf.chunks_exact_mut(DATAGRAM_BYTES).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        // New headers each time: the kernel shortens the lengths in them and nix does not restore those.
        let mut headers =
            MultiHeaders::<SockaddrStorage>::preallocate(DATAGRAMS, Some(nix::cmsg_space!(u32)));
        let received = recvmmsg(self.socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None)?;
        let mut dropped = None;
        for (i, message) in received.enumerate() {
            for control in message.cmsgs()? {
                if let ControlMessageOwned::RxqOvfl(total) = control {
                    dropped = Some(total);
                }
            }
            let peer = message.address.as_ref().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), ip);
            self.datagrams.push((i * DATAGRAM_BYTES, message.bytes, peer));
        }
        if let Some(total) = dropped {
            self.ledger.add_dropped(Dropped::Kernel, self.drops.advance(total));
        }
        Ok(())
    }

    /// Decodes the datagrams received and hands them over. Waits for the budget: meanwhile the kernel's buffer
    /// fills, and drops what does not fit, counted.
    fn pass_on(&mut self) -> Result<(), InboxClosed> {
        let bytes: usize = self.datagrams.iter().map(|datagram| datagram.1).sum();
        let wish = bytes * MEMORY_PER_BYTE;
        let lent = self.context.inbox.lend_blocking(wish, &self.ledger, POLL, || false);
        let Ok(Some(mut parcel)) = lent else {
            // Received all the same.
            let lost = self.datagrams.len() as u64;
            let read = ReadCounts { frames: lost, bytes: bytes as u64, ..ReadCounts::default() };
            self.ledger.add_read(&read, self.decoder.take_counts(), 0);
            self.ledger.add_dropped(Dropped::Queue, lost);
            return Err(InboxClosed);
        };
        let counts = self.decode(&mut parcel.batch);
        self.context.inbox.hand_over(parcel, &counts, self.decoder.take_counts())
    }

    fn decode(&mut self, batch: &mut Batch) -> ReadCounts {
        let recv_ms = (self.context.clock)();
        let mut counts = ReadCounts::default();
        let datagrams = std::mem::take(&mut self.datagrams);
        for &(start, length, peer) in &datagrams {
            counts.frames += 1;
            counts.bytes += length as u64;
            let mut frame = &self.buf[start..start + length];
            frame = frame.strip_suffix(b"\n").unwrap_or(frame);
            let truncated = frame.len() > self.config.max_frame_bytes;
            counts.truncated += u64::from(truncated);
            frame = &frame[..frame.len().min(self.config.max_frame_bytes)];
            let source = batch.source_index(source(&mut self.sources, &self.config.name, peer));
            let before = batch.rows.len();
            self.decoder.push(batch, source, frame, Some(recv_ms), truncated);
            // Datagrams of many senders are interleaved: none continues another.
            self.decoder.flush(batch, source);
            if batch.rows.len() == before {
                counts.reject(Rejected::Empty);
            }
        }
        self.datagrams = datagrams;
        counts
    }

    /// Counts what was dropped since the last datagram.
    fn count_drops(&mut self) {
        if let Some(dropped) = self.drops.look() {
            self.ledger.add_dropped(Dropped::Kernel, dropped);
        }
    }
}

/// Whether the node shuts down; so too when nobody is left to say so.
fn down(shutdown: &watch::Receiver<bool>) -> bool {
    *shutdown.borrow() || shutdown.has_changed().is_err()
}

fn ip(address: &SockaddrStorage) -> IpAddr {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    let v6 = || address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
    v4.or_else(v6).map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ip| ip.to_canonical())
}

fn source<'a>(sources: &'a mut HashMap<IpAddr, Arc<str>>, name: &str, peer: IpAddr) -> &'a Arc<str> {
    if sources.len() >= MAX_SOURCES && !sources.contains_key(&peer) {
        sources.clear();
    }
    sources.entry(peer).or_insert_with(|| format!("{name}/{peer}").into())
}
