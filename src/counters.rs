//! What pages and metrics show, gathered from the stages.
//!
//! Refuses to know: how it is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use dashboards::{
    Counters, DecodeCounters, Deps, FormatCounters, IllTypedCounter, InputCounters, OutboxFileCounters,
    ReceiverCounters, RulesBench, SenderCounters, SenderGap,
};
use ingest::senders::{Gap, SenderView};
use record::{DecodeCounts, FormatSet, InstantMs};
use sinks::trace_store::{Found, Search, TraceError, TraceReader};

use crate::judge_thread::Tellers;
use crate::pipeline::{Input, Inputs};
use crate::progress::Progress;
use crate::published::Questions;
use crate::reload::Reload;

/// Where the numbers come from.
#[derive(Clone)]
pub(crate) struct Sources {
    /// The inputs, in the order of the configuration.
    pub(crate) inputs: Vec<Arc<Input>>,
    /// Names of formats and columns.
    pub(crate) formats: Arc<FormatSet>,
    /// Where the judge is asked.
    pub(crate) questions: Questions,
    /// The stages.
    pub(crate) progress: Arc<Progress>,
    /// Alert book, outbox, clock.
    pub(crate) tellers: Tellers,
    /// Reading certificates again.
    pub(crate) reload: Arc<Reload>,
    /// When the node started.
    pub(crate) started_ms: InstantMs,
}

/// The store of a node that keeps no traces.
pub(crate) struct NoTraces;

impl TraceReader for NoTraces {
    fn trail(&self, _id: &str, _limit: usize) -> Result<Found, TraceError> {
        Ok(Found::default())
    }
    fn search(&self, _search: &Search) -> Result<Found, TraceError> {
        Ok(Found::default())
    }
}

impl Sources {
    /// The numbers of a node that starts now.
    pub(crate) fn new(
        inputs: &Inputs,
        formats: &Arc<FormatSet>,
        progress: &Arc<Progress>,
        tellers: &Tellers,
        reload: &Arc<Reload>,
        questions: &Questions,
    ) -> Self {
        Self {
            inputs: inputs.inputs.clone(),
            formats: Arc::clone(formats),
            questions: questions.clone(),
            progress: Arc::clone(progress),
            tellers: tellers.clone(),
            reload: Arc::clone(reload),
            started_ms: (tellers.clock)(),
        }
    }

    /// What the pages need.
    pub(crate) fn deps(
        self,
        reader: Arc<dyn TraceReader>,
        bench: Arc<dyn RulesBench>,
        external_url: String,
        zone: Tz,
    ) -> Deps {
        let (counters, metrics, ready) = (self.clone(), self.clone(), Arc::clone(&self.progress));
        let reload = Arc::clone(&self.reload);
        let (rules, questions) = (Arc::clone(&self.progress), self.questions.clone());
        Deps {
            reader,
            book: self.tellers.book.clone(),
            outbox: self.tellers.outbox.clone(),
            formats: Arc::clone(&self.formats),
            counters: Arc::new(move || counters.counters()),
            metrics: Arc::new(move || {
                crate::metrics::render(&metrics.counters(), &metrics.tellers.book.live())
            }),
            rules: Arc::new(move || rules.rules()),
            ask_keys: Arc::new(move |alert| questions.keys(alert)),
            bench,
            ready: Arc::new(move || ready.readiness()),
            reload: Arc::new(move || reload.now()),
            clock: Arc::clone(&self.tellers.clock),
            zone,
            external_url,
        }
    }

    fn counters(&self) -> Counters {
        let mut decoded = DecodeCounts::default();
        let mut inputs = Vec::new();
        for input in &self.inputs {
            let ledger = input.ledger.snapshot();
            decoded.merge(&ledger.decoded);
            let kernel = ledger.dropped(ingest::Dropped::Kernel);
            inputs.push(InputCounters {
                name: input.name.clone(),
                protocol: input.protocol.to_owned(),
                address: input.address.to_string(),
                received: ledger.received_frames + kernel,
                stored: ledger.stored,
                joined: ledger.joined,
                rejected: ledger.rejected.iter().map(|(r, n)| (r.name().to_owned(), *n)).collect(),
                duplicate: ledger.duplicate,
                dropped: ledger.dropped.iter().map(|(d, n)| (d.name().to_owned(), *n)).collect(),
                in_flight: ledger.in_flight(),
                last_received_ms: ledger.last_received_ms,
                connections: ledger.connections,
                connections_refused: ledger.connections_refused,
                sessions_ended: sessions_ended(input, &ledger),
                truncated: ledger.truncated,
                handshakes_failed: handshakes_failed(input, &ledger),
                certificate_ends_ms: input
                    .tls
                    .as_ref()
                    .and_then(|tls| tls.not_after_seconds())
                    .map(|seconds| seconds * 1_000),
            });
        }
        let mut senders = self.progress.senders();
        senders.senders.sort_by(|a, b| a.name.cmp(&b.name));
        let (outbox, outbox_file) = self.outbox();
        Counters {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            inputs,
            decode: self.decode(&decoded),
            journal: self.progress.journal(),
            engine: self.progress.engine(),
            snapshots: self.progress.snapshots(),
            store: self.progress.store(),
            reload: self.reload.counters(),
            senders_forgotten: senders.forgotten,
            senders: senders.senders.iter().map(sender).collect(),
            outbox,
            outbox_file,
        }
    }

