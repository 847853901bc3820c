//! Incidents to order: their notation, and what each does to the traffic.
//!
//! Refuses to know: lines and bytes. An incident either plans failing calls at given instants or changes how a
//! channel answers for a while.

use std::fmt;
use std::str::FromStr;

use super::catalog::{CHANNELS, channel_index};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One channel cannot be reached: network errors in a row, no answer between them.
    Network,
    /// Three channels fail now and then, some in every minute, with good answers between.
    Sustained,
    /// Three channels fail often for a short while, with good answers between.
    Total,
    /// One channel refuses most payments.
    Decline,
    /// One channel answers ten times slower.
    Slow,
    /// One channel gets no new orders.
    Silent,
}

const KINDS: [(&str, Kind, i64); 6] = [
    ("network", Kind::Network, 30_000),
    ("sustained", Kind::Sustained, 11 * 60_000),
    ("total", Kind::Total, 5 * 60_000),
    ("decline", Kind::Decline, 5 * 60_000),
    ("slow", Kind::Slow, 5 * 60_000),
    ("silent", Kind::Silent, 5 * 60_000),
];

/// Failing calls are at least this many in a `network` incident.
const NETWORK_ERRORS_MIN: i64 = 15;
/// Time between failing calls of a `network` incident, unless it is too short for [`NETWORK_ERRORS_MIN`] of them.
const NETWORK_INTERVAL_MS: i64 = 2_000;
/// Time between failing calls of a `sustained` incident: four a minute.
const SUSTAINED_INTERVAL_MS: i64 = 15_000;
/// Failing calls of a `total` incident.
const TOTAL_ERRORS: i64 = 30;
/// An order that is to fail at an instant begins this much before it.
pub(crate) const LEAD_MS: i64 = 2_000;

/// `KIND:CHANNEL@+OFFSET[xDURATION]`, times relative to the start of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incident {
    /// What goes wrong.
    pub(crate) kind: Kind,
    /// Index into the channel table; kinds over three channels take the next two as well.
    pub(crate) channel: usize,
    /// First instant, milliseconds after the start of the log.
    pub(crate) offset_ms: i64,
    /// How long.
    pub(crate) duration_ms: i64,
}

/// A failing call: at this instant (milliseconds after the start of the log) this channel is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Failure {
    /// When, milliseconds after the start of the log.
    pub(crate) offset_ms: i64,
    /// Index into the channel table.
    pub(crate) channel: usize,
}

impl Incident {
    /// The calls that fail because of it.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        let every = |interval_ms: i64, channels: usize| {
            let steps = 0..(self.duration_ms / interval_ms).max(1);
            let failure = move |i: i64| Failure {
                offset_ms: self.offset_ms + i * interval_ms,
                channel: (self.channel + usize::try_from(i).unwrap_or(0) % channels) % CHANNELS.len(),
            };
            steps.map(failure).collect()
        };
        match self.kind {
            Kind::Network => {
                every(NETWORK_INTERVAL_MS.min((self.duration_ms / NETWORK_ERRORS_MIN).max(1)), 1)
            }
            Kind::Sustained => every(SUSTAINED_INTERVAL_MS, 3),
            Kind::Total => every((self.duration_ms / TOTAL_ERRORS).max(1), 3),
            Kind::Decline | Kind::Slow | Kind::Silent => Vec::new(),
        }
    }

    /// Whether it holds for a channel at an instant (milliseconds after the start of the log).
    #[inline]
    pub(crate) fn covers(&self, kind: Kind, channel: usize, offset_ms: i64) -> bool {
        self.kind == kind
            && self.channel == channel
            && self.offset_ms <= offset_ms
            && offset_ms < self.offset_ms + self.duration_ms
    }

    /// Names of the channels that it touches.
    pub(crate) fn channels(&self) -> Vec<&'static str> {
        let count = if matches!(self.kind, Kind::Sustained | Kind::Total) { 3 } else { 1 };
        (0..count).map(|i| CHANNELS[(self.channel + i) % CHANNELS.len()]).collect()
    }
}

