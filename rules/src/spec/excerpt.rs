//! A rule as its author wrote it: its lines of the file, for people who ask what a rule says.
//!
//! Refuses to know: what the lines mean.

/// The lines of the list item in which byte `at` of a YAML text stands, without their common indentation.
pub(super) fn item(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let mut lines = text.get(start..).unwrap_or_default().lines();
    let Some(first) = lines.next() else { return String::new() };
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let indent = depth(first);
    let belongs = |line: &&str| line.trim().is_empty() || depth(line) > indent;
    let whole: Vec<&str> = std::iter::once(first).chain(lines.take_while(belongs)).collect();
    let cut = |line: &&str| line.get(indent..).unwrap_or_default().trim_end().to_owned();
    let shown: Vec<String> = whole.iter().map(cut).collect();
    shown.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let at = text.find("alert").expect("a rule");
        assert_eq!(item(text, at), expect);
    }

    #[test]
    fn the_rule_and_nothing_else() {
        check(
            "groups:\n  - rules:\n      - alert: A   # why\n        kind: any\n\n        where: |\n          a == \"1\"\n      # of B\n      - alert: B\n",
            "- alert: A   # why\n  kind: any\n\n  where: |\n    a == \"1\"",
        );
        check("  - rules:\n  - alert: A\n    kind: any\n\n\n", "- alert: A\n  kind: any");
        check("- {alert: A, kind: any}\n- {alert: B}", "- {alert: A, kind: any}");
        check("groups: [{rules: [{alert: A}]}]", "groups: [{rules: [{alert: A}]}]");
        assert_eq!(item("", 7), "");
    }
}
