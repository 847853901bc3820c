//! Test files: what may stand in them.
//!
//! Refuses to know: formats, rules, what a test proves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use chrono_tz::Tz;
use record::InstantMs;
use serde::Deserialize;

/// Where instants given as durations count from, in the platform's zone.
const START: &str = "2026-01-01 00:00:00";
/// Most lines of one input.
const REPEAT_MAX: u32 = 1_000_000;

/// A test file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestFile {
    /// Rule files or folders of them, relative to the test file.
    rule_files: Vec<PathBuf>,
    /// Where durations in `at` count from; default 2026-01-01 00:00:00 in the platform's zone.
    #[serde(default)]
    start: Option<String>,
    /// The tests, each with an engine of its own.
    pub(super) tests: Vec<Test>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    /// Its name.
    pub(super) name: String,
    /// The lines that come.
    #[serde(default)]
    pub(super) input: Vec<Input>,
    /// What is to be seen, and when.
    #[serde(default)]
    pub(super) expect: Vec<Expect>,
}

/// A line, or several of a kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Event time of the first: a duration from the start, or an instant. Without it the line's own time holds.
    pub(super) at: Option<String>,
    /// A line as a module prints it; `{i}` is its number among the repeated ones, from 0.
    pub(super) line: Option<String>,
    /// Columns and their texts instead of a line; `{i}` as above.
    pub(super) fields: Option<BTreeMap<String, Text>>,
    /// Format of the line; default order-trace for `fields`, told by its looks for `line`.
    pub(super) format: Option<String>,
    /// How many; default 1.
    #[serde(default = "one")]
    pub(super) repeat: u32,
    /// Time between them; default 0.
    pub(super) every: Option<String>,
}

/// What is to be seen at an instant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// When: a duration from the start, or an instant.
    pub(super) at: String,
    /// Name of the rule.
    pub(super) alert: String,
    /// What it is in.
    #[serde(default)]
    pub(super) state: State,
    /// Labels that it has, among others.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, Text>,
    /// Annotations that it has, among others.
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, Text>,
}

/// What an alert is in at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Active, not yet for long enough.
    Pending,
    /// Firing.
    #[default]
    Firing,
    /// It fired, and is over.
    Resolved,
    /// No alert of the name with these labels is pending or firing.
    None,
}

/// A text as it is written, in quotes or not: `0000` keeps its zeros, `Y` is no truth value; nothing is the empty text.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Option<String>")]
pub(super) struct Text(String);

impl From<Option<String>> for Text {
    fn from(written: Option<String>) -> Self {
        Self(written.unwrap_or_default())
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn one() -> u32 {
    1
}

impl TestFile {
    /// Reads a file; errors name file, line and column.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let file: Self = serde_saphyr::from_str(&text).map_err(|error| {
            let place = error.location().map_or((1, 1), |l| (l.line(), l.column()));
            let message = error.without_snippet().to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            anyhow!(
                "{}:{}:{}: {message}\nhint: a test file has `rule_files`, `start` and `tests: [{{name, input, expect}}]`",
                path.display(),
                place.0,
                place.1
            )
        })?;
        for test in &file.tests {
            for input in &test.input {
                ensure!(
                    (1..=REPEAT_MAX).contains(&input.repeat),
                    "{}: `{}`: `repeat` must be 1 to {REPEAT_MAX}",
                    path.display(),
                    test.name
                );
            }
        }
        Ok(file)
    }

    /// Where the rules are, seen from where the program runs.
    pub(super) fn rule_paths(&self, path: &Path) -> Vec<PathBuf> {
        let folder = path.parent().unwrap_or(Path::new(""));
        self.rule_files.iter().map(|file| folder.join(file)).collect()
    }

    /// Reads an instant: a duration from the start (`90s`), or an instant as people write it.
    pub(super) fn instant(&self, text: &str, zone: Tz) -> Result<InstantMs> {
        if let Some(since_ms) = rules::parse_duration(text) {
            let start = self.start.as_deref().unwrap_or(START);
            let start_ms = dashboards::times::parse(start, zone).map_err(|e| anyhow!("`start`: {e}"))?;
            return Ok(start_ms + since_ms);
        }
        dashboards::times::parse(text, zone).map_err(|error| {
            anyhow!("`{text}` is neither a duration from the start (`90s`) nor an instant: {error}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_the_text_that_is_written() {
        let texts: BTreeMap<String, Text> =
            serde_saphyr::from_str("a: 0000\nb: 1.50\nc: Y\nd: true\ne:\nf: ''\ng: '7'\nh: 1e3\ni: 0x10\n")
                .expect("a mapping of scalars");
        let shown: Vec<String> = texts.values().map(Text::to_string).collect();
        assert_eq!(shown, ["0000", "1.50", "Y", "true", "", "", "7", "1e3", "0x10"]);
    }
}
