//! A rule as somebody typed it, made a rule file, and the places of its errors brought back to what was typed.
//!
//! Refuses to know: what a rule means.

use std::collections::HashSet;

use rules::{RuleError, RuleFile, RuleInfo};

/// Goes before rules that are no whole file.
const HEAD: &str = "groups:\n- name: backtest\n  rules:\n";
/// Lines of [`HEAD`].
const HEAD_LINES: usize = 3;
/// How errors name what was typed.
const NAME: &str = "the text";

/// A typed text as a rule file.
#[derive(Debug)]
pub(super) struct RuleText {
    text: String,
    /// Lines before the first of what was typed.
    lines: usize,
    /// Characters before each of its lines.
    columns: usize,
    typed_lines: usize,
    /// Rules in use that were added because the typed ones name them.
    added: Vec<String>,
}

impl RuleText {
    /// `typed`: a rule, a list of rules, or a whole rule file. `file`: the rule file that it is a part of; its time
    /// intervals are known to the text unless that is a whole file. `known`: the rules in use; those that a `composite`
    /// names, and those that these name, are judged along with it.
    pub(super) fn new(typed: &str, file: &str, known: &[RuleInfo]) -> Self {
        let typed_lines = typed.lines().count();
        let whole = typed.lines().any(|line| line.starts_with("groups:"));
        if whole {
            return Self { text: typed.to_owned(), lines: 0, columns: 0, typed_lines, added: Vec::new() };
        }
        let mut said = typed.lines().filter(|line| !is_remark(line));
        let is_list = said.next().is_none_or(|line| line.trim_start().starts_with("- "));
        let indent = if is_list { "  " } else { "    " };
        let mut text = String::from(HEAD);
        let mut dash = !is_list;
        for line in typed.lines() {
            // What begins deeper than its first line is still a mapping's line.
            if dash && !is_remark(line) {
                text.push_str("  - ");
                dash = false;
            } else if !line.trim().is_empty() {
                text.push_str(indent);
            }
            text.push_str(line);
            text.push('\n');
        }
        let named = if typed.contains("composite") { named(typed, known) } else { Vec::new() };
        for line in named.iter().flat_map(|info| info.text.lines()) {
            text.extend(["  ", line, "\n"]);
        }
        text.push_str(&section(file, "time_intervals:"));
        let added = named.iter().map(|info| info.alert.to_string()).collect();
        Self { text, lines: HEAD_LINES, columns: indent.len(), typed_lines, added }
    }

    /// Whether alerts of this name are of what was typed.
    pub(super) fn is_typed(&self, alert: &str) -> bool {
        !self.added.iter().any(|added| added == alert)
    }

    /// To be loaded.
    pub(super) fn file(&self) -> RuleFile {
        RuleFile { name: NAME.to_owned(), text: self.text.clone() }
    }

    /// An error at its place in what was typed.
    pub(super) fn placed(&self, mut error: RuleError) -> RuleError {
        error.line = error.line.saturating_sub(self.lines).clamp(1, self.typed_lines.max(1));
        error.column = error.column.saturating_sub(self.columns).max(1);
        error
    }
}

/// The rules in use whose names stand in the text, and those whose names stand in theirs; but not those that the text
/// says itself.
fn named<'a>(typed: &str, known: &'a [RuleInfo]) -> Vec<&'a RuleInfo> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let typed_names: Vec<&str> = typed
        .split("alert:")
        .skip(1)
        .filter_map(|rest| rest.split(|c| !is_word(c)).find(|word| !word.is_empty()))
        .collect();
    let mut found: Vec<&RuleInfo> = Vec::new();
    let mut texts = vec![typed];
    while let Some(text) = texts.pop() {
        let words: HashSet<&str> = text.split(|c| !is_word(c)).collect();
        for info in known {
            let is_new = !typed_names.contains(&&*info.alert)
                && !found.iter().any(|known| known.alert == info.alert)
                && info.text.starts_with("- ");
            if is_new && words.contains(&*info.alert) {
                found.push(info);
                texts.push(&info.text);
            }
        }
    }
    found
}

fn is_remark(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// The lines of a key at the top of a YAML file.
fn section(file: &str, key: &str) -> String {
    let mut lines = file.lines().skip_while(|line| !line.starts_with(key));
    let Some(first) = lines.next() else { return String::new() };
    let belongs = |line: &&str| line.is_empty() || line.starts_with([' ', '-', '#']);
    let whole = std::iter::once(first).chain(lines.take_while(belongs));
    whole.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use record::FormatSet;
    use rules::RuleSet;

    use super::*;

    /// Names of the rules, or the errors at their places in what was typed.
    fn check(typed: &str, expect: &str) {
        let text = RuleText::new(
            typed,
            "time_intervals:\n- name: day\n  time_intervals: [{times: [{start_time: '08:00', end_time: '20:00'}]}]\ngroups: []\n",
            &[],
        );
        let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
        let found = match RuleSet::load(&[text.file()], &formats) {
            Ok(set) => set.infos().iter().map(|info| info.alert.to_string()).collect::<Vec<_>>().join(" "),
            Err(errors) => {
                let placed = errors.into_iter().map(|error| text.placed(error).to_string());
                placed.collect::<Vec<_>>().join("\n")
            }
        };
        assert_eq!(found, expect, "{typed}");
    }

    #[test]
    fn a_rule_a_list_or_a_file() {
        check("alert: A\nkind: any\n", "A");
        check("# why\n\nalert: A\nkind: any\nwhere: |\n  channel == \"x\"\n", "A");
        check("- alert: A\n  kind: any\n", "A");
        check("  - alert: A\n    kind: any\n# b\n  - {alert: B, kind: any}", "A B");
        check("groups:\n- name: g\n  rules: [{alert: A, kind: any}]\n", "A");
        check("", "");
    }

    #[test]
    fn intervals_of_its_file_are_known() {
        check("alert: A\nkind: flatline\nexpect: seen\nwithin: 1m\nhours: [day]\nby: [channel]", "A");
    }

    #[test]
    fn a_composite_brings_the_rules_that_it_names() {
        let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
        let file = "groups:\n- name: g\n  rules:\n  - alert: Down\n    kind: any\n  - alert: Quiet\n    kind: any # Down\n  - alert: Other\n    kind: any\n";
        let known = RuleSet::load(&[RuleFile { name: "f".into(), text: file.into() }], &formats);
        let known = known.expect("the rules are right").infos();
        let text = RuleText::new("- alert: Both\n  kind: composite\n  expr: Quiet && !Both", "", &known);
        assert!(
            text.text.ends_with("  - alert: Quiet\n    kind: any # Down\n  - alert: Down\n    kind: any\n"),
            "{}",
            text.text
        );
        assert!(text.is_typed("Both") && !text.is_typed("Down") && text.is_typed("Other"));
        let own = RuleText::new(
            "- {alert: Quiet, kind: any}\n- {alert: Both, kind: composite, expr: Quiet}",
            "",
            &known,
        );
        assert!(own.is_typed("Quiet"), "what is typed wins over what is in use");
    }

    #[test]
    fn errors_stand_where_they_were_typed() {
        check("alert: A\nkind: anny\n", "the text:2:7: there is no kind `anny`; did you mean `any`?");
        check(
            "- alert: A\n  kind: any\n  where: chanel == \"x\"\n",
            "the text:3:10: format `order-trace` has no field `chanel`; did you mean `channel`?",
        );
        check("alert: A", "the text:1:1: a rule needs the key `kind`");
    }
}
