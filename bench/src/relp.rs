//! RELP as a sender: one connection, a window of unanswered lines, answers counted in order; at full speed, or by a
//! schedule with the time from each line's due time to its answer.
//!
//! Its own process, as the TCP sender is. Refuses to know: who receives.

use std::io::{BufRead as _, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::process::{clock, cpu_s};
use crate::statistics::percentile;

/// What this client offers; librelp offers version 0 too.
const OFFERS: &str = "relp_version=0\nrelp_software=watchroom-bench\ncommands=syslog";
/// How often the paced sender looks what is due.
const TICK: Duration = Duration::from_micros(500);
/// Bytes a read.
const READ_BYTES: usize = 64 * 1024;

/// What to send where.
#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// File of lines.
    #[arg(long)]
    file: PathBuf,
    /// Listener.
    #[arg(long)]
    to: SocketAddr,
    /// Lines sent and not yet answered, at most.
    #[arg(long)]
    window: usize,
    /// Lines a second; without it as fast as it goes.
    #[arg(long)]
    rate: Option<f64>,
    /// Only so many lines.
    #[arg(long)]
    lines: Option<usize>,
}

/// Time from due time to answer, milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ack {
    /// Median.
    pub(crate) p50_ms: f64,
    /// 99th percentile.
    pub(crate) p99_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
    /// How late the sender itself was at most, waiting for the window included: part of the figures above.
    pub(crate) sender_late_ms: f64,
}

impl std::str::FromStr for Ack {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let values: Vec<f64> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [p50_ms, p99_ms, max_ms, sender_late_ms] = values[..] else {
            anyhow::bail!("not four numbers: {text}")
        };
        Ok(Self { p50_ms, p99_ms, max_ms, sender_late_ms })
    }
}

/// The sender's process: says `ready` when the frames are in memory and the session is open, sends when it reads a
/// line, says seconds and CPU seconds when everything is answered; at a rate then the times too, see [`Ack`].
pub(crate) fn send(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let frames = Frames::new(&std::fs::read(&args.file)?, args.lines.unwrap_or(usize::MAX));
    let mut stream = TcpStream::connect(args.to)?;
    stream.set_nodelay(true)?;
    writeln!(stream, "1 open {} {OFFERS}", OFFERS.len())?;
    let mut answers = Answers::default();
    answers.read_until(&mut stream, 1)?;
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    std::io::stdin().lock().read_line(&mut String::new())?;
    let cpu_before_s = cpu_s("/proc/self/stat")?;
    let begun = clock();
    let ack = match args.rate {
        Some(rate) => Some(paced(&frames, &stream, answers, args.window, rate)?),
        None => {
            flood(&frames, &mut stream, &mut answers, args.window)?;
            None
        }
    };
    let seconds = (clock() - begun).as_secs_f64();
    writeln!(out, "{seconds} {}", cpu_s("/proc/self/stat")? - cpu_before_s)?;
    if let Some(ack) = ack {
        writeln!(out, "{} {} {} {}", ack.p50_ms, ack.p99_ms, ack.max_ms, ack.sender_late_ms)?;
    }
    // An orderly end: what was answered is not offered again.
    writeln!(stream, "{} close 0", frames.ends.len() + 2)?;
    Ok(ExitCode::SUCCESS)
}

/// Sends as much as the window takes, reads what is answered, sends that much again.
fn flood(
    frames: &Frames,
    stream: &mut TcpStream,
    answers: &mut Answers,
    window: usize,
) -> anyhow::Result<()> {
    let count = frames.ends.len();
    let mut sent = 0;
    while answers.lines() < count {
        let allowed = count.min(answers.lines() + window);
        stream.write_all(frames.between(sent, allowed))?;
        sent = allowed;
        answers.read(&mut *stream)?;
    }
    Ok(())
}

/// Sends each line when it is due, or when the window has room again.
fn paced(
    frames: &Frames,
    stream: &TcpStream,
    mut answers: Answers,
    window: usize,
    rate: f64,
) -> anyhow::Result<Ack> {
    let count = frames.ends.len();
    let answered = AtomicUsize::new(0);
    let begun = clock();
    let since_ms = || (clock() - begun).as_secs_f64() * 1e3;
    let due_ms = |line: usize| line as f64 / rate * 1e3;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| -> anyhow::Result<Vec<f64>> {
            let (mut times, mut stream) = (Vec::with_capacity(count), stream);
            while times.len() < count {
                answers.read(&mut stream)?;
                let now_ms = since_ms();
                let before = times.len();
                times.extend((before..answers.lines()).map(|line| now_ms - due_ms(line)));
                answered.store(answers.lines(), Ordering::Release);
            }
            Ok(times)
        });
        let (mut sent, mut late_ms, mut writer) = (0, 0.0_f64, stream);
        while sent < count && !reader.is_finished() {
            let now_ms = since_ms();
            let due = ((now_ms * rate / 1e3) as usize + 1).min(count);
            let allowed = due.min(answered.load(Ordering::Acquire) + window);
            if allowed > sent {
                late_ms = late_ms.max(now_ms - due_ms(sent));
                writer.write_all(frames.between(sent, allowed))?;
                sent = allowed;
            }
            std::thread::sleep(TICK);
        }
        let times = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        let at = |percent| percentile(&times, percent).unwrap_or(f64::NAN);
        Ok(Ack { p50_ms: at(50.0), p99_ms: at(99.0), max_ms: at(100.0), sender_late_ms: late_ms })
    })
}

