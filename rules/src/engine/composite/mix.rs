//! One combination of a composite: which named alerts are on when, and whether the expression holds.
//!
//! Settled changes come in with their instants and wait until these are decided; all of one instant are applied before
//! judging. Early alerts are laid over them and change nothing that is settled. Refuses to know: labels, rules.

use std::collections::BTreeMap;

use record::InstantMs;

use super::affected::Affected;
use crate::codec::{In, Out, Read};
use crate::engine::recent::Match;
use crate::engine::run::Edge;
use crate::rule::Expr;

/// What became of an alert of a named rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum What {
    /// Settled: active from an instant on.
    Started(InstantMs),
    /// Settled: it fires from an instant on.
    Fired(InstantMs),
    /// Settled: at that instant it was worse than before.
    Grown(InstantMs),
    /// Settled: it is over at an instant.
    Ended(InstantMs),
    /// It is on by an early verdict: since when it is active, and fires.
    Early(InstantMs, Option<InstantMs>),
    /// The early verdict was wrong.
    Withdrawn,
}

/// A named alert: position of the name, place of its key.
pub(in crate::engine) type Of = (u32, u32);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    of: Of,
    /// For people.
    text: String,
    fired: Option<InstantMs>,
    ended: Option<InstantMs>,
    /// Its matches, from an instant on each: ascending.
    met: Vec<(InstantMs, Affected)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Early {
    active: InstantMs,
    fired: Option<InstantMs>,
    text: String,
    met: Affected,
}

/// An alert as its rule tells of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct News<'a> {
    pub(super) of: Of,
    pub(super) what: What,
    /// For people.
    pub(super) text: &'a str,
    /// Its matches, where it begins or grows.
    pub(super) met: Option<&'a Affected>,
}

/// What is known of one combination.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Mix {
    /// Instants before it are decided.
    decided: InstantMs,
    /// Activity just before `decided`.
    active: bool,
    /// It is judged from here on.
    from: Option<InstantMs>,
    /// By name: alerts that are on just before `decided`.
    on: Vec<u32>,
    /// By instant: names and by how much the number of their alerts changes. May be empty: just look.
    changes: BTreeMap<InstantMs, Vec<(u32, i32)>>,
    open: Vec<Open>,
    early: BTreeMap<Of, Early>,
}

impl Mix {
    pub(in crate::engine) fn new(decided: InstantMs, names: usize) -> Self {
        Self {
            decided,
            active: false,
            from: None,
            on: vec![0; names],
            changes: BTreeMap::new(),
            open: Vec::new(),
            early: BTreeMap::new(),
        }
    }

    /// It is judged from an instant on, or from an earlier one already.
    pub(in crate::engine) fn judge_from(&mut self, at: InstantMs) {
        // Of several rules the one that is heard first need not have been on first.
        if self.from.is_none_or(|from| at < from) {
            self.from = Some(at);
            self.changes.entry(at.max(self.decided)).or_default();
        }
    }

    /// Takes what became of an alert.
    pub(super) fn take(&mut self, news: News<'_>, by_alerts: bool) {
        let News { of, what, text, met } = news;
        let (text, known) = (text.to_owned(), met.cloned());
        match what {
            What::Early(active, fired) => {
                let met = known.or_else(|| self.early.remove(&of).map(|early| early.met)).unwrap_or_default();
                self.early.insert(of, Early { active, fired, text, met });
            }
            What::Withdrawn => drop(self.early.remove(&of)),
            What::Started(at) => {
                self.early.remove(&of);
                self.open.push(Open { of, text, fired: None, ended: None, met: Vec::new() });
                if by_alerts {
                    self.judge_from(at);
                }
            }
            What::Fired(at) => {
                if let Some(open) = self.open_mut(of) {
                    open.fired = Some(at);
                    open.met.extend(known.map(|met| (at, met)));
                    self.change(at, of.0, 1);
                }
            }
            What::Grown(at) => {
                if let Some(open) = self.open_mut(of).filter(|open| open.fired.is_some()) {
                    open.met.extend(known.map(|met| (at, met)));
                    self.changes.entry(at.max(self.decided)).or_default();
                }
            }
            What::Ended(at) => {
                let Some(open) = self.open_mut(of) else { return };
                open.ended = Some(at);
                if open.fired.is_some() {
                    self.change(at, of.0, -1);
                }
            }
        }
    }

    fn open_mut(&mut self, of: Of) -> Option<&mut Open> {
        self.open.iter_mut().rev().find(|open| open.of == of && open.ended.is_none())
    }

