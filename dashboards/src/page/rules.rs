//! The rules: each in one line with its state, its numbers and what is wrong with it; filtered by words and state.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono_tz::Tz;
use record::InstantMs;
use rules::{AlertState, RuleCost};
use serde::Deserialize;
use sinks::alert_book::AlertBook;

use super::alert_view::level_of;
use super::{Chrome, render};
use crate::rules_view::RuleRow;
use crate::{App, text, times};

/// Rules on the page.
const ROWS_MAX: usize = 1_000;
/// The states as the filter offers them.
const STATES: [&str; 6] = ["firing", "pending", "inactive", "live", "shadow", "trouble"];
/// More than one record in so many late: worth a look.
const LATE_SHARE: u64 = 20;

/// The filter as sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    /// Words that all must be found; `name=value` looks at a label, or at `kind`, `group`, `file`.
    pub(crate) q: String,
    /// One of [`STATES`]; empty: any.
    pub(crate) state: String,
}

#[derive(Template)]
#[template(path = "rules.html")]
struct RulesPage {
    chrome: Chrome,
    filter: Filter,
    states: Vec<(&'static str, bool)>,
    fault: String,
    total: usize,
    firing: usize,
    pending: usize,
    shadow: usize,
    trouble: usize,
    shown: usize,
    found: usize,
    groups: Vec<GroupView>,
    judged: String,
}

struct GroupView {
    name: String,
    file: String,
    rows: Vec<RuleLine>,
}

/// One rule, ready for a template.
pub(crate) struct RuleLine {
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) kind: &'static str,
    pub(crate) summary: String,
    pub(crate) severity: String,
    pub(crate) level: &'static str,
    /// All labels but `severity`.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) shadow: bool,
    pub(crate) firing: usize,
    pub(crate) pending: usize,
    /// `firing`, `pending` or `inactive`.
    pub(crate) state: &'static str,
    pub(crate) last_fired: String,
    pub(crate) matched: String,
    pub(crate) late: String,
    pub(crate) late_bad: bool,
    pub(crate) dropped: String,
    pub(crate) dropped_bad: bool,
    /// Time for each record that concerns it; empty: not measured yet.
    pub(crate) cost: String,
    /// Its part of what all rules take; empty: not measured yet.
    pub(crate) cost_share: String,
    /// What is wrong with it; empty: nothing.
    pub(crate) trouble: String,
    pub(crate) silent: bool,
}

/// What the alert book says of one rule.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) firing: usize,
    pub(crate) pending: usize,
    pub(crate) last_fired_ms: Option<InstantMs>,
}

/// What the alert book says of each rule, by name.
pub(crate) fn seen(book: &AlertBook) -> HashMap<String, Seen> {
    let mut seen: HashMap<String, Seen> = HashMap::new();
    for alert in book.live().iter().chain(&book.resolved()) {
        let Some(name) = alert.labels.get("alertname") else { continue };
        if !seen.contains_key(name) {
            seen.insert(name.clone(), Seen::default());
        }
        let Some(of) = seen.get_mut(name) else { continue };
        of.firing += usize::from(alert.state == AlertState::Firing);
        of.pending += usize::from(alert.state == AlertState::Pending);
        of.last_fired_ms = of.last_fired_ms.max(alert.fired_ms);
    }
    seen
}

impl RuleLine {
    /// `total_ns`: what all rules take together.
    pub(crate) fn new(rule: &RuleRow<'_>, seen: &Seen, total_ns: u64, now_ms: InstantMs, zone: Tz) -> Self {
        let (info, counts) = (&rule.info, &rule.counts);
        let severity = info.labels.get("severity").cloned().unwrap_or_default();
        let dropped = counts.keys_dropped + counts.things_dropped + counts.thing_records_dropped;
        let late_bad = counts.late > 0 && counts.late >= counts.matched / LATE_SHARE;
        let last_fired = match seen.last_fired_ms {
            Some(at_ms) if times::date(at_ms, zone) == times::date(now_ms, zone) => {
                times::date_free(at_ms, zone)
            }
            Some(at_ms) => times::seconds(at_ms, zone),
            None => String::new(),
        };
        let own_ns = rule.cost.total_ns();
        let share = own_ns as f64 * 100.0 / total_ns.max(1) as f64;
        Self {
            name: info.alert.to_string(),
            href: text::percent_encoded(&info.alert),
            kind: info.kind,
            summary: info.summary.clone(),
            level: level_of(&severity),
            severity,
            labels: pairs(info.labels.iter().filter(|(name, _)| *name != "severity")),
            shadow: info.shadow,
            firing: seen.firing,
            pending: seen.pending,
            state: match (seen.firing, seen.pending) {
                (1.., _) => "firing",
                (_, 1..) => "pending",
                _ => "inactive",
            },
            last_fired,
            matched: text::grouped(counts.matched),
            late: text::grouped(counts.late),
            late_bad,
            dropped: text::grouped(dropped),
            dropped_bad: dropped > 0,
            cost: rule.cost.ns_per_match().map(nanoseconds).unwrap_or_default(),
            cost_share: if own_ns > 0 { format!("{share:.0} %") } else { String::new() },
            trouble: trouble(dropped, late_bad),
            silent: counts.matched == 0,
        }
    }
}

