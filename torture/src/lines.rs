//! Numbered order-trace lines: every line's order number is its own, and incidents that the shipped rules see stand
//! among them at known places.
//!
//! Refuses to know: how lines are sent.

use std::fmt::Write as _;

use chrono::{DateTime, FixedOffset};

/// Columns of the format `order-trace`.
const COLUMNS: usize = 66;
/// Every so many lines an incident begins.
const INCIDENT_EVERY: u64 = 400;
/// Network errors in a row that make `ChannelNetworkDown` fire.
const INCIDENT_LINES: u64 = 12;
/// Every so many lines one carries a card number.
const CARD_EVERY: u64 = 7;
/// China has no summer time.
const SHANGHAI_S: i32 = 8 * 3600;

/// The lines of one sender.
#[derive(Debug, Clone)]
pub struct Lines {
    /// Begins every order number: letters, unique in the drill.
    tag: String,
    /// Event time of the first line, ms since the epoch.
    first_ms: i64,
    /// Whether incidents stand among them.
    incidents: bool,
    /// Whether some carry a card number.
    cards: bool,
    /// The lines carry ids of their own in structured data, which begin so.
    eid: Option<String>,
}

impl Lines {
    /// Lines whose event times start `ahead_ms` from `now_ms` and go on by a millisecond a line: as long as the drill
    /// is shorter than that, none is late, whatever is repeated after which restart.
    pub fn new(tag: &str, now_ms: i64, ahead_ms: i64) -> Self {
        Self { tag: tag.to_owned(), first_ms: now_ms + ahead_ms, incidents: true, cards: true, eid: None }
    }

    /// The same with an id (`eid`) and a sequence number in structured data.
    #[must_use]
    pub fn with_eid(self) -> Self {
        let tag = self.tag.clone();
        self.with_eids_of(&tag)
    }

    /// [`Lines::with_eid`], the ids beginning with a tag of their own: the same messages by another sender.
    #[must_use]
    pub fn with_eids_of(mut self, sender: &str) -> Self {
        self.eid = Some(sender.to_owned());
        self
    }

    /// The same without incidents.
    #[must_use]
    pub fn calm(mut self) -> Self {
        self.incidents = false;
        self
    }

    /// The same without card numbers.
    #[must_use]
    pub fn without_cards(mut self) -> Self {
        self.cards = false;
        self
    }

    /// Order number of line `n`.
    pub fn order_no(&self, n: u64) -> String {
        format!("{}{n:07}", self.tag)
    }

    /// The number of a line of this sender, from an order number.
    pub fn number(&self, order_no: &str) -> Option<u64> {
        let digits = order_no.strip_prefix(&self.tag)?;
        (digits.len() == 7).then(|| digits.parse().ok())?
    }

    /// The message of line `n`: what a module prints.
    pub fn message(&self, n: u64) -> String {
        let mut columns = vec![String::new(); COLUMNS];
        let (channel, code) = self.channel_and_code(n);
        columns[0] = log_time(self.first_ms + n.cast_signed());
        columns[1] = "exec-1".to_owned();
        columns[2] = "PAY".to_owned();
        columns[3] = "CHANNEL_REPLY".to_owned();
        columns[4] = self.order_no(n);
        columns[9] = code.to_owned();
        columns[10] = if code == "0000" { "成功" } else { "网络异常" }.to_owned();
        columns[13] = channel;
        columns[30] = format!("{}.{:02}", n % 977, n % 100);
        if self.cards && n.is_multiple_of(CARD_EVERY) {
            let card = card(n);
            columns[24] = format!("card {} {} {} {} declined", &card[0], &card[1], &card[2], &card[3]);
            columns[48] = card.concat();
        }
        columns.join("||")
    }

    /// Line `n` as it is sent: a syslog message without framing.
    pub fn frame(&self, n: u64) -> Vec<u8> {
        let mut frame = String::new();
        let message = self.message(n);
        let written = if let Some(sender) = &self.eid {
            write!(
                frame,
                "<134>1 {} torture pay - - [lc@32473 eid=\"{sender}-{n:08x}\" seq=\"{n}\"] {message}",
                rfc3339(self.first_ms + n.cast_signed())
            )
        } else {
            write!(frame, "<134>Jul 22 18:15:00 torture pay: {message}")
        };
        written.expect("writing to a string cannot fail");
        frame.into_bytes()
    }

    /// The card number of line `n`, as a file of the node must never hold it.
    pub fn card_of(n: u64) -> Option<String> {
        n.is_multiple_of(CARD_EVERY).then(|| card(n).concat())
    }

    fn channel_and_code(&self, n: u64) -> (String, &'static str) {
        let (incident, at) = (n / INCIDENT_EVERY, n % INCIDENT_EVERY);
        if self.incidents && at <= INCIDENT_LINES {
            let code = if at < INCIDENT_LINES { "NET_ERR" } else { "0000" };
            return (format!("{}{incident}", self.tag), code);
        }
        ("UMP".to_owned(), "0000")
    }
}

/// A number that passes Luhn's test, in groups of four. No prefix or suffix that masking leaves makes it guessable.
fn card(n: u64) -> [String; 4] {
    let body = format!("62258{:010}", (n * 7_919 + 1_234_567) % 10_000_000_000);
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0') * if i.is_multiple_of(2) { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    let whole = format!("{body}{}", (10 - sum % 10) % 10);
    std::array::from_fn(|i| whole.chars().skip(4 * i).take(4).collect())
}

fn at(instant_ms: i64) -> DateTime<FixedOffset> {
    let zone = FixedOffset::east_opt(SHANGHAI_S).expect("eight hours are less than a day");
    DateTime::from_timestamp_millis(instant_ms).unwrap_or_default().with_timezone(&zone)
}

fn log_time(instant_ms: i64) -> String {
    at(instant_ms).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

fn rfc3339(instant_ms: i64) -> String {
    at(instant_ms).to_rfc3339_opts(chrono::SecondsFormat::Millis, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_its_own_and_cards_pass_luhn() {
        let lines = Lines::new("TRA", 1_469_182_500_000, 0);
        assert_eq!(lines.number(&lines.order_no(17)), Some(17));
        assert_eq!(lines.number("TRAX000017"), None);
        assert_eq!(lines.message(3).split("||").count(), COLUMNS);
        assert!(lines.message(0).starts_with("2016-07-22 18:15:00.000||"));
        for n in (0..700).step_by(7) {
            let digits: Vec<u32> = card(n).concat().bytes().map(|b| u32::from(b - b'0')).collect();
            let sum: u32 = digits
                .iter()
                .rev()
                .enumerate()
                .map(|(i, d)| if i % 2 == 1 { d * 2 / 10 + d * 2 % 10 } else { *d })
                .sum();
            assert_eq!((digits.len(), sum % 10), (16, 0), "{digits:?}");
        }
    }
}
