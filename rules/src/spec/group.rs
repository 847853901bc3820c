//! Groups and rules: from the tree of a file to checked [`Rule`]s.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use record::{ColumnType, Format, FormatId, FormatSet};

use super::composite;
use super::excerpt;
use super::fields::{self, Fields, Text};
use super::intervals::{self, Intervals};
use super::keys::{self, MAX_BY, MAX_SAMPLES};
use super::kind::{KINDS, KindSpec};
use super::lint::{Lint, Linter};
use super::node::{self, Content, Entry, Node};
use super::report::Report;
use super::template::{self, Piece};
use super::thresholds;
use super::{RuleError, RuleFile, RuleInfo, RuleSet};
use crate::condition::Condition;
use crate::condition::nearest::{did_you_mean, no_field};
use crate::rule::{Kind, Rule, TEMPLATE_NAMES};

/// Format of a rule that names none.
const DEFAULT_FORMAT: &str = "order-trace";
/// Lateness of a rule that names none.
const DEFAULT_LATENESS_MS: i64 = 5_000;
/// Sample lines of a rule that names no number.
const DEFAULT_SAMPLES: u64 = 5;

/// Files being loaded.
pub(super) struct Loading<'a> {
    formats: &'a FormatSet,
    rules: Vec<Rule>,
    infos: Vec<RuleInfo>,
    errors: Vec<RuleError>,
    /// Where each alert name was first used.
    names: HashMap<String, String>,
    /// Composites whose names are not found yet.
    open: Vec<composite::Open>,
    /// Files in their order.
    files: Vec<String>,
    /// `time_intervals` of the file being read.
    intervals: Arc<Intervals>,
    /// Looks for what is not meant, if asked.
    linter: Option<Linter>,
}

impl<'a> Loading<'a> {
    pub(super) fn new(formats: &'a FormatSet, linter: Option<Linter>) -> Self {
        Self {
            formats,
            rules: Vec::new(),
            infos: Vec::new(),
            errors: Vec::new(),
            names: HashMap::new(),
            open: Vec::new(),
            files: Vec::new(),
            intervals: Arc::default(),
            linter,
        }
    }

    /// Reads one file.
    pub(super) fn file(&mut self, file: &RuleFile) {
        self.files.push(file.name.clone());
        let mut report = Report::new(&file.name, &file.text);
        match node::read(&report.source) {
            Ok(root) => self.root(&root, &mut report),
            Err((place, message)) => report.error_at(place, message),
        }
        report.errors.sort_by_key(|error| (error.line, error.column));
        self.errors.append(&mut report.errors);
    }

    pub(super) fn finish(mut self) -> Result<(RuleSet, Vec<Lint>), Vec<RuleError>> {
        let found = self.errors.len();
        composite::check(&self.open, &self.rules, &self.names, &mut self.errors);
        if self.errors.len() > found {
            let file = |error: &RuleError| self.files.iter().position(|name| *name == error.file);
            self.errors.sort_by_key(|error| (file(error), error.line, error.column));
        }
        if self.errors.is_empty() {
            let composites = composite::link(&mut self.rules, self.formats);
            let lints = self.linter.map(|linter| linter.finish(&self.rules)).unwrap_or_default();
            Ok((RuleSet { rules: self.rules, composites, infos: self.infos }, lints))
        } else {
            Err(self.errors)
        }
    }

    fn root(&mut self, root: &Node, report: &mut Report<'_>) {
        if root.content == Content::Null {
            return;
        }
        let Some(fields) = Fields::of(root, "a rule file", report) else { return };
        fields.only(keys::FILE, report);
        let named = fields.entry("time_intervals").map(|entry| intervals::read(entry, report));
        self.intervals = Arc::new(named.unwrap_or_default());
        self.groups(fields, report);
        if let Some(linter) = &mut self.linter {
            linter.file(&intervals::places(fields), report);
        }
    }

    fn groups(&mut self, fields: Fields<'_>, report: &mut Report<'_>) {
        let Some(entry) = fields.need("groups", report) else { return };
        let mut names: Vec<&str> = Vec::new();
        for node in list(entry, report) {
            let Some(fields) = Fields::of(node, "a group", report) else { continue };
            let name = self.group(fields, report);
            if let Some(name) = name {
                if names.contains(&name.text) {
                    report.error(
                        name.at,
                        format!("group `{}` is in this file already; names are unique", name.text),
                    );
                }
                names.push(name.text);
            }
        }
    }

