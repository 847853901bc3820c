//! What the node counts, in the form the pages show it; whoever runs the stages fills it.
//!
//! Refuses to know: where the numbers come from and how they are exported (`/metrics`).

use std::collections::BTreeMap;

use record::{InstantMs, Lsn};
use serde::Serialize;
use sinks::outbox::BreakerState;

/// Everything counted since the node started, read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Version of the program.
    pub version: String,
    /// When it started.
    pub started_ms: InstantMs,
    /// One entry per input, in the order of the configuration.
    pub inputs: Vec<InputCounters>,
    /// What decoding found.
    pub decode: DecodeCounters,
    /// The journal.
    pub journal: JournalCounters,
    /// The judge.
    pub engine: EngineCounters,
    /// What the judge keeps on disk for a restart.
    pub snapshots: SnapshotCounters,
    /// The trace store.
    pub store: StoreCounters,
    /// One entry per receiver, in the order of the routing file.
    pub outbox: Vec<ReceiverCounters>,
    /// Reading rules and certificates again.
    pub reload: ReloadCounters,
    /// One entry per sender that is remembered, by name.
    pub senders: Vec<SenderCounters>,
    /// Senders forgotten because there are too many.
    pub senders_forgotten: u64,
    /// The outbox's file.
    pub outbox_file: OutboxFileCounters,
}

/// How the last reload went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReloadCounters {
    /// When one last went well; the start counts.
    pub success_ms: InstantMs,
    /// Why the last one did not, or with which fault of the rule files the node started.
    pub problem: Option<String>,
    /// When rules were last read and found right; the start counts. 0: not since the start.
    pub rules_success_ms: InstantMs,
    /// Whether the last time that rules were to be read again went well.
    pub rules_ok: bool,
    /// How often it did not.
    pub rules_failed: u64,
}

/// The loss ledger of one input: every frame received is accounted for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InputCounters {
    /// Its name in the configuration.
    pub name: String,
    /// `udp`, `tcp`, `tls`, `relp`, `relp-tls`, `kafka`, `file`.
    pub protocol: String,
    /// Where it listens or reads.
    pub address: String,
    /// Frames received (for UDP those that the kernel dropped included).
    pub received: u64,
    /// Frames that the journal holds.
    pub stored: u64,
    /// Frames that became part of the one before them (continuation).
    pub joined: u64,
    /// Frames refused, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Frames recognised as sent again and not counted twice.
    pub duplicate: u64,
    /// Frames lost, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Frames received and not yet committed, or waiting for their continuation.
    pub in_flight: u64,
    /// When the last frame came; `None` before the first.
    pub last_received_ms: Option<InstantMs>,
    /// Connections open now.
    pub connections: u64,
    /// Connections closed at once: too many, or nothing could be made durable.
    pub connections_refused: u64,
    /// Sessions of an acknowledging protocol that were ended, by reason; empty for the others.
    pub sessions_ended: BTreeMap<String, u64>,
    /// Frames stored cut at the length bound.
    pub truncated: u64,
    /// TLS handshakes that failed, by reason; empty without TLS.
    pub handshakes_failed: BTreeMap<String, u64>,
    /// When its own certificate ends; `None` without TLS.
    pub certificate_ends_ms: Option<InstantMs>,
}

impl InputCounters {
    /// Frames refused for whatever reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Frames lost for whatever reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// `received - (stored + joined + rejected + duplicate + dropped + in flight)`: 0 when the ledger adds up,
    /// positive when frames are unaccounted for, negative when more is accounted for than came.
    pub fn imbalance(&self) -> i128 {
        let (rejected, dropped) = (self.rejected_total(), self.dropped_total());
        let accounted = [self.stored, self.joined, rejected, self.duplicate, dropped, self.in_flight];
        i128::from(self.received) - accounted.into_iter().map(i128::from).sum::<i128>()
    }
}

/// Who sends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SenderCounters {
    /// The name in its certificate, or its address.
    pub name: String,
    /// The inputs it came by.
    pub inputs: Vec<String>,
    /// When its last line came.
    pub last_heard_ms: InstantMs,
    /// Lines kept.
    pub lines: u64,
    /// Lines recognised as sent again.
    pub duplicates: u64,
    /// Ids of lines remembered.
    pub eids: u64,
    /// Numbered lines that did not come in time and have not come since.
    pub missing: u64,
    /// All that ever did not come in time.
    pub missing_total: u64,
    /// Times it began to count anew: it was started again.
    pub restarts: u64,
    /// Numbers skipped, the latest first; not all if there are many.
    pub gaps: Vec<SenderGap>,
    /// How many gaps there are.
    pub gaps_total: usize,
    /// Its numbers are those of several senders: gaps cannot be told.
    pub mixed: bool,
    /// It was heard regularly and then no more.
    pub silent: bool,
}

/// Numbers that a sender skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SenderGap {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// When the line behind them came.
    pub since_ms: InstantMs,
    /// They did not come in time; else they may be on their way by another connection.
    pub missing: bool,
}

