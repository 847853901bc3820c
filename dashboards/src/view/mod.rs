//! Stored rows as people and tools read them: columns by name, trails with gaps, lanes and failures.
//!
//! The pages, the JSON API and the command line share it. Refuses to know: HTML, HTTP, where rows are kept.

mod outcome;
mod record_view;
mod trail;

pub use outcome::{Outcome, Verdict, outcome};
pub use record_view::{ColumnView, Columns, RecordView, Viewer};
pub use trail::{BIG_GAP_MS, Lane, Step, Summary, TrailView, trail_view};
