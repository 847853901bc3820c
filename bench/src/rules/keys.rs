//! Memory per active key: an engine of one windowed rule, fed with as many keys as are asked for.
//!
//! A process of its own with the product's allocator, so that nothing else grows meanwhile. Refuses to know: how keys
//! are kept.

use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::Context as _;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Engine, RuleFile, RuleSet};

/// Lines of a batch.
const BATCH_LINES: u64 = 1_000;
/// All keys come within this time, shorter than the window.
const SPAN_MS: u64 = 30_000;
const RULE: &str = "groups:\n- name: bench\n  rules:\n  \
    - {alert: R, kind: frequency, count: 12, within: 1m, by: [order_no], where: 'response_code == \"NET_ERR\"'}\n";

/// How many keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Active keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
}

/// What an engine with many keys takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Keys that it holds.
    pub(crate) keys: u64,
    /// What it grew by from the first keys on, bytes.
    pub(crate) grown_bytes: u64,
}

/// The process: says how many keys there are and by how much it grew.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let file = RuleFile { name: "bench.yaml".to_owned(), text: RULE.to_owned() };
    let rules = RuleSet::load(&[file], &formats).map_err(|errors| anyhow::anyhow!("{}", errors[0]))?;
    let mut engine =
        Engine::with_keys_max(Arc::new(rules), Arc::clone(&formats), usize::try_from(args.keys)?);
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, formats.find("order-trace"));
    let (mut batch, mut out) = (Batch::default(), Vec::new());
    let mut before = 0;
    let mut next = 0;
    while next < args.keys {
        batch.clear();
        for n in next..(next + BATCH_LINES).min(args.keys) {
            decoder.push(&mut batch, 0, line(n, n * SPAN_MS / args.keys).as_bytes(), None, false);
        }
        next += BATCH_LINES;
        for (row, lsn) in batch.rows.iter_mut().zip(next..) {
            row.lsn = lsn;
        }
        engine.judge(&batch, &mut out);
        if before == 0 {
            // The first batch has brought in code, buffers and what is bounded anyway.
            before = resident_bytes()?;
        }
    }
    let keys = engine.counts().rules.first().map_or(0, |rule| rule.keys);
    writeln!(std::io::stdout(), "{keys} {}", resident_bytes()?.saturating_sub(before))?;
    Ok(ExitCode::SUCCESS)
}

/// A line of an order of its own.
fn line(n: u64, ms: u64) -> String {
    let (second, ms) = (ms / 1_000, ms % 1_000);
    format!(
        "2026-01-05 10:00:{second:02}.{ms:03}||t||m||s||CEX260105H{n:010}||||||||01||NET_ERR||||M||||GHT{}",
        "||".repeat(52)
    )
}

fn resident_bytes() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1_024)
}

/// Measures in a process of its own.
pub(crate) fn measure(keys: u64) -> anyhow::Result<Memory> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["keys", "--keys", &keys.to_string()]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let (keys, grown) = text.trim().split_once(' ').context("not two numbers")?;
    Ok(Memory { keys: keys.parse()?, grown_bytes: grown.parse()? })
}
