//! What a snapshot of the engine costs: time to write, time to read, size.
//!
//! `cargo run --release -p rules --example snapshot_cost`

#![expect(clippy::print_stdout, reason = "it is a program that prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::sync::Arc;
use std::time::Instant;

use record::{Batch, Decoder, FormatSet, Transport};
use rules::{Engine, RuleFile, RuleSet};

const T0: i64 = 1_469_182_500_000;
const BATCH: u64 = 500;

fn load(yaml: &str, formats: &Arc<FormatSet>) -> Arc<RuleSet> {
    let text = format!("groups:\n- name: g\n  rules:\n{yaml}");
    let file = RuleFile { name: "cost.yaml".into(), text };
    Arc::new(RuleSet::load(&[file], formats).expect("the rules are right"))
}

/// Records of `keys` merchants in turn, 1,000 a second.
fn lines(formats: &Arc<FormatSet>, from: u64, keys: u64) -> Batch {
    let mut batch = Batch::default();
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, formats.find("order-trace"));
    for i in from..from + BATCH {
        let mut columns = vec![String::new(); 66];
        columns[0] = "2016-07-22 18:15:00.000".into();
        columns[2] = "channel-adapter".into();
        columns[4] = format!("CEX16{i:012}");
        columns[9] = "TIMEOUT".into();
        columns[11] = format!("M{:09}", i % keys);
        columns[13] = format!("CH{}", i % 7);
        columns[24] = "x".repeat(150);
        columns[30] = "12.50".into();
        decoder.push(&mut batch, 0, columns.join("||").as_bytes(), None, false);
    }
    decoder.flush(&mut batch, 0);
    for (row, i) in batch.rows.iter_mut().zip(from..) {
        row.lsn = i + 1;
        row.event_ms = Some(T0 + i as i64);
    }
    batch
}

fn measure(name: &str, yaml: &str, keys: u64, records: u64, formats: &Arc<FormatSet>) {
    let rules = load(yaml, formats);
    let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(formats));
    let mut out = Vec::new();
    for from in (0..records).step_by(BATCH as usize) {
        engine.judge(&lines(formats, from, keys), &mut out);
        out.clear();
    }
    let (mut write, mut read) = (f64::MAX, f64::MAX);
    let mut bytes = Vec::new();
    for _ in 0..5 {
        bytes.clear();
        let start = Instant::now();
        engine.snapshot(&mut bytes);
        write = write.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let (again, _) =
            Engine::restore(Arc::clone(&rules), Arc::clone(formats), &bytes).expect("just written");
        read = read.min(start.elapsed().as_secs_f64());
        assert_eq!(again.state_hash(), engine.state_hash());
    }
    println!(
        "{name}: written in {:.2} ms, read in {:.2} ms, {} KiB; {} keys, {} alerts on",
        write * 1e3,
        read * 1e3,
        bytes.len() / 1024,
        engine.counts().rules.iter().map(|rule| rule.keys).sum::<u64>(),
        engine.alerts().len()
    );
}

fn main() {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let rules = |n: usize, count: u64, within: &str| -> String {
        let rule = |i: usize| {
            format!(
                "  - {{alert: A{i}, kind: frequency, where: 'response_code == \"TIMEOUT\"', by: [merchant_no], \
                 count: {count}, within: {within}, distinct: {{field: channel, min: 2}}}}\n"
            )
        };
        (0..n).map(rule).collect()
    };
    measure("10 rules, 1,000 keys each, none firing", &rules(10, 1_000_000, "10m"), 1_000, 60_000, &formats);
    measure("10 rules, 1,000 keys each, all firing", &rules(10, 2, "10m"), 1_000, 60_000, &formats);
    measure("1 rule, 100,000 keys, none firing", &rules(1, 1_000_000, "10m"), 100_000, 300_000, &formats);
    measure("1 rule, 100,000 keys, one record each", &rules(1, 1_000_000, "10m"), 100_000, 100_000, &formats);
}
