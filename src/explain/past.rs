//! What is read of a node's records to answer a question: as far back as the rule looks, and, while the alert was on
//! where the reading began, further back.
//!
//! Refuses to know: who asks, how the answer is shown.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use record::{Batch, FormatSet, InstantMs};
use rules::{Engine, Explanation, Question, Reach, RuleSet, SeenKey};

use super::answered;
use crate::clock;
use crate::config::Config;
use crate::stored::{Share, Stored, Time};

/// How much is read behind the instant, to say what became of the alert.
const AHEAD_MS: i64 = 600_000;
/// How often more is read, each time at least twice as far back.
const ROUNDS_MAX: usize = 6;

/// A question over what the node of a configuration has stored.
pub(super) struct Past<'a> {
    config: &'a Config,
    rules: &'a RuleSet,
    formats: &'a Arc<FormatSet>,
    question: &'a Question,
    reach: Reach,
    /// Where the last reading began.
    pub(super) begins_ms: InstantMs,
    /// Lowest and highest event time of what is stored, as far as it was seen.
    pub(super) held_ms: Option<(InstantMs, InstantMs)>,
}

/// The answer, and the keys that were seen.
pub(super) type Answer = (Explanation, Vec<SeenKey>);

/// Told of each batch; false: it is enough.
type Watch<'a> = &'a mut dyn FnMut(&Batch, Share) -> bool;

impl<'a> Past<'a> {
    pub(super) fn new(
        config: &'a Config,
        rules: &'a RuleSet,
        formats: &'a Arc<FormatSet>,
        question: &'a Question,
    ) -> Result<Self> {
        let alert = &question.alert;
        let reach = rules.reach(alert).ok_or_else(|| anyhow!("no rule is called `{alert}`"))?;
        Ok(Self { config, rules, formats, question, reach, begins_ms: InstantMs::MAX, held_ms: None })
    }

    /// Answers by what is stored from an instant on, or, without one, from as far back as is needed: an alert that is on
    /// and began less than the rule's reach after the reading began may be older, so more is read, within bounds. Tells
    /// also whether all was read on which the answer stands.
    pub(super) fn ask(
        &mut self,
        engine: Engine,
        from_ms: Option<InstantMs>,
        watch: Watch<'_>,
    ) -> Result<(Answer, bool)> {
        let at_ms = self.question.at_ms;
        let start_ms = from_ms.unwrap_or(at_ms.saturating_sub(self.reach.back_ms));
        let (mut told, mut is_whole) = self.read(engine, start_ms, watch)?;
        for round in 0..=ROUNDS_MAX {
            let on = told.0.episode.as_ref().map(|episode| episode.active_at);
            let is_sure = |active_ms: InstantMs| active_ms >= self.begins_ms + self.reach.back_ms;
            let has_more = self.held_ms.is_some_and(|(first, _)| first < self.begins_ms);
            let Some(active_ms) = on.filter(|&active_ms| has_more && !is_sure(active_ms)) else { break };
            told.0.may_be_older = true;
            if from_ms.is_some() || !is_whole || round == ROUNDS_MAX {
                break;
            }
            let further_ms = at_ms.saturating_sub((at_ms - self.begins_ms).saturating_mul(2));
            let start_ms = further_ms.min(active_ms.saturating_sub(self.reach.back_ms));
            let engine = Engine::for_explain(self.rules, Arc::clone(self.formats), self.question)?;
            let (again, whole) = self.read(engine, start_ms, watch)?;
            if !whole {
                // What was read is not what was asked for; the answer before it was.
                break;
            }
            (told, is_whole) = (again, whole);
        }
        Ok((told, is_whole))
    }

    /// Reads from an instant on; the answer, and whether all was read.
    fn read(&mut self, mut engine: Engine, start_ms: InstantMs, watch: Watch<'_>) -> Result<(Answer, bool)> {
        self.begins_ms = start_ms;
        let end_ms = self.question.at_ms.saturating_add(self.reach.ahead_ms.saturating_add(AHEAD_MS));
        let range = start_ms..end_ms;
        let mut stored =
            Stored::new(self.config, self.formats, range.clone(), Time::AsReceived, clock::now_ms());
        let (mut ignored, mut is_whole) = (Vec::new(), true);
        stored.read(&mut |batch, share| {
            engine.judge(batch, &mut ignored);
            ignored.clear();
            is_whole = watch(batch, share);
            is_whole
        })?;
        self.held_ms = stored.held_ms();
        let known_ms = if is_whole { self.known(&stored, &range) } else { None };
        Ok((answered(&mut engine, known_ms)?, is_whole))
    }

    /// Up to where the node has passed time, as far as the range goes: where nothing came, nothing came.
    fn known(&self, stored: &Stored, range: &Range<InstantMs>) -> Option<InstantMs> {
        let highest = stored.held_ms().map(|(_, last)| last);
        let passed = stored.passed_ms().max(highest)?;
        Some(passed.saturating_sub(self.reach.lateness_ms).min(range.end))
    }
}
