//! An explanation as people read it: the answer first, then its numbers.
//!
//! Refuses to know: where it comes from.

use std::io::{self, Write};

use chrono_tz::Tz;
use dashboards::times;
use record::InstantMs;
use rules::{EpisodeTimes, Explanation, NameState, NamedAlert, SeenKey, State};

use super::pairs;
use crate::output::visible;
use crate::progress_bar::grouped;

/// Buckets that are shown, the last ones.
const BUCKETS_MAX: usize = 30;
/// Orders and values that are shown.
const LISTED_MAX: usize = 3;
/// Alerts of a name that are shown.
const ALERTS_MAX: usize = 5;
/// Things that are shown.
const THINGS_MAX: usize = 12;
/// Keys that are shown.
const KEYS_MAX: usize = 40;
const BAR_CELLS: u64 = 40;
/// Characters of a line that are shown.
const LINE_CHARS_MAX: usize = 84;

struct Page<'a, W> {
    out: &'a mut W,
    zone: Tz,
}

/// Writes it.
///
/// # Errors
/// The output cannot be written.
pub(super) fn explanation(
    told: &Explanation,
    seen: &[SeenKey],
    zone: Tz,
    out: &mut impl Write,
) -> io::Result<()> {
    let key: Vec<String> = told.key.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let who = format!("{} {}", told.alert, key.join(" "));
    writeln!(out, "{} {}", visible(who.trim_end()), visible(&told.text))?;
    let mut page = Page { out, zone };
    page.state(told)?;
    page.numbers(told)?;
    page.gates(told)?;
    page.names(told)?;
    page.buckets(told)?;
    page.things(told)?;
    page.samples(told)?;
    if told.matches == 0 {
        page.never_seen(told, seen)?;
    }
    Ok(())
}