    fn group<'n>(&mut self, fields: Fields<'n>, report: &mut Report<'_>) -> Option<Text<'n>> {
        for entry in fields.entries() {
            match &*entry.key {
                key if keys::GROUP.iter().any(|known| known.name == key) => {}
                "interval" | "query_offset" | "limit" => report.error(
                    entry.key_at,
                    format!("`{}` has no meaning here: rules are judged by event time, record by record; remove it", entry.key),
                ),
                _ => fields::unknown_key(entry, "a group", &keys::names(keys::GROUP), report),
            }
        }
        let name = fields.need("name", report).and_then(|entry| name_of(entry, report));
        let labels = fields.entry("labels").map(|entry| labels(entry, report)).unwrap_or_default();
        let group: Arc<str> = name.map_or("", |name| name.text).into();
        let rules = fields.need("rules", report).map(|entry| list(entry, report)).unwrap_or_default();
        for node in rules {
            let Some(fields) = Fields::of(node, "a rule", report) else { continue };
            self.rule(fields, &group, &labels, report);
        }
        name
    }

    fn rule(
        &mut self,
        fields: Fields<'_>,
        group: &Arc<str>,
        labels: &BTreeMap<String, String>,
        report: &mut Report<'_>,
    ) {
        let errors_before = report.errors.len();
        if let Some(linter) = &mut self.linter {
            linter.begin(fields.at, report);
        }
        let alert = fields.need("alert", report).and_then(|entry| name_of(entry, report));
        let mut line = 0;
        if let Some(alert) = alert {
            let place = report.place(alert.at);
            line = place.line;
            let here = format!("{}:{}:{}", report.file, place.line, place.column);
            match self.names.get(alert.text) {
                Some(first) => report.error(
                    alert.at,
                    format!("alert `{}` is defined already at {first}; names are unique", alert.text),
                ),
                None => drop(self.names.insert(alert.text.to_owned(), here)),
            }
        }
        let spec = kind_spec(fields, report);
        check_keys(fields, spec, report);
        let Some(format) = self.format(fields, report) else { return };
        let format = (format, self.formats.get(format));
        let kind = spec.map_or("", |spec| spec.name);
        let intervals = Arc::clone(&self.intervals);
        let mut reader = RuleReader { fields, format: format.1, kind, intervals, report };
        let kind = spec.and_then(|spec| (spec.read)(&mut reader));
        let rule = reader.common(format.0, labels);
        let (Some(kind), Some(mut rule)) = (kind, rule) else { return };
        if let Kind::Composite(_) = kind {
            self.open.extend(composite::open(&mut reader, self.rules.len()));
        }
        let rows = thresholds::read(&mut reader, &kind, &rule.by);
        let fits = reader.report.errors.len() == errors_before;
        let (Some(alert), Some(rows), true) = (alert, rows, fits) else {
            self.open.retain(|open| open.rule < self.rules.len());
            return;
        };
        rule.alert = alert.text.into();
        rule.group = Arc::clone(group);
        rule.file = report.file.into();
        rule.kind = kind;
        rule.thresholds = rows;
        if let Some(linter) = &mut self.linter {
            linter.rule(&rule, format.1, &fields, report);
        }
        self.infos.push(info(&rule, format.1, line, excerpt::item(report.source.text, fields.at)));
        self.rules.push(rule);
    }

    fn format(&self, fields: Fields<'_>, report: &mut Report<'_>) -> Option<FormatId> {
        let (at, name) = match fields.entry("format") {
            Some(entry) => {
                let text = fields::text(entry, report)?;
                (text.at, text.text)
            }
            None => (fields.at, DEFAULT_FORMAT),
        };
        let found = self.formats.find(name);
        if found.is_none() {
            let known: Vec<&str> = self.formats.iter().map(|(_, format)| format.name()).collect();
            let hint = did_you_mean(name, known.iter().copied());
            let list = if hint.is_empty() { format!("; there are {}", known.join(", ")) } else { hint };
            report.error(at, format!("there is no format `{name}`{list}"));
        }
        found
    }
}

