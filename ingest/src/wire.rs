//! An accepted byte stream, plain TCP or TLS over TCP, and who is on its other side.
//!
//! Two ways to read: as tokio's [`AsyncRead`] and [`AsyncWrite`] (acknowledging protocols), or [`Wire::readable`] and then
//! [`Wire::try_read`] (syslog), so that memory is borrowed only once there is something to read. Do not mix them on one
//! wire. Refuses to know: what the bytes mean, and how a handshake is done.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nix::sys::socket::{MsgFlags, recv};
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::accept::Place;

/// Who is on the other side of a connection. Shown as its identity: the name if there is one, else the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address (IPv4 in its own form, not mapped).
    pub address: IpAddr,
    /// The name by which its certificate was authenticated.
    pub name: Option<Arc<str>>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.address.fmt(f),
        }
    }
}

/// An accepted stream. Holds its place among the allowed connections.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    peer: Peer,
    _place: Place,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

#[derive(Debug)]
struct Tls {
    stream: TlsStream<TcpStream>,
    /// An error that followed bytes which had to be given out first.
    deferred: Option<io::Error>,
}

impl Wire {
    pub(crate) fn plain(stream: TcpStream, peer: Peer, place: Place) -> Self {
        Self { stream: Stream::Plain(stream), peer, _place: place }
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>, peer: Peer, place: Place) -> Self {
        Self { stream: Stream::Tls(Box::new(Tls { stream, deferred: None })), peer, _place: place }
    }

    /// Who is on the other side.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Waits until [`Wire::try_read`] may bring something (perhaps it will not after all).
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.readable().await,
            Stream::Tls(tls) => {
                if tls.holds_something() {
                    return Ok(());
                }
                tls.stream.get_ref().0.readable().await
            }
        }
    }

    /// Reads what is there. `Ok(0)`: the peer said that it has sent everything. A TLS stream that ends without such
    /// a word ends with an error.
    ///
    /// # Errors
    /// `WouldBlock`: nothing is there now. Others: the connection broke.
    pub(crate) fn try_read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.try_read(space),
            Stream::Tls(tls) => tls.read(space, |stream, space| stream.try_read(space)),
        }
    }

    /// [`Wire::try_read`] past the runtime, whose own view of readiness may lag behind the kernel's.
    pub(crate) fn read_now(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => recv_now(stream, space),
            Stream::Tls(tls) => tls.read(space, recv_now),
        }
    }
}

impl Drop for Tls {
    /// Says that this was the end and no accident (RFC 5425 section 4.4), as far as the socket takes it now.
    fn drop(&mut self) {
        let (stream, session) = self.stream.get_mut();
        session.send_close_notify();
        flush(stream, session);
    }
}

type ReadSome = fn(&TcpStream, &mut [u8]) -> io::Result<usize>;

fn recv_now(stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    Ok(recv(stream.as_raw_fd(), space, MsgFlags::MSG_DONTWAIT)?)
}

impl Tls {
    /// Whether a read brings something without asking the socket.
    fn holds_something(&mut self) -> bool {
        let session = self.stream.get_mut().1;
        self.deferred.is_some()
            || session
                .process_new_packets()
                .map_or(true, |state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed())
    }

    /// Fills `space` as far as there is something: rustls takes at most 4 KiB from the socket at once.
    fn read(&mut self, space: &mut [u8], read_some: ReadSome) -> io::Result<usize> {
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        let (stream, session) = self.stream.get_mut();
        let mut filled = 0;
        while filled < space.len() {
            match read_record(stream, session, &mut space[filled..], read_some) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if filled == 0 => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.deferred = Some(error);
                    break;
                }
            }
        }
        Ok(filled)
    }
}

/// Deciphered bytes; reads from the socket when there are none.
fn read_record(
    stream: &TcpStream,
    session: &mut ServerConnection,
    space: &mut [u8],
    read_some: ReadSome,
) -> io::Result<usize> {
    loop {
        match session.reader().read(space) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        session.read_tls(&mut Source(|space: &mut [u8]| read_some(stream, space)))?;
        let processed = session.process_new_packets();
        // Answers to a key update, or the alert that says what was wrong: a full socket may swallow them.
        while session.wants_write() && session.write_tls(&mut Sink(stream)).is_ok_and(|written| written > 0) {
        }
        processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    }
}

/// Writes what the session wants to say as far as the socket takes it now.
fn flush(stream: &TcpStream, session: &mut ServerConnection) {
    while session.wants_write() && session.write_tls(&mut Sink(stream)).is_ok_and(|written| written > 0) {}
}

struct Source<F>(F);

impl<F: FnMut(&mut [u8]) -> io::Result<usize>> Read for Source<F> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        (self.0)(space)
    }
}

struct Sink<'a>(&'a TcpStream);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx),
        }
    }
}
