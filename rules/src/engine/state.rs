//! One rule's state: counts what concerns it, settles buckets as its watermark passes, keeps the life of its alerts.
//!
//! Settled verdicts are the verdict of record; early ones are laid over them: an episode whose life has not begun is
//! early, and the settled life confirms it when it begins. Refuses to know: records, columns, conditions, batches.

use std::sync::Arc;

use hashbrown::HashMap;
use record::{Decimal, InstantMs, Lsn};

use super::clock::NEVER;
use super::composite::{Mix, Told};
use super::explain::Probe;
use super::flatline::HoursNow;
use super::history::History;
use super::keys::Keys;
use super::life::Life;
use super::lines::Lines;
use super::recent::{self, Match, Recent};
use super::run::{Edge, Run, RunRule};
use super::schedule::{Marks, Schedule};
use super::settings::Settings;
use super::things::{Bad, Look, ThingRule, Things};
use super::thresholds::Thresholds;
use super::window::{Extra, Tally, Window};
use super::{RuleCost, RuleCounts, distinct::Values};
use crate::rule::{Kind, Row};
use crate::{Alert, Transition};

/// Keys are looked at again after so many buckets at the latest: a bucket is kept as its low 32 bits.
const LOOK_AGAIN_MAX: i64 = 1 << 30;

/// How a rule remembers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Window(Window),
    Run(RunRule),
    Things(ThingRule),
    Composite,
}

/// Bucket length of a kind; of those exact to the millisecond the grid on which they are looked at, 1 s.
pub(crate) fn unit_ms_of(kind: &Kind) -> i64 {
    Window::of(kind).map_or(1_000, |window| window.unit_ms)
}

impl Shape {
    /// The shape of a kind, apart from what its rows need.
    fn of(kind: &Kind) -> Self {
        match (kind, Window::of(kind)) {
            (_, Some(window)) => Shape::Window(window),
            (Kind::Consecutive { count, within_ms, .. }, None) => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX).max(1);
                Shape::Run(RunRule { count, most: count, within_ms: *within_ms })
            }
            (Kind::Composite(_), None) => Shape::Composite,
            (kind, None) => Shape::Things(ThingRule::of(kind).expect("every other kind is in buckets")),
        }
    }

    /// The same, remembering what a key of another shape needs as well.
    fn remembering(self, other: &Shape) -> Self {
        match (self, other) {
            (Shape::Window(own), Shape::Window(other)) => {
                Shape::Window(Window { kept: own.kept.max(other.kept), ..own })
            }
            (Shape::Run(own), Shape::Run(other)) => {
                Shape::Run(RunRule { most: own.most.max(other.most), ..own })
            }
            (own, _) => own,
        }
    }

    /// How many are needed.
    pub(super) fn needed(&self) -> u64 {
        match self {
            Shape::Window(window) => window.count,
            Shape::Run(rule) => rule.count as u64,
            Shape::Things(rule) => rule.count,
            Shape::Composite => 1,
        }
    }
}

/// What one key remembers.
#[derive(Debug)]
pub(super) enum Memory {
    Tally(Tally),
    Run(Box<Run>),
    Bad(Box<Bad>),
    Mix(Box<Mix>),
}

/// An alert that is on.
#[derive(Debug)]
pub(super) struct Episode {
    /// The settled life; idle while the episode is early only.
    pub(super) life: Life,
    pub(super) alert: Arc<Alert>,
    /// What ended activity last.
    pub(super) gate: &'static str,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) memory: Memory,
    pub(super) episode: Option<Box<Episode>>,
    /// Number of its last match in [`Recent`].
    pub(super) last_match: u32,
    /// When it must be looked at.
    pub(super) marks: Marks,
}

impl Memory {
    /// Whether it may not be forgotten though nothing is due.
    fn is_held(&self) -> bool {
        if let Memory::Mix(mix) = self { mix.is_held() } else { false }
    }
}

impl Key {
    pub(super) fn new(memory: Memory) -> Self {
        Self { memory, episode: None, last_match: recent::NONE, marks: Marks::default() }
    }
}

/// A record as a rule sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting<'a> {
    /// The match (or reset) itself.
    pub(super) found: Match<'a>,
    /// Canonical bytes of its key.
    pub(super) key: &'a [u8],
    /// Canonical text of the value that `distinct` counts.
    pub(super) distinct: Option<&'a [u8]>,
    /// A match; else a reset.
    pub(super) matched: bool,
    /// `ratio`: a match that is of the part.
    pub(super) part: bool,
    /// `aggregate`: the value of its field.
    pub(super) number: Option<Decimal>,
    /// Kinds about single things: what it says of one.
    pub(super) look: Option<Look<'a>>,
}

