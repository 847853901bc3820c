//! Any frame has a header, if an empty one; its parts lie in the frame, in order, before the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use record::parse_header;

fuzz_target!(|frame: &[u8]| {
    let header = parse_header(frame);
    assert_eq!(header.message.end as usize, frame.len());
    let parts = [header.time_text, header.host, header.program, header.structured_data];
    let mut from = 0;
    for part in parts.into_iter().filter(|part| part.end > 0) {
        assert!(from <= part.start && part.start < part.end && part.end <= header.message.start);
        from = part.end;
    }
    assert!(header.pri.is_none_or(|pri| pri <= 191));
});
