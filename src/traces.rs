//! `watchroom trail` and `watchroom search`: the node's own pages API when it runs, its files when it does not.
//!
//! Refuses to know: how records are kept.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use dashboards::view::{Viewer, trail_view};
use serde_json::Value;
use sinks::trace_store::embedded;
use sinks::trace_store::{Search, TraceReader};

use crate::cli::{ConfigArg, EXIT_FOUND};
use crate::config::Config;
use crate::node_api::{NodeApi, percent_encode};
use crate::output::{self, Table};

/// Rows of a trail at most.
const TRAIL_ROWS_MAX: usize = 2_000;

/// Arguments of `trail`.
#[derive(Debug, clap::Args)]
pub(crate) struct TrailArgs {
    /// order_no, serial_no, channel_serial_no or trace_id
    #[arg(value_name = "ID")]
    id: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// Arguments of `search`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SearchArgs {
    /// First event time: RFC 3339, or `YYYY-MM-DD HH:MM[:SS]` in the platform's zone
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Last event time, exclusive
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Column merchant_no
    #[arg(long)]
    merchant: Option<String>,
    /// Column channel
    #[arg(long)]
    channel: Option<String>,
    /// Column order_status
    #[arg(long)]
    status: Option<String>,
    /// Column response_code
    #[arg(long)]
    code: Option<String>,
    /// Column module
    #[arg(long)]
    module: Option<String>,
    /// Found anywhere in the message
    #[arg(long)]
    text: Option<String>,
    /// Rows at most, newest first
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// What is asked, of a node or of files.
enum Question {
    Trail(String),
    Search(Box<SearchArgs>),
}

/// Prints an order's trail; exit code 1 if nothing is stored under this id.
pub(crate) fn trail(args: &TrailArgs) -> Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref())?;
    let answer = ask(&config, &Question::Trail(args.id.clone()))?;
    let found = show(&answer, args.json)?;
    Ok(ExitCode::from(if found { 0 } else { EXIT_FOUND }))
}

/// Prints what a search finds.
pub(crate) fn search(args: &SearchArgs) -> Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref())?;
    let answer = ask(&config, &Question::Search(Box::new(args.clone())))?;
    show(&answer, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The node's answer; if no node runs on this data, its files are read.
fn ask(config: &Config, question: &Question) -> Result<Value> {
    match NodeApi::connect(config) {
        Ok(node) => node.get(&question.path()),
        Err(address) => {
            output::note(&format!(
                "no node answers on {address}; reading the trace files of {}",
                config.data_dir.display()
            ));
            question.answer_from_files(config)
        }
    }
}

impl SearchArgs {
    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("from", &self.from),
            ("to", &self.to),
            ("merchant", &self.merchant),
            ("channel", &self.channel),
            ("status", &self.status),
            ("code", &self.code),
            ("module", &self.module),
            ("text", &self.text),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    fn to_search(&self, zone: chrono_tz::Tz) -> Result<Search> {
        let instant = |name: &str, text: &Option<String>| {
            text.as_ref()
                .map(|t| dashboards::times::parse(t, zone).map_err(|e| anyhow::anyhow!("--{name}: {e}")))
                .transpose()
        };
        Ok(Search {
            from_ms: instant("from", &self.from)?,
            to_ms: instant("to", &self.to)?,
            merchant: self.merchant.clone(),
            channel: self.channel.clone(),
            status: self.status.clone(),
            code: self.code.clone(),
            module: self.module.clone(),
            text: self.text.clone(),
            limit: self.limit,
        })
    }
}

impl Question {
    fn path(&self) -> String {
        match self {
            Question::Trail(id) => format!("/api/trail/{}", percent_encode(id)),
            Question::Search(args) => {
                let mut path = format!("/api/search?limit={}", args.limit);
                for (name, value) in args.given() {
                    path.push_str(&format!("&{name}={}", percent_encode(value)));
                }
                path
            }
        }
    }

    fn answer_from_files(&self, config: &Config) -> Result<Value> {
        let formats = Arc::new(config.formats()?);
        let (_writer, reader) = embedded::open(config.embedded(), Arc::clone(&formats))?;
        match self {
            Question::Trail(id) => {
                let found = reader.trail(id, TRAIL_ROWS_MAX)?;
                Ok(serde_json::to_value(trail_view(id, &found, &formats, config.zone))?)
            }
            Question::Search(args) => {
                let found = reader.search(&args.to_search(config.zone)?)?;
                let mut viewer = Viewer::new(&formats);
                let rows: Vec<_> = found.rows.iter().map(|row| viewer.view(row)).collect();
                Ok(serde_json::json!({"truncated": found.truncated, "rows": rows}))
            }
        }
    }
}

/// Prints the records of an answer; whether there are any.
fn show(answer: &Value, json: bool) -> Result<bool> {
    let mut out = output::stdout();
    let rows =
        answer["rows"].as_array().or_else(|| answer["steps"].as_array()).map_or(&[][..], Vec::as_slice);
    if json {
        for row in rows {
            writeln!(out, "{row}")?;
        }
    } else if rows.is_empty() {
        writeln!(out, "nothing found")?;
    } else {
        let mut table =
            Table::new(&["TIME", "MODULE", "STEP", "CHANNEL", "CODE", "MESSAGE", "ELAPSED", "ORDER"]);
        for row in rows {
            let column = |name: &str| row["columns"][name].as_str().unwrap_or_default().to_owned();
            let message = ["response_message", "text", "body", "msg"]
                .iter()
                .map(|name| column(name))
                .find(|text| !text.is_empty())
                .unwrap_or_default();
            table.row(&[
                row["event_time"].as_str().unwrap_or_default().to_owned(),
                column("module"),
                column("step"),
                column("channel"),
                column("response_code"),
                message.chars().take(60).collect(),
                column("elapsed_ms"),
                column("order_no"),
            ]);
        }
        table.print(&mut out)?;
    }
    out.flush()?;
    if answer["truncated"] == true {
        output::note("there is more; narrow the search or raise --limit");
    }
    Ok(!rows.is_empty())
}
