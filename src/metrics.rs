//! `/metrics`: the counters in Prometheus' text format 0.0.4, base units, every known label set from the start.
//!
//! Refuses to know: who counted.

use std::fmt::{Display, Write};

use dashboards::Counters;
use rules::{Alert, AlertState};
use sinks::outbox::BreakerState;
use std::sync::Arc;

/// Writes one exposition: families in order, each with HELP and TYPE once.
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.push(format_args!("{label}=\"{escaped}\""));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to a string cannot fail");
    }
}

/// The whole exposition.
pub(crate) fn render(counters: &Counters, live: &[Arc<Alert>]) -> String {
    let mut out = Exposition(String::with_capacity(16 * 1024));
    out.family("watchroom_build_info", "gauge", "Version of the program.");
    out.sample("watchroom_build_info", &[("version", &counters.version)], 1);
    out.single(
        "watchroom_start_time_seconds",
        "gauge",
        "When the node started.",
        seconds(counters.started_ms),
    );
    inputs(&mut out, counters);
    sessions(&mut out, counters);
    tls(&mut out, counters);
    decoding(&mut out, counters);
    journal_and_store(&mut out, counters);
    engine(&mut out, counters);
    snapshots(&mut out, counters);
    outbox(&mut out, counters);
    senders(&mut out, counters);
    alerts(&mut out, live);
    out.0
}

fn seconds(instant_ms: i64) -> String {
    format!("{}.{:03}", instant_ms.div_euclid(1000), instant_ms.rem_euclid(1000))
}

fn inputs(out: &mut Exposition, counters: &Counters) {
    type Read = fn(&dashboards::InputCounters) -> u64;
    let plain: [(&str, &str, &str, Read); 7] = [
        (
            "watchroom_input_frames_received_total",
            "counter",
            "Frames received, kernel drops included.",
            |i| i.received,
        ),
        ("watchroom_input_frames_stored_total", "counter", "Frames that the journal holds.", |i| i.stored),
        (
            "watchroom_input_joined_total",
            "counter",
            "Frames that became part of the one before them (continuation).",
            |i| i.joined,
        ),
        (
            "watchroom_input_duplicate_total",
            "counter",
            "Frames recognised as sent again, not counted twice.",
            |i| i.duplicate,
        ),
        ("watchroom_input_truncated_total", "counter", "Frames cut at the length bound.", |i| i.truncated),
        ("watchroom_input_in_flight_frames", "gauge", "Frames received and not yet committed.", |i| {
            i.in_flight
        }),
        ("watchroom_input_connections", "gauge", "Connections open now.", |i| i.connections),
    ];
    for (name, kind, help, read) in plain {
        out.family(name, kind, help);
        for input in &counters.inputs {
            out.sample(name, &[("input", &input.name), ("protocol", &input.protocol)], read(input));
        }
    }
    out.family(
        "watchroom_input_unaccounted",
        "gauge",
        "Frames received less those stored, joined, rejected, duplicate, dropped and in flight: 0 or a fault.",
    );
    for input in &counters.inputs {
        out.sample("watchroom_input_unaccounted", &[("input", &input.name)], input.imbalance());
    }
    out.family("watchroom_input_rejected_total", "counter", "Frames refused, by reason.");
    for input in &counters.inputs {
        for (reason, count) in &input.rejected {
            out.sample(
                "watchroom_input_rejected_total",
                &[("input", &input.name), ("reason", reason)],
                count,
            );
        }
    }
    out.family("watchroom_input_dropped_total", "counter", "Frames lost, by reason.");
    for input in &counters.inputs {
        for (reason, count) in &input.dropped {
            out.sample("watchroom_input_dropped_total", &[("input", &input.name), ("reason", reason)], count);
        }
    }
}

fn sessions(out: &mut Exposition, counters: &Counters) {
    let refused = "watchroom_input_connections_refused_total";
    out.family(refused, "counter", "Connections closed at once: too many, or nothing could be made durable.");
    for input in &counters.inputs {
        out.sample(refused, &[("input", &input.name)], input.connections_refused);
    }
    let ended = "watchroom_input_sessions_ended_total";
    out.family(
        ended,
        "counter",
        "RELP sessions that were ended; their senders send again what was not answered.",
    );
    for input in &counters.inputs {
        for (reason, count) in &input.sessions_ended {
            out.sample(ended, &[("input", &input.name), ("reason", reason)], count);
        }
    }
}

