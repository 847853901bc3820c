//! Which format a line is of.
//!
//! Refuses to know: what the columns mean.

use super::{Decoder, PlainReason};
use crate::format::{COLUMNS_MAX, DetectConfig, Format, Grammar};
use crate::syslog::Header;
use crate::{FormatId, Span, split};

/// The delimiter whose lines are records of the fallback format when nothing else claims them.
pub(super) const PIPES: &[u8] = b"||";

pub(super) struct Choice {
    pub(super) format: FormatId,
    /// Why it is `plain` though something else was expected.
    pub(super) plain: Option<PlainReason>,
    /// The spans of the chosen format's columns have been appended.
    pub(super) laid_out: bool,
}

/// A line as far as it has been looked at.
pub(super) struct Line<'a> {
    message: &'a [u8],
    program: &'a [u8],
    /// Offset of the message in the batch.
    pub(super) base: u32,
    /// Spans that stood in the table before this line's.
    first: usize,
}

impl<'a> Line<'a> {
    pub(super) fn new(frame: &'a [u8], header: &Header, base: usize, first: usize) -> Self {
        Self {
            message: &frame[header.message.start as usize..header.message.end as usize],
            program: &frame[header.program.start as usize..header.program.end as usize],
            base: super::lay_out::offset(base) + header.message.start,
            first,
        }
    }

    pub(super) fn is_named(&self, detect: &DetectConfig) -> bool {
        detect.program.iter().any(|p| p.as_bytes() == self.program)
            || detect.prefix.as_ref().is_some_and(|p| self.message.starts_with(p.as_bytes()))
    }

    fn field(&self, spans: &[Span], column: usize) -> &[u8] {
        spans.get(self.first + column).map_or(&[], |span| {
            &self.message[(span.start - self.base) as usize..(span.end - self.base) as usize]
        })
    }

    fn time_reads(&self, spans: &[Span], format: &Format) -> bool {
        format.time_column().is_some_and(|column| {
            let text = self.field(spans, column);
            let check = format.plan.typed.iter().find(|(c, _)| *c == column).map(|(_, check)| check);
            !text.is_empty() && check.is_some_and(|check| check.fits(text))
        })
    }
}

impl Decoder {
    /// Chooses the format of a frame whose header has been read. `base`: offset of the frame in the batch.
    pub(super) fn choose(&self, frame: &[u8], header: &Header, base: usize, spans: &mut Vec<Span>) -> Choice {
        let line = Line::new(frame, header, base, spans.len());
        match self.pinned {
            Some(id) => self.pinned(id, &line, spans),
            None => self.detected(&line, spans),
        }
    }

    /// The format of a frame that is told without splitting its line: pinned, or by program or prefix.
    pub(super) fn named(&self, frame: &[u8], header: &Header) -> Option<FormatId> {
        let line = Line::new(frame, header, 0, 0);
        let by_name = |id: &FormatId| self.formats.get(*id).detect.as_ref().is_some_and(|d| line.is_named(d));
        self.pinned.or_else(|| self.formats.detect_order.iter().copied().find(by_name))
    }

    fn plain(&self, plain: Option<PlainReason>) -> Choice {
        Choice { format: self.formats.plain, plain, laid_out: false }
    }

    fn pinned(&self, id: FormatId, line: &Line<'_>, spans: &mut Vec<Span>) -> Choice {
        let format = self.formats.get(id);
        match &format.grammar {
            Grammar::Plain => self.plain(None),
            Grammar::KeyValue => {
                if crate::grammar::pairs(line.message).any(|pair| !pair.key.is_empty()) {
                    Choice { format: id, plain: None, laid_out: false }
                } else {
                    self.plain(Some(PlainReason::NoDelimiter))
                }
            }
            Grammar::Delimited { delimiter, rest } => {
                split(line.message, delimiter, line.base, spans);
                let choice = match self.judge(id, *rest, line, spans) {
                    Ok(()) => {
                        join_rest(format, spans, line.first);
                        return Choice { format: id, plain: None, laid_out: true };
                    }
                    Err(reason) => self.plain(Some(reason)),
                };
                spans.truncate(line.first);
                choice
            }
        }
    }

