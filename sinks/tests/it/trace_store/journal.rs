//! A journal in memory: what the store is fed, and the answers by looking at every row.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use record::{Batch, FormatSet, InstantMs, Lsn, Row, RowFlags, Span};
use sinks::trace_store::{Found, Search, TraceRow};

/// 2016-07-22T10:15:00.000Z.
pub(crate) const START_MS: InstantMs = 1_469_182_500_000;
pub(crate) const HOUR_MS: i64 = 3_600_000;

pub(crate) fn formats() -> Arc<FormatSet> {
    Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai))
}

/// A directory of its own, removed at the end.
pub(crate) struct Scratch {
    pub(crate) dir: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("watchroom-trace-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        assert!(std::fs::remove_dir_all(&self.dir).is_ok() || std::thread::panicking());
    }
}

/// The columns that the store knows, in the order of [`Entry::columns`].
const COLUMNS: [&str; 10] = [
    "order_no",
    "serial_no",
    "channel_serial_no",
    "trace_id",
    "merchant_no",
    "channel",
    "module",
    "order_status",
    "response_code",
    "remark",
];

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    recv_ms: Option<InstantMs>,
    event_ms: Option<InstantMs>,
    flags: RowFlags,
    source: u8,
    header: bool,
    plain: bool,
    columns: [String; COLUMNS.len()],
}

impl Entry {
    /// An ordinary line.
    pub(crate) fn sample(number: usize) -> Self {
        let text = |name: &str, of: usize| format!("{name}-{}", number % of);
        Self {
            recv_ms: Some(START_MS + 5),
            event_ms: Some(START_MS + number as i64),
            flags: RowFlags::default(),
            source: 0,
            header: true,
            plain: false,
            columns: [
                text("O", 7),
                text("S", 5),
                text("C", 3),
                text("T", 11),
                text("M", 4),
                text("CH", 3),
                text("模块", 12),
                text("ST", 2),
                text("R", 6),
                format!("备注 {number}"),
            ],
        }
    }

    pub(crate) fn tick() -> Self {
        Self { flags: RowFlags::TICK, ..Self::sample(0) }
    }

    pub(crate) fn at(self, recv_ms: InstantMs) -> Self {
        Self { recv_ms: Some(recv_ms), ..self }
    }

    pub(crate) fn flagged(self, flags: RowFlags) -> Self {
        Self { flags, ..self }
    }
}

/// Lines of all kinds: with and without times, columns, header; now and then a tick; mostly in one hour.
pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let time = || prop_oneof![8 => (0..5_000_i64).prop_map(|ms| Some(START_MS + ms)), 1 => Just(None)];
    let recv = prop_oneof![
        8 => time(),
        1 => (0..4_i64).prop_map(|hour| Some(START_MS + hour * HOUR_MS)),
    ];
    let event = prop_oneof![8 => time(), 1 => any::<i32>().prop_map(|ms| Some(i64::from(ms)))];
    let flags = prop_oneof![8 => Just(0_u16), 1 => 0..0x40_u16, 1 => Just(RowFlags::TICK.0)];
    let columns = prop::array::uniform10(prop_oneof![
        5 => (0..3_u8).prop_map(|n| format!("-{n}")),
        2 => Just(String::new()),
        1 => "[a-z<>\"\u{4e00}-\u{4e20}]{1,40}",
    ]);
    let rest = (0..3_u8, any::<bool>(), prop::bool::weighted(0.1));
    (recv, event, flags, columns, rest).prop_map(|(recv_ms, event_ms, flags, columns, rest)| {
        let (source, header, plain) = rest;
        let mut columns = columns;
        for (text, name) in columns.iter_mut().zip(["O", "S", "C", "T", "M", "CH", "模块", "ST", "R", "x"])
        {
            if text.starts_with('-') {
                text.insert_str(0, name);
            }
        }
        Entry { recv_ms, event_ms, flags: RowFlags(flags), source, header, plain, columns }
    })
}

/// Entries from position 1 on.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Vec<Entry>,
}

