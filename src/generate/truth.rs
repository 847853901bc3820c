//! What the traffic should make the three shipped network rules say, reckoned from what was really written.
//!
//! A naive reading of the rules' definitions over the few lines that matter to them, kept apart from the engine on
//! purpose: it is what the engine is compared with. Refuses to know: the engine, lines that carry no error.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{CHANNELS, channel_index};
use super::incident::{Incident, Kind};
use super::text::rfc3339;

/// `ChannelNetworkDown`: this many in a row.
const RUN: usize = 12;
/// `ChannelNetworkDown`: within this.
const RUN_WITHIN_MS: i64 = 60_000;
/// `NetworkTrouble` and `NetworkTroubleTotal`: within this many seconds.
const WINDOW_S: i64 = 600;
/// Good answers are remembered from this long before an incident to this long after it: outside, no run of
/// [`RUN`] can begin or be still on, because isolated errors are further apart.
const MARGIN_MS: i64 = 130_000;

/// An alert that the shipped rules should give.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expected {
    /// Name of the alert.
    pub(crate) alert: &'static str,
    /// Its channel, for rules by channel.
    pub(crate) channel: Option<&'static str>,
    /// When it fires, milliseconds since the epoch.
    pub(crate) from_ms: i64,
    /// When it ends; `None`: still on when the lines end.
    pub(crate) to_ms: Option<i64>,
}

/// Collects while lines are written, reckons at the end.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    start_ms: i64,
    incidents: Vec<Incident>,
    /// Time and channel of every network error.
    errors: Vec<(i64, usize)>,
    /// Time and channel of the good answers that may end a run.
    resets: Vec<(i64, usize)>,
    last_ms: i64,
}

impl Truth {
    /// For a log that starts at `start_ms` with these incidents.
    pub(crate) fn new(start_ms: i64, incidents: &[Incident]) -> Self {
        Self {
            start_ms,
            incidents: incidents.to_vec(),
            errors: Vec::new(),
            resets: Vec::new(),
            last_ms: start_ms,
        }
    }

    /// A line of a channel is written.
    #[inline]
    pub(crate) fn see(&mut self, time_ms: i64, channel: usize, code: &str) {
        self.last_ms = self.last_ms.max(time_ms);
        match code {
            "NET_ERR" | "TIMEOUT" => self.errors.push((time_ms, channel)),
            "0000" if !self.incidents.is_empty() && self.is_near(time_ms, channel) => {
                self.resets.push((time_ms, channel));
            }
            _ => {}
        }
    }

    fn is_near(&self, time_ms: i64, channel: usize) -> bool {
        let offset_ms = time_ms - self.start_ms;
        self.incidents.iter().any(|incident| {
            matches!(incident.kind, Kind::Network | Kind::Sustained | Kind::Total)
                && incident.channels().iter().any(|name| channel_index(name) == Some(channel))
                && incident.offset_ms - MARGIN_MS <= offset_ms
                && offset_ms <= incident.offset_ms + incident.duration_ms + MARGIN_MS
        })
    }

    /// Alerts in the order of their rules, then by channel and time.
    pub(crate) fn expected(&self) -> Vec<Expected> {
        let mut all = Vec::new();
        let channels: BTreeSet<usize> = self.errors.iter().map(|(_, channel)| *channel).collect();
        for channel in channels {
            self.runs(channel, &mut all);
        }
        self.windows("NetworkTrouble", trouble, &mut all);
        self.windows("NetworkTroubleTotal", trouble_total, &mut all);
        all.sort();
        all
    }

    /// `consecutive`: exact to the millisecond, a reset before a match of the same millisecond.
    fn runs(&self, channel: usize, all: &mut Vec<Expected>) {
        let of = |list: &[(i64, usize)], is_error: bool| -> Vec<(i64, bool)> {
            list.iter().filter(|(_, c)| *c == channel).map(|(t, _)| (*t, is_error)).collect()
        };
        let mut events = of(&self.errors, true);
        events.extend(of(&self.resets, false));
        events.sort_unstable();
        let mut run: Vec<i64> = Vec::new();
        let mut on: Option<(i64, i64)> = None; // since, and until when if nothing more comes
        let name = Some(CHANNELS[channel]);
        let mut close = |from_ms, to_ms| {
            all.push(Expected { alert: "ChannelNetworkDown", channel: name, from_ms, to_ms: Some(to_ms) });
        };
        for (time, is_error) in events {
            if let Some((from, until)) = on.filter(|(_, until)| *until <= time) {
                close(from, until);
                on = None;
            }
            if !is_error {
                run.clear();
                if let Some((from, _)) = on.take() {
                    close(from, time);
                }
                continue;
            }
            run.push(time);
            let first = run.len().checked_sub(RUN).map(|i| run[i]);
            if let Some(until) = first.map(|first| first + RUN_WITHIN_MS).filter(|until| *until > time) {
                on = Some((on.map_or(time, |(from, _)| from), until));
            }
        }
        if let Some((from_ms, until)) = on {
            let to_ms = (until < self.last_ms).then_some(until);
            all.push(Expected { alert: "ChannelNetworkDown", channel: name, from_ms, to_ms });
        }
    }

