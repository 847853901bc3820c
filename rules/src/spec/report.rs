//! Collects what is wrong in a file.

use super::RuleError;
use super::place::{Place, Source};
use crate::condition::ConditionError;

/// The faults of one file, in the order found.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) file: &'a str,
    pub(super) source: Source<'a>,
    pub(super) errors: Vec<RuleError>,
    /// Where each line of the file begins: every rule's place is asked for, and a file may have 10,000.
    line_starts: Vec<usize>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, source: Source { text }, errors: Vec::new(), line_starts }
    }

    /// The place of a byte of the file.
    pub(super) fn place(&self, byte: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= byte);
        let start = line.checked_sub(1).map_or(0, |line| self.line_starts[line]);
        let before = self.source.text.get(start..byte).unwrap_or_default();
        Place { line: line.max(1), column: before.chars().count() + 1 }
    }

    /// Something is wrong at a byte of the file.
    pub(super) fn error(&mut self, at: usize, message: impl Into<String>) {
        let place = self.place(at);
        self.error_at(place, message);
    }

    /// Something is wrong at a place.
    pub(super) fn error_at(&mut self, place: Place, message: impl Into<String>) {
        self.errors.push(RuleError {
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            message: message.into(),
        });
    }

    /// Something is wrong within the scalar that begins at `at` and reads as `value`.
    pub(super) fn error_within(&mut self, at: usize, value: &str, offset: usize, message: impl Into<String>) {
        self.error(self.source.within(at, value, offset), message);
    }

    /// A condition is wrong.
    pub(super) fn condition(&mut self, at: usize, value: &str, error: ConditionError) {
        self.error_within(at, value, error.offset, error.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_counting_from_the_start() {
        let text = "a: 1\n\n  支付: x\r\nlast";
        let report = Report::new("r.yaml", text);
        for byte in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            assert_eq!(report.place(byte), report.source.place(byte), "{byte}");
        }
    }
}
