//! What the rule index costs a record, by number of rules: `cargo run --release -p rules --example index_cost`.
//!
//! Each line is a shape of rules; each column a number of rules; the figure is nanoseconds a record, the median of
//! several passes over the same records. The last column is what 10,000 rules cost to what 10 cost, decoding the
//! line included: wanted is at most 1.5 for equality. The worst case is shown: every record asks for another rule,
//! so that nothing of the index stays in the nearest cache.
#![expect(clippy::print_stdout, reason = "a table for people")]
#![expect(clippy::disallowed_methods, reason = "measures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use record::{Batch, Decoder, FormatSet, Transport};
use rules::{RuleFile, RuleIndex, RuleSet};

const RECORDS: usize = 20_480;
/// Records of a batch: as in production a batch was just decoded and lies in the cache.
const BATCH_RECORDS: usize = 256;
const PASSES: usize = 25;
const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];

/// A shape of rules: its name, rule n's condition, and the record that rule n wants.
type Shape = (&'static str, fn(usize) -> String, fn(usize) -> [String; 2]);

const SHAPES: [Shape; 5] = [
    (
        "equality, each record concerns one rule",
        |n| format!("merchant_no == \"M{n}\""),
        |n| [format!("M{n}"), "ok".to_owned()],
    ),
    (
        "equality, no record concerns a rule",
        |n| format!("merchant_no == \"M{n}\""),
        |n| [format!("X{n}"), "ok".to_owned()],
    ),
    (
        "a common value and a rare one",
        |n| format!("response_code == \"NET_ERR\" && merchant_no == \"M{n}\" && amount > 1"),
        |n| [format!("M{n}"), "ok".to_owned()],
    ),
    (
        "in, three values each",
        |n| format!("merchant_no in [\"M{n}\", \"N{n}\", \"O{n}\"]"),
        |n| [format!("O{n}"), "ok".to_owned()],
    ),
    (
        "a keyword, each record concerns one rule",
        |n| format!("response_message.contains(\"<{n}>\")"),
        |n| ["M".to_owned(), format!("error <{n}> while reading the answer of the channel")],
    ),
];

fn main() {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let decode = decode_cost(&formats);
    println!("decoding: {decode:.0} ns a record");
    println!("{:42} {:>8} {:>8} {:>8} {:>8}   10,000 to 10", "ns a record, by rules", 10, 100, 1_000, 10_000);
    for (name, condition, record) in SHAPES {
        let costs: Vec<f64> = COUNTS.iter().map(|count| cost(&formats, *count, condition, record)).collect();
        let ratio = (decode + costs[3]) / (decode + costs[0]);
        println!(
            "{name:42} {:8.1} {:8.1} {:8.1} {:8.1}   {ratio:.2}",
            costs[0], costs[1], costs[2], costs[3]
        );
    }
}

/// Nanoseconds that `count` rules cost a record.
fn cost(
    formats: &Arc<FormatSet>,
    count: usize,
    condition: fn(usize) -> String,
    record: fn(usize) -> [String; 2],
) -> f64 {
    let mut text = "groups:\n- name: g\n  rules:\n".to_owned();
    for n in 0..count {
        text += &format!("  - {{alert: R{n}, kind: any, where: '{}'}}\n", condition(n));
    }
    let file = RuleFile { name: "rules".to_owned(), text };
    let set = RuleSet::load(&[file], formats).unwrap_or_else(|errors| panic!("{}", errors[0]));
    let batches = batches(formats, count, record);
    let mut index = RuleIndex::of(&set);
    let mut hits = Vec::new();
    let mut found = 0;
    let mut passes: Vec<f64> = (0..PASSES)
        .map(|_| {
            let mut elapsed = Duration::ZERO;
            for batch in &batches {
                std::hint::black_box(touch(batch));
                let start = Instant::now();
                for record in batch.records(formats) {
                    index.hits(&record, &mut hits);
                    found += hits.len();
                }
                elapsed += start.elapsed();
            }
            elapsed.as_nanos() as f64 / RECORDS as f64
        })
        .collect();
    assert!(std::hint::black_box(found) <= PASSES * RECORDS);
    passes.sort_by(f64::total_cmp);
    passes[PASSES / 2]
}

/// Nanoseconds that decoding costs a record.
fn decode_cost(formats: &Arc<FormatSet>) -> f64 {
    let made = batches(formats, 10, SHAPES[0].2);
    let trace = formats.find("order-trace").expect("a shipped format");
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, Some(trace));
    let mut batch = Batch::default();
    let mut passes: Vec<f64> = (0..PASSES)
        .map(|_| {
            let start = Instant::now();
            for known in &made {
                batch.clear();
                for row in &known.rows {
                    decoder.push(&mut batch, 0, known.slice(row.frame), None, false);
                }
            }
            start.elapsed().as_nanos() as f64 / RECORDS as f64
        })
        .collect();
    passes.sort_by(f64::total_cmp);
    passes[PASSES / 2]
}

/// Reads all of a batch, so that it lies in the cache.
fn touch(batch: &Batch) -> u64 {
    let bytes: u64 = batch.bytes.iter().map(|byte| u64::from(*byte)).sum();
    bytes + batch.spans.iter().map(|span| u64::from(span.end)).sum::<u64>()
}

/// Records as the decoder makes them, spread over what the rules want.
fn batches(formats: &Arc<FormatSet>, count: usize, record: fn(usize) -> [String; 2]) -> Vec<Batch> {
    let trace = formats.find("order-trace").expect("a shipped format");
    let columns = formats.get(trace).columns();
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, Some(trace));
    let starts = (0..RECORDS).step_by(BATCH_RECORDS);
    let batches = starts.map(|start| {
        let mut batch = Batch::default();
        for position in start..start + BATCH_RECORDS {
            // A prime far from the counts: neighbours in time are no neighbours in the tables.
            let [merchant, message] = record(position * 7_919 % count);
            let line: Vec<&str> = columns
                .iter()
                .map(|column| match &*column.name {
                    "log_time" => "2016-07-22 18:15:00.496",
                    "response_code" => "NET_ERR",
                    "amount" => "100.00",
                    "merchant_no" => &merchant,
                    "response_message" => &message,
                    _ => "some text",
                })
                .collect();
            decoder.push(&mut batch, 0, line.join("||").as_bytes(), None, false);
        }
        decoder.flush(&mut batch, 0);
        assert_eq!(batch.rows.len(), BATCH_RECORDS);
        batch
    });
    batches.collect()
}