/// What decoding found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DecodeCounters {
    /// By format.
    pub formats: Vec<FormatCounters>,
    /// Values that do not fit the type of their column.
    pub ill_typed: Vec<IllTypedCounter>,
    /// Lines kept as `plain`, by reason.
    pub plain: BTreeMap<String, u64>,
    /// Frames transcoded from GB18030.
    pub transcoded: u64,
    /// Card numbers masked.
    pub cards_masked: u64,
    /// Frames joined to the one before.
    pub continued: u64,
}

/// Records of one format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FormatCounters {
    /// Its name.
    pub format: String,
    /// Records read.
    pub records: u64,
    /// Records with fewer columns than the format.
    pub short: u64,
    /// Records with more columns than the format.
    pub long: u64,
}

/// Ill-typed values of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IllTypedCounter {
    /// Name of the format.
    pub format: String,
    /// Name of the column.
    pub column: String,
    /// What the text is not: `timestamp`, `decimal`, `integer`, `bool`, `ip`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// The journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JournalCounters {
    /// Position the next entry gets.
    pub next_lsn: Lsn,
    /// Last position known to be on disk.
    pub durable_lsn: Lsn,
    /// Bytes of all segments.
    pub bytes: u64,
    /// When the last commit ended.
    pub last_commit_ms: Option<InstantMs>,
}

impl JournalCounters {
    /// Entries not yet known to be on disk.
    pub fn undurable(&self) -> u64 {
        self.next_lsn.saturating_sub(1).saturating_sub(self.durable_lsn)
    }
}

/// The judge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EngineCounters {
    /// Records judged.
    pub records: u64,
    /// Records before the watermark.
    pub late: u64,
    /// Records too far ahead of their receive time.
    pub skewed: u64,
    /// Records without event time.
    pub no_time: u64,
    /// The watermark; `None` before the first record.
    pub watermark_ms: Option<InstantMs>,
    /// By rule, in file order.
    pub rules: Vec<RuleCounters>,
}

/// Snapshots of the engine's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SnapshotCounters {
    /// Journal position of the last one on disk; 0: none.
    pub lsn: Lsn,
    /// Hash over the state that it holds.
    pub state_hash: u64,
    /// When it was taken; `None`: none.
    pub taken_ms: Option<InstantMs>,
    /// Its size.
    pub bytes: u64,
    /// How long the judge was held up by taking it.
    pub took_ms: u64,
    /// How long it took to write it and make it durable.
    pub wrote_ms: u64,
    /// Written since the start.
    pub written: u64,
    /// Not taken because the one before was still being written.
    pub skipped: u64,
    /// That could not be written.
    pub failed: u64,
    /// Found damaged or of no use at the start.
    pub unusable: u64,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RuleCounters {
    /// Its name.
    pub alert: String,
    /// Its shape in words; may be empty.
    pub summary: String,
    /// Judged and recorded, never sent.
    pub shadow: bool,
    /// Records that concerned it.
    pub matched: u64,
    /// Of these, late.
    pub late: u64,
    /// Keys with state.
    pub keys: u64,
    /// Keys dropped at the bound.
    pub keys_dropped: u64,
    /// Single things (orders, values) remembered.
    pub things: u64,
    /// Things dropped at the bound on things.
    pub things_dropped: u64,
    /// Records of things dropped at the bound on records of a thing.
    pub thing_records_dropped: u64,
    /// Alerts that began to fire.
    pub fired: u64,
    /// Early alerts withdrawn.
    pub withdrawn: u64,
}

/// The trace store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoreCounters {
    /// Last journal position that the store holds.
    pub stored_lsn: Lsn,
    /// Rows answered from memory.
    pub fresh_rows: u64,
    /// Files.
    pub files: u64,
}

/// Deliveries to one receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReceiverCounters {
    /// Its name in the routing file.
    pub receiver: String,
    /// Waiting to be sent, or to be sent again.
    pub pending: u64,
    /// Sent.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Of these, attempts that may have arrived.
    pub uncertain: u64,
    /// Given up and kept, now; can be sent again by hand.
    pub dead: u64,
    /// Whether it is tried.
    pub breaker: BreakerState,
    /// When it is tried again; `None` unless the breaker is open.
    pub breaker_until_ms: Option<InstantMs>,
    /// How often the breaker has opened since the start.
    pub breaker_opened: u64,
}

/// Whether deliveries can be written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OutboxFileCounters {
    /// News kept in memory because the file refuses them.
    pub unwritten: u64,
    /// News that memory had no room for; a restart finds them in the journal.
    pub dropped: u64,
    /// Refusals since the start.
    pub refusals: u64,
    /// What the database said; `None` while it works.
    pub trouble: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_names_what_is_missing() {
        let mut input =
            InputCounters { received: 100, stored: 90, duplicate: 3, in_flight: 2, ..Default::default() };
        input.rejected.insert("oversize count".into(), 1);
        input.dropped.insert("kernel".into(), 4);
        assert_eq!(input.imbalance(), 0);
        input.received += 5;
        assert_eq!(input.imbalance(), 5);
        input.stored += 7;
        assert_eq!(input.imbalance(), -2);
    }
}
