//! The settled life of an alert: pending, firing, kept firing, over; measured on the time line.
//!
//! Activity comes in as edges in time order, the passing of decided time by [`Life::pass`]. Refuses to know: windows,
//! records, early verdicts, who is told.

use record::InstantMs;

/// `for` and `keep_firing_for`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delays {
    pub(super) for_ms: i64,
    pub(super) keep_firing_for_ms: i64,
}

/// Where a life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Life {
    /// Not active, nothing on.
    #[default]
    Idle,
    /// Active since, not yet for long enough.
    Pending { active_ms: InstantMs },
    /// Active long enough.
    Firing { active_ms: InstantMs },
    /// Inactive since, still kept firing.
    Fading { active_ms: InstantMs, inactive_ms: InstantMs },
}

/// What decided time brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LifeEvent {
    /// First active instant.
    Started(InstantMs),
    /// Active for long enough, at that instant.
    Fired(InstantMs),
    /// Over while pending: first inactive instant.
    Dropped(InstantMs),
    /// Over: first inactive instant plus `keep_firing_for`.
    Resolved(InstantMs),
}

impl Life {
    /// Whether activity goes on.
    pub(super) fn is_active(&self) -> bool {
        matches!(self, Life::Pending { .. } | Life::Firing { .. })
    }

    /// The instant at which something happens if activity stays as it is.
    pub(super) fn timer(&self, delays: Delays) -> Option<InstantMs> {
        match *self {
            Life::Idle | Life::Firing { .. } => None,
            Life::Pending { active_ms } => Some(active_ms + delays.for_ms),
            Life::Fading { inactive_ms, .. } => Some(inactive_ms + delays.keep_firing_for_ms),
        }
    }

    /// All instants before `until` are decided and activity did not change meanwhile. The instant of a timer itself
    /// must be decided: pending fires only if still active at that very instant, and fading goes on if active again
    /// at that very instant.
    pub(super) fn pass(&mut self, until: InstantMs, delays: Delays, events: &mut Vec<LifeEvent>) {
        let Some(timer) = self.timer(delays).filter(|&timer| timer < until) else { return };
        match *self {
            Life::Pending { active_ms } => {
                *self = Life::Firing { active_ms };
                events.push(LifeEvent::Fired(timer));
            }
            Life::Fading { .. } => {
                *self = Life::Idle;
                events.push(LifeEvent::Resolved(timer));
            }
            Life::Idle | Life::Firing { .. } => {}
        }
    }

    /// Activity changes at an instant; everything before it is decided.
    pub(super) fn set(&mut self, at: InstantMs, active: bool, delays: Delays, events: &mut Vec<LifeEvent>) {
        self.pass(at, delays, events);
        *self = match (*self, active) {
            (Life::Idle, true) => {
                events.push(LifeEvent::Started(at));
                Life::Pending { active_ms: at }
            }
            (Life::Fading { active_ms, .. }, true) => Life::Firing { active_ms },
            (Life::Pending { .. }, false) => {
                events.push(LifeEvent::Dropped(at));
                Life::Idle
            }
            (Life::Firing { active_ms }, false) => Life::Fading { active_ms, inactive_ms: at },
            (same, _) => same,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(delays: Delays, edges: &[(InstantMs, bool)], until: InstantMs) -> (Life, Vec<LifeEvent>) {
        let (mut life, mut events) = (Life::default(), Vec::new());
        for &(at, active) in edges {
            life.set(at, active, delays, &mut events);
        }
        life.pass(until, delays, &mut events);
        (life, events)
    }

    const FOR_5: Delays = Delays { for_ms: 5_000, keep_firing_for_ms: 0 };
    const KEEP_5: Delays = Delays { for_ms: 0, keep_firing_for_ms: 5_000 };

    #[test]
    fn without_delays() {
        let none = Delays { for_ms: 0, keep_firing_for_ms: 0 };
        let events = run(none, &[(1, true), (4, false)], 5).1;
        assert_eq!(events, [LifeEvent::Started(1), LifeEvent::Fired(1), LifeEvent::Resolved(4)]);
    }

    #[test]
    fn for_needs_the_instant_itself() {
        let inactive_at_the_border = run(FOR_5, &[(1_000, true), (6_000, false)], 9_000).1;
        assert_eq!(inactive_at_the_border, [LifeEvent::Started(1_000), LifeEvent::Dropped(6_000)]);
        let a_millisecond_more = run(FOR_5, &[(1_000, true), (6_001, false)], 9_000).1;
        assert_eq!(a_millisecond_more[1..], [LifeEvent::Fired(6_000), LifeEvent::Resolved(6_001)]);
    }

    #[test]
    fn for_is_undecided_at_its_own_instant() {
        assert_eq!(run(FOR_5, &[(1_000, true)], 6_000).0, Life::Pending { active_ms: 1_000 });
        assert_eq!(run(FOR_5, &[(1_000, true)], 6_001).0, Life::Firing { active_ms: 1_000 });
    }

    #[test]
    fn keep_firing_includes_its_last_instant() {
        let again = run(KEEP_5, &[(0, true), (1_000, false), (6_000, true), (7_000, false)], 13_000).1;
        assert_eq!(again, [LifeEvent::Started(0), LifeEvent::Fired(0), LifeEvent::Resolved(12_000)]);
        let too_late = run(KEEP_5, &[(0, true), (1_000, false), (6_001, true)], 6_002).1;
        assert_eq!(
            too_late[2..],
            [LifeEvent::Resolved(6_000), LifeEvent::Started(6_001), LifeEvent::Fired(6_001)]
        );
    }
}
