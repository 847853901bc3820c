//! The columns of a frame whose format is known: their spans, their masks, their types.
//!
//! Refuses to know: how the format was chosen.

use super::choose::join_rest;
use crate::format::{COLUMNS_MAX, Check, Format, Grammar};
use crate::mask::{mask_all, mask_middle};
use crate::syslog::{Header, SyslogTime};
use crate::time::{OffsetCache, local_ms, resolve_yearless};
use crate::{Batch, ColumnType, InstantMs, MaskRule, RowFlags, Span, mask_cards, split};

/// Batches and frames are far below 4 GiB.
pub(super) fn offset(at: usize) -> u32 {
    at as u32
}

pub(super) fn shift(span: Span, by: u32) -> Span {
    Span { start: span.start + by, end: span.end + by }
}

/// Appends the spans of the columns of the frame at `base`.
pub(super) fn columns(batch: &mut Batch, format: &Format, base: usize, header: &Header) {
    let Batch { bytes, spans, .. } = batch;
    let message = shift(header.message, offset(base));
    let text = &bytes[message.start as usize..message.end as usize];
    match &format.grammar {
        Grammar::Delimited { delimiter, .. } => {
            let first = spans.len();
            split(text, delimiter, message.start, spans);
            join_rest(format, spans, first);
        }
        Grammar::Plain => {
            let shifted = |span| shift(span, offset(base));
            spans.extend([header.time_text, header.host, header.program].map(shifted));
            spans.push(message);
        }
        Grammar::KeyValue => {
            let first = spans.len();
            let nothing = Span { start: message.start, end: message.start };
            spans.resize(first + format.columns().len(), nothing);
            for pair in crate::grammar::pairs(text) {
                let place = |part: &[u8]| {
                    let start = message.start + offset(part.as_ptr().addr() - text.as_ptr().addr());
                    Span { start, end: start + offset(part.len()) }
                };
                let known = format.columns().iter().position(|c| c.name.as_bytes() == pair.key);
                // The first of a repeated key counts; the others are extras.
                match known.map(|column| &mut spans[first + column]) {
                    Some(span) if *span == nothing => *span = place(pair.value),
                    _ => spans.push(place(pair.whole)),
                }
                if spans.len() - first >= COLUMNS_MAX {
                    // The last extra takes what remains.
                    spans[first + COLUMNS_MAX - 1].end = message.end;
                    break;
                }
            }
        }
    }
}

/// Card numbers are at least so long.
pub(super) const CARD_DIGITS_MIN: usize = 13;

/// Whether a text begins as `YYYY-MM-DD` does; no card number, however it is grouped, is written so.
pub(super) fn looks_dated(text: &[u8]) -> bool {
    matches!(text, [_, _, _, _, b'-', _, _, b'-', ..])
}

/// Masks the frame at `base`; how many card numbers there were.
pub(super) fn mask(
    batch: &mut Batch,
    format: &Format,
    base: usize,
    header: &Header,
    spans_start: usize,
    flags: &mut RowFlags,
) -> usize {
    let Batch { bytes, spans, .. } = batch;
    let spans = &spans[spans_start..];
    let message = shift(header.message, offset(base));
    let mut search = |start: usize, end: usize| bytes.get_mut(start..end).map_or(0, mask_cards);
    let mut cards = search(base, message.start as usize);
    match &format.grammar {
        Grammar::Plain => cards += search(message.start as usize, message.end as usize),
        Grammar::Delimited { .. } => {
            for &(from, to) in &format.plan.searched {
                let Some(first) = spans.get(from) else { break };
                let last = spans[to.min(spans.len()) - 1];
                cards += search(first.start as usize, last.end as usize);
            }
            for span in format.plan.dated.iter().filter_map(|&column| spans.get(column)) {
                let (start, end) = (span.start as usize, span.end as usize);
                if end - start >= CARD_DIGITS_MIN && !bytes.get(start..end).is_some_and(looks_dated) {
                    cards += bytes.get_mut(start..end).map_or(0, mask_cards);
                }
            }
        }
        Grammar::KeyValue => {
            // The columns stand in any order: what lies between those that have a rule of their own is searched.
            let ruled = |(_, c): &(&Span, &crate::Column)| c.mask != MaskRule::Cards;
            let mut kept: Vec<Span> =
                spans.iter().zip(format.columns()).filter(ruled).map(|(s, _)| *s).collect();
            kept.sort_unstable_by_key(|s| s.start);
            let mut from = message.start;
            for span in kept.into_iter().filter(|s| s.end > s.start) {
                cards += search(from as usize, span.start as usize);
                from = span.end;
            }
            cards += search(from as usize, message.end as usize);
        }
    }
    let mut masked = cards > 0;
    for &(column, rule) in &format.plan.masked {
        let Some(text) = spans.get(column).and_then(|s| bytes.get_mut(s.start as usize..s.end as usize))
        else {
            continue;
        };
        masked |= if rule == MaskRule::All { mask_all(text) } else { mask_middle(text) };
    }
    if masked {
        flags.set(RowFlags::MASKED);
    }
    cards
}

/// Which columns are ill-typed, and the time column's instant.
pub(super) fn check_types(
    bytes: &[u8],
    format: &Format,
    spans: &[Span],
    cache: &mut OffsetCache,
) -> (u128, Option<InstantMs>) {
    if format.grammar == Grammar::Plain {
        return (0, None);
    }
    check(bytes, format, &format.plan.typed, spans, cache)
}

/// The same of the columns in `typed`.
pub(super) fn check(
    bytes: &[u8],
    format: &Format,
    typed: &[(usize, Check)],
    spans: &[Span],
    cache: &mut OffsetCache,
) -> (u128, Option<InstantMs>) {
    let mut ill_typed = 0;
    let mut event_ms = None;
    for (column, check) in typed {
        let Some(span) = spans.get(*column) else { break };
        if span.start == span.end {
            continue;
        }
        let text = &bytes[span.start as usize..span.end as usize];
        let fits = if format.time_column() == Some(*column) {
            event_ms = instant(text, &format.columns()[*column].kind, check, cache);
            event_ms.is_some()
        } else {
            check.fits(text)
        };
        if !fits {
            ill_typed |= 1 << column;
        }
    }
    (ill_typed, event_ms)
}

fn instant(text: &[u8], kind: &ColumnType, check: &Check, cache: &mut OffsetCache) -> Option<InstantMs> {
    match kind {
        ColumnType::Timestamp { zone, .. } if *check == Check::Timestamp => {
            Some(cache.resolve(local_ms(text)?, *zone))
        }
        _ => match kind.parse(std::str::from_utf8(text).ok()?) {
            Ok(crate::Value::Timestamp(instant)) => Some(instant),
            _ => None,
        },
    }
}

/// The time of a line that carries none: the header's, else the receive time. A time without a year is placed near the
/// receive time, and unknown where there is none.
pub(super) fn header_ms(
    header: &Header,
    format: &Format,
    platform_zone: chrono_tz::Tz,
    recv_ms: Option<InstantMs>,
) -> Option<InstantMs> {
    let column = format.time_column().map(|c| &format.columns()[c].kind);
    let zone = match column {
        Some(ColumnType::Timestamp { zone, .. }) => *zone,
        _ => platform_zone,
    };
    match header.time {
        Some(SyslogTime::Instant(instant)) => Some(instant),
        Some(SyslogTime::Yearless { month, day, hour, minute, second }) => {
            let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
            resolve_yearless((month, day, seconds * 1_000), recv_ms?, zone)
        }
        None => recv_ms,
    }
}
