//! Drills: a node at work under injected faults, and a checker of what it promises.
//!
//! ```text
//! driver --> proxy --> node (kill points, SIGKILL, SIGTERM) --> receivers
//!    \________________________ checker _________________________/
//! ```
//! The driver numbers its messages and remembers what was acknowledged; the receivers journal what they were asked;
//! the checker reads both, the node's journal, trace store and outbox, and answers violations. The invariants:
//!
//! - I1 what was acknowledged is stored, each message once, and nothing else is; the store holds exactly the journal's
//!   records.
//! - I2, I3 the alerts are those that `watchroom backtest` finds in the distinct messages; ids are stable.
//! - I4 every delivery ends sent or dead. I5 sends of a delivery are at most one and its uncertain outcomes.
//!   I6 no send without an earlier attempt on record; firing before resolved.
//! - I7 received = stored + joined + rejected + duplicate + dropped, per input, at rest.
//! - I8 once the faults are over, everything is acknowledged and delivered within the stated time.
//! - I12 the state that the journal gives is the state that was running.
//! - I11 no card number stands in any byte that the node wrote.
//!
//! Refuses to know: how the node does it. For development only; no shipped binary contains any of this.

pub mod checker;
pub mod clock;
pub mod deliveries;
pub mod drill;
pub mod driver;
pub mod lines;
pub mod load;
pub mod model;
pub mod node;
pub mod proxy;
pub mod receiver;
pub mod rng;
pub mod scratch;
pub mod soak;
pub mod stored;
