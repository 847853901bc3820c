//! Answers from the files and from memory, each row once.
//!
//! A question takes the list of files and looks at the rows in memory under one lock, so a row that moves from
//! memory to a file meanwhile is seen in exactly one of them. Files that are retired meanwhile stay until the
//! question is answered.
//! Refuses to know: writing.

use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use record::Lsn;

use super::Shared;
use super::bloom;
use super::files::{TraceFile, corrupt};
use super::fresh::Fresh;
use super::groups::{Group, OpenFile, footer_only};
use super::query::{Best, Key, Wanted, fresh_has_id, newest_first, oldest_first};
use super::schema::{IDS, col};
use crate::trace_store::{Found, Search, TraceError, TraceReader, TraceRow};

/// Reads the store; cheap to clone, safe to share.
#[derive(Debug, Clone)]
pub struct EmbeddedReader {
    shared: Arc<Shared>,
}

/// Where a found row is.
#[derive(Debug)]
enum Place {
    Memory(Box<TraceRow>),
    File { file: usize, group: usize, row: usize },
}

type Files = Arc<Vec<Arc<TraceFile>>>;

impl EmbeddedReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The record at a position of the journal; `None` for a tick, or if it is not (or no longer) stored.
    pub fn by_lsn(&self, lsn: Lsn) -> Result<Option<TraceRow>, TraceError> {
        let files = {
            let state = self.shared.read();
            for fresh in state.in_memory() {
                if let Some(row) = fresh.find(lsn) {
                    return Ok(Some(fresh.trace_row(row, &self.shared.formats)));
                }
            }
            Arc::clone(&state.files)
        };
        let index = files.partition_point(|file| file.name.last < lsn);
        let Some(file) = files.get(index).filter(|file| file.name.first <= lsn) else { return Ok(None) };
        for (group, summary) in file.groups()?.iter().enumerate() {
            if summary.lsn.0 <= lsn && lsn <= summary.lsn.1 {
                let open = file.open(footer_only())?;
                let group = open.group(group)?;
                let lsns = group.integers(col::LSN)?;
                if let Some(row) = lsns.iter().position(|value| *value == Some(lsn.cast_signed())) {
                    return Ok(rows(file, &group, &[row])?.pop());
                }
            }
        }
        Ok(None)
    }

    /// Offers the rows in memory that match and returns the files that hold the others.
    fn start(
        &self,
        best: &mut Best<Place>,
        key: fn(i64, u64) -> Key,
        matches: impl Fn(&Fresh, usize) -> bool,
    ) -> Files {
        let state = self.shared.read();
        for fresh in state.in_memory() {
            for (index, row) in fresh.rows.iter().enumerate() {
                let key = key(row.filing_ms(), row.lsn);
                if best.wants(key) && matches(fresh, index) {
                    best.offer(key, || Place::Memory(Box::new(fresh.trace_row(row, &self.shared.formats))));
                }
            }
        }
        Arc::clone(&state.files)
    }
}

impl TraceReader for EmbeddedReader {
    fn trail(&self, id: &str, limit: usize) -> Result<Found, TraceError> {
        let mut best = Best::new(limit);
        if id.is_empty() {
            return Ok(Found::default());
        }
        let files = self.start(&mut best, oldest_first, |fresh, row| fresh_has_id(id.as_bytes(), fresh, row));
        let hash = bloom::hash(id.as_bytes());
        for (index, file) in files.iter().enumerate() {
            let groups = file.may_hold(hash)?;
            if groups.is_empty() {
                continue;
            }
            let open = file.open(footer_only())?;
            for (number, columns) in groups {
                let group = open.group(number)?;
                let found = rows_with_id(&group, id.as_bytes(), columns)?;
                offer(&group, &found, &mut best, oldest_first, (index, number))?;
            }
        }
        finish(&files, best)
    }

