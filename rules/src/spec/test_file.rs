//! Test files of `watchroom test`: read with the place of everything, every fault of a file at once.
//!
//! Refuses to know: formats, where rules lie, what a test proves.

use std::collections::BTreeMap;

use super::fields::{self, Fields, Text};
use super::group::list;
use super::keys::{MAX_REPEAT, STATES, TEST, TEST_EXPECT, TEST_FILE, TEST_INPUT};
use super::node::{self, Content, Entry, Node};
use super::report::Report;
use super::{RuleError, RuleFile};

/// Something and where it stands in the file; line and column from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// What stands there.
    pub value: T,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A test file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFile {
    /// How messages name it.
    pub name: String,
    /// Rule files or folders of them, relative to the test file.
    pub rule_files: Vec<Placed<String>>,
    /// Where durations in `at` count from, if that is said.
    pub start: Option<Placed<String>>,
    /// The tests.
    pub tests: Vec<TestCase>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCase {
    /// Its name.
    pub name: String,
    /// The lines that come.
    pub input: Vec<Placed<TestInput>>,
    /// What is to be seen; never empty.
    pub expect: Vec<TestExpect>,
}

/// A line, or several of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestInput {
    /// Event time of the first: a duration from the start, or an instant.
    pub at: Option<Placed<String>>,
    /// A line, or columns and their texts; `{i}` is the number among the repeated ones, from 0.
    pub text: TestText,
    /// Format of the line.
    pub format: Option<Placed<String>>,
    /// How many; at least 1.
    pub repeat: u32,
    /// Time between them.
    pub every_ms: i64,
}

/// How a line is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestText {
    /// As a module prints it.
    Line(String),
    /// Columns and their texts, as written: `0000` keeps its zeros; nothing is the empty text.
    Fields(Vec<(Placed<String>, String)>),
}

/// What is to be seen at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestExpect {
    /// When: a duration from the start, or an instant.
    pub at: Placed<String>,
    /// Name of the rule.
    pub alert: Placed<String>,
    /// What it is in.
    pub state: TestState,
    /// Labels that it has, among others; the place is that of the name.
    pub labels: BTreeMap<String, Placed<String>>,
    /// Annotations that it has, among others; the place is that of the name.
    pub annotations: BTreeMap<String, Placed<String>>,
}

/// What an alert is in at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestState {
    /// Active, not yet for long enough.
    Pending,
    /// Firing.
    Firing,
    /// It fired, and is over.
    Resolved,
    /// No alert of the name with these labels is pending or firing.
    None,
}

impl TestState {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            TestState::Pending => "pending",
            TestState::Firing => "firing",
            TestState::Resolved => "resolved",
            TestState::None => "none",
        }
    }
}

impl<T> Placed<T> {
    /// A fault at this place of a file.
    pub fn fault(&self, file: &str, message: impl Into<String>) -> RuleError {
        RuleError { file: file.to_owned(), line: self.line, column: self.column, message: message.into() }
    }
}

impl TestFile {
    /// Reads a test file. `Err` holds every fault, by its place.
    pub fn read(file: &RuleFile) -> Result<Self, Vec<RuleError>> {
        let mut report = Report::new(&file.name, &file.text);
        let read = match node::read(&report.source) {
            Ok(root) => test_file(&root, &mut report),
            Err((place, message)) => {
                report.error_at(place, message);
                None
            }
        };
        report.errors.sort_by_key(|error| (error.line, error.column));
        read.filter(|_| report.errors.is_empty()).ok_or(report.errors)
    }
}

fn test_file(root: &Node, report: &mut Report<'_>) -> Option<TestFile> {
    let fields = Fields::of(root, "a test file", report)?;
    fields.only(TEST_FILE, report);
    let rule_files = fields.need("rule_files", report).and_then(|entry| fields::texts(entry, report));
    let start = fields.entry("start").and_then(|entry| placed_text(entry, report));
    let nodes = fields.need("tests", report).map(|entry| list(entry, report)).unwrap_or_default();
    let tests: Vec<Option<TestCase>> = nodes.iter().map(|node| test(node, report)).collect();
    let rule_files: Vec<Placed<String>> =
        rule_files?.into_iter().map(|text| placed(text.at, text.text.to_owned(), report)).collect();
    if rule_files.is_empty() {
        report.error(fields.at, "`rule_files` is empty; name the rules that are tested");
    }
    let name = report.file.to_owned();
    Some(TestFile { name, rule_files, start, tests: tests.into_iter().collect::<Option<_>>()? })
}

