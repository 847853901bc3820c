//! `watchroom deliveries`: what the node sent to whom, the dead letters, and sending them again.
//!
//! Refuses to know: the outbox; the running node answers.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::cli::{ConfigArg, EXIT_FOUND};
use crate::config::Config;
use crate::node_api::{NodeApi, percent_encode};
use crate::output::{self, Table, visible};

/// Arguments of `deliveries`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send dead deliveries again under their ids; exit code 1 if one could not be
    #[command(
        after_help = "Examples:\n  watchroom deliveries resend 9f3c21d07be4a618-firing-4c41f1fbb9d4dfae\n  \
        watchroom deliveries resend --all-dead --receiver duty"
    )]
    Resend(ResendArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only in this state: pending, sending, sent, retry, uncertain or dead
    #[arg(long, value_parser = ["pending", "sending", "sent", "retry", "uncertain", "dead"])]
    state: Option<String>,
    /// Only to this receiver
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    /// Rows at most, newest first
    #[arg(long, default_value_t = 200)]
    limit: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, clap::Args)]
struct ResendArgs {
    /// Ids of dead deliveries
    #[arg(value_name = "ID", required_unless_present = "all_dead")]
    ids: Vec<String>,
    /// All dead deliveries
    #[arg(long, conflicts_with = "ids")]
    all_dead: bool,
    /// With --all-dead: only to this receiver
    #[arg(long, value_name = "NAME", requires = "all_dead")]
    receiver: Option<String>,
    #[command(flatten)]
    config: ConfigArg,
}

/// Lists, or sends again.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        None => list(&args.list),
        Some(Command::Resend(args)) if args.all_dead => resend_all(args),
        Some(Command::Resend(args)) => resend(args),
    }
}

fn node(config: &Config) -> Result<NodeApi> {
    NodeApi::connect(config).map_err(|address| {
        anyhow!("no node answers on {address}\nhint: deliveries are the running node's: watchroom run")
    })
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref())?;
    let mut path = format!("/api/v1/deliveries?limit={}", args.limit);
    for (name, value) in [("state", &args.state), ("receiver", &args.receiver)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", percent_encode(value)));
        }
    }
    let answer = node(&config)?.get(&path)?;
    let rows = answer["data"]["deliveries"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = output::stdout();
    if args.json {
        for row in rows {
            writeln!(out, "{row}")?;
        }
    } else if rows.is_empty() {
        writeln!(out, "nothing found")?;
    } else {
        table(rows).print(&mut out)?;
    }
    out.flush()?;
    if answer["data"]["truncated"] == true {
        output::note("there is more; narrow the search or raise --limit");
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table::new(&["ID", "SINCE", "STATE", "TO", "NEWS", "ALERT", "ATTEMPTS", "LAST ERROR"]);
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let short = |name: &str| text(name).chars().take(70).collect::<String>();
        let uncertain = row["uncertain"].as_u64().unwrap_or(0);
        let attempts = match uncertain {
            0 => row["attempts"].to_string(),
            _ => format!("{} ({uncertain} uncertain)", row["attempts"]),
        };
        table.row(&[
            text("id"),
            text("created_at"),
            text("state"),
            text("target"),
            text("status"),
            short("title"),
            attempts,
            short("last_error"),
        ]);
    }
    table
}

fn resend(args: &ResendArgs) -> Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref())?;
    let mut out = output::stdout();
    let mut refused = 0;
    for id in &args.ids {
        let answer = node(&config)?.post(&format!("/api/v1/deliveries/{}/resend", percent_encode(id)))?;
        let said = answer.body["error"].as_str().unwrap_or("no reason");
        match answer.status {
            200 => writeln!(out, "{}: waits to be sent again", visible(id))?,
            404 | 409 => {
                refused += 1;
                output::note(&format!("{}: {}", visible(id), visible(said)));
            }
            status => bail!("the node answers {status}: {said}"),
        }
    }
    out.flush()?;
    Ok(ExitCode::from(if refused == 0 { 0 } else { EXIT_FOUND }))
}

fn resend_all(args: &ResendArgs) -> Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref())?;
    let receiver =
        args.receiver.as_deref().map_or_else(String::new, |r| format!("?receiver={}", percent_encode(r)));
    let answer = node(&config)?.post(&format!("/api/v1/deliveries/resend{receiver}"))?;
    let said = answer.body["error"].as_str().unwrap_or("no reason");
    ensure!(answer.status == 200, "the node answers {}: {said}", answer.status);
    let count = |name: &str| answer.body["data"][name].as_u64().unwrap_or(0);
    let (resent, left) = (count("resent"), count("left"));
    let mut out = output::stdout();
    writeln!(out, "{resent} wait to be sent again")?;
    out.flush()?;
    if left > 0 {
        output::note(&format!(
            "{left} stay dead: their alert is over and was told so, or their receiver is gone"
        ));
    }
    Ok(ExitCode::from(if left == 0 { 0 } else { EXIT_FOUND }))
}
