//! A look at the first columns of a line: enough for who only wants to know whether a line matters at all.
//!
//! What is found is exactly what reading the line in full would find; whatever makes that doubtful (another format
//! than the usual one, no readable time, bytes that are not UTF-8) is left to reading in full. Refuses to know: rules.

use super::Decoder;
use super::choose::{Line, PIPES, hinted};
use super::lay_out::{self, CARD_DIGITS_MIN, looks_dated, offset};
use crate::format::{COLUMNS_MAX, Check, Format, Grammar};
use crate::mask::{mask_all, mask_middle};
use crate::split::split_first;
use crate::syslog::parse_header;
use crate::{Batch, Encoding, FormatId, FormatSet, MaskRule, Row, RowFlags, Span, mask_cards};

/// Which columns are looked at, in lines of the format that lines between `||` usually have.
#[derive(Debug, Clone)]
pub struct Glance {
    format: FormatId,
    /// Columns that are split off; the last takes what remains and is looked at by nobody.
    split: usize,
    /// The type checks of the wanted columns and of the time column, in column order.
    typed: Vec<(usize, Check)>,
    /// What masking does to the wanted columns.
    masked: Vec<(usize, Mask)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mask {
    Cards,
    /// Searched for card numbers unless it looks like a date.
    Dated,
    Middle,
    All,
}

impl Glance {
    /// `wanted`: the columns of a format that will be looked at. `None` if a line of the format that lines usually have
    /// cannot be told by its first columns, or is not divided by `||`.
    pub fn new<'a>(formats: &FormatSet, wanted: impl FnOnce(FormatId) -> &'a [usize]) -> Option<Self> {
        let id = formats.fallback;
        let format = formats.get(id);
        let by_pipes = |format: &Format| matches!(&format.grammar, Grammar::Delimited { delimiter, .. } if **delimiter == *PIPES);
        let is_plain = matches!(format.grammar, Grammar::Delimited { rest: false, .. });
        let time = format.time_column()?;
        if !by_pipes(format) || !is_plain || format.unescape || format.continuation {
            return None;
        }
        let wanted: Vec<usize> = wanted(id).iter().copied().filter(|c| *c < format.columns().len()).collect();
        // The columns of which no other format may be told by the ones behind.
        let mut most = wanted.iter().copied().max().unwrap_or_default().max(time) + 1;
        for (_, other) in formats.iter() {
            let Some(detect) = &other.detect else { continue };
            let hints = detect.columns.is_some() || detect.field.is_some();
            if hints && !by_pipes(other) && matches!(other.grammar, Grammar::Delimited { .. }) {
                return None;
            }
            let min_columns = other.min_columns.min(other.columns().len());
            let field = detect.field.as_ref().map_or(0, |_| min_columns);
            most = most.max(detect.columns.unwrap_or_default()).max(field);
            most = most.max(other.hint_column.map_or(0, |column| column + 1));
        }
        let is_wanted = |column: usize| column == time || wanted.contains(&column);
        let typed = format.plan.typed.iter().filter(|(column, _)| is_wanted(*column)).cloned().collect();
        let masked = wanted.iter().filter_map(|&column| Some((column, mask_of(format, column)?))).collect();
        Some(Self { format: id, split: most + 1, typed, masked })
    }
}

fn mask_of(format: &Format, column: usize) -> Option<Mask> {
    Some(match format.columns()[column].mask {
        MaskRule::Cards => Mask::Cards,
        MaskRule::Identifier if format.plan.dated.contains(&column) => Mask::Dated,
        MaskRule::Identifier => return None,
        MaskRule::Middle => Mask::Middle,
        MaskRule::All => Mask::All,
    })
}

impl Decoder {
    /// Replaces `batch` by one row that has the wanted columns of a frame, its format and its time as
    /// [`Decoder::push`] would find them, and little else. False: the frame must be read in full to know them.
    pub fn glance(&mut self, batch: &mut Batch, frame: &[u8], glance: &Glance) -> bool {
        batch.clear();
        let looked_for = self.pinned.is_none() && !self.continues && !self.unescapes;
        // A line of more columns than a record has is longer.
        if !looked_for || frame.len() > 2 * COLUMNS_MAX || simdutf8::basic::from_utf8(frame).is_err() {
            return false;
        }
        debug_assert_eq!(self.encoding(), Encoding::Auto);
        let header = parse_header(frame);
        let message = &frame[header.message.start as usize..header.message.end as usize];
        split_first(message, b'|', 0, glance.split, &mut batch.spans);
        let Batch { bytes, spans, .. } = &mut *batch;
        if spans.len() < 2 || self.is_another(frame, &header, spans) {
            return false;
        }
        if spans.len() == glance.split {
            // What remains is not looked at.
            let rest = &mut spans[glance.split - 1];
            rest.end = rest.start;
        }
        let end = spans.last().map_or(0, |span| span.end);
        bytes.extend_from_slice(&message[..end as usize]);
        glance.mask(bytes, spans);
        let format = self.formats.get(glance.format);
        let cache = &mut self.offsets[usize::from(glance.format.0)];
        let (ill_typed, event_ms) = lay_out::check(bytes, format, &glance.typed, spans, cache);
        if event_ms.is_none() {
            return false;
        }
        let (all, spans_len) = (Span { start: 0, end }, offset(spans.len()));
        batch.rows.push(Row {
            event_ms,
            frame: all,
            message: all,
            format: glance.format,
            flags: RowFlags::default(),
            spans_len,
            ill_typed,
            ..Row::default()
        });
        true
    }

