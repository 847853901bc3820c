//! `time_intervals:` of a rule file, in Alertmanager's form.
//!
//! ```yaml
//! time_intervals:
//!   - name: office
//!     time_intervals:
//!       - {times: [{start_time: 09:00, end_time: 17:30}], weekdays: ['monday:friday'], location: Asia/Shanghai}
//! ```
//! Refuses to know: rules, what the hours are good for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::fields::{self, Fields, Text};
use super::group::list;
use super::keys;
use super::node::{Content, Entry, Node};
use super::report::Report;
use crate::hours::Interval;

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The intervals of a file by name.
pub(super) type Intervals = BTreeMap<String, Vec<Interval>>;

pub(super) fn read(entry: &Entry, report: &mut Report<'_>) -> Intervals {
    let mut all = Intervals::new();
    for node in list(entry, report) {
        let Some(fields) = Fields::of(node, "a time interval", report) else { continue };
        fields.only(keys::TIME_INTERVAL, report);
        let name = fields.need("name", report).and_then(|entry| fields::text(entry, report));
        let items = fields.need("time_intervals", report).map(|entry| list(entry, report));
        let mut intervals = Vec::new();
        for node in items.unwrap_or_default() {
            let fields = Fields::of(node, "an interval", report);
            intervals.extend(fields.and_then(|fields| interval(fields, report)));
        }
        let Some(name) = name else { continue };
        if all.insert(name.text.to_owned(), intervals).is_some() {
            report.error(
                name.at,
                format!("time interval `{}` is in this file already; names are unique", name.text),
            );
        }
    }
    all
}

/// Names of the intervals of a file and where each stands.
pub(super) fn places(file: Fields<'_>) -> Vec<(String, usize)> {
    let Some(Content::List(items)) = file.entry("time_intervals").map(|entry| &entry.value.content) else {
        return Vec::new();
    };
    let named = items.iter().filter_map(|item| match &item.content {
        Content::Map(entries) => entries.iter().find(|entry| entry.key == "name").map(|entry| &entry.value),
        _ => None,
    });
    let place = |node: &Node| match &node.content {
        Content::Scalar { text, .. } => Some((text.clone(), node.at)),
        _ => None,
    };
    named.filter_map(place).collect()
}

fn interval(fields: Fields<'_>, report: &mut Report<'_>) -> Option<Interval> {
    fields.only(keys::INTERVAL, report);
    let zone = match fields.entry("location") {
        Some(entry) => zone(fields::text(entry, report)?, report),
        None => Some(chrono_tz::UTC),
    };
    let times = times(&fields, report);
    let weekdays =
        ranges(&fields, "weekdays", "`monday` or `monday:friday`", &|text| named(text, &WEEKDAYS), report);
    let month = |text: &str| match text.parse() {
        Ok(n @ 1..=12) => Some(n),
        Ok(_) => None,
        Err(_) => named(text, &MONTHS).map(|n| n + 1),
    };
    let months = ranges(&fields, "months", "`may`, `5` or `january:march`", &month, report);
    let year = |text: &str| text.parse::<u32>().ok().filter(|year| (1970..=9_999).contains(year));
    let years = ranges(&fields, "years", "`2026` or `2026:2028`", &year, report);
    let days_of_month = days_of_month(&fields, report);
    let year = |range: RangeInclusive<u32>| *range.start() as i32..=*range.end() as i32;
    Some(Interval {
        zone: zone?,
        times: times?,
        weekdays: weekdays?,
        days_of_month: days_of_month?,
        months: months?,
        years: years?.into_iter().map(year).collect(),
    })
}

fn zone(name: Text<'_>, report: &mut Report<'_>) -> Option<chrono_tz::Tz> {
    let zone = name.text.parse().ok();
    if zone.is_none() {
        let message = format!("there is no time zone `{}`; write it as in Asia/Shanghai", name.text);
        report.error(name.at, message);
    }
    zone
}

