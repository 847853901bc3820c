//! What held a key back, kind by kind, and the sentence that says it.
//!
//! Refuses to know: where records come from, what the rule file looks like.

use record::InstantMs;

use crate::Reason;
use crate::condition::duration::show_duration as duration;
use crate::engine::reason::shown;
use crate::engine::state::{Memory, RuleState, Shape};
use crate::engine::things::ThingRule;
use crate::engine::window::{Decides, Tally, Window};
use crate::explanation::{Explanation, Gate, Looked, NameState, State, ThingSpan};
use crate::rule::{Kind, ThingKind, Things};

/// Steps and things that are listed.
const LISTED_MAX: usize = 100;
/// Names of an expression that a sentence lists.
const NAMES_MAX: usize = 8;
/// Short steps that a sentence names.
const NAMED_MAX: usize = 5;

/// What an instant shows besides its numbers.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) gates: Vec<Gate>,
    pub(super) window: Option<Looked>,
    pub(super) things: Vec<ThingSpan>,
}

fn gate(gate: &'static str, text: impl Into<String>) -> Gate {
    Gate { gate, text: text.into() }
}

impl RuleState {
    /// What a key shows at a decided instant.
    pub(super) fn told(&mut self, slot: u32, at_ms: InstantMs, active: bool, reason: &Reason) -> Told {
        let mut told = Told::default();
        match self.shape_at(slot, at_ms) {
            Shape::Window(window) => {
                let s = at_ms.div_euclid(window.unit_ms);
                let (inside, _) = self.hours(s);
                let Some(Memory::Tally(tally)) = self.keys.get(slot).map(|key| &key.memory) else {
                    return told;
                };
                let (from, to) = self.range(window, tally, at_ms);
                let ms = |bucket: i64| bucket.saturating_mul(window.unit_ms);
                told.window = Some(Looked { from: ms(from), until: ms(to + 1) });
                if !active {
                    told.gates = self.window_gates(&window, tally, s, inside, reason);
                }
            }
            Shape::Run(rule) => {
                told.window = Some(Looked { from: at_ms - rule.within_ms + 1, until: at_ms + 1 });
                if !active {
                    told.gates = vec![gate("count", reason.text.clone())];
                }
            }
            Shape::Things(rule) => {
                told.things = self.spans_near(rule, slot, at_ms);
                if !active {
                    told.gates = self.thing_gates(at_ms, reason);
                }
            }
            // Told from the alerts of the named rules, when all of them are there.
            Shape::Composite => {}
        }
        told
    }

    fn window_gates(
        &self,
        window: &Window,
        tally: &Tally,
        s: i64,
        inside_hours: bool,
        reason: &Reason,
    ) -> Vec<Gate> {
        let mut gates = Vec::new();
        let must_be_covered = matches!(window.decides, Decides::Spike(_) | Decides::Flatline(_));
        if must_be_covered && window.first_covered().is_none_or(|first| s < first) {
            gates.push(self.uncovered(window));
        }
        match window.decides {
            Decides::Count if window.sustained => gates.extend(self.short_steps(window, tally, s, reason)),
            Decides::Count => gates.extend(short(reason, &self.settings.distinct_name)),
            Decides::Ratio(_) | Decides::Aggregate(_) => {
                let needed = reason.thresholds.get("min_total").and_then(|n| n.parse::<u64>().ok());
                let (from, to) = (s - window.steps + 1, s);
                let have = match window.decides {
                    Decides::Aggregate(_) => tally.numbers().map_or(0, |held| u64::from(held.len(from, to))),
                    _ => tally.shares(from, to, self.frontier).0,
                };
                match needed.filter(|needed| have < *needed) {
                    Some(needed) => gates.push(gate("min_total", format!("{have} of at least {needed}"))),
                    None => gates.push(gate("bound", reason.text.clone())),
                }
            }
            Decides::Flatline(rule) => {
                if !inside_hours {
                    gates.push(gate("hours", "the window is not wholly inside the rule's hours"));
                }
                let needed = reason.thresholds.get("count").and_then(|n| n.parse().ok()).unwrap_or(u64::MAX);
                if reason.count >= needed {
                    let within = duration(self.settings.kind.within_ms());
                    gates.push(gate("count", format!("{} in {within}, enough: {needed}", reason.count)));
                } else if !rule.is_expected(tally, s, self.frontier, window.unit_ms) {
                    let ms = rule.forget_after_ms.unwrap_or_default();
                    gates
                        .push(gate("expected", format!("the key had no match in the last {}", duration(ms))));
                }
            }
            Decides::Spike(_) | Decides::Cardinality { .. } if gates.is_empty() => {
                gates.push(gate("bound", reason.text.clone()));
            }
            Decides::Spike(_) | Decides::Cardinality { .. } => {}
        }
        if gates.is_empty() {
            gates.push(gate("count", reason.text.clone()));
        }
        gates
    }

