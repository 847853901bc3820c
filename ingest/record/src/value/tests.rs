//! Texts to values: by example, against the standard library and chrono, and the check against the parser.

use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::format::Check;
use crate::time::{OffsetCache, parse_iso, parse_pattern, parse_rfc3339, resolve, resolve_yearless};
use crate::{ColumnType, parse_timestamp};

const SHANGHAI: Tz = chrono_tz::Asia::Shanghai;

fn timestamp(text: &str, zone: Tz) -> Option<String> {
    parse_timestamp(text.as_bytes(), zone).map(rfc3339_ms)
}

#[test]
fn timestamps_of_the_default_form() {
    for (text, expect) in [
        ("2016-07-22 18:15:00.512", "2016-07-22T10:15:00.512Z"),
        ("2016-07-22 18:15:00", "2016-07-22T10:15:00.000Z"),
        ("2016-07-22 18:15:00.5", "2016-07-22T10:15:00.500Z"),
        ("2016-07-22 18:15:00.123456789", "2016-07-22T10:15:00.123Z"),
        ("2016-02-29 00:00:00", "2016-02-28T16:00:00.000Z"),
        ("1969-12-31 23:59:59.999", "1969-12-31T15:59:59.999Z"),
        ("9999-12-31 23:59:59", "9999-12-31T15:59:59.000Z"),
    ] {
        assert_eq!(timestamp(text, SHANGHAI).as_deref(), Some(expect), "{text}");
    }
    for text in [
        "2016-07-22 18:15:00.496xxxx",
        "2016-07-2019:06:13.000",
        "2016-07-22T18:15:00",
        "2016-07-22 18:15:00.",
        "2016-07-22 18:15:00.1234567890",
        "2016-07-22 18:15:00,512",
        "2016-07-22 18:15:00 ",
        "2016-07-22 18:15",
        "2016-07-22",
        "2015-02-29 00:00:00",
        "1900-02-29 00:00:00",
        "2016-13-01 00:00:00",
        "2016-00-01 00:00:00",
        "2016-01-00 00:00:00",
        "2016-04-31 00:00:00",
        "2016-07-22 24:00:00",
        "2016-07-22 18:60:00",
        "2016-07-22 18:15:60",
        "2016/07/22 18:15:00",
        "2016-07-22 1:15:00.00",
        "+016-07-22 18:15:00",
        "２016-07-22 18:15:00",
        "",
    ] {
        assert_eq!(timestamp(text, SHANGHAI), None, "{text}");
    }
}

#[test]
fn clocks_put_back_and_forward_take_the_earlier_reading() {
    let zone = chrono_tz::America::New_York;
    let check = |text, expect: &str| assert_eq!(timestamp(text, zone).as_deref(), Some(expect), "{text}");
    check("2016-11-06 01:30:00", "2016-11-06T05:30:00.000Z");
    check("2016-11-06 00:59:59", "2016-11-06T04:59:59.000Z");
    check("2016-11-06 02:00:00", "2016-11-06T07:00:00.000Z");
    check("2016-03-13 02:30:00", "2016-03-13T06:30:00.000Z");
    check("2016-03-13 01:59:59", "2016-03-13T06:59:59.000Z");
    check("2016-03-13 03:00:00", "2016-03-13T07:00:00.000Z");
}

#[test]
fn iso_and_patterns() {
    let iso = |text: &str| parse_iso(text.as_bytes(), SHANGHAI).map(rfc3339_ms);
    let expect = Some("2016-07-22T10:15:00.512Z".to_owned());
    for text in [
        "2016-07-22T18:15:00.512",
        "2016-07-22 18:15:00.512",
        "2016-07-22T10:15:00.512Z",
        "2016-07-22T18:15:00.512+08:00",
        "2016-07-22 18:15:00.512+0800",
        "2016-07-22T05:15:00.512-05:00",
    ] {
        assert_eq!(iso(text), expect, "{text}");
    }
    for text in
        ["2016-07-22T10:15:00z", "2016-07-22T10:15:00+8", "2016-07-22T10:15:00+24:00", "2016-07-22X10:15:00"]
    {
        assert_eq!(iso(text), None, "{text}");
    }
    assert_eq!(parse_rfc3339(b"2016-07-22T18:15:00"), None);
    assert_eq!(parse_rfc3339(b"2016-07-22 18:15:00Z"), None);
    let pattern = |text: &str, pattern| parse_pattern(text, pattern, SHANGHAI).map(rfc3339_ms);
    assert_eq!(
        pattern("22/07/2016 18:15:00", "%d/%m/%Y %H:%M:%S").as_deref(),
        Some("2016-07-22T10:15:00.000Z")
    );
    assert_eq!(pattern("20160722", "%Y%m%d").as_deref(), Some("2016-07-21T16:00:00.000Z"));
    assert_eq!(pattern("1469182500", "%s").as_deref(), Some("2016-07-22T10:15:00.000Z"));
    assert_eq!(
        pattern("2016-07-22 06:15 +0000", "%Y-%m-%d %H:%M %z").as_deref(),
        Some("2016-07-22T06:15:00.000Z")
    );
    assert_eq!(pattern("22/07/2016", "%d/%m/%Y %H:%M:%S"), None);
    assert_eq!(pattern("20160722x", "%Y%m%d"), None);
}

