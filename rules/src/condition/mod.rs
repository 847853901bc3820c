//! The condition language (RULES.md section 2). stub

use record::RecordRef;

/// A compiled, type-checked condition.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    _private: (),
}

impl Condition {
    /// Whether it holds for a record of the format it was compiled for.
    pub(crate) fn holds(&self, _record: &RecordRef<'_>) -> bool {
        todo!()
    }
}
