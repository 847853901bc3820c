//! Timestamps of lines: their text forms, and the instant that a local time is.
//!
//! Refuses to know: the present time, and which column a text came from.

use chrono::format::{Parsed, StrftimeItems};
use chrono::{MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::InstantMs;

/// Pattern name for ISO 8601: `2016-07-22T18:15:00.512+08:00`, a space for the `T`, the offset optional.
pub(crate) const ISO_PATTERN: &str = "iso";

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Length of `YYYY-MM-DD HH:MM:SS`.
const TO_SECONDS_LEN: usize = 19;

/// Reads `YYYY-MM-DD HH:MM:SS[.f]` (one to nine fraction digits, cut to milliseconds) in a zone.
///
/// A local time that exists twice (clocks put back) is the earlier of the two instants; one that does not exist
/// (clocks put forward) is the earlier of its two readings, that is with the offset in force after the change.
pub fn parse_timestamp(text: &[u8], zone: Tz) -> Option<InstantMs> {
    Some(resolve(local_ms(text)?, zone))
}

/// The same text as milliseconds since 1970-01-01 00:00 of its own, unnamed zone.
#[inline]
pub(crate) fn local_ms(text: &[u8]) -> Option<i64> {
    let (to_seconds, fraction) = text.split_first_chunk::<TO_SECONDS_LEN>()?;
    Some(seconds_ms(to_seconds, b' ')? + fraction_ms(fraction)?)
}

/// Whether [`local_ms`] reads the text: the same without the calendar, for columns of which nothing else is asked.
#[inline]
pub(crate) fn is_local(text: &[u8]) -> bool {
    let read = || {
        let (to_seconds, fraction) = text.split_first_chunk::<TO_SECONDS_LEN>()?;
        let (year, month, day, _) = parts(to_seconds, b' ')?;
        fraction_ms(fraction)?;
        is_date(year, month, day).then_some(())
    };
    read().is_some()
}

/// ISO 8601 with an optional offset (`Z`, `+08:00`, `+0800`); without one the zone applies.
pub(crate) fn parse_iso(text: &[u8], zone: Tz) -> Option<InstantMs> {
    match iso_local_ms(text)? {
        (local, Some(offset_ms)) => Some(local - offset_ms),
        (local, None) => Some(resolve(local, zone)),
    }
}

/// RFC 3339 as in a syslog header: the offset is required.
pub(crate) fn parse_rfc3339(text: &[u8]) -> Option<InstantMs> {
    match iso_local_ms(text)? {
        (local, Some(offset_ms)) if text[10] == b'T' => Some(local - offset_ms),
        _ => None,
    }
}

/// Local milliseconds and the offset, if the text carries one.
fn iso_local_ms(text: &[u8]) -> Option<(i64, Option<i64>)> {
    let (to_seconds, rest) = text.split_first_chunk::<TO_SECONDS_LEN>()?;
    let between = to_seconds[10];
    if between != b'T' && between != b' ' {
        return None;
    }
    let local = seconds_ms(to_seconds, between)?;
    let is_fraction = |b: &u8| b.is_ascii_digit() || *b == b'.';
    let (fraction, offset) = rest.split_at(rest.iter().position(|b| !is_fraction(b)).unwrap_or(rest.len()));
    let local = local + fraction_ms(fraction)?;
    let offset_ms = match offset {
        [] => None,
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            let (hours, minutes) = (two(*h1, *h2)?, two(*m1, *m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let size = hours * HOUR_MS + minutes * MINUTE_MS;
            Some(if *sign == b'-' { -size } else { size })
        }
        _ => return None,
    };
    Some((local, offset_ms))
}

/// Reads a text by a strftime pattern. A pattern without a time of day means midnight; one with an offset or with
/// seconds since the epoch needs no zone.
pub(crate) fn parse_pattern(text: &str, pattern: &str, zone: Tz) -> Option<InstantMs> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, StrftimeItems::new(pattern)).ok()?;
    if parsed.offset().is_some() {
        return Some(parsed.to_datetime().ok()?.timestamp_millis());
    }
    if parsed.timestamp().is_some() {
        return Some(parsed.to_naive_datetime_with_offset(0).ok()?.and_utc().timestamp_millis());
    }
    let local = match parsed.to_naive_datetime_with_offset(0) {
        Ok(local) => local,
        Err(_) => parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0)?,
    };
    Some(resolve(local.and_utc().timestamp_millis(), zone))
}

/// `YYYY-MM-DD?HH:MM:SS` with `between` for the question mark.
#[inline]
fn seconds_ms(text: &[u8; TO_SECONDS_LEN], between: u8) -> Option<i64> {
    let (year, month, day, ms) = parts(text, between)?;
    Some(days_since_epoch(year, month, day)? * DAY_MS + ms)
}

/// Year, month, day (which need not exist) and the milliseconds of the day.
#[inline]
fn parts(text: &[u8; TO_SECONDS_LEN], between: u8) -> Option<(i64, i64, i64, i64)> {
    let date = pairs(text.first_chunk()?, b"0000-00-")?;
    let day = pairs(text[8..16].first_chunk()?, &[b'0', b'0', between, b'0', b'0', b':', b'0', b'0'])?;
    let time = pairs(text.last_chunk()?, b"00:00:00")?;
    let (year, month, day) = (date(0) * 100 + date(2), date(5), day(0));
    let (hour, minute, second) = (time(0), time(3), time(6));
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((year, month, day, hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS))
}

