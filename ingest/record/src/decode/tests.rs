//! Whole frames through the decoder.

use std::sync::Arc;

use expect_test::{Expect, expect};

use crate::{Batch, DecodeCounts, Decoder, FormatSet, Transport, dump};

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
