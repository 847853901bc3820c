//! Patterns that a plainer test says as well: cheaper to ask, and read by everybody.

/// What says the same as `field.matches(pattern)`, if the pattern has no need of one.
pub(crate) fn simpler(pattern: &str, field: &str, lower: bool) -> Option<String> {
    let (ignores_case, pattern) = match pattern.strip_prefix("(?i)") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (start, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern.strip_prefix(".*").unwrap_or(pattern)),
    };
    let (end, pattern) = match pattern.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, pattern.strip_suffix(".*").unwrap_or(pattern)),
    };
    let field = if ignores_case && !lower { format!("lower({field})") } else { field.to_owned() };
    let shown = |text: String| -> Option<String> {
        if ignores_case && !text.is_ascii() {
            return None;
        }
        let text = if ignores_case { text.to_ascii_lowercase() } else { text };
        // What the language's escapes cannot say alike is left alone.
        let plain = text.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
        plain.then(|| format!("\"{text}\""))
    };
    if start
        && end
        && let Some(inner) = pattern.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
    {
        let inner = inner.strip_prefix("?:").unwrap_or(inner);
        let words: Option<Vec<String>> = inner.split('|').map(|word| literal(word).and_then(shown)).collect();
        return Some(format!("{field} in [{}]", words?.join(", ")));
    }
    let text = shown(literal(pattern)?)?;
    Some(match (start, end) {
        (true, true) => format!("{field} == {text}"),
        (true, false) => format!("{field}.startsWith({text})"),
        (false, true) => format!("{field}.endsWith({text})"),
        (false, false) => format!("{field}.contains({text})"),
    })
}

/// The text that a pattern without operators finds.
fn literal(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            _ => text.push(c),
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::simpler;

    #[test]
    fn only_patterns_without_need_are_said_otherwise() {
        for (pattern, expect) in [
            ("timeout", Some("f.contains(\"timeout\")")),
            (".*timeout.*", Some("f.contains(\"timeout\")")),
            ("^NET_", Some("f.startsWith(\"NET_\")")),
            (r"\.example\.org$", Some("f.endsWith(\".example.org\")")),
            ("^0000$", Some("f == \"0000\"")),
            ("^(A|B|C)$", Some("f in [\"A\", \"B\", \"C\"]")),
            ("^(?:A|B)$", Some("f in [\"A\", \"B\"]")),
            ("(?i)TimeOut", Some("lower(f).contains(\"timeout\")")),
            (r"^\d{4}$", None),
            ("a.c", None),
            ("^A|B$", None),
            ("(?i)超时", None),
            (r"\bword\b", None),
            ("^.*x", None),
            ("", None),
        ] {
            assert_eq!(simpler(pattern, "f", false).as_deref(), expect, "{pattern}");
        }
    }
}
