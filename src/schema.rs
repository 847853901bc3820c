//! `watchroom schema`: the JSON Schema of files that people write, for their editors.
//!
//! Refuses to know: what may stand in them.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::output;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of which files
    #[arg(value_enum)]
    of: Of,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Of {
    /// Rule files
    Rules,
    /// Test files of `watchroom test`
    Tests,
}

/// Prints the schema.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let schema = match args.of {
        Of::Rules => rules::rule_file_schema(),
        Of::Tests => rules::test_file_schema(),
    };
    let mut out = output::stdout();
    writeln!(out, "{schema:#}")?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
