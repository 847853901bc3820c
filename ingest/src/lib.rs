//! The listeners and the journal: bytes from senders, decoded, made durable, handed on.
//!
//! ```text
//! tcp, udp ──lend, read, frame, decode──▶ Inbox ──▶ the journal's thread: append, commit ──▶ judge, trace store
//! ```
//! A [`Parcel`] carries a batch along that way and gives its share of the budget back at its end. An input that
//! acknowledges (RELP) asks its parcel to tell when it is durable. Refuses to know: rules, stores, alerts. It starts
//! no thread and no task: listeners are futures or blocking bodies that the binary runs.

mod accept;
mod config;
mod inbox;
pub mod journal;
mod kernel_drops;
mod kill_point;
mod ledger;
#[doc(hidden)]
pub mod relp;
pub mod senders;
mod stream;
mod tcp;
pub mod tls;
mod udp;
mod wire;

pub use config::{Clock, InputContext, InputError, ListenerConfig, Protocol};
pub use inbox::{Inbox, InboxClosed, InboxConfig, InboxReceiver, MEMORY_PER_BYTE, Parcel, inbox};
pub use journal::{Journal, JournalConfig, JournalError, JournalReader};
pub use kill_point::{arm_kill_points, kill_point};
pub use ledger::{Dropped, Ledger, LedgerSnapshot, ReadCounts, Rejected};
pub use relp::{RelpConnection, RelpInput, Tails};
pub use senders::{Ident, Senders, SendersConfig};
pub use tcp::{Connection, TcpInput};
pub use udp::UdpInput;
pub use wire::{Peer, Wire};
