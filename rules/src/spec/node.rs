//! A YAML document as a tree that remembers where everything stands.
//!
//! Reading into a tree first lets every mistake of a file be reported, each with its line and column, instead of the
//! first one only. Refuses to know: what the keys mean.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::place::{Place, Source};

/// A node and the byte of the file at which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar. `text` is as written (numbers keep their zeros); `quoted` tells `"5"` from `5`.
    Scalar { text: String, quoted: bool },
    /// A scalar behind a tag `!`: a condition that begins with `!` and is not quoted would lose it.
    Tagged,
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in file order; keys are unique.
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: usize,
    pub(super) value: Node,
}

impl Content {
    /// Name for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Content::Null => "nothing",
            Content::Scalar { .. } => "a single value",
            Content::Tagged => "a YAML tag; put a text that begins with `!` in quotes",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }
}

/// Most values and keys of one file: 10,000 rules with all that a rule may say take a tenth of it.
const MAX_NODES: usize = 5_000_000;

/// Reads a document. An error is YAML's own: the file cannot be read at all.
pub(super) fn read(source: &Source<'_>) -> Result<Node, (Place, String)> {
    if let Some(byte) = source.text.find('\0') {
        let message = "here stands a byte that is no text in UTF-8; save the file as UTF-8";
        return Err((source.place(byte), message.to_owned()));
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        reject_unsupported_tags: true,
        // One condition may be shared by any number of rules: what aliases stand for counts as nodes.
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            enforce_alias_anchor_ratio: false,
        },
    };
    let raw: Raw = serde_saphyr::from_str_with_options(source.text, options).map_err(|error| {
        let location = error.location().unwrap_or(Location::UNKNOWN);
        let tag = matches!(error.without_snippet(), serde_saphyr::Error::UnsupportedTag { .. });
        let place = match location.line() {
            _ if tag => source.place(source.tag_before(source.byte(&location))),
            0 => Place { line: 1, column: 1 },
            line => Place { line: to_usize(line), column: to_usize(location.column()).max(1) },
        };
        (place, message(&error))
    })?;
    Ok(raw.resolve(source))
}

/// The library's message without the position it repeats, and what to do where that is known.
fn message(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    let error = error.without_snippet();
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            return format!("the key `{key}` stands in this mapping twice; remove one");
        }
        Error::UnsupportedTag { .. } => return format!("found {}", Content::Tagged.name()),
        Error::MultipleDocuments { .. } => {
            return "a file is one YAML document; remove the `---`".to_owned();
        }
        _ => {}
    }
    let text = error.to_string();
    let text = text.find(" at line ").and_then(|at| text.get(..at)).unwrap_or(&text);
    if text.contains("budget breached") {
        let most = "5,000,000 values (aliases count each time), 64 MiB of text, nested 64 deep";
        return format!("the file holds too much: at most {most}; split it");
    }
    let hint = HINTS.iter().find(|(said, _)| text.contains(said)).map_or("", |(_, hint)| hint);
    format!("not valid YAML: {text}{hint}")
}

/// What to do about the library's messages.
const HINTS: &[(&str, &str)] = &[
    ("mapping values are not allowed", "; put a text that holds `: ` in quotes"),
    ("found a tab", "; indent with spaces"),
    ("expected string scalar", ": a key is a plain text"),
    ("recursive references", ": an alias (`*name`) stands inside what it refers to"),
    ("unknown anchor", "; `*name` needs `&name` before it; put a text that begins with `*` in quotes"),
    ("recursion limit", ": the file is nested too deep"),
];

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// A node as serde hands it over: numbers are kept only as places in the source.
struct Raw(Spanned<RawContent>);

enum RawContent {
    Null,
    Text(String),
    /// A bool or a number: its text is read from the source.
    Plain(String),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn resolve(self, source: &Source<'_>) -> Node {
        let at = source.byte(&self.0.defined);
        let content = match self.0.value {
            RawContent::Null | RawContent::Text(_) | RawContent::Plain(_) if source.is_tagged(at) => {
                Content::Tagged
            }
            RawContent::Null => Content::Null,
            RawContent::Text(text) => Content::Scalar { quoted: source.is_quoted(at), text },
            RawContent::Plain(shown) => {
                let text = source.slice(&self.0.defined).map_or(shown, str::to_owned);
                Content::Scalar { text, quoted: false }
            }
            RawContent::List(items) => {
                Content::List(items.into_iter().map(|item| item.resolve(source)).collect())
            }
            RawContent::Map(entries) => Content::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        key_at: source.byte(&key.referenced),
                        key: key.value,
                        value: value.resolve(source),
                    })
                    .collect(),
            ),
        };
        Node { at, content }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = RawContent;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value, a list or a mapping")
    }
    fn visit_unit<E>(self) -> Result<RawContent, E> {
        Ok(RawContent::Null)
    }
    fn visit_none<E>(self) -> Result<RawContent, E> {
        Ok(RawContent::Null)
    }
    fn visit_str<E>(self, text: &str) -> Result<RawContent, E> {
        Ok(RawContent::Text(text.to_owned()))
    }
    fn visit_bool<E>(self, value: bool) -> Result<RawContent, E> {
        Ok(RawContent::Plain(value.to_string()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<RawContent, E> {
        Ok(RawContent::Plain(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<RawContent, E> {
        Ok(RawContent::Plain(value.to_string()))
    }
    fn visit_i128<E>(self, value: i128) -> Result<RawContent, E> {
        Ok(RawContent::Plain(value.to_string()))
    }
    fn visit_u128<E>(self, value: u128) -> Result<RawContent, E> {
        Ok(RawContent::Plain(value.to_string()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<RawContent, E> {
        Ok(RawContent::Plain(value.to_string()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawContent, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawContent::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawContent, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(RawContent::Map(map))
    }
}