impl Journal {
    pub(crate) fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.entries.extend(entries);
    }

    pub(crate) fn last(&self) -> Lsn {
        self.entries.len() as Lsn
    }

    /// Everything from a position on, as it comes from the decoder.
    pub(crate) fn batch(&self, from: Lsn) -> Batch {
        let formats = formats();
        let mut batch = Batch::default();
        for lsn in from..=self.last() {
            push(&mut batch, &formats, lsn, &self.entries[lsn as usize - 1]);
        }
        batch
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (Lsn, &Entry)> {
        (1..).zip(&self.entries).filter(|(_, entry)| !entry.flags.has(RowFlags::TICK))
    }

    /// Records with an event time in a range.
    pub(crate) fn in_range(&self, range: std::ops::Range<InstantMs>) -> Vec<TraceRow> {
        let is_in = |(_, entry): &(Lsn, &Entry)| entry.event_ms.is_some_and(|at| range.contains(&at));
        self.rows().filter(is_in).map(row).collect()
    }

    pub(crate) fn by_lsn(&self, lsn: Lsn) -> Option<TraceRow> {
        self.rows().find(|(at, _)| *at == lsn).map(row)
    }

    pub(crate) fn trail(&self, id: &str, limit: usize) -> Found {
        let has = |(_, entry): &(Lsn, &Entry)| {
            !entry.plain && !id.is_empty() && entry.columns[..4].iter().any(|column| column == id)
        };
        let mut rows: Vec<TraceRow> = self.rows().filter(has).map(row).collect();
        rows.sort_by_key(|row| (row.event_ms, row.lsn));
        let truncated = rows.len() > limit;
        rows.truncate(limit);
        Found { rows, truncated }
    }

    pub(crate) fn search(&self, search: &Search) -> Found {
        let wants = |(lsn, entry): &(Lsn, &Entry)| {
            let is = |wanted: &Option<String>, column: usize| {
                let there = if entry.plain { "" } else { &entry.columns[column] };
                wanted.as_ref().is_none_or(|wanted| wanted == there)
            };
            let event_ms = row((*lsn, entry)).event_ms;
            search.from_ms.is_none_or(|from| event_ms >= from)
                && search.to_ms.is_none_or(|to| event_ms < to)
                && is(&search.merchant, 4)
                && is(&search.channel, 5)
                && is(&search.module, 6)
                && is(&search.status, 7)
                && is(&search.code, 8)
                && search.text.as_ref().is_none_or(|text| message(entry).contains(text))
        };
        let mut rows: Vec<TraceRow> = self.rows().filter(wants).map(row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.event_ms, row.lsn)));
        let truncated = rows.len() > search.limit;
        rows.truncate(search.limit);
        Found { rows, truncated }
    }

    pub(crate) fn searches(&self) -> Vec<Search> {
        let all = || Search { limit: 1_000, ..Search::default() };
        let some = |text: &str| Some(text.to_owned());
        vec![
            all(),
            Search { limit: 0, ..all() },
            Search { limit: 5, ..all() },
            Search { from_ms: Some(START_MS + 1_000), to_ms: Some(START_MS + 3_000), ..all() },
            Search { to_ms: Some(START_MS), limit: 2, ..all() },
            Search { merchant: some("M-1"), limit: 3, ..all() },
            Search { channel: some("CH-1"), status: some("ST-0"), ..all() },
            Search { code: some("R-1"), module: some("模块-2"), ..all() },
            Search { code: some(""), ..all() },
            Search { code: some("nowhere"), ..all() },
            Search { text: some("-1"), limit: 4, ..all() },
            // The header is not part of the message.
            Search { text: some("host-"), ..all() },
            Search { text: some(""), merchant: some("M-0"), ..all() },
            Search { text: some("||M-2||"), from_ms: Some(START_MS + 2_500), ..all() },
        ]
    }
}

fn header(entry: &Entry) -> String {
    if entry.header { format!("<134>1 - host-{} pay - - - ", entry.source) } else { String::new() }
}

fn message(entry: &Entry) -> String {
    entry.columns.join("||")
}

fn source(entry: &Entry) -> String {
    format!("tcp-514/10.0.0.{}", entry.source)
}

fn row((lsn, entry): (Lsn, &Entry)) -> TraceRow {
    TraceRow {
        lsn,
        recv_ms: entry.recv_ms,
        event_ms: entry.event_ms.or(entry.recv_ms).unwrap_or(0),
        source: source(entry),
        format: if entry.plain { "plain" } else { "order-trace" }.to_owned(),
        flags: entry.flags.0,
        frame: header(entry) + &message(entry),
    }
}

/// As the decoder would: spans of the format's columns point into the frame.
fn push(batch: &mut Batch, formats: &FormatSet, lsn: Lsn, entry: &Entry) {
    let id = formats.find(if entry.plain { "plain" } else { "order-trace" }).unwrap();
    let format = formats.get(id);
    let header = header(entry);
    let start = batch.bytes.len() as u32;
    let message_start = start + header.len() as u32;
    batch.bytes.extend_from_slice(header.as_bytes());
    batch.bytes.extend_from_slice(message(entry).as_bytes());
    let end = batch.bytes.len() as u32;
    let spans_start = batch.spans.len() as u32;
    batch.spans.resize(batch.spans.len() + format.columns().len(), Span::default());
    let mut at = message_start;
    for (name, text) in COLUMNS.iter().zip(&entry.columns) {
        let next = at + text.len() as u32;
        if let Some(column) = format.column(name) {
            batch.spans[spans_start as usize + column] = Span { start: at, end: next };
        }
        at = next + 2;
    }
    let span =
        |from: usize, len: usize| Span { start: start + from as u32, end: start + (from + len) as u32 };
    let source = batch.source_index(&Arc::from(source(entry)));
    batch.rows.push(Row {
        lsn,
        recv_ms: entry.recv_ms,
        event_ms: entry.event_ms,
        frame: Span { start, end },
        message: Span { start: message_start, end },
        host: if entry.header { span(9, 6) } else { Span::default() },
        program: if entry.header { span(16, 3) } else { Span::default() },
        structured_data: Span::default(),
        pri: entry.header.then_some(134),
        format: id,
        source,
        flags: entry.flags,
        spans_start,
        spans_len: format.columns().len() as u32,
        ill_typed: 0,
    });
}