fn tls(out: &mut Exposition, counters: &Counters) {
    let failed = "watchroom_input_tls_handshakes_failed_total";
    out.family(failed, "counter", "TLS handshakes that failed, by reason.");
    for input in &counters.inputs {
        for (reason, count) in &input.handshakes_failed {
            out.sample(failed, &[("input", &input.name), ("reason", reason)], count);
        }
    }
    let ends = "watchroom_input_tls_certificate_not_after_timestamp_seconds";
    out.family(ends, "gauge", "When the certificate of a listener ends.");
    for input in &counters.inputs {
        if let Some(ends_ms) = input.certificate_ends_ms {
            out.sample(ends, &[("input", &input.name)], seconds(ends_ms));
        }
    }
    out.single(
        "watchroom_config_last_reload_successful",
        "gauge",
        "Whether the last reload (or the start) went well.",
        u8::from(counters.reload.problem.is_none()),
    );
    out.single(
        "watchroom_config_last_reload_success_timestamp_seconds",
        "gauge",
        "When a reload (or the start) last went well.",
        seconds(counters.reload.success_ms),
    );
    out.single(
        "watchroom_rules_last_reload_successful",
        "gauge",
        "Whether rules were right when they were last read (at the start, or again).",
        u8::from(counters.reload.rules_ok),
    );
    out.single(
        "watchroom_rules_last_reload_success_timestamp_seconds",
        "gauge",
        "When rules were last read and right; 0: not since the start.",
        seconds(counters.reload.rules_success_ms),
    );
    out.single(
        "watchroom_rules_reload_failures_total",
        "counter",
        "How often rules that were read again were refused, and the last good set stayed.",
        counters.reload.rules_failed,
    );
}

fn decoding(out: &mut Exposition, counters: &Counters) {
    let decode = &counters.decode;
    out.family("watchroom_records_total", "counter", "Records read, by format.");
    for format in &decode.formats {
        out.sample("watchroom_records_total", &[("format", &format.format)], format.records);
    }
    out.family("watchroom_short_records_total", "counter", "Records with fewer columns than their format.");
    for format in &decode.formats {
        out.sample("watchroom_short_records_total", &[("format", &format.format)], format.short);
    }
    out.family("watchroom_long_records_total", "counter", "Records with more columns than their format.");
    for format in &decode.formats {
        out.sample("watchroom_long_records_total", &[("format", &format.format)], format.long);
    }
    out.family("watchroom_ill_typed_total", "counter", "Values that do not fit their column's type.");
    for value in &decode.ill_typed {
        let labels = [("format", &*value.format), ("column", &*value.column), ("reason", &*value.reason)];
        out.sample("watchroom_ill_typed_total", &labels, value.count);
    }
    out.family("watchroom_unparsable_total", "counter", "Lines kept as plain, by reason.");
    for (reason, count) in &decode.plain {
        out.sample("watchroom_unparsable_total", &[("reason", reason)], count);
    }
    out.single("watchroom_transcoded_total", "counter", "Frames transcoded from GB18030.", decode.transcoded);
    out.single("watchroom_cards_masked_total", "counter", "Card numbers masked.", decode.cards_masked);
    out.single("watchroom_continued_total", "counter", "Frames joined to the one before.", decode.continued);
}

fn journal_and_store(out: &mut Exposition, counters: &Counters) {
    let journal = &counters.journal;
    out.single("watchroom_journal_next_lsn", "gauge", "Position that the next entry gets.", journal.next_lsn);
    out.single(
        "watchroom_journal_durable_lsn",
        "gauge",
        "Last position known to be on disk.",
        journal.durable_lsn,
    );
    out.single("watchroom_journal_bytes", "gauge", "Bytes of all journal segments.", journal.bytes);
    let store = &counters.store;
    out.single(
        "watchroom_trace_store_stored_lsn",
        "gauge",
        "Last position held in trace files.",
        store.stored_lsn,
    );
    out.single("watchroom_trace_store_fresh_rows", "gauge", "Rows answered from memory.", store.fresh_rows);
    out.single("watchroom_trace_store_files", "gauge", "Trace files.", store.files);
}

