//! What decoding costs: nanoseconds per line of each step, on generated order-trace lines.
//!
//! `cargo run --release -p record --example cost`. Each figure is the best of several rounds over the same lines, so
//! that a busy machine does not show. Types and masks are what a format without them saves.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::hint::black_box;
use std::sync::Arc;

use record::{
    Batch, ColumnConfig, Decoder, FormatConfig, FormatSet, Framer, MaskRule, Step, Transport, mask_cards,
    parse_header, split,
};

const LINES: usize = 2_000;
const ROUNDS: usize = 60;

fn main() {
    let lines: Vec<String> = (0..LINES).map(line).collect();
    let frames: Vec<String> = lines
        .iter()
        .map(|l| format!("<134>2016-07-22T18:15:00.512345+08:00 pay-07 order-trace[4711]: {l}"))
        .collect();
    let bytes: usize = frames.iter().map(String::len).sum();
    println!(
        "{} bytes a line, {} with header",
        lines.iter().map(String::len).sum::<usize>() / LINES,
        bytes / LINES
    );
    framing(&frames);
    let header = best(|| frames.iter().map(|f| parse_header(f.as_bytes()).message.start as usize).sum());
    println!("header             {header:6.1} ns");
    let mut spans = Vec::new();
    let splitting = best(|| {
        lines.iter().for_each(|l| {
            spans.clear();
            split(black_box(l.as_bytes()), b"||", 0, &mut spans);
        });
        spans.len()
    });
    println!("split              {splitting:6.1} ns");
    let utf8 =
        best(|| lines.iter().filter(|l| simdutf8::basic::from_utf8(black_box(l.as_bytes())).is_ok()).count());
    println!("utf-8 check        {utf8:6.1} ns");
    let mut owned: Vec<Vec<u8>> = lines.iter().map(|l| l.clone().into_bytes()).collect();
    let masking = best(|| owned.iter_mut().map(|l| mask_cards(black_box(l))).sum());
    println!("mask, whole line   {masking:6.1} ns");
    // Single digits with spaces: the most readings as a card number that a byte can begin.
    let hostile = "1 ".repeat(65_536);
    let worst = best(|| mask_cards(black_box(&mut hostile.clone().into_bytes()))) * LINES as f64;
    println!("mask, worst 128 KiB {:5.1} ms", worst / 1e6);

    let typed = decode(&frames, Some("order-trace"));
    let untyped = decode(&frames, Some("untyped"));
    let unmasked = decode(&frames, Some("unmasked"));
    println!("types              {:6.1} ns", typed - untyped);
    println!("masks by column    {:6.1} ns", typed - unmasked);
    println!("decode, pinned     {typed:6.1} ns");
    println!("decode, detected   {:6.1} ns", decode(&frames, None));
    println!("decode, no header  {:6.1} ns", decode(&lines, None));
    println!("decode, stored     {:6.1} ns", stored(&frames));
}

fn framing(frames: &[String]) {
    let lf: Vec<u8> = frames.iter().flat_map(|f| [f.as_bytes(), b"\n"].concat()).collect();
    let counted: Vec<u8> = frames.iter().flat_map(|f| format!("{} {f}", f.len()).into_bytes()).collect();
    for (name, stream) in [("frame, line feed  ", lf), ("frame, counted    ", counted)] {
        let cost = best(|| {
            let (mut framer, mut at, mut found) = (Framer::new(131_072), 0, 0);
            loop {
                match framer.next(black_box(&stream[at..])) {
                    Step::Frame { consumed, .. } => {
                        at += consumed;
                        found += 1;
                    }
                    Step::Bad { consumed, .. } | Step::Skip { consumed } => at += consumed,
                    Step::Incomplete => return found,
                }
            }
        });
        println!("{name} {cost:6.1} ns");
    }
}

fn decode(frames: &[String], format: Option<&str>) -> f64 {
    let formats = formats();
    let pinned = format.map(|name| formats.find(name).expect("one of the formats below"));
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, pinned);
    let mut batch = Batch::default();
    best(|| {
        for batch_of in frames.chunks(256) {
            batch.clear();
            for frame in batch_of {
                decoder.push(&mut batch, 0, black_box(frame.as_bytes()), Some(1_469_182_500_000), false);
            }
        }
        batch.rows.len()
    })
}