#[test]
fn a_date_without_year_is_the_nearest() {
    let near = |text: &str| parse_iso(text.as_bytes(), SHANGHAI).unwrap();
    let read = |month, day, near| resolve_yearless((month, day, 0), near, SHANGHAI).map(rfc3339_ms);
    assert_eq!(read(7, 22, near("2016-07-22T18:15:00")).as_deref(), Some("2016-07-21T16:00:00.000Z"));
    assert_eq!(read(12, 31, near("2017-01-01T00:00:05")).as_deref(), Some("2016-12-30T16:00:00.000Z"));
    assert_eq!(read(1, 1, near("2016-12-31T23:59:59")).as_deref(), Some("2016-12-31T16:00:00.000Z"));
    assert_eq!(read(2, 29, near("2017-03-01T00:00:00")).as_deref(), Some("2016-02-28T16:00:00.000Z"));
    assert_eq!(read(2, 30, near("2017-03-01T00:00:00")), None);
}

#[test]
fn numbers_truth_values_and_addresses() {
    let decimal = |text| parse_decimal(text).map(|d| d.to_string());
    for text in
        ["0", "0.01", "-12.50", "123456789012345678", "1234567890123456789", "79228162514264337593543950335"]
    {
        assert_eq!(decimal(text).as_deref(), Some(text));
    }
    assert_eq!(decimal("+1.50").as_deref(), Some("1.50"));
    assert_eq!(decimal("007").as_deref(), Some("7"));
    for text in ["", "-", ".5", "5.", "1e3", "1,000", "1_000", " 1", "0x10", "NaN", "1.2.3", "--1", "１"] {
        assert_eq!(decimal(text), None, "{text}");
    }
    assert_eq!(decimal("79228162514264337593543950336"), None);
    assert_eq!(decimal("0.00000000000000000000000000001"), None);
    assert_eq!(parse_decimal("1.0"), parse_decimal("1.00"));
    assert_eq!(parse_integer(b"-9223372036854775808"), Some(i64::MIN));
    assert_eq!(parse_integer(b"9223372036854775808"), None);
    for text in ["", "1.0", "1e3", " 1", "-", "0x1"] {
        assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
    }
    assert_eq!(
        [parse_bool(b"true"), parse_bool(b"FALSE"), parse_bool(b"True")],
        [Some(true), Some(false), Some(true)]
    );
    assert_eq!([parse_bool(b"1"), parse_bool(b"yes"), parse_bool(b"t")], [None; 3]);
    for text in [
        "10.999.140.101",
        "10.1.1",
        "10.1.1.1.1",
        "010.1.1.1",
        "10.1.1.1 ",
        "10..1.1",
        "",
        "1.1.1.1:80",
        "::g",
    ] {
        assert_eq!(parse_ip(text.as_bytes()), None, "{text}");
    }
}

fn kinds() -> Vec<ColumnType> {
    let stamp = |pattern: &str| ColumnType::Timestamp { zone: SHANGHAI, pattern: pattern.into() };
    let stamps = [stamp(""), stamp("iso"), stamp("%d/%m/%Y")];
    [ColumnType::Decimal, ColumnType::Integer, ColumnType::Bool, ColumnType::Ip]
        .into_iter()
        .chain(stamps)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn the_check_says_what_the_parser_says(
        text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|[+-][0-9:]{2,6})?|[-+]?[0-9]{0,40}(\\.[0-9]{0,31})?|[0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-3][0-9]/[01][0-9]/20[0-9]{2}|[tT]rue|[0-9a-f:]{1,12}|.{0,30}",
    ) {
        for kind in kinds() {
            let plan = crate::format::Plan::new(&[crate::Column {
                name: "c".into(),
                kind: kind.clone(),
                mask: crate::MaskRule::Cards,
            }]);
            let check: &Check = &plan.typed[0].1;
            prop_assert_eq!(check.fits(text.as_bytes()), kind.parse(&text).is_ok(), "{} {:?}", kind.name(), text);
        }
        prop_assert_eq!(parse_integer(text.as_bytes()), text.parse().ok());
        prop_assert_eq!(parse_ip(text.as_bytes()), text.parse().ok());
    }

    #[test]
    fn timestamps_read_as_chrono_reads_them(
        text in "(19|20)[0-9]{2}-[0-3][0-9]-[0-4][0-9] [0-2][0-9]:[0-6][0-9]:[0-5][0-9](\\.[0-9]{3})?|[ -:]{19}",
    ) {
        let chrono = chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok();
        let shape = text.bytes().take(19).enumerate().all(|(i, b)| b"-- ::"
            .iter().zip([4, 7, 10, 13, 16]).find(|(_, at)| *at == i)
            .map_or(b.is_ascii_digit(), |(want, _)| *want == b));
        let expected = chrono.filter(|_| shape).map(|t| t.and_utc().timestamp_millis());
        prop_assert_eq!(crate::time::local_ms(text.as_bytes()), expected, "{}", text);
    }

    #[test]
    fn remembered_offsets_are_right(
        zone in prop::sample::select(&[SHANGHAI, chrono_tz::America::New_York, chrono_tz::Australia::Lord_Howe,
            chrono_tz::Pacific::Apia, chrono_tz::Asia::Kathmandu][..]),
        start in 0..2_000_000_000_000_i64,
        steps in prop::collection::vec(-5_000_000..5_000_000_i64, 1..200),
    ) {
        let mut cache = OffsetCache::new();
        let mut local = start;
        for step in steps {
            local += step;
            prop_assert_eq!(cache.resolve(local, zone), resolve(local, zone));
        }
    }

    #[test]
    fn every_instant_is_found_again(instant in 0..4_000_000_000_000_i64) {
        use chrono::TimeZone;
        let zone = chrono_tz::America::New_York;
        let local = zone.timestamp_millis_opt(instant).unwrap().naive_local();
        let text = local.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
        let read = parse_timestamp(text.as_bytes(), zone).unwrap();
        // The hour that exists twice is read as the first.
        prop_assert!(read == instant || read == instant - 3_600_000);
    }
}
