//! `watchroom explain`: why a rule's alert was on, or was not, for one key at one instant.
//!
//! Over files, or over what a node has stored; for the pages too, within bounds. Refuses to know: how a rule is judged,
//! how records are kept.

mod past;
mod show;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use record::{FormatSet, InstantMs};
use rules::{Engine, Explanation, Question, QuestionError, RuleSet, SeenKey, State};

use self::past::{Answer, Past};
use crate::backtest::{Bounds, Cut, FileReader};
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::output;
use crate::progress_bar::ProgressBar;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the rule
    rule: String,
    /// Its key: `field=value` for each field of `by`, or the values in their order; `field=` is null. Left out where
    /// the rule has no `by`; else the keys that were seen are listed
    #[arg(value_name = "KEY")]
    key: Vec<String>,
    /// The instant, event time: RFC 3339, or `YYYY-MM-DD HH:MM[:SS]` in the platform's zone
    #[arg(long, value_name = "TIME")]
    at: String,
    /// Rule files or folders of them; default: those of the configuration
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Files of lines, as for `backtest`; default: what the node of the configuration has stored
    #[arg(long, value_name = "FILE", num_args = 1..)]
    file: Vec<PathBuf>,
    /// Read stored records from this event time on; default: as far back as the rule looks
    #[arg(long, value_name = "TIME", conflicts_with = "file")]
    from: Option<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: crate::cli::ConfigArg,
}

/// Explains; exit code 1 if an alert is pending or firing at the instant, 0 if none is.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref())?;
    let formats = Arc::new(config.formats()?);
    let files =
        if args.rules.is_empty() { config.rule_files()? } else { crate::lines::rule_files(&args.rules)? };
    let rules = match RuleSet::load(&files, &formats) {
        Ok(rules) => Arc::new(rules),
        Err(errors) => {
            crate::check::complain_all(&errors);
            return Ok(ExitCode::from(crate::cli::EXIT_WRONG_USE));
        }
    };
    let at_ms = dashboards::times::parse(&args.at, config.zone).map_err(|error| anyhow!("--at: {error}"))?;
    let by = rules.infos().into_iter().find(|rule| *rule.alert == *args.rule).map(|rule| rule.by);
    let names_no_key = args.key.is_empty() && by.as_ref().is_some_and(|by| !by.is_empty());
    let key = match &by {
        // The keys that are seen on the way are asked for; any key will do.
        Some(by) if names_no_key => by.iter().map(|name| format!("{name}=")).collect(),
        _ => args.key.clone(),
    };
    let question = Question { alert: args.rule.clone(), key, at_ms };
    let (told, seen) = args.ask(&config, &rules, &formats, &question)?;
    let mut out = output::stdout();
    if names_no_key {
        show::keys(&seen, &args.rule, args.json, config.zone, &mut out)?;
        out.flush()?;
        return Ok(ExitCode::from(crate::cli::EXIT_WRONG_USE));
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&told)?)?;
    } else {
        show::explanation(&told, &seen, config.zone, &mut out)?;
    }
    out.flush()?;
    let is_on = told.state != State::Inactive;
    Ok(ExitCode::from(if is_on { crate::cli::EXIT_FOUND } else { 0 }))
}

impl Args {
    /// The answer, and the keys that were seen.
    fn ask(
        &self,
        config: &Config,
        rules: &RuleSet,
        formats: &Arc<FormatSet>,
        question: &Question,
    ) -> Result<Answer> {
        let mut engine = Engine::for_explain(rules, Arc::clone(formats), question)?;
        let mut bar = ProgressBar::start();
        let mut records = 0;
        if !self.file.is_empty() {
            let mut ignored = Vec::new();
            let mut reader = FileReader::new(&self.file);
            reader.read(&self.file, formats, &mut |batch, share| {
                records += batch.rows.len() as u64;
                engine.judge(batch, &mut ignored);
                ignored.clear();
                bar.show(share.passed, share.total, records);
            })?;
            bar.end();
            ensure!(records > 0, "--file: the files hold no record, so there is nothing to explain");
            return answered(&mut engine, None);
        }
        let mut from_ms = None;
        if let Some(from) = &self.from {
            let from = dashboards::times::parse(from, config.zone).map_err(|e| anyhow!("--from: {e}"))?;
            ensure!(from <= question.at_ms, "--from is not before --at");
            from_ms = Some(from);
        }
        let mut past = Past::new(config, rules, formats, question)?;
        let (told, _) = past.ask(engine, from_ms, &mut |batch, share| {
            records += batch.rows.len() as u64;
            bar.show(share.passed, share.total, records);
            true
        })?;
        bar.end();
        let Some((first, _)) = past.held_ms else { anyhow::bail!("nothing is stored yet") };
        if first > past.begins_ms {
            output::note(&format!(
                "stored records begin at {}: what came before is not known",
                record::rfc3339_ms(first)
            ));
        }
        Ok(told)
    }
}

fn answered(engine: &mut Engine, known_ms: Option<InstantMs>) -> Result<Answer> {
    let told = engine.explain(known_ms).ok_or_else(|| anyhow!("the engine was not asked"))?;
    Ok((told, engine.seen_keys()))
}

/// What came of a question of the pages.
#[derive(Debug)]
pub(crate) enum Explained {
    /// The question makes no sense.
    Refused(QuestionError),
    /// The answer, and which bound ended the reading before it was complete.
    Told(Box<Explanation>, Option<Cut>),
}

/// Explains one key of one rule at one instant from what the node of a configuration has stored, within bounds. Blocks:
/// call it from a thread that may block, and let one run at a time.
///
/// # Errors
/// Nothing is stored; a stored file is damaged.
pub(crate) fn explain_stored(
    config: &Config,
    rules: &Arc<RuleSet>,
    question: &Question,
    bounds: Bounds,
) -> Result<Explained> {
    let formats = Arc::new(config.formats()?);
    let engine = match Engine::for_explain(rules, Arc::clone(&formats), question) {
        Ok(engine) => engine,
        Err(error) => return Ok(Explained::Refused(error)),
    };
    let watch = Stopwatch::start();
    let (mut records, mut cut) = (0, None);
    let mut past = Past::new(config, rules, &formats, question)?;
    let ((told, _), is_whole) = past.ask(engine, None, &mut |batch, _| {
        records += batch.rows.len() as u64;
        cut = bounds.cut(records, watch.elapsed_ms());
        cut.is_none()
    })?;
    Ok(Explained::Told(Box::new(told), cut.filter(|_| !is_whole)))
}

/// `field=value field=value`.
fn pairs(seen: &SeenKey) -> String {
    let named = seen.labels.iter().map(|(name, value)| format!("{name}={value}"));
    named.collect::<Vec<_>>().join(" ")
}
