//! How far a long command is, in one line on a terminal; nothing where stderr is none.
//!
//! Refuses to know: what is done.

use crate::clock::Stopwatch;
use crate::output;

/// Between two drawings.
const DRAW_EVERY_MS: u64 = 150;
/// A command that is done by then draws nothing.
const QUIET_MS: u64 = 400;
const CELLS: u64 = 24;

/// A line that draws itself anew in place.
pub(crate) struct ProgressBar {
    watch: Stopwatch,
    drawn_ms: Option<u64>,
    is_shown: bool,
}

impl ProgressBar {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self { watch: Stopwatch::start(), drawn_ms: None, is_shown: output::is_watched() }
    }

    /// So much of all is done (`total` 0: unknown), that is so many records.
    pub(crate) fn show(&mut self, done: u64, total: u64, records: u64) {
        let now_ms = self.watch.elapsed_ms();
        let due_ms = self.drawn_ms.map_or(QUIET_MS, |drawn| drawn + DRAW_EVERY_MS);
        if self.is_shown && now_ms >= due_ms {
            self.drawn_ms = Some(now_ms);
            output::draw(&line(done, total, records, now_ms));
        }
    }

    /// Takes the line away.
    pub(crate) fn end(self) {
        if self.drawn_ms.is_some() {
            output::draw("");
        }
    }
}

fn line(done: u64, total: u64, records: u64, now_ms: u64) -> String {
    let took = format!("{}:{:02}", now_ms / 60_000, now_ms / 1_000 % 60);
    let per_s = records.saturating_mul(1_000) / now_ms.max(1);
    let counted = format!("{} records, {}/s, {took}", grouped(records), grouped(per_s));
    if total == 0 {
        return counted;
    }
    let done = done.min(total);
    let full = usize::try_from(u128::from(done) * u128::from(CELLS) / u128::from(total)).unwrap_or_default();
    let percent = u128::from(done) * 100 / u128::from(total);
    let left_ms =
        if done == 0 { 0 } else { u128::from(now_ms) * u128::from(total - done) / u128::from(done) };
    let left = format!("{}:{:02}", left_ms / 60_000, left_ms / 1_000 % 60);
    let bar = format!("{}{}", "=".repeat(full), " ".repeat(CELLS as usize - full));
    format!("[{bar}] {percent:3} %  {counted}, {left} left")
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn lines() {
        assert_eq!(
            line(1, 4, 1_234_567, 61_000),
            "[======                  ]  25 %  1,234,567 records, 20,238/s, 1:01, 3:03 left"
        );
        assert_eq!(line(9, 0, 12, 500), "12 records, 24/s, 0:00");
        assert_eq!(line(5, 4, 0, 0), "[========================] 100 %  0 records, 0/s, 0:00, 0:00 left");
    }
}
