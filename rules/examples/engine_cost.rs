//! What a record costs the engine: the three network rules over generated records, and the memory of a million keys.
//!
//! `cargo run --release -p rules --example engine_cost [PART OF A NAME]`

#![expect(clippy::print_stdout, reason = "it is a program that prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::sync::Arc;
use std::time::Instant;

use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Engine, RuleFile, RuleSet};

const NETWORK: &str = r#"
groups:
  - name: network
    rules:
      - {alert: ChannelNetworkDown, kind: consecutive, where: 'response_code in ["NET_ERR", "TIMEOUT"]',
         reset: 'response_code == "0000"', by: [channel], count: 12, within: 1m}
      - {alert: NetworkTrouble, kind: sustained, where: 'response_code in ["NET_ERR", "TIMEOUT"]', count: 3, every: 1m,
         within: 10m, distinct: {field: channel, min: 3}}
      - {alert: NetworkTroubleTotal, kind: frequency, where: 'response_code in ["NET_ERR", "TIMEOUT"]', count: 25,
         within: 10m, distinct: {field: channel, min: 3}}
"#;

const BY_ORDER: &str = r#"
groups:
  - name: orders
    rules:
      - {alert: ManyLines, kind: frequency, count: 40, within: 1h, by: [order_no]}
"#;

fn load(yaml: &str, formats: &Arc<FormatSet>) -> Arc<RuleSet> {
    let file = RuleFile { name: "cost.yaml".into(), text: yaml.into() };
    Arc::new(RuleSet::load(&[file], formats).expect("the rules above are right"))
}

const T0: i64 = 1_469_182_500_000;
/// Records of a batch: as many as a listener hands over at once, so that they are warm as in the pipeline.
const BATCH: u64 = 500;
const PER_SECOND: i64 = 5_000;

/// Records number `from` and after, 5,000 a second; one in `errors` is an error, the others have `code`.
fn lines(formats: &Arc<FormatSet>, from: u64, errors: u64, code: &str) -> Batch {
    let mut batch = Batch::default();
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, formats.find("order-trace"));
    for i in from..from + BATCH {
        let mut columns = vec![String::new(); 66];
        columns[0] = "2016-07-22 18:15:00.000".into();
        columns[2] = "channel-adapter".into();
        columns[4] = format!("CEX16{i:012}");
        columns[9] = if i % errors == 0 { "TIMEOUT".into() } else { code.into() };
        columns[13] = format!("CH{}", i % 7);
        columns[30] = "12.50".into();
        decoder.push(&mut batch, 0, columns.join("||").as_bytes(), None, false);
    }
    decoder.flush(&mut batch, 0);
    number(&mut batch, from);
    batch
}

/// Gives the records of a batch their positions and times.
fn number(batch: &mut Batch, from: u64) {
    for (row, i) in batch.rows.iter_mut().zip(from..) {
        row.lsn = i + 1;
        row.event_ms = Some(T0 + i as i64 * 1_000 / PER_SECOND);
    }
}

fn measure(name: &str, errors: u64, code: &str, formats: &Arc<FormatSet>) {
    if std::env::args().nth(1).is_some_and(|only| !name.contains(&only)) {
        return;
    }
    let mut batch = lines(formats, 0, errors, code);
    let mut best = f64::MAX;
    let mut transitions = 0;
    for _ in 0..5 {
        let mut engine = Engine::new(load(NETWORK, formats), Arc::clone(formats));
        let mut out = Vec::new();
        let start = Instant::now();
        for i in 0..400 {
            number(&mut batch, i * BATCH);
            engine.judge(&batch, &mut out);
        }
        best = best.min(start.elapsed().as_secs_f64());
        transitions = out.len();
    }
    println!("{name}: {:.0} ns a record, {transitions} transitions", best * 1e9 / (400 * BATCH) as f64);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4
}

fn main() {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    measure("no rule is hit", u64::MAX, "9000", &formats);
    measure("1 in 500 an error, the others resets", 500, "0000", &formats);
    measure("all errors", 1, "0000", &formats);
    if std::env::args().nth(1).is_some() {
        return;
    }
    let before = resident_kib();
    let mut engine = Engine::with_keys_max(load(BY_ORDER, &formats), Arc::clone(&formats), 2_000_000);
    let mut out = Vec::new();
    let mut nanos = 0;
    for i in 0..1_000_000 / BATCH {
        let batch = lines(&formats, i * BATCH, u64::MAX, "9000");
        let start = Instant::now();
        engine.judge(&batch, &mut out);
        nanos += start.elapsed().as_nanos();
    }
    let keys = engine.counts().rules[0].keys;
    let grown = resident_kib() - before;
    println!(
        "every record a new key: {} ns a record; {keys} keys in {} MiB",
        nanos / 1_000_000,
        grown / 1024
    );
}