    fn uncovered(&self, window: &Window) -> Gate {
        match (window.start, window.first_covered()) {
            (Some(start), Some(first)) => gate(
                "covered",
                format!(
                    "what it looks at is covered from {} on: history starts at {}",
                    self.time(first.saturating_mul(window.unit_ms)),
                    self.time(start)
                ),
            ),
            _ => gate("covered", "history has not started"),
        }
    }

    /// The steps of `sustained` that have too few, of the window that lacks least.
    fn short_steps(&self, window: &Window, tally: &Tally, s: i64, reason: &Reason) -> Vec<Gate> {
        let needed = reason.thresholds.get("count").and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
        let at = |step: i64| step * window.step * window.unit_ms;
        let lacking = |end: i64| -> Vec<(i64, u64)> {
            let counts = (end - window.steps + 1..=end).map(|step| {
                let last = s.min((step + 1) * window.step - 1);
                (step, tally.counts.sum(step * window.step, last, self.frontier))
            });
            counts.filter(|(_, count)| *count < needed).collect()
        };
        let step = s.div_euclid(window.step);
        let (now, before) = (lacking(step), lacking(step - 1));
        let short_steps = if now.len() < before.len() { now } else { before };
        if short_steps.is_empty() {
            let text = format!(
                "every step has enough, but of {} there are too few: {}",
                self.settings.distinct_name, reason.text
            );
            return vec![gate("distinct", text)];
        }
        let named = short_steps.iter().take(NAMED_MAX);
        let named: Vec<String> = named.map(|(step, n)| format!("{} has {n}", self.time(at(*step)))).collect();
        let more = short_steps.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let text = format!(
            "{} of {} steps have fewer than {needed}: {}{more}",
            short_steps.len(),
            window.steps,
            named.join(", ")
        );
        vec![gate("count", text)]
    }

    fn thing_gates(&self, at_ms: InstantMs, reason: &Reason) -> Vec<Gate> {
        let mut gates = Vec::new();
        if let Kind::Things(Things { kind: ThingKind::NewValue { learn_ms, .. }, .. }) = self.settings.kind {
            let learnt_ms = self.history.start().map(|start| start + learn_ms);
            if learnt_ms.is_none_or(|learnt| at_ms < learnt) {
                let until = learnt_ms.map_or_else(String::new, |at| format!(" until {}", self.time(at)));
                let learn = duration(learn_ms);
                gates.push(gate("learn", format!("it learns for {learn} from history start on{until}")));
            }
        }
        let needed = reason.thresholds.get("count").map_or("1", String::as_str);
        gates.push(gate("count", format!("{}, of at least {needed}", reason.text)));
        gates
    }

    /// When the key's things are bad; those that are bad first, then the nearest.
    fn spans_near(&self, rule: ThingRule, slot: u32, at_ms: InstantMs) -> Vec<ThingSpan> {
        let Some(bad) = self.keys.get(slot).and_then(|key| key.memory.as_bad()) else { return Vec::new() };
        let mut spans: Vec<ThingSpan> = bad
            .spans()
            .map(|(thing, (from, until))| ThingSpan {
                thing: shown(rule.name(self.things.name(thing))),
                from,
                until,
                bad: from <= at_ms && at_ms < until,
            })
            .collect();
        let away = |span: &ThingSpan| (span.from - at_ms).max(at_ms - span.until).max(0);
        spans.sort_by_key(|span| (!span.bad, away(span), span.from, span.thing.clone()));
        spans.truncate(LISTED_MAX);
        spans
    }

