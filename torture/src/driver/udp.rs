//! Syslog over UDP: nothing is promised but that losses are counted.
//!
//! Refuses to know: what arrives.

use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;

use anyhow::Result;

use crate::lines::Lines;

/// Sends each line as a datagram.
///
/// # Errors
/// No socket. (What a node that is down refuses is lost, as with any sender.)
pub fn send(to: SocketAddr, lines: &Lines, numbers: Range<u64>) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for n in numbers {
        drop(socket.send_to(&lines.frame(n), to));
    }
    Ok(())
}
