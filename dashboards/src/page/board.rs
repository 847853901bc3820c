//! The board: what is wrong now, readable from four metres, and a banner when the board itself is blind.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono_tz::Tz;
use record::InstantMs;
use rules::AlertState;
use sinks::outbox::BreakerState;

use super::alert_view::AlertView;
use super::{Chrome, render};
use crate::{App, Counters, SenderCounters, text, times};

/// Judged time this far behind the clock: the board says that it may be out of date.
const STALE_MS: i64 = 60_000;
/// No line from any input for this long: the board says so.
const SILENT_MS: i64 = 60_000;
/// No line from any input for this long: it says so in red.
const MUTE_MS: i64 = 300_000;
/// A certificate that ends so soon should have been renewed.
const CERTIFICATE_SOON_MS: i64 = 14 * 86_400_000;
/// Silent senders named; the rest is a number.
const SENDERS_MAX: usize = 5;
/// After so long a silent sender is taken to be gone: only its page still shows it.
const SILENT_LISTED_MS: i64 = 24 * 3_600_000;
/// So long the board shows that lines are missing.
const MISSING_LISTED_MS: i64 = 3_600_000;
/// Alerts shown; the rest is a line with their number.
const ALERTS_MAX: usize = 60;

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage {
    chrome: Chrome,
    banners: Vec<Banner>,
    /// A banner says that alerts may be missing: nothing may look calm.
    blind: bool,
    alerts: Vec<AlertView>,
    firing: usize,
    pending: usize,
    more: usize,
    recent: Vec<AlertView>,
    vitals: Vec<Vital>,
}

/// Something the watcher must know before trusting the rest.
#[derive(Debug, PartialEq, Eq)]
struct Banner {
    /// `bad` or `warn`.
    level: &'static str,
    text: String,
}

/// One number of the board.
struct Vital {
    name: &'static str,
    value: String,
    note: String,
    /// `ok`, `warn`, `bad` or empty.
    level: &'static str,
}

pub(crate) async fn board(State(app): State<App>) -> Response {
    let deps = &app.deps;
    let now_ms = (deps.clock)();
    let counters = (deps.counters)();
    let live = deps.book.live();
    let mut alerts: Vec<AlertView> = live.iter().map(|a| AlertView::new(a, now_ms, deps.zone)).collect();
    // Stable: within a rank the newest stays first.
    alerts.sort_by_key(AlertView::rank);
    alerts.truncate(ALERTS_MAX);
    let sent = live.iter().filter(|alert| !alert.shadow).count();
    let firing = live.iter().filter(|alert| !alert.shadow && alert.state == AlertState::Firing).count();
    let title = if firing > 0 { format!("({firing}) Board") } else { "Board".to_owned() };
    let chrome = Chrome::new(&app, "board", 1, title);
    let banners = banners(&counters, &chrome.not_ready, now_ms, deps.zone);
    let page = BoardPage {
        blind: banners.iter().any(|banner| banner.level == "bad"),
        banners,
        alerts,
        firing,
        pending: sent - firing,
        more: live.len().saturating_sub(ALERTS_MAX),
        recent: deps.book.resolved().iter().take(5).map(|a| AlertView::new(a, now_ms, deps.zone)).collect(),
        vitals: vitals(&counters, now_ms, deps.zone),
        chrome,
    };
    render(StatusCode::OK, &page)
}

