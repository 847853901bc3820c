//! Answers the rules pages: explanations and backtests over what this node has stored, bounded in records and time.
//!
//! Refuses to know: HTTP, how rules are judged, how records are kept.

mod text;

use std::sync::Arc;

use dashboards::{BacktestAnswer, BacktestQuestion, BenchFault, ExplainAnswer, ExplainQuestion, RulesBench};

use self::text::RuleText;
use crate::backtest::{Bounds, Cut, Judged, Over, run_over};
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::output::told;
use crate::progress::Progress;

/// What the answers are made of.
pub(crate) struct Bench {
    config: Arc<Config>,
    progress: Arc<Progress>,
}

impl Bench {
    /// Of the node of a configuration.
    pub(crate) fn new(config: &Arc<Config>, progress: &Arc<Progress>) -> Self {
        Self { config: Arc::clone(config), progress: Arc::clone(progress) }
    }

    /// Text of the file that a rule in use came from; empty if it is gone.
    fn file_of(&self, alert: &str) -> String {
        let rules = self.progress.rules();
        let Some(rule) = rules.find(alert) else { return String::new() };
        let files = self.config.rule_files().unwrap_or_default();
        files.into_iter().find(|file| *file.name == *rule.info.file).map(|file| file.text).unwrap_or_default()
    }
}

impl RulesBench for Bench {
    fn explain(&self, _question: &ExplainQuestion) -> Result<ExplainAnswer, BenchFault> {
        Err(BenchFault::Failed("this node cannot explain yet: ask `watchroom explain`".to_owned()))
    }

    fn backtest(&self, question: &BacktestQuestion) -> Result<BacktestAnswer, BenchFault> {
        let watch = Stopwatch::start();
        let text = RuleText::new(&question.text, &self.file_of(&question.alert));
        let range = question.from_ms..question.to_ms;
        let bounds = Bounds::default();
        match run_over(&self.config, &[text.file()], range, bounds) {
            Err(error) => Err(BenchFault::Failed(told(&error))),
            Ok(Over::Faulty(errors)) => {
                Err(BenchFault::Text(errors.into_iter().map(|error| text.placed(error)).collect()))
            }
            Ok(Over::Judged(judged)) => answer(question, judged, bounds, watch.elapsed_ms()),
        }
    }
}

fn answer(
    question: &BacktestQuestion,
    judged: Judged,
    bounds: Bounds,
    took_ms: u64,
) -> Result<BacktestAnswer, BenchFault> {
    let Some((first_ms, last_ms)) = judged.held_ms else {
        return Err(BenchFault::Question("nothing is stored yet: there is no past to judge".to_owned()));
    };
    let instant = record::rfc3339_ms;
    let cut = match judged.cut {
        Some(Cut::Records) => Some(format!(
            "Only the first {} records of this time were judged: choose a shorter time, or run `watchroom backtest`.",
            bounds.records_max
        )),
        Some(Cut::Time) => Some(format!(
            "Judging ended after {} s, before the end of this time: choose a shorter one, or run `watchroom backtest`.",
            bounds.time_max_ms / 1_000
        )),
        None if judged.records == 0 => Some(format!(
            "No stored record lies in this time: they run from {} to {}.",
            instant(first_ms),
            instant(last_ms)
        )),
        None if question.from_ms < first_ms => {
            Some(format!("Stored records begin at {}: what came before was not judged.", instant(first_ms)))
        }
        None => None,
    };
    Ok(BacktestAnswer { alerts: judged.alerts, records: judged.records, cut, took_ms })
}