    fn change(&mut self, at: InstantMs, name: u32, by: i32) {
        self.changes.entry(at.max(self.decided)).or_default().push((name, by));
    }

    /// Decides the instants before `until`.
    pub(in crate::engine) fn decide(&mut self, expr: &Expr, until: InstantMs, edges: &mut Vec<Edge>) {
        let decided = self.decided;
        self.open.retain(|open| open.ended.is_none_or(|ended| ended >= decided));
        for open in &mut self.open {
            let known = open.met.partition_point(|(at, _)| *at <= decided);
            open.met.drain(..known.saturating_sub(1));
        }
        while let Some(entry) = self.changes.first_entry().filter(|entry| *entry.key() < until) {
            let (at, changes) = entry.remove_entry();
            apply(&mut self.on, &changes);
            let active = self.from.is_some_and(|from| from <= at) && holds(expr, &self.on);
            if active != self.active {
                self.active = active;
                edges.push(Edge { at, active, reset: false });
            }
        }
        self.decided = self.decided.max(until);
    }

    /// The first active instant at or after the decided ones, by what is known now; judged from `start`, or from
    /// the first instant of any alert if there is none.
    pub(in crate::engine) fn first_active(&self, expr: &Expr, start: Option<InstantMs>) -> Option<InstantMs> {
        let first = self.early.values().map(|early| early.active).filter(|_| start.is_none());
        let from = first.chain(self.from.or(start)).min()?.max(self.decided);
        let mut all = self.changes.clone();
        for at in [self.decided, from] {
            all.entry(at).or_default();
        }
        for (of, early) in &self.early {
            if let Some(at) = early.fired {
                all.entry(at.max(self.decided)).or_default().push((of.0, 1));
            }
        }
        let mut on = self.on.clone();
        for (at, changes) in all {
            apply(&mut on, &changes);
            if at >= from && holds(expr, &on) {
                return Some(at);
            }
        }
        None
    }

    /// The next instant at which something changes.
    pub(in crate::engine) fn next_due(&self) -> Option<InstantMs> {
        self.changes.first_key_value().map(|(&at, _)| at)
    }

    /// Whether some named alert is on or about to be.
    pub(in crate::engine) fn is_held(&self) -> bool {
        let is_open = |open: &Open| open.ended.is_none();
        !self.early.is_empty() || !self.changes.is_empty() || self.open.iter().any(is_open)
    }

    /// The alerts that fire at an instant, for people.
    pub(in crate::engine) fn at(&self, at: InstantMs) -> impl Iterator<Item = &str> {
        self.firing(at).map(|(_, text, _)| text)
    }