/// What is going on while a rule is asked.
#[derive(Debug)]
pub(super) struct Cause<'a> {
    /// Journal entry being taken.
    pub(super) lsn: Lsn,
    pub(super) lines: &'a Lines,
    pub(super) out: &'a mut Vec<Transition>,
}

/// One rule with all its keys.
#[derive(Debug)]
pub(super) struct RuleState {
    pub(super) settings: Settings,
    pub(super) shape: Shape,
    pub(super) keys: Keys<Key>,
    pub(super) keys_max: usize,
    pub(super) schedule: Schedule,
    pub(super) waiting: Schedule,
    pub(super) recent: Recent,
    pub(super) values: Values,
    pub(super) things: Things,
    /// Which numbers apply to which key when.
    pub(super) thresholds: Thresholds,
    pub(super) counts: RuleCounts,
    /// Follows from nothing that was judged, and nothing from it.
    pub(super) cost: RuleCost,
    pub(super) history: History,
    /// What is known of the rule's hours; follows from the rule.
    pub(super) hours_now: Option<HoursNow>,
    /// Clock as last taken note of.
    pub(super) base: InstantMs,
    pub(super) watermark: InstantMs,
    /// First bucket that is not settled.
    pub(super) frontier: i64,
    /// Last `raised_ms` by key, so that two episodes never have one id.
    pub(super) raised: HashMap<u32, InstantMs>,
    /// A question about one key at one instant.
    pub(super) probe: Option<Box<Probe>>,
    /// What those that name this rule are to be told; `None` where nobody does.
    pub(super) told: Option<Vec<Told>>,
    /// Settled alerts that are over; only a backtest keeps them, and it raises nothing early.
    pub(super) over: Option<Vec<Arc<Alert>>>,
    edges: Vec<Edge>,
    again: Vec<u32>,
}

impl RuleState {
    pub(super) fn new(settings: Settings, backtest: bool, keys_max: usize) -> Self {
        let of_row = |row: &Row| Shape::of(&settings.kind.with(&row.numbers));
        let shapes: Vec<Shape> = settings.thresholds.iter().map(of_row).collect();
        let shape = shapes.iter().fold(Shape::of(&settings.kind), Shape::remembering);
        let thresholds = Thresholds::new(&settings.thresholds, shape, shapes, settings.by.len());
        Self {
            shape,
            keys: Keys::new(),
            keys_max: keys_max.max(1),
            schedule: Schedule::default(),
            waiting: Schedule::default(),
            recent: Recent::default(),
            values: Values::default(),
            things: Things::new(&settings.kind),
            thresholds,
            settings,
            counts: RuleCounts::default(),
            cost: RuleCost::default(),
            history: History::new(NEVER),
            hours_now: None,
            base: NEVER,
            watermark: NEVER,
            frontier: NEVER,
            raised: HashMap::new(),
            probe: None,
            told: None,
            over: backtest.then(Vec::new),
            edges: Vec::new(),
            again: Vec::new(),
        }
    }

    /// Bucket length; of kinds exact to the millisecond the grid on which they are looked at, 1 s.
    pub(super) fn unit_ms(&self) -> i64 {
        match self.shape {
            Shape::Window(window) => window.unit_ms,
            Shape::Run(_) | Shape::Things(_) | Shape::Composite => 1_000,
        }
    }

    /// The clock at which something is to be done: below it [`RuleState::advance`] need not be called.
    pub(super) fn deadline(&self) -> InstantMs {
        let first = self.schedule.first().into_iter().chain(self.things.first()).min();
        let settle = first.map(|s| self.clock_for((s + 1) * self.unit_ms()));
        let history = self.history.due(self.unit_ms());
        let history = history.map(|at| if self.start_is_news() { NEVER } else { self.clock_for(at) });
        settle.into_iter().chain(self.waiting.first()).chain(history).min().unwrap_or(InstantMs::MAX)
    }

    /// The clock has come to `base`: settles what is due, then raises early what has waited long enough.
    pub(super) fn advance(&mut self, base: InstantMs, cause: &mut Cause<'_>) {
        self.decide_history(self.watermark_at(base));
        self.know_start(cause);
        self.pass_to(base, cause);
    }

