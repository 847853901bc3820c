//! `watchroom check`: configuration and rule files, every error with file, line, column and what to do.
//!
//! Refuses to know: what makes a rule right.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use rules::{RuleError, RuleSet};

use crate::cli::EXIT_FOUND;
use crate::config::Config;
use crate::output;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files or folders; default: those of the configuration
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    config: crate::cli::ConfigArg,
}

/// Checks; exit code 0 when all is well, 1 when errors were found.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let config = match Config::load(args.config.config.as_deref()) {
        Ok(config) => config,
        Err(error) if args.config.config.is_some() => {
            output::note(&output::told(&error));
            return Ok(ExitCode::from(EXIT_FOUND));
        }
        Err(error) => return Err(error),
    };
    let formats = Arc::new(config.formats()?);
    let files =
        if args.paths.is_empty() { config.rule_files()? } else { crate::lines::rule_files(&args.paths)? };
    match RuleSet::load(&files, &formats) {
        Ok(rules) => {
            output::note(&format!("ok: {} rules in {} files", rules.infos().len(), files.len()));
            for rule in rules.infos() {
                output::note(&format!("  {} ({}): {}", rule.alert, rule.kind, rule.summary));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => Ok(complain_all(&errors)),
    }
}

/// All errors on stderr, one a line, and the exit code for it.
pub(crate) fn complain_all(errors: &[RuleError]) -> ExitCode {
    for error in errors {
        output::note(&error.to_string());
    }
    let noun = if errors.len() == 1 { "error" } else { "errors" };
    output::note(&format!("{} {noun} in rule files", errors.len()));
    ExitCode::from(EXIT_FOUND)
}
