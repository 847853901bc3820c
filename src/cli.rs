//! Subcommands and their arguments. Exit codes: 0 fine, 1 found something, 2 wrong use, 3 lint only.
//!
//! Refuses to know: how any command does its work.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The command was used wrongly or could not do its work.
pub(crate) const EXIT_WRONG_USE: u8 = 2;
/// The command found what it looks for: errors in a rule file, a line that does not parse.
pub(crate) const EXIT_FOUND: u8 = 1;

/// `check` found only what is probably not meant.
pub(crate) const EXIT_LINT: u8 = 3;

/// Real-time alerting and log-analysis pipeline for payment and order platforms.
#[derive(Debug, Parser)]
#[command(name = "watchroom", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Arguments that name the configuration.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConfigArg {
    /// Configuration file; without one the embedded defaults hold: syslog on 127.0.0.1:5514, RELP on
    /// 127.0.0.1:2514, pages on 127.0.0.1:9650, data in ./var
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive lines, judge them, alert people, keep every line, serve the pages
    #[command(after_help = "Examples:\n  watchroom run\n  watchroom run --config watchroom.yaml")]
    Run(ConfigArg),
    /// Make deterministic payment traffic, with incidents to order
    #[command(after_help = "Examples:\n  watchroom generate --seed 1 --lines 1000000 --file traffic.log\n  \
        watchroom generate --seed 1 --start now --duration 5m --rate 500 --incident network:GHT@+60s --syslog tcp://127.0.0.1:5514")]
    Generate(Box<crate::generate::Args>),
    /// Show how lines are read: columns, typed values, what is ill-typed and why
    #[command(
        after_help = "Examples:\n  watchroom parse trace.log\n  watchroom parse --json trace.log | jq .columns.amount"
    )]
    Parse(crate::parse::Args),
    /// Check configuration and rule files
    #[command(
        after_help = "Examples:\n  watchroom check rules.d\n  watchroom check --lint all --json rules.d\n  watchroom check --config watchroom.yaml"
    )]
    Check(crate::check::Args),
    /// Print the JSON Schema of rule files or of their tests, for editors
    #[command(
        after_help = "Examples:\n  watchroom schema rules > rules.schema.json\n  watchroom schema tests > tests.schema.json"
    )]
    Schema(crate::schema::Args),
    /// Test rules: lines of your choice in, the alerts you expect at given instants out
    #[command(after_help = "Examples:\n  watchroom test rules.d/tests/network.yaml\n  \
        watchroom test --diff --junit results.xml rules.d/tests\n\n\
        Exit code 0: all passed; 1: one failed; 2: wrong use, or a file that cannot be used.")]
    Test(crate::rule_test::Args),
    /// Run rules over files of lines, or over what a node has stored, and print the alerts they would have raised
    #[command(after_help = "Examples:\n  watchroom backtest --rules rules.d --file yesterday.log\n  \
        watchroom backtest --rules rules.d/network.yaml --file a.log --file b.log --json\n  \
        watchroom backtest --rules rules.d --from '2016-07-22 18:00' --to '2016-07-22 19:00' --config watchroom.yaml\n\n\
        Exit code 0: no alert; 1: an alert became pending or fired; 2: wrong use, faulty rules, nothing to judge.")]
    Backtest(crate::backtest::Args),
    /// Say why a rule fired, or did not, for a key at an instant, with the numbers
    #[command(
        after_help = "Examples:\n  watchroom explain ChannelNetworkDown GHT --at '2016-07-22 18:15:30' --config watchroom.yaml\n  \
        watchroom explain ChannelNetworkDown channel=GHT --at 2016-07-22T10:15:30Z --rules rules.d --file trace.log --json\n\n\
        Exit code 0: no alert was on then; 1: one was pending or firing; 2: wrong use, no such rule, no key named."
    )]
    Explain(crate::explain::Args),
    /// Follow one order through all modules
    #[command(
        after_help = "Examples:\n  watchroom trail CEX1607221815000001\n  watchroom trail --json CEX1607221815000001"
    )]
    Trail(crate::traces::TrailArgs),
    /// Search stored records
    #[command(
        after_help = "Examples:\n  watchroom search --channel GHT --code NET_ERR --from '2016-07-22 18:00' --to '2016-07-22 19:00'\n  \
        watchroom search --text timeout --json"
    )]
    Search(crate::traces::SearchArgs),
    /// Look at the journal: what it holds, whether it is whole
    #[command(subcommand)]
    Journal(crate::journal_command::Command),
    /// List what was sent to whom and what could not be; send dead deliveries again
    #[command(
        after_help = "Examples:\n  watchroom deliveries --state dead\n  watchroom deliveries resend --all-dead --receiver duty"
    )]
    Deliveries(crate::deliveries::Args),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn dispatch(self) -> Result<ExitCode> {
        match self.command {
            Command::Run(args) => crate::run::run(&args),
            Command::Generate(args) => crate::generate::run(&args),
            Command::Parse(args) => crate::parse::run(&args),
            Command::Check(args) => crate::check::run(&args),
            Command::Schema(args) => crate::schema::run(&args),
            Command::Test(args) => crate::rule_test::run(&args),
            Command::Backtest(args) => crate::backtest::run(&args),
            Command::Explain(args) => crate::explain::run(&args),
            Command::Trail(args) => crate::traces::trail(&args),
            Command::Search(args) => crate::traces::search(&args),
            Command::Journal(command) => crate::journal_command::run(&command),
            Command::Deliveries(args) => crate::deliveries::run(&args),
        }
    }
}
