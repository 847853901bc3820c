//! The load of a drill: numbered lines over several carriers at once, through proxies.
//!
//! Refuses to know: when it is over for the node.

use std::time::Duration;

use crate::checker::{Sent, Violations};
use crate::clock::wall_ms;
use crate::drill::{Drill, Passed};
use crate::driver::relp::{Client, Done, Open, WINDOW};
use crate::driver::tcp::{Framing, Sender};
use crate::lines::Lines;
use crate::proxy::{Link, Plan as LinkPlan, Proxy};
use crate::receiver::{Plan, Reply};
use crate::rng::Rng;
use anyhow::Result;

/// Event times are this far ahead: longer than any drill's patience, so no line is late; and with a millisecond a line less
/// than the ten minutes that make a line skewed.
const AHEAD_MS: i64 = 500_000;

/// A listener for each carrier.
pub const LISTENERS: &str = "listeners:\n  - {name: tcp, protocol: tcp, address: \"127.0.0.1:0\"}\n  \
     - {name: udp, protocol: udp, address: \"127.0.0.1:0\"}\n  - {name: relp, protocol: relp, address: \"127.0.0.1:0\"}\n";

/// A receiver without faults.
pub fn takes_all() -> Plan {
    Box::new(|| Reply::Take)
}

/// A link without faults.
pub fn sound() -> LinkPlan {
    Box::new(Link::default)
}

/// Lines that are never late.
pub fn lines(tag: &str) -> Lines {
    Lines::new(tag, wall_ms(), AHEAD_MS)
}

/// Says what a drill has shown (`cargo test -- --nocapture`).
#[expect(clippy::print_stderr, reason = "figures of a drill")]
pub fn report(name: &str, more: &str, passed: &Passed) {
    eprintln!(
        "{name}: {} records, {} alerts, {} deliveries, ends {:?} {more}",
        passed.records, passed.alerts, passed.deliveries, passed.ends
    );
}

/// Senders at work.
#[derive(Debug, Default)]
pub struct Load {
    open: Open,
    relp: Vec<(Client, Lines, u64)>,
    tcp: Vec<(Sender, Lines)>,
    proxies: Vec<Proxy>,
}

impl Load {
    /// RELP senders go on until [`Load::close`], however long that is: what a drill is for does not depend on how fast the
    /// machine is.
    pub fn open() -> Self {
        let load = Self::default();
        load.open.set(true);
        load
    }

    /// What the drill is for was brought about: the load ends when each sender has sent its lines.
    pub fn close(&self) {
        self.open.set(false);
    }

    /// A RELP sender of at least `count` lines over links of a plan.
    ///
    /// # Errors
    /// No port, no thread.
    pub fn relp(&mut self, drill: &Drill, lines: Lines, count: u64, plan: LinkPlan) -> Result<()> {
        let proxy = Proxy::start(drill.node.front(), "relp", plan)?;
        let client =
            Client::start(Box::new(proxy.door()), lines.clone(), 0..count, self.open.clone(), WINDOW)?;
        self.relp.push((client, lines, count));
        self.proxies.push(proxy);
        Ok(())
    }

    /// A TCP sender of `count` lines over sound links.
    ///
    /// # Errors
    /// No port, no thread.
    pub fn tcp(&mut self, drill: &Drill, lines: Lines, count: u64, rng: &mut Rng) -> Result<()> {
        let proxy = Proxy::start(drill.node.front(), "tcp", sound())?;
        let framing = if rng.percent(50) { Framing::Lf } else { Framing::OctetCounted };
        let pace = Duration::from_millis(2);
        let sender = Sender::start(proxy.door(), lines.clone(), 0..count, framing, pace, rng.fork())?;
        self.tcp.push((sender, lines));
        self.proxies.push(proxy);
        Ok(())
    }

    /// How far it has gone; `None`: it is over.
    pub fn progress(&self) -> Option<u64> {
        let over = self.relp.iter().all(|(client, ..)| client.done())
            && self.tcp.iter().all(|(sender, _)| sender.done());
        let acked: u64 = self.relp.iter().map(|(client, ..)| client.acked_count()).sum();
        let written: u64 = self.tcp.iter().map(|(sender, _)| sender.written()).sum();
        (!over).then_some(acked + written)
    }

    /// Links cut, and links on which answers were lost.
    pub fn borne(&self) -> (u64, u64) {
        use std::sync::atomic::Ordering::Relaxed;
        let borne = self.proxies.iter().map(Proxy::borne);
        borne.fold((0, 0), |(cuts, lost), b| (cuts + b.cuts.load(Relaxed), lost + b.lost.load(Relaxed)))
    }

    /// Sessions of the RELP senders and messages that they sent again.
    pub fn sessions(&self) -> (u64, u64) {
        let all = self.relp.iter().map(|(client, ..)| client.sessions());
        all.fold((0, 0), |(sessions, repeated), (s, r)| (sessions + s, repeated + r))
    }

    /// What was sent, and what the servers did that no server may do.
    ///
    /// # Errors
    /// A sender panicked.
    pub fn finish(self) -> Result<(Vec<Sent>, Violations)> {
        let mut sent = Vec::new();
        let mut violations = Violations::default();
        for (client, lines, count) in self.relp {
            let Done { acked, sent: end, wrongs } = client.finish()?;
            if acked.len() as u64 != end || end < count {
                violations.add("I8", format!("{} of {end} messages were acknowledged", acked.len()));
            }
            for wrong in wrongs {
                violations.add("RELP", wrong);
            }
            sent.push(Sent::Acknowledged { lines, numbers: 0..end, acked, copies: 1 });
        }
        for (sender, lines) in self.tcp {
            sent.push(Sent::Sessions { lines, sessions: sender.finish()?, durable: Vec::new() });
        }
        Ok((sent, violations))
    }
}

/// Brings drill and load to their end and checks everything.
///
/// # Errors
/// Every violation found.
pub fn conclude(name: &str, drill: Drill, load: Load, strangers: bool) -> Result<Passed> {
    let (cuts, lost) = load.borne();
    let (sessions, repeated) = load.sessions();
    let (sent, violations) = load.finish()?;
    let passed = drill.finish_with(&sent, strangers, violations)?;
    let more = format!("{sessions} sessions, {repeated} sent again, {cuts} cuts, {lost} with lost answers");
    report(name, &more, &passed);
    Ok(passed)
}