    fn decode(&self, counts: &DecodeCounts) -> DecodeCounters {
        let of = |map: &BTreeMap<record::FormatId, u64>, id| map.get(&id).copied().unwrap_or(0);
        let formats = self.formats.iter().map(|(id, format)| FormatCounters {
            format: format.name().to_owned(),
            records: of(&counts.records, id),
            short: of(&counts.short, id),
            long: of(&counts.long, id),
        });
        let ill_typed = counts.ill_typed.iter().map(|((id, column, reason), count)| {
            let format = self.formats.get(*id);
            let column = format.columns().get(usize::from(*column)).map_or("", |c| &c.name);
            IllTypedCounter {
                format: format.name().to_owned(),
                column: column.to_owned(),
                reason: format!("{reason:?}").to_lowercase(),
                count: *count,
            }
        });
        let plain = [
            (record::PlainReason::NoDelimiter, "no_delimiter"),
            (record::PlainReason::NoTime, "no_time"),
            (record::PlainReason::TooManyColumns, "too_many_columns"),
        ];
        DecodeCounters {
            formats: formats.collect(),
            ill_typed: ill_typed.collect(),
            plain: plain
                .iter()
                .map(|(r, name)| ((*name).to_owned(), counts.plain.get(r).copied().unwrap_or(0)))
                .collect(),
            transcoded: counts.transcoded,
            cards_masked: counts.cards_masked,
            continued: counts.continued,
        }
    }

    fn outbox(&self) -> (Vec<ReceiverCounters>, OutboxFileCounters) {
        let counts = self.tellers.outbox.counts();
        let receivers = counts.targets.iter().map(|target| ReceiverCounters {
            receiver: target.target.to_string(),
            pending: target.queue_length,
            sent: target.sent_total,
            failed: target.failed_total.iter().sum(),
            uncertain: target.uncertain_total,
            dead: target.dead_length,
            breaker: target.breaker,
            breaker_until_ms: target.breaker_until_ms,
            breaker_opened: target.breaker_opened_total,
        });
        let file = OutboxFileCounters {
            unwritten: counts.unwritten_length as u64,
            dropped: counts.unwritten_dropped_total,
            refusals: counts.storage_errors_total,
            trouble: counts.storage_error,
        };
        (receivers.collect(), file)
    }
}

/// By reason; nothing for an input whose protocol has no sessions.
fn sessions_ended(input: &Input, ledger: &ingest::LedgerSnapshot) -> BTreeMap<String, u64> {
    let ended = [
        ("protocol", ledger.session_faults),
        ("no_room", ledger.session_stalls),
        ("superseded", ledger.session_superseded),
    ];
    let ended = ended.into_iter().filter(|_| input.protocol.starts_with("relp"));
    ended.map(|(reason, count)| (reason.to_owned(), count)).collect()
}

/// By reason; nothing for an input without TLS.
fn handshakes_failed(input: &Input, ledger: &ingest::LedgerSnapshot) -> BTreeMap<String, u64> {
    let failed = ledger.handshakes_failed.iter().filter(|_| input.tls.is_some());
    failed.map(|(fault, count)| (fault.name().to_owned(), *count)).collect()
}

fn sender(view: &SenderView) -> SenderCounters {
    let gap =
        |gap: &Gap| SenderGap { from: gap.from, to: gap.to, since_ms: gap.since_ms, missing: gap.missing };
    SenderCounters {
        name: view.name.to_string(),
        inputs: view.inputs.iter().map(ToString::to_string).collect(),
        last_heard_ms: view.last_heard_ms,
        lines: view.lines,
        duplicates: view.duplicates,
        eids: view.eids as u64,
        missing: view.missing,
        missing_total: view.missing_total,
        restarts: view.restarts,
        gaps: view.gaps.iter().map(gap).collect(),
        gaps_total: view.gaps_total,
        mixed: view.mixed,
        silent: view.silent,
    }
}
