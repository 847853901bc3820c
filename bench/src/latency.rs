//! From the due time of the line that crosses a threshold to the alert's arrival at a webhook, under load.
//!
//! Lines leave by a schedule; a sender that is held up does not move the due times, so waiting counts. Each alert has
//! a channel of its own: twelve network errors in a row, of which the last crosses the threshold.
//! Refuses to know: how alerts are made.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::case::Bench;
use crate::process::{Folder, clock, wall_us};
use crate::sender::Sender;
use crate::statistics::percentile;
use crate::watchroom::{Options, Watchroom};
use crate::webhook::Webhook;

/// Lines of a millisecond leave together.
const TICK: Duration = Duration::from_millis(1);
/// Load before the first alert.
const WARM_UP_TICKS: u64 = 2_000;
/// Time between two alerts, about.
const ALERT_EVERY_TICKS: u64 = 33;
/// Network errors in a row that the shipped rule asks for.
const RUN: usize = 12;
/// How long the last alerts may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    /// Load, lines per second.
    pub(crate) rate: f64,
    /// Alerts due.
    pub(crate) due: usize,
    /// Alerts that came.
    pub(crate) came: usize,
    /// Median, milliseconds.
    pub(crate) p50_ms: f64,
    /// 99th percentile, milliseconds.
    pub(crate) p99_ms: f64,
    /// The longest, milliseconds.
    pub(crate) max_ms: f64,
    /// How late the sender itself was at most, milliseconds: part of the figures above.
    pub(crate) sender_late_ms: f64,
    /// Most memory resident at once.
    pub(crate) resident_bytes: u64,
}

/// What to send where, and how fast.
#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    #[arg(long)]
    file: PathBuf,
    #[arg(long)]
    to: SocketAddr,
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    alerts: u32,
}

/// Measures with journal and store on, at `rate` lines per second.
pub(crate) fn measure(bench: &Bench<'_>, rate: f64) -> anyhow::Result<Latency> {
    let (memory, disk) = (Folder::make(bench.memory)?, Folder::make(bench.disk)?);
    // Log time is the time of sending, as in life: old lines would be late after any pause in the stream.
    let ticks = WARM_UP_TICKS + u64::from(bench.args.alerts + 2) * ALERT_EVERY_TICKS;
    let file = memory.path().join("lines.log");
    let count = (rate * ticks as f64 / 1_000.0).ceil() as u64;
    let status = Command::new(&bench.args.watchroom)
        .args([
            "generate",
            "--only-order-trace",
            "--with-header",
            "--seed",
            "2",
            "--lines",
            &count.to_string(),
        ])
        .arg("--file")
        .arg(&file)
        .status()?;
    ensure!(status.success(), "generating the lines failed");
    let webhook = Webhook::bind()?;
    let url = format!("http://{}/", webhook.address);
    let options = Options { keeps: true, webhook: Some(&url) };
    let mut watchroom = Watchroom::start(&bench.args.watchroom, &bench.args.rules, disk.path(), options)?;
    std::thread::scope(|scope| {
        webhook.serve(scope);
        let measured = observe(bench, &file, rate, &webhook, &watchroom);
        webhook.end();
        let latency = measured?;
        let resident_bytes = watchroom.process.peak_resident_bytes()?;
        watchroom.process.end()?;
        Ok(Latency { resident_bytes, ..latency })
    })
}

fn observe(
    bench: &Bench<'_>,
    file: &std::path::Path,
    rate: f64,
    webhook: &Webhook,
    watchroom: &Watchroom,
) -> anyhow::Result<Latency> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("send-paced").arg("--file").arg(file).args(["--to", &watchroom.address.to_string()]);
    command.args(["--rate", &rate.to_string(), "--alerts", &bench.args.alerts.to_string()]);
    let mut sender = Sender::start_command(&mut command)?;
    sender.go()?;
    let mut due = Vec::new();
    let mut sender_late_ms = 0.0;
    loop {
        let answer = sender.answer()?;
        let Some((channel, due_us)) = answer.split_once(' ') else {
            sender_late_ms = answer.parse().unwrap_or(sender_late_ms);
            break;
        };
        due.push((channel.to_owned(), due_us.parse::<u64>()?));
    }
    let begun = clock();
    while clock() - begun < PATIENCE
        && !due.iter().all(|(channel, _)| webhook.arrivals().contains_key(channel))
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    let arrivals = webhook.arrivals();
    let times: Vec<f64> = due
        .iter()
        .filter_map(|(channel, due_us)| Some((*arrivals.get(channel)? as f64 - *due_us as f64) / 1_000.0))
        .collect();
    let at = |percent| percentile(&times, percent).unwrap_or(f64::NAN);
    Ok(Latency {
        rate,
        due: due.len(),
        came: times.len(),
        p50_ms: at(50.0),
        p99_ms: at(99.0),
        max_ms: at(100.0),
        sender_late_ms,
        resident_bytes: 0,
    })
}