/// Compares eight bytes with a shape at once, in which `0` stands for any digit. Gives the number that the two digits
/// from a place on are.
#[inline]
fn pairs(text: &[u8; 8], shape: &[u8; 8]) -> Option<impl Fn(u32) -> i64 + use<>> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let shape = u64::from_le_bytes(*shape);
    // A digit becomes its value, any other byte that is as it should be becomes 0.
    let values = u64::from_le_bytes(*text) ^ shape;
    // 0x0F where the shape has `0` (no other byte of a shape is 0x30), for the bytes that may differ from it.
    let digits = {
        let differs = shape ^ (ONES * u64::from(b'0'));
        let is_zero = !((((differs & (ONES * 0x7F)) + ONES * 0x7F) | differs) >> 7) & ONES;
        is_zero * 0x0F
    };
    // Adding 0x76 to a value from 10 to 15 carries into the top bit.
    let fits = values & !digits == 0 && values.wrapping_add(ONES * 0x76) & (ONES * 0x80) == 0;
    let tens = values.wrapping_mul(10).wrapping_add(values >> 8);
    fits.then_some(move |place: u32| i64::from((tens >> (place * 8)) as u8))
}

/// Empty, or a point and one to nine digits; milliseconds, the rest is cut off.
#[inline]
fn fraction_ms(text: &[u8]) -> Option<i64> {
    if let [b'.', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = text {
        return Some(i64::from(a - b'0') * 100 + i64::from(b - b'0') * 10 + i64::from(c - b'0'));
    }
    let Some((point, digits)) = text.split_first() else { return Some(0) };
    if *point != b'.' || digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |i: usize| digits.get(i).map_or(0, |b| i64::from(b - b'0'));
    Some(digit(0) * 100 + digit(1) * 10 + digit(2))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| i64::from(tens * 10 + ones))
}

/// Whether there is such a date in the Gregorian calendar.
#[inline]
fn is_date(year: i64, month: i64, day: i64) -> bool {
    const LENGTHS: [i64; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let Some(length) = usize::try_from(month - 1).ok().and_then(|at| LENGTHS.get(at)) else { return false };
    let is_leap = || year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    day >= 1 && day <= *length && (month != 2 || day < 29 || is_leap())
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; `None` if there is no such date.
#[inline]
pub(crate) fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    if !is_date(year, month, day) {
        return None;
    }
    // Counted in years that begin in March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

fn naive(local_ms: i64) -> NaiveDateTime {
    chrono::DateTime::from_timestamp_millis(local_ms).unwrap_or_default().naive_utc()
}

fn offset_ms(offset: &impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc()) * SECOND_MS
}

/// The instant of a local time in a zone; see [`parse_timestamp`] for times that exist twice or never.
pub(crate) fn resolve(local_ms: i64, zone: Tz) -> InstantMs {
    let local = naive(local_ms);
    match zone.offset_from_local_datetime(&local) {
        MappedLocalTime::Single(offset) => local_ms - offset_ms(&offset),
        MappedLocalTime::Ambiguous(a, b) => local_ms - offset_ms(&a).max(offset_ms(&b)),
        MappedLocalTime::None => {
            // More than any offset and any gap, so that both sides of the gap are seen.
            let aside = TimeDelta::hours(26);
            let before = offset_ms(&zone.offset_from_utc_datetime(&(local - aside)));
            let after = offset_ms(&zone.offset_from_utc_datetime(&(local + aside)));
            local_ms - before.max(after)
        }
    }
}

/// Remembers the offset of one local hour of one zone: consecutive lines nearly always fall into the same hour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OffsetCache {
    hour: i64,
    offset_ms: i64,
}

impl OffsetCache {
    pub(crate) fn new() -> Self {
        Self { hour: i64::MIN, offset_ms: 0 }
    }

    /// [`resolve`], remembered. A zone's cache must be asked about that zone only.
    pub(crate) fn resolve(&mut self, local_ms: i64, zone: Tz) -> InstantMs {
        let hour = local_ms.div_euclid(HOUR_MS);
        if hour == self.hour {
            return local_ms - self.offset_ms;
        }
        let single = |ms| match zone.offset_from_local_datetime(&naive(ms)) {
            MappedLocalTime::Single(offset) => Some(offset_ms(&offset)),
            _ => None,
        };
        // The same single offset at both ends: no change of clocks lies within this hour.
        let (first, last) = (single(hour * HOUR_MS), single(hour * HOUR_MS + HOUR_MS - 1));
        if let (Some(first), Some(last)) = (first, last)
            && first == last
        {
            *self = Self { hour, offset_ms: first };
            return local_ms - first;
        }
        resolve(local_ms, zone)
    }
}

/// A date without a year, as RFC 3164 sends it, placed in the year that brings it nearest to `near_ms`.
pub(crate) fn resolve_yearless(
    (month, day, ms_of_day): (u8, u8, i64),
    near_ms: InstantMs,
    zone: Tz,
) -> Option<InstantMs> {
    use chrono::Datelike;
    let year = i64::from(zone.from_utc_datetime(&naive(near_ms)).year());
    let in_year =
        |y| Some(resolve(days_since_epoch(y, month.into(), day.into())? * DAY_MS + ms_of_day, zone));
    // Eight years around reach a 29 February from anywhere (1900 and 2100 are not leap years).
    (year - 8..=year + 8).filter_map(in_year).min_by_key(|ms| ms.abs_diff(near_ms))
}
