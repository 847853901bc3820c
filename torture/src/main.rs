//! `torture --seconds N [--seed S]`: the long run. Exit code 1 on a violation; the seed stands in its last words.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use torture::clock::{now, wall_ms};
use torture::rng::Rng;
use torture::soak;

/// Random faults against a node until the time is over; everything it promises is checked after each campaign.
#[derive(Debug, Parser)]
struct Args {
    /// No campaign begins after so many seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Repeats a schedule; default: of the time
    #[arg(long)]
    seed: Option<u64>,
}

#[expect(clippy::print_stderr, reason = "the edge of a tool")]
fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| wall_ms().unsigned_abs() % 1_000_000_007);
    eprintln!("torture: {} s, seed {seed}", args.seconds);
    let (begun, mut rng) = (now(), Rng::new(seed));
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    let mut campaigns = 0;
    // The first campaign has the seed itself, so that the seed of a failed one repeats it.
    let mut next = seed;
    while campaigns == 0 || begun.elapsed() < Duration::from_secs(args.seconds) {
        match soak::campaign(next) {
            Ok(passed) => passed.into_iter().for_each(|(how, count)| *ends.entry(how).or_default() += count),
            Err(error) => {
                eprintln!("torture: {error:#}\ntorture: repeat with --seed {next}");
                return ExitCode::FAILURE;
            }
        }
        campaigns += 1;
        next = rng.number() % 1_000_000_007;
    }
    eprintln!("torture: {campaigns} campaigns without a violation; the node ended by {ends:?}");
    ExitCode::SUCCESS
}
