//! What the listeners cost here: bytes on a socket to batches handed over, with and without the journal.
//!
//! `cargo run --release -p ingest --example listener_cost [LINES [DIR]]`. The sender is in the same process, on the
//! same cores. With DIR (made and removed; not on tmpfs) the journal is measured too.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program reads clocks and prints"
)]

use std::error::Error;
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use ingest::{
    Dropped, InboxConfig, InboxReceiver, InputContext, Journal, JournalConfig, Ledger, ListenerConfig,
    Protocol, Tails, TcpInput, UdpInput, inbox,
};
use record::FormatSet;
use tokio::sync::watch;

/// A line of 66 columns behind an RFC 5424 header.
fn line(i: usize) -> String {
    let mut columns = vec![String::new(); 66];
    columns[0] = format!("2016-07-22 18:15:{:02}.{:03}", i / 1000 % 60, i % 1000);
    columns[1] = format!("http-nio-8080-exec-{}", i % 32);
    columns[2] = ["gateway", "order", "router", "channel"][i % 4].to_owned();
    columns[3] = "send to channel".to_owned();
    columns[4] = format!("2016072218{:010}", i / 4);
    columns[5] = format!("S{:020}", i * 7919);
    columns[9] = "0000".to_owned();
    columns[13] = ["GHT", "UMP", "CUP"][i % 3].to_owned();
    columns[30] = format!("{}.{:02}", i % 10_000, i % 100);
    columns[36] = (i % 900).to_string();
    for (column, text) in columns.iter_mut().enumerate().skip(40).take(20) {
        *text = format!("value of {column} is x{}", i % 997);
    }
    format!("<14>1 2016-07-22T18:15:00.496+08:00 web1 order - - - {}\n", columns.join("||"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let lines: usize = args.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let dir = args.next().map(PathBuf::from);
    let block: String = (0..20_000).map(line).collect();
    println!("{lines} lines of {} bytes", block.len() / 20_000);
    tcp("tcp", lines, &block, None)?;
    if let Some(dir) = &dir {
        tcp("tcp, journal", lines, &block, Some(dir))?;
        std::fs::remove_dir_all(dir)?;
    }
    udp(lines / 2, &block)
}

fn context() -> Result<(InputContext, InboxReceiver, watch::Sender<bool>), Box<dyn Error>> {
    let (inbox, receiver) = inbox(&InboxConfig::default());
    let (stop, shutdown) = watch::channel(false);
    let formats = Arc::new(FormatSet::shipped("Asia/Shanghai".parse()?));
    let clock = Arc::new(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.as_millis() as i64)
    });
    Ok((InputContext { formats, inbox, clock, shutdown, tails: Tails::default() }, receiver, stop))
}