fn engine(out: &mut Exposition, counters: &Counters) {
    let engine = &counters.engine;
    out.single("watchroom_engine_records_total", "counter", "Records judged.", engine.records);
    out.single(
        "watchroom_engine_late_total",
        "counter",
        "Records that came before the watermark.",
        engine.late,
    );
    out.single(
        "watchroom_engine_skewed_total",
        "counter",
        "Records too far ahead of their receive time, not judged.",
        engine.skewed,
    );
    out.single(
        "watchroom_engine_no_time_total",
        "counter",
        "Records without event time, not judged.",
        engine.no_time,
    );
    if let Some(watermark_ms) = engine.watermark_ms {
        out.single(
            "watchroom_engine_watermark_seconds",
            "gauge",
            "Event time up to which all is settled.",
            seconds(watermark_ms),
        );
    }
    type Read = fn(&dashboards::RuleCounters) -> u64;
    let families: [(&str, &str, &str, Read); 9] = [
        ("watchroom_rule_matched_total", "counter", "Records that concerned the rule.", |r| r.matched),
        ("watchroom_rule_late_total", "counter", "Of these, late.", |r| r.late),
        ("watchroom_rule_keys", "gauge", "Keys with state.", |r| r.keys),
        ("watchroom_rule_keys_dropped_total", "counter", "Keys dropped at the bound.", |r| r.keys_dropped),
        ("watchroom_rule_things", "gauge", "Single things (orders, values) remembered.", |r| r.things),
        ("watchroom_rule_things_dropped_total", "counter", "Things dropped at the bound on things.", |r| {
            r.things_dropped
        }),
        (
            "watchroom_rule_thing_records_dropped_total",
            "counter",
            "Records of things dropped at the bound on records of a thing.",
            |r| r.thing_records_dropped,
        ),
        ("watchroom_rule_fired_total", "counter", "Alerts that began to fire.", |r| r.fired),
        (
            "watchroom_alerts_withdrawn_total",
            "counter",
            "Early alerts that the settled verdict did not confirm.",
            |r| r.withdrawn,
        ),
    ];
    for (name, kind, help, read) in families {
        out.family(name, kind, help);
        for rule in &engine.rules {
            out.sample(name, &[("alertname", &rule.alert)], read(rule));
        }
    }
}

fn snapshots(out: &mut Exposition, counters: &Counters) {
    let known = &counters.snapshots;
    let ratio = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    out.single("watchroom_snapshot_lsn", "gauge", "Position that the last snapshot stands for.", known.lsn);
    out.single(
        "watchroom_snapshot_timestamp_seconds",
        "gauge",
        "When the last snapshot was taken; 0: none.",
        seconds(known.taken_ms.unwrap_or(0)),
    );
    out.single("watchroom_snapshot_bytes", "gauge", "Size of the last snapshot.", known.bytes);
    out.single(
        "watchroom_snapshot_take_seconds",
        "gauge",
        "How long the judge was held up by the last snapshot.",
        ratio(known.took_ms),
    );
    out.single(
        "watchroom_snapshot_write_seconds",
        "gauge",
        "How long writing the last snapshot took.",
        ratio(known.wrote_ms),
    );
    out.single("watchroom_snapshots_written_total", "counter", "Snapshots written.", known.written);
    out.family(
        "watchroom_snapshots_missed_total",
        "counter",
        "Snapshots that did not come about, by reason.",
    );
    let missed = [
        ("writer_busy", known.skipped),
        ("write_failed", known.failed),
        ("unusable_at_start", known.unusable),
    ];
    for (reason, count) in missed {
        out.sample("watchroom_snapshots_missed_total", &[("reason", reason)], count);
    }
}

