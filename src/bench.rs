//! Answers the rules pages: explanations and backtests over what this node has stored, bounded in records and time.
//!
//! Refuses to know: HTTP, how rules are judged, how records are kept.

mod explained;
mod text;

use std::sync::Arc;

use chrono_tz::Tz;
use dashboards::{
    BacktestAnswer, BacktestQuestion, BenchFault, ExplainAnswer, ExplainQuestion, RulesBench, times,
};
use rules::Question;

use self::text::RuleText;
use crate::backtest::{Bounds, Cut, Judged, Over, run_over};
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::explain::{Explained, explain_stored};
use crate::output::told;
use crate::progress::Progress;
use crate::published::Questions;

/// What the answers are made of.
pub(crate) struct Bench {
    config: Arc<Config>,
    progress: Arc<Progress>,
    questions: Questions,
}

impl Bench {
    /// Of the node of a configuration.
    pub(crate) fn new(config: &Arc<Config>, progress: &Arc<Progress>, questions: &Questions) -> Self {
        Self { config: Arc::clone(config), progress: Arc::clone(progress), questions: questions.clone() }
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
    fn explain(&self, question: &ExplainQuestion) -> Result<ExplainAnswer, BenchFault> {
        let rules = self.questions.rules().map_err(BenchFault::Busy)?;
        let Some(info) = rules.infos().into_iter().find(|info| *info.alert == *question.alert) else {
            return Err(BenchFault::NoRule);
        };
        let value = |name: &str| question.key.get(name).map_or("", String::as_str);
        let asked = Question {
            alert: question.alert.clone(),
            key: info.by.iter().map(|name| format!("{name}={}", value(name))).collect(),
            at_ms: question.at_ms,
        };
        let bounds = Bounds::default();
        match explain_stored(&self.config, &rules, &asked, bounds) {
            Err(error) => Err(BenchFault::Failed(told(&error))),
            Ok(Explained::Refused(error)) => Err(BenchFault::Question(error.to_string())),
            Ok(Explained::Told(explanation, cut)) => {
                Ok(explained::answer(*explanation, cut, self.config.zone))
            }
        }
    }

    fn backtest(&self, question: &BacktestQuestion) -> Result<BacktestAnswer, BenchFault> {
        let watch = Stopwatch::start();
        let (file, known) = (self.file_of(&question.alert), Arc::clone(&self.progress.rules().infos));
        let text = RuleText::new(&question.text, &file, &known);
        let range = question.from_ms..question.to_ms;
        let bounds = Bounds::default();
        match run_over(&self.config, &[text.file()], range, bounds) {
            Err(error) => Err(BenchFault::Failed(told(&error))),
            Ok(Over::Faulty(errors)) => {
                Err(BenchFault::Text(errors.into_iter().map(|error| text.placed(error)).collect()))
            }
            Ok(Over::Judged(mut judged)) => {
                judged
                    .alerts
                    .retain(|alert| alert.labels.get("alertname").is_none_or(|name| text.is_typed(name)));
                answer(question, judged, bounds, watch.elapsed_ms(), self.config.zone)
            }
        }
    }
}

fn answer(
    question: &BacktestQuestion,
    judged: Judged,
    bounds: Bounds,
    took_ms: u64,
    zone: Tz,
) -> Result<BacktestAnswer, BenchFault> {
    let Some((first_ms, last_ms)) = judged.held_ms else {
        return Err(BenchFault::Question("nothing is stored yet: there is no past to judge".to_owned()));
    };
    let instant = |at_ms| times::seconds(at_ms, zone);
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