fn stored(frames: &[String]) -> f64 {
    let formats = formats();
    let format = formats.find("order-trace").expect("it is shipped");
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, None);
    let mut batch = Batch::default();
    best(|| {
        for batch_of in frames.chunks(256) {
            batch.clear();
            for frame in batch_of {
                decoder.push_stored(
                    &mut batch,
                    0,
                    format,
                    black_box(frame.as_bytes()),
                    1,
                    None,
                    Default::default(),
                );
            }
        }
        batch.rows.len()
    })
}

/// The shipped formats, `untyped` (order-trace without types) and `unmasked` (order-trace without searched columns).
fn formats() -> Arc<FormatSet> {
    let shipped = FormatSet::shipped(chrono_tz::Asia::Shanghai);
    let trace = shipped.get(shipped.find("order-trace").expect("it is shipped"));
    let copy = |name: &str, types: bool, masks: bool| FormatConfig {
        columns: trace
            .columns()
            .iter()
            .map(|c| ColumnConfig {
                name: c.name.to_string(),
                kind: Some(if types || &*c.name == "log_time" { c.kind.name() } else { "string" }.into()),
                pattern: None,
                zone: None,
                mask: if masks { c.mask } else { MaskRule::Identifier },
            })
            .collect(),
        ..FormatConfig::new(name, "log_time")
    };
    let configs = vec![copy("untyped", false, true), copy("unmasked", true, false)];
    Arc::new(shipped.with(configs).expect("copies of a shipped format"))
}

/// Nanoseconds a line, of the best round.
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn best(mut round: impl FnMut() -> usize) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let start = std::time::Instant::now();
            black_box(round());
            start.elapsed().as_nanos() as f64 / LINES as f64
        })
        .fold(f64::INFINITY, f64::min)
}

/// An order-trace line: 66 columns, no two alike.
fn line(n: usize) -> String {
    let time =
        |ms: usize| format!("2016-07-22 18:{:02}:{:02}.{:03}", n / 60 % 60, n % 60, (n * 7 + ms) % 1_000);
    let mut columns = vec![String::new(); 66];
    let filled: [(usize, String); 36] = [
        (1, time(0)),
        (2, format!("pool-73-thread-{}", n % 64)),
        (3, "通道适配器".into()),
        (4, "通道适配器-发三方后".into()),
        (5, format!("CEX16{:010}", n * 7_919)),
        (6, format!("16201{:010}", n * 104_729)),
        (9, "04".into()),
        (10, "9000".into()),
        (11, "【结算平台消息】处理中".into()),
        (12, format!("{:07}", n % 1_000)),
        (13, "98XX543210".into()),
        (14, "GHT".into()),
        (15, "03".into()),
        (16, "11".into()),
        (17, time(0)),
        (18, "张张".into()),
        (20, "01".into()),
        (21, "tunnelQuery".into()),
        (22, "true".into()),
        (24, "Pending".into()),
        (26, "10.100.140.101".into()),
        (27, format!("8cff785d-0d01-4ed4-b771-{n:012x}")),
        (28, "10.99.140.101".into()),
        (29, "O001".into()),
        (31, format!("{}.{:02}", n % 1_000, n % 100)),
        (35, "http://10.100.44.59:8080/regression/notice".into()),
        (37, format!("{}", n % 900)),
        (38, time(1)),
        (39, time(2)),
        (40, time(3)),
        (45, "01".into()),
        (46, "0103".into()),
        (47, "111aaaaaaaaaaaaaaaaaaaaaaaaa".into()),
        (48, format!("8fb64154bbea060afec5cd2bb0c36a752be734f{n:08x}")),
        (50, "9bc195a59dd35a47".into()),
        (51, "f2ba5254f9e22914824881c242d211".into()),
    ];
    for (column, text) in filled {
        columns[column - 1] = text;
    }
    columns.join("||")
}