fn outbox(out: &mut Exposition, counters: &Counters) {
    out.family("watchroom_outbox_deliveries", "gauge", "Deliveries by receiver and state.");
    for receiver in &counters.outbox {
        let states = [("pending", receiver.pending), ("sent", receiver.sent), ("dead", receiver.dead)];
        for (state, count) in states {
            out.sample(
                "watchroom_outbox_deliveries",
                &[("receiver", &receiver.receiver), ("state", state)],
                count,
            );
        }
    }
    type Read = fn(&dashboards::ReceiverCounters) -> u64;
    let families: [(&str, &str, Read); 3] = [
        ("watchroom_notifications_failed_total", "Attempts that failed.", |r| r.failed),
        ("watchroom_notifications_uncertain_total", "Of these, attempts that may have arrived.", |r| {
            r.uncertain
        }),
        ("watchroom_outbox_breaker_opened_total", "Times that a receiver was left alone.", |r| {
            r.breaker_opened
        }),
    ];
    for (name, help, read) in families {
        out.family(name, "counter", help);
        for receiver in &counters.outbox {
            out.sample(name, &[("receiver", &receiver.receiver)], read(receiver));
        }
    }
    out.family(
        "watchroom_outbox_breaker_state",
        "gauge",
        "1 for the state of each receiver's circuit breaker.",
    );
    for receiver in &counters.outbox {
        for state in BreakerState::ALL {
            let labels = [("receiver", receiver.receiver.as_str()), ("state", state.as_str())];
            out.sample("watchroom_outbox_breaker_state", &labels, u8::from(receiver.breaker == state));
        }
    }
    let file = &counters.outbox_file;
    out.single(
        "watchroom_outbox_unwritten",
        "gauge",
        "News that the outbox refuses, in memory.",
        file.unwritten,
    );
    out.single(
        "watchroom_outbox_unwritten_dropped_total",
        "counter",
        "News that memory had no room for.",
        file.dropped,
    );
    out.single(
        "watchroom_outbox_storage_errors_total",
        "counter",
        "Calls that the outbox' database refused.",
        file.refusals,
    );
}

/// One label set per sender that is remembered: `senders.max_senders` bounds them.
fn senders(out: &mut Exposition, counters: &Counters) {
    type Read = fn(&dashboards::SenderCounters) -> u64;
    let families: [(&str, &str, &str, Read); 6] = [
        ("watchroom_sender_lines_total", "counter", "Lines kept, by sender.", |s| s.lines),
        ("watchroom_sender_duplicate_total", "counter", "Lines recognised by their id as sent again.", |s| {
            s.duplicates
        }),
        (
            "watchroom_sender_missing_total",
            "counter",
            "Lines that the sender numbered and that did not come within a minute.",
            |s| s.missing_total,
        ),
        ("watchroom_sender_missing_lines", "gauge", "Of these, those that have not come since.", |s| {
            s.missing
        }),
        ("watchroom_sender_restarts_total", "counter", "Times the sender began to count anew.", |s| {
            s.restarts
        }),
        ("watchroom_sender_silent", "gauge", "1: it was heard regularly and is not any more.", |s| {
            u64::from(s.silent)
        }),
    ];
    for (name, kind, help, read) in families {
        out.family(name, kind, help);
        for sender in &counters.senders {
            out.sample(name, &[("sender", &sender.name)], read(sender));
        }
    }
    out.family("watchroom_sender_last_heard_seconds", "gauge", "When the sender's last line came.");
    for sender in &counters.senders {
        out.sample(
            "watchroom_sender_last_heard_seconds",
            &[("sender", &sender.name)],
            seconds(sender.last_heard_ms),
        );
    }
    out.single("watchroom_senders", "gauge", "Senders remembered.", counters.senders.len());
    out.single(
        "watchroom_senders_forgotten_total",
        "counter",
        "Senders forgotten because there were too many.",
        counters.senders_forgotten,
    );
}

fn alerts(out: &mut Exposition, live: &[Arc<Alert>]) {
    out.family("watchroom_alerts", "gauge", "Alerts by state.");
    for (state, name) in [(AlertState::Pending, "pending"), (AlertState::Firing, "firing")] {
        let count = live.iter().filter(|a| a.state == state).count();
        out.sample("watchroom_alerts", &[("state", name)], count);
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use dashboards::{Counters, InputCounters};

    #[test]
    fn label_values_are_escaped_and_families_stand_once() {
        let mut counters = Counters { version: "0.1".into(), ..Counters::default() };
        counters.inputs.push(InputCounters {
            name: "a\"b\\c\nd".into(),
            received: 7,
            ..InputCounters::default()
        });
        let text = render(&counters, &[]);
        assert!(
            text.contains(r#"watchroom_input_frames_received_total{input="a\"b\\c\nd",protocol=""} 7"#),
            "{text}"
        );
        for family in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")) {
            let name = family.split(' ').next().unwrap_or_default();
            assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
        }
        assert!(text.contains("watchroom_alerts{state=\"firing\"} 0"));
    }
}
