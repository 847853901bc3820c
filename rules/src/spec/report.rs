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
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, source: Source { text }, errors: Vec::new() }
    }

    /// Something is wrong at a byte of the file.
    pub(super) fn error(&mut self, at: usize, message: impl Into<String>) {
        let place = self.source.place(at);
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