    /// Kinds in buckets of a second: asks `active` at every second that may matter.
    fn windows(&self, alert: &'static str, active: fn(&Seconds, i64) -> bool, all: &mut Vec<Expected>) {
        let mut seconds = Seconds::new();
        for (time, channel) in &self.errors {
            seconds.entry(time.div_euclid(1_000)).or_default().push(*channel);
        }
        let candidates: BTreeSet<i64> = seconds.keys().flat_map(|s| *s..=*s + 2 * WINDOW_S).collect();
        let last = self.last_ms.div_euclid(1_000);
        let mut from = None;
        for second in candidates.into_iter().filter(|s| *s <= last) {
            match (from, active(&seconds, second)) {
                (None, true) => from = Some(second),
                (Some(since), false) => {
                    let to_ms = (second < last).then_some(second * 1_000);
                    all.push(Expected { alert, channel: None, from_ms: since * 1_000, to_ms });
                    from = None;
                }
                _ => {}
            }
        }
        if let Some(since) = from {
            all.push(Expected { alert, channel: None, from_ms: since * 1_000, to_ms: None });
        }
    }
}

type Seconds = BTreeMap<i64, Vec<usize>>;

fn distinct(seconds: &Seconds, from: i64, to: i64) -> usize {
    seconds.range(from..=to).flat_map(|(_, channels)| channels).collect::<BTreeSet<_>>().len()
}

fn count(seconds: &Seconds, from: i64, to: i64) -> usize {
    seconds.range(from..=to).map(|(_, channels)| channels.len()).sum()
}

/// 25 errors in the 600 seconds that end with `second`, over three channels.
fn trouble_total(seconds: &Seconds, second: i64) -> bool {
    let from = second - (WINDOW_S - 1);
    count(seconds, from, second) >= 25 && distinct(seconds, from, second) >= 3
}

/// Three errors in each of ten minutes that end with the minute of `second` or with the one before it, over three
/// channels.
fn trouble(seconds: &Seconds, second: i64) -> bool {
    let minute = second.div_euclid(60);
    let ends_with = |last: i64| {
        let steps = last - 9..=last;
        let in_step = |step: i64| count(seconds, step * 60, (step * 60 + 59).min(second));
        steps.clone().all(|step| in_step(step) >= 3)
            && distinct(seconds, steps.start() * 60, (last * 60 + 59).min(second)) >= 3
    };
    ends_with(minute) || ends_with(minute - 1)
}

/// One JSON object a line: first what was ordered, then what the shipped rules should say to it, with the keys that
/// `watchroom backtest --json` uses.
pub(crate) fn write_json(truth: &Truth) -> Vec<u8> {
    let mut out = String::new();
    for incident in &truth.incidents {
        let from = truth.start_ms + incident.offset_ms;
        let object = serde_json::json!({
            "incident": incident.kind.name(),
            "channels": incident.channels(),
            "from": rfc3339(from),
            "to": rfc3339(from + incident.duration_ms),
            "errors": incident.failures().len(),
        });
        out.push_str(&object.to_string());
        out.push('\n');
    }
    for expected in truth.expected() {
        let labels: BTreeMap<_, _> =
            expected.channel.map(|channel| ("channel", channel)).into_iter().collect();
        let object = serde_json::json!({
            "alert": expected.alert,
            "labels": labels,
            "active_at": rfc3339(expected.from_ms),
            "fired_at": rfc3339(expected.from_ms),
            "ended_at": expected.to_ms.map(rfc3339),
        });
        out.push_str(&object.to_string());
        out.push('\n');
    }
    out.into_bytes()
}
