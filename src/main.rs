//! The binary: arguments to exit code. Glue only; errors of all kinds meet here and become one message.

mod backtest;
mod check;
mod cli;
mod clock;
mod config;
mod counters;
mod generate;
mod journal_thread;
mod judge_thread;
mod lines;
mod metrics;
mod output;
mod parse;
mod pipeline;
mod progress;
mod replay;
mod run;
mod store_thread;
mod traces;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    match arguments.dispatch() {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(cli::EXIT_WRONG_USE)
        }
    }
}
