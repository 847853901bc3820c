//! What the database refused, kept in memory until it takes it.
//!
//! Bounded by number and bytes. Refuses to know: why it was refused.

use std::collections::VecDeque;

use record::{InstantMs, Lsn};
use rules::Transition;

use crate::notification::{Notification, Status, cut};

/// News kept at most.
const NEWS_MAX: usize = 10_000;
/// Bytes of a title at most.
const TITLE_MAX: usize = 300;
/// Bytes of their texts at most.
const BYTES_MAX: usize = 64 << 20;
/// After a refusal the database is not asked again for so long: asking takes time, and others wait for their turn.
const RETRY_MS: i64 = 1_000;

/// What is enqueued for one transition; made once.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) lsn: Lsn,
    pub(super) alert_id: String,
    pub(super) status: Status,
    pub(super) title: String,
    /// The notification as JSON.
    pub(super) body: String,
}

impl News {
    /// `None` for what nobody is told.
    pub(super) fn of(transition: &Transition) -> Option<Self> {
        let notification = Notification::from_transition(transition)?;
        Some(Self {
            lsn: transition.lsn,
            title: cut(&format!("{} {}", notification.alertname(), notification.summary()), TITLE_MAX)
                .into_owned(),
            status: notification.status,
            body: serde_json::to_string(&notification).expect("maps with text keys always serialize"),
            alert_id: notification.alert_id,
        })
    }

    fn bytes(&self) -> usize {
        self.alert_id.len() + self.title.len() + self.body.len()
    }
}

/// News in the order of their causes.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    news: VecDeque<News>,
    bytes: usize,
    refused_ms: Option<InstantMs>,
    dropped_total: u64,
}

impl Unwritten {
    /// Keeps news behind those that are there; what has no room is dropped and counted.
    pub(super) fn keep(&mut self, news: Vec<News>) {
        for news in news {
            if self.news.len() >= NEWS_MAX || self.bytes + news.bytes() > BYTES_MAX {
                self.dropped_total += 1;
                continue;
            }
            self.bytes += news.bytes();
            self.news.push_back(news);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.news.len()
    }

    /// Something is not in the database that belongs there. What was dropped stays missing until a restart replays it.
    pub(super) fn any(&self) -> bool {
        !self.news.is_empty() || self.dropped_total > 0
    }

    pub(super) fn dropped_total(&self) -> u64 {
        self.dropped_total
    }

    /// The oldest, at most so many.
    pub(super) fn oldest(&mut self, limit: usize) -> &[News] {
        let all = self.news.make_contiguous();
        &all[..all.len().min(limit)]
    }

    /// The oldest are written.
    pub(super) fn written(&mut self, count: usize) {
        let written: usize = self.news.drain(..count).map(|news| news.bytes()).sum();
        self.bytes -= written;
        if self.news.is_empty() {
            self.news.shrink_to_fit();
        }
    }

    /// The database refused something.
    pub(super) fn refused(&mut self, now_ms: InstantMs) {
        self.refused_ms = Some(now_ms);
    }

    /// The database works.
    pub(super) fn accepted(&mut self) {
        self.refused_ms = None;
    }

    /// When the database may be asked again; `None`: now. A refusal in the future means that the clock was set back.
    pub(super) fn ask_again_ms(&self, now_ms: InstantMs) -> Option<InstantMs> {
        let refused_ms = self.refused_ms?;
        (0..RETRY_MS)
            .contains(&now_ms.saturating_sub(refused_ms))
            .then(|| refused_ms.saturating_add(RETRY_MS))
    }
}
