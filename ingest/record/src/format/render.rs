//! A line written from values: what a module of that format would have printed. For rule tests, never for stored lines.
//!
//! Refuses to know: types; the values are texts.

use super::{Format, Grammar};

impl Format {
    /// The line whose columns hold these texts, by column index; columns not named are empty. `None` for the `plain`
    /// format, whose lines have no columns to write, and when a text would break the line apart (it holds the
    /// delimiter or an end of line).
    pub fn render(&self, values: &[(usize, &str)]) -> Option<String> {
        if values.iter().any(|(_, text)| text.contains(['\n', '\r'])) {
            return None;
        }
        let value = |column: usize| values.iter().rev().find(|(at, _)| *at == column).map(|(_, text)| *text);
        match &self.grammar {
            Grammar::Delimited { delimiter, rest } => {
                let delimiter = std::str::from_utf8(delimiter).ok()?;
                let last = self.columns.len().saturating_sub(1);
                let breaks =
                    |(column, text): &(usize, &str)| text.contains(delimiter) && !(*rest && *column == last);
                if values.iter().any(breaks) {
                    return None;
                }
                let texts: Vec<&str> =
                    (0..self.columns.len()).map(|c| value(c).unwrap_or_default()).collect();
                Some(texts.join(delimiter))
            }
            Grammar::KeyValue => {
                let pairs = self.columns.iter().enumerate().filter_map(|(at, column)| {
                    let text = value(at)?;
                    let quoted = text.is_empty() || text.contains([' ', '"', '=']);
                    Some(if quoted {
                        format!("{}=\"{}\"", column.name, text.replace('\\', "\\\\").replace('"', "\\\""))
                    } else {
                        format!("{}={text}", column.name)
                    })
                });
                Some(pairs.collect::<Vec<_>>().join(" "))
            }
            Grammar::Plain => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Batch, Decoder, FormatSet, Transport};

    #[test]
    fn what_is_rendered_reads_back() {
        let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
        for (format, values) in [
            (
                "order-trace",
                vec![("log_time", "2026-01-01 00:00:00.000"), ("channel", "GHT"), ("amount", "1.50")],
            ),
            ("order-message", vec![("log_time", "2026-01-01 00:00:00.000"), ("body", "a||b")]),
        ] {
            let id = formats.find(format).expect("shipped");
            let columns: Vec<(usize, &str)> = values
                .iter()
                .map(|(name, text)| (formats.get(id).column(name).expect("a column"), *text))
                .collect();
            let line = formats.get(id).render(&columns).expect("has columns");
            let mut batch = Batch::default();
            let source = batch.source_index(&Arc::from("test"));
            let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, Some(id));
            decoder.push(&mut batch, source, line.as_bytes(), None, false);
            decoder.flush(&mut batch, source);
            let record = batch.record(0, &formats);
            for (column, text) in columns {
                assert_eq!(record.text(column), Some(text), "{format}: {line}");
            }
        }
    }

    #[test]
    fn what_would_break_the_line_is_refused() {
        let formats = FormatSet::shipped(chrono_tz::Asia::Shanghai);
        let trace = formats.get(formats.find("order-trace").expect("shipped"));
        assert_eq!(trace.render(&[(4, "a||b")]), None);
        assert_eq!(trace.render(&[(4, "a\nb")]), None);
        let plain = formats.get(formats.find("plain").expect("shipped"));
        assert_eq!(plain.render(&[(3, "text")]), None);
    }
}
