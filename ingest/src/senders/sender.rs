//! What is known of one sender: its ids, its numbers, when it was heard.
//!
//! Refuses to know: other senders.

use std::sync::Arc;

use record::InstantMs;

use super::ident::Ident;
use super::sequence::{Gap, Sequence};
use super::window::Window;

/// Inputs remembered per sender.
const INPUTS_MAX: usize = 8;
/// Gaps shown per sender.
const GAPS_SHOWN_MAX: usize = 20;
/// A sender counts as heard regularly when it was heard for this many times the allowed silence without such a pause.
const REGULAR: i64 = 2;

/// One sender.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) name: Arc<str>,
    /// Names of the inputs it came by.
    pub(super) inputs: Vec<Arc<str>>,
    /// `InstantMs::MIN`: not yet.
    pub(super) last_heard_ms: InstantMs,
    /// Since when it was heard without a pause that counts as silence.
    pub(super) heard_since_ms: InstantMs,
    pub(super) lines: u64,
    pub(super) duplicates: u64,
    pub(super) window: Window,
    pub(super) sequence: Sequence,
}

/// One sender as pages and metrics show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderView {
    /// Authenticated name, or address.
    pub name: Arc<str>,
    /// Names of the inputs it came by.
    pub inputs: Vec<Arc<str>>,
    /// When its last line came.
    pub last_heard_ms: InstantMs,
    /// Lines kept.
    pub lines: u64,
    /// Lines recognised as sent again.
    pub duplicates: u64,
    /// Ids remembered.
    pub eids: usize,
    /// Numbers that did not come in time, and have not come since.
    pub missing: u64,
    /// All that ever did not come in time.
    pub missing_total: u64,
    /// Times it began to count anew.
    pub restarts: u64,
    /// Numbers that are missing, or on their way by another connection; the latest first, not all if there are many.
    pub gaps: Vec<Gap>,
    /// How many gaps there are.
    pub gaps_total: usize,
    /// Its numbers are those of several senders: gaps cannot be told.
    pub mixed: bool,
    /// It was heard regularly, and then no more.
    pub silent: bool,
}

/// Input and sender of a source, `INPUT/SENDER`.
pub(super) fn parts(source: &str) -> (&str, &str) {
    source.split_once('/').unwrap_or((source, source))
}

impl Sender {
    pub(super) fn new(name: Arc<str>, window_eids: usize) -> Self {
        Self {
            name,
            inputs: Vec::new(),
            last_heard_ms: InstantMs::MIN,
            heard_since_ms: InstantMs::MIN,
            lines: 0,
            duplicates: 0,
            window: Window::new(window_eids),
            sequence: Sequence::default(),
        }
    }

    /// Remembers what is said of a row; `false` if all of it was said before.
    pub(super) fn take(&mut self, idents: &[Ident], recv_ms: InstantMs) -> bool {
        let (mut known, mut new) = (false, false);
        for Ident { marks, .. } in idents {
            let fresh = marks.eid.map(|eid| self.window.insert(eid));
            known |= fresh == Some(false);
            new |= fresh != Some(false);
            if let (Some(seq), Some(true) | None) = (marks.seq, fresh) {
                self.sequence.note(seq, fresh.is_some(), recv_ms);
            }
        }
        let repeated = known && !new;
        self.duplicates += u64::from(repeated);
        !repeated
    }

    /// Lines came by `source`; `silent_after_ms`: the pause that counts as silence.
    pub(super) fn hear(
        &mut self,
        source: &str,
        lines: u64,
        recv_ms: InstantMs,
        silent_after_ms: Option<i64>,
    ) {
        let (input, _) = parts(source);
        if !self.inputs.iter().any(|known| **known == *input) && self.inputs.len() < INPUTS_MAX {
            self.inputs.push(input.into());
        }
        self.lines += lines;
        let pause_ms = recv_ms.saturating_sub(self.last_heard_ms);
        if silent_after_ms.is_none_or(|silent_ms| pause_ms > silent_ms) {
            self.heard_since_ms = recv_ms;
        }
        self.last_heard_ms = self.last_heard_ms.max(recv_ms);
    }

    pub(super) fn view(
        &self,
        now_ms: InstantMs,
        since_ms: InstantMs,
        silent_after_ms: Option<i64>,
    ) -> SenderView {
        let sequence = &self.sequence;
        let silent = silent_after_ms.is_some_and(|silent_ms| {
            self.last_heard_ms.saturating_sub(self.heard_since_ms) >= REGULAR * silent_ms
                && now_ms.saturating_sub(self.last_heard_ms.max(since_ms)) > silent_ms
        });
        SenderView {
            name: Arc::clone(&self.name),
            inputs: self.inputs.clone(),
            last_heard_ms: self.last_heard_ms,
            lines: self.lines,
            duplicates: self.duplicates,
            eids: self.window.len(),
            missing: sequence.missing - sequence.filled,
            missing_total: sequence.missing,
            restarts: sequence.restarts,
            gaps: sequence.gaps().take(GAPS_SHOWN_MAX).copied().collect(),
            gaps_total: sequence.gaps().count(),
            mixed: sequence.mixed(now_ms),
            silent,
        }
    }
}