fn banners(counters: &Counters, not_ready: &str, now_ms: InstantMs, zone: Tz) -> Vec<Banner> {
    let mut banners = Vec::new();
    let mut add = |level, text| banners.push(Banner { level, text });
    if !not_ready.is_empty() {
        add(
            "bad",
            format!("This node is not ready: {not_ready}. Alerts below may be missing or out of date."),
        );
    }
    let up_ms = now_ms - counters.started_ms;
    match counters.engine.watermark_ms {
        Some(watermark_ms) if now_ms - watermark_ms > STALE_MS => {
            let behind = times::duration(now_ms - watermark_ms);
            let at = times::seconds(watermark_ms, zone);
            add("bad", format!("Judging is {behind} behind: everything below is as of {at}."));
        }
        None if up_ms > STALE_MS && counters.inputs.iter().any(|input| input.received > 0) => {
            add("bad", "Lines arrive, but none has been judged since the start.".to_owned());
        }
        _ => {}
    }
    let last_received_ms = counters.inputs.iter().filter_map(|input| input.last_received_ms).max();
    match last_received_ms {
        Some(last_ms) if now_ms - last_ms > SILENT_MS => {
            let silent = times::duration(now_ms - last_ms);
            let level = if now_ms - last_ms > MUTE_MS { "bad" } else { "warn" };
            add(level, format!("No line has arrived on any input for {silent}."));
        }
        None if !counters.inputs.is_empty() && up_ms > SILENT_MS => {
            add("bad", "No line has arrived on any input since the start.".to_owned());
        }
        _ => {}
    }
    for input in counters.inputs.iter().filter(|input| input.imbalance() != 0) {
        let name = &input.name;
        let by = input.imbalance();
        add("warn", format!("The loss ledger of input {name} does not add up: {by} unaccounted for."));
    }
    for input in &counters.inputs {
        let Some(left_ms) = input.certificate_ends_ms.map(|ends_ms| ends_ms - now_ms) else { continue };
        let name = &input.name;
        if left_ms <= 0 {
            add("bad", format!("The certificate of input {name} has expired: senders refuse it."));
        } else if left_ms < CERTIFICATE_SOON_MS {
            add("warn", format!("The certificate of input {name} expires in {}.", times::duration(left_ms)));
        }
    }
    if let Some(problem) = &counters.reload.problem {
        add("warn", format!("The last reload failed, what was before stays in use: {problem}"));
    }
    for (level, text) in sender_troubles(counters, now_ms) {
        add(level, text);
    }
    banners.extend(delivery_banners(counters, now_ms));
    banners
}

/// What keeps people from being told.
fn delivery_banners(counters: &Counters, now_ms: InstantMs) -> Vec<Banner> {
    let mut banners = Vec::new();
    let mut add = |level, text| banners.push(Banner { level, text });
    let file = &counters.outbox_file;
    let said = file.trouble.as_deref().unwrap_or("outbox: it works again");
    if file.unwritten > 0 {
        let unwritten = text::grouped(file.unwritten);
        add(
            "bad",
            format!(
                "{unwritten} notifications cannot be written and wait in memory, tried again each second: {said}."
            ),
        );
    } else if file.trouble.is_some() {
        add("bad", format!("Deliveries cannot be written, so none is sent: {said}."));
    }
    if file.dropped > 0 {
        let dropped = text::grouped(file.dropped);
        add(
            "bad",
            format!(
                "{dropped} notifications found no room in memory: start this node again, it finds them in the journal."
            ),
        );
    }
    for receiver in counters.outbox.iter().filter(|receiver| receiver.breaker != BreakerState::Closed) {
        let next = match receiver.breaker_until_ms {
            Some(until_ms) if until_ms > now_ms => {
                format!("tried again in {}", times::duration((until_ms - now_ms + 999) / 1_000 * 1_000))
            }
            _ => "being tried again".to_owned(),
        };
        let (name, waiting) = (&receiver.receiver, text::grouped(receiver.pending));
        add("warn", format!("Receiver {name} fails again and again: {waiting} deliveries wait, {next}."));
    }
    let dead: u64 = counters.outbox.iter().map(|receiver| receiver.dead).sum();
    if dead > 0 {
        let plural = if dead == 1 { "" } else { "s" };
        let dead = text::grouped(dead);
        add(
            "warn",
            format!("{dead} notification{plural} given up: see Deliveries for why, and to send again."),
        );
    }
    banners
}

/// Who fell silent, and whose lines are missing.
fn sender_troubles(counters: &Counters, now_ms: InstantMs) -> Vec<(&'static str, String)> {
    let mut troubles = Vec::new();
    let recently = |at_ms: InstantMs, length_ms: i64| now_ms - at_ms < length_ms;
    let silent: Vec<&SenderCounters> = counters
        .senders
        .iter()
        .filter(|sender| sender.silent && recently(sender.last_heard_ms, SILENT_LISTED_MS))
        .collect();
    for sender in silent.iter().take(SENDERS_MAX) {
        let silence = times::duration((now_ms - sender.last_heard_ms).max(0));
        troubles.push(("warn", format!("Sender {} has been silent for {silence}.", sender.name)));
    }
    let more = silent.len().saturating_sub(SENDERS_MAX);
    if more > 0 {
        troubles.push(("warn", format!("{more} more senders are silent.")));
    }
    for sender in &counters.senders {
        let gaps =
            || sender.gaps.iter().filter(|gap| gap.missing && recently(gap.since_ms, MISSING_LISTED_MS));
        let Some(latest) = gaps().next() else { continue };
        let lines: u64 = gaps().map(|gap| gap.to - gap.from + 1).sum();
        let plural = if lines == 1 { " is" } else { "s are" };
        let (lines, name) = (text::grouped(lines), &sender.name);
        troubles.push((
            "warn",
            format!(
                "{lines} line{plural} missing from sender {name}: it numbered them and they did not come (last {} to {}).",
                latest.from, latest.to
            ),
        ));
    }
    troubles
}