/// All `syslog` frames, the first with number 2.
struct Frames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Frames {
    fn new(text: &[u8], most: usize) -> Self {
        let (mut bytes, mut ends) = (Vec::with_capacity(text.len() + text.len() / 16), Vec::new());
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(most) {
            bytes.extend_from_slice(format!("{} syslog {} ", ends.len() + 2, line.len()).as_bytes());
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    /// The frames from one number of lines sent to another.
    fn between(&self, sent: usize, allowed: usize) -> &[u8] {
        let end = |lines: usize| lines.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.bytes[end(sent)..end(allowed)]
    }
}

/// Answers in the order of their numbers, each `200`.
#[derive(Debug, Default)]
struct Answers {
    held: Vec<u8>,
    count: usize,
}

impl Answers {
    /// Lines answered: the first answer is that of `open`.
    fn lines(&self) -> usize {
        self.count.saturating_sub(1)
    }

    fn read_until(&mut self, stream: &mut TcpStream, count: usize) -> anyhow::Result<()> {
        while self.count < count {
            self.read(&mut *stream)?;
        }
        Ok(())
    }

    /// Reads once and takes all answers that are whole.
    fn read(&mut self, mut stream: impl Read) -> anyhow::Result<()> {
        let held = self.held.len();
        self.held.resize(held + READ_BYTES, 0);
        let read = stream.read(&mut self.held[held..])?;
        self.held.truncate(held + read);
        ensure!(read > 0, "the receiver closed after {} answers", self.count);
        let mut at = 0;
        while let Some(length) = answer(&self.held[at..], self.count + 1)? {
            at += length;
            self.count += 1;
        }
        self.held.drain(..at);
        Ok(())
    }
}

/// Length of the answer at the beginning, which must be to `number`; `None` if it is not whole.
fn answer(bytes: &[u8], number: usize) -> anyhow::Result<Option<usize>> {
    let mut spaces = bytes.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at);
    let (Some(first), Some(second), Some(third)) = (spaces.next(), spaces.next(), spaces.next()) else {
        return Ok(None);
    };
    let text = |from: usize, to: usize| std::str::from_utf8(&bytes[from..to]);
    let length: usize = text(second + 1, third)?.parse().context("no length in an answer")?;
    let end = third + 1 + length;
    let Some(data) = bytes.get(third + 1..end) else { return Ok(None) };
    if bytes.len() <= end {
        return Ok(None);
    }
    let head = (text(0, first)?.parse::<usize>().ok(), text(first + 1, second)?);
    let fine = head == (Some(number), "rsp") && data.starts_with(b"200") && bytes[end] == b'\n';
    ensure!(fine, "not a 200 to {number}: {}", String::from_utf8_lossy(&bytes[..end]));
    Ok(Some(end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_numbered_and_cut_by_lines() {
        let frames = Frames::new(b"one\ntwo two\n", 9);
        assert_eq!(frames.bytes, b"2 syslog 3 one\n3 syslog 7 two two\n");
        assert_eq!(frames.between(0, 1), b"2 syslog 3 one\n");
        assert_eq!(frames.between(1, 2), b"3 syslog 7 two two\n");
        assert_eq!(frames.between(2, 2), b"");
        assert_eq!(Frames::new(b"one\ntwo two\n", 1).ends.len(), 1);
    }

    #[test]
    fn answers_are_counted_wherever_they_are_cut() {
        let data = "200 OK\nrelp_version=0\nrelp_software=x\ncommands=syslog";
        let all = format!("1 rsp {} {data}\n2 rsp 6 200 OK\n3 rsp 6 200 OK\n", data.len());
        for cut in 0..all.len() {
            let mut answers = Answers::default();
            let (head, tail) = all.as_bytes().split_at(cut);
            if cut > 0 {
                answers.read(head).unwrap();
            }
            answers.read(tail).unwrap();
            assert_eq!((answers.count, answers.lines(), answers.held.len()), (3, 2, 0), "cut {cut}");
        }
        assert!(Answers::default().read(&b"2 rsp 6 200 OK\n"[..]).is_err(), "out of order");
        assert!(Answers::default().read(&b"1 rsp 9 500 no no\n"[..]).is_err());
        assert!(Answers::default().read(&b""[..]).is_err(), "closed");
    }
}