    /// The same before a record is taken: where history starts by that record is known together with it.
    pub(super) fn advance_for_record(&mut self, base: InstantMs, cause: &mut Cause<'_>) {
        self.decide_history(self.watermark_at(base));
        self.pass_to(base, cause);
    }

    fn pass_to(&mut self, base: InstantMs, cause: &mut Cause<'_>) {
        let watermark = self.watermark_at(base);
        if base > self.base {
            self.base = base;
            self.settle_until(watermark, cause);
            while let Some((_, slots)) = self.waiting.pop(base) {
                for slot in slots {
                    if self.keys.get_mut(slot).is_some_and(|key| key.marks.set_waiting(false)) {
                        self.reconsider(slot, cause);
                    }
                }
            }
        }
    }

    /// Decides where history starts, if that is due.
    pub(super) fn decide_history(&mut self, watermark: InstantMs) {
        if let Some(start) = self.history.decide(watermark, self.unit_ms()) {
            self.know_history();
            self.expect_listed(start);
            self.judge_from_history(start);
        }
    }

    /// A record that came too late for its own bucket makes history start before what is settled: the buckets that the
    /// watermark had passed when it was read stay as they are, whether or not the rule was looked at since.
    pub(super) fn opens_late(&mut self, base: InstantMs) {
        let watermark = base.saturating_sub(self.settings.lateness_ms);
        if self.history.due(self.unit_ms()).is_some_and(|due| due <= watermark) {
            self.frontier = self.frontier.max(watermark.div_euclid(self.unit_ms()));
            // Nothing was due until then, or it would have been looked at.
            self.watermark = self.watermark.max(watermark);
        }
    }

    /// History start may have been decided.
    pub(super) fn know_history(&mut self) {
        let start = self.history.start();
        for shape in self.thresholds.shapes_mut().iter_mut().chain([&mut self.shape]) {
            if let Shape::Window(window) = shape {
                window.start = start;
            }
        }
    }

    /// Settles all buckets that end at or before the watermark.
    pub(super) fn settle_until(&mut self, watermark: InstantMs, cause: &mut Cause<'_>) {
        if self.probe.is_some() {
            self.probe(watermark, cause);
        }
        self.watermark = watermark;
        let first_open = watermark.div_euclid(self.unit_ms());
        while let Some((s, slots)) = self.schedule.pop(first_open - 1) {
            self.frontier = s;
            for slot in slots {
                if self.keys.get_mut(slot).is_some_and(|key| key.marks.reach(s)) {
                    self.visit(slot, s, cause);
                }
            }
        }
        self.frontier = first_open;
        self.forget_things();
        for slot in std::mem::take(&mut self.again) {
            self.reconsider(slot, cause);
        }
    }

    /// End of a file: the watermark comes to stand at the end of the bucket that holds the highest event time, if
    /// there is one. Returns all settled alerts, over or not.
    pub(super) fn finish(&mut self, highest: Option<InstantMs>, cause: &mut Cause<'_>) -> Vec<Arc<Alert>> {
        if let Some(highest) = highest {
            let end = (highest.div_euclid(self.unit_ms()) + 1) * self.unit_ms();
            let end = end.max(self.watermark);
            self.decide_history(end);
            self.know_start(cause);
            self.settle_until(end, cause);
        }
        let mut alerts = self.over.take().unwrap_or_default();
        let on = self.keys.iter().filter_map(|(_, _, key)| key.episode.as_ref());
        alerts.extend(on.map(|episode| Arc::clone(&episode.alert)));
        alerts
    }

