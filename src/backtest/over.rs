//! A backtest for somebody who waits for a page: rules given as text, over what is stored, bounded in records and time.
//!
//! Blocks: call it from a thread that may block, and let one run at a time. Refuses to know: HTTP, pages.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use record::InstantMs;
use rules::{Alert, Engine, RuleError, RuleFile, RuleSet};

use crate::clock::{self, Stopwatch};
use crate::config::Config;
use crate::stored::{Stored, Time};

/// How much one question may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Records that are read at most.
    pub(crate) records_max: u64,
    /// How long it may take.
    pub(crate) time_max_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { records_max: 5_000_000, time_max_ms: 20_000 }
    }
}

/// Why not everything in the range was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// [`Bounds::records_max`].
    Records,
    /// [`Bounds::time_max_ms`].
    Time,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Over {
    /// The rules are not right.
    Faulty(Vec<RuleError>),
    /// They were judged.
    Judged(Judged),
}

/// The alerts, and of how much.
#[derive(Debug)]
pub(crate) struct Judged {
    /// As `backtest` prints them, in its order.
    pub(crate) alerts: Vec<Arc<Alert>>,
    /// Records judged.
    pub(crate) records: u64,
    /// Lowest and highest event time of all that is stored; `None`: nothing is.
    pub(crate) held_ms: Option<(InstantMs, InstantMs)>,
    /// The end of the range was not reached; the alerts are those up to where it was cut.
    pub(crate) cut: Option<Cut>,
}

/// Judges rules over the stored records whose event times lie in `range` (half open), the end of the range being the end
/// of the stream, within `bounds`.
///
/// # Errors
/// Nothing is stored; a stored file is damaged.
pub(crate) fn run_over(
    config: &Config,
    rules: &[RuleFile],
    range: Range<InstantMs>,
    bounds: Bounds,
) -> Result<Over> {
    let formats = Arc::new(config.formats()?);
    let rules = match RuleSet::load(rules, &formats) {
        Ok(rules) => Arc::new(rules),
        Err(errors) => return Ok(Over::Faulty(errors)),
    };
    let mut engine = Engine::for_backtest(rules, Arc::clone(&formats));
    let mut stored = Stored::new(config, &formats, range, Time::AsReceived, clock::now_ms());
    let (watch, mut ignored) = (Stopwatch::start(), Vec::new());
    let (mut records, mut cut) = (0, None);
    stored.read(&mut |batch, _| {
        records += batch.rows.len() as u64;
        engine.judge(batch, &mut ignored);
        ignored.clear();
        cut = bounds.cut(records, watch.elapsed_ms());
        cut.is_none()
    })?;
    let (alerts, records) = (engine.finish(), engine.counts().records);
    Ok(Over::Judged(Judged { alerts, records, held_ms: stored.held_ms(), cut }))
}

impl Bounds {
    /// Which bound has been reached.
    pub(crate) fn cut(&self, records: u64, elapsed_ms: u64) -> Option<Cut> {
        match () {
            () if records >= self.records_max => Some(Cut::Records),
            () if elapsed_ms >= self.time_max_ms => Some(Cut::Time),
            () => None,
        }
    }
}
