//! Time intervals in Alertmanager's form: when, by the clock of a place, something is meant.
//!
//! An interval holds at an instant when each part that it names (times of day, weekdays, days of the month, months,
//! years) holds there by local time; a name holds when one of its intervals does. Refuses to know: YAML, rules.

use std::ops::RangeInclusive;

use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc,
};
use record::InstantMs;

const DAY_MINUTES: u32 = 24 * 60;
/// No log has later instants: about the year 73,000.
const END_OF_TIME: InstantMs = 1 << 51;
/// Stretches looked through for the next change: beyond it it is asked for again there.
const STRETCHES_MAX: usize = 64;

/// One interval. An empty part does not restrict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) zone: chrono_tz::Tz,
    /// Minutes of the day, the end excluded.
    pub(crate) times: Vec<(u32, u32)>,
    /// 0 is Sunday.
    pub(crate) weekdays: Vec<RangeInclusive<u32>>,
    /// From 1; negative from the end of the month, -1 the last.
    pub(crate) days_of_month: Vec<(i32, i32)>,
    pub(crate) months: Vec<RangeInclusive<u32>>,
    pub(crate) years: Vec<RangeInclusive<i32>>,
}

impl Interval {
    fn has_day(&self, day: NaiveDate) -> bool {
        let any = |list: &[RangeInclusive<u32>], n: u32| {
            list.is_empty() || list.iter().any(|range| range.contains(&n))
        };
        any(&self.weekdays, day.weekday().num_days_from_sunday())
            && any(&self.months, day.month())
            && (self.years.is_empty() || self.years.iter().any(|range| range.contains(&day.year())))
            && (self.days_of_month.is_empty() || self.has_day_of_month(day))
    }

    fn has_day_of_month(&self, day: NaiveDate) -> bool {
        let len = i32::from(day.num_days_in_month());
        let from_end = |n: i32| if n < 0 { len + n + 1 } else { n };
        let n = day.day() as i32;
        // An end before the month begins is as in Alertmanager: none of it.
        self.days_of_month.iter().any(|&(from, to)| (from_end(from)..=from_end(to)).contains(&n))
    }

    fn has(&self, local: NaiveDateTime) -> bool {
        let minute = local.hour() * 60 + local.minute();
        let in_time =
            self.times.is_empty() || self.times.iter().any(|&(from, to)| minute >= from && minute < to);
        in_time && self.has_day(local.date())
    }

    /// Whether it holds at an instant, and until when that is sure not to change.
    fn stretch(&self, at: InstantMs) -> (bool, InstantMs) {
        let Some(utc) = DateTime::<Utc>::from_timestamp_millis(at) else { return (false, END_OF_TIME) };
        let offset = |utc: DateTime<Utc>| self.zone.offset_from_utc_datetime(&utc.naive_utc()).fix();
        let local = utc.with_timezone(&self.zone).naive_local();
        let minute = local.hour() * 60 + local.minute();
        let borders = self.times.iter().flat_map(|&(from, to)| [from, to]).filter(|border| *border > minute);
        let border = if self.has_day(local.date()) { borders.min() } else { None };
        let border = border.unwrap_or(DAY_MINUTES).min(DAY_MINUTES);
        let next = match NaiveTime::from_hms_opt(border / 60, border % 60, 0) {
            Some(time) => Some(local.date().and_time(time)),
            None => local.date().checked_add_days(Days::new(1)).map(|day| day.and_time(NaiveTime::MIN)),
        };
        let Some(next) = next else { return (false, END_OF_TIME) };
        let until = at + (next - local).num_milliseconds();
        (self.has(local), self.first_shift(at, until, &offset))
    }

    /// Where the zone's offset changes between two instants less than two days apart; the second if it does not.
    fn first_shift(
        &self,
        at: InstantMs,
        until: InstantMs,
        offset: &dyn Fn(DateTime<Utc>) -> chrono::FixedOffset,
    ) -> InstantMs {
        let of = |ms: InstantMs| DateTime::<Utc>::from_timestamp_millis(ms).map(offset);
        let here = of(at);
        if of(until) == here {
            return until;
        }
        let (mut same, mut other) = (at, until);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if of(middle) == here { same = middle } else { other = middle }
        }
        other
    }
}

/// The intervals of the names that a rule gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hours {
    pub(crate) names: Vec<String>,
    pub(crate) intervals: Vec<Interval>,
}

impl Hours {
    /// Whether one of the intervals holds at an instant, and until when that is sure not to change.
    fn stretch(&self, at: InstantMs) -> (bool, InstantMs) {
        let mut all = (false, END_OF_TIME);
        for (holds, until) in self.intervals.iter().map(|interval| interval.stretch(at)) {
            all = (all.0 || holds, all.1.min(until));
        }
        all
    }

