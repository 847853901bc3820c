//! The state of one rule as bytes and back: every key at its place, so that what follows is the same to the order
//! of transitions.
//!
//! What follows from the rule and the keys (labels, ids, annotations) is not written. Refuses to know: files, other
//! rules, checksums.

use std::sync::Arc;

use record::InstantMs;

use super::clock::NEVER;
use super::composite::Mix;
use super::distinct::Values;
use super::history::History;
use super::keys::Keys;
use super::life::Life;
use super::reason::OUTSIDE_MAX;
use super::recent::{Kept, Recent};
use super::run::Run;
use super::schedule::{Marks, Schedule};
use super::state::{Episode, Key, Memory, RuleState, Shape};
use super::things::Bad;
use super::window::Tally;
use crate::alert::{alert_id, fingerprint};
use crate::codec::{In, Out, Read};
use crate::{Alert, AlertState, Reason};

/// What may have ended activity, by the byte that stands for it.
const GATES: [&str; 5] = ["", "reset", "window", "recovery", "members"];

impl RuleState {
    /// Appends the state; `lines` gets the numbers of the lines that alerts to come may show.
    pub(super) fn write(&self, out: &mut Out<'_>, lines: &mut Vec<u64>) {
        let counts = &self.counts;
        for count in [counts.matched, counts.late, counts.keys_dropped, counts.fired, counts.withdrawn] {
            out.number(count);
        }
        self.history.write(out);
        out.signed(self.base);
        out.signed(self.watermark);
        out.signed(self.frontier);
        self.values.write(out);
        if let Shape::Things(_) = self.shape {
            self.things.write(out, self.settings.samples > 0, lines);
            out.number(counts.things_dropped);
            out.number(counts.thing_records_dropped);
        }
        if let Shape::Composite = self.shape {
            for (_, _, key) in self.keys.iter() {
                let Memory::Mix(mix) = &key.memory else { continue };
                lines.extend(mix.lines(self.settings.samples));
            }
        }
        let kept = self.kept(lines);
        self.recent.write(&kept, out);
        self.keys.write(out, |_, key, out| self.write_key(key, &kept, out));
        let mut raised: Vec<(u32, InstantMs)> = self.raised.iter().map(|(&slot, &at)| (slot, at)).collect();
        raised.sort_unstable();
        out.len(raised.len());
        for (slot, at) in raised {
            out.number(u64::from(slot));
            out.signed(at);
        }
        self.schedule.write(out);
        self.waiting.write(out);
        let over = self.over.as_deref().unwrap_or_default();
        out.len(over.len());
        over.iter().for_each(|alert| alert.write(out.bytes));
    }

    fn write_key(&self, key: &Key, kept: &Kept, out: &mut Out<'_>) {
        match &key.memory {
            Memory::Tally(tally) => tally.write(self.frontier, out),
            Memory::Run(run) => run.write(out),
            Memory::Bad(bad) => bad.write(out),
            Memory::Mix(mix) => mix.write(out),
        }
        out.number(self.recent.place(key.last_match, kept));
        key.marks.write(self.frontier, out);
        out.flag(key.episode.is_some());
        if let Some(episode) = &key.episode {
            episode.write(out);
        }
    }

    /// The matches that reasons to come may look at.
    fn kept(&self, lines: &mut Vec<u64>) -> Kept {
        let mut kept = self.recent.keep_none();
        if self.keys.len() == 0 {
            return kept;
        }
        let unit_ms = self.unit_ms();
        // Verdicts to come are about instants from here on; one bucket earlier does no harm.
        let from_ms = (self.frontier - 1).saturating_mul(unit_ms);
        let (first_ms, from_ms) = match self.shape {
            Shape::Window(window) => {
                let at = |bucket: i64| bucket.saturating_mul(unit_ms);
                (at(window.oldest(self.frontier - 1)), at(window.end_at_least(self.frontier - 1)))
            }
            Shape::Run(rule) => (from_ms - rule.within_ms, from_ms),
            Shape::Things(_) | Shape::Composite => (from_ms, from_ms),
        };
        let oldest_ms = first_ms - self.settings.lateness_ms;
        let mut known = Vec::new();
        for (slot, _, key) in self.keys.iter() {
            known.clear();
            self.recent.keep((slot, key.last_match), oldest_ms, OUTSIDE_MAX, &mut kept, |found| {
                known.push((found.at, found.lsn, found.line));
            });
            // Of those before every window's end only the newest can be among the lines shown.
            known.sort_unstable();
            let settled = known.partition_point(|&(at, ..)| at < from_ms);
            let shown = &known[settled.saturating_sub(self.settings.samples)..];
            let needed = if self.settings.samples == 0 { &[] } else { shown };
            lines.extend(needed.iter().map(|&(.., line)| line));
        }
        kept
    }

