//! The binary: arguments to exit code. Glue only; errors of all kinds meet here and become one message.

mod backtest;
mod bench;
mod check;
mod cli;
mod clock;
mod config;
mod counters;
mod deliveries;
mod explain;
mod generate;
mod journal_command;
mod journal_thread;
mod judge_thread;
mod line_blocks;
mod lines;
mod metrics;
mod node_api;
mod opening;
mod output;
mod parse;
mod pipeline;
mod progress;
mod progress_bar;
mod published;
mod reload;
mod replay;
mod restore;
mod rule_source;
mod rule_test;
mod run;
mod schema;
mod senders_thread;
mod sieve;
mod snapshot;
mod snapshot_thread;
mod store_thread;
mod stored;
mod traces;

use std::process::ExitCode;

use clap::Parser;

/// Keeps the memory of freed buffers for a while: the system's allocator maps, faults in and unmaps each page and column
/// that the trace store encodes anew, which interrupts the other core (journal and store on: 4.1 CPU s per million
/// lines and 288k lines/s with it, 3.4 and 335k with this one).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ingest::arm_kill_points();
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
