//! From verdicts to transitions: what begins, grows, ends or is withdrawn, and the alert that tells it.
//!
//! Refuses to know: how a verdict was reached.

use std::sync::Arc;

use record::InstantMs;

use super::composite::What;
use super::life::{Life, LifeEvent};
use super::state::{Cause, Episode, Key, RuleState, Shape};
use crate::alert::{alert_id, fingerprint};
use crate::{Alert, AlertState, Change, Transition};

impl RuleState {
    /// Lets the settled life of a key go on to `until`, with the changes of activity found before it.
    pub(super) fn live(&mut self, slot: u32, until: InstantMs, cause: &mut Cause<'_>) {
        let edges = self.take_edges();
        let episode = self.keys.get(slot).and_then(|key| key.episode.as_ref());
        if episode.is_none() && edges.is_empty() {
            return self.give_back(edges);
        }
        let delays = self.settings.delays;
        let mut life = episode.map(|episode| episode.life).unwrap_or_default();
        let (mut events, told) = (Vec::new(), cause.out.len());
        for edge in &edges {
            let gate = match self.shape {
                Shape::Things(_) => "recovery",
                Shape::Composite => "members",
                _ if edge.reset => "reset",
                _ => "window",
            };
            if !edge.active
                && let Some(episode) = self.episode_mut(slot)
            {
                episode.gate = gate;
            }
            life.set(edge.at, edge.active, delays, &mut events);
            for event in events.drain(..) {
                self.tell(slot, event, cause);
            }
        }
        life.pass(until, delays, &mut events);
        for event in events.drain(..) {
            self.tell(slot, event, cause);
        }
        self.give_back(edges);
        if let Some(episode) = self.episode_mut(slot) {
            episode.life = life;
        }
        // Once per look (a bucket, a second) at most, and only if there is more to tell than before.
        let has_grown = life.is_active() && self.has_grown(slot, until - 1);
        if has_grown && cause.out.len() == told {
            self.refresh(slot, until - 1, cause);
            self.tell_composites(slot, What::Grown(until - 1));
            self.emit(slot, Change::Updated, false, cause);
        } else if has_grown && !matches!(self.shape, Shape::Window(_)) {
            // Looked at the next second, whether or not anything else makes it so, so that what is told does not
            // depend on the order of arrival.
            self.look_at(slot, until.div_euclid(self.unit_ms()));
        }
    }

    /// What the settled life brought.
    fn tell(&mut self, slot: u32, event: LifeEvent, cause: &mut Cause<'_>) {
        match event {
            LifeEvent::Started(at) => {
                let early = self.episode_mut(slot).is_some();
                if early {
                    self.change(slot, |alert| alert.active_ms = at);
                } else {
                    self.begin(slot, at);
                }
                self.tell_composites(slot, What::Started(at));
                if self.settings.delays.for_ms > 0 {
                    self.refresh(slot, at, cause);
                    let change = if early { Change::Updated } else { Change::Pending };
                    self.emit(slot, change, false, cause);
                }
            }
            LifeEvent::Fired(at) => {
                let known = self.episode_mut(slot).is_some_and(|e| e.alert.state == AlertState::Firing);
                self.change(slot, |alert| {
                    alert.state = AlertState::Firing;
                    alert.fired_ms = Some(at);
                });
                self.tell_composites(slot, What::Fired(at));
                self.refresh(slot, at, cause);
                let change = if known { Change::Updated } else { Change::Fired };
                self.emit(slot, change, false, cause);
            }
            LifeEvent::Dropped(at) => {
                self.tell_composites(slot, What::Ended(at));
                self.end(slot, at, Change::Dropped, cause);
            }
            LifeEvent::Resolved(at) => {
                self.tell_composites(slot, What::Ended(at));
                self.end(slot, at, Change::Resolved, cause);
            }
        }
    }

    fn episode_mut(&mut self, slot: u32) -> Option<&mut Episode> {
        self.keys.get_mut(slot)?.episode.as_deref_mut()
    }

    fn change(&mut self, slot: u32, change: impl FnOnce(&mut Alert)) {
        if let Some(episode) = self.episode_mut(slot) {
            change(Arc::make_mut(&mut episode.alert));
        }
    }

    /// A new episode, pending; its reason is not filled in.
    fn begin(&mut self, slot: u32, at: InstantMs) {
        let last = self.raised.get(&slot).copied();
        // A rule that was added again, unchanged, does not give the ids that it gave before it was removed.
        let last = last.into_iter().chain([self.history.floor()]).max();
        let raised_ms = last.filter(|&last| at <= last).map_or(at, |last| last + 1);
        self.raised.insert(slot, raised_ms);
        let labels = self.labels(slot);
        let alert = Arc::new(Alert {
            id: alert_id(&labels, raised_ms, self.settings.meaning),
            fingerprint: fingerprint(&labels),
            labels,
            annotations: self.settings.annotations.clone(),
            state: AlertState::Pending,
            shadow: self.settings.shadow,
            raised_ms,
            active_ms: at,
            fired_ms: None,
            ended_ms: None,
            withdrawn: false,
            reason: crate::Reason::default(),
        });
        if let Some(key) = self.keys.get_mut(slot) {
            key.episode = Some(Box::new(Episode { life: Life::Idle, alert, gate: "" }));
            self.keys.park(slot);
        }
    }

