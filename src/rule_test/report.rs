//! Results for people, for programs and for CI servers.
//!
//! Refuses to know: how they came about.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;

use super::{Failure, Outcome};
use crate::output::visible;

/// Prints all results.
pub(super) fn print(outcomes: &[Outcome], json: bool, diff: bool, out: &mut impl Write) -> Result<()> {
    for outcome in outcomes {
        if json {
            let failures: Vec<&str> = outcome.failures.iter().map(|f| f.text.as_str()).collect();
            let line = serde_json::json!({
                "file": outcome.file, "test": outcome.name, "passed": failures.is_empty(), "failures": failures,
            });
            writeln!(out, "{line}")?;
            continue;
        }
        if outcome.failures.is_empty() {
            writeln!(out, "ok      {}: {}", outcome.file, visible(&outcome.name))?;
            continue;
        }
        writeln!(out, "FAILED  {}: {}", outcome.file, visible(&outcome.name))?;
        if diff {
            print_diff(&outcome.failures, out)?;
            continue;
        }
        for failure in &outcome.failures {
            writeln!(out, "  {}", failure.text)?;
        }
    }
    if !json {
        let failed = outcomes.iter().filter(|outcome| !outcome.failures.is_empty()).count();
        writeln!(out, "{} passed, {failed} failed", outcomes.len() - failed)?;
    }
    out.flush()?;
    Ok(())
}

/// What was expected (`-`) and what came (`+`), instant by instant and alert by alert.
fn print_diff(failures: &[Failure], out: &mut impl Write) -> Result<()> {
    for about in failures.chunk_by(|a, b| a.about == b.about) {
        writeln!(out, "  @@ {}", about.first().map_or("", |failure| &failure.about.1))?;
        for line in about.iter().flat_map(|failure| &failure.expected) {
            writeln!(out, "  -{line}")?;
        }
        let mut shown: Vec<&str> = Vec::new();
        for line in about.iter().flat_map(|failure| &failure.found) {
            // An alert that one expectation found and another did not expect is there once.
            if !shown.contains(&line.as_str()) {
                writeln!(out, "  +{line}")?;
                shown.push(line);
            }
        }
    }
    Ok(())
}

/// The results as JUnit XML: one suite a file, one case a test.
pub(super) fn junit(outcomes: &[Outcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.failures.is_empty()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{failed}\">\n",
        outcomes.len()
    );
    let mut files: Vec<&str> = outcomes.iter().map(|outcome| outcome.file.as_str()).collect();
    files.dedup();
    for file in files {
        let suite: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.file == file).collect();
        let failed = suite.iter().filter(|outcome| !outcome.failures.is_empty()).count();
        // Writing to a String cannot fail.
        let _written = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">",
            escape(file),
            suite.len()
        );
        for outcome in suite {
            let head =
                format!("    <testcase classname=\"{}\" name=\"{}\"", escape(file), escape(&outcome.name));
            if outcome.failures.is_empty() {
                xml.push_str(&format!("{head}/>\n"));
                continue;
            }
            let text: Vec<String> = outcome.failures.iter().map(|failure| escape(&failure.text)).collect();
            xml.push_str(&format!(
                "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                text.first().map_or("", String::as_str),
                text.join("\n")
            ));
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text as XML: markup escaped, characters that XML 1.0 does not know replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' => escaped.push(c),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
