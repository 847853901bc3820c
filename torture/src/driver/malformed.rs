//! Hostile bytes for sockets: nothing that a node answers, stores or drops of it may touch the good senders.
//!
//! Refuses to know: what a node makes of it.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::rng::Rng;

const SEEDS: [&[u8]; 16] = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"0 \n00 \n+5 abcde\n",
    b"99999999999999999999 x\n",
    b"18446744073709551617 x",
    b"<999999999>1 - - - - - - x\n",
    b"<134>1 2016-99-99T99:99:99Z h a - - [x y=\"]] z\n",
    b"||||||||||||||||\n",
    b"\xff\xfe\x00\x00\x80||\xc3\x28||\n",
    b"16777217 ",
    b"1 open 5 hello\n",
    b"1 open 86 relp_version=0\nrelp_software=x\ncommands=syslog\n7 syslog 5 abcde\n",
    b"1 syslog 5 abcde\n",
    b"0 serverclose 0\n",
    b"999999999 syslog 999999999 x\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"1 open 0\n2 rsp 6 200 OK\n",
];

/// Opens a connection, sends something mutated, and goes; errors are the node's good right.
pub fn annoy(to: SocketAddr, rng: &mut Rng) {
    let Ok(mut stream) = TcpStream::connect(to) else { return };
    for _ in 0..rng.range(1, 6) {
        let mut bytes = SEEDS[rng.range(0, SEEDS.len() as u64) as usize].to_vec();
        for _ in 0..rng.range(0, 4) {
            let at = rng.range(0, bytes.len() as u64) as usize;
            match rng.range(0, 3) {
                0 => bytes[at] ^= 1 << rng.range(0, 8),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, rng.number() as u8),
            }
        }
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
    // It may be closed already.
    drop(stream.shutdown(Shutdown::Both));
}
