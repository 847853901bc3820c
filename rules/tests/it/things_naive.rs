//! The kinds about single things written down as plainly as they are defined: every instant anew from all records
//! known when it was settled.
//!
//! Shares no code with the engine; the engine must agree with it on random streams (`things.rs`).

use std::collections::BTreeSet;

use crate::naive::{self, Told};

/// A record of a thing, in order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Rec {
    pub(crate) at: i64,
    pub(crate) key: String,
    /// Empty: null.
    pub(crate) thing: String,
    /// `where` holds.
    pub(crate) passes: bool,
    /// First, second, ... condition of the kind holds.
    pub(crate) roles: Vec<bool>,
    /// Value of the field (or fields) that the kind looks at; empty: null.
    pub(crate) value: String,
}

/// What the journal brings: a record or a tick.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) recv: Option<i64>,
    pub(crate) rec: Option<Rec>,
}

/// What makes a thing bad; milliseconds.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Unfinished {
        within: i64,
        skew: i64,
    },
    Sequence {
        steps: usize,
        within: i64,
    },
    Transition {
        allowed: Vec<(&'static str, &'static str)>,
    },
    Mismatch {
        within: i64,
    },
    /// The thing is the value.
    NewValue {
        remember: i64,
        learn: i64,
    },
}

/// A rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    pub(crate) count: usize,
    pub(crate) resolve_after: i64,
    pub(crate) lateness: i64,
    pub(crate) pending_for: i64,
    pub(crate) keep_firing_for: i64,
}

/// The watermark after each arrival.
fn watermarks(rule: &Rule, arrivals: &[Arrival]) -> Vec<i64> {
    let (mut highest, mut base, mut line_recv) = (None::<i64>, i64::MIN / 4, None::<i64>);
    let mut marks = Vec::new();
    for arrival in arrivals {
        if let Some(rec) = &arrival.rec {
            highest = Some(highest.map_or(rec.at, |h| h.max(rec.at)));
            line_recv = arrival.recv.or(line_recv);
            let high = highest.unwrap();
            base = base.max(arrival.recv.map_or(high, |recv| recv.min(high)));
        } else if let Some(recv) = arrival.recv {
            let since = *line_recv.get_or_insert(recv);
            let idle = recv - since >= 10_000;
            let to = if idle { Some(recv) } else { highest.map(|h| h.min(recv)) };
            base = base.max(to.unwrap_or(base));
        }
        marks.push(base - rule.lateness);
    }
    marks
}

/// History start as it is known after each arrival.
fn starts(arrivals: &[Arrival], marks: &[i64]) -> Vec<i64> {
    let (mut lowest, mut decided, mut starts) = (i64::MAX, false, Vec::new());
    for (arrival, mark) in arrivals.iter().zip(marks) {
        if let Some(rec) = arrival.rec.as_ref().filter(|_| !decided) {
            lowest = lowest.min(rec.at);
        }
        decided |= lowest < i64::MAX && *mark >= (lowest.div_euclid(1_000) + 1) * 1_000;
        starts.push(lowest);
    }
    starts
}

/// Keys for which a thing is bad at an instant, from its records (in any order) at or before it.
pub(crate) fn bad(rule: &Rule, recs: &[(usize, &Rec)], t: i64, start: i64) -> BTreeSet<String> {
    let mut past: Vec<&(usize, &Rec)> = recs.iter().filter(|(_, r)| r.at <= t).collect();
    past.sort_by_key(|(lsn, r)| (r.at, *lsn));
    let past: Vec<&Rec> = past.into_iter().map(|(_, r)| *r).collect();
    let lasts = |from: i64| from <= t && t < from + rule.resolve_after;
    match rule.kind {
        Kind::Sequence { steps, within } => {
            let mut keys = BTreeSet::new();
            for (i, first) in past.iter().enumerate().filter(|(_, r)| r.roles[0]) {
                let fits = |last: usize| ends_at(&past, &[i], last, steps);
                let last = (0..past.len())
                    .find(|&l| lasts(past[l].at) && past[l].at - first.at <= within && fits(l));
                keys.extend(last.map(|_| first.key.clone()));
            }
            keys
        }
        Kind::Mismatch { within } => {
            let mut keys = BTreeSet::new();
            for (i, l) in past.iter().enumerate().filter(|(_, r)| r.roles[0]) {
                for (j, r) in past.iter().enumerate().filter(|(_, r)| r.roles[1]) {
                    let near = (l.at - r.at).abs() <= within;
                    if i != j && near && l.value != r.value && lasts(l.at.max(r.at)) {
                        keys.insert(l.key.clone());
                    }
                }
            }
            keys
        }
        Kind::NewValue { remember, learn } => {
            let mut keys = BTreeSet::new();
            for (i, r) in past.iter().enumerate() {
                let seen = past[..i].iter().any(|o| o.key == r.key && o.at > r.at - remember);
                if !seen && r.at >= start + learn && lasts(r.at) {
                    keys.insert(r.key.clone());
                }
            }
            keys
        }
        Kind::Transition { ref allowed } => {
            let with: Vec<&&Rec> = past.iter().filter(|r| !r.value.is_empty()).collect();
            let wrong = |a: &str, b: &str| a != b && !allowed.iter().any(|&(from, to)| from == a && to == b);
            let pairs = with.windows(2).filter(|p| wrong(&p[0].value, &p[1].value) && lasts(p[1].at));
            pairs.map(|p| p[1].key.clone()).collect()
        }
        Kind::Unfinished { within, skew } => {
            let mut open: Option<&Rec> = None;
            for r in &past {
                if open.is_some_and(|s| r.at >= s.at + within + rule.resolve_after) {
                    open = None;
                }
                let finished = |f: &&Rec| f.roles[1] && f.at <= r.at && f.at >= r.at - skew;
                if r.roles[1] {
                    open = None;
                } else if r.roles[0] && open.is_none() && !past.iter().any(finished) {
                    open = Some(r);
                }
            }
            open.filter(|s| lasts(s.at + within)).map(|s| s.key.clone()).into_iter().collect()
        }
    }
}

