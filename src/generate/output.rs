//! Where the lines go: a file, or a syslog listener over UDP or TCP, in big writes.
//!
//! Refuses to know: what lines say and when they are due.

use std::fs::File;
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// A syslog listener's address: `udp://HOST:PORT`, `tcp://HOST:PORT` or `tcp+octet://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyslogAddress {
    protocol: Protocol,
    address: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// A datagram a line (RFC 5426).
    Udp,
    /// Lines end with LF (RFC 6587 section 3.4.2).
    Tcp,
    /// Each line behind its length (RFC 6587 section 3.4.1).
    TcpOctet,
}

impl FromStr for SyslogAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}`: write udp://HOST:PORT, tcp://HOST:PORT or tcp+octet://HOST:PORT");
        let (scheme, address) = text.split_once("://").ok_or_else(wrong)?;
        let protocol = match scheme {
            "udp" => Protocol::Udp,
            "tcp" => Protocol::Tcp,
            "tcp+octet" => Protocol::TcpOctet,
            _ => return Err(wrong()),
        };
        let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
        if port.is_none_or(|port| port.parse::<u16>().is_err()) {
            return Err(wrong());
        }
        Ok(Self { protocol, address: address.to_owned() })
    }
}

enum Target {
    Stream(Box<dyn Write>, Protocol),
    Datagrams(UdpSocket),
}

/// An open output. Write a message into [`Output::buffer`], then call [`Output::end_message`].
pub(crate) struct Output {
    target: Target,
    buffer: Vec<u8>,
    /// Bytes handed over.
    pub(crate) bytes: u64,
    /// Datagrams that the system refused to send.
    pub(crate) errors: u64,
}

impl Output {
    /// A file; `-` is standard output.
    pub(crate) fn file(path: &PathBuf) -> anyhow::Result<Self> {
        let stream: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(io::stdout().lock())
        } else {
            Box::new(File::create(path).with_context(|| format!("cannot create {}", path.display()))?)
        };
        Ok(Self::new(Target::Stream(stream, Protocol::Tcp)))
    }

    /// A connection to a listener.
    pub(crate) fn syslog(to: &SyslogAddress) -> anyhow::Result<Self> {
        let failed = || format!("cannot reach the syslog listener at {}", to.address);
        if to.protocol == Protocol::Udp {
            let socket = UdpSocket::bind("0.0.0.0:0").or_else(|_| UdpSocket::bind("[::]:0"))?;
            socket.connect(&to.address).with_context(failed)?;
            return Ok(Self::new(Target::Datagrams(socket)));
        }
        let stream = TcpStream::connect(&to.address).with_context(failed)?;
        stream.set_nodelay(true)?;
        Ok(Self::new(Target::Stream(Box::new(stream), to.protocol)))
    }

    fn new(target: Target) -> Self {
        Self { target, buffer: Vec::with_capacity(WRITE_BYTES + 8 * 1024), bytes: 0, errors: 0 }
    }

    /// Where a message is written to, behind those that wait.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The message that began at `start` of the buffer is complete: frames it, and writes when enough has gathered.
    #[inline]
    pub(crate) fn end_message(&mut self, start: usize) -> io::Result<()> {
        match &self.target {
            Target::Datagrams(socket) => {
                self.errors += u64::from(socket.send(&self.buffer[start..]).is_err());
                self.bytes += (self.buffer.len() - start) as u64;
                self.buffer.clear();
                return Ok(());
            }
            Target::Stream(_, Protocol::TcpOctet) => {
                let count = format!("{} ", self.buffer.len() - start);
                self.buffer.splice(start..start, count.into_bytes());
            }
            Target::Stream(..) => self.buffer.push(b'\n'),
        }
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Target::Stream(stream, _) = &mut self.target {
            stream.write_all(&self.buffer)?;
            stream.flush()?;
            self.bytes += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::SyslogAddress;

    #[test]
    fn addresses() {
        for text in ["udp://127.0.0.1:514", "tcp://log.example:601", "tcp+octet://[::1]:514"] {
            assert!(text.parse::<SyslogAddress>().is_ok(), "{text}");
        }
        for text in ["127.0.0.1:514", "tls://a:1", "tcp://a", "tcp://:514", "udp://a:99999"] {
            assert!(text.parse::<SyslogAddress>().is_err(), "{text}");
        }
    }
}
