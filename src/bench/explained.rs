//! An explanation of the engine in the words and rows of the page.
//!
//! Refuses to know: how it was found.

use chrono_tz::Tz;
use dashboards::{ExplainAnswer, times};
use rules::{EpisodeTimes, Explanation, NameState, NamedAlert, State};

use crate::backtest::Cut;

/// Alerts of a name listed.
const ALERTS_MAX: usize = 5;
/// Things listed.
const THINGS_MAX: usize = 20;

/// The answer as the page shows it, instants in the platform's zone.
pub(super) fn answer(told: Explanation, cut: Option<Cut>, zone: Tz) -> ExplainAnswer {
    let facts = facts(&told, cut, zone);
    let state = match told.state {
        State::Inactive => "inactive",
        State::Pending => "pending",
        State::Firing => "firing",
    };
    let on = told.episode;
    let sentence = format!("{} {}.", told.alert, told.text);
    let mut gates: Vec<String> = told.gates.into_iter().map(|gate| gate.text).collect();
    // A single one stands in the sentence.
    if gates.len() == 1 && gates.iter().all(|gate| sentence.contains(gate)) {
        gates.clear();
    }
    ExplainAnswer {
        sentence,
        state: state.to_owned(),
        labels: told.labels,
        reason: told.reason,
        gates,
        active_ms: on.as_ref().map(|episode| episode.active_at),
        fired_ms: on.as_ref().and_then(|episode| episode.fired_at),
        ended_ms: on.as_ref().and_then(|episode| episode.ended_at),
        history_start_ms: told.history_start,
        facts,
    }
}

fn facts(told: &Explanation, cut: Option<Cut>, zone: Tz) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| facts.push((name.to_owned(), value));
    if cut.is_some() {
        let why = "there is more of it than one question may read: what follows is of the first part of it";
        add("Not all was read", why.to_owned());
    }
    if !told.decided {
        add("Not settled yet", "the numbers are those of the last instant that is".to_owned());
    }
    if told.may_be_older {
        add("Perhaps older", "the alert was on already where the reading began".to_owned());
    }
    for name in &told.names {
        add(&name.name, named(name, zone));
    }
    if let Some(looked) = &told.window {
        let (from, until) = (times::full(looked.from, zone), times::full(looked.until, zone));
        add("Window", format!("{from} until {until}"));
    }
    for thing in told.things.iter().take(THINGS_MAX) {
        let (from, until) = (times::full(thing.from, zone), times::full(thing.until, zone));
        let is = if thing.bad { "bad" } else { "not bad then" };
        add(&thing.thing, format!("{is}: {from} until {until}"));
    }
    if told.things.len() > THINGS_MAX {
        add("Further things", (told.things.len() - THINGS_MAX).to_string());
    }
    if let Some(before) = &told.before {
        add("The alert before", episode(before, zone));
    }
    if let Some(after) = &told.after {
        add("The alert after", episode(after, zone));
    }
    let what =
        if told.names.is_empty() { "Matches of this key read" } else { "Alerts of this combination read" };
    add(what, told.matches.to_string());
    if let Some(lsns) = told.records.first().zip(told.records.last()) {
        add("Their positions", format!("LSN {} to {}, {} of them", lsns.0, lsns.1, told.records.len()));
    }
    add("Other keys with a match", told.other_keys.to_string());
    if let Some(key) = &told.did_you_mean {
        add("Did you mean", key.clone());
    }
    facts
}

/// A name of a composite's expression: what it is, since when, and by which alerts.
fn named(name: &NameState, zone: Tz) -> String {
    let is = if name.holds { "true" } else { "false" };
    let since = match name.since {
        Some(since) => format!(" since {}", times::full(since, zone)),
        None => ": it has not fired in what was read".to_owned(),
    };
    let alert = |alert: &NamedAlert| {
        let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        format!("; {{{}}} {}: {}", labels.join(", "), episode(&alert.times, zone), alert.text)
    };
    let alerts: String = name.alerts.iter().take(ALERTS_MAX).map(alert).collect();
    let hidden = name.alerts_count.saturating_sub(ALERTS_MAX as u64);
    let more = if hidden > 0 { format!("; and {hidden} more") } else { String::new() };
    format!("{is}{since}{alerts}{more}")
}

fn episode(episode: &EpisodeTimes, zone: Tz) -> String {
    let active = times::full(episode.active_at, zone);
    let fired = match episode.fired_at {
        Some(fired_at) => format!("fired {}", times::full(fired_at, zone)),
        None => "never fired".to_owned(),
    };
    let ended = match episode.ended_at {
        Some(ended_at) => format!("ended {}", times::full(ended_at, zone)),
        None => "did not end in what was read".to_owned(),
    };
    format!("active since {active}, {fired}, {ended}")
}
