//! Holds back lines of files that concern no rule: of those only the time is kept.
//!
//! A line is looked at as far as conditions look at it. That is done beside other lines on every core; the judge then
//! reads only what concerns it. Refuses to know: files, verdicts.

use record::{Batch, Decoder, FormatSet, Glance, Row, RowFlags};
use rules::{Hit, RuleIndex, RuleSet};

/// Where more than one of so many lines passes, looking costs more than it saves.
const PASSING_MAX: u32 = 2;
/// Blocks that are then read without it before it is tried again.
const RESTING_BLOCKS: u32 = 15;
/// Lines by which a block is judged.
const LINES_MIN: u32 = 64;

/// What is looked at, and the rules that are asked.
#[derive(Debug, Clone)]
pub(crate) struct Sieve {
    glance: Glance,
    index: RuleIndex,
    hits: Vec<Hit>,
    scratch: Batch,
    formats: std::sync::Arc<FormatSet>,
    looked_at: u32,
    passed: u32,
    resting: u32,
}

impl Sieve {
    /// `None` if lines cannot be told by their first columns.
    pub(crate) fn new(rules: &RuleSet, formats: &std::sync::Arc<FormatSet>) -> Option<Self> {
        let index = RuleIndex::of(rules);
        let glance = Glance::new(formats, |format| index.columns(format))?;
        Some(Self {
            glance,
            index,
            hits: Vec::new(),
            scratch: Batch::default(),
            formats: std::sync::Arc::clone(formats),
            looked_at: 0,
            passed: 0,
            resting: 0,
        })
    }

    /// A block of lines begins.
    pub(crate) fn begin_block(&mut self) {
        let is_idle = self.looked_at >= LINES_MIN && self.passed > self.looked_at / PASSING_MAX;
        self.resting = if is_idle { RESTING_BLOCKS } else { self.resting.saturating_sub(1) };
        (self.looked_at, self.passed) = (0, 0);
    }

    /// What is kept of a line that concerns no rule; `None` if it is to be read in full.
    pub(crate) fn hold_back(&mut self, decoder: &mut Decoder, line: &[u8]) -> Option<Row> {
        if self.resting > 0 {
            return None;
        }
        self.looked_at += 1;
        self.hits.clear();
        if decoder.glance(&mut self.scratch, line, &self.glance) {
            self.index.hits(&self.scratch.record(0, &self.formats), &mut self.hits);
            if self.hits.is_empty() {
                let row = &self.scratch.rows[0];
                return Some(Row {
                    event_ms: row.event_ms,
                    format: row.format,
                    flags: RowFlags::UNCONCERNED,
                    ..Row::default()
                });
            }
        }
        self.passed += 1;
        None
    }
}
