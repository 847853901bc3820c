//! Headers by example, and that any bytes are read.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::rfc3339_ms;

#[expect(clippy::needless_pass_by_value, reason = "`expect!` makes values")]
fn check(frame: &str, expect: Expect) {
    let header = parse_header(frame.as_bytes());
    let text = |span: Span| &frame.as_bytes()[span.start as usize..span.end as usize];
    let mut shown = Vec::new();
    shown.extend(header.pri.map(|pri| format!("pri={pri}")));
    shown.extend(header.time.map(|time| match time {
        SyslogTime::Instant(ms) => rfc3339_ms(ms),
        SyslogTime::Yearless { month, day, hour, minute, second } => {
            format!("{month}/{day} {hour}:{minute}:{second}")
        }
    }));
    let parts = [("host", header.host), ("program", header.program), ("sd", header.structured_data)];
    for (name, span) in parts.into_iter().filter(|(_, span)| *span != Span::default()) {
        shown.push(format!("{name}={}", String::from_utf8_lossy(text(span))));
    }
    shown.push(format!("{:?}", String::from_utf8_lossy(text(header.message))));
    expect.assert_eq(&shown.join(" "));
}

#[test]
fn rfc_5424() {
    check(
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed",
        expect![[
            r#"pri=34 2003-10-11T22:14:15.003Z host=mymachine.example.com program=su "'su root' failed""#
        ]],
    );
    check(
        "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time.",
        expect![[r#"pri=165 2003-08-24T12:14:15.000Z host=192.0.2.1 program=myproc "%% It's time.""#]],
    );
    check(
        "<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [ex@32473 iut=\"3\" s=\"A\"][b] msg",
        expect![[
            r#"pri=165 2003-10-11T22:14:15.003Z host=h program=evntslog sd=[ex@32473 iut="3" s="A"][b] "msg""#
        ]],
    );
    check(
        "<165>1 2003-10-11T22:14:15.003Z h e - ID47 [ex@32473 iut=\"\\\"]\\\\\"]",
        expect![[r#"pri=165 2003-10-11T22:14:15.003Z host=h program=e sd=[ex@32473 iut="\"]\\"] """#]],
    );
    check("<13>1 - - - - - -", expect![[r#"pri=13 """#]]);
    check("<13>1 - - - - - - ", expect![[r#"pri=13 """#]]);
    check("<13>1 - h a p m [broken=\"x] msg", expect![[r#"pri=13 host=h program=a "[broken=\"x] msg""#]]);
    check(
        "<13>1 - h a p m -  a message of rsyslog's own",
        expect![[r#"pri=13 host=h program=a "a message of rsyslog's own""#]],
    );
    check(
        "<13>1 - h a p m -     an indented line",
        expect![[r#"pri=13 host=h program=a "    an indented line""#]],
    );
    check("<13>999 - h a p m - a later version", expect![[r#"pri=13 host=h program=a "a later version""#]]);
    check(
        "<13>1 2003-10-11 h a p m - no such timestamp",
        expect![[r#"pri=13 "1 2003-10-11 h a p m - no such timestamp""#]],
    );
    check("<13>1 - h a", expect![[r#"pri=13 "1 - h a""#]]);
}

#[test]
fn rfc_3164() {
    check(
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
        expect![[r#"pri=34 10/11 22:14:15 host=mymachine program=su "'su root' failed""#]],
    );
    check(
        "<34>Oct  1 22:14:15 mymachine su[230]: x",
        expect![[r#"pri=34 10/1 22:14:15 host=mymachine program=su "x""#]],
    );
    check(
        "<34>oct 01 22:14:15 10.0.0.7 su[230]:x",
        expect![[r#"pri=34 10/1 22:14:15 host=10.0.0.7 program=su "x""#]],
    );
    check(
        "<34>Oct 11 22:14:15 su: without a host",
        expect![[r#"pri=34 10/11 22:14:15 program=su "without a host""#]],
    );
    check(
        "<34>Oct 11 22:14:15 fe80::1 app/sub.x@y: an IPv6 host",
        expect![[r#"pri=34 10/11 22:14:15 host=fe80::1 program=app/sub.x@y "an IPv6 host""#]],
    );
    check(
        "<34>Oct 11 22:14:15 host no tag here: just words",
        expect![[r#"pri=34 10/11 22:14:15 host=host "no tag here: just words""#]],
    );
    check(
        "<34>Oct 11 22:14:15 host http://example.com/ is no tag",
        expect![[r#"pri=34 10/11 22:14:15 host=host "http://example.com/ is no tag""#]],
    );
    check(
        "<34>Oct 11 22:14:15 host 2016-07-22 18:15:00.512||t",
        expect![[r#"pri=34 10/11 22:14:15 host=host "2016-07-22 18:15:00.512||t""#]],
    );
    check(
        "<34>Oct 11 22:14:15 2016-07-22 18:15:00.512||t",
        expect![[r#"pri=34 10/11 22:14:15 "2016-07-22 18:15:00.512||t""#]],
    );
    check(
        "<34>Oct 11 22:14:15 host trace 2016-07-22 18:15:00.512||t",
        expect![[r#"pri=34 10/11 22:14:15 host=host program=trace "2016-07-22 18:15:00.512||t""#]],
    );
    check(
        "<34>Oct 11 22:14:15 host trace[7] 2016-07-22 18:15:00.512||t",
        expect![[r#"pri=34 10/11 22:14:15 host=host program=trace "2016-07-22 18:15:00.512||t""#]],
    );
    check(
        "<34>Oct 11 22:14:15 host trace:2016-07-22 18:15:00.512||t",
        expect![[r#"pri=34 10/11 22:14:15 host=host program=trace "2016-07-22 18:15:00.512||t""#]],
    );
    check("<34>Oct 11 22:14:15 host app:", expect![[r#"pri=34 10/11 22:14:15 host=host program=app """#]]);
    check(
        "<34>Oct 11 22:14:15 host app:   indented",
        expect![[r#"pri=34 10/11 22:14:15 host=host program=app "  indented""#]],
    );
    check("<34>Oct 11 22:14:15", expect![[r#"pri=34 10/11 22:14:15 """#]]);
    check(
        "<34>Oct 32 22:14:15 host app: no such day",
        expect![[r#"pri=34 "Oct 32 22:14:15 host app: no such day""#]],
    );
    check("<34>su[12]: no timestamp", expect![[r#"pri=34 program=su "no timestamp""#]]);
    check(
        "<34>2016-07-22 18:15:00.512||no header||",
        expect![[r#"pri=34 "2016-07-22 18:15:00.512||no header||""#]],
    );
    check("<34>||continued", expect![[r#"pri=34 "||continued""#]]);
    check("<34>", expect![[r#"pri=34 """#]]);
}

#[test]
fn rsyslog_templates() {
    check(
        "<134>2016-07-22T18:15:00.512345+08:00 pay-1 trace[7]: 2016-07-22 18:15:00.512||t",
        expect![[
            r#"pri=134 2016-07-22T10:15:00.512Z host=pay-1 program=trace "2016-07-22 18:15:00.512||t""#
        ]],
    );
    check(
        "<134>2016-07-22T10:15:00Z pay-1 trace: x",
        expect![[r#"pri=134 2016-07-22T10:15:00.000Z host=pay-1 program=trace "x""#]],
    );
    check(
        "<134>2016-07-22T18:15:00 pay-1 trace: no offset, no timestamp",
        expect![[r#"pri=134 "2016-07-22T18:15:00 pay-1 trace: no offset, no timestamp""#]],
    );
    check(
        "Jul 22 18:15:00 pay-1 trace: 2016-07-22 18:15:00.512||t",
        expect![[r#"7/22 18:15:0 host=pay-1 program=trace "2016-07-22 18:15:00.512||t""#]],
    );
    check(
        "2016-07-22T18:15:00.512345+08:00 pay-1 trace: 2016-07-22 18:15:00.512||t",
        expect![[r#"2016-07-22T10:15:00.512Z host=pay-1 program=trace "2016-07-22 18:15:00.512||t""#]],
    );
    check(
        "2016-07-22T18:15:00.512345+08:00 pay-1 trace 2016-07-22 18:15:00.512||t",
        expect![[r#"2016-07-22T10:15:00.512Z host=pay-1 program=trace "2016-07-22 18:15:00.512||t""#]],
    );
    check(
        "2016-07-22 18:15:00.512||what modules print: all message||",
        expect![[r#""2016-07-22 18:15:00.512||what modules print: all message||""#]],
    );
    check(
        "2016-07-22T18:15:00.512+08:00 some words without a tag",
        expect![[r#""2016-07-22T18:15:00.512+08:00 some words without a tag""#]],
    );
    check("Jul 22 18:15:00 and no tag either", expect![[r#""Jul 22 18:15:00 and no tag either""#]]);
    check("July is no month here: x", expect![[r#""July is no month here: x""#]]);
    check(
        " 2016-07-22 18:15:00.512||the template was %msg% alone||",
        expect![[r#""2016-07-22 18:15:00.512||the template was %msg% alone||""#]],
    );
    check("  two spaces are an indentation", expect![[r#""  two spaces are an indentation""#]]);
    check("act=pay type=req", expect![[r#""act=pay type=req""#]]);
    check("||continued", expect![[r#""||continued""#]]);
    check("\u{feff}a mark at the beginning", expect![[r#""a mark at the beginning""#]]);
    check("", expect![[r#""""#]]);
}

#[test]
fn wrong_pri_is_message() {
    for frame in ["<192>x", "<1234>x", "<>x", "<a>x", "<13x", "< 13>x", "<-1>x"] {
        let header = parse_header(frame.as_bytes());
        assert_eq!(
            (header.pri, header.message),
            (None, Span { start: 0, end: frame.len() as u32 }),
            "{frame}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn any_bytes_are_read_and_the_message_ends_the_frame(
        frame in prop::collection::vec(any::<u8>(), 0..60),
        pri in 0..3_usize,
    ) {
        let prefix = [&b""[..], b"<13>", b"<13>1 "][pri];
        let frame = [prefix, &frame[..]].concat();
        let header = parse_header(&frame);
        prop_assert_eq!(header.message.end as usize, frame.len());
        for span in [header.time_text, header.host, header.program, header.structured_data] {
            prop_assert!(span.start <= span.end && span.end <= header.message.start);
        }
    }

    #[test]
    fn what_is_put_in_a_header_comes_out(
        pri in 0..=191_u8,
        host in "[a-z0-9][a-z0-9.-]{0,20}",
        program in "[a-zA-Z][a-zA-Z0-9_/.-]{0,20}",
        pid in prop::option::of(0..99_999_u32),
        message in "[a-z].{0,40}",
        form in 0..3_usize,
    ) {
        let tag = pid.map_or_else(|| format!("{program}:"), |pid| format!("{program}[{pid}]:"));
        let frame = match form {
            0 => format!("<{pri}>1 2016-07-22T18:15:00.512+08:00 {host} {program} 7 - [a b=\"c\"] {message}"),
            1 => format!("<{pri}>2016-07-22T18:15:00.512+08:00 {host} {tag} {message}"),
            _ => format!("<{pri}>Jul 22 18:15:00 {host} {tag} {message}"),
        };
        let header = parse_header(frame.as_bytes());
        let text = |span: Span| String::from_utf8_lossy(&frame.as_bytes()[span.start as usize..span.end as usize]);
        prop_assert_eq!(header.pri, Some(pri));
        prop_assert_eq!(text(header.host), host);
        prop_assert_eq!(text(header.program), program);
        prop_assert_eq!(text(header.message), message);
    }
}