    /// Whether some other format may claim the line.
    fn is_another(&self, frame: &[u8], header: &crate::Header, spans: &[Span]) -> bool {
        let mut line = Line::new(frame, header, 0, 0);
        // Spans are relative to the message here.
        line.base = 0;
        self.formats.detect_order.iter().any(|&id| {
            let format = self.formats.get(id);
            format.detect.as_ref().is_some_and(|detect| {
                let divided = matches!(format.grammar, Grammar::Delimited { .. });
                line.is_named(detect) || divided && hinted(format, detect, &line, spans)
            })
        })
    }
}

impl Glance {
    fn mask(&self, bytes: &mut [u8], spans: &[Span]) {
        for &(column, mask) in &self.masked {
            let Some(span) = spans.get(column) else { break };
            let Some(text) = bytes.get_mut(span.start as usize..span.end as usize) else { continue };
            match mask {
                Mask::Cards => drop(mask_cards(text)),
                Mask::Dated if text.len() < CARD_DIGITS_MIN || looks_dated(text) => {}
                Mask::Dated => drop(mask_cards(text)),
                Mask::Middle => drop(mask_middle(text)),
                Mask::All => drop(mask_all(text)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{FormatConfig, Transport};

    /// What a glance says of a line is what reading it in full says; whether it says anything.
    fn check(formats: &Arc<FormatSet>, wanted: &[usize], line: &[u8]) -> bool {
        let glance = Glance::new(formats, |_| wanted).expect("the shipped formats can be told by a glance");
        let mut decoder = Decoder::new(Arc::clone(formats), Transport::File, None);
        let (mut seen, mut full) = (Batch::default(), Batch::default());
        let is_seen = decoder.glance(&mut seen, line, &glance);
        if is_seen {
            decoder.push(&mut full, 0, line, None, false);
            decoder.flush(&mut full, 0);
            assert_eq!((seen.rows.len(), full.rows.len()), (1, 1));
            let (seen, full) = (seen.record(0, formats), full.record(0, formats));
            assert_eq!((seen.row.format, seen.row.event_ms), (full.row.format, full.row.event_ms));
            for &column in wanted {
                assert_eq!(seen.raw(column), full.raw(column), "column {column}");
                assert_eq!(seen.value(column), full.value(column), "column {column}");
            }
        }
        is_seen
    }

    fn formats() -> Arc<FormatSet> {
        Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai))
    }

    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => Just(String::new()),
            2 => "[A-Z]{2,4}",
            1 => Just("2016-07-22 18:15:00.496".to_owned()),
            1 => Just("2016-07-22 18:15:00.496xx".to_owned()),
            1 => Just("4111 1111 1111 1111".to_owned()),
            1 => Just("4111111111111111".to_owned()),
            1 => Just("10.100.140.101".to_owned()),
            1 => Just("12.50".to_owned()),
            1 => Just("true".to_owned()),
            1 => Just("request".to_owned()),
            1 => Just("支付|失败".to_owned()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn it_sees_what_reading_in_full_sees(
            time in prop_oneof![9 => Just("2016-07-22 18:15:00.496"), 1 => Just(""), 1 => Just("soon")],
            fields in prop::collection::vec(field(), 0..75),
            wanted in prop::collection::btree_set(0_usize..66, 0..12),
            start in prop_oneof![8 => Just(""), 1 => Just("<13>1 2016-07-22T18:15:00+08:00 h gateway - - - "),
                                 1 => Just("||"), 1 => Just("act=pay ")],
        ) {
            let line = [start, time, "||", &fields.join("||")].concat();
            let wanted: Vec<usize> = wanted.into_iter().collect();
            check(&formats(), &wanted, line.as_bytes());
        }
    }

    #[test]
    fn usual_lines_are_seen_and_doubtful_ones_are_not() {
        let sees = |line: &[u8]| check(&formats(), &[9, 13], line);
        let rest = "||t".repeat(40);
        assert!(sees(format!("2016-07-22 18:15:00.496{rest}").as_bytes()));
        assert!(!sees(format!("2016-07-22 18:15{rest}").as_bytes()));
        assert!(!sees(b"2016-07-22 18:15:00.496 no columns"));
        assert!(!sees("2016-07-22 18:15:00.496||m||o||s||GHT||request||json||{}".as_bytes()));
        let gb18030 = [b"2016-07-22 18:15:00.496||\xD6\xA7\xB8\xB6".as_slice(), rest.as_bytes()].concat();
        assert!(!sees(&gb18030));
        assert!(!sees(format!("2016-07-22 18:15:00.496{}", "||t".repeat(1_100)).as_bytes()));
    }

    #[test]
    fn formats_that_the_first_columns_do_not_tell_get_no_glance() {
        let config = |more: &str| {
            let yaml =
                format!("{{name: c, time: t, columns: [{{name: t, type: timestamp}}, {{name: a}}], {more}}}");
            serde_saphyr::from_str::<FormatConfig>(&yaml).unwrap()
        };
        let set = |config| FormatSet::shipped(chrono_tz::Asia::Shanghai).with(vec![config]).unwrap();
        let glance = |config| Glance::new(&set(config), |_| &[1]).is_some();
        assert!(glance(config("detect: {program: [x]}")));
        assert!(!glance(config("delimiter: ';', detect: {columns: 2}")));
    }
}
