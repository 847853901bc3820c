//! Annotation templates: text with `{name}` places. `{{` and `}}` are braces.
//!
//! Refuses to know: what the places hold.

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text as it is.
    Text(&'a str),
    /// A place and the byte of the template at which its name begins.
    Place { name: &'a str, at: usize },
    /// A brace that is not closed, at this byte.
    Open { at: usize },
}

/// The pieces of a template in order.
pub(super) fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = template.get(at..).filter(|rest| !rest.is_empty())?;
        let (piece, len) = if rest.starts_with("{{") {
            (Piece::Text("{"), 2)
        } else if rest.starts_with("}}") {
            (Piece::Text("}"), 2)
        } else if rest.starts_with('{') {
            match rest.find('}') {
                Some(close) => {
                    let name = rest.get(1..close).unwrap_or_default();
                    (Piece::Place { name, at: at + 1 }, close + 1)
                }
                None => (Piece::Open { at }, rest.len()),
            }
        } else {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            let more = rest.get(first..).unwrap_or_default();
            let len = first + more.find(['{', '}']).unwrap_or(more.len());
            (Piece::Text(rest.get(..len).unwrap_or_default()), len)
        };
        at += len;
        Some(piece)
    })
}

/// Fills the places of a checked template; a place without value becomes empty.
pub(crate) fn fill(template: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(template.len() + 32);
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Place { name, .. } => filled.push_str(&value(name).unwrap_or_default()),
            Piece::Open { .. } => filled.push('{'),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn places_are_filled_and_doubled_braces_stand_for_one() {
        let value = |name: &str| match name {
            "channel" => Some("UMP".to_owned()),
            "count" => Some("12".to_owned()),
            _ => None,
        };
        for (template, expect) in [
            ("{channel}: {count} errors", "UMP: 12 errors"),
            ("plain", "plain"),
            ("", ""),
            ("{{\"channel\": \"{channel}\"}}", "{\"channel\": \"UMP\"}"),
            ("[{nothing}]", "[]"),
            ("网络 {channel} 断", "网络 UMP 断"),
            ("a } b", "a } b"),
        ] {
            assert_eq!(fill(template, &value), expect, "{template}");
        }
    }
}
