//! The alerts as everyone reads them: the judge writes it, pages and notifiers read it.
//!
//! Refuses to know: rules, pages, mail.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, RwLock};

use rules::{Alert, AlertState, Change, Transition};

/// Resolved alerts kept for the page.
const RESOLVED_MAX: usize = 1_000;

/// Current and recently resolved alerts. Cheap to clone, shared.
#[derive(Debug, Clone, Default)]
pub struct AlertBook(Arc<RwLock<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    /// By id: an alert storm must not make each transition walk through all alerts.
    live: HashMap<String, Arc<Alert>>,
    resolved: VecDeque<Arc<Alert>>,
}

impl AlertBook {
    /// Takes transitions in order.
    pub fn apply(&self, transitions: &[Transition]) {
        let mut pages = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for transition in transitions {
            let alert = &transition.alert;
            pages.live.remove(&alert.id);
            pages.resolved.retain(|known| known.id != alert.id);
            match transition.change {
                Change::Pending | Change::Fired | Change::Updated => {
                    pages.live.insert(alert.id.clone(), Arc::clone(alert));
                }
                Change::Dropped => {}
                Change::Resolved | Change::Withdrawn => {
                    pages.resolved.push_front(Arc::clone(alert));
                    pages.resolved.truncate(RESOLVED_MAX);
                }
            }
        }
    }

    /// Pending and firing, firing first, newest first, then by id.
    pub fn live(&self) -> Vec<Arc<Alert>> {
        let pages = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut live: Vec<_> = pages.live.values().cloned().collect();
        live.sort_by(|a, b| {
            let key = |a: &Alert| (a.state != AlertState::Firing, std::cmp::Reverse(a.active_ms));
            key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
        });
        live
    }

    /// Resolved (withdrawn included), newest first; at most 1,000.
    pub fn resolved(&self) -> Vec<Arc<Alert>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).resolved.iter().cloned().collect()
    }

    /// Everything it holds, in no order but that of the resolved among themselves, newest first: for
    /// [`AlertBook::restore`] in the next process.
    pub fn all(&self) -> Vec<Arc<Alert>> {
        let pages = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        pages.live.values().chain(&pages.resolved).cloned().collect()
    }

    /// Puts back what [`AlertBook::all`] gave, in place of what is there.
    pub fn restore(&self, alerts: impl IntoIterator<Item = Alert>) {
        let mut pages = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *pages = Pages::default();
        for alert in alerts {
            if alert.state == AlertState::Resolved {
                pages.resolved.push_back(Arc::new(alert));
            } else {
                pages.live.insert(alert.id.clone(), Arc::new(alert));
            }
        }
        pages.resolved.truncate(RESOLVED_MAX);
    }

    /// One alert by its id, live or resolved.
    pub fn find(&self, id: &str) -> Option<Arc<Alert>> {
        let pages = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        pages.live.get(id).or_else(|| pages.resolved.iter().find(|a| a.id == id)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::{alert, ended, transition};

    fn ids(alerts: &[Arc<Alert>]) -> Vec<&str> {
        alerts.iter().map(|a| a.id.as_str()).collect()
    }

    #[test]
    fn live_alerts_are_firing_first_and_newest_first() {
        let book = AlertBook::default();
        let at = |id: &str, active_ms, state| Alert { active_ms, state, ..alert(id) };
        book.apply(&[
            transition(Change::Pending, at("p", 9, AlertState::Pending)),
            transition(Change::Fired, at("old", 1, AlertState::Firing)),
            transition(Change::Fired, at("new", 2, AlertState::Firing)),
        ]);
        assert_eq!(ids(&book.live()), ["new", "old", "p"]);
    }

    #[test]
    fn one_alert_is_in_one_place() {
        let book = AlertBook::default();
        let grown = Alert { reason: rules::Reason { count: 99, ..alert("a").reason }, ..alert("a") };
        book.apply(&[transition(Change::Fired, alert("a")), transition(Change::Updated, grown)]);
        assert_eq!(book.live().iter().map(|a| a.reason.count).collect::<Vec<_>>(), [99]);
        book.apply(&[transition(Change::Resolved, ended(alert("a")))]);
        assert_eq!((book.live().len(), ids(&book.resolved())), (0, vec!["a"]));
        assert_eq!(book.find("a").map(|a| a.state), Some(AlertState::Resolved));
    }

    #[test]
    fn a_replay_adds_nothing_twice() {
        let book = AlertBook::default();
        let life = [transition(Change::Fired, alert("a")), transition(Change::Resolved, ended(alert("a")))];
        book.apply(&life);
        book.apply(&life);
        assert_eq!((book.live().len(), ids(&book.resolved())), (0, vec!["a"]));
    }

    #[test]
    fn the_next_process_shows_the_same() {
        let book = AlertBook::default();
        book.apply(&[
            transition(Change::Fired, alert("a")),
            transition(Change::Resolved, ended(alert("b"))),
            transition(Change::Pending, Alert { state: AlertState::Pending, ..alert("c") }),
            transition(Change::Withdrawn, ended(alert("d"))),
        ]);
        let kept: Vec<String> = book
            .all()
            .iter()
            .map(|alert| serde_json::to_string(alert).expect("an alert can be written"))
            .collect();
        let next = AlertBook::default();
        next.restore(kept.iter().map(|line| serde_json::from_str(line).expect("and read again")));
        assert_eq!((next.live(), next.resolved()), (book.live(), book.resolved()));
        assert_eq!(ids(&next.resolved()), ["d", "b"]);
    }

    #[test]
    fn dropped_alerts_leave_and_resolved_ones_are_bounded() {
        let book = AlertBook::default();
        book.apply(&[transition(Change::Pending, alert("a")), transition(Change::Dropped, alert("a"))]);
        assert!(book.find("a").is_none());
        for n in 0..RESOLVED_MAX + 5 {
            book.apply(&[transition(Change::Resolved, ended(alert(&n.to_string())))]);
        }
        assert_eq!((book.resolved().len(), book.resolved()[0].id.as_str()), (RESOLVED_MAX, "1004"));
    }
}
