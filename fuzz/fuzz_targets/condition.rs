//! Any text is a condition or is refused with a place within it and something to say; twice the same.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use record::FormatSet;
use rules::Condition;

static FORMATS: LazyLock<FormatSet> = LazyLock::new(|| FormatSet::shipped(chrono_tz::Asia::Shanghai));

fuzz_target!(|text: &str| {
    for (_, format) in FORMATS.iter() {
        match (Condition::compile(text, format), Condition::compile(text, format)) {
            (Ok(_), Ok(_)) => {}
            (Err(first), Err(second)) => {
                assert_eq!(first, second);
                assert!(text.is_char_boundary(first.offset), "{first:?}");
                assert!(!first.message.is_empty());
            }
            (first, second) => panic!("{first:?}, then {second:?}"),
        }
    }
});