/// Whether some choice of records that begins as `chosen` does ends with record `last`.
fn ends_at(recs: &[&Rec], chosen: &[usize], last: usize, steps: usize) -> bool {
    let (step, from) = (chosen.len(), chosen[chosen.len() - 1] + 1);
    if step + 1 == steps {
        return last >= from && recs[last].roles[step];
    }
    (from..last)
        .filter(|&i| recs[i].roles[step])
        .any(|i| ends_at(recs, &[chosen, &[i]].concat(), last, steps))
}

/// Instants between which nothing changes.
fn instants(rule: &Rule, recs: &[Rec], marks: &[i64], end: i64) -> Vec<i64> {
    let mut all: BTreeSet<i64> = marks.iter().copied().collect();
    let r = rule.resolve_after;
    for rec in recs {
        let within = match rule.kind {
            Kind::Unfinished { within, .. } | Kind::Sequence { within, .. } => within,
            Kind::Transition { .. } | Kind::Mismatch { .. } | Kind::NewValue { .. } => 0,
        };
        all.extend([0, within, r, within + r].map(|d| rec.at + d));
    }
    let lowest = recs.iter().map(|r| r.at).min().unwrap_or(end);
    all.into_iter().filter(|&t| t >= lowest && t < end).collect()
}

/// Alerts of a rule; with `end` as if a file ended there.
pub(crate) fn alerts(rule: &Rule, arrivals: &[Arrival], end: Option<i64>) -> Vec<Told> {
    alerts_needing(rule, arrivals, end, &|_, _| rule.count, &[])
}

/// The same where the number of bad things needed depends on key and instant, and changes at borders.
pub(crate) fn alerts_needing(
    rule: &Rule,
    arrivals: &[Arrival],
    end: Option<i64>,
    needed: &dyn Fn(&str, i64) -> usize,
    borders: &[i64],
) -> Vec<Told> {
    let marks = watermarks(rule, arrivals);
    let recs: Vec<Rec> = arrivals.iter().filter_map(|a| a.rec.clone()).collect();
    let Some(highest) = recs.iter().map(|r| r.at).max() else { return Vec::new() };
    let end = end.unwrap_or(highest.div_euclid(1_000) * 1_000 + 1_000);
    let starts = starts(arrivals, &marks);
    // Records that are looked at, with their place in the order of arrival.
    let looked_at: Vec<(usize, &Rec)> = arrivals
        .iter()
        .enumerate()
        .filter_map(|(i, a)| Some((i, a.rec.as_ref()?)))
        .filter(|(_, r)| r.passes && !r.thing.is_empty())
        .collect();
    let keys: BTreeSet<&str> = looked_at.iter().map(|(_, r)| r.key.as_str()).collect();
    let things: BTreeSet<&str> = looked_at.iter().map(|(_, r)| r.thing.as_str()).collect();
    let mut instants = instants(rule, &recs, &marks, end);
    let lowest = recs.iter().map(|r| r.at).min().unwrap_or(end);
    instants.extend(borders.iter().filter(|&&at| at >= lowest && at < end));
    instants.sort_unstable();
    instants.dedup();
    // How many things are bad for each key, instant by instant.
    let mut bad_at: Vec<Vec<String>> = Vec::new();
    for &t in &instants {
        let known = marks.iter().position(|&mark| mark > t).unwrap_or(marks.len());
        let mut all = Vec::new();
        for thing in &things {
            let of_thing: Vec<(usize, &Rec)> =
                looked_at.iter().filter(|(i, r)| *i <= known && r.thing == *thing).copied().collect();
            all.extend(bad(rule, &of_thing, t, starts[known.min(starts.len() - 1)]));
        }
        bad_at.push(all);
    }
    let waits = naive::Rule {
        shape: naive::Shape::Any { resolve_after: 0 },
        lateness: rule.lateness,
        pending_for: rule.pending_for,
        keep_firing_for: rule.keep_firing_for,
    };
    let mut told = Vec::new();
    for key in keys {
        let mut activity: Vec<(i64, i64)> = Vec::new();
        for (i, &t) in instants.iter().enumerate() {
            if bad_at[i].iter().filter(|k| *k == key).count() >= needed(key, t) {
                let until = instants.get(i + 1).copied().unwrap_or(end);
                match activity.last_mut() {
                    Some(last) if last.1 == t => last.1 = until,
                    _ => activity.push((t, until)),
                }
            }
        }
        told.extend(naive::life(&waits, key, &activity, end));
    }
    told.sort();
    told
}