fn named(text: &str, names: &[&str]) -> Option<u32> {
    let at = names.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    u32::try_from(at).ok()
}

/// The texts of a list of `from:to` (or one value), with where each stands.
fn pairs<'a>(entry: &'a Entry, report: &mut Report<'_>) -> Option<Vec<(Text<'a>, &'a str, &'a str)>> {
    let texts = fields::texts(entry, report)?;
    if texts.is_empty() {
        report.error(entry.value.at, format!("`{}` is empty; remove it, or name some", entry.key));
        return None;
    }
    let pair = |text: Text<'a>| {
        let (from, to) = text.text.split_once(':').unwrap_or((text.text, text.text));
        (text, from.trim(), to.trim())
    };
    Some(texts.into_iter().map(pair).collect())
}

fn ranges(
    fields: &Fields<'_>,
    key: &str,
    form: &str,
    number: &dyn Fn(&str) -> Option<u32>,
    report: &mut Report<'_>,
) -> Option<Vec<RangeInclusive<u32>>> {
    let Some(entry) = fields.entry(key) else { return Some(Vec::new()) };
    let mut all = Vec::new();
    for (text, from, to) in pairs(entry, report)? {
        match (number(from), number(to)) {
            (Some(from), Some(to)) if from <= to => all.push(from..=to),
            (Some(_), Some(_)) => {
                report.error(text.at, format!("`{}` ends before it begins; write two ranges", text.text));
                return None;
            }
            _ => {
                report.error(text.at, format!("`{}` is not of `{key}`; they are written {form}", text.text));
                return None;
            }
        }
    }
    Some(all)
}

fn days_of_month(fields: &Fields<'_>, report: &mut Report<'_>) -> Option<Vec<(i32, i32)>> {
    let Some(entry) = fields.entry("days_of_month") else { return Some(Vec::new()) };
    let mut all = Vec::new();
    let day = |text: &str| text.parse::<i32>().ok().filter(|day| (1..=31).contains(&day.abs()));
    for (text, from, to) in pairs(entry, report)? {
        match (day(from), day(to)) {
            (Some(from), Some(to)) if (from < 0) != (to < 0) || from <= to => all.push((from, to)),
            (Some(_), Some(_)) => {
                report.error(text.at, format!("`{}` ends before it begins; write two ranges", text.text));
                return None;
            }
            _ => {
                let form = "`1:5`, or from the end of the month `-3:-1`";
                report.error(
                    text.at,
                    format!("`{}` is not of `days_of_month`; they are written {form}", text.text),
                );
                return None;
            }
        }
    }
    Some(all)
}

fn times(fields: &Fields<'_>, report: &mut Report<'_>) -> Option<Vec<(u32, u32)>> {
    let Some(entry) = fields.entry("times") else { return Some(Vec::new()) };
    let mut all = Vec::new();
    for node in list(entry, report) {
        let range = Fields::of(node, "a time of day", report)?;
        range.only(keys::TIMES, report);
        let mut minute = |key: &str| {
            let text = range.need(key, report).and_then(|entry| fields::text(entry, report))?;
            let found = minute(text.text);
            if found.is_none() {
                report.error(
                    text.at,
                    format!("`{}` is not a time of day; write it as in 09:30, up to 24:00", text.text),
                );
            }
            found
        };
        let (from, to) = (minute("start_time"), minute("end_time"));
        let (from, to) = (from?, to?);
        if from >= to {
            report
                .error(node.at, "the time of day ends before it begins; write two, to 24:00 and from 00:00");
            return None;
        }
        all.push((from, to));
    }
    if all.is_empty() {
        report.error(entry.value.at, "`times` is empty; remove it, or name some");
        return None;
    }
    Some(all)
}

fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
    let (hour, minute) = (two(hour)?, two(minute)?);
    (hour < 24 && minute < 60 || hour == 24 && minute == 0).then_some(hour * 60 + minute)
}
