//! The plain-text body.
//!
//! Refuses to know: mail.

use std::fmt::Write as _;

use super::Document;

/// Lines end in LF; nothing in the document can begin a line of its own.
pub fn text(document: &Document) -> String {
    let mut body = format!("{}: {}\n{}\n", document.word, document.title, document.lead);
    for note in &document.notes {
        line(&mut body, format_args!("\n{note}"));
    }
    body.push('\n');
    for fact in &document.facts {
        line(&mut body, format_args!("{:<16} {}", fact.name, fact.value));
    }
    if !document.counts.is_empty() {
        body.push_str("\nMatches\n");
        for (at, count) in &document.counts {
            line(&mut body, format_args!("  {at}  {count}"));
        }
    }
    if !document.labels.is_empty() {
        body.push_str("\nLabels\n");
        for (name, value) in &document.labels {
            line(&mut body, format_args!("  {name}: {value}"));
        }
    }
    if !document.samples.is_empty() {
        body.push_str("\nSample lines\n");
        for (at, sample) in &document.samples {
            line(&mut body, format_args!("  {at}  {sample}"));
        }
    }
    line(&mut body, format_args!("\n{}", document.link));
    body
}

fn line(body: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(body, "{arguments}").expect("writing into a String cannot fail");
}
