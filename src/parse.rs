//! `watchroom parse`: how lines are read, which values are ill-typed and why. How one debugs a format.
//!
//! Refuses to know: the grammar itself.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use record::{Batch, RecordRef, RowFlags, rfc3339_ms};
use serde_json::{Map, Value, json};

use crate::lines::LineFile;
use crate::output;

/// Arguments of `parse`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read every line in this format instead of telling formats apart
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Files of lines, with or without syslog headers; `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    config: crate::cli::ConfigArg,
}

/// Prints every record; exit code 0, or 1 if a line could not be read in its format.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let formats = Arc::new(crate::config::Config::load(args.config.config.as_deref())?.formats()?);
    let pinned = args
        .format
        .as_ref()
        .map(|name| {
            let known: Vec<&str> = formats.iter().map(|(_, f)| f.name()).collect();
            formats.find(name).with_context(|| format!("no format `{name}`; known: {}", known.join(", ")))
        })
        .transpose()?;
    let mut out = output::stdout();
    let mut found = false;
    for path in &args.files {
        let mut file = LineFile::open(path, &formats, pinned)?;
        let mut batch = Batch::default();
        while file.next(&mut batch)? {
            for record in batch.records(&formats) {
                found |= record.row.flags.has(RowFlags::UNPARSABLE);
                if args.json {
                    writeln!(out, "{}", to_json(&record))?;
                } else {
                    writeln!(out, "{}", output_block(&record))?;
                }
            }
        }
        let counts = file.take_counts();
        for (reason, count) in &counts.plain {
            output::note(&format!("{}: {count} lines kept as plain: {reason:?}", path.display()));
        }
    }
    out.flush()?;
    Ok(ExitCode::from(if found { crate::cli::EXIT_FOUND } else { 0 }))
}

fn output_block(record: &RecordRef<'_>) -> String {
    let dumped = record::dump(record);
    dumped.lines().map(|line| output::visible(line) + "\n").collect()
}

fn to_json(record: &RecordRef<'_>) -> Value {
    let mut columns = Map::new();
    let mut ill_typed = Map::new();
    for (index, column) in record.format.columns().iter().enumerate() {
        let Some(text) = record.text(index) else { continue };
        columns.insert(column.name.to_string(), json!(text));
        if index < 128 && record.row.ill_typed >> index & 1 == 1 {
            ill_typed.insert(column.name.to_string(), json!(column.kind.name()));
        }
    }
    let extras: Vec<&str> = record.extras().collect();
    json!({
        "lsn": record.row.lsn,
        "format": record.format.name(),
        "event_time": record.row.event_ms.map(rfc3339_ms),
        "host": record.host(),
        "program": record.program(),
        "columns": columns,
        "ill_typed": ill_typed,
        "extras": extras,
        "unparsable": record.row.flags.has(RowFlags::UNPARSABLE),
        "truncated": record.row.flags.has(RowFlags::TRUNCATED),
    })
}