impl<W: Write> Page<'_, W> {
    fn line(&mut self, name: &str, text: &str) -> io::Result<()> {
        if text.is_empty() { Ok(()) } else { writeln!(self.out, "  {name:<11} {}", visible(text)) }
    }

    fn time(&self, at: InstantMs) -> String {
        times::full(at, self.zone)
    }

    fn state(&mut self, told: &Explanation) -> io::Result<()> {
        let state = match told.state {
            State::Inactive => "inactive",
            State::Pending => "pending",
            State::Firing => "firing",
        };
        let decided = if told.decided { "" } else { ", not decided: the records end before" };
        self.line("at", &format!("{} ({}): {state}{decided}", self.time(told.at), self.zone))?;
        if told.may_be_older {
            self.line(
                "reading",
                "began while this alert was on: it may be older; --from reads further back",
            )?;
        }
        for (name, times) in [("this alert", &told.episode), ("before", &told.before), ("after", &told.after)]
        {
            if let Some(times) = times {
                self.line(name, &self.episode(times))?;
            }
        }
        if let Some(start) = told.history_start {
            self.line("history", &format!("of this rule starts at {}", self.time(start)))?;
        }
        Ok(())
    }

    fn episode(&self, times: &EpisodeTimes) -> String {
        let fired = match times.fired_at {
            Some(at) if at == times.active_at => "fired at once".to_owned(),
            Some(at) => format!("fired {}", self.time(at)),
            None => "not fired".to_owned(),
        };
        let ended = times.ended_at.map_or("still on".to_owned(), |at| format!("ended {}", self.time(at)));
        format!("active from {}, {fired}, {ended}", self.time(times.active_at))
    }

    fn numbers(&mut self, told: &Explanation) -> io::Result<()> {
        let reason = &told.reason;
        self.line("verdict", &reason.text)?;
        let thresholds: Vec<String> =
            reason.thresholds.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let row = reason.threshold_row.as_ref().map_or_else(String::new, |row| format!("; row {row}"));
        self.line("threshold", &format!("{}{row}", thresholds.join(", ")))?;
        if let Some(window) = told.window {
            let records = match told.records.len() {
                0 => String::new(),
                n => format!(", {} records of the key", grouped(n as u64)),
            };
            let last = self.time(window.until - 1);
            self.line("window", &format!("{} to {last}{records}", self.time(window.from)))?;
        }
        let is_of_things = !told.things.is_empty();
        if reason.distinct_count > 0 && !is_of_things {
            let listed = listed(&reason.distinct);
            self.line("distinct", &format!("{}: {listed}", reason.distinct_count))?;
        }
        if reason.orders_count > 0 {
            let money = reason.amount.as_ref().map_or_else(String::new, |sum| format!(", {sum} at risk"));
            let orders = listed(&reason.orders);
            self.line("orders", &format!("{}{money}: {orders}", reason.orders_count))?;
        }
        Ok(())
    }

    fn gates(&mut self, told: &Explanation) -> io::Result<()> {
        for gate in &told.gates {
            let text = format!("{}: {}", gate.gate, gate.text);
            self.line("held by", &text)?;
        }
        Ok(())
    }

    /// What a composite looked at.
    fn names(&mut self, told: &Explanation) -> io::Result<()> {
        if told.names.is_empty() {
            return Ok(());
        }
        let is = if told.active { "true" } else { "false" };
        self.line("expression", &format!("{} is {is}", told.expr))?;
        for name in &told.names {
            writeln!(self.out, "    {}", visible(&self.name(name)))?;
            for alert in name.alerts.iter().take(ALERTS_MAX) {
                writeln!(self.out, "      {}", visible(&self.named_alert(alert)))?;
            }
            let hidden = name.alerts_count.saturating_sub(ALERTS_MAX as u64);
            if hidden > 0 {
                writeln!(self.out, "      {hidden} more: --json")?;
            }
        }
        Ok(())
    }

    fn name(&self, name: &NameState) -> String {
        let since = name
            .since
            .map_or("has not fired in what was read".to_owned(), |at| format!("since {}", self.time(at)));
        let is = if name.holds { "true " } else { "false" };
        format!("{is}  {}  {since}", name.name)
    }

    fn named_alert(&self, alert: &NamedAlert) -> String {
        let state = match alert.state {
            State::Inactive => "over",
            State::Pending => "pending",
            State::Firing => "firing",
        };
        let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        let (labels, text) = (labels.join(" "), &alert.text);
        [state, &labels, &self.episode(&alert.times), text].map(str::trim).join("  ")
    }

    fn buckets(&mut self, told: &Explanation) -> io::Result<()> {
        let buckets = &told.reason.buckets;
        if buckets.is_empty() {
            return Ok(());
        }
        self.line("counts", &format!("in {} buckets, empty ones left out", buckets.len()))?;
        let hidden = buckets.len().saturating_sub(BUCKETS_MAX);
        if hidden > 0 {
            writeln!(self.out, "    {hidden} earlier ones: --json")?;
        }
        let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1).max(1);
        for bucket in &buckets[hidden..] {
            let cells =
                usize::try_from((bucket.count * BAR_CELLS).div_ceil(most.max(BAR_CELLS))).unwrap_or(0);
            let bar = "#".repeat(cells);
            writeln!(self.out, "    {}  {:>7}  {bar}", times::seconds(bucket.at, self.zone), bucket.count)?;
        }
        Ok(())
    }

    fn things(&mut self, told: &Explanation) -> io::Result<()> {
        if told.things.is_empty() {
            return Ok(());
        }
        let bad = told.things.iter().filter(|thing| thing.bad).count();
        self.line("things", &format!("{bad} bad at this instant"))?;
        for thing in told.things.iter().take(THINGS_MAX) {
            let mark = if thing.bad { "bad" } else { "   " };
            let (from, until) = (self.time(thing.from), self.time(thing.until));
            writeln!(self.out, "    {mark}  {from} to {until}  {}", visible(&thing.thing))?;
        }
        let hidden = told.things.len().saturating_sub(THINGS_MAX);
        if hidden > 0 { writeln!(self.out, "    {hidden} more: --json") } else { Ok(()) }
    }

    fn samples(&mut self, told: &Explanation) -> io::Result<()> {
        if told.reason.samples.is_empty() {
            return Ok(());
        }
        self.line("lines", "the last that counted, with their positions")?;
        for sample in &told.reason.samples {
            let is_long = sample.line.chars().count() > LINE_CHARS_MAX;
            let line: String = sample.line.chars().take(LINE_CHARS_MAX).collect();
            let more = if is_long { "..." } else { "" };
            writeln!(self.out, "    {:>8}  {}{more}", sample.lsn, visible(&line))?;
        }
        Ok(())
    }

    fn never_seen(&mut self, told: &Explanation, seen: &[SeenKey]) -> io::Result<()> {
        let near = told.did_you_mean.as_ref().map_or(String::new(), |key| format!("; did you mean {key}?"));
        let (name, what) = if told.names.is_empty() {
            ("no match", "of this key in all that was read")
        } else {
            ("no alert", "of the named rules has this combination in all that was read")
        };
        self.line(name, &format!("{what}{near}"))?;
        let keys: Vec<String> = seen.iter().filter(|key| key.matches > 0).map(pairs).collect();
        let keys: Vec<String> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        self.line("keys seen", &listed(&keys))
    }
}

/// The first of them, and how many more there are.
fn listed(texts: &[String]) -> String {
    let more = texts.len().saturating_sub(LISTED_MAX);
    let first = texts.iter().take(LISTED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first}, and {more} more") } else { first }
}

/// The keys that had a match, for somebody who named none.
///
/// # Errors
/// The output cannot be written.
pub(super) fn keys(
    seen: &[SeenKey],
    rule: &str,
    json: bool,
    zone: Tz,
    out: &mut impl Write,
) -> io::Result<()> {
    if json {
        for key in seen {
            writeln!(out, "{}", serde_json::to_string(key)?)?;
        }
        return Ok(());
    }
    writeln!(out, "{rule} tells keys apart: name one of them. {} had a match", seen.len())?;
    for key in seen.iter().take(KEYS_MAX) {
        let (last, n) = (times::full(key.last, zone), grouped(key.matches));
        let named = pairs(key);
        let named = if named.is_empty() { "(all null)".to_owned() } else { visible(&named) };
        writeln!(out, "  {n:>9} matches, last {last}  {named}")?;
    }
    let hidden = seen.len().saturating_sub(KEYS_MAX);
    if hidden > 0 { writeln!(out, "  and {hidden} more: --json") } else { Ok(()) }
}