impl Kind {
    /// As written in the notation.
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind, _)| *kind == self).map_or("", |(name, _, _)| name)
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = CHANNELS[self.channel];
        write!(f, "{}:{channel}@+{}msx{}ms", self.kind.name(), self.offset_ms, self.duration_ms)
    }
}

/// How an incident is written, for messages.
const NOTATION: &str =
    "write it as KIND:CHANNEL@+OFFSET[xDURATION], for example network:GHT@+60s or slow:UMP@+5mx2m";

impl FromStr for Incident {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("{what}; {NOTATION}");
        let (kind, rest) = text.split_once(':').ok_or_else(|| wrong("no `:` behind the kind".to_owned()))?;
        let (channel, time) =
            rest.split_once("@+").ok_or_else(|| wrong("no `@+` behind the channel".to_owned()))?;
        let Some((_, kind, default_ms)) = KINDS.iter().find(|(name, _, _)| *name == kind) else {
            let names: Vec<_> = KINDS.iter().map(|(name, _, _)| *name).collect();
            return Err(wrong(format!("unknown kind `{kind}`, known are {}", names.join(", "))));
        };
        let channel = channel_index(channel).ok_or_else(|| {
            wrong(format!("unknown channel `{channel}`, known are {}", CHANNELS.join(", ")))
        })?;
        let (offset, duration) = time.split_once('x').map_or((time, None), |(o, d)| (o, Some(d)));
        let offset_ms = parse_duration(offset).map_err(wrong)?;
        let duration_ms = duration.map_or(Ok(*default_ms), parse_duration).map_err(wrong)?;
        if offset_ms < LEAD_MS || duration_ms < 1_000 {
            return Err(wrong("the offset is at least 2s and the duration at least 1s".to_owned()));
        }
        Ok(Self { kind: *kind, channel, offset_ms, duration_ms })
    }
}

/// `250ms`, `60s`, `10m`, `2h` or `1d` in milliseconds; several may follow one another, as in `1m30s`.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no duration: write 250ms, 60s, 10m, 2h, 1d or 1m30s");
    let mut total_ms: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(unit_ms)).ok_or_else(wrong)?;
        total_ms = total_ms.checked_add(part).ok_or_else(wrong)?;
        rest = behind;
    }
    if total_ms == 0 || total_ms > 366 * 86_400_000 { Err(wrong()) } else { Ok(total_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expect) in [("250ms", 250), ("60s", 60_000), ("1m30s", 90_000), ("2h", 7_200_000)] {
            assert_eq!(parse_duration(text), Ok(expect), "{text}");
        }
        for text in ["", "60", "s", "1x", "-1s", "99999999999999d", "0s", "1m 30s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn notation() {
        let incident: Incident = "network:GHT@+60s".parse().unwrap();
        assert_eq!(
            incident,
            Incident { kind: Kind::Network, channel: 0, offset_ms: 60_000, duration_ms: 30_000 }
        );
        let incident: Incident = "slow:UMP@+5mx2m".parse().unwrap();
        assert_eq!(incident.duration_ms, 120_000);
        assert_eq!(incident.to_string(), "slow:UMP@+300000msx120000ms");
        for text in [
            "network",
            "network:GHT",
            "network:GHT@60s",
            "net:GHT@+60s",
            "network:XXX@+60s",
            "network:GHT@+1s",
        ] {
            assert!(text.parse::<Incident>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_incident_has_enough_errors_in_a_minute_whatever_its_length() {
        for duration in ["1s", "10s", "30s", "2m"] {
            let incident: Incident = format!("network:UMP@+60sx{duration}").parse().unwrap();
            let failures = incident.failures();
            let within = failures.iter().filter(|f| f.offset_ms < 120_000).count();
            assert!(within >= 15, "{duration}: {within}");
            assert!(
                failures.iter().all(|f| incident.covers(Kind::Network, f.channel, f.offset_ms)),
                "{duration}"
            );
        }
    }
}
