//! What a test expects, held against the settled alerts.
//!
//! At an instant and an alert name that an expectation names, the pending and firing alerts of that name must be just
//! the expected ones: an alert that nobody expected there is a failure too. Refuses to know: records, rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use record::InstantMs;
use rules::{Alert, Placed, RuleError, RuleInfo, TestCase, TestExpect, TestState as State};

use super::Failure;
use super::spec::Instants;

/// One expectation with its instant.
struct Want<'a> {
    at_ms: InstantMs,
    expect: &'a TestExpect,
}

/// All expectations of a test.
pub(super) struct Wanted<'a>(Vec<Want<'a>>);

impl<'a> Wanted<'a> {
    /// `Err` holds every fault: alerts, labels and annotations that there are not, instants that cannot be read.
    pub(super) fn of(
        test: &'a TestCase,
        file: &str,
        instants: Instants<'_>,
        rules: &[RuleInfo],
    ) -> Result<Self, Vec<RuleError>> {
        let (mut wanted, mut faults) = (Vec::new(), Vec::new());
        for expect in &test.expect {
            faults.extend(unknown_names(expect, file, rules));
            match instants.read(&expect.at) {
                Ok(at_ms) => wanted.push(Want { at_ms, expect }),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self(wanted)) } else { Err(faults) }
    }

    /// The last instant that is asked about.
    pub(super) fn last_ms(&self) -> InstantMs {
        self.0.iter().map(|want| want.at_ms).max().unwrap_or_default()
    }

    /// Everything that is not as expected.
    pub(super) fn failures(&self, alerts: &[Arc<Alert>], zone: Tz) -> Vec<Failure> {
        let mut failures: Vec<Failure> =
            self.0.iter().filter_map(|want| want.failure(alerts, zone)).collect();
        let mut asked: Vec<(InstantMs, &str)> =
            self.0.iter().map(|want| (want.at_ms, want.expect.alert.value.as_str())).collect();
        asked.sort_unstable();
        asked.dedup();
        for (at_ms, name) in asked {
            for alert in alerts.iter().filter(|alert| is_called(alert, name)) {
                let state = state_at(alert, at_ms);
                let on = matches!(state, State::Pending | State::Firing);
                if on && !self.0.iter().any(|want| want.at_ms == at_ms && want.concerns(alert)) {
                    failures.push(Failure {
                        about: (at_ms, format!("at {} {name}", time(at_ms, zone))),
                        text: format!("at {}: not expected: {}", time(at_ms, zone), show(alert, state)),
                        expected: Vec::new(),
                        found: vec![show(alert, state)],
                    });
                }
            }
        }
        failures.sort_by(|a, b| a.about.cmp(&b.about));
        failures
    }
}

/// What an expectation names and no alert can have: it would never hold, or hold for the wrong reason.
fn unknown_names(expect: &TestExpect, file: &str, rules: &[RuleInfo]) -> Vec<RuleError> {
    let Some(rule) = rules.iter().find(|rule| *rule.alert == *expect.alert.value) else {
        let known = || rules.iter().map(|rule| &*rule.alert);
        let hint = rules::did_you_mean(&expect.alert.value, known());
        let list = || format!("; known: {}", known().collect::<Vec<_>>().join(", "));
        let hint = if hint.is_empty() { list() } else { hint };
        return vec![expect.alert.fault(file, format!("no rule is called `{}`{hint}", expect.alert.value))];
    };
    let labels = || {
        let by = rule.by.iter().map(|name| &**name);
        by.chain(rule.labels.keys().map(String::as_str)).chain(["alertname"])
    };
    let annotations = || rule.annotations.keys().map(String::as_str);
    let mut faults = Vec::new();
    for (name, text) in expect.labels.iter().filter(|(name, _)| labels().all(|known| known != *name)) {
        let hint = rules::did_you_mean(name, labels());
        faults.push(text.fault(file, format!("alerts of `{}` have no label `{name}`{hint}", rule.alert)));
    }
    for (name, text) in expect.annotations.iter().filter(|(name, _)| annotations().all(|n| n != *name)) {
        let hint = rules::did_you_mean(name, annotations());
        faults.push(text.fault(file, format!("`{}` has no annotation `{name}`{hint}", rule.alert)));
    }
    faults
}