fn trouble(dropped: u64, late_bad: bool) -> String {
    match (dropped, late_bad) {
        (1.., _) => format!("{} dropped at its bound", text::grouped(dropped)),
        (_, true) => "many records come late".to_owned(),
        _ => String::new(),
    }
}

/// `820 ns`, `1.3 µs`, `2.0 ms`.
pub(crate) fn nanoseconds(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}

/// Names and values for a template.
pub(crate) fn pairs<'a>(map: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<(String, String)> {
    map.map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl Filter {
    fn fits(&self, rule: &RuleRow<'_>, row: &RuleLine) -> bool {
        let in_state = match self.state.as_str() {
            "" => true,
            "firing" => row.firing > 0,
            "pending" => row.pending > 0,
            "inactive" => row.state == "inactive",
            "live" => !row.shadow,
            "shadow" => row.shadow,
            _ => !row.trouble.is_empty(),
        };
        in_state && self.q.split_whitespace().all(|word| has_word(rule, word))
    }
}

/// Whether a word of the filter says something of a rule.
fn has_word(rule: &RuleRow<'_>, word: &str) -> bool {
    let info = &rule.info;
    if let Some((name, value)) = word.split_once('=') {
        return match name {
            "kind" => info.kind == value,
            "group" => *info.group == *value,
            "file" => info.file.ends_with(value),
            "alert" | "alertname" => *info.alert == *value,
            _ => info.labels.get(name).is_some_and(|known| known == value),
        };
    }
    let word = word.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&word);
    has(&info.alert)
        || has(&info.group)
        || has(info.kind)
        || has(&info.summary)
        || info.labels.values().any(|value| has(value))
}

pub(crate) async fn list(State(app): State<App>, Query(filter): Query<Filter>) -> Response {
    let deps = &app.deps;
    let (now_ms, zone) = ((deps.clock)(), deps.zone);
    let (now, seen) = ((deps.rules)(), seen(&deps.book));
    let known = filter.state.is_empty() || STATES.contains(&filter.state.as_str());
    let fault = if known {
        String::new()
    } else {
        format!("\"{}\" is no state: {}", filter.state, STATES.join(", "))
    };
    let total_ns: u64 = now.costs.iter().map(RuleCost::total_ns).sum();
    let nothing = Seen::default();
    let mut page = RulesPage {
        chrome: Chrome::new(&app, "rules", 1, "Rules"),
        states: STATES.iter().map(|state| (*state, filter.state == *state)).collect(),
        fault,
        total: now.infos.len(),
        firing: 0,
        pending: 0,
        shadow: 0,
        trouble: 0,
        shown: 0,
        found: 0,
        groups: Vec::new(),
        judged: now.watermark_ms.map(|at_ms| times::seconds(at_ms, zone)).unwrap_or_default(),
        filter,
    };
    for rule in now.rows() {
        let rule = &rule;
        let of = seen.get(&*rule.info.alert).unwrap_or(&nothing);
        let row = RuleLine::new(rule, of, total_ns, now_ms, zone);
        page.firing += usize::from(row.firing > 0);
        page.pending += usize::from(row.pending > 0);
        page.shadow += usize::from(row.shadow);
        page.trouble += usize::from(!row.trouble.is_empty());
        if !known || !page.filter.fits(rule, &row) {
            continue;
        }
        page.found += 1;
        if page.shown < ROWS_MAX {
            page.shown += 1;
            page.add(rule, row);
        }
    }
    render(if known { StatusCode::OK } else { StatusCode::BAD_REQUEST }, &page)
}

impl RulesPage {
    /// Rules come in file order: those of a group stand together.
    fn add(&mut self, rule: &RuleRow<'_>, row: RuleLine) {
        let (name, file) = (&*rule.info.group, &*rule.info.file);
        match self.groups.last_mut() {
            Some(last) if last.name == name && last.file == file => last.rows.push(row),
            _ => {
                let (name, file) = (name.to_owned(), file.to_owned());
                self.groups.push(GroupView { name, file, rows: vec![row] });
            }
        }
    }
}
