//! An alert as cards and tables show it.

use chrono_tz::Tz;
use record::InstantMs;
use rules::{Alert, AlertState, Reason};

use crate::{text, times};

/// One alert, ready for a template.
pub(crate) struct AlertView {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `critical`, `warning`, `info`, or empty: how it is coloured.
    pub(crate) level: &'static str,
    /// Label `severity` as written.
    pub(crate) severity: String,
    /// `firing`, `pending`, `resolved`, `withdrawn`.
    pub(crate) state: &'static str,
    pub(crate) shadow: bool,
    /// All labels but `alertname`, `severity` and `class`.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) since: String,
    /// Without the date when it began today.
    pub(crate) since_short: String,
    /// How long it is on, or was.
    pub(crate) lasted: String,
    pub(crate) ended: Option<String>,
    /// Annotation `summary`, else the reason.
    pub(crate) summary: String,
    /// The reason, where the summary is something else.
    pub(crate) reason: String,
    pub(crate) orders_count: u64,
    pub(crate) amount: Option<String>,
}

impl AlertView {
    pub(crate) fn new(alert: &Alert, now_ms: InstantMs, zone: Tz) -> Self {
        let label = |name: &str| alert.labels.get(name).cloned().unwrap_or_default();
        let severity = label("severity");
        let level = level_of(&severity);
        let hidden = ["alertname", "severity", "class"];
        let labels = alert.labels.iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
        let summary = alert.annotations.get("summary").filter(|text| !text.is_empty());
        let reason = &alert.reason.text;
        let until_ms = alert.ended_ms.unwrap_or(now_ms);
        Self {
            id: alert.id.clone(),
            name: label("alertname"),
            level,
            severity,
            state: state_name(alert),
            shadow: alert.shadow,
            labels: labels.map(|(name, value)| (name.clone(), value.clone())).collect(),
            since: times::seconds(alert.active_ms, zone),
            since_short: if times::date(alert.active_ms, zone) == times::date(now_ms, zone) {
                times::date_free(alert.active_ms, zone)
            } else {
                times::seconds(alert.active_ms, zone)
            },
            lasted: times::duration(until_ms.saturating_sub(alert.active_ms).max(0) / 1000 * 1000),
            ended: alert.ended_ms.map(|ended_ms| times::seconds(ended_ms, zone)),
            summary: summary.unwrap_or(reason).clone(),
            reason: if summary.is_some_and(|text| text != reason) { reason.clone() } else { String::new() },
            orders_count: alert.reason.orders_count,
            amount: alert.reason.amount.as_deref().map(text::grouped_decimal),
        }
    }
}

impl AlertView {
    /// How far up the board: what fires before what is pending, the graver first; what is never sent comes last.
    pub(crate) fn rank(&self) -> (bool, bool, u8) {
        let level = match self.level {
            "critical" => 0,
            "warning" => 1,
            "info" => 3,
            _ => 2,
        };
        (self.shadow, self.state != "firing", level)
    }
}

/// How a severity is coloured: `critical`, `warning`, `info`, or empty.
pub(crate) fn level_of(severity: &str) -> &'static str {
    match severity.to_ascii_lowercase().as_str() {
        "critical" | "error" | "high" | "page" | "emergency" => "critical",
        "warning" | "warn" | "medium" => "warning",
        "info" | "notice" | "low" | "none" => "info",
        _ => "",
    }
}

fn state_name(alert: &Alert) -> &'static str {
    match alert.state {
        AlertState::Firing => "firing",
        AlertState::Pending => "pending",
        AlertState::Resolved if alert.withdrawn => "withdrawn",
        AlertState::Resolved => "resolved",
    }
}

/// One bar of the row of counts; lengths in per cent of the drawing.
pub(crate) struct Bar {
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) y: String,
    pub(crate) height: String,
    pub(crate) title: String,
}

/// The counts per bucket as a drawing.
pub(crate) struct Bars {
    pub(crate) bars: Vec<Bar>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) peak: u64,
    /// Length of a bucket, as far as the buckets that are there tell.
    pub(crate) step: String,
}

impl Bars {
    /// `None` when there is nothing to draw.
    pub(crate) fn new(reason: &Reason, zone: Tz) -> Option<Self> {
        let (first, last) = (reason.buckets.first()?, reason.buckets.last()?);
        let peak = reason.buckets.iter().map(|bucket| bucket.count).max().filter(|peak| *peak > 0)?;
        let steps = reason.buckets.windows(2).map(|pair| pair[1].at - pair[0].at).filter(|step| *step > 0);
        let step_ms = steps.min().unwrap_or(1_000);
        let total_ms = (last.at - first.at + step_ms) as f64;
        let bars = reason.buckets.iter().map(|bucket| {
            let height = bucket.count as f64 / peak as f64 * 100.0;
            Bar {
                x: percent((bucket.at - first.at) as f64 / total_ms * 100.0),
                width: percent((step_ms as f64 / total_ms * 100.0 * 0.86).max(0.15)),
                y: percent(100.0 - height),
                height: percent(height),
                title: format!("{}: {}", times::clock(bucket.at, zone), bucket.count),
            }
        });
        Some(Self {
            bars: bars.collect(),
            from: times::seconds(first.at, zone),
            to: times::seconds(last.at + step_ms, zone),
            peak,
            step: times::duration(step_ms),
        })
    }
}

/// `12.34%`.
pub(crate) fn percent(value: f64) -> String {
    format!("{value:.2}%")
}