impl Want<'_> {
    /// Whether the expectation speaks of this alert.
    fn concerns(&self, alert: &Alert) -> bool {
        let has = |(name, wanted): (&String, &Placed<String>)| {
            alert.labels.get(name).map_or("", String::as_str) == wanted.value
        };
        is_called(alert, &self.expect.alert.value) && self.expect.labels.iter().all(has)
    }

    fn failure(&self, alerts: &[Arc<Alert>], zone: Tz) -> Option<Failure> {
        let concerned: Vec<(&Alert, State)> = alerts
            .iter()
            .filter(|alert| self.concerns(alert))
            .map(|alert| (&**alert, state_at(alert, self.at_ms)))
            .collect();
        let is_on = |state: State| matches!(state, State::Pending | State::Firing);
        let on: Vec<&(&Alert, State)> = concerned.iter().filter(|(_, state)| is_on(*state)).collect();
        let holds = match self.expect.state {
            State::None => on.is_empty(),
            State::Resolved => {
                on.is_empty() && concerned.iter().any(|(alert, s)| *s == State::Resolved && self.tells(alert))
            }
            state => on.iter().any(|(alert, s)| *s == state && self.tells(alert)),
        };
        if holds {
            return None;
        }
        let found: Vec<String> = concerned
            .iter()
            .filter(|(_, state)| *state != State::None)
            .map(|(alert, state)| self.show_found(alert, *state))
            .collect();
        let instead = if found.is_empty() { "nothing".to_owned() } else { found.join("; ") };
        let expected = self.show();
        Some(Failure {
            about: (self.at_ms, format!("at {} {}", time(self.at_ms, zone), self.expect.alert.value)),
            text: format!("at {}: expected {expected}, found {instead}", time(self.at_ms, zone)),
            expected: vec![expected],
            found,
        })
    }

    /// Whether the annotations are as expected.
    fn tells(&self, alert: &Alert) -> bool {
        let told =
            |(name, text): (&String, &Placed<String>)| alert.annotations.get(name) == Some(&text.value);
        self.expect.annotations.iter().all(told)
    }

    fn show(&self) -> String {
        let TestExpect { alert, state, labels, annotations, .. } = self.expect;
        let plain = |placed: &'_ BTreeMap<String, Placed<String>>| -> BTreeMap<String, String> {
            placed.iter().map(|(name, text)| (name.clone(), text.value.clone())).collect()
        };
        format!("{}{} {}{}", alert.value, braces(&plain(labels)), state.name(), braces(&plain(annotations)))
    }

    /// An alert as it was, with those annotations that were asked for.
    fn show_found(&self, alert: &Alert, state: State) -> String {
        let asked = self.expect.annotations.keys();
        let told: BTreeMap<&String, &String> =
            asked.filter_map(|name| alert.annotations.get_key_value(name)).collect();
        format!("{}{}", show(alert, state), braces(&told))
    }
}

fn is_called(alert: &Alert, name: &str) -> bool {
    alert.labels.get("alertname").is_some_and(|called| called == name)
}

/// What an episode is in at an instant, by the settled verdicts.
fn state_at(alert: &Alert, at_ms: InstantMs) -> State {
    let ended = alert.ended_ms.is_some_and(|ended| ended <= at_ms);
    let fired = alert.fired_ms.is_some_and(|fired| fired <= at_ms);
    match (alert.active_ms <= at_ms, ended, fired) {
        (false, _, _) | (true, true, false) => State::None,
        (true, true, true) => State::Resolved,
        (true, false, true) => State::Firing,
        (true, false, false) => State::Pending,
    }
}

fn show(alert: &Alert, state: State) -> String {
    let labels: BTreeMap<&String, &String> =
        alert.labels.iter().filter(|(name, _)| *name != "alertname").collect();
    let name = alert.labels.get("alertname").map_or("", String::as_str);
    format!("{name}{} {}", braces(&labels), state.name())
}

/// `{a="x", b="y"}`, or nothing.
fn braces<K: std::fmt::Display, V: std::fmt::Display>(pairs: &BTreeMap<K, V>) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let shown: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={:?}", value.to_string())).collect();
    format!("{{{}}}", shown.join(", "))
}

fn time(instant_ms: InstantMs, zone: Tz) -> String {
    dashboards::times::full(instant_ms, zone)
}