    /// Whether a line that has been split is a record of the format.
    fn judge(&self, id: FormatId, rest: bool, line: &Line<'_>, spans: &[Span]) -> Result<(), PlainReason> {
        let format = self.formats.get(id);
        let found = spans.len() - line.first;
        if found == 1 && format.columns().len() > 1 {
            return Err(PlainReason::NoDelimiter);
        }
        if found > COLUMNS_MAX && !rest {
            return Err(PlainReason::TooManyColumns);
        }
        let known = format.time_column().is_none() || found >= format.min_columns;
        if known || line.time_reads(spans, format) { Ok(()) } else { Err(PlainReason::NoTime) }
    }

    fn detected(&self, line: &Line<'_>, spans: &mut Vec<Span>) -> Choice {
        split(line.message, PIPES, line.base, spans);
        let has_pipes = spans.len() > line.first + 1;
        for &id in &self.formats.detect_order {
            let format = self.formats.get(id);
            let Some(detect) = &format.detect else { continue };
            if let Some(choice) = self.claims(id, detect, has_pipes, line, spans) {
                return choice;
            }
        }
        if !has_pipes {
            spans.truncate(line.first);
            return self.plain(None);
        }
        let fallback = self.formats.fallback;
        if matches!(&self.formats.get(fallback).grammar, Grammar::Delimited { delimiter, .. } if **delimiter != *PIPES)
        {
            // The configuration has replaced it by one with another delimiter.
            spans.truncate(line.first);
            return self.pinned(fallback, line, spans);
        }
        match self.judge(fallback, false, line, spans) {
            Ok(()) => Choice { format: fallback, plain: None, laid_out: true },
            Err(reason) => {
                spans.truncate(line.first);
                self.plain(Some(reason))
            }
        }
    }

    /// The choice, if one of the format's hints fits. `spans` holds the line split at `||`, and does so afterwards
    /// if the format does not claim the line.
    fn claims(
        &self,
        id: FormatId,
        detect: &DetectConfig,
        has_pipes: bool,
        line: &Line<'_>,
        spans: &mut Vec<Span>,
    ) -> Option<Choice> {
        let format = self.formats.get(id);
        let by_name = line.is_named(detect);
        let Grammar::Delimited { delimiter, .. } = &format.grammar else {
            if !by_name {
                return None;
            }
            spans.truncate(line.first);
            return Some(Choice { format: id, plain: None, laid_out: false });
        };
        if by_name {
            spans.truncate(line.first);
            return Some(self.pinned(id, line, spans));
        }
        if detect.columns.is_none() && detect.field.is_none() {
            return None;
        }
        if **delimiter == *PIPES {
            if !has_pipes || !hinted(format, detect, line, spans) {
                return None;
            }
            join_rest(format, spans, line.first);
            return Some(Choice { format: id, plain: None, laid_out: true });
        }
        let mut own = Vec::new();
        split(line.message, delimiter, line.base, &mut own);
        let alone = Line { first: 0, ..*line };
        if own.len() < 2 || !hinted(format, detect, &alone, &own) {
            return None;
        }
        join_rest(format, &mut own, 0);
        spans.truncate(line.first);
        spans.append(&mut own);
        Some(Choice { format: id, plain: None, laid_out: true })
    }
}

/// Whether the hints about columns fit a line that has been split.
pub(super) fn hinted(format: &Format, detect: &DetectConfig, line: &Line<'_>, spans: &[Span]) -> bool {
    let found = spans.len() - line.first;
    let by_field = format.hint_column.is_some_and(|column| {
        let text = line.field(spans, column);
        let words = detect.field.iter().flat_map(|hint| &hint.values);
        found >= format.min_columns.min(format.columns().len())
            && text.len() <= format.hint_bytes_max
            && words.into_iter().any(|w| w.as_bytes() == text)
    });
    by_field || detect.columns == Some(found) && line.time_reads(spans, format)
}

/// The last column of a format with `rest` takes the remainder of the line.
pub(super) fn join_rest(format: &Format, spans: &mut Vec<Span>, first: usize) {
    let wanted = format.columns().len();
    if let Grammar::Delimited { rest: true, .. } = format.grammar
        && spans.len() - first > wanted
    {
        let end = spans[spans.len() - 1].end;
        spans.truncate(first + wanted);
        spans[first + wanted - 1].end = end;
    }
}