    /// Takes the numbers as they are at an instant.
    fn refresh(&mut self, slot: u32, at: InstantMs, cause: &Cause<'_>) {
        let reason = self.reason(slot, at, cause.lines);
        let Some(key) = self.keys.get(slot) else { return };
        let Some(labels) = key.episode.as_ref().map(|episode| &episode.alert.labels) else { return };
        let annotations = self.annotations(labels, &reason);
        self.change(slot, |alert| {
            alert.reason = reason;
            alert.annotations = annotations;
        });
    }

    fn has_grown(&self, slot: u32, at: InstantMs) -> bool {
        let episode = self.keys.get(slot).and_then(|key| key.episode.as_ref());
        episode.is_some_and(|episode| self.is_worse(slot, at, &episode.alert.reason))
    }

    fn emit(&mut self, slot: u32, change: Change, early: bool, cause: &mut Cause<'_>) {
        self.counts.fired += u64::from(change == Change::Fired);
        self.counts.withdrawn += u64::from(change == Change::Withdrawn);
        if let Some(episode) = self.keys.get(slot).and_then(|key| key.episode.as_ref()) {
            cause.out.push(Transition { change, early, lsn: cause.lsn, alert: Arc::clone(&episode.alert) });
        }
    }

    fn end(&mut self, slot: u32, at: InstantMs, change: Change, cause: &mut Cause<'_>) {
        let gate = match change {
            Change::Withdrawn => "withdrawn: a record that came later contradicts it".to_owned(),
            Change::Dropped => {
                let by = self.episode_mut(slot).map_or("", |episode| episode.gate);
                format!("for: ended by {by} before it was active for long enough")
            }
            _ => self.episode_mut(slot).map_or("", |episode| episode.gate).to_owned(),
        };
        self.change(slot, |alert| {
            alert.state = AlertState::Resolved;
            alert.ended_ms = Some(at);
            alert.withdrawn = change == Change::Withdrawn;
            alert.reason.gate = gate;
        });
        self.emit(slot, change, change == Change::Withdrawn, cause);
        let episode = self.keys.get_mut(slot).and_then(|key| key.episode.take());
        self.keys.unpark(slot);
        if let (Some(over), Some(episode)) = (&mut self.over, episode) {
            over.push(episode.alert);
        }
    }

    /// Raises before the verdict is settled.
    pub(super) fn raise_early(&mut self, slot: u32, at: InstantMs, cause: &mut Cause<'_>) {
        self.begin(slot, at);
        let fires = self.settings.delays.for_ms == 0;
        if fires {
            self.change(slot, |alert| {
                alert.state = AlertState::Firing;
                alert.fired_ms = Some(at);
            });
        }
        self.tell_composites(slot, What::Early(at, fires.then_some(at)));
        self.refresh(slot, at, cause);
        self.emit(slot, if fires { Change::Fired } else { Change::Pending }, true, cause);
    }

    /// An early alert is still active by what is known, but from another instant on.
    pub(super) fn move_early(&mut self, slot: u32, at: InstantMs) {
        self.change(slot, |alert| {
            alert.active_ms = at;
            alert.fired_ms = alert.fired_ms.map(|_| at);
        });
        let fired = self.episode_mut(slot).and_then(|episode| episode.alert.fired_ms);
        self.tell_composites(slot, What::Early(at, fired));
    }

    /// A record contradicted an early alert: it ends where the clock stands.
    pub(super) fn withdraw(&mut self, slot: u32, base: InstantMs, cause: &mut Cause<'_>) {
        let active_ms = self.episode_mut(slot).map_or(base, |episode| episode.alert.active_ms);
        self.tell_composites(slot, What::Withdrawn);
        self.end(slot, base.max(active_ms), Change::Withdrawn, cause);
    }

    /// Alerts that are on.
    pub(super) fn alerts(&self) -> Vec<Arc<Alert>> {
        let on = |key: &Key| key.episode.as_ref().map(|episode| Arc::clone(&episode.alert));
        let mut alerts: Vec<_> = self.keys.iter().filter_map(|(_, _, key)| on(key)).collect();
        alerts.sort_by(|a, b| (a.active_ms, &a.labels).cmp(&(b.active_ms, &b.labels)));
        alerts
    }
}