    /// Takes a match or a reset. The clock must have been advanced as far as the record's own time allows.
    pub(super) fn take(&mut self, seen: &Sighting<'_>, cause: &mut Cause<'_>) {
        if let Some(probe) = &mut self.probe {
            probe.note(seen);
        }
        let at = seen.found.at;
        let late = at < self.watermark;
        self.counts.matched += 1;
        self.counts.late += u64::from(late);
        if let Shape::Things(rule) = self.shape {
            return self.take_thing(rule, seen, cause);
        }
        let is_listed = |keys: &[Box<[u8]>]| keys.binary_search_by(|key| (**key).cmp(seen.key)).is_ok();
        if self.is_past(at) || !self.listed().is_none_or(is_listed) {
            return;
        }
        let slot = self.slot(seen);
        if late && matches!(self.shape, Shape::Run(_)) {
            // The record counts from the watermark on: everything before it is decided without it.
            self.decide(slot, self.watermark, cause);
        }
        let Some(key) = self.keys.get_mut(slot) else { return };
        let position = match (&mut key.memory, self.shape) {
            (Memory::Tally(tally), Shape::Window(window)) => {
                let bucket = at.div_euclid(window.unit_ms);
                window.add(tally, bucket, seen, self.frontier, &mut self.values);
                None
            }
            (Memory::Run(run), Shape::Run(rule)) => run.add(rule, at, seen.matched),
            _ => None,
        };
        if seen.matched && seen.found.line != recent::UNSHOWN {
            key.last_match = self.recent.add(slot, key.last_match, seen.found);
        }
        self.look_at(slot, at.max(self.watermark).div_euclid(self.unit_ms()).max(self.frontier));
        self.bound();
        if self.over.is_none() {
            self.judge_early(slot, seen, position, cause);
        }
    }

    /// Whether a record is too late for every verdict to come.
    pub(super) fn is_past(&self, at: InstantMs) -> bool {
        match self.shape {
            Shape::Window(window) => window.is_past(at.div_euclid(window.unit_ms), self.frontier),
            Shape::Run(rule) => at <= self.watermark - rule.within_ms,
            Shape::Things(_) | Shape::Composite => false,
        }
    }

    fn slot(&mut self, seen: &Sighting<'_>) -> u32 {
        if let Some(slot) = self.keys.find(seen.key) {
            if seen.matched {
                self.keys.touch(slot);
            }
            return slot;
        }
        let key = Key::new(self.memory());
        // A reset of an unknown key matters only to a match that comes late: such keys are the first to go.
        self.insert_key(seen.key, key, !seen.matched)
    }

    /// Adds a key that is not there.
    pub(super) fn insert_key(&mut self, bytes: &[u8], key: Key, idle: bool) -> u32 {
        let slot = self.keys.insert(bytes, key, idle);
        self.thresholds.place(slot, bytes);
        slot
    }

    /// The shape that applies to a key at an instant (in buckets, to the bucket that holds it).
    pub(super) fn shape_at(&self, slot: u32, at: InstantMs) -> Shape {
        if self.thresholds.is_empty() {
            return self.shape;
        }
        self.thresholds.shape_at(slot, self.judged_ms(at)).copied().unwrap_or(self.shape)
    }

    /// The instant by which rows are chosen: the start of the bucket, else the instant itself.
    pub(super) fn judged_ms(&self, at: InstantMs) -> InstantMs {
        match self.shape {
            Shape::Window(window) => at.div_euclid(window.unit_ms) * window.unit_ms,
            Shape::Run(_) | Shape::Things(_) | Shape::Composite => at,
        }
    }

    /// What is known of a key at first.
    pub(super) fn memory(&self) -> Memory {
        match self.shape {
            Shape::Window(_) => Memory::Tally(Tally::default()),
            Shape::Run(_) => Memory::Run(Box::new(Run::new(self.watermark))),
            Shape::Things(_) => Memory::Bad(Box::new(Bad::new(self.watermark))),
            Shape::Composite => {
                let names = self.composite().map_or(0, |composite| composite.names.len());
                Memory::Mix(Box::new(Mix::new(self.watermark, names)))
            }
        }
    }

    /// The key must be looked at when bucket `s` is settled.
    pub(super) fn look_at(&mut self, slot: u32, s: i64) {
        if self.keys.get_mut(slot).is_some_and(|key| key.marks.want(s, self.frontier)) {
            self.schedule.add(s, slot);
        }
    }

    /// Keeps the bound on keys; those with an alert that is on are parked and stay, as do those that the rule lists.
    pub(super) fn bound(&mut self) {
        if self.listed().is_some() {
            return;
        }
        while self.keys.len() > self.keys_max {
            let Some(slot) = self.keys.oldest() else { return };
            self.forget(slot);
            self.counts.keys_dropped += 1;
        }
    }

    pub(super) fn forget(&mut self, slot: u32) {
        self.raised.remove(&slot);
        if let Some(Key { memory: Memory::Tally(Tally { extra: Some(mut extra), .. }), .. }) =
            self.keys.remove(slot)
            && let Extra::Values(held) = &mut *extra
        {
            held.clear(&mut self.values);
        }
    }

