//! Listeners on real sockets.

mod support;
mod tcp;
mod udp;
