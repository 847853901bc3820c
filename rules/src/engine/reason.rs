//! Why a verdict is what it is, in numbers and in words.
//!
//! Refuses to know: whether the alert is early or settled, and who reads it.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use record::{Decimal, InstantMs};

use super::lines::Lines;
use super::recent::Match;
use super::run::{Run, RunRule};
use super::state::{Memory, RuleState, Shape};
use super::window::{Decides, Tally, Window};
use crate::condition::duration::show_duration as duration;
use crate::rule::{Bounds, Kind, bounds};
use crate::{Bucket, Reason, Sample};

/// Orders and distinct values listed.
pub(super) const LISTED_MAX: usize = 100;
/// Matches looked through for orders and money; with more the numbers are at least so much.
pub(super) const MATCHES_MAX: usize = 10_000;
/// Matches in a row from before the window (by more than the lateness) after which none inside is expected.
pub(super) const OUTSIDE_MAX: usize = 64;
/// Buckets listed.
const BUCKETS_MAX: usize = 600;

/// Text of a value or order as people see it.
pub(super) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl RuleState {
    /// Whether the numbers at an instant are worse than those of a reason.
    pub(super) fn is_worse(&self, slot: u32, at: InstantMs, told: &Reason) -> bool {
        let count = self.measure(slot, at);
        match self.shape_at(slot, at) {
            // As many alerts, and more behind them.
            Shape::Composite if count == told.count => {
                let mut now = Reason::default();
                self.tell_affected(self.shown_matches(slot, at), &Lines::default(), &mut now);
                let money = |reason: &Reason| reason.amount.as_deref().and_then(|sum| money(sum.as_bytes()));
                (now.orders_count, money(&now)) > (told.orders_count, money(told))
            }
            Shape::Window(window @ Window { decides: Decides::Aggregate(rule), .. }) => {
                let Some(Memory::Tally(tally)) = self.keys.get(slot).map(|key| &key.memory) else {
                    return false;
                };
                let (from, to) = self.range(window, tally, at);
                let (Some(measured), _) = rule.measure(tally, from, to) else { return false };
                let told = told.value.as_deref().map(Decimal::from_str_exact);
                let Some(Ok(told)) = told else { return false };
                // Both as they are shown: an average is rounded.
                let Ok(now) = Decimal::from_str_exact(&measured.show()) else { return false };
                if rule.is_below(&measured) { now < told } else { now > told }
            }
            Shape::Window(window @ Window { decides: Decides::Ratio(rule), .. }) => {
                let Some(Memory::Tally(tally)) = self.keys.get(slot).map(|key| &key.memory) else {
                    return false;
                };
                let (from, to) = self.range(window, tally, at);
                let (total, part) = tally.shares(from, to, self.frontier);
                rule.is_worse((part, total), told.value.as_deref().unwrap_or_default())
            }
            Shape::Window(window @ Window { decides: Decides::Spike(rule), .. }) => {
                let Some(Memory::Tally(tally)) = self.keys.get(slot).map(|key| &key.memory) else {
                    return false;
                };
                let levels = rule.levels(tally, at.div_euclid(window.unit_ms), self.frontier);
                rule.is_worse(&levels, &told.value.clone().unwrap_or_else(|| told.count.to_string()))
            }
            Shape::Window(Window { decides: Decides::Flatline(_), .. }) => count < told.count,
            Shape::Window(Window { decides: Decides::Cardinality { min, .. }, .. }) => {
                if min.is_some_and(|min| count >= min) { count > told.count } else { count < told.count }
            }
            _ => count > told.count,
        }
    }

    /// The number that is compared, at an instant.
    fn measure(&self, slot: u32, at: InstantMs) -> u64 {
        match (self.keys.get(slot).map(|key| &key.memory), self.shape_at(slot, at)) {
            (Some(Memory::Tally(tally)), Shape::Window(window)) => {
                let (from, to) = self.range(window, tally, at);
                if let Decides::Cardinality { .. } = window.decides {
                    return tally.values().map_or(0, |held| held.count(from, to));
                }
                let inside = tally.counts.iter(self.frontier).filter(|&(b, _)| b >= from && b <= to);
                inside.map(|(_, count)| u64::from(count)).sum()
            }
            (Some(Memory::Run(run)), Shape::Run(rule)) => run.matches_at(rule, at).len() as u64,
            (Some(Memory::Bad(bad)), _) => bad.count_at(at),
            (Some(Memory::Mix(mix)), _) => mix.at(at).count() as u64,
            _ => 0,
        }
    }

    /// First and last bucket of the window by which a bucket is (or is not) active.
    pub(super) fn range(&self, window: Window, tally: &Tally, at: InstantMs) -> (i64, i64) {
        let s = at.div_euclid(window.unit_ms);
        let end = window.active_end(tally, s, self.frontier).unwrap_or_else(|| s.div_euclid(window.step));
        let first = end - window.steps + 1;
        (first * window.step, s.min((end + 1) * window.step - 1))
    }

    /// The numbers as they are at an instant.
    pub(super) fn reason(&self, slot: u32, at: InstantMs, lines: &Lines) -> Reason {
        let shape = self.shape_at(slot, at);
        let row = self.thresholds.row_at(slot, self.judged_ms(at));
        let mut reason = Reason {
            thresholds: self.own_thresholds(shape),
            threshold_row: row.map(|(number, row)| format!("{number} ({})", row.place)),
            ..Reason::default()
        };
        match (self.keys.get(slot).map(|key| &key.memory), shape) {
            (Some(Memory::Tally(tally)), Shape::Window(window)) => {
                self.window_reason(window, tally, at, &mut reason);
            }
            (Some(Memory::Run(run)), Shape::Run(rule)) => self.run_reason(rule, run, at, &mut reason),
            (Some(Memory::Mix(mix)), _) => self.mix_reason(mix, at, &mut reason),
            (Some(Memory::Bad(bad)), Shape::Things(rule)) => self.things_reason(rule, bad, at, &mut reason),
            _ => return reason,
        }
        self.tell_affected(self.shown_matches(slot, at), lines, &mut reason);
        reason
    }

    /// The matches that a reason shows at an instant, newest first or in no order.
    pub(super) fn shown_matches(&self, slot: u32, at: InstantMs) -> Vec<Match<'_>> {
        match (self.keys.get(slot).map(|key| &key.memory), self.shape_at(slot, at)) {
            (Some(Memory::Tally(tally)), Shape::Window(window)) => {
                let (from, to) = self.range(window, tally, at);
                self.matches_between(slot, from * window.unit_ms, (to + 1) * window.unit_ms - 1)
            }
            (Some(Memory::Run(run)), Shape::Run(rule)) => {
                let times = run.matches_at(rule, at);
                let (first, last) = (times.first().copied(), times.last().copied());
                self.matches_between(slot, first.unwrap_or(at), last.unwrap_or(at))
            }
            (Some(Memory::Mix(mix)), _) => {
                self.composite().map_or_else(Vec::new, |composite| mix.met_at(&composite.expr, at))
            }
            (Some(Memory::Bad(bad)), Shape::Things(rule)) => self.things_matches(rule, (slot, bad), at),
            _ => Vec::new(),
        }
    }

    fn window_reason(&self, window: Window, tally: &Tally, at: InstantMs, reason: &mut Reason) {
        let (from, to) = self.range(window, tally, at);
        let inside = tally.counts.iter(self.frontier).filter(|&(b, _)| b >= from && b <= to);
        let mut buckets: Vec<Bucket> = Vec::new();
        for (bucket, count) in inside {
            let start = bucket.div_euclid(window.step) * window.step * window.unit_ms;
            reason.count += u64::from(count);
            match buckets.last_mut() {
                Some(last) if last.at == start => last.count += u64::from(count),
                _ => buckets.push(Bucket { at: start, count: u64::from(count) }),
            }
        }
        let is_whole = buckets.len() as i64 == window.steps;
        let least = buckets.iter().map(|bucket| bucket.count).min().filter(|_| is_whole).unwrap_or_default();
        reason.buckets = buckets.split_off(buckets.len().saturating_sub(BUCKETS_MAX));
        if let Some(held) = tally.values() {
            let mut values: Vec<String> = held.ids(from, to).map(|id| shown(self.values.text(id))).collect();
            reason.distinct_count = values.len() as u64;
            values.sort_unstable();
            values.truncate(LISTED_MAX);
            reason.distinct = values;
        }
        (reason.kind, reason.text) = self.window_words(window, tally, (from, to), least, reason);
    }

    /// What `distinct` adds to the words.
    fn besides(&self, window: Window, reason: &Reason) -> String {
        match window.distinct.filter(|_| window.decides == Decides::Count) {
            Some(distinct) => {
                let (seen, min, name) = (reason.distinct_count, distinct.min, &self.settings.distinct_name);
                let each = if distinct.per_step { " in each step" } else { "" };
                format!("; {seen} distinct {name} of at least {min}{each}")
            }
            None => String::new(),
        }
    }

    /// The kind and its numbers in words; `least`: matches of the bucket that has fewest.
    fn window_words(
        &self,
        window: Window,
        tally: &Tally,
        (from, to): (i64, i64),
        least: u64,
        reason: &mut Reason,
    ) -> (String, String) {
        let besides = self.besides(window, reason);
        let count = reason.count;
        match self.settings.kind {
            Kind::Any { resolve_after_ms } => {
                ("any".into(), format!("{count} in the last {}", duration(resolve_after_ms)))
            }
            Kind::Sustained { every_ms, within_ms, .. } => {
                let (every, within, need) = (duration(every_ms), duration(within_ms), window.count);
                let text =
                    format!("at least {least} in each {every} of {within}, of at least {need}{besides}");
                ("sustained".into(), text)
            }
            Kind::Frequency { within_ms, .. } => {
                let text =
                    format!("{count} in {} of at least {}{besides}", duration(within_ms), window.count);
                ("frequency".into(), text)
            }
            Kind::Cardinality { within_ms, .. } => {
                ("cardinality".into(), self.cardinality_reason(window, within_ms, reason))
            }
            Kind::Ratio { within_ms, .. } => {
                let (total, part) = tally.shares(from, to, self.frontier);
                let mut words = String::new();
                if let Decides::Ratio(rule) = window.decides {
                    let value;
                    (value, reason.thresholds, words) = rule.tell(part, total);
                    reason.value = Some(value);
                }
                ("ratio".into(), format!("{words} in {}", duration(within_ms)))
            }
            Kind::Aggregate { within_ms, .. } => {
                let words = self.aggregate_reason(window, tally, (from, to), reason);
                ("aggregate".into(), format!("{words} in {}", duration(within_ms)))
            }
            Kind::Flatline { within_ms, .. } => {
                reason.thresholds = [("count".to_owned(), window.count.to_string())].into();
                (
                    "flatline".into(),
                    format!("{count} in {}, fewer than {}", duration(within_ms), window.count),
                )
            }
            Kind::Spike { spike, within_ms } => {
                let mut words = String::new();
                if let Decides::Spike(rule) = window.decides {
                    let levels = rule.levels(tally, to, self.frontier);
                    (words, reason.thresholds) = rule.tell(&spike, &levels, within_ms);
                    reason.value = rule.is_of_sum.then(|| levels.current.show());
                }
                if reason.value.is_some() {
                    words.insert_str(0, &format!("sum of {} ", self.settings.field_name));
                }
                ("spike".into(), words)
            }
            Kind::Consecutive { .. } | Kind::Things(_) | Kind::Composite(_) => (String::new(), String::new()),
        }
    }

    fn cardinality_reason(&self, window: Window, within_ms: i64, reason: &mut Reason) -> String {
        let found = reason.distinct_count;
        reason.count = found;
        reason.thresholds = thresholds_met(window.decides, found);
        let named = [("min", "of at least"), ("max", "of at most")];
        let bounds = bounds(named.map(|(name, words)| (words, reason.thresholds.get(name).cloned())));
        format!("{found} distinct {} in {} {bounds}", self.settings.distinct_name, duration(within_ms))
    }

    fn aggregate_reason(
        &self,
        window: Window,
        tally: &Tally,
        (from, to): (i64, i64),
        reason: &mut Reason,
    ) -> String {
        let Decides::Aggregate(rule) = window.decides else { return String::new() };
        let (measured, n) = rule.measure(tally, from, to);
        let met = |beyond: bool, bound: Option<Decimal>| bound.filter(|_| beyond);
        let mut bounds = Bounds {
            below: met(measured.as_ref().is_some_and(|m| rule.is_below(m)), rule.bounds.below),
            above: met(measured.as_ref().is_some_and(|m| rule.is_above(m)), rule.bounds.above),
        };
        if bounds.below.or(bounds.above).is_none() {
            bounds = rule.bounds;
        }
        let named = [
            ("below", bounds.below),
            ("above", bounds.above),
            ("min_total", Some(Decimal::from(rule.min_total))),
        ];
        let texts =
            named.into_iter().filter_map(|(name, n)| Some((name.to_owned(), n?.normalize().to_string())));
        reason.thresholds = texts.collect();
        reason.value = measured.map(|measured| measured.show());
        let value = reason.value.as_deref().unwrap_or("none");
        let (name, field) = (rule.aggregate.name(), &self.settings.field_name);
        format!("{name} of {field} {value} ({n} values) {}", bounds.show())
    }

    fn run_reason(&self, rule: RunRule, run: &Run, at: InstantMs, reason: &mut Reason) {
        let times = run.matches_at(rule, at);
        reason.count = times.len() as u64;
        for &t in &times {
            let start = t.div_euclid(1_000) * 1_000;
            match reason.buckets.last_mut() {
                Some(last) if last.at == start => last.count += 1,
                _ => reason.buckets.push(Bucket { at: start, count: 1 }),
            }
        }
        let (first, last) = (times.first().copied().unwrap_or(at), times.last().copied().unwrap_or(at));
        reason.kind = "consecutive".into();
        reason.text = format!(
            "{} in a row of at least {} within {}",
            reason.count,
            rule.count,
            duration(rule.within_ms)
        );
        if reason.count > 0 {
            let (first, last) = (self.clock_time(first), self.clock_time(last));
            reason.text.push_str(&format!(" ({first} to {last})"));
        }
    }

    /// Time of day as the lines print it.
    fn clock_time(&self, at: InstantMs) -> String {
        let instant = chrono::DateTime::from_timestamp_millis(at);
        instant
            .map(|t| t.with_timezone(&self.settings.zone).format("%H:%M:%S%.3f").to_string())
            .unwrap_or_default()
    }

    fn own_thresholds(&self, shape: Shape) -> BTreeMap<String, String> {
        let (count, distinct) = match shape {
            Shape::Window(_) if matches!(self.settings.kind, Kind::Any { .. }) => return BTreeMap::new(),
            Shape::Window(Window { decides, .. }) if decides != Decides::Count => {
                return BTreeMap::new();
            }
            Shape::Window(window) => (window.count, window.distinct),
            Shape::Run(rule) => (rule.count as u64, None),
            Shape::Things(rule) => (rule.count, None),
            Shape::Composite => return BTreeMap::new(),
        };
        let named = [("count", Some(count)), ("min", distinct.map(|distinct| distinct.min))];
        named.into_iter().filter_map(|(name, n)| n.map(|n| (name.to_owned(), n.to_string()))).collect()
    }

    /// The matches of a key from one instant to another.
    fn matches_between(&self, slot: u32, from_ms: InstantMs, to_ms: InstantMs) -> Vec<Match<'_>> {
        let Some(key) = self.keys.get(slot) else { return Vec::new() };
        let (mut outside, oldest_ms) = (0, from_ms - self.settings.lateness_ms);
        let near = self.recent.of_key(slot, key.last_match).take_while(|found| {
            outside = if found.at < oldest_ms { outside + 1 } else { 0 };
            outside < OUTSIDE_MAX
        });
        near.filter(|found| found.at >= from_ms && found.at <= to_ms).take(MATCHES_MAX).collect()
    }

    /// Orders, money and sample lines of matches.
    fn tell_affected(&self, mut found: Vec<Match<'_>>, lines: &Lines, reason: &mut Reason) {
        found.sort_by_key(|found| (found.at, found.lsn));
        let (mut orders, mut paid, mut amount) = (HashSet::new(), HashSet::new(), None::<Decimal>);
        for found in &found {
            if !found.order.is_empty() && orders.insert(found.order) && reason.orders.len() < LISTED_MAX {
                reason.orders.push(shown(found.order));
            }
            let counts = if self.settings.has_orders { !found.order.is_empty() } else { true };
            let value = money(found.amount).filter(|_| counts);
            if let Some(value) = value
                && (found.order.is_empty() || paid.insert(found.order))
            {
                amount = Some(amount.unwrap_or_default().saturating_add(value));
            }
        }
        reason.orders_count = orders.len() as u64;
        reason.amount = amount.map(|sum| sum.normalize().to_string());
        let newest = found.len().saturating_sub(self.settings.samples);
        let sample = |found: &Match<'_>| Sample {
            lsn: found.lsn,
            at: found.at,
            line: lines.get(found.line).to_owned(),
        };
        reason.samples = found[newest..].iter().map(sample).collect();
    }

    /// Labels of a key's alerts.
    pub(super) fn labels(&self, slot: u32) -> BTreeMap<String, String> {
        let mut labels = self.settings.labels.clone();
        labels.extend(self.key_labels(slot));
        labels.insert("alertname".to_owned(), self.settings.alert.to_string());
        labels
    }

    /// `by` fields of a key; a null one is an absent label.
    pub(super) fn key_labels(&self, slot: u32) -> Vec<(String, String)> {
        let texts = super::fields::split_key(self.keys.bytes(slot), self.settings.by.len());
        let named = self.settings.by.iter().zip(texts);
        let there = named.filter(|(_, text)| !text.is_empty());
        there.map(|(name, text)| (name.to_string(), shown(text))).collect()
    }

    /// The rule's annotations with their places filled in: labels (of which a null `by` field is none), else numbers.
    pub(super) fn annotations(
        &self,
        labels: &BTreeMap<String, String>,
        reason: &Reason,
    ) -> BTreeMap<String, String> {
        let value = |name: &str| labels.get(name).cloned().or_else(|| self.number(name, reason));
        let texts = self.settings.annotations.iter();
        texts.map(|(name, text)| (name.clone(), crate::spec::fill(text, &value))).collect()
    }

    /// A number of the verdict by the name that annotations call it.
    fn number(&self, name: &str, reason: &Reason) -> Option<String> {
        match name {
            "count" => Some(reason.count.to_string()),
            "value" => reason.value.clone().or_else(|| Some(reason.count.to_string())),
            "distinct" => Some(reason.distinct.join(", ")),
            "distinct_count" => Some(reason.distinct_count.to_string()),
            "orders_count" => Some(reason.orders_count.to_string()),
            "amount" => reason.amount.clone(),
            "threshold" => {
                let names = ["count", "min", "max", "below", "above", "factor"];
                names.iter().find_map(|name| reason.thresholds.get(*name)).cloned()
            }
            "within" => Some(duration(self.settings.kind.within_ms())),
            _ => None,
        }
    }
}

/// The bounds that a number meets, by name; both if it meets none.
fn thresholds_met(decides: Decides, found: u64) -> BTreeMap<String, String> {
    let Decides::Cardinality { min, max } = decides else { return BTreeMap::new() };
    let bounds = [
        ("min", min, min.is_some_and(|min| found >= min)),
        ("max", max, max.is_some_and(|max| found <= max)),
    ];
    let none = bounds.iter().all(|(.., met)| !met);
    let named = bounds.into_iter().filter(|(.., met)| *met || none);
    named.filter_map(|(name, bound, _)| bound.map(|bound| (name.to_owned(), bound.to_string()))).collect()
}

fn money(text: &[u8]) -> Option<Decimal> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
    record::ColumnType::Decimal.parse(text).ok()?.as_decimal()
}
