//! The command line of `watchroom generate`.
//!
//! Refuses to know: how what it asks for is done.

use std::path::PathBuf;

use chrono::DateTime;

use super::incident::{Incident, parse_duration};
use super::output::SyslogAddress;
use super::syslog::HeaderFormat;

/// 2026-01-05T10:00:00+08:00, a Monday morning: files are the same on every day.
const DEFAULT_START: &str = "2026-01-05T10:00:00+08:00";

/// When the log starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At an instant, milliseconds since the epoch.
    At(i64),
    /// When the command starts.
    Now,
}

/// Charset of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Encoding {
    /// UTF-8.
    Utf8,
    /// GB18030.
    Gb18030,
}

const EXAMPLES: &str = "Examples:
  A million lines with an incident, and what the shipped rules should say to it:
    watchroom generate --lines 1000000 --incident network:GHT@+60s --file orders.log --truth truth.jsonl
  Live traffic to a listener, 500 lines a second, log time = wall time:
    watchroom generate --start now --rate 500 --syslog tcp://127.0.0.1:5514
  As fast as it goes:
    watchroom generate --lines 2000000 --syslog tcp+octet://127.0.0.1:5514

Incidents are KIND:CHANNEL@+OFFSET[xDURATION], OFFSET after the start of the log:
  network    one channel cannot be reached: network errors in a row (30s)
  sustained  three channels fail in every minute (11m)
  total      three channels fail often for a while (5m)
  decline    one channel refuses most payments (5m)
  slow       one channel answers ten times slower (5m)
  silent     one channel gets no new orders (5m)";

/// Generate payment traffic: the same arguments give the same lines.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Seed of the traffic.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Stop after this many lines [default: 100000 for files, endless for syslog].
    #[arg(long, value_name = "N", conflicts_with_all = ["orders", "duration_ms"])]
    pub(crate) lines: Option<u64>,
    /// Stop when this many orders have ended.
    #[arg(long, value_name = "N", conflicts_with = "duration_ms")]
    pub(crate) orders: Option<u64>,
    /// Stop after this much log time, as in 10m.
    #[arg(long = "duration", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration_ms: Option<i64>,
    /// Lines per second of the wall clock; 0 or absent: as fast as it goes.
    #[arg(long, value_name = "LINES")]
    pub(crate) rate: Option<u32>,
    /// Log time of the first line, RFC 3339, or `now`; with `now` and --rate log time follows the wall clock.
    #[arg(long, value_name = "TIME", value_parser = parse_start, default_value = DEFAULT_START)]
    pub(crate) start: Start,
    /// Lines per second of log time [default: 2000; with --start now the rate].
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) lines_per_second: Option<u32>,
    /// An incident; may be given several times (see below).
    #[arg(long = "incident", value_name = "INCIDENT")]
    pub(crate) incidents: Vec<Incident>,
    /// Write to a file; `-` is standard output, which is also the default.
    #[arg(long, value_name = "PATH", conflicts_with = "syslog")]
    pub(crate) file: Option<PathBuf>,
    /// Send to a listener: udp://HOST:PORT, tcp://HOST:PORT or tcp+octet://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub(crate) syslog: Option<SyslogAddress>,
    /// Header of the syslog messages.
    #[arg(long, value_enum, default_value_t = HeaderFormat::Rfc5424)]
    pub(crate) syslog_format: HeaderFormat,
    /// Write the syslog header to files, too.
    #[arg(long)]
    pub(crate) with_header: bool,
    /// Write what was ordered and what the shipped network rules should say to it, as JSON lines.
    #[arg(long, value_name = "PATH")]
    pub(crate) truth: Option<PathBuf>,
    /// Charset of the lines.
    #[arg(long, value_enum, default_value_t = Encoding::Utf8)]
    pub(crate) encoding: Encoding,
    /// Lines of different orders may leave in the wrong order by up to this many milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=4_000))]
    pub(crate) shuffle_ms: u32,
    /// Leave out the share of about 1 % of order-message, logfmt and plain lines.
    #[arg(long)]
    pub(crate) only_order_trace: bool,
}

fn parse_start(text: &str) -> Result<Start, String> {
    if text == "now" {
        return Ok(Start::Now);
    }
    let instant = DateTime::parse_from_rfc3339(text)
        .map_err(|e| format!("{e}; write RFC 3339, as in {DEFAULT_START}, or now"))?;
    let ms = instant.timestamp_millis();
    if (0..253_370_000_000_000).contains(&ms) {
        Ok(Start::At(ms))
    } else {
        Err("the year is before 1970 or after 9998".to_owned())
    }
}