fn vitals(counters: &Counters, now_ms: InstantMs, zone: Tz) -> Vec<Vital> {
    let sum = |of: fn(&crate::InputCounters) -> u64| counters.inputs.iter().map(of).sum::<u64>();
    let vital = |name, value, note, level| Vital { name, value, note, level };
    let watermark_ms = counters.engine.watermark_ms;
    let behind_ms = watermark_ms.map(|at_ms| (now_ms - at_ms).max(0));
    let lost = sum(crate::InputCounters::dropped_total);
    let refused = sum(crate::InputCounters::rejected_total);
    let balanced = counters.inputs.iter().all(|input| input.imbalance() == 0);
    let outbox = |of: fn(&crate::ReceiverCounters) -> u64| counters.outbox.iter().map(of).sum::<u64>();
    let unstored = counters.journal.durable_lsn.saturating_sub(counters.store.stored_lsn);
    vec![
        vital(
            "Judged up to",
            watermark_ms.map_or("nothing yet".to_owned(), |at_ms| times::date_free(at_ms, zone)),
            behind_ms.map(|behind_ms| format!("{} behind", times::duration(behind_ms))).unwrap_or_default(),
            if behind_ms.is_some_and(|behind_ms| behind_ms > STALE_MS) { "bad" } else { "" },
        ),
        vital("Received", text::grouped(sum(|input| input.received)), "lines since the start".to_owned(), ""),
        vital(
            "Lost",
            text::grouped(lost),
            format!(
                "{} refused, {} sent twice",
                text::grouped(refused),
                text::grouped(sum(|input| input.duplicate))
            ),
            if lost > 0 { "warn" } else { "ok" },
        ),
        vital(
            "Ledger",
            if balanced { "adds up" } else { "does not add up" }.to_owned(),
            format!("{} in flight", text::grouped(sum(|input| input.in_flight))),
            if balanced { "ok" } else { "warn" },
        ),
        vital(
            "Late records",
            text::grouped(counters.engine.late),
            format!("{} too far ahead", text::grouped(counters.engine.skewed)),
            "",
        ),
        vital(
            "Trace store",
            text::grouped(unstored),
            format!("records behind, {} files", text::grouped(counters.store.files)),
            "",
        ),
        vital(
            "Deliveries",
            text::grouped(outbox(|receiver| receiver.pending)),
            format!(
                "waiting, {} sent, {} given up",
                text::grouped(outbox(|receiver| receiver.sent)),
                text::grouped(outbox(|receiver| receiver.dead))
            ),
            if outbox(|receiver| receiver.dead) > 0 { "warn" } else { "" },
        ),
        vital(
            "Running for",
            times::duration((now_ms - counters.started_ms).max(0)),
            format!("version {}", counters.version),
            "",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EngineCounters, InputCounters, ReceiverCounters, SenderGap};

    const NOW_MS: InstantMs = 1_469_182_500_000;

    fn check(counters: &Counters, not_ready: &str, expect: &[&str]) {
        let banners = banners(counters, not_ready, NOW_MS, chrono_tz::Asia::Shanghai);
        let shown: Vec<String> =
            banners.iter().map(|banner| format!("{}: {}", banner.level, banner.text)).collect();
        assert_eq!(shown, expect);
    }

    fn healthy() -> Counters {
        Counters {
            started_ms: NOW_MS - 3_600_000,
            inputs: vec![InputCounters {
                name: "tcp-514".into(),
                received: 10,
                stored: 10,
                last_received_ms: Some(NOW_MS - 900),
                ..Default::default()
            }],
            engine: EngineCounters { watermark_ms: Some(NOW_MS - 5_000), ..Default::default() },
            ..Default::default()
        }
    }

    #[test]
    fn quiet_when_all_is_well() {
        check(&healthy(), "", &[]);
        check(&Counters::default(), "", &[]);
    }

    #[test]
    fn certificates_and_reloads_are_told_of() {
        let mut counters = healthy();
        counters.inputs[0].certificate_ends_ms = Some(NOW_MS + CERTIFICATE_SOON_MS);
        check(&counters, "", &[]);
        counters.inputs[0].certificate_ends_ms = Some(NOW_MS + 86_400_000);
        counters.reload.problem = Some("tls.key: k.pem: is not PEM".to_owned());
        check(
            &counters,
            "",
            &[
                "warn: The certificate of input tcp-514 expires in 1 d 00 h.",
                "warn: The last reload failed, what was before stays in use: tls.key: k.pem: is not PEM",
            ],
        );
        counters.inputs[0].certificate_ends_ms = Some(NOW_MS);
        counters.reload.problem = None;
        check(&counters, "", &["bad: The certificate of input tcp-514 has expired: senders refuse it."]);
    }

    #[test]
    fn senders_in_trouble_are_named_for_a_while() {
        let mut counters = healthy();
        let sender = |name: &str, quiet_ms: i64| SenderCounters {
            name: name.into(),
            last_heard_ms: NOW_MS - quiet_ms,
            silent: quiet_ms > 300_000,
            ..SenderCounters::default()
        };
        counters.senders = vec![sender("a", 1), sender("b", 301_000), sender("gone", 90_000_000)];
        let gap = |from, to, ago_ms: i64, missing| SenderGap { from, to, since_ms: NOW_MS - ago_ms, missing };
        counters.senders[0].gaps =
            vec![gap(9, 9, 1, false), gap(5, 6, 90_000, true), gap(1, 1, 9_000_000, true)];
        check(
            &counters,
            "",
            &[
                "warn: Sender b has been silent for 5 m 01 s.",
                "warn: 2 lines are missing from sender a: it numbered them and they did not come (last 5 to 6).",
            ],
        );
    }

    #[test]
    fn blindness_is_said() {
        let mut counters = healthy();
        counters.engine.watermark_ms = Some(NOW_MS - 120_000);
        counters.inputs[0].last_received_ms = Some(NOW_MS - 61_000);
        counters.inputs[0].stored = 8;
        counters.outbox = vec![ReceiverCounters { dead: 2, ..Default::default() }];
        check(
            &counters,
            "replaying the journal",
            &[
                "bad: This node is not ready: replaying the journal. Alerts below may be missing or out of date.",
                "bad: Judging is 2 m 00 s behind: everything below is as of 2016-07-22 18:13:00.",
                "warn: No line has arrived on any input for 1 m 01 s.",
                "warn: The loss ledger of input tcp-514 does not add up: 2 unaccounted for.",
                "warn: 2 notifications given up: see Deliveries for why, and to send again.",
            ],
        );
        let mut silenced = healthy();
        silenced.outbox = vec![ReceiverCounters {
            receiver: "duty/email[0]".into(),
            pending: 14,
            breaker: BreakerState::Open,
            breaker_until_ms: Some(NOW_MS + 19_300),
            ..Default::default()
        }];
        silenced.outbox_file.unwritten = 3;
        silenced.outbox_file.dropped = 1;
        silenced.outbox_file.trouble = Some("outbox: database or disk is full".into());
        check(
            &silenced,
            "",
            &[
                "bad: 3 notifications cannot be written and wait in memory, tried again each second: outbox: database or disk is full.",
                "bad: 1 notifications found no room in memory: start this node again, it finds them in the journal.",
                "warn: Receiver duty/email[0] fails again and again: 14 deliveries wait, tried again in 20.0 s.",
            ],
        );
        let mut never = healthy();
        never.inputs[0] = InputCounters::default();
        check(&never, "", &["bad: No line has arrived on any input since the start."]);
        let mut unjudged = healthy();
        unjudged.engine.watermark_ms = None;
        check(&unjudged, "", &["bad: Lines arrive, but none has been judged since the start."]);
        let mut mute = healthy();
        mute.inputs[0].last_received_ms = Some(NOW_MS - 301_000);
        check(&mute, "", &["bad: No line has arrived on any input for 5 m 01 s."]);
    }
}
