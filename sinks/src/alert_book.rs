//! The alerts as everyone reads them: the judge writes it, pages and notifiers read it.
//!
//! Refuses to know: rules, pages, mail.

use std::collections::VecDeque;
use std::sync::{Arc, RwLock};

use rules::{Alert, AlertState, Change, Transition};

/// Resolved alerts kept for the page.
const RESOLVED_MAX: usize = 1_000;

/// Current and recently resolved alerts. Cheap to clone, shared.
#[derive(Debug, Clone, Default)]
pub struct AlertBook(Arc<RwLock<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    live: Vec<Arc<Alert>>,
    resolved: VecDeque<Arc<Alert>>,
}

impl AlertBook {
    /// Takes transitions in order.
    pub fn apply(&self, transitions: &[Transition]) {
        let mut pages = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for transition in transitions {
            let alert = &transition.alert;
            pages.live.retain(|known| known.id != alert.id);
            match transition.change {
                Change::Pending | Change::Fired | Change::Updated => pages.live.push(Arc::clone(alert)),
                Change::Dropped => {}
                Change::Resolved | Change::Withdrawn => {
                    pages.resolved.push_front(Arc::clone(alert));
                    pages.resolved.truncate(RESOLVED_MAX);
                }
            }
        }
    }

    /// Pending and firing, firing first, newest first.
    pub fn live(&self) -> Vec<Arc<Alert>> {
        let pages = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut live = pages.live.clone();
        live.sort_by_key(|a| (a.state != AlertState::Firing, std::cmp::Reverse(a.active_ms)));
        live
    }

    /// Resolved (withdrawn included), newest first; at most 1,000.
    pub fn resolved(&self) -> Vec<Arc<Alert>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).resolved.iter().cloned().collect()
    }

    /// One alert by its id, live or resolved.
    pub fn find(&self, id: &str) -> Option<Arc<Alert>> {
        let pages = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        pages.live.iter().chain(&pages.resolved).find(|a| a.id == id).cloned()
    }
}