fn test(node: &Node, report: &mut Report<'_>) -> Option<TestCase> {
    let fields = Fields::of(node, "a test", report)?;
    fields.only(TEST, report);
    let name = fields.need("name", report).and_then(|entry| fields::text(entry, report));
    let lines = fields.entry("input").map(|entry| list(entry, report)).unwrap_or_default();
    let input: Vec<Option<Placed<TestInput>>> = lines.iter().map(|node| input(node, report)).collect();
    let wanted = fields.need("expect", report);
    let nodes = wanted.map(|entry| list(entry, report)).unwrap_or_default();
    let expect: Vec<Option<TestExpect>> = nodes.iter().map(|node| expected(node, report)).collect();
    if let (Some(entry), true) = (wanted, nodes.is_empty()) {
        report.error(
            entry.key_at,
            "`expect` is empty: such a test cannot fail; `state: none` expects no alert",
        );
    }
    Some(TestCase {
        name: name?.text.to_owned(),
        input: input.into_iter().collect::<Option<_>>()?,
        expect: expect.into_iter().collect::<Option<_>>()?,
    })
}

fn input(node: &Node, report: &mut Report<'_>) -> Option<Placed<TestInput>> {
    let fields = Fields::of(node, "an input", report)?;
    fields.only(TEST_INPUT, report);
    let at = fields.entry("at").map(|entry| placed_text(entry, report));
    let format = fields.entry("format").map(|entry| placed_text(entry, report));
    let repeat = match fields.entry("repeat") {
        Some(entry) => fields::whole(entry, 1, MAX_REPEAT, report),
        None => Some(1),
    };
    let every_ms = match fields.entry("every") {
        Some(entry) => fields::duration(entry, report),
        None => Some(0),
    };
    let text = match (fields.entry("line"), fields.entry("fields")) {
        (Some(entry), None) => fields::text(entry, report).map(|line| TestText::Line(line.text.to_owned())),
        (None, Some(entry)) => {
            let texts = texts_of(entry, "`fields`", report)?;
            Some(TestText::Fields(texts))
        }
        _ => {
            report.error(fields.at, "give either `line` or `fields`");
            None
        }
    };
    let (text, repeat) = (text?, u32::try_from(repeat?).ok()?);
    let input = TestInput { at: flat(at)?, text, format: flat(format)?, repeat, every_ms: every_ms? };
    Some(placed(fields.at, input, report))
}

/// Absent is fine, unreadable is not.
fn flat<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |value| value.map(Some))
}

fn expected(node: &Node, report: &mut Report<'_>) -> Option<TestExpect> {
    let fields = Fields::of(node, "an expectation", report)?;
    fields.only(TEST_EXPECT, report);
    let at = fields.need("at", report).and_then(|entry| placed_text(entry, report));
    let alert = fields.need("alert", report).and_then(|entry| placed_text(entry, report));
    let state = match fields.entry("state") {
        Some(entry) => fields::word(entry, STATES, report),
        None => Some("firing"),
    };
    let mut map = |key: &'static str, what: &'static str| match fields.entry(key) {
        Some(entry) => {
            let texts = texts_of(entry, what, report)?;
            let pair = |(name, text): (Placed<String>, String)| {
                let Placed { value, line, column } = name;
                (value, Placed { value: text, line, column })
            };
            Some(texts.into_iter().map(pair).collect())
        }
        None => Some(BTreeMap::new()),
    };
    let (labels, annotations) = (map("labels", "`labels`"), map("annotations", "`annotations`"));
    let state = match state? {
        "pending" => TestState::Pending,
        "resolved" => TestState::Resolved,
        "none" => TestState::None,
        _ => TestState::Firing,
    };
    Some(TestExpect { at: at?, alert: alert?, state, labels: labels?, annotations: annotations? })
}

/// Names and their texts; nothing is the empty text.
fn texts_of(
    entry: &Entry,
    what: &'static str,
    report: &mut Report<'_>,
) -> Option<Vec<(Placed<String>, String)>> {
    let map = Fields::of(&entry.value, what, report)?;
    let mut texts = Vec::new();
    for entry in map.entries() {
        let text = match &entry.value.content {
            Content::Scalar { text, .. } => text.clone(),
            Content::Null => String::new(),
            other => {
                let message = format!("`{}` expects a single value, found {}", entry.key, other.name());
                report.error(entry.value.at, message);
                continue;
            }
        };
        texts.push((placed(entry.key_at, entry.key.clone(), report), text));
    }
    Some(texts)
}

fn placed_text(entry: &Entry, report: &mut Report<'_>) -> Option<Placed<String>> {
    let Text { at, text } = fields::text(entry, report)?;
    Some(placed(at, text.to_owned(), report))
}

fn placed<T>(at: usize, value: T, report: &Report<'_>) -> Placed<T> {
    let place = report.place(at);
    Placed { value, line: place.line, column: place.column }
}
