//! `watchroom check`: configuration and rule files, every error with file, line, column and what to do; then lints.
//!
//! Refuses to know: what makes a rule right, what is probably not meant.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use rules::{LINTS, Lint, RuleError, RuleSet};
use serde_json::json;

use crate::cli::{EXIT_FOUND, EXIT_LINT};
use crate::config::Config;
use crate::output;

/// Name of the lint of files that `tls:` names.
const CERTIFICATE: &str = "certificate";

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files or folders; default: those of the configuration
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Which lints: `none`; `default` (likely mistakes); `all` (also style: summaries, classes, plain patterns, wide
    /// keys); or names, with commas between
    #[arg(long, value_name = "WHICH", default_value = "default", value_delimiter = ',', value_parser = lint_names())]
    lint: Vec<String>,
    /// One JSON object for each error and lint, on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: crate::cli::ConfigArg,
}

fn lint_names() -> Vec<&'static str> {
    ["none", "default", "all", CERTIFICATE].into_iter().chain(LINTS.iter().map(|lint| lint.name)).collect()
}

/// Checks; exit code 0 when all is well, 1 when errors were found, 3 when only lints were.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let config = match Config::load(args.config.config.as_deref()) {
        Ok(config) => config,
        Err(error) if args.config.config.is_some() => return refused(&error, args),
        Err(error) => return Err(error),
    };
    let formats = Arc::new(config.formats()?);
    let files =
        if args.paths.is_empty() { config.rule_files()? } else { crate::lines::rule_files(&args.paths)? };
    let now_ms = crate::clock::now_ms();
    let (rules, mut lints) = match RuleSet::lint(&files, &formats, now_ms) {
        Ok(found) => found,
        Err(errors) if args.json => {
            let mut out = output::stdout();
            for error in &errors {
                let RuleError { file, line, column, message } = error;
                let object = json!({ "severity": "error", "file": file, "line": line, "column": column, "message": message });
                writeln!(out, "{object}")?;
            }
            out.flush()?;
            return Ok(ExitCode::from(EXIT_FOUND));
        }
        Err(errors) => return Ok(complain_all(&errors)),
    };
    lints.extend(certificates(&config));
    lints.retain(|lint| args.wants(lint));
    if args.json {
        print_json(&lints)?;
    } else {
        lints.iter().for_each(|lint| output::note(&lint.to_string()));
        let noun = if lints.len() == 1 { "lint" } else { "lints" };
        let so = if lints.is_empty() { String::new() } else { format!(", {} {noun}", lints.len()) };
        let noun = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
        output::note(&format!("ok: {} in {}{so}", noun(rules.len(), "rule"), noun(files.len(), "file")));
        for rule in rules.infos() {
            output::note(&output::visible(&format!("  {} ({}): {}", rule.alert, rule.kind, rule.summary)));
        }
    }
    Ok(if lints.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_LINT) })
}

/// Says what is wrong with the configuration.
fn refused(error: &anyhow::Error, args: &Args) -> Result<ExitCode> {
    if !args.json {
        output::note(&output::told(error));
        return Ok(ExitCode::from(EXIT_FOUND));
    }
    let object = match error.downcast_ref::<RuleError>() {
        Some(RuleError { file, line, column, message }) => json!({
            "severity": "error", "name": "config", "file": file, "line": line, "column": column, "message": message,
        }),
        None => {
            let file = args.config.config.as_ref().map(|path| path.display().to_string());
            let message = output::told(error);
            json!({ "severity": "error", "name": "config", "file": file, "message": message })
        }
    };
    let mut out = output::stdout();
    writeln!(out, "{object}")?;
    out.flush()?;
    Ok(ExitCode::from(EXIT_FOUND))
}

/// Certificates and keys that a node with this configuration could not use, or that senders will object to. They may be
/// right where it will run, so they are no faults. Each has the place of its `certificate` in the file.
fn certificates(config: &Config) -> Vec<Lint> {
    let Some(path) = &config.path else { return Vec::new() };
    let text = crate::lines::read_text(path).unwrap_or_default();
    let place = |certificate: &std::path::Path| {
        let name = certificate.display().to_string();
        let found = text.lines().zip(1..).find_map(|(line, number)| Some((number, line.find(&name)?, line)));
        found.map_or((1, 1), |(number, at, line)| {
            (number, line.get(..at).unwrap_or_default().chars().count() + 1)
        })
    };
    let lint = |(certificate, message): (PathBuf, String)| {
        let (line, column) = place(&certificate);
        Lint { file: path.display().to_string(), line, column, name: CERTIFICATE, message }
    };
    config.certificate_problems(&crate::clock::system_clock()).into_iter().map(lint).collect()
}

impl Args {
    fn wants(&self, lint: &Lint) -> bool {
        let is_style = LINTS.iter().any(|spec| spec.name == lint.name && spec.style);
        self.lint.iter().any(|which| match &**which {
            "all" => true,
            "default" => !is_style,
            name => name == lint.name,
        })
    }
}

fn print_json(lints: &[Lint]) -> Result<()> {
    let mut out = output::stdout();
    for Lint { file, line, column, name, message } in lints {
        let object = json!({
            "severity": "lint", "file": file, "line": line, "column": column, "name": name, "message": message,
        });
        writeln!(out, "{object}")?;
    }
    out.flush()?;
    Ok(())
}

/// All errors on stderr, one a line, and the exit code for it.
pub(crate) fn complain_all(errors: &[RuleError]) -> ExitCode {
    for error in errors {
        output::note(&error.to_string());
    }
    let noun = if errors.len() == 1 { "error" } else { "errors" };
    output::note(&format!("{} {noun}", errors.len()));
    ExitCode::from(EXIT_FOUND)
}
