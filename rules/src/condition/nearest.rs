//! The nearest known name to one that is not known: by edit distance, so that a message can say what was meant.

use record::Format;

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

/// The known name nearest to `name`, the first among equals; `None` when all need more edits than half its length.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: String = name.chars().take(64).flat_map(char::to_lowercase).collect();
    let bound = (wanted.chars().count() / 2).max(1);
    let scored = known.into_iter().map(|known| {
        let whole = distance(&wanted, &known.to_lowercase());
        // `order` for `order_no`: a part of a name is near, though many letters are missing.
        let part = wanted.len() >= 3 && known.split('_').any(|word| word == wanted);
        (if part { whole.min(2) } else { whole }, known)
    });
    scored.filter(|(edits, _)| *edits <= bound).min_by_key(|(edits, _)| *edits).map(|(_, known)| known)
}

/// `; did you mean `x`?`, or nothing when no name is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

/// Most fields that a message lists.
const LISTED_MAX: usize = 16;

/// That a format has no such field, with the nearest one, or where to find those it has.
pub fn no_field(format: &Format, name: &str) -> String {
    let known: Vec<&str> = format.columns().iter().map(|column| &*column.name).collect();
    let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    let hint = match did_you_mean(name, known.iter().copied()) {
        hint if !hint.is_empty() => hint,
        _ if known.len() <= LISTED_MAX => format!("; its fields are {}", known.join(", ")),
        _ => "; `watchroom parse FILE` and docs/rules.md show its fields".to_owned(),
    };
    format!("format `{}` has no field `{shown}`{hint}", format.name())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_name() {
        let known = ["response_code", "response_message", "channel", "order_no", "serial_no"];
        for (name, expect) in [
            ("respone_code", Some("response_code")),
            ("chanell", Some("channel")),
            ("Channel", Some("channel")),
            ("order", Some("order_no")),
            ("orderno", Some("order_no")),
            ("zzzzzzzz", None),
        ] {
            assert_eq!(nearest(name, known), expect, "{name}");
        }
    }
}
