//! Rules: their files, conditions, windows, verdicts and the life of an alert.
//!
//! [`RuleSet::load`] reads rule files into a form that cannot be wrong; [`Engine`] takes records and time entries in
//! journal order and answers with [`Transition`]s. Verdicts are a pure function of the records.
//! Refuses to know: sockets, files, clocks, mail, pages; `now` comes with the records.

mod alert;
mod codec;
mod condition;
mod engine;
mod explanation;
mod fingerprint;
mod hours;
mod index;
mod merge;
mod reach;
mod reference;
mod rule;
mod spec;
mod wilson;

pub use alert::{Alert, AlertState, Bucket, Change, Reason, Sample, Transition, backtest_line};
pub use condition::duration::parse_duration;
pub use condition::nearest::{did_you_mean, no_field};
pub use condition::{Condition, ConditionError};
pub use engine::{
    Engine, EngineCounts, KEYS_MAX, KeyView, KeysView, Reloaded, RestoreReport, RuleCost, RuleCounts,
    SnapshotError, ended_with_its_rule,
};
pub use explanation::{
    EpisodeTimes, Explanation, Gate, Looked, NameState, NamedAlert, Question, QuestionError, SeenKey, State,
    ThingSpan,
};
pub use index::{Hit, RuleIndex};
pub use merge::{Coordinator, Partial, PartialError, Worker, WorkerName};
pub use reach::Reach;
pub use reference::{rule_file_schema, test_file_schema, with_sections};
pub use spec::{LINTS, Lint, LintSpec, RuleError, RuleFile, RuleInfo, RuleSet};
pub use spec::{Placed, TestCase, TestExpect, TestFile, TestInput, TestState, TestText};
