//! What is made from the code is committed as it would be made now, and what is documented loads.
//!
//! `make docs` (or `UPDATE_EXPECT=1`) makes it anew.

use expect_test::expect_file;
use rules::{RuleFile, RuleSet};

use crate::sample;

const PAGE: &str = include_str!("../../../docs/rules.md");

#[test]
fn the_tables_of_the_rules_page_are_current() {
    let made = rules::with_sections(PAGE, &sample::formats()).unwrap();
    assert!(made.matches("<!-- made from the code: ").count() >= 10, "the page lost its sections");
    expect_file!["../../../docs/rules.md"].assert_eq(&made);
}

#[test]
fn the_schemas_are_current() {
    let made = format!("{:#}\n", rules::rule_file_schema());
    expect_file!["../../../docs/rules.schema.json"].assert_eq(&made);
    let made = format!("{:#}\n", rules::test_file_schema());
    expect_file!["../../../docs/tests.schema.json"].assert_eq(&made);
}

#[test]
fn every_example_of_the_rules_page_loads() {
    let mut loaded = 0;
    let mut blocks = PAGE.split("```yaml\n");
    let mut line = blocks.next().map_or(0, |before| before.matches('\n').count());
    for block in blocks {
        line += 1 + block.matches('\n').count();
        let text = block.split("```").next().unwrap_or_default();
        if text.starts_with("rule_files:") {
            continue; // run by the binary's tests
        }
        let file =
            RuleFile { name: format!("docs/rules.md, example before line {line}"), text: text.to_owned() };
        let set = RuleSet::load(&[file], &sample::formats()).unwrap_or_else(|errors| panic!("{errors:#?}"));
        assert!(!set.is_empty(), "before line {line}: no rule in it");
        loaded += set.len();
    }
    assert!(loaded >= 20, "only {loaded} rules in the examples");
}
