//! Instants as people read and write them: in the platform's zone.
//!
//! Refuses to know: the clock; `now` is passed in.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone as _};
use chrono_tz::Tz;
use record::InstantMs;

/// `2016-07-22 18:15:00.512` in the zone.
pub fn full(instant_ms: InstantMs, zone: Tz) -> String {
    format_in(instant_ms, zone, "%Y-%m-%d %H:%M:%S%.3f")
}

/// `2016-07-22 18:15:00` in the zone.
pub fn seconds(instant_ms: InstantMs, zone: Tz) -> String {
    format_in(instant_ms, zone, "%Y-%m-%d %H:%M:%S")
}

/// `18:15:00` in the zone: for a page that shows the date elsewhere.
pub fn date_free(instant_ms: InstantMs, zone: Tz) -> String {
    format_in(instant_ms, zone, "%H:%M:%S")
}

/// `2016-07-22` in the zone.
pub fn date(instant_ms: InstantMs, zone: Tz) -> String {
    format_in(instant_ms, zone, "%Y-%m-%d")
}

/// `18:15:00.512` in the zone.
pub fn clock(instant_ms: InstantMs, zone: Tz) -> String {
    format_in(instant_ms, zone, "%H:%M:%S%.3f")
}

fn format_in(instant_ms: InstantMs, zone: Tz, pattern: &str) -> String {
    match DateTime::from_timestamp_millis(instant_ms) {
        Some(utc) => utc.with_timezone(&zone).format(pattern).to_string(),
        None => format!("{instant_ms} ms"),
    }
}

/// A length of time, three significant places at most: `12 ms`, `3.42 s`, `1 m 05 s`, `2 h 03 m`, `3 d 04 h`.
pub fn duration(length_ms: i64) -> String {
    let sign = if length_ms < 0 { "-" } else { "" };
    let ms = length_ms.unsigned_abs();
    let s = ms / 1000;
    let text = match s {
        0 => format!("{ms} ms"),
        1..=9 => format!("{}.{:02} s", s, ms % 1000 / 10),
        10..=59 => format!("{}.{} s", s, ms % 1000 / 100),
        60..=3_599 => format!("{} m {:02} s", s / 60, s % 60),
        3_600..=86_399 => format!("{} h {:02} m", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {:02} h", s / 86_400, s % 86_400 / 3_600),
    };
    format!("{sign}{text}")
}

/// Reads what a person typed: `YYYY-MM-DD`, `YYYY-MM-DD HH:MM[:SS[.fff]]` (a `T` in between will do) in the zone, or
/// RFC 3339 with its own offset. A local time that a zone change repeats is the earlier one.
pub fn parse(text: &str, zone: Tz) -> Result<InstantMs, String> {
    let text = text.trim();
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.timestamp_millis());
    }
    let spaced = text.replacen('T', " ", 1);
    let local = NaiveDateTime::parse_from_str(&spaced, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(&spaced, "%Y-%m-%d %H:%M"))
        .or_else(|_| {
            NaiveDate::parse_from_str(&spaced, "%Y-%m-%d").map(|day| day.and_time(chrono::NaiveTime::MIN))
        })
        .map_err(|_| format!("\"{text}\" is no time: write YYYY-MM-DD HH:MM[:SS] ({zone}) or RFC 3339"))?;
    match zone.from_local_datetime(&local).earliest() {
        Some(instant) => Ok(instant.timestamp_millis()),
        None => Err(format!("\"{text}\" does not exist in {zone}: the clocks were put forward over it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{America, Asia};

    fn check(input: &str, zone: Tz, expect: &str) {
        let shown = match parse(input, zone) {
            Ok(instant_ms) => record::rfc3339_ms(instant_ms),
            Err(message) => message,
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn typed_times() {
        check("2016-07-22 18:15", Asia::Shanghai, "2016-07-22T10:15:00.000Z");
        check(" 2016-07-22 18:15:01 ", Asia::Shanghai, "2016-07-22T10:15:01.000Z");
        check("2016-07-22T18:15:01.25", Asia::Shanghai, "2016-07-22T10:15:01.250Z");
        check("2016-07-22", Asia::Shanghai, "2016-07-21T16:00:00.000Z");
        check("2016-07-22T18:15:00Z", Asia::Shanghai, "2016-07-22T18:15:00.000Z");
        check("2016-07-22T18:15:00+02:00", Asia::Shanghai, "2016-07-22T16:15:00.000Z");
        check("2024-11-03 01:30", America::New_York, "2024-11-03T05:30:00.000Z");
        check(
            "2024-03-10 02:30",
            America::New_York,
            "\"2024-03-10 02:30\" does not exist in America/New_York: the clocks were put forward over it",
        );
        check(
            "yesterday",
            Asia::Shanghai,
            "\"yesterday\" is no time: write YYYY-MM-DD HH:MM[:SS] (Asia/Shanghai) or RFC 3339",
        );
    }

    #[test]
    fn shown_times() {
        assert_eq!(full(1_469_182_500_512, Asia::Shanghai), "2016-07-22 18:15:00.512");
        assert_eq!(clock(1_469_182_500_512, Asia::Shanghai), "18:15:00.512");
        let lengths = [-5, 0, 999, 1_000, 3_429, 59_999, 65_000, 7_380_000, 273_600_000];
        let shown: Vec<String> = lengths.into_iter().map(duration).collect();
        assert_eq!(
            shown,
            ["-5 ms", "0 ms", "999 ms", "1.00 s", "3.42 s", "59.9 s", "1 m 05 s", "2 h 03 m", "3 d 04 h"]
        );
    }
}
