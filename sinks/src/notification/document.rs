//! A notification laid out for people, once: the text and the HTML body say the same.
//!
//! Refuses to know: markup. Every string in a [`Document`] has its control characters made visible.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use record::{InstantMs, rfc3339_ms};

use super::escape::visible;
use super::{Notification, Status};

/// Order numbers and distinct values named in a message; the alert's page has the rest.
const NAMED_MAX: usize = 10;
/// Buckets shown, the newest.
const BUCKETS_MAX: usize = 60;

/// Where the reader and the platform are: what a message needs besides the alert.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Where Watchroom's pages are reached: `https://watchroom.pay.example`.
    pub external_url: String,
    /// The platform's time zone.
    pub zone: Tz,
}

impl Scene {
    /// The alert's page. Ids are letters and digits; any other byte is percent-encoded.
    pub fn link(&self, alert_id: &str) -> String {
        let mut link = format!("{}/alerts/", self.external_url.trim_end_matches('/'));
        for byte in alert_id.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => link.push(char::from(byte)),
                _ => link.push_str(&format!("%{byte:02X}")),
            }
        }
        link
    }

    /// `2016-07-22 18:15:00.512 +08:00 (2016-07-22T10:15:00.512Z)`.
    pub fn instant(&self, at_ms: InstantMs) -> String {
        format!("{} ({})", self.local(at_ms, "%Y-%m-%d %H:%M:%S%.3f %:z"), rfc3339_ms(at_ms))
    }

    fn local(&self, at_ms: InstantMs, format: &str) -> String {
        DateTime::<Utc>::from_timestamp_millis(at_ms)
            .map_or_else(|| format!("{at_ms} ms"), |t| t.with_timezone(&self.zone).format(format).to_string())
    }
}

/// A name and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// `Money at risk`.
    pub name: &'static str,
    /// `120.50`.
    pub value: String,
}

/// A message's parts in reading order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `FIRING`, `RESOLVED`, `WITHDRAWN`.
    pub word: &'static str,
    /// The rule's name.
    pub title: String,
    /// What happened in one line.
    pub lead: String,
    /// What the reader must know first: a possible repeat, a withdrawal.
    pub notes: Vec<&'static str>,
    /// Reason, times, orders, money.
    pub facts: Vec<Fact>,
    /// Time of day and matches, by bucket.
    pub counts: Vec<(String, u64)>,
    /// Labels and annotations not said above.
    pub labels: Vec<(String, String)>,
    /// Time of day and masked line.
    pub samples: Vec<(String, String)>,
    /// The alert's page.
    pub link: String,
}

/// Said when an earlier attempt may have arrived.
pub(crate) const POSSIBLE_REPEAT: &str = "Possible repeat: an earlier attempt to send this may have arrived.";
const WITHDRAWN: &str = "Withdrawn: later records did not confirm this early alert.";

impl Document {
    /// Lays out a notification.
    pub fn new(news: &Notification, scene: &Scene, possible_repeat: bool) -> Self {
        let mut notes = Vec::new();
        if possible_repeat {
            notes.push(POSSIBLE_REPEAT);
        }
        if news.withdrawn {
            notes.push(WITHDRAWN);
        }
        let time_of_day = |at_ms| scene.local(at_ms, "%H:%M:%S%.3f");
        let samples = news.samples.iter().filter(|s| !s.line.is_empty());
        let skipped = news.buckets.len().saturating_sub(BUCKETS_MAX);
        Self {
            word: news.word(),
            title: shown(news.alertname()),
            lead: shown(&news.summary()),
            notes,
            facts: facts(news, scene),
            counts: news.buckets.iter().skip(skipped).map(|&(at, n)| (time_of_day(at), n)).collect(),
            labels: labels(news),
            samples: samples.map(|s| (time_of_day(s.at_ms), shown(&s.line))).collect(),
            link: scene.link(&news.alert_id),
        }
    }
}

fn facts(news: &Notification, scene: &Scene) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut say = |name, value: String| {
        if !value.is_empty() {
            facts.push(Fact { name, value });
        }
    };
    say("Why", shown(&news.reason));
    let thresholds: Vec<_> = news.thresholds.iter().map(|(name, value)| format!("{name} {value}")).collect();
    say("Threshold", shown(&thresholds.join(", ")));
    say("Since", scene.instant(news.starts_ms));
    if let Some(ends_ms) = news.ends_ms.filter(|_| news.status == Status::Resolved) {
        say("Ended", scene.instant(ends_ms));
        say("Lasted", duration(ends_ms.saturating_sub(news.starts_ms)));
    }
    say("Ended by", shown(&news.gate));
    if news.orders_count > 0 {
        say("Orders affected", counted(news.orders_count, &news.orders));
    }
    say("Money at risk", shown(news.amount.as_deref().unwrap_or_default()));
    if news.distinct_count > 0 {
        say("Distinct values", counted(news.distinct_count, &news.distinct));
    }
    facts
}

/// Annotations first (the author wrote them for people), then labels.
fn labels(news: &Notification) -> Vec<(String, String)> {
    let annotations = news.annotations.iter().filter(|(name, _)| *name != "summary");
    let labels = news.labels.iter().filter(|(name, _)| *name != "alertname");
    annotations.chain(labels).map(|(name, value)| (shown(name), shown(value))).collect()
}

fn shown(text: &str) -> String {
    visible(text).into_owned()
}

/// `12: a, b, c and 9 more`.
fn counted(count: u64, values: &[String]) -> String {
    let named: Vec<_> = values.iter().take(NAMED_MAX).map(|v| shown(v)).collect();
    let more = count.saturating_sub(named.len() as u64);
    match (named.is_empty(), more) {
        (true, _) => count.to_string(),
        (false, 0) => format!("{count}: {}", named.join(", ")),
        (false, more) => format!("{count}: {} and {more} more", named.join(", ")),
    }
}

/// `1 h 2 min 3 s`, with milliseconds only below a minute.
fn duration(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}.{:03} s", ms.rem_euclid(1_000)),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, s) => format!("{h} h {m} min {s} s"),
    }
}
