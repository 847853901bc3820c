//! Whole frames through the decoder.

use std::sync::{Arc, LazyLock};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::{
    Batch, DecodeCounts, Decoder, FormatConfig, FormatId, FormatSet, IllTyped, PlainReason, RowFlags, Span,
    Transport, dump,
};

const GOLDEN: &str = include_str!("../../corpus/golden.log");

fn shipped() -> Arc<FormatSet> {
    Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai))
}

fn decode(pinned: Option<&str>, frames: &[&[u8]]) -> (String, DecodeCounts) {
    let formats = shipped();
    let pinned = pinned.map(|name| formats.find(name).unwrap());
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, pinned);
    let mut batch = Batch::default();
    for frame in frames {
        decoder.push(&mut batch, 0, frame, Some(1_469_182_500_000), false);
    }
    decoder.flush(&mut batch, 0);
    (batch.records(&formats).map(|r| dump(&r)).collect(), decoder.take_counts())
}

#[expect(clippy::needless_pass_by_value, reason = "`expect!` makes values")]
fn check(frame: impl AsRef<[u8]>, expect: Expect) {
    expect.assert_eq(&decode(None, &[frame.as_ref()]).0);
}

#[test]
fn the_golden_line_reads_as_it_does_by_eye() {
    let (_, counts) = decode(None, &[GOLDEN.as_bytes()]);
    assert_eq!(counts.ill_typed.values().sum::<u64>(), 4);
    check(
        GOLDEN,
        expect![[r#"
        order-trace event=2016-07-22T10:15:00.512Z
            log_time "2016-07-22 18:15:00.512" = 2016-07-22T10:15:00.512Z
            thread "pool-73-thread-4"
            module "通道适配器"
            step "通道适配器-发三方后"
            order_no "CEX16XXXXXXX5751"
            serial_no "16201XXXX337"
            order_status "04"
            response_code "9000"
            response_message "【结算平台消息】处理中"
            merchant_no "0000105"
            account_no "98XX543210"
            channel "GHT"
            pay_type "03"
            card_type "11"
            request_time "2016-07-22 18:15:00.512" = 2016-07-22T10:15:00.512Z
            payer_name "张张"
            id_type "01"
            interface "tunnelQuery"
            success "true" = true
            status_text "Pending"
            host_ip "10.100.140.101" = 10.100.140.101
            trace_id "8cff785d-0d01-4ed4-b771-cb0b1faa7f95"
            client_ip "10.999.140.101" (not an IP address)
            operation "O001"
            amount "0.01" = 0.01
            notify_url "http://10.100.444.59:8080/regression/notice"
            elapsed_ms "240" = 240
            order_created_at "2016-07-20 19:06:13.000xxxxxxx" (not a timestamp)
            sent_at "2016-07-22 18:15:00.170" = 2016-07-22T10:15:00.170Z
            replied_at "2016-07-22 18:15:00.496xxxxxxxxxxxxxxxxxxxx" (not a timestamp)
            settled_at "2016-07-2019:06:13.000" (not a timestamp)
            bank_id_type "01"
            bank_code "0103"
            bank_account_hash "111xxxxxxxxxxxxxxxxxxxxxxxxx"
            payer_name_enc "8fb64154bbea060afec5cd2bb0c36a752be734f3e9424ba7xxxxxxxxxxxxxxxxxxxx"
            card_no "622xxxxxxxxxxxxxxxx"
            phone_enc "9bc195a59dd35a47"
            id_no_enc "f2ba5254f9e22914824881c242d211"
            callback_token "6xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx010"
    "#]],
    );
}

#[test]
fn the_golden_line_is_not_changed_by_masking() {
    let formats = shipped();
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, None);
    let mut batch = Batch::default();
    decoder.push(&mut batch, 0, GOLDEN.as_bytes(), None, false);
    assert_eq!(batch.record(0, &formats).frame(), GOLDEN.trim_end());
}

#[test]
fn forwarded_by_rsyslog() {
    check(
        "<134>2016-07-22T18:15:00.512+08:00 pay-1 order-trace: 2016-07-22 18:15:00.512||t||m||s||o1",
        expect![[r#"
        order-trace event=2016-07-22T10:15:00.512Z short
          pri 134
          host "pay-1"
          program "order-trace"
            log_time "2016-07-22 18:15:00.512" = 2016-07-22T10:15:00.512Z
            thread "t"
            module "m"
            step "s"
            order_no "o1"
    "#]],
    );
    check(
        "<13>1 2016-07-22T18:15:00.512+08:00 h app 1 - [a b=\"c]\"] \u{feff}act=pay code=7 msg=\"a b\" x=1",
        expect![[r#"
        logfmt event=2016-07-22T10:15:00.512Z
          pri 13
          host "h"
          program "app"
          sd "[a b=\"c]\"]"
            act "pay"
            code "7"
            msg "a b"
            + "x=1"
    "#]],
    );
    check(
        "<13>Jul 22 18:15:01 h app[7]: disk full, card 4111 1111 1111 1111",
        expect![[r#"
        plain event=2016-07-22T10:15:01.000Z masked
          pri 13
          host "h"
          program "app"
            time "Jul 22 18:15:01" = 2016-07-22T10:15:01.000Z
            host "h"
            program "app"
            text "disk full, card 4111 11** **** 1111"
    "#]],
    );
    check(
        "2016-07-22 18:15:00||m||o1||s||GHT||request||application/json||{\"a\":\"x||y\"}",
        expect![[r#"
        order-message event=2016-07-22T10:15:00.000Z
            log_time "2016-07-22 18:15:00" = 2016-07-22T10:15:00.000Z
            module "m"
            order_no "o1"
            serial_no "s"
            channel "GHT"
            direction "request"
            content_type "application/json"
            body "{\"a\":\"x||y\"}"
    "#]],
    );
    check(
        "no time||and few columns",
        expect![[r#"
        plain event=2016-07-22T10:15:00.000Z unparsable
            text "no time||and few columns"
    "#]],
    );
    check(
        b"2016-07-22 18:15:00||t||\xd6\xa7\xb8\xb6\x81\x7c||s||o1",
        expect![[r#"
        order-trace event=2016-07-22T10:15:00.000Z transcoded short
            log_time "2016-07-22 18:15:00" = 2016-07-22T10:15:00.000Z
            thread "t"
            module "支付亅"
            step "s"
            order_no "o1"
    "#]],
    );
}

const RECV_MS: i64 = 1_469_182_500_000;

fn with(yaml: &str) -> Arc<FormatSet> {
    let config: FormatConfig = serde_saphyr::from_str(yaml).unwrap();
    Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai).with(vec![config]).unwrap())
}

fn rows(formats: &Arc<FormatSet>, pinned: Option<&str>, frames: &[&[u8]]) -> (Batch, DecodeCounts) {
    let pinned = pinned.map(|name| formats.find(name).unwrap());
    let mut decoder = Decoder::new(Arc::clone(formats), Transport::Syslog, pinned);
    let mut batch = Batch::default();
    for frame in frames {
        decoder.push(&mut batch, 0, frame, Some(RECV_MS), false);
    }
    decoder.flush(&mut batch, 0);
    (batch, decoder.take_counts())
}

#[test]
fn counts_by_column_and_reason() {
    let formats = shipped();
    let (trace, plain) = (formats.find("order-trace").unwrap(), formats.find("plain").unwrap());
    let long = format!("{}||more||and more", GOLDEN.trim_end());
    let many = "||".repeat(1_024);
    let frames: [&[u8]; 7] = [
        GOLDEN.as_bytes(),
        long.as_bytes(),
        b"2016-07-22 18:15:00.512||t||m",
        b"2016-07-22||t||m",
        many.as_bytes(),
        b"",
        b"\n",
    ];
    let (batch, counts) = rows(&formats, None, &frames);
    assert_eq!(counts.records, [(trace, 3), (plain, 2)].into());
    assert_eq!(counts.long, [(trace, 1)].into());
    assert_eq!(counts.short, [(trace, 1)].into());
    assert_eq!(counts.plain, [(PlainReason::NoTime, 1), (PlainReason::TooManyColumns, 1)].into());
    let ill =
        [(27, IllTyped::Ip), (37, IllTyped::Timestamp), (39, IllTyped::Timestamp), (40, IllTyped::Timestamp)];
    assert_eq!(counts.ill_typed, ill.map(|(column, why)| ((trace, column, why), 2)).into());
    let extras: Vec<&str> = batch.record(1, &formats).extras().collect();
    assert_eq!(extras, ["more", "and more"]);
    let mut twice = counts.clone();
    twice.merge(&counts);
    assert_eq!(twice.records[&trace], 6);
    assert_eq!(twice.ill_typed[&(trace, 27, IllTyped::Ip)], 4);
}

#[test]
fn a_trace_line_with_an_unreadable_time_stays_one() {
    let formats = shipped();
    let frame = b"2016-07-2218:15:00||t||m||s||o||||||||||";
    let (batch, counts) = rows(&formats, None, &[frame]);
    let trace = formats.find("order-trace").unwrap();
    assert_eq!((batch.rows[0].format, batch.rows[0].event_ms), (trace, None));
    assert_eq!(counts.ill_typed, [((trace, 0, IllTyped::Timestamp), 1)].into());
    assert_eq!(batch.record(0, &formats).text(0), Some("2016-07-2218:15:00"));
    assert_eq!(batch.record(0, &formats).value(0), None);
}

#[test]
fn a_pinned_format_is_believed_or_the_line_is_plain_with_the_reason() {
    let formats = shipped();
    let plain_because = |pinned, frame: &[u8]| {
        let (batch, counts) = rows(&formats, Some(pinned), &[frame]);
        assert_eq!(batch.rows[0].flags.has(RowFlags::UNPARSABLE), !counts.plain.is_empty());
        let format = formats.get(batch.rows[0].format).name();
        (format.to_owned(), counts.plain.into_keys().next())
    };
    let plain = |reason| ("plain".to_owned(), reason);
    assert_eq!(plain_because("order-trace", b"some words"), plain(Some(PlainReason::NoDelimiter)));
    assert_eq!(plain_because("order-trace", b"a||b"), plain(Some(PlainReason::NoTime)));
    assert_eq!(plain_because("plain", b"2016-07-22 18:15:00||b"), plain(None));
    assert_eq!(plain_because("logfmt", b"some words"), plain(Some(PlainReason::NoDelimiter)));
    assert_eq!(plain_because("logfmt", b"level=info"), ("logfmt".to_owned(), None));
    assert_eq!(plain_because("order-trace", b"2016-07-22 18:15:00||b"), ("order-trace".to_owned(), None));
}

#[test]
fn continued_frames_are_joined() {
    let yaml = "{name: c, continuation: true, time: t, min_columns: 2, columns: [{name: t, type: timestamp}, {name: a}, {name: b}, {name: c}]}";
    let formats = with(yaml);
    let frames: [&[u8]; 6] = [
        b"<13>Jul 22 18:15:00 h p: 2016-07-22 18:15:00||one",
        b"<13>Jul 22 18:15:01 h p: ||two",
        b"||three",
        b"2016-07-22 18:15:01||four",
        b"",
        b"words",
    ];
    let (batch, counts) = rows(&formats, Some("c"), &frames);
    let messages: Vec<&str> = batch.records(&formats).map(|r| r.message()).collect();
    assert_eq!(messages, ["2016-07-22 18:15:00||one||two||three", "2016-07-22 18:15:01||four", "words"]);
    assert_eq!((counts.continued, counts.records.values().sum::<u64>()), (2, 3));
    assert_eq!(batch.record(0, &formats).text(3), Some("three"));
    // Not asked for: such a frame stands alone.
    let (batch, counts) = rows(&shipped(), None, &frames);
    assert_eq!((batch.rows.len(), counts.continued), (5, 0));
}

#[test]
fn the_length_of_what_is_joined_is_bounded() {
    let yaml = "{name: c, continuation: true, columns: [{name: a}, {name: b}]}";
    let formats = with(yaml);
    let part = format!("||{}", "x".repeat(100_000));
    let frames: Vec<&[u8]> =
        std::iter::once(&b"a||b"[..]).chain(std::iter::repeat_n(part.as_bytes(), 40)).collect();
    let (batch, counts) = rows(&formats, Some("c"), &frames);
    assert!(batch.rows.iter().all(|r| r.frame.end - r.frame.start <= 1024 * 1024));
    assert_eq!(batch.rows.len() as u64 + counts.continued, 41);
}

#[test]
fn escapes_are_read_back_where_the_format_says_so() {
    let yaml = r#"{name: e, unescape: true, delimiter: "\t", columns: [{name: a}, {name: b}], detect: {program: [esc]}}"#;
    let formats = with(yaml);
    let frame = b"<13>Jul 22 18:15:00 h esc: one#011two#012three #1234 #040 #";
    for pinned in [Some("e"), None] {
        let (batch, _) = rows(&formats, pinned, &[frame]);
        let record = batch.record(0, &formats);
        assert_eq!(
            (record.text(0), record.text(1)),
            (Some("one"), Some("two\nthree #1234 #040 #")),
            "{pinned:?}"
        );
    }
    let (batch, _) = rows(&formats, Some("e"), &[b"#326#247#270#266\tb"]);
    assert_eq!(batch.record(0, &formats).text(0), Some("支付"), "bytes from 128 on, in GB18030");
    let (batch, _) = rows(&shipped(), None, &[b"one#012two"]);
    assert_eq!(batch.record(0, &shipped()).text(3), Some("one#012two"));
}

#[test]
fn formats_of_the_configuration_are_told_by_program_or_by_time_and_count() {
    let yaml = "{name: f, delimiter: '|', time: t, columns: [{name: t, type: timestamp, pattern: '%Y%m%d%H%M%S'}, {name: a}, {name: b}], detect: {program: [feed], columns: 3}}";
    let formats = with(yaml);
    let format = |frame: &[u8]| {
        let (batch, _) = rows(&formats, None, &[frame]);
        formats.get(batch.rows[0].format).name().to_owned()
    };
    assert_eq!(format(b"20160722181500|x|y"), "f");
    assert_eq!(format(b"20160722181500|x|y|z"), "plain");
    assert_eq!(format(b"x|x|y"), "plain");
    assert_eq!(format(b"<13>Jul 22 18:15:00 h feed: x|x|y"), "f");
    assert_eq!(format(b"<13>Jul 22 18:15:00 h feed: x"), "plain");
    assert_eq!(format(b"2016-07-22 18:15:00||x|y"), "order-trace");
}

#[test]
fn charsets() {
    let text = |frame: &[u8], truncated| {
        let formats = shipped();
        let mut decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, None);
        let mut batch = Batch::default();
        decoder.push(&mut batch, 0, frame, None, truncated);
        (batch.record(0, &formats).frame().to_owned(), batch.rows[0].flags.has(RowFlags::TRANSCODED))
    };
    assert_eq!(text("支付".as_bytes(), false), ("支付".into(), false));
    assert_eq!(text(b"\xd6\xa7\xb8\xb6", false), ("支付".into(), true));
    assert_eq!(text(&"支付".as_bytes()[..5], true), ("支".into(), false), "cut within a character");
    assert_eq!(text(b"\xd6\xa7\xff", false), ("支\u{fffd}".into(), true));
    let damaged = [&b"\xffx"[..], "支付".as_bytes(), b"\xff"].concat();
    assert_eq!(text(&damaged, false), ("\u{fffd}x支付\u{fffd}".into(), false), "valid in neither");
    assert_eq!(text(b"nul \0 and \x1b stay", false), ("nul \0 and \x1b stay".into(), false));
}

#[test]
fn masks_by_column() {
    let formats = shipped();
    let card = "4111111111111111";
    let mut columns = vec![String::new(); 66];
    columns[0] = "2016-07-22 18:15:00".into();
    for (name, text) in [
        ("order_no", card),
        ("trace_id", card),
        ("remark", "paid with 4111-1111-1111-1111"),
        ("card_no", "6222021234567890123"),
        ("payer_id_no", "110101199003077777"),
        ("ext14", card),
    ] {
        columns[formats.get(FormatId(0)).column(name).unwrap()] = text.into();
    }
    let line = format!("<13>Jul 22 18:15:00 {card} app: {}||{card}", columns.join("||"));
    let (batch, counts) = rows(&formats, None, &[line.as_bytes()]);
    let record = batch.record(0, &formats);
    let text = |name: &str| record.text(record.format.column(name).unwrap()).unwrap();
    assert_eq!([text("order_no"), text("trace_id")], [card; 2]);
    assert_eq!(text("remark"), "paid with 4111-11**-****-1111");
    assert_eq!(text("card_no"), "622202*********0123");
    assert_eq!(text("payer_id_no"), "110101********7777");
    assert_eq!([text("ext14"), record.host()], ["411111******1111"; 2]);
    assert_eq!(record.extras().collect::<Vec<_>>(), ["411111******1111"]);
    assert!(record.row.flags.has(RowFlags::MASKED));
    assert_eq!(counts.cards_masked, 4);
    // A line that lost some of its delimiters: the card number stands where a time should.
    for (text, kept) in [
        (card, false),
        ("6225-8001-8888-2417", true),
        ("2016-07-22 18:15:00.512", true),
        ("20160722181500", true),
    ] {
        columns.fill(String::new());
        columns[0] = "2016-07-22 18:15:00".into();
        columns[40] = text.into();
        let (batch, _) = rows(&formats, None, &[columns.join("||").as_bytes()]);
        assert_eq!(batch.record(0, &formats).text(40) == Some(text), kept, "{text}");
    }
    let (batch, _) =
        rows(&formats, None, &[format!("act=x order_no={card} card={card} 4111 1111 1111 1111").as_bytes()]);
    let masked = format!("act=x order_no={card} card=411111******1111 4111 11** **** 1111");
    assert_eq!(batch.record(0, &formats).frame(), masked);
}

#[test]
fn the_extras_of_a_logfmt_line_are_bounded() {
    let formats = shipped();
    let line = format!("act=x{}", " word".repeat(5_000));
    let (batch, _) = rows(&formats, None, &[line.as_bytes()]);
    let record = batch.record(0, &formats);
    assert_eq!(record.row.spans_len, 1_024);
    assert!(line.ends_with(record.extras().last().unwrap()));
    assert_eq!(record.extras().map(|e| e.matches("word").count()).sum::<usize>(), 5_000);
}

#[test]
fn a_tick_is_a_row_without_a_frame() {
    let formats = shipped();
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, None);
    let mut batch = Batch::default();
    decoder.push_stored(&mut batch, 0, FormatId(0), b"", 7, Some(RECV_MS), RowFlags::TICK);
    let row = &batch.rows[0];
    assert_eq!((row.lsn, row.recv_ms, row.event_ms, row.spans_len), (7, Some(RECV_MS), None, 0));
}

/// Lines of every kind, good and bad.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just(String::new()),
        "[a-z]{1,8}",
        "2016-07-22 18:1[0-9]:00(\\.[0-9]{3})?x?",
        "[0-9]{1,20}",
        "4111 ?1111 ?1111 ?1111",
        "10\\.[0-9]{1,3}\\.1\\.1",
        "支付|true|0\\.01|\u{feff}|#012|request",
        ".{0,6}",
    ];
    let header = prop_oneof![
        Just(String::new()),
        Just("<13>".to_owned()),
        "<13>Jul 22 18:15:0[0-9] [a-z0-9]{1,5} [a-z]{1,4}(\\[[0-9]{1,16}\\])?: ?",
        "<13>2016-07-22T18:15:00Z [0-9]{10,17} [a-z0-9]{1,4} ",
        "<13>1 2016-07-22T18:15:00Z h [a-z]{1,4} [0-9]{1,16} - (-|\\[a b=\"[0-9]{13,16}\"\\])  ?",
        "Jul 22 18:15:00 [0-9 ]{1,20} [a-z]{1,3}: ",
        "2016-07-22T18:15:00.512\\+08:00 h t:? ",
    ];
    let body = prop_oneof![
        prop::collection::vec(value.clone(), 0..70).prop_map(|v| v.join("||")),
        prop::collection::vec(("(order_no|act|msg|amount|time|x)", value.clone()), 0..8)
            .prop_map(|pairs| { pairs.iter().map(|(k, v)| format!("{k}={v} ")).collect::<String>() }),
        value,
    ];
    let time = prop_oneof![Just(""), Just("2016-07-22 18:15:00.512||"), Just("act=a ")];
    (header, time, body, any::<bool>()).prop_map(|(header, time, body, gbk)| {
        let line = format!("{header}{time}{body}");
        if gbk { encoding_rs::GB18030.encode(&line).0.into_owned() } else { line.into_bytes() }
    })
}

static MIXED: LazyLock<Arc<FormatSet>> = LazyLock::new(|| {
    with(
        "{name: u, unescape: true, time: t, columns: [{name: t, type: timestamp}, {name: a, mask: all}, {name: b, type: integer}]}",
    )
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_stored_frame_makes_the_row_that_it_was(
        lines in prop::collection::vec(lines(), 1..4),
        pinned in prop::sample::select(&[None, Some("order-trace"), Some("logfmt"), Some("u")][..]),
        recv_ms in prop::option::of(Just(RECV_MS)),
    ) {
        let formats = Arc::clone(&MIXED);
        let pinned = pinned.map(|name| formats.find(name).unwrap());
        let mut decoder = Decoder::new(Arc::clone(&formats), Transport::Syslog, pinned);
        let mut batch = Batch::default();
        for line in &lines {
            decoder.push(&mut batch, 0, line, recv_ms, false);
        }
        let mut reader = Decoder::new(Arc::clone(&formats), Transport::File, None);
        for (index, row) in batch.rows.iter().enumerate() {
            let mut again = Batch::default();
            let frame = batch.slice(row.frame);
            prop_assert!(std::str::from_utf8(frame).is_ok());
            reader.push_stored(&mut again, row.source, row.format, frame, 9, row.recv_ms, row.flags);
            prop_assert_eq!(dump(&batch.record(index, &formats)), dump(&again.record(0, &formats)));
            let relative = |batch: &Batch, index: usize| {
                let mut row = batch.rows[index].clone();
                let base = row.frame.start;
                let shifted = |s: Span| {
                    if s.start == s.end { Span::default() } else { Span { start: s.start - base, end: s.end - base } }
                };
                let first = row.spans_start as usize;
                let columns: Vec<Span> =
                    batch.spans[first..first + row.spans_len as usize].iter().map(|s| shifted(*s)).collect();
                for span in
                    [&mut row.message, &mut row.host, &mut row.program, &mut row.structured_data, &mut row.frame]
                {
                    *span = shifted(*span);
                }
                (row.lsn, row.spans_start) = (0, 0);
                (row, columns)
            };
            prop_assert_eq!(relative(&batch, index), relative(&again, 0));
        }
        prop_assert_eq!(reader.take_counts(), DecodeCounts::default());
    }
}
