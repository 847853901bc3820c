//! Comments that allow lints: `# lint: allow NAME, NAME`.
//!
//! Refuses to know: YAML; a line that holds the mark within a text counts as well, which does no harm.

use super::Lint;

const MARK: &str = "# lint: allow ";

/// What comments of a file allow, and from which line to which.
pub(super) struct Allowed(Vec<(usize, usize, String)>);

impl Allowed {
    /// Reads the comments; `starts` are the first lines of the rules, in order.
    pub(super) fn read(text: &str, starts: &[usize]) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let is_comment = |line: usize| {
            line.checked_sub(1).and_then(|at| lines.get(at)).is_some_and(|l| l.trim_start().starts_with('#'))
        };
        // A rule reaches from the comments directly above it to those above the next.
        let begins: Vec<usize> = starts
            .iter()
            .map(|start| {
                let mut first = *start;
                while first > 1 && is_comment(first - 1) {
                    first -= 1;
                }
                first
            })
            .collect();
        let head = (1..=lines.len()).find(|line| {
            let text = lines[line - 1].trim();
            !text.is_empty() && !text.starts_with('#')
        });
        let mut all = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some((_, names)) = line.split_once(MARK) else { continue };
            let number = at + 1;
            let rule = begins.iter().rposition(|begin| *begin <= number);
            let range = match rule {
                _ if head.is_none_or(|head| number < head) => (1, usize::MAX),
                Some(rule) => (begins[rule], begins.get(rule + 1).map_or(usize::MAX, |next| next - 1)),
                None => (number, number + 1),
            };
            for name in names.split([',', ' ']).filter(|name| !name.is_empty()) {
                all.push((range.0, range.1, name.to_owned()));
            }
        }
        Self(all)
    }

    pub(super) fn allows(&self, lint: &Lint) -> bool {
        self.0.iter().any(|(from, to, name)| (*from..=*to).contains(&lint.line) && name == lint.name)
    }
}