    fn search(&self, search: &Search) -> Result<Found, TraceError> {
        let mut best = Best::new(search.limit);
        let wanted = Wanted::new(search);
        let files = self.start(&mut best, newest_first, |fresh, row| wanted.matches(fresh, row));
        let mut newest: Vec<usize> = (0..files.len()).collect();
        newest.sort_by_key(|index| std::cmp::Reverse(files[*index].name.event_max));
        for index in newest {
            let file = &files[index];
            // Those that follow end even earlier.
            if !best.wants(newest_first(file.name.event_max, Lsn::MAX)) {
                break;
            }
            if wanted.touches(file.name.event_min, file.name.event_max) {
                search_file(&wanted, file, index, &mut best)?;
            }
        }
        finish(&files, best)
    }
}

fn search_file(
    wanted: &Wanted<'_>,
    file: &TraceFile,
    index: usize,
    best: &mut Best<Place>,
) -> Result<(), TraceError> {
    let groups = file.groups()?;
    let mut newest: Vec<usize> = (0..groups.len()).collect();
    newest.sort_by_key(|number| std::cmp::Reverse(groups[*number].time_ms.1));
    let mut open: Option<OpenFile<'_>> = None;
    for number in newest {
        let (low, high) = groups[number].time_ms;
        if !wanted.touches(low, high) || !best.wants(newest_first(high, Lsn::MAX)) {
            continue;
        }
        let open = match &mut open {
            Some(open) => open,
            none => none.insert(file.open(footer_only())?),
        };
        let group = open.group(number)?;
        let found = rows_that_match(&group, wanted, best)?;
        offer(&group, &found, best, newest_first, (index, number))?;
    }
    Ok(())
}