/// The items of a list; a single item is reported as missing its dash.
pub(super) fn list<'n>(entry: &'n Entry, report: &mut Report<'_>) -> &'n [Node] {
    match &entry.value.content {
        Content::List(items) => items,
        Content::Null => &[],
        other => {
            report.error(
                entry.value.at,
                format!("`{}` expects a list (items begin with `- `), found {}", entry.key, other.name()),
            );
            &[]
        }
    }
}

fn kind_spec(fields: Fields<'_>, report: &mut Report<'_>) -> Option<&'static KindSpec> {
    let kind = fields.need("kind", report).and_then(|entry| fields::text(entry, report))?;
    let found = KINDS.iter().find(|spec| spec.name == kind.text);
    if found.is_none() {
        let message = {
            let hint = did_you_mean(kind.text, KINDS.iter().map(|spec| spec.name));
            let names: Vec<&str> = KINDS.iter().map(|spec| spec.name).collect();
            let list = if hint.is_empty() { format!("; there are {}", names.join(", ")) } else { hint };
            format!("there is no kind `{}`{list}", kind.text)
        };
        report.error(kind.at, message);
    }
    found
}

/// Reports keys that a rule of this kind does not have.
fn check_keys(fields: Fields<'_>, spec: Option<&KindSpec>, report: &mut Report<'_>) {
    let all_kinds: Vec<&str> = KINDS.iter().flat_map(|spec| keys::names(spec.keys)).collect();
    let own = spec.map_or_else(|| all_kinds.clone(), |spec| keys::names(spec.keys));
    let known: Vec<&str> = keys::names(keys::RULE).into_iter().chain(own).collect();
    for entry in fields.entries().iter().filter(|entry| !known.contains(&&*entry.key)) {
        if let (Some(spec), true) = (spec, all_kinds.contains(&&*entry.key)) {
            report.error(
                entry.key_at,
                format!(
                    "kind `{}` has no key `{}`; its keys are {}",
                    spec.name,
                    entry.key,
                    keys::names(spec.keys).join(", ")
                ),
            );
        } else if spec.is_some() {
            fields::unknown_key(entry, "a rule", &known, report);
        }
    }
}

/// Whether Prometheus and Alertmanager take it as the name of a label or an annotation.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn not_a_name(entry: &Entry, what: &str, report: &mut Report<'_>) {
    let message = format!(
        "`{}` is not {what} name; use letters, digits and `_`, no digit first",
        entry.key.escape_debug()
    );
    report.error(entry.key_at, message);
}

/// A name that people read in subjects, tables and logs: on one line, without what steers a terminal.
fn name_of<'n>(entry: &'n Entry, report: &mut Report<'_>) -> Option<Text<'n>> {
    let name = fields::text(entry, report)?;
    if let Some(at) = name.text.find(char::is_control) {
        let message = format!("`{}` holds a line break or another control character; remove it", entry.key);
        report.error_within(name.at, name.text, at, message);
        return None;
    }
    Some(name)
}

/// A mapping of label names to texts.
fn labels(entry: &Entry, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(map) = Fields::of(&entry.value, "`labels`", report) else { return labels };
    for entry in map.entries() {
        if !is_name(&entry.key) {
            not_a_name(entry, "a label", report);
        } else if entry.key == "__name__" {
            report.error(
                entry.key_at,
                "the label `__name__` is the name of a metric in Prometheus; choose another",
            );
        } else if entry.key == "alertname" {
            report.error(entry.key_at, "the label `alertname` is the rule's `alert`; remove it");
        } else if let Some(text) = name_of(entry, report) {
            labels.insert(entry.key.clone(), text.text.to_owned());
        }
    }
    labels
}

/// One rule being read.
pub(super) struct RuleReader<'a, 'r> {
    pub(super) fields: Fields<'a>,
    pub(super) format: &'a Format,
    kind: &'static str,
    /// `time_intervals` of its file.
    pub(super) intervals: Arc<Intervals>,
    pub(super) report: &'a mut Report<'r>,
}

