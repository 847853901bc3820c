//! Senders of numbered messages that remember what became of them.
//!
//! Refuses to know: the node behind the address.

pub mod malformed;
pub mod relp;
pub mod tcp;
pub mod udp;