    /// Settles bucket `s` for one key.
    fn visit(&mut self, slot: u32, s: i64, cause: &mut Cause<'_>) {
        self.cost.evaluations += 1;
        let unit_ms = self.unit_ms();
        let (in_hours, _) = self.hours(s);
        let shape = self.shape_at(slot, s * unit_ms);
        let Some(key) = self.keys.get_mut(slot) else { return };
        if let (Memory::Tally(tally), Shape::Window(window), Shape::Window(own)) =
            (&mut key.memory, shape, self.shape)
        {
            own.settle(tally, s, &mut self.values);
            let active = in_hours && window.is_active(tally, s, s);
            let was = key.episode.as_ref().is_some_and(|episode| episode.life.is_active());
            if active != was {
                self.edges.push(Edge { at: s * unit_ms, active, reset: false });
            }
            self.live(slot, (s + 1) * unit_ms, cause);
        } else {
            self.decide(slot, (s + 1) * unit_ms, cause);
        }
        self.look_again(slot, s);
    }

    /// Decides the instants before `until` of a key that is exact to the millisecond.
    pub(super) fn decide(&mut self, slot: u32, until: InstantMs, cause: &mut Cause<'_>) {
        let needed = self.thresholds.needed(slot);
        if let Some(Key { memory: Memory::Bad(bad), .. }) = self.keys.get_mut(slot) {
            bad.decide(needed, until, &mut self.edges);
            return self.live(slot, until, cause);
        }
        if let Some(Key { memory: Memory::Mix(mix), .. }) = self.keys.get_mut(slot) {
            if let Kind::Composite(composite) = &self.settings.kind {
                mix.decide(&composite.expr, until, &mut self.edges);
            }
            return self.live(slot, until, cause);
        }
        let Some(Key { memory: Memory::Run(run), .. }) = self.keys.get_mut(slot) else { return };
        let Shape::Run(rule) = self.shape else { return };
        run.decide(rule, needed, until, &mut self.edges);
        self.live(slot, until, cause);
        if let Some(Key { memory: Memory::Run(run), .. }) = self.keys.get_mut(slot) {
            run.forget(rule);
        }
    }

    /// Schedules the next look at a key, or forgets it if nothing is left of it.
    fn look_again(&mut self, slot: u32, s: i64) {
        let unit_ms = self.unit_ms();
        let (_, hours) = self.hours(s);
        let is_listed = self.listed().is_some();
        let (shape, needed) = (self.shape_at(slot, s * unit_ms), self.thresholds.needed(slot));
        let Some(key) = self.keys.get(slot) else { return };
        let life = key.episode.as_ref().map(|episode| episode.life).unwrap_or_default();
        let change = match (&key.memory, shape) {
            (Memory::Tally(tally), Shape::Window(window)) => window.next_due(tally, s, life.is_active()),
            (Memory::Run(run), Shape::Run(rule)) => {
                run.next_due(rule, needed).map(|at| at.div_euclid(unit_ms))
            }
            (Memory::Bad(bad), _) => {
                // Until it is past, another alert may begin at the instant of one that was withdrawn.
                let raised = self.raised.get(&slot).copied().filter(|&at| at >= (s + 1) * unit_ms);
                bad.next_due(needed).or(raised).map(|at| at.div_euclid(unit_ms))
            }
            (Memory::Mix(mix), _) => {
                let raised = self.raised.get(&slot).copied().filter(|&at| at >= (s + 1) * unit_ms);
                mix.next_due().or(raised).map(|at| at.div_euclid(unit_ms))
            }
            _ => None,
        };
        let timer = life.timer(self.settings.delays).map(|at| at.div_euclid(unit_ms));
        let is_watched = change.is_some() || is_listed || key.episode.is_some();
        // The first bucket that begins at or after a border; what is exact to the millisecond sees borders itself.
        let border = match shape {
            Shape::Window(_) => self.thresholds.next_after(slot, s * unit_ms),
            Shape::Run(_) | Shape::Things(_) | Shape::Composite => None,
        };
        let border = border.map(|at| (at + unit_ms - 1).div_euclid(unit_ms));
        let other = hours.into_iter().chain(border).filter(|_| is_watched);
        match change.into_iter().chain(timer).chain(other).min() {
            Some(due) => self.look_at(slot, due.clamp(s + 1, s + LOOK_AGAIN_MAX)),
            // Without `on` there is one combination, judged for ever.
            None if key.memory.is_held() => {}
            None if matches!(shape, Shape::Composite) && self.settings.by.is_empty() => {}
            None if key.episode.is_none() => self.forget(slot),
            None => {}
        }
        if self.over.is_none() && life == Life::Idle && self.keys.get(slot).is_some() {
            self.again.push(slot);
        }
    }