/// Rows with the id in one of the columns that may hold it.
fn rows_with_id(group: &Group<'_>, id: &[u8], columns: [bool; IDS]) -> Result<Vec<usize>, TraceError> {
    let mut found = Vec::new();
    for (column, asked) in columns.into_iter().enumerate() {
        if asked && !group.lacks(col::TEXT + column, id)? {
            group.texts(col::TEXT + column, |row, text| {
                if text == id {
                    found.push(row);
                }
            })?;
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Rows that satisfy a search and are good enough; cheap columns first, the frame last.
fn rows_that_match(
    group: &Group<'_>,
    wanted: &Wanted<'_>,
    best: &Best<Place>,
) -> Result<Vec<usize>, TraceError> {
    for (text, value) in &wanted.columns {
        if group.lacks(col::TEXT + text, value)? {
            return Ok(Vec::new());
        }
    }
    let times = filing_times(group)?;
    let good = |time_ms: i64| wanted.in_time(time_ms) && best.wants(newest_first(time_ms, Lsn::MAX));
    let mut matching: Vec<bool> = times.into_iter().map(good).collect();
    for (text, value) in &wanted.columns {
        if !matching.contains(&true) {
            return Ok(Vec::new());
        }
        group.texts(col::TEXT + text, |row, text| matching[row] &= text == *value)?;
    }
    let mut found: Vec<usize> =
        matching.iter().enumerate().filter_map(|(row, good)| good.then_some(row)).collect();
    if wanted.asks_text() {
        let mut starts = group.pick::<Int32Type>(col::MESSAGE_START, &found)?.into_iter();
        let mut hits = Vec::with_capacity(found.len());
        group.visit::<ByteArrayType>(col::FRAME, &found, |frame| {
            let start =
                starts.next().flatten().and_then(|start| usize::try_from(start).ok()).unwrap_or_default();
            let message = frame.and_then(|frame| frame.data().get(start..)).unwrap_or_default();
            hits.push(wanted.in_message(message));
        })?;
        let mut hits = hits.into_iter();
        found.retain(|_| hits.next() == Some(true));
    }
    Ok(found)
}

/// Event time, or receive time, or 0, of every row.
fn filing_times(group: &Group<'_>) -> Result<Vec<i64>, TraceError> {
    let events = group.integers(col::EVENT_MS)?;
    if events.iter().all(Option::is_some) {
        return Ok(events.into_iter().flatten().collect());
    }
    let received = group.integers(col::RECV_MS)?;
    Ok(events.into_iter().zip(received).map(|(event, recv)| event.or(recv).unwrap_or_default()).collect())
}

/// Offers rows of a group by their keys; what they hold is read only if they are kept.
fn offer(
    group: &Group<'_>,
    found: &[usize],
    best: &mut Best<Place>,
    key: fn(i64, u64) -> Key,
    (file, number): (usize, usize),
) -> Result<(), TraceError> {
    if found.is_empty() {
        return Ok(());
    }
    let lsns = group.pick::<Int64Type>(col::LSN, found)?;
    let events = group.pick::<Int64Type>(col::EVENT_MS, found)?;
    let received = group.pick::<Int64Type>(col::RECV_MS, found)?;
    for (at, row) in found.iter().enumerate() {
        let time_ms = events[at].or(received[at]).unwrap_or_default();
        let lsn = lsns[at].unwrap_or_default().cast_unsigned();
        best.offer(key(time_ms, lsn), || Place::File { file, group: number, row: *row });
    }
    Ok(())
}

/// Reads the rows that were kept and puts them in order.
fn finish(files: &Files, best: Best<Place>) -> Result<Found, TraceError> {
    let (places, truncated) = best.finish();
    let mut answer: Vec<(Key, TraceRow)> = Vec::with_capacity(places.len());
    let mut stored: Vec<(usize, usize, usize, Key)> = Vec::new();
    for (key, place) in places {
        match place {
            Place::Memory(row) => answer.push((key, *row)),
            Place::File { file, group, row } => stored.push((file, group, row, key)),
        }
    }
    stored.sort_unstable();
    for of_file in stored.chunk_by(|a, b| a.0 == b.0) {
        let file = &files[of_file[0].0];
        let open = file.open(footer_only())?;
        for of_group in of_file.chunk_by(|a, b| a.1 == b.1) {
            let wanted: Vec<usize> = of_group.iter().map(|place| place.2).collect();
            let group = open.group(of_group[0].1)?;
            let read = rows(file, &group, &wanted)?;
            answer.extend(of_group.iter().map(|place| place.3).zip(read));
        }
    }
    answer.sort_unstable_by_key(|(key, _)| *key);
    Ok(Found { rows: answer.into_iter().map(|(_, row)| row).collect(), truncated })
}

/// Reads whole rows (ascending) of a group.
pub(super) fn rows(
    file: &TraceFile,
    group: &Group<'_>,
    wanted: &[usize],
) -> Result<Vec<TraceRow>, TraceError> {
    let mut lsns = group.pick::<Int64Type>(col::LSN, wanted)?.into_iter();
    let mut received = group.pick::<Int64Type>(col::RECV_MS, wanted)?.into_iter();
    let mut events = group.pick::<Int64Type>(col::EVENT_MS, wanted)?.into_iter();
    let mut sources = group.pick::<ByteArrayType>(col::SOURCE, wanted)?.into_iter();
    let mut formats = group.pick::<ByteArrayType>(col::FORMAT, wanted)?.into_iter();
    let mut flags = group.pick::<Int32Type>(col::FLAGS, wanted)?.into_iter();
    let mut frames = group.pick::<ByteArrayType>(col::FRAME, wanted)?.into_iter();
    let mut next = || -> Option<TraceRow> {
        let (recv_ms, event_ms) = (received.next()?, events.next()?);
        Some(TraceRow {
            lsn: lsns.next()??.cast_unsigned(),
            recv_ms,
            event_ms: event_ms.or(recv_ms).unwrap_or_default(),
            source: text(&sources.next()??),
            format: text(&formats.next()??),
            flags: u16::try_from(flags.next()??).ok()?,
            frame: text(&frames.next()??),
        })
    };
    let rows: Vec<TraceRow> = wanted.iter().map_while(|_| next()).collect();
    if rows.len() != wanted.len() {
        return Err(corrupt(&file.path, "a row lacks a value that every row has"));
    }
    Ok(rows)
}

fn text(value: &ByteArray) -> String {
    String::from_utf8_lossy(value.data()).into_owned()
}