/// The paced sender's process: says `ready`, sends when it reads a line, says `CHANNEL DUE` (microseconds since the
/// epoch) for every alert, and at last by how many milliseconds it was late at most.
pub(crate) fn send(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let mut lines = BufReader::with_capacity(1 << 20, std::fs::File::open(&args.file)?);
    let stream = TcpStream::connect(args.to)?;
    stream.set_nodelay(true)?;
    let mut stream = BufWriter::with_capacity(1 << 20, stream);
    let mut answers = std::io::stdout();
    writeln!(answers, "ready")?;
    std::io::stdin().read_line(&mut String::new())?;
    let begun_us = wall_us();
    let (mut sent, mut line, mut due, mut late_us) = (0u64, Vec::new(), Vec::new(), 0);
    let tick_us = TICK.as_micros() as u64;
    for tick in 1.. {
        let due_us = begun_us + tick * tick_us;
        while wall_us() < due_us {
            std::thread::sleep(Duration::from_micros(due_us.saturating_sub(wall_us())));
        }
        late_us = late_us.max(wall_us() - due_us);
        let target = (args.rate * tick as f64 / 1_000.0) as u64;
        while sent < target {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            stream.write_all(&line)?;
            sent += 1;
        }
        if sent < target || due.len() >= args.alerts as usize {
            break;
        }
        if is_due(tick, due.len() as u64) {
            let channel = format!("L{:06}", due.len());
            for number in 0..RUN {
                stream
                    .write_all(&crossing(&line, &channel, number).context("the line has too few columns")?)?;
            }
            due.push((channel, due_us));
        }
        stream.flush()?;
    }
    stream.flush()?;
    for (channel, due_us) in due {
        writeln!(answers, "{channel} {due_us}")?;
    }
    writeln!(answers, "{}", late_us as f64 / 1_000.0)?;
    Ok(ExitCode::SUCCESS)
}

/// Alerts are a little unevenly spaced, so that no rhythm of the receiver hides or doubles in them.
fn is_due(tick: u64, alerts: u64) -> bool {
    tick >= WARM_UP_TICKS + alerts * ALERT_EVERY_TICKS + alerts * 7 % 20
}

/// A network error of a channel of its own, at the time of a line that was just sent.
fn crossing(line: &[u8], channel: &str, number: usize) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    let mut columns: Vec<&str> = text.split("||").collect();
    let order = format!("{channel}H{number:04}");
    *columns.get_mut(4)? = &order;
    *columns.get_mut(9)? = "NET_ERR";
    *columns.get_mut(13)? = channel;
    Some(columns.join("||").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crossing_line_differs_in_three_columns() {
        let columns: Vec<String> = (0..20).map(|i| format!("c{i}")).collect();
        let line = format!("{}\n", columns.join("||"));
        let made = String::from_utf8(crossing(line.as_bytes(), "L7", 3).unwrap()).unwrap();
        let expect = line.replace("c4||", "L7H0003||").replace("c9", "NET_ERR").replace("c13", "L7");
        assert_eq!(made, expect);
        assert_eq!(crossing(b"short||line\n", "L7", 0), None);
    }

    #[test]
    fn alerts_are_due_one_after_the_other() {
        let mut alerts = 0;
        for tick in 0..10_000 {
            alerts += u64::from(is_due(tick, alerts));
        }
        assert!((230..250).contains(&alerts), "{alerts}");
    }
}