    /// The first active instant at or after the settled ones, by what is known now.
    pub(super) fn first_active(&self, slot: u32) -> Option<InstantMs> {
        let (unit_ms, from) = (self.unit_ms(), self.frontier);
        let needed = self.thresholds.needed(slot);
        match (&self.keys.get(slot)?.memory, self.shape_at(slot, from.saturating_mul(unit_ms))) {
            (Memory::Tally(tally), Shape::Window(window)) if self.thresholds.is_constant(slot) => {
                window.first_active(tally, from, from).map(|s| s * unit_ms)
            }
            (Memory::Tally(tally), Shape::Window(_)) => {
                let later = tally.counts.iter(from).map(|(bucket, _)| bucket).filter(|&bucket| bucket > from);
                let holds = |s: &i64| match self.shape_at(slot, s * unit_ms) {
                    Shape::Window(window) => window.is_active_early(tally, *s, from),
                    Shape::Run(_) | Shape::Things(_) | Shape::Composite => false,
                };
                std::iter::once(from).chain(later).find(holds).map(|s| s * unit_ms)
            }
            (Memory::Run(run), Shape::Run(rule)) => run.first_active(rule, needed),
            (Memory::Bad(bad), Shape::Things(rule)) if rule.early => bad.first_active(needed),
            (Memory::Mix(mix), _) => {
                let composite = self.composite()?;
                let start = self.history.lowest().filter(|_| self.settings.by.is_empty());
                mix.first_active(&composite.expr, start)
            }
            _ => None,
        }
    }

    /// A record was counted: raises at once what it makes active, withdraws at once what it proves wrong.
    fn judge_early(
        &mut self,
        slot: u32,
        seen: &Sighting<'_>,
        position: Option<usize>,
        cause: &mut Cause<'_>,
    ) {
        let Some(key) = self.keys.get(slot) else { return };
        if let Some(episode) = &key.episode {
            // Only a reset before the early alert can contradict it; matches and later resets leave it active.
            let doubted =
                !seen.matched && episode.life == Life::Idle && seen.found.at <= episode.alert.active_ms;
            if doubted {
                self.reconsider(slot, cause);
            }
            return;
        }
        if !seen.matched || key.marks.is_waiting() {
            return;
        }
        let active = match (&key.memory, self.shape, position) {
            (Memory::Run(run), Shape::Run(rule), Some(position)) => {
                run.completed_by(rule, self.thresholds.needed(slot), position)
            }
            _ => self.first_active(slot),
        };
        let Some(at) = active else { return };
        let raise_at = seen.found.at + self.settings.settle_ms;
        if self.settings.settle_ms > 0 && raise_at > self.base {
            self.wait(slot, raise_at);
        } else {
            self.raise_early(slot, at, cause);
        }
    }

    /// Judges anew what is not settled of a key: raises what is active, withdraws what is not.
    pub(super) fn reconsider(&mut self, slot: u32, cause: &mut Cause<'_>) {
        let Some(key) = self.keys.get(slot) else { return };
        let known = key.episode.as_ref().map(|episode| episode.life == Life::Idle);
        if known == Some(false) || (known.is_none() && (key.marks.is_waiting() || self.over.is_some())) {
            return;
        }
        match (known, self.first_active(slot)) {
            (None, Some(at)) if self.settings.settle_ms == 0 || at + self.settings.settle_ms <= self.base => {
                self.raise_early(slot, at, cause);
            }
            (None, Some(at)) => self.wait(slot, at + self.settings.settle_ms),
            (None, None) => {}
            (Some(_), Some(at)) => self.move_early(slot, at),
            (Some(_), None) => self.withdraw(slot, self.base, cause),
        }
    }

    /// Looks again when the clock has come to `base`.
    fn wait(&mut self, slot: u32, base: InstantMs) {
        if let Some(key) = self.keys.get_mut(slot) {
            key.marks.set_waiting(true);
            self.waiting.add(base, slot);
        }
    }

    pub(super) fn take_edges(&mut self) -> Vec<Edge> {
        std::mem::take(&mut self.edges)
    }

    pub(super) fn give_back(&mut self, mut edges: Vec<Edge>) {
        edges.clear();
        self.edges = edges;
    }
}