    /// Why an expression does not hold, name by name; `from`: since when a combination of labels is judged.
    pub(super) fn members_gate(
        &self,
        expr: &str,
        names: &[NameState],
        at_ms: InstantMs,
        by_labels: bool,
        from: Option<InstantMs>,
    ) -> Gate {
        match from {
            None if by_labels => {
                return gate("members", format!("{expr}: no named alert has had this combination"));
            }
            Some(from) if at_ms < from => {
                let from = self.time(from);
                let text = format!("{expr}: no named alert has had this combination until {from}");
                return gate("members", text);
            }
            _ => {}
        }
        let of_name = |name: &NameState| {
            let is = if name.holds { "true" } else { "false" };
            match name.since {
                Some(since) => format!("{} is {is} since {}", name.name, self.time(since)),
                None => format!("{} is {is}, it has not fired", name.name),
            }
        };
        let told: Vec<String> = names.iter().take(NAMES_MAX).map(of_name).collect();
        let more = names.len().saturating_sub(NAMES_MAX);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        gate("members", format!("{expr} is false: {}{more}", told.join("; ")))
    }

    /// The verdict of the instant is not known.
    pub(super) fn undecided(&self, known_ms: InstantMs) -> Gate {
        gate("undecided", format!("the records end before it; told is the state at {}", self.time(known_ms)))
    }

    /// What waits although the verdict is there, or is kept although it is not.
    pub(super) fn waits(&self, told: &Explanation) -> Vec<Gate> {
        let mut gates = Vec::new();
        let delays = self.settings.delays;
        if let (State::Pending, Some(episode)) = (told.state, &told.episode) {
            let text = format!(
                "active since {}, fires at {} if it stays so (for: {})",
                self.time(episode.active_at),
                self.time(episode.active_at + delays.for_ms),
                duration(delays.for_ms)
            );
            gates.push(gate("for", text));
        }
        if told.state == State::Firing && !told.active && told.decided {
            let until = told.episode.as_ref().and_then(|episode| episode.ended_at);
            let until = until.map_or_else(String::new, |at| format!(", until {}", self.time(at)));
            let kept = duration(delays.keep_firing_for_ms);
            gates.push(gate("keep_firing_for", format!("no longer active, kept on for {kept}{until}")));
        }
        if self.settings.shadow && told.state != State::Inactive {
            gates.push(gate("shadow", "mode: shadow: nobody is told"));
        }
        gates
    }

    /// An instant as the rule's lines write it.
    fn time(&self, at: InstantMs) -> String {
        let instant = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
        instant.with_timezone(&self.settings.zone).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
    }

    /// One sentence.
    pub(super) fn sentence(&self, told: &Explanation) -> String {
        let is_on = told.state != State::Inactive;
        let of_now = |gate: &&Gate| !is_on || !["count", "distinct", "members"].contains(&gate.gate);
        let why: Vec<&str> = told.gates.iter().filter(of_now).map(|gate| gate.text.as_str()).collect();
        match (told.state, &told.episode) {
            (State::Firing, Some(episode)) => {
                let since = self.time(episode.fired_at.unwrap_or(episode.active_at));
                let held = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
                format!("fired at {since}: {}{held}", told.reason.text)
            }
            (State::Pending, _) => {
                format!("did not fire yet, pending: {}; {}", told.reason.text, why.join("; "))
            }
            _ => format!("did not fire: {}", why.join("; ")),
        }
    }
}

/// The numbers that fall short of their thresholds.
fn short(reason: &Reason, distinct_name: &str) -> Vec<Gate> {
    let needed = |name: &str| reason.thresholds.get(name).and_then(|n| n.parse::<u64>().ok());
    let mut gates = Vec::new();
    if let Some(count) = needed("count").filter(|count| reason.count < *count) {
        gates.push(gate("count", format!("{} of at least {count}", reason.count)));
    }
    if let Some(min) = needed("min").filter(|min| reason.distinct_count < *min) {
        let found = reason.distinct_count;
        gates.push(gate("distinct", format!("{found} distinct {distinct_name} of at least {min}")));
    }
    gates
}