fn tcp(name: &str, lines: usize, block: &str, dir: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let (context, receiver, stop) = context()?;
    let config = ListenerConfig::new("tcp", Protocol::Tcp, SocketAddr::from(([127, 0, 0, 1], 0)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let formats = Arc::clone(&context.formats);
    let mut journal = dir
        .map(|dir| Journal::open(&JournalConfig { dir: dir.to_path_buf(), ..JournalConfig::default() }))
        .transpose()?
        .map(|(journal, _)| journal);
    let mut input = runtime.block_on(async { TcpInput::bind(&config, &context) })?;
    let (address, ledger) = (input.local_addr(), input.ledger());
    drop(context);
    let started = (Instant::now(), cpu_ns());
    let (sender_ns, parcels, commits) = thread::scope(|scope| {
        let sender = scope.spawn(move || -> std::io::Result<u64> {
            let before = thread_cpu_ns();
            let mut stream = TcpStream::connect(address)?;
            (0..lines / 20_000).try_for_each(|_| stream.write_all(block.as_bytes()))?;
            drop(stream);
            Ok(thread_cpu_ns() - before)
        });
        scope.spawn(move || {
            runtime.block_on(async {
                if let Some(connection) = input.accept().await {
                    connection.run().await;
                }
            });
        });
        let (parcels, commits) = consume(&receiver, journal.as_mut(), &formats);
        (sender.join().map(Result::unwrap_or_default).unwrap_or_default(), parcels, commits)
    });
    let took = started.0.elapsed().as_secs_f64();
    let cpu = (cpu_ns() - started.1).saturating_sub(sender_ns) as f64 / 1e9;
    report(name, &ledger, took, cpu, parcels);
    if commits > 0 {
        println!("  {commits} commits");
    }
    drop(stop);
    Ok(())
}

fn consume(receiver: &InboxReceiver, mut journal: Option<&mut Journal>, formats: &FormatSet) -> (u64, u64) {
    let (mut parcels, mut commits) = (0, 0);
    let mut held = Vec::new();
    loop {
        let received = receiver.recv_timeout(Duration::from_millis(5));
        let ended = matches!(received, Err(RecvTimeoutError::Disconnected));
        if let Ok(mut parcel) = received {
            parcels += 1;
            if let Some(journal) = &mut journal {
                journal
                    .append(&mut parcel.batch, formats)
                    .expect("a measuring program may end on a full disk");
                held.push(parcel);
            }
        }
        if let Some(journal) = &mut journal
            && (ended || journal.pending_bytes() >= 256 << 10)
        {
            commits += u64::from(journal.commit().is_ok());
            held.clear();
        }
        if ended {
            return (parcels, commits);
        }
    }
}

fn udp(lines: usize, block: &str) -> Result<(), Box<dyn Error>> {
    let (context, receiver, stop) = context()?;
    let config = ListenerConfig::new("udp", Protocol::Udp, SocketAddr::from(([127, 0, 0, 1], 0)));
    let input = UdpInput::bind(&config, &context)?;
    let (address, ledger) = (input.local_addr()?, input.ledger());
    let formats = Arc::clone(&context.formats);
    drop(context);
    let started = (Instant::now(), cpu_ns());
    let (sender_ns, parcels) = thread::scope(|scope| {
        let sender = scope.spawn(move || -> std::io::Result<u64> {
            let before = thread_cpu_ns();
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            for line in block.lines().cycle().take(lines) {
                socket.send_to(line.as_bytes(), address)?;
            }
            stop.send(true).ok();
            Ok(thread_cpu_ns() - before)
        });
        scope.spawn(move || input.run());
        let (parcels, _) = consume(&receiver, None, &formats);
        (sender.join().map(Result::unwrap_or_default).unwrap_or_default(), parcels)
    });
    let took = started.0.elapsed().as_secs_f64();
    let cpu = (cpu_ns() - started.1).saturating_sub(sender_ns) as f64 / 1e9;
    report("udp", &ledger, took, cpu, parcels);
    let snapshot = ledger.snapshot();
    let dropped = snapshot.dropped(Dropped::Kernel);
    println!(
        "  sent {lines} = received {} + dropped {dropped}: {}; receive buffer {} bytes",
        snapshot.received_frames,
        if snapshot.received_frames + dropped == lines as u64 { "exact" } else { "NOT EXACT" },
        snapshot.receive_buffer_bytes
    );
    Ok(())
}

fn report(name: &str, ledger: &Ledger, took: f64, cpu: f64, parcels: u64) {
    let snapshot = ledger.snapshot();
    let records = snapshot.handed_over as f64;
    println!(
        "{name}: {:.0} lines/s, {:.0} MB/s, {:.2} CPU s/M lines without the sender, {:.0} lines a batch",
        records / took,
        snapshot.received_bytes as f64 / took / 1e6,
        cpu / records * 1e6,
        records / parcels.max(1) as f64
    );
}

/// CPU time of this process: user and system, of all threads.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |parts| parts.1);
    let ticks: u64 =
        after_name.split_ascii_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks * 10_000_000
}

/// CPU time of this thread.
fn thread_cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_ascii_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}