    /// The matches of the alerts that make an expression true at an instant; none where it is false.
    pub(in crate::engine) fn met_at(&self, expr: &Expr, at: InstantMs) -> Vec<Match<'_>> {
        let mut on = vec![0; self.on.len()];
        self.firing(at).for_each(|(name, ..)| on.get_mut(name as usize).into_iter().for_each(|on| *on += 1));
        let mut carries = vec![false; on.len()];
        if holds(expr, &on) {
            let holds = |name: usize| on.get(name).is_some_and(|on| *on > 0);
            expr.carriers(&holds, &mut |name| carries.get_mut(name).into_iter().for_each(|c| *c = true));
        }
        let mut carrying: Vec<_> =
            self.firing(at).filter(|(name, ..)| carries.get(*name as usize) == Some(&true)).collect();
        carrying.sort_by_key(|&(name, text, _)| (name, text));
        Affected::union(carrying.into_iter().filter_map(|(.., met)| met))
    }

    /// The alerts that fire at an instant: name, words, matches as they were then.
    fn firing(&self, at: InstantMs) -> impl Iterator<Item = (u32, &str, Option<&Affected>)> {
        let settled = self.open.iter().filter(move |open| {
            open.fired.is_some_and(|fired| fired <= at) && open.ended.is_none_or(|ended| at < ended)
        });
        let settled = settled.map(move |open| {
            let met = open.met.iter().rfind(|(from, _)| *from <= at).or(open.met.first());
            (open.of.0, &*open.text, met.map(|(_, met)| met))
        });
        let early = self.early.iter().filter(move |(_, early)| early.fired.is_some_and(|fired| fired <= at));
        settled.chain(early.map(|(of, early)| (of.0, &*early.text, Some(&early.met))))
    }

    /// Numbers of the lines that reasons to come may show.
    pub(in crate::engine) fn lines(&self, samples: usize) -> impl Iterator<Item = u64> {
        let settled = self.open.iter().flat_map(|open| open.met.iter().map(|(_, met)| met));
        settled.chain(self.early.values().map(|early| &early.met)).flat_map(move |met| met.lines(samples))
    }

    /// Numbers that stand for it.
    pub(in crate::engine) fn hash_numbers(&self) -> impl Iterator<Item = i64> {
        let changes = self.changes.iter().flat_map(|(&at, changes)| {
            let mut sums: BTreeMap<u32, i64> = BTreeMap::new();
            changes.iter().for_each(|&(name, by)| *sums.entry(name).or_default() += i64::from(by));
            std::iter::once(at).chain(sums.into_iter().flat_map(|(name, by)| [i64::from(name), by]))
        });
        let on = self.on.iter().map(|&on| i64::from(on));
        on.chain(changes).chain(self.from).chain([i64::from(self.active)])
    }

    pub(in crate::engine) fn write(&self, out: &mut Out<'_>) {
        out.signed(self.decided);
        out.flag(self.active);
        out.maybe(self.from);
        self.on.iter().for_each(|&on| out.number(u64::from(on)));
        out.len(self.changes.len());
        for (&at, changes) in &self.changes {
            out.signed(at);
            out.len(changes.len());
            for &(name, by) in changes {
                out.number(u64::from(name));
                out.signed(i64::from(by));
            }
        }
        out.len(self.open.len());
        for open in &self.open {
            write_of(open.of, &open.text, out);
            out.maybe(open.fired);
            out.maybe(open.ended);
            out.len(open.met.len());
            for (at, met) in &open.met {
                out.signed(*at);
                met.write(out);
            }
        }
        out.len(self.early.len());
        for (&of, early) in &self.early {
            write_of(of, &early.text, out);
            out.signed(early.active);
            out.maybe(early.fired);
            early.met.write(out);
        }
    }

    pub(in crate::engine) fn read(read: &mut In<'_>, names: usize) -> Read<Self> {
        let mut mix = Self::new(read.instant()?, names);
        mix.active = read.flag()?;
        mix.from = read.maybe_instant()?;
        for on in &mut mix.on {
            *on = read.number_u32()?;
        }
        for _ in 0..read.len(2)? {
            let at = read.instant()?;
            let mut changes = Vec::new();
            for _ in 0..read.len(2)? {
                let (name, by) = (read.number_u32()?, read.signed()?);
                read.check((name as usize) < names && by.abs() == 1, "a change of a named alert")?;
                changes.push((name, by as i32));
            }
            read.check(mix.changes.insert(at, changes).is_none(), "each instant once")?;
        }
        for _ in 0..read.len(6)? {
            let (of, text) = read_of(read, names)?;
            let (fired, ended) = (read.maybe_instant()?, read.maybe_instant()?);
            let mut met = Vec::new();
            for _ in 0..read.len(2)? {
                met.push((read.instant()?, Affected::read(read)?));
            }
            mix.open.push(Open { of, text, fired, ended, met });
        }
        for _ in 0..read.len(6)? {
            let (of, text) = read_of(read, names)?;
            let (active, fired) = (read.instant()?, read.maybe_instant()?);
            let early = Early { text, active, fired, met: Affected::read(read)? };
            read.check(mix.early.insert(of, early).is_none(), "each early alert once")?;
        }
        Ok(mix)
    }
}

fn write_of(of: Of, text: &str, out: &mut Out<'_>) {
    out.number(u64::from(of.0));
    out.number(u64::from(of.1));
    out.text(text);
}

fn read_of(read: &mut In<'_>, names: usize) -> Read<(Of, String)> {
    let of = (read.number_u32()?, read.number_u32()?);
    read.check((of.0 as usize) < names, "a named alert")?;
    Ok((of, read.text()?.to_owned()))
}

fn apply(on: &mut [u32], changes: &[(u32, i32)]) {
    // First those that come: of several at one instant none is below zero in between.
    for begins in [true, false] {
        for &(name, by) in changes.iter().filter(|(_, by)| (*by > 0) == begins) {
            if let Some(on) = on.get_mut(name as usize) {
                *on = on.saturating_add_signed(by);
            }
        }
    }
}

fn holds(expr: &Expr, on: &[u32]) -> bool {
    expr.holds(&|name| on.get(name).is_some_and(|on| *on > 0))
}
