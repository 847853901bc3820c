//! Listeners on real sockets.

mod certificates;
mod support;
mod tcp;
mod tls;
mod udp;
