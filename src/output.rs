//! What the commands print: the one place of the binary that writes to stdout and stderr.
//!
//! Refuses to know: what is printed.

use std::io::{self, Write};

/// Buffered standard output.
pub(crate) fn stdout() -> io::BufWriter<io::StdoutLock<'static>> {
    io::BufWriter::with_capacity(64 * 1024, io::stdout().lock())
}

/// A line on stderr for people.
#[expect(clippy::print_stderr, reason = "the binary's one edge to stderr")]
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// Whether somebody looks at stderr.
pub(crate) fn is_watched() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

/// Replaces the line that the cursor of a terminal on stderr stands in.
#[expect(clippy::print_stderr, reason = "the binary's one edge to stderr")]
pub(crate) fn draw(line: &str) {
    eprint!("\r{line}\x1b[K");
}

/// An error with what caused it, on stderr.
pub(crate) fn complain(error: &anyhow::Error) {
    note(&format!("watchroom: {}", told(error)));
}

/// An error and its causes; a cause that is already quoted by what it caused is not said again.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether the reader of our output went away (`watchroom parse F | head`): no error of ours.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// A table with aligned columns; width counts East Asian wide characters as two.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|h| (*h).to_owned()).collect()] }
    }

    /// Appends a row.
    pub(crate) fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.iter().map(|cell| visible(cell)).collect());
    }

    /// Writes it.
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().filter_map(|r| r.get(c)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, column_width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', column_width + 2 - width(cell)));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Control and bidirectional characters as escapes: log text must not steer a terminal.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let steers = c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn width(text: &str) -> usize {
    text.chars().map(|c| if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}') { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::{Table, told, visible};

    #[test]
    fn log_text_cannot_steer_a_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\u{202e}c"), "a\\u{1b}[31mb\\u{202e}c");
    }

    #[test]
    fn a_cause_that_is_quoted_is_said_once() {
        let quoting = anyhow::anyhow!("disk full").context("cannot write x: disk full");
        assert_eq!(told(&quoting), "cannot write x: disk full");
        assert_eq!(
            told(&anyhow::anyhow!("disk full").context("cannot write x")),
            "cannot write x: disk full"
        );
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let mut table = Table::new(&["a", "b"]);
        table.row(&["通道".into(), "x".into()]);
        let mut out = Vec::new();
        table.print(&mut out).expect("writing to memory cannot fail");
        assert_eq!(String::from_utf8(out).expect("utf-8"), "a     b\n通道  x\n");
    }
}
