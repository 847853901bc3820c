//! What a composite looked at: for each name of its expression whether it holds for the combination, since when, and
//! by which alerts.
//!
//! Told from the settled alerts of the named rules alone, as the definition has it. Refuses to know: how those came.

use std::sync::Arc;

use hashbrown::HashMap;
use record::InstantMs;

use super::SEEN_MAX;
use crate::Alert;
use crate::engine::join_key;
use crate::engine::state::RuleState;
use crate::explanation::{EpisodeTimes, NameState, NamedAlert, State};

/// Alerts of one name that are listed.
const LISTED_MAX: usize = 100;

/// The settled alerts of the rules that a composite names, by name.
pub(super) struct Named<'a> {
    by_name: Vec<(&'a str, Vec<&'a Alert>)>,
    on: &'a [Arc<str>],
}

/// Where an alert is at an instant.
pub(super) fn state_at(alert: &Alert, at_ms: InstantMs) -> State {
    let is_on = alert.active_ms <= at_ms && alert.ended_ms.is_none_or(|ended| ended > at_ms);
    match alert.fired_ms {
        _ if !is_on => State::Inactive,
        Some(fired) if fired <= at_ms => State::Firing,
        _ => State::Pending,
    }
}

/// Times of an alert.
pub(super) fn times(alert: &Alert) -> EpisodeTimes {
    EpisodeTimes { active_at: alert.active_ms, fired_at: alert.fired_ms, ended_at: alert.ended_ms }
}

impl<'a> Named<'a> {
    /// Those of a composite; nothing of other kinds.
    pub(super) fn of(state: &'a RuleState, alerts: &'a [Arc<Alert>]) -> Option<Self> {
        let composite = state.composite()?;
        let mut by_name: Vec<(&str, Vec<&Alert>)> =
            composite.names.iter().map(|name| (&**name, Vec::new())).collect();
        for alert in alerts {
            let name = alert.labels.get("alertname").map_or("", String::as_str);
            if let Some((_, own)) = by_name.iter_mut().find(|(known, _)| *known == name) {
                own.push(alert);
            }
        }
        Some(Self { by_name, on: &state.settings.by })
    }

    /// The combination that an alert has: a label that it lacks is empty.
    fn combination(&self, alert: &'a Alert) -> Vec<&'a str> {
        self.on.iter().map(|label| alert.labels.get(&**label).map_or("", String::as_str)).collect()
    }

    /// Alerts that a combination has, and when the last of them began, by key.
    pub(super) fn seen(&self) -> HashMap<Box<[u8]>, (u64, InstantMs)> {
        let mut seen = HashMap::new();
        for alert in self.by_name.iter().flat_map(|(_, alerts)| alerts) {
            let texts: Vec<String> = self.combination(alert).into_iter().map(str::to_owned).collect();
            let key = join_key(&texts);
            let has_room = seen.len() < SEEN_MAX || seen.contains_key(&*key);
            if has_room {
                let (count, last) = seen.entry(key).or_insert((0, alert.active_ms));
                (*count, *last) = (*count + 1, alert.active_ms.max(*last));
            }
        }
        seen
    }

    /// The first pending or firing instant of any alert that has the combination.
    pub(super) fn judged_from(&self, key: &[&str]) -> Option<InstantMs> {
        let all = self.by_name.iter().flat_map(|(_, alerts)| alerts);
        all.filter(|alert| self.combination(alert) == key).map(|alert| alert.active_ms).min()
    }

    /// Each name at an instant.
    pub(super) fn at(&self, key: &[&str], at_ms: InstantMs) -> Vec<NameState> {
        let of_name = |(name, alerts): &(&str, Vec<&'a Alert>)| {
            let own = alerts.iter().copied().filter(|alert| self.combination(alert) == key).collect();
            name_state(name, own, at_ms)
        };
        self.by_name.iter().map(of_name).collect()
    }
}

fn name_state(name: &str, mut alerts: Vec<&Alert>, at_ms: InstantMs) -> NameState {
    alerts.sort_by_key(|alert| alert.fired_ms);
    // Stretches in which at least one alert fires, up to the instant.
    let mut stretch: Option<(InstantMs, Option<InstantMs>)> = None;
    for alert in &alerts {
        let Some(fired) = alert.fired_ms.filter(|&fired| fired <= at_ms) else { continue };
        let goes_on = |(_, until): &(InstantMs, Option<InstantMs>)| until.is_none_or(|until| fired <= until);
        stretch = match stretch.filter(goes_on) {
            Some((from, until)) => Some((from, until.zip(alert.ended_ms).map(|(a, b)| a.max(b)))),
            None => Some((fired, alert.ended_ms)),
        };
    }
    let holds = stretch.is_some_and(|(_, until)| until.is_none_or(|until| at_ms < until));
    let since = stretch.and_then(|(from, until)| if holds { Some(from) } else { until });
    let mut shown: Vec<&Alert> =
        alerts.iter().copied().filter(|alert| state_at(alert, at_ms) != State::Inactive).collect();
    let is_over = |alert: &&&Alert| alert.ended_ms.is_some_and(|ended| ended <= at_ms);
    if shown.is_empty() {
        shown.extend(alerts.iter().filter(is_over).max_by_key(|alert| (alert.ended_ms, alert.active_ms)));
    }
    shown.sort_by(|a, b| (a.active_ms, &a.labels).cmp(&(b.active_ms, &b.labels)));
    let alerts_count = shown.len() as u64;
    shown.truncate(LISTED_MAX);
    let told = |alert: &Alert| NamedAlert {
        labels: alert.labels.clone(),
        state: state_at(alert, at_ms),
        times: times(alert),
        text: alert.reason.text.clone(),
    };
    NameState {
        name: name.to_owned(),
        holds,
        since,
        alerts: shown.into_iter().map(told).collect(),
        alerts_count,
    }
}