    /// Whether the window of `steps` buckets that ends with bucket `s` is inside as a whole, and the first bucket
    /// after `s` for which that may be otherwise.
    pub(crate) fn of_window(&self, s: i64, steps: i64, unit_ms: i64) -> (bool, i64) {
        let (from, to) = ((s - steps + 1) * unit_ms, (s + 1) * unit_ms);
        let (mut at, mut outside) = (from, None);
        for _ in 0..STRETCHES_MAX {
            let (holds, until) = self.stretch(at);
            match (holds, outside) {
                // Inside so far, and the first bucket that is not.
                (false, None) if at >= to => return (true, at.div_euclid(unit_ms)),
                (false, _) => outside = Some(until),
                // The last that is outside is over: the first window that begins after it.
                (true, Some(end)) if until >= to => return (false, Self::after(end, steps, unit_ms)),
                (true, _) => {}
            }
            if until >= END_OF_TIME {
                return (outside.is_none(), END_OF_TIME / unit_ms);
            }
            at = until;
        }
        match outside {
            Some(end) => (false, Self::after(end, steps, unit_ms).max(s + 1)),
            None if at >= to => (true, at.div_euclid(unit_ms).max(s + 1)),
            None => (self.contain(at, to), s + 1),
        }
    }

    /// The last bucket of the first window that begins at or after an instant.
    fn after(at: InstantMs, steps: i64, unit_ms: i64) -> i64 {
        (at + unit_ms - 1).div_euclid(unit_ms) + steps - 1
    }

    /// Whether all of `[from, to)` is inside.
    fn contain(&self, from: InstantMs, to: InstantMs) -> bool {
        let mut at = from;
        while at < to {
            let (holds, until) = self.stretch(at);
            if !holds {
                return false;
            }
            at = until;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: chrono_tz::Tz, times: &[(u32, u32)]) -> Hours {
        let interval = Interval {
            zone,
            times: times.to_vec(),
            weekdays: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
        };
        Hours { names: Vec::new(), intervals: vec![interval] }
    }

    fn ms(text: &str) -> InstantMs {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    #[test]
    fn windows_over_midnight_and_clock_changes() {
        let night = hours(chrono_tz::UTC, &[(22 * 60, 24 * 60), (0, 6 * 60)]);
        assert!(night.contain(ms("2026-01-01T22:00:00Z"), ms("2026-01-02T06:00:00Z")));
        assert!(!night.contain(ms("2026-01-01T21:59:59Z"), ms("2026-01-02T06:00:00Z")));
        assert!(!night.contain(ms("2026-01-01T22:00:00Z"), ms("2026-01-02T06:00:01Z")));
        // Clocks go from 02:00 to 03:00 at 01:00 UTC: 01:30 to 04:00 is one hour and a half.
        let berlin = hours(chrono_tz::Europe::Berlin, &[(90, 240)]);
        assert!(berlin.contain(ms("2026-03-29T00:30:00Z"), ms("2026-03-29T02:00:00Z")));
        assert!(!berlin.contain(ms("2026-03-29T00:30:00Z"), ms("2026-03-29T02:00:01Z")));
        // From 03:00 back to 02:00 at 01:00 UTC: 02:30 to 03:00 comes twice.
        let twice = hours(chrono_tz::Europe::Berlin, &[(150, 180)]);
        assert!(twice.contain(ms("2026-10-25T00:30:00Z"), ms("2026-10-25T01:00:00Z")));
        assert!(!twice.contain(ms("2026-10-25T00:59:00Z"), ms("2026-10-25T01:31:00Z")));
        assert!(twice.contain(ms("2026-10-25T01:30:00Z"), ms("2026-10-25T02:00:00Z")));
    }

    #[test]
    fn the_next_change_is_never_missed() {
        let half = 1_800_000;
        for hours in [
            hours(chrono_tz::Europe::Berlin, &[(90, 240), (600, 630)]),
            hours(chrono_tz::Asia::Shanghai, &[(0, 1), (1_380, 1_440)]),
            hours(chrono_tz::UTC, &[]),
        ] {
            for steps in [1, 3] {
                let first = ms("2026-10-24T00:00:00Z") / half;
                let inside = |s: i64| hours.contain((s - steps + 1) * half, (s + 1) * half);
                for s in first..first + 100 {
                    let (is_inside, next) = hours.of_window(s, steps, half);
                    assert_eq!(is_inside, inside(s), "{s}");
                    assert!(next > s);
                    assert!((s..next.min(s + 200)).all(|s| inside(s) == is_inside), "{s} {next}");
                }
            }
        }
    }
}