    /// Fills an empty state with what [`RuleState::write`] wrote of the same rule.
    pub(super) fn fill(&mut self, read: &mut In<'_>) -> Read<()> {
        let counts = &mut self.counts;
        for count in [
            &mut counts.matched,
            &mut counts.late,
            &mut counts.keys_dropped,
            &mut counts.fired,
            &mut counts.withdrawn,
        ] {
            *count = read.counter()?;
        }
        self.history = History::read(read)?;
        (self.base, self.watermark, self.frontier) = (read.instant()?, read.instant()?, read.signed()?);
        self.know_history();
        let unit_ms = self.unit_ms();
        let fits = |bucket: i64| bucket.checked_mul(unit_ms).is_some_and(|at| at.unsigned_abs() < 1 << 60);
        read.check(self.frontier == NEVER || fits(self.frontier), "a bucket")?;
        let mut values = Values::read(read)?;
        if let Shape::Things(_) = self.shape {
            self.things.fill(read)?;
            self.counts.things_dropped = read.counter()?;
            self.counts.thing_records_dropped = read.counter()?;
        }
        self.recent = Recent::read(read)?;
        let mut episodes = Vec::new();
        let keys = Keys::read(read, |slot, is_parked, read| {
            let (key, episode) = self.read_key(&mut values, read)?;
            read.check(is_parked == episode.is_some(), "an alert of a key that may not go")?;
            read.check(self.frontier != NEVER, "no key before the first record")?;
            episodes.extend(episode.map(|episode| (slot, episode)));
            Ok(key)
        })?;
        read.check(values.all_used(), "values that are used")?;
        (self.keys, self.values) = (keys, values);
        for (slot, bytes, _) in self.keys.iter() {
            self.thresholds.place(slot, bytes);
        }
        for (slot, episode) in episodes {
            self.restore_episode(slot, episode);
        }
        for _ in 0..read.len(2)? {
            let (slot, at) = (read.number_u32()?, read.instant()?);
            read.check(self.keys.has_place(slot), "a key")?;
            self.raised.insert(slot, at);
        }
        self.schedule = Schedule::read(read, |at, slot| fits(at) && self.keys.has_place(slot))?;
        self.waiting = Schedule::read(read, |_, slot| self.keys.has_place(slot))?;
        let over = (0..read.len(9)?).map(|_| Alert::read_from(read).map(Arc::new));
        let over = over.collect::<Read<Vec<_>>>()?;
        read.check(self.over.is_some() || over.is_empty(), "no alerts of a backtest")?;
        self.over = self.over.as_ref().map(|_| over);
        Ok(())
    }

    fn read_key(&self, values: &mut Values, read: &mut In<'_>) -> Read<(Key, Option<EpisodeImage>)> {
        let memory = match self.shape {
            Shape::Window(_) => Memory::Tally(Tally::read(self.frontier, values, read)?),
            Shape::Run(_) => Memory::Run(Box::new(Run::read(read)?)),
            Shape::Composite => {
                let names = self.composite().map_or(0, |composite| composite.names.len());
                Memory::Mix(Box::new(Mix::read(read, names)?))
            }
            Shape::Things(_) => Memory::Bad(Box::new(Bad::read(read, |thing| self.things.has_place(thing))?)),
        };
        let last_match = self.recent.number(read.number()?);
        let marks = Marks::read(self.frontier, read)?;
        let episode = if read.flag()? { Some(EpisodeImage::read(read)?) } else { None };
        Ok((Key { memory, episode: None, last_match, marks }, episode))
    }

    /// An alert as it was, in the words that the rule's annotations have now.
    fn restore_episode(&mut self, slot: u32, image: EpisodeImage) {
        let labels = self.labels(slot);
        let alert = Alert {
            id: alert_id(&labels, image.raised_ms, self.settings.meaning),
            fingerprint: fingerprint(&labels),
            annotations: self.annotations(&labels, &image.reason),
            labels,
            state: image.state,
            shadow: self.settings.shadow,
            raised_ms: image.raised_ms,
            active_ms: image.active_ms,
            fired_ms: image.fired_ms,
            ended_ms: None,
            withdrawn: false,
            reason: image.reason,
        };
        if let Some(key) = self.keys.get_mut(slot) {
            let episode = Episode { life: image.life, alert: Arc::new(alert), gate: image.gate };
            key.episode = Some(Box::new(episode));
        }
    }
}

impl Episode {
    fn write(&self, out: &mut Out<'_>) {
        match self.life {
            Life::Idle => out.byte(0),
            Life::Pending { active_ms } => {
                out.byte(1);
                out.signed(active_ms);
            }
            Life::Firing { active_ms } => {
                out.byte(2);
                out.signed(active_ms);
            }
            Life::Fading { active_ms, inactive_ms } => {
                out.byte(3);
                out.signed(active_ms);
                out.signed(inactive_ms);
            }
        }
        let gate = GATES.iter().position(|gate| *gate == self.gate);
        out.byte(gate.and_then(|gate| u8::try_from(gate).ok()).unwrap_or_default());
        let alert = &self.alert;
        alert.state.write(out);
        out.signed(alert.raised_ms);
        out.signed(alert.active_ms);
        out.maybe(alert.fired_ms);
        alert.reason.write(out);
    }
}

/// What is written of an alert that is on.
#[derive(Debug)]
struct EpisodeImage {
    life: Life,
    gate: &'static str,
    state: AlertState,
    raised_ms: InstantMs,
    active_ms: InstantMs,
    fired_ms: Option<InstantMs>,
    reason: Reason,
}

impl EpisodeImage {
    fn read(read: &mut In<'_>) -> Read<Self> {
        let life = match read.byte()? {
            0 => Life::Idle,
            1 => Life::Pending { active_ms: read.instant()? },
            2 => Life::Firing { active_ms: read.instant()? },
            3 => Life::Fading { active_ms: read.instant()?, inactive_ms: read.instant()? },
            _ => return read.damage("the life of an alert"),
        };
        let gate = usize::from(read.byte()?);
        let Some(gate) = GATES.get(gate) else { return read.damage("what ended an alert") };
        Ok(Self {
            life,
            gate,
            state: AlertState::read(read)?,
            raised_ms: read.instant()?,
            active_ms: read.instant()?,
            fired_ms: read.maybe_instant()?,
            reason: Reason::read(read)?,
        })
    }
}
