//! `watchroom test`: rules against lines of the author's choice, and the alerts that they expect at given instants.
//!
//! Refuses to know: how a rule is judged (the production engine does) and how a test file is written (`spec`).

mod judge;
mod report;
mod scene;
mod spec;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use rules::RuleSet;

use crate::output;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Test files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Write the results as JUnit XML, for CI servers
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show what was expected and what came as a diff
    #[arg(long)]
    diff: bool,
    /// One JSON object a test instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: crate::cli::ConfigArg,
}

/// What came of one test.
pub(crate) struct Outcome {
    /// The test file.
    file: String,
    /// The test's name.
    name: String,
    /// What was not as expected; empty: passed.
    failures: Vec<Failure>,
}

/// One expectation that did not hold, or one alert that nobody expected.
pub(crate) struct Failure {
    /// One line for people.
    text: String,
    /// The expected alert; empty when none was expected.
    expected: Vec<String>,
    /// What was there instead.
    found: Vec<String>,
}

/// Runs the tests; exit code 0 when all passed, 1 when one failed, 2 when a file cannot be used.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let config = crate::config::Config::load(args.config.config.as_deref())?;
    let formats = Arc::new(config.formats()?);
    let mut outcomes = Vec::new();
    for path in &args.files {
        let file = spec::TestFile::load(path)?;
        let rule_files = crate::lines::rule_files(&file.rule_paths(path))?;
        let rules = match RuleSet::load(&rule_files, &formats) {
            Ok(rules) => Arc::new(rules),
            Err(errors) => {
                crate::check::complain_all(&errors);
                return Ok(ExitCode::from(crate::cli::EXIT_WRONG_USE));
            }
        };
        let known: Vec<Arc<str>> = rules.infos().into_iter().map(|rule| rule.alert).collect();
        for (number, test) in file.tests.iter().enumerate() {
            let place = || format!("{}: test {}, `{}`", path.display(), number + 1, test.name);
            let scene = scene::Scene::of(test, &file, &formats, config.zone).with_context(place)?;
            let wanted = judge::Wanted::of(test, &file, &known, config.zone).with_context(place)?;
            let alerts = scene.alerts(&rules, &formats, wanted.last_ms());
            outcomes.push(Outcome {
                file: path.display().to_string(),
                name: test.name.clone(),
                failures: wanted.failures(&alerts, config.zone),
            });
        }
    }
    let mut out = output::stdout();
    report::print(&outcomes, args.json, args.diff, &mut out)?;
    if let Some(path) = &args.junit {
        std::fs::write(path, report::junit(&outcomes))
            .with_context(|| format!("--junit: {} cannot be written", path.display()))?;
    }
    let failed = outcomes.iter().any(|outcome| !outcome.failures.is_empty());
    Ok(ExitCode::from(if failed { crate::cli::EXIT_FOUND } else { 0 }))
}