impl<'a> RuleReader<'a, '_> {
    /// The entry of a key that the kind cannot do without.
    pub(super) fn need(&mut self, key: &str) -> Option<&'a Entry> {
        let entry = self.fields.entry(key);
        if entry.is_none() {
            self.missing(&format!("`{key}`"));
        }
        entry
    }

    /// Reports a key that the kind cannot do without.
    pub(super) fn missing(&mut self, key: &str) {
        self.report.error(self.fields.at, format!("kind `{}` needs the key {key}", self.kind));
    }

    /// A condition over the rule's format.
    pub(super) fn condition(&mut self, entry: &Entry) -> Option<Condition> {
        let Text { at, text } = fields::text(entry, self.report)?;
        match Condition::compile(text, self.format) {
            Ok(condition) => Some(condition),
            Err(error) => {
                self.report.condition(at, text, error);
                None
            }
        }
    }

    /// The column of a field's name.
    pub(super) fn column(&mut self, name: Text<'_>) -> Option<usize> {
        let found = self.format.column(name.text);
        if found.is_none() {
            self.report.error(name.at, no_field(self.format, name.text));
        }
        found
    }

    /// The rule with everything but its name and kind. `None` after reporting what is wrong.
    fn common(&mut self, format: FormatId, group_labels: &BTreeMap<String, String>) -> Option<Rule> {
        let filter = match self.fields.entry("where") {
            Some(entry) => self.condition(entry),
            None => Some(Condition::always()),
        };
        let by = if self.kind == "composite" { composite::key(self) } else { self.by() };
        let labels = self.labels(&by, group_labels);
        let annotations = self.annotations(&by, &labels);
        let samples = match self.fields.entry("samples") {
            Some(entry) => fields::whole(entry, 0, MAX_SAMPLES, self.report),
            None => Some(DEFAULT_SAMPLES),
        };
        let mode = match self.fields.entry("mode") {
            Some(entry) => fields::word(entry, keys::MODES, self.report),
            None => Some("live"),
        };
        let lateness_ms = self.duration("lateness", DEFAULT_LATENESS_MS);
        let settle_ms = self.duration("settle", 0);
        let for_ms = self.duration("for", 0);
        let keep_firing_for_ms = self.duration("keep_firing_for", 0);
        let sum = self.sum();
        Some(Rule {
            alert: "".into(),
            group: "".into(),
            file: "".into(),
            format,
            filter: filter?,
            by,
            kind: crate::rule::Kind::Any { resolve_after_ms: 0 },
            lateness_ms: lateness_ms?,
            settle_ms: settle_ms?,
            for_ms: for_ms?,
            keep_firing_for_ms: keep_firing_for_ms?,
            labels,
            annotations,
            shadow: mode? == "shadow",
            samples: usize::try_from(samples?).unwrap_or_default(),
            sum,
            order: self.format.column("order_no"),
            thresholds: Arc::from([]),
        })
    }

    fn duration(&mut self, key: &str, default_ms: i64) -> Option<i64> {
        match self.fields.entry(key) {
            Some(entry) => fields::duration(entry, self.report),
            None => Some(default_ms),
        }
    }

    fn by(&mut self) -> Vec<(Arc<str>, usize)> {
        let mut by: Vec<(Arc<str>, usize)> = Vec::new();
        let Some(entry) = self.fields.entry("by") else { return by };
        if entry.value.content == Content::Null {
            self.report.error(entry.key_at, "`by` has no value; name fields, or remove it");
            return by;
        }
        for name in fields::texts(entry, self.report).unwrap_or_default() {
            if by.iter().any(|(known, _)| **known == *name.text) {
                self.report.error(name.at, format!("`{}` is named twice in `by`", name.text));
            } else if let Some(column) = self.column(name) {
                by.push((name.text.into(), column));
            }
        }
        if by.len() > MAX_BY {
            self.report.error(
                entry.value.at,
                format!("`by` names {} fields; at most {MAX_BY} are allowed", by.len()),
            );
        }
        by
    }

    /// The rule's labels over those of its group. A label may not hide a key field.
    fn labels(
        &mut self,
        by: &[(Arc<str>, usize)],
        group: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = group.clone();
        let entry = self.fields.entry("labels");
        if let Some(entry) = entry {
            all.extend(labels(entry, self.report));
            self.check_constant(entry, by);
        }
        for (name, _) in by.iter().filter(|(name, _)| all.contains_key(&**name)) {
            let at = entry.map_or(self.fields.at, |entry| entry.value.at);
            self.report.error(at, format!("`{name}` is a label and a field of `by`; rename the label"));
        }
        all
    }

    /// Reports labels that were meant as templates: they would stand in every alert as they are.
    fn check_constant(&mut self, labels: &Entry, by: &[(Arc<str>, usize)]) {
        let Content::Map(entries) = &labels.value.content else { return };
        for entry in entries {
            let Content::Scalar { text, .. } = &entry.value.content else { continue };
            let is_place =
                |name: &str| TEMPLATE_NAMES.contains(&name) || by.iter().any(|(known, _)| **known == *name);
            let place = template::pieces(text).find_map(|piece| match piece {
                Piece::Place { name, at } if is_place(name) => Some(at),
                _ => None,
            });
            if let Some(offset) = place.or_else(|| text.find("{{ $")).or_else(|| text.find("{{$")) {
                let message = "nothing is filled into a label: fields of `by` are labels already, and measured values \
                     belong into `annotations`";
                self.report.error_within(entry.value.at, text, offset, message);
            }
        }
    }

    fn annotations(
        &mut self,
        by: &[(Arc<str>, usize)],
        labels: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let Some(entry) = self.fields.entry("annotations") else { return all };
        let Some(map) = Fields::of(&entry.value, "`annotations`", self.report) else { return all };
        let names: Vec<&str> = by
            .iter()
            .map(|(name, _)| &**name)
            .chain(labels.keys().map(String::as_str))
            .chain(TEMPLATE_NAMES)
            .collect();
        for entry in map.entries() {
            if !is_name(&entry.key) {
                not_a_name(entry, "an annotation", self.report);
            } else if let Some(text) = fields::text(entry, self.report) {
                self.check_template(text, &names);
                all.insert(entry.key.clone(), text.text.to_owned());
            }
        }
        all
    }

    fn check_template(&mut self, template: Text<'_>, names: &[&str]) {
        for marker in ["{{ $", "{{$", "{{ .", "{{."] {
            if let Some(offset) = template.text.find(marker) {
                let message = "places are written {channel}, not {{ $labels.channel }}";
                return self.report.error_within(template.at, template.text, offset, message);
            }
        }
        for piece in template::pieces(template.text) {
            match piece {
                Piece::Text(_) => {}
                Piece::Place { name, .. } if names.contains(&name) => {}
                Piece::Place { name, at } => {
                    let hint = did_you_mean(name, names.iter().copied());
                    let message = format!(
                        "nothing fills the place {{{name}}}{hint}; places are fields of `by`, labels, and {}",
                        TEMPLATE_NAMES.join(", ")
                    );
                    self.report.error_within(template.at, template.text, at, message);
                }
                Piece::Open { at } => self.report.error_within(
                    template.at,
                    template.text,
                    at,
                    "this `{` is not closed; a brace itself is written `{{`",
                ),
            }
        }
    }

    /// The column summed as money at risk: as named, else `amount` where it is a number.
    fn sum(&mut self) -> Option<usize> {
        let is_number = |column: &usize| {
            matches!(self.format.columns()[*column].kind, ColumnType::Decimal | ColumnType::Integer)
        };
        let Some(entry) = self.fields.entry("sum") else {
            return self.format.column("amount").filter(is_number);
        };
        let name = fields::text(entry, self.report)?;
        let column = self.column(name)?;
        self.is_number(column, "sum", name);
        Some(column)
    }

    /// Reports a column that holds no numbers.
    pub(super) fn is_number(&mut self, column: usize, key: &str, name: Text<'_>) -> bool {
        let kind = &self.format.columns()[column].kind;
        let fits = matches!(kind, ColumnType::Decimal | ColumnType::Integer);
        if !fits {
            let message = format!("`{key}` expects a number, but `{}` is a {}", name.text, kind.name());
            self.report.error(name.at, message);
        }
        fits
    }
}

fn info(rule: &Rule, format: &Format, line: usize, text: String) -> RuleInfo {
    RuleInfo {
        alert: Arc::clone(&rule.alert),
        group: Arc::clone(&rule.group),
        file: Arc::clone(&rule.file),
        line,
        text: text.into(),
        kind: rule.kind.name(),
        summary: rule.summary(format),
        by: rule.by.iter().map(|(name, _)| Arc::clone(name)).collect(),
        labels: rule.labels.clone(),
        annotations: rule.annotations.clone(),
        for_ms: rule.for_ms,
        keep_firing_for_ms: rule.keep_firing_for_ms,
        shadow: rule.shadow,
    }
}
