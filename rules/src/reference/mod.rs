//! What can be written in rule files, told for people and editors: the JSON Schema and the tables of docs/rules.md,
//! made from the tables that the parser itself uses.
//!
//! Refuses to know: files. What is made here is compared with what is committed by a test.

mod conditions;
mod schema;
mod tables;

pub use schema::{rule_file_schema, test_file_schema};

use record::FormatSet;

/// A document with every marked section made anew.
///
/// A section stands between `<!-- made from the code: NAME -->` and `<!-- end -->`, each on a line of its own.
/// `Err` names a section that there is not, or that has no end.
pub fn with_sections(document: &str, formats: &FormatSet) -> Result<String, String> {
    let mut out = String::with_capacity(document.len());
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let name = line.strip_prefix("<!-- made from the code: ").and_then(|rest| rest.strip_suffix(" -->"));
        let Some(name) = name else { continue };
        let text = section(name, formats).ok_or_else(|| format!("there is no section `{name}`"))?;
        out.push_str(&format!("{}\n<!-- end -->\n", text.trim_end()));
        if !lines.any(|line| line == "<!-- end -->") {
            return Err(format!("section `{name}` has no end"));
        }
    }
    Ok(out)
}

/// A section's text.
fn section(name: &str, formats: &FormatSet) -> Option<String> {
    Some(match name {
        "keys of a file" => tables::file_keys(),
        "keys of a test file" => tables::test_keys(),
        "keys of every rule" => tables::rule_keys(),
        "keys of the kinds" => tables::kind_keys(),
        "kinds" => tables::kinds_table(),
        "durations" => tables::durations(),
        "places" => tables::places(),
        "operators" => conditions::operators(),
        "functions" => conditions::functions(),
        "bounds of conditions" => conditions::bounds(),
        "lints" => tables::lints(),
        "fields" => tables::fields(formats),
        _ => return None,
    })
}

/// A Markdown table.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let cells: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut out = line(&cells);
    out.push_str(&format!("|{}\n", "---|".repeat(head.len())));
    for row in rows {
        let row: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        out.push_str(&line(&row));
    }
    out
}

/// A number with commas between thousands.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
