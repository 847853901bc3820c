//! The condition language: `conditions.txt` says what each condition answers for a record, or why it is refused.
//!
//! A line that begins at the margin is a condition; the indented lines below it are its cases: `yes` or `no` with the
//! fields of a record, or the error with its column. `@ NAME` sets the format. After a wanted change of messages run
//! with `UPDATE_EXPECT=1` and read the difference.

use expect_test::expect_file;
use record::FormatSet;
use rules::Condition;

use crate::sample;

/// Answers a condition for the cases written below it.
fn check(formats: &FormatSet, format: &str, text: &str, cases: &[&str]) -> String {
    let id = formats.find(format).expect("the file names a shipped format");
    let condition = match Condition::compile(text, formats.get(id)) {
        Ok(condition) => condition,
        Err(error) => {
            let column = text.char_indices().take_while(|(at, _)| *at < error.offset).count() + 1;
            return format!("    error {column}: {}\n", error.message);
        }
    };
    let mut answer = String::new();
    let cases: Vec<&&str> = cases.iter().filter(|case| !case.starts_with("    error ")).collect();
    if cases.is_empty() {
        answer.push_str("    accepted, but without a case\n");
    }
    for case in cases {
        let fields = case.trim_start().split_once(' ').map_or("", |(_, fields)| fields.trim());
        let pairs: Vec<(&str, &str)> = fields
            .split(" | ")
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').expect("field=value"))
            .collect();
        let batch = sample::record(formats, id, &pairs);
        let verdict = if condition.holds(&batch.record(0, formats)) { "yes" } else { "no" };
        answer += &format!("{}\n", format!("    {verdict:3}  {fields}").trim_end());
    }
    answer
}

/// The file as it should be, and how many cases it has.
fn render(source: &str) -> (String, usize) {
    let formats = sample::formats();
    let (mut out, mut count, mut format) = (String::new(), 0, "order-trace");
    let lines: Vec<&str> = source.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        out += &format!("{line}\n");
        if let Some(name) = line.strip_prefix("@ ") {
            format = name;
        } else if !line.is_empty() && !line.starts_with("# ") {
            let cases: Vec<&str> =
                lines[at..].iter().take_while(|l| l.starts_with("    ")).copied().collect();
            at += cases.len();
            let answer = check(&formats, format, line, &cases);
            count += answer.lines().count();
            out.push_str(&answer);
        }
    }
    (out, count)
}

#[test]
fn conditions_answer_as_written() {
    let (answered, count) = render(include_str!("conditions.txt"));
    assert!(count >= 200, "only {count} cases");
    expect_file!["conditions.txt"].assert_eq(&answered);
}

#[test]
fn depth_and_length_are_bounded() {
    let formats = sample::formats();
    let format = formats.get(formats.find("order-trace").unwrap());
    let deep = |open: &str, close: &str| format!("{}success{}", open.repeat(10_000), close.repeat(10_000));
    for text in
        [deep("(", ")"), deep("!", ""), deep("(", ""), deep("lower(", ")"), deep("[", "]"), deep("!(", ")")]
    {
        let error = Condition::compile(&text, format).unwrap_err();
        assert!(error.message.contains("nested deeper than 64"), "{}", error.message);
    }
    let chain = format!("channel{} == \"x\"", ".lower()".repeat(10_000));
    assert!(Condition::compile(&chain, format).is_err());
    let long = format!("channel == \"{}\"", "x".repeat(300_000));
    assert!(Condition::compile(&long, format).unwrap_err().message.contains("at most"));
    // Wide is fine: a chain of alternatives is not nesting.
    let wide = vec!["channel == \"A\""; 5_000].join(" || ");
    assert!(Condition::compile(&wide, format).is_ok());
}

#[test]
fn a_pattern_cannot_be_made_to_explode() {
    let formats = sample::formats();
    let id = formats.find("order-trace").unwrap();
    let format = formats.get(id);
    let refused = |text: &str| Condition::compile(text, format).unwrap_err().message;
    assert!(refused(r#"remark.matches("(((a{100}){100}){100})")"#).contains("too big"));
    assert!(refused(&format!("remark.matches(\"{}\")", "a".repeat(5_000))).contains("at most 4096"));
    // Exponential for a backtracking matcher.
    let condition = Condition::compile(r#"remark.matches("^(a+)+$")"#, format).unwrap();
    let text = format!("{}b", "a".repeat(100_000));
    let batch = sample::record(&formats, id, &[("remark", &text)]);
    assert!(!condition.holds(&batch.record(0, &formats)));
}

#[test]
fn any_text_is_read_or_refused_never_a_panic() {
    use proptest::prelude::*;
    let formats = sample::formats();
    let format = formats.get(formats.find("order-trace").unwrap());
    let part = prop_oneof![
        Just("channel"),
        Just("amount"),
        Just("success"),
        Just("("),
        Just(")"),
        Just("!"),
        Just("&&"),
        Just("||"),
        Just("=="),
        Just("in"),
        Just("["),
        Just("]"),
        Just(","),
        Just("\"a\""),
        Just("r'\\'"),
        Just("1.0"),
        Just("5m"),
        Just("."),
        Just("matches"),
        Just("lower("),
        Just("网"),
        Just("\"\\"),
        Just("`"),
        Just("-"),
        Just(" ")
    ];
    let text = prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat());
    proptest!(|(text in prop_oneof![text, ".{0,40}"])| {
        if let Err(error) = Condition::compile(&text, format) {
            prop_assert!(text.is_char_boundary(error.offset), "{error:?}");
            prop_assert!(!error.message.is_empty());
        }
    });
}
