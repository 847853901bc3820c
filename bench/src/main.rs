//! Measures Watchroom beside its peers.
use std::process::ExitCode;

use clap::Parser;

#[path = "../../src/generate/mod.rs"]
mod generate;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: generate::Args,
}

fn main() -> anyhow::Result<ExitCode> {
    generate::run(&Cli::parse().args)
}
