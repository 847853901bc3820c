//! `watchroom generate`: payment traffic by seed, with incidents to order, to a file or to a syslog listener.
//!
//! What a payment platform's modules print, so that rules can be tried, boards shown and speed measured without the
//! platform. The same arguments give the same bytes. Refuses to know: the rest of the product; it is a sender.

mod args;
mod catalog;
mod incident;
mod order;
mod output;
mod rng;
mod syslog;
#[cfg(test)]
mod tests;
mod text;
mod traffic;
mod truth;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;

pub(crate) use args::Args;
use args::{Encoding, Start};
use output::Output;
use syslog::{HeaderFormat, push_header};
use text::LocalTime;
use traffic::{Bound, Line, Settings, Traffic};

/// Waits are at least this long: lines that fall due meanwhile leave together.
const PACE_QUANTUM: Duration = Duration::from_millis(1);
/// A file without a stated end gets this many lines.
const DEFAULT_FILE_LINES: u64 = 100_000;

/// Generates the traffic that `args` ask for and prints a summary on standard error.
///
/// Fails when the output cannot be opened or written. A closed pipe behind standard output is an end, not a failure.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut output = match (&args.file, &args.syslog) {
        (Some(path), _) => Output::file(path)?,
        (None, Some(address)) => Output::syslog(address)?,
        (None, None) => Output::file(&"-".into())?,
    };
    let header = (args.syslog.is_some() || args.with_header).then_some(args.syslog_format);
    let mut traffic = Traffic::new(settings(args));
    let begun = clock();
    let mut writer = Writer { header, encoding: args.encoding, time: LocalTime::default() };
    let pace = pace(args, &traffic);
    match send(&mut traffic, &mut output, &mut writer, pace) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe && args.syslog.is_none() => {}
        other => other.with_context(|| format!("writing failed after {} lines", traffic.lines))?,
    }
    if let Some(path) = &args.truth {
        std::fs::write(path, truth::write_json(&traffic.truth))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    summarise(&traffic, &output, clock() - begun);
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &Args) -> Settings {
    let bound = match (args.lines, args.orders, args.duration_ms) {
        (Some(lines), _, _) => Bound::Lines(lines),
        (_, Some(orders), _) => Bound::Orders(orders),
        (_, _, Some(duration_ms)) => Bound::Duration(duration_ms),
        _ if args.syslog.is_some() => Bound::Endless,
        _ => Bound::Lines(DEFAULT_FILE_LINES),
    };
    let rate = args.rate.filter(|rate| *rate > 0);
    let follows_wall = args.start == Start::Now;
    Settings {
        seed: args.seed,
        start_ms: match args.start {
            Start::At(start_ms) => start_ms,
            Start::Now => wall_clock_ms(),
        },
        lines_per_second: args.lines_per_second.or(rate.filter(|_| follows_wall)).unwrap_or(2_000),
        shuffle_ms: args.shuffle_ms,
        other_formats: !args.only_order_trace,
        bound,
        incidents: args.incidents.clone(),
    }
}

/// When a line may leave.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// As fast as it goes.
    Free,
    /// So many lines a second of the wall clock.
    Rate(f64),
    /// Log time is wall time: this log time (milliseconds since the epoch) is the beginning.
    Wall(i64),
}

fn pace(args: &Args, traffic: &Traffic) -> Pace {
    match args.rate.filter(|rate| *rate > 0) {
        None => Pace::Free,
        Some(_) if args.start == Start::Now => Pace::Wall(traffic.start_ms()),
        Some(rate) => Pace::Rate(f64::from(rate)),
    }
}

impl Pace {
    /// How long after the beginning a line is due.
    #[inline]
    fn due(self, lines_before: u64, line: &Line) -> Duration {
        match self {
            Pace::Free => Duration::ZERO,
            Pace::Rate(rate) => Duration::from_secs_f64(lines_before as f64 / rate),
            Pace::Wall(start_ms) => {
                Duration::from_millis(line.due_ms.saturating_sub(start_ms).unsigned_abs())
            }
        }
    }
}

fn send(traffic: &mut Traffic, output: &mut Output, writer: &mut Writer, pace: Pace) -> std::io::Result<()> {
    let begun = clock();
    let mut elapsed = Duration::ZERO;
    while let Some(line) = traffic.advance() {
        let due = pace.due(traffic.lines - 1, &line);
        while due > elapsed {
            elapsed = clock() - begun;
            if due > elapsed {
                output.flush()?;
                std::thread::sleep((due - elapsed).max(PACE_QUANTUM));
            }
        }
        writer.write(traffic, &line, output)?;
    }
    output.flush()
}

/// How a line becomes a message.
struct Writer {
    header: Option<HeaderFormat>,
    encoding: Encoding,
    time: LocalTime,
}

impl Writer {
    #[inline]
    fn write(&mut self, traffic: &mut Traffic, line: &Line, output: &mut Output) -> std::io::Result<()> {
        let buffer = output.buffer();
        let start = buffer.len();
        if let Some(header) = self.header {
            push_header(header, &mut self.time, line, buffer);
        }
        traffic.write(line, buffer);
        if self.encoding == Encoding::Gb18030 {
            let text = String::from_utf8_lossy(&buffer[start..]).into_owned();
            buffer.truncate(start);
            buffer.extend_from_slice(&encoding_rs::GB18030.encode(&text).0);
        }
        output.end_message(start)
    }
}

fn summarise(traffic: &Traffic, output: &Output, took: Duration) {
    let seconds = took.as_secs_f64();
    let rate = traffic.lines as f64 / seconds.max(1e-9);
    // Nobody reads the summary if standard error is closed; that is no failure.
    let _closed = writeln!(
        std::io::stderr(),
        "{} lines of {} orders, {} bytes, {} unmasked card numbers, {seconds:.3} s, {rate:.0} lines/s, {} errors",
        traffic.lines,
        traffic.orders_begun(),
        output.bytes,
        traffic.cards,
        output.errors,
    );
}

#[expect(clippy::disallowed_methods, reason = "the generator is an edge: it paces its sending by the clock")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "`--start now` asks for the wall clock")]
fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(0)
}
