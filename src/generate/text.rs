//! Digits, instants and hexadecimal written by hand into a byte buffer: what a line is made of, without `format!`.
//!
//! Refuses to know: lines, orders, clocks.

use chrono::{DateTime, FixedOffset};

/// Local time of the platform is UTC+8 without daylight saving (Asia/Shanghai since 1991).
const ZONE_OFFSET_MS: i64 = 8 * 3_600_000;

/// Writes `value` in decimal.
#[inline]
pub(crate) fn push_number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = digit(rest % 10);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes the last `width` (at most 20) decimal digits of `value`, with leading zeros.
#[inline]
pub(crate) fn push_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut rest = value;
    for slot in digits[..width].iter_mut().rev() {
        *slot = digit(rest % 10);
        rest /= 10;
    }
    out.extend_from_slice(&digits[..width]);
}

/// Writes an amount in hundredths as `123.45`.
#[inline]
pub(crate) fn push_cents(out: &mut Vec<u8>, cents: u64) {
    push_number(out, cents / 100);
    out.push(b'.');
    push_padded(out, cents % 100, 2);
}

/// Writes 16 hexadecimal characters of which every eighth is a letter: no run of digits is long enough to be taken
/// for a card number, so what masking finds is what was put there.
#[inline]
pub(crate) fn push_hex(out: &mut Vec<u8>, value: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    const LETTERS: &[u8; 16] = b"abcdefabcdefabcd";
    let bytes = value.to_be_bytes();
    let mut text = [0u8; 16];
    for (i, byte) in bytes.into_iter().enumerate() {
        let low = if i % 4 == 3 { LETTERS } else { HEX };
        text[2 * i] = HEX[usize::from(byte >> 4)];
        text[2 * i + 1] = low[usize::from(byte & 15)];
    }
    out.extend_from_slice(&text);
}

/// The decimal digit of a number below 10.
#[inline]
fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).unwrap_or(0)
}

/// Instants as the platform's modules write them, with the second last written kept: neighbours in a log share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LocalTime {
    second: Option<i64>,
    text: [u8; 20],
    rfc5424: Vec<u8>,
    rfc3164: Vec<u8>,
}

impl LocalTime {
    /// `YYYY-MM-DD HH:MM:SS.mmm` of an instant (milliseconds since the epoch), 23 bytes.
    #[inline]
    pub(crate) fn log_time(&mut self, instant_ms: i64) -> [u8; 23] {
        self.seek(instant_ms);
        let mut out = [0u8; 23];
        out[..20].copy_from_slice(&self.text);
        let ms = instant_ms.rem_euclid(1_000).unsigned_abs();
        out[20] = digit(ms / 100);
        out[21] = digit(ms / 10 % 10);
        out[22] = digit(ms % 10);
        out
    }

    /// `YYYY-MM-DDTHH:MM:SS.mmm+08:00` (RFC 5424 section 6.2.3).
    pub(crate) fn push_rfc5424(&mut self, out: &mut Vec<u8>, instant_ms: i64) {
        self.seek(instant_ms);
        out.extend_from_slice(&self.rfc5424);
        push_padded(out, instant_ms.rem_euclid(1_000).unsigned_abs(), 3);
        out.extend_from_slice(b"+08:00");
    }

    /// `Mmm dd hh:mm:ss` (RFC 3164 section 4.1.2).
    pub(crate) fn push_rfc3164(&mut self, out: &mut Vec<u8>, instant_ms: i64) {
        self.seek(instant_ms);
        out.extend_from_slice(&self.rfc3164);
    }

    fn seek(&mut self, instant_ms: i64) {
        let second = instant_ms.div_euclid(1_000);
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        let local = local(second * 1_000);
        let text = local.format("%Y-%m-%d %H:%M:%S.").to_string();
        // Years beyond 9999 do not fit; the command line refuses them.
        self.text.copy_from_slice(text.as_bytes().get(..20).unwrap_or(b"0000-00-00 00:00:00."));
        self.rfc5424 = local.format("%Y-%m-%dT%H:%M:%S.").to_string().into_bytes();
        self.rfc3164 = local.format("%b %e %H:%M:%S").to_string().into_bytes();
    }
}

/// Days since the epoch of the local date of an instant, as `YYYYMMDD` digits.
pub(crate) fn local_date(instant_ms: i64) -> String {
    local(instant_ms).format("%Y%m%d").to_string()
}

/// RFC 3339 in UTC with milliseconds, as all tools of the product print instants.
pub(crate) fn rfc3339(instant_ms: i64) -> String {
    let instant = DateTime::from_timestamp_millis(instant_ms).unwrap_or_default();
    instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn local(instant_ms: i64) -> DateTime<FixedOffset> {
    let zone = FixedOffset::east_opt(i32::try_from(ZONE_OFFSET_MS / 1_000).unwrap_or(0))
        .unwrap_or_else(|| FixedOffset::east_opt(0).expect("an offset of zero is less than a day"));
    DateTime::from_timestamp_millis(instant_ms).unwrap_or_default().with_timezone(&zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(f: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        assert_eq!(written(|o| push_number(o, 0)), "0");
        assert_eq!(written(|o| push_number(o, u64::MAX)), "18446744073709551615");
        assert_eq!(written(|o| push_padded(o, 42, 5)), "00042");
        assert_eq!(written(|o| push_padded(o, 123_456, 3)), "456");
        assert_eq!(written(|o| push_cents(o, 1)), "0.01");
        assert_eq!(written(|o| push_cents(o, 1_234_567)), "12345.67");
    }

    #[test]
    fn hexadecimal_has_no_long_run_of_digits() {
        let text = written(|o| push_hex(o, 0x1111_1111_1111_1111));
        assert_eq!(text, "1111111b1111111b");
    }

    #[test]
    fn instants_are_local_and_follow_the_second() {
        let mut time = LocalTime::default();
        let at = 1_469_182_500_512; // 2016-07-22T10:15:00.512Z
        assert_eq!(&time.log_time(at), b"2016-07-22 18:15:00.512");
        assert_eq!(&time.log_time(at + 500), b"2016-07-22 18:15:01.012");
        assert_eq!(&time.log_time(at - 13), b"2016-07-22 18:15:00.499");
        assert_eq!(written(|o| time.push_rfc5424(o, at)), "2016-07-22T18:15:00.512+08:00");
        assert_eq!(written(|o| time.push_rfc3164(o, at - 15 * 86_400_000)), "Jul  7 18:15:00");
        assert_eq!(rfc3339(at), "2016-07-22T10:15:00.512Z");
        assert_eq!(local_date(at + 6 * 3_600_000), "20160723");
    }
}
