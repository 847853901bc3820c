//! What the trace store costs: CPU per row, bytes on disk, memory, time of a lookup.
//!
//! `cargo run --release -p sinks --example store_cost [ROWS [DIR]]` makes varied order lines (12 modules, about
//! 30 lines an order, 660 bytes a line), stores them, opens the store again and looks orders up.
//! Refuses to know: how lines are parsed; the offsets of the columns are made with the lines.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement prints, and reads the clock"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use record::{Batch, FormatId, FormatSet, Lsn, Row, RowFlags, Span};
use sinks::trace_store::embedded::{EmbeddedConfig, EmbeddedReader, open};
use sinks::trace_store::{Search, TraceReader};

const BATCH_ROWS: usize = 512;
const START_MS: i64 = 1_469_182_500_000;
const LOOKUPS: usize = 500;

fn main() {
    let mut args = std::env::args().skip(1);
    let rows: usize = args.next().map_or(1_000_000, |n| n.parse().expect("ROWS is a number"));
    let dir = args.next().map_or_else(|| std::env::temp_dir().join("watchroom-store-cost"), PathBuf::from);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).expect("the directory can be emptied");
    }
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let config = EmbeddedConfig { dir: dir.clone(), ..EmbeddedConfig::default() };
    write(rows, &config, &formats);
    let (mut writer, reader) = open(config.clone(), Arc::clone(&formats)).expect("the store opens");
    lookups("in files as written", &reader, rows);
    let before = (cpu_s(), writer.stats().files);
    let joining = Instant::now();
    let mut files = before.1;
    loop {
        writer.maintain(START_MS).expect("joining works");
        if writer.stats().files == files {
            break;
        }
        files = writer.stats().files;
    }
    println!(
        "joined {} files to {files}: {:.2} s, {:.2} CPU s",
        before.1,
        joining.elapsed().as_secs_f64(),
        cpu_s() - before.0
    );
    let (_writer, reader) = open(config, formats).expect("the store opens");
    lookups("in joined files", &reader, rows);
    searches(&reader);
    println!("files are in {}", dir.display());
}

fn write(rows: usize, config: &EmbeddedConfig, formats: &Arc<FormatSet>) {
    let (mut writer, _reader) = open(config.clone(), Arc::clone(formats)).expect("the store opens");
    let mut lines = Lines::new(formats);
    let mut batch = Batch::default();
    let (mut raw, mut cpu, mut wall, mut slowest) = (0, 0.0, 0.0_f64, 0.0_f64);
    let mut lsn = 0;
    while (lsn as usize) < rows {
        batch.clear();
        for _ in 0..BATCH_ROWS {
            lsn += 1;
            lines.push(&mut batch, lsn);
        }
        raw += batch.bytes.len();
        let (start, start_cpu) = (Instant::now(), cpu_s());
        writer.append(&batch).expect("a batch is stored");
        let took = start.elapsed().as_secs_f64();
        wall += took;
        slowest = slowest.max(took);
        cpu += cpu_s() - start_cpu;
    }
    let (start, start_cpu) = (Instant::now(), cpu_s());
    writer.flush().expect("the rest is stored");
    wall += start.elapsed().as_secs_f64();
    cpu += cpu_s() - start_cpu;
    let stats = writer.stats();
    let n = stats.rows_taken as f64;
    println!("{} rows of {:.0} bytes in {} files", stats.rows_taken, raw as f64 / n, stats.files);
    println!(
        "write: {:.2} us CPU a row, {:.0} rows/s, slowest append {:.0} ms",
        cpu / n * 1e6,
        n / wall,
        slowest * 1e3
    );
    println!(
        "size: {:.1} MB, {:.1}x smaller than raw",
        stats.file_bytes as f64 / 1e6,
        raw as f64 / stats.file_bytes as f64
    );
    println!("memory: {} MiB at most", peak_mib());
}

