//! `watchroom test`: rules against lines of the author's choice, and the alerts that they expect at given instants.
//!
//! Refuses to know: how a rule is judged (the production engine does) and how a test file is written (crate `rules`).

mod judge;
mod report;
mod scene;
mod spec;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono_tz::Tz;
use record::{FormatSet, InstantMs};
use rules::{RuleError, RuleSet, TestCase, TestFile};

use crate::output;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Test files, or folders of them
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
    /// The instant and alert that it is about, with words for people.
    about: (InstantMs, String),
    /// One line for people.
    text: String,
    /// The expected alert; empty when none was expected.
    expected: Vec<String>,
    /// What was there instead.
    found: Vec<String>,
}

/// A test file with the rules that it tests.
struct Loaded {
    file: TestFile,
    rules: Arc<RuleSet>,
}

/// Runs the tests; exit code 0 when all passed, 1 when one failed, 2 when a file cannot be used.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let config = crate::config::Config::load(args.config.config.as_deref())?;
    let formats = Arc::new(config.formats()?);
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for path in spec::files(&args.files)? {
        match load(&path, &formats, config.zone)? {
            Ok(loaded) => all.push(loaded),
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        crate::check::complain_all(&faults);
        return Ok(ExitCode::from(crate::cli::EXIT_WRONG_USE));
    }
    let mut outcomes = Vec::new();
    for Loaded { file, rules } in &all {
        for test in &file.tests {
            match outcome(test, file, rules, &formats, config.zone) {
                Ok(outcome) => outcomes.push(outcome),
                Err(faults) => {
                    crate::check::complain_all(&faults);
                    return Ok(ExitCode::from(crate::cli::EXIT_WRONG_USE));
                }
            }
        }
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, report::junit(&outcomes))
            .with_context(|| format!("--junit: {} cannot be written", path.display()))?;
    }
    let mut out = output::stdout();
    report::print(&outcomes, args.json, args.diff, &mut out)?;
    let failed = outcomes.iter().any(|outcome| !outcome.failures.is_empty());
    Ok(ExitCode::from(if failed { crate::cli::EXIT_FOUND } else { 0 }))
}

/// Reads a test file and its rules; the inner error names every fault of it, or of the rules.
fn load(path: &Path, formats: &Arc<FormatSet>, zone: Tz) -> Result<Result<Loaded, Vec<RuleError>>> {
    let file = match spec::load(path)? {
        Ok(file) => file,
        Err(faults) => return Ok(Err(faults)),
    };
    let rule_files = crate::lines::rule_files(&spec::rule_paths(&file, path))
        .with_context(|| format!("{}: `rule_files`", path.display()))?;
    let rules = match RuleSet::load(&rule_files, formats) {
        Ok(rules) => Arc::new(rules),
        Err(faults) => return Ok(Err(faults)),
    };
    let mut faults = Vec::new();
    for test in &file.tests {
        let instants = spec::Instants::of(&file, zone);
        faults.extend(scene::Scene::of(test, &file.name, instants, formats, true).err().unwrap_or_default());
        faults
            .extend(judge::Wanted::of(test, &file.name, instants, &rules.infos()).err().unwrap_or_default());
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults.dedup();
    Ok(if faults.is_empty() { Ok(Loaded { file, rules }) } else { Err(faults) })
}

/// What comes of a test.
fn outcome(
    test: &TestCase,
    file: &TestFile,
    rules: &Arc<RuleSet>,
    formats: &Arc<FormatSet>,
    zone: Tz,
) -> Result<Outcome, Vec<RuleError>> {
    let instants = spec::Instants::of(file, zone);
    let scene = scene::Scene::of(test, &file.name, instants, formats, false)?;
    let wanted = judge::Wanted::of(test, &file.name, instants, &rules.infos())?;
    let alerts = scene.alerts(rules, formats, wanted.last_ms());
    let failures = wanted.failures(&alerts, zone);
    Ok(Outcome { file: file.name.clone(), name: test.name.clone(), failures })
}
