//! Durations as Prometheus writes them: `1h30m`, `500ms`, `0`.

/// Units from the largest, with their milliseconds. A year is 365 days, a day 24 hours.
pub(crate) const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// What a duration looks like, for messages.
pub(crate) const FORM: &str =
    "numbers with units from the largest down, as in `90s`, `10m`, `1h30m`, `500ms`";

/// Reads a duration in milliseconds; `None` when the text is none (units out of order, repeated, unknown or missing,
/// or more than 64 bits hold).
pub fn parse_duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: i64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let index = UNITS.iter().position(|(name, _)| *name == unit)?;
        if index < next_unit {
            return None;
        }
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(UNITS[index].1)?)?;
        next_unit = index + 1;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Shows milliseconds as the shortest duration: `90000` is `1m30s`.
pub(crate) fn show_duration(ms: i64) -> String {
    let mut rest = ms;
    let mut shown = String::new();
    for (unit, length) in UNITS.iter().filter(|(unit, _)| !matches!(*unit, "y" | "w")) {
        if rest >= *length {
            shown.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_prometheus() {
        for (text, expect) in [
            ("0", Some(0)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1d", Some(86_400_000)),
            ("1w", Some(604_800_000)),
            ("1y", Some(31_536_000_000)),
            ("1m30s500ms", Some(90_500)),
            ("", None),
            ("5", None),
            ("m", None),
            ("1.5h", None),
            ("-5m", None),
            ("5m1h", None),
            ("5m5m", None),
            ("5 m", None),
            ("5M", None),
            ("99999999999999999999s", None),
            ("9999999999999y", None),
        ] {
            assert_eq!(parse_duration(text), expect, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_reads_back(ms in 1_i64..10_000_000_000) {
            proptest::prop_assert_eq!(parse_duration(&show_duration(ms)), Some(ms));
        }
    }
}