fn lookups(name: &str, reader: &EmbeddedReader, rows: usize) {
    let orders = rows / 30;
    let mut times = Vec::with_capacity(LOOKUPS);
    let mut found = 0;
    for i in 0..LOOKUPS {
        let id = order_no((i * 7_919 % orders) as u64);
        let start = Instant::now();
        found += reader.trail(&id, 1_000).expect("a trail is read").rows.len();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let missing = Instant::now();
    for i in 0..100 {
        assert!(reader.trail(&format!("no such order {i}"), 10).expect("a trail is read").rows.is_empty());
    }
    println!(
        "trail, {name}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms, {:.1} rows each; unknown id {:.2} ms",
        times[LOOKUPS / 2],
        times[LOOKUPS * 99 / 100],
        times[LOOKUPS - 1],
        found as f64 / LOOKUPS as f64,
        missing.elapsed().as_secs_f64() * 10.0,
    );
}

fn searches(reader: &EmbeddedReader) {
    let base = || Search { limit: 100, ..Search::default() };
    for (name, search) in [
        ("newest 100", base()),
        ("by code", Search { code: Some("NET_ERR".into()), ..base() }),
        ("by merchant", Search { merchant: Some("98XX98543007".into()), ..base() }),
        ("merchant that is not there", Search { merchant: Some("98XX543".into()), ..base() }),
        ("by text", Search { text: Some("【UMP】处理超时".into()), ..base() }),
        ("text that is not there", Search { text: Some("nowhere to be found".into()), ..base() }),
    ] {
        let start = Instant::now();
        let found = reader.search(&search).expect("a search is read");
        println!("search, {name}: {:.1} ms, {} rows", start.elapsed().as_secs_f64() * 1e3, found.rows.len());
    }
}

fn order_no(order: u64) -> String {
    format!("CEX16{:010}{:04}", order.wrapping_mul(2_654_435_761) % 10_000_000_000, order % 10_000)
}

/// Makes the lines: orders open all the time, each goes through the modules step by step.
struct Lines {
    random: u64,
    open: Vec<(u64, u32)>,
    next_order: u64,
    now_ms: i64,
    format: FormatId,
    source: Arc<str>,
    line: String,
}

impl Lines {
    fn new(formats: &FormatSet) -> Self {
        let format = formats.find("order-trace").expect("order-trace is shipped");
        let source = Arc::from("tcp-514/10.100.140.101");
        let mut lines = Self {
            random: 1,
            open: Vec::new(),
            next_order: 0,
            now_ms: START_MS,
            format,
            source,
            line: String::new(),
        };
        for _ in 0..2_000 {
            lines.open.push((lines.next_order, 0));
            lines.next_order += 1;
        }
        lines
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn push(&mut self, batch: &mut Batch, lsn: Lsn) {
        self.now_ms += i64::from(lsn.is_multiple_of(2));
        let slot = self.random(self.open.len() as u64) as usize;
        let (order, step) = self.open[slot];
        self.open[slot] = if step == 29 { (self.next_order, 0) } else { (order, step + 1) };
        self.next_order += u64::from(step == 29);
        self.write_line(order, step);
        let source = batch.source_index(&self.source);
        let start = batch.bytes.len() as u32;
        batch.bytes.extend_from_slice(self.line.as_bytes());
        let end = batch.bytes.len() as u32;
        let spans_start = batch.spans.len() as u32;
        let mut at = start;
        for column in self.line.split("||") {
            batch.spans.push(Span { start: at, end: at + column.len() as u32 });
            at += column.len() as u32 + 2;
        }
        let frame = Span { start, end };
        batch.rows.push(Row {
            lsn,
            recv_ms: Some(self.now_ms + 7),
            event_ms: Some(self.now_ms),
            frame,
            message: frame,
            host: Span::default(),
            program: Span::default(),
            structured_data: Span::default(),
            pri: None,
            format: self.format,
            source,
            flags: RowFlags::default(),
            spans_start,
            spans_len: batch.spans.len() as u32 - spans_start,
            ill_typed: 0,
        });
    }

    fn write_line(&mut self, order: u64, step: u32) {
        use std::fmt::Write;
        let modules = [
            "接入网关",
            "订单中心",
            "风控",
            "路由",
            "通道适配器",
            "结算",
            "账务",
            "通知",
            "对账",
            "会员",
            "限额",
            "报表",
        ];
        let module = modules[(step % 12) as usize];
        let channel = ["GHT", "UMP", "CUP", "ALI", "WXP", "BOC"][(order % 6) as usize];
        let (code, text) = match self.random(100) {
            0 => ("NET_ERR", "网络异常"),
            1 => ("TIMEOUT", "处理超时"),
            2..20 => ("9000", "处理中"),
            _ => ("0000", "成功"),
        };
        let time = |ms: i64| {
            chrono::DateTime::from_timestamp_millis(ms + 28_800_000)
                .map(|t| t.format("%Y-%m-%d %H:%M:%S%.3f").to_string())
        };
        let now = time(self.now_ms).unwrap_or_default();
        let created = time(self.now_ms - i64::from(step) * 400).unwrap_or_default();
        let hash = order.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (thread, elapsed) = (self.random(200), self.random(900));
        let call = (hash ^ u64::from(step / 10)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let (serial, trace) = (call >> 24, call ^ call >> 31);
        let merchant = 98_543_000 + order % 300;
        let amount = hash % 1_000_000;
        self.line.clear();
        let written = write!(
            self.line,
            "{now}||pool-73-thread-{thread}||{module}||{module}-步骤{step}||{order_no}||16201{serial:012}||{channel_serial}||||04||{code}||【{channel}】{text}||98XX{merchant}||98XX{account}||{channel}||03||11||{created}||张{surname}||||01||tunnelQuery||true||||Pending||||10.100.140.{host}||8cff785d-{trace:016x}-{order:08x}||10.99.140.{client}||O001||CNY||{yuan}.{cent:02}||||||||http://10.100.44.59:8080/regression/notice||||{elapsed}||{created}||{created}||{now}||||||T{terminal:06}||||01||0103||{hash:016x}{hash:016x}||{enc:016x}{enc2:016x}{enc:016x}||622588******{card:04}||{phone:016x}||{idno:016x}{enc2:012x}||||||||||||||||||||{token:016x}||||||||||",
            order_no = order_no(order),
            channel_serial =
                if step > 14 { format!("CH{:014}", hash % 100_000_000_000_000) } else { String::new() },
            account = merchant + 210,
            surname = order % 97,
            host = 100 + step % 12,
            client = order % 250,
            yuan = amount / 100,
            cent = amount % 100,
            terminal = order % 4_000,
            enc = hash.rotate_left(13),
            enc2 = hash.rotate_left(29),
            card = order % 10_000,
            phone = hash.rotate_left(41),
            idno = hash.rotate_left(7),
            token = hash.rotate_left(51),
        );
        written.expect("writing to a string does not fail");
    }
}

/// CPU seconds of this process so far.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// Most memory this process ever had.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}
