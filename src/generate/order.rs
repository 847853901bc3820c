//! One order on its way through the modules: what all its lines share, written once, and where it stands.
//!
//! Refuses to know: other orders, incidents, files, sockets.

use super::catalog::{
    BANKS, CHANNELS, FAMILY_NAMES, HEAD, MERCHANTS, PAID, PENDING, REFUSED, Step, TEST_CARDS, UNREACHABLE,
};
use super::rng::Rng;
use super::text::{LocalTime, local_date, push_cents, push_hex, push_number, push_padded};

/// One order in this many shows an unmasked (test) card number in a remark.
const CARD_ONE_IN: u32 = 500;
/// One order in this many has a value that does not fit its column's type.
const ILL_TYPED_ONE_IN: u32 = 1_000;
/// One order in this many is a refund of an earlier one.
const REFUND_ONE_IN: u32 = 50;

/// Pieces of a line that all lines of an order share; the columns that change stand between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// `order_no||serial_no||`
    Numbers,
    /// `channel_serial_no`, once the channel is called
    ChannelSerial,
    /// `||original_order_no||`
    Original,
    /// `||merchant_no||account_no||`
    Merchant,
    /// `||pay_type||card_type||request_time||payer_name||payer_id_no||id_type||`
    Payer,
    /// `||trace_id||client_ip||`
    Trace,
    /// `||currency||amount||fee||refund_amount||settle_date||notify_url||`
    Money,
    /// `||order_created_at||`
    Created,
    /// `||batch_no||` to the last column
    Rest,
}

const PIECES: usize = 9;

/// Client addresses begin with 11 to 122.
const FIRST_OCTET_MIN: u8 = 11;
const FIRST_OCTETS: u8 = 112;

/// Which part of its steps an order is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Up to the call of the channel.
    Head,
    /// The channel has not decided yet, or was not reached.
    Detour,
    /// The outcome.
    Tail,
}

/// An order.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    text: Vec<u8>,
    ends: [u32; PIECES],
    /// Index into the channel table.
    pub(crate) channel: usize,
    /// Amount in hundredths.
    pub(crate) cents: u64,
    /// Whether the channel refuses it in the end, and the index of the reason.
    pub(crate) refusal: Option<usize>,
    /// Which network error it meets, should it meet one.
    pub(crate) network_error: usize,
    /// The channel says `9000` first.
    pub(crate) pending_first: bool,
    /// It was planned to fail at this instant.
    pub(crate) fails_at_ms: Option<i64>,
    /// Card number that shows in a remark.
    pub(crate) card: Option<&'static str>,
    /// A number that tells instances and threads apart.
    pub(crate) salt: u32,
    /// Log time of its next line, milliseconds since the epoch.
    pub(crate) time_ms: i64,
    /// Column `elapsed_ms` of its next line.
    pub(crate) elapsed_ms: i64,
    /// Column `sent_at`, when known.
    pub(crate) sent: [u8; 23],
    /// Column `replied_at`, when known.
    pub(crate) replied: [u8; 23],
    /// Column `settled_at`, when known.
    pub(crate) settled: [u8; 23],
    part: Part,
    index: usize,
    detour: &'static [Step],
}

impl Default for Order {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            ends: [0; PIECES],
            channel: 0,
            cents: 0,
            refusal: None,
            network_error: 0,
            pending_first: false,
            fails_at_ms: None,
            card: None,
            salt: 0,
            time_ms: 0,
            elapsed_ms: 0,
            sent: [b'0'; 23],
            replied: [b'0'; 23],
            settled: [b'0'; 23],
            part: Part::Head,
            index: 0,
            detour: &[],
        }
    }
}

/// What orders of one run share.
#[derive(Debug, Clone)]
pub(crate) struct Mint {
    /// `YYYYMMDD` of the first line: it is part of order numbers.
    date: String,
    /// Orders begun.
    pub(crate) count: u64,
    time: LocalTime,
}

impl Mint {
    /// For a log that starts at `start_ms` (milliseconds since the epoch).
    pub(crate) fn new(start_ms: i64) -> Self {
        Self { date: local_date(start_ms), count: 0, time: LocalTime::default() }
    }

    /// Makes `order` a new order that begins at `time_ms`; its memory is used again.
    pub(crate) fn begin(&mut self, order: &mut Order, rng: &mut Rng, time_ms: i64) {
        self.count += 1;
        order.channel = channel(rng);
        order.cents = amount(rng);
        order.refusal = (rng.below(100) < 7).then(|| rng.below(8) as usize);
        order.pending_first = rng.below(100) < 6;
        order.network_error = usize::from(rng.one_in(3));
        order.fails_at_ms = None;
        order.card = rng.one_in(CARD_ONE_IN).then(|| rng.pick(&TEST_CARDS));
        order.salt = rng.below(u32::MAX);
        order.time_ms = time_ms;
        order.elapsed_ms = 0;
        order.part = Part::Head;
        order.index = 0;
        order.detour = &[];
        self.write(order, rng);
    }

    fn write(&mut self, order: &mut Order, rng: &mut Rng) {
        let begun = self.time.log_time(order.time_ms);
        let refund = rng.one_in(REFUND_ONE_IN);
        let mut text = std::mem::take(&mut order.text);
        text.clear();
        let mut ends = [0u32; PIECES];
        let mut piece = 0;
        let mut end = |text: &Vec<u8>| {
            ends[piece] = u32::try_from(text.len()).unwrap_or(u32::MAX);
            piece += 1;
        };
        self.numbers(&mut text, rng);
        end(&text);
        channel_serial(&mut text, rng, order.channel);
        end(&text);
        original(&mut text, &self.date, self.count, refund);
        end(&text);
        merchant(&mut text, rng);
        end(&text);
        payer(&mut text, rng, &begun, refund);
        end(&text);
        trace(&mut text, rng);
        end(&text);
        money(&mut text, &self.date, order.cents, refund);
        end(&text);
        created(&mut text, rng, &begun);
        end(&text);
        rest(&mut text, rng, &self.date);
        end(&text);
        order.text = text;
        order.ends = ends;
    }

    fn numbers(&self, text: &mut Vec<u8>, rng: &mut Rng) {
        order_number(text, &self.date, self.count);
        text.extend_from_slice(b"||16");
        push_padded(text, u64::from(rng.below(u32::MAX)), 10);
        text.extend_from_slice(b"||");
    }
}

impl Order {
    /// A piece that all its lines share.
    #[inline]
    pub(crate) fn piece(&self, piece: Piece) -> &[u8] {
        let index = piece as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.text[start..self.ends[index] as usize]
    }

    /// Order number and serial number joined by the delimiter.
    pub(crate) fn numbers(&self) -> &[u8] {
        let piece = self.piece(Piece::Numbers);
        &piece[..piece.len() - 2]
    }

    /// Its order number.
    pub(crate) fn order_no(&self) -> &[u8] {
        let numbers = self.numbers();
        let end = numbers.iter().position(|b| *b == b'|').unwrap_or(numbers.len());
        &numbers[..end]
    }

    /// The step that its next line tells of.
    #[inline]
    pub(crate) fn step(&self) -> &'static Step {
        match self.part {
            Part::Head => &HEAD[self.index],
            Part::Detour => &self.detour[self.index],
            Part::Tail => &self.tail()[self.index],
        }
    }

    /// Goes to the next step; false at the end. `Part::Head` ends with the call of the channel.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        self.index += 1;
        match self.part {
            Part::Head if self.index == HEAD.len() => {
                let detour: &'static [Step] = if self.pending_first { &PENDING } else { &[] };
                self.enter(detour);
                true
            }
            Part::Detour if self.index == self.detour.len() => {
                self.enter(&[]);
                true
            }
            Part::Head | Part::Detour => true,
            Part::Tail => self.index < self.tail().len(),
        }
    }

    /// Whether its next line is the first answer of the channel.
    #[inline]
    pub(crate) fn is_answered_next(&self) -> bool {
        self.index == 0 && self.part != Part::Head && self.step().channel_time
    }

    /// The call of the channel fails: the next line says so.
    pub(crate) fn fail_call(&mut self) {
        self.enter(&UNREACHABLE);
    }

    fn enter(&mut self, detour: &'static [Step]) {
        self.part = if detour.is_empty() { Part::Tail } else { Part::Detour };
        self.detour = detour;
        self.index = 0;
    }

    fn tail(&self) -> &'static [Step] {
        if self.refusal.is_some() { &REFUSED } else { &PAID }
    }
}

/// Busy channels are chosen more often: the first of the table about ten times as often as the last.
fn channel(rng: &mut Rng) -> usize {
    let count = u32::try_from(CHANNELS.len()).unwrap_or(1);
    let (a, b) = (rng.below(count), rng.below(count));
    let chosen = if rng.one_in(8) { a } else { a.min(b) };
    chosen as usize
}

/// Hundredths: half of the orders small, a tail of large ones, a third of them round.
fn amount(rng: &mut Rng) -> u64 {
    let (low, high) = match rng.below(100) {
        0..5 => (1, 1_000),
        5..50 => (1_000, 10_000),
        50..85 => (10_000, 100_000),
        85..98 => (100_000, 1_000_000),
        _ => (1_000_000, 20_000_000),
    };
    let cents = u64::from(low + rng.below(high - low));
    if cents > 1_000 && rng.one_in(3) { cents / 100 * 100 } else { cents }
}

/// `CEX` date `H` count: the letter keeps the digits from looking like a card number.
fn order_number(text: &mut Vec<u8>, date: &str, count: u64) {
    text.extend_from_slice(b"CEX");
    text.extend_from_slice(date.as_bytes().get(2..).unwrap_or_default());
    text.push(b'H');
    push_padded(text, count, 10);
}

fn channel_serial(text: &mut Vec<u8>, rng: &mut Rng, channel: usize) {
    text.extend_from_slice(CHANNELS[channel].as_bytes());
    push_padded(text, u64::from(rng.below(u32::MAX)), 12);
}

fn original(text: &mut Vec<u8>, date: &str, count: u64, refund: bool) {
    text.extend_from_slice(b"||");
    if refund {
        order_number(text, date, count.saturating_sub(1_000).max(1));
    }
    text.extend_from_slice(b"||");
}

fn merchant(text: &mut Vec<u8>, rng: &mut Rng) {
    let number = rng.below(MERCHANTS).min(rng.below(MERCHANTS));
    text.extend_from_slice(b"||");
    push_padded(text, u64::from(101 + number), 7);
    text.extend_from_slice(b"||98");
    push_padded(text, u64::from(rng.below(100_000_000)), 8);
    text.extend_from_slice(b"||");
}

fn payer(text: &mut Vec<u8>, rng: &mut Rng, begun: &[u8], refund: bool) {
    text.extend_from_slice(if refund { b"||05||" } else { b"||03||" });
    text.extend_from_slice(if rng.one_in(4) { b"12||" } else { b"11||" });
    text.extend_from_slice(begun);
    text.extend_from_slice(b"||");
    text.extend_from_slice(rng.pick(&FAMILY_NAMES).as_bytes());
    text.extend_from_slice("**||".as_bytes());
    push_padded(text, u64::from(110_101 + rng.below(540_000)), 6);
    text.extend_from_slice(b"********");
    push_padded(text, u64::from(rng.below(10_000)), 4);
    text.extend_from_slice(b"||01||");
}

fn trace(text: &mut Vec<u8>, rng: &mut Rng) {
    text.extend_from_slice(b"||");
    let start = text.len();
    push_hex(text, rng.next());
    push_hex(text, rng.next());
    for at in [8, 13, 18, 23] {
        text.insert(start + at, b'-');
    }
    text.extend_from_slice(b"||");
    if rng.one_in(ILL_TYPED_ONE_IN) {
        text.extend_from_slice(b"10.999.140.101||");
        return;
    }
    for (i, part) in rng.next().to_le_bytes().into_iter().take(4).enumerate() {
        text.extend_from_slice(if i == 0 { b"" } else { b"." });
        // The first number is one of the Internet's: no client comes from loopback or multicast.
        let part = if i == 0 { FIRST_OCTET_MIN + part % FIRST_OCTETS } else { part.max(1) };
        push_number(text, u64::from(part));
    }
    text.extend_from_slice(b"||");
}

fn money(text: &mut Vec<u8>, date: &str, cents: u64, refund: bool) {
    text.extend_from_slice(b"||CNY||");
    push_cents(text, cents);
    text.extend_from_slice(b"||");
    push_cents(text, (cents * 38 / 10_000).max(1));
    text.extend_from_slice(b"||");
    if refund {
        push_cents(text, cents);
    }
    text.extend_from_slice(b"||");
    for (i, byte) in date.bytes().enumerate() {
        if i == 4 || i == 6 {
            text.push(b'-');
        }
        text.push(byte);
    }
    text.extend_from_slice(b"||http://10.100.144.59:8080/pay/notice||");
}

fn created(text: &mut Vec<u8>, rng: &mut Rng, begun: &[u8]) {
    text.extend_from_slice(b"||");
    text.extend_from_slice(begun);
    if rng.one_in(ILL_TYPED_ONE_IN) {
        text.extend_from_slice(b"xxxx");
    }
    text.extend_from_slice(b"||");
}

fn rest(text: &mut Vec<u8>, rng: &mut Rng, date: &str) {
    let (bank, prefix) = rng.pick(&BANKS);
    text.extend_from_slice(b"||B");
    text.extend_from_slice(date.as_bytes());
    text.extend_from_slice(b"||T");
    push_padded(text, u64::from(rng.below(100_000)), 8);
    text.extend_from_slice(b"||");
    push_hex(text, rng.next());
    text.extend_from_slice(b"||01||");
    text.extend_from_slice(bank.as_bytes());
    text.extend_from_slice(b"||");
    push_hex(text, rng.next());
    text.extend_from_slice(b"||");
    push_hex(text, rng.next());
    text.extend_from_slice(b"||");
    text.extend_from_slice(prefix.as_bytes());
    text.extend_from_slice(b"******");
    push_padded(text, u64::from(rng.below(10_000)), 4);
    text.extend_from_slice(b"||");
    push_hex(text, rng.next());
    text.extend_from_slice(b"||");
    push_hex(text, rng.next());
    text.extend_from_slice(if rng.one_in(3) { b"||APP||IOS||" } else { b"||APP||AND||" });
    text.extend_from_slice(b"||||||||||||||"); // ext3 to ext9
    push_hex(text, rng.next());
    text.extend_from_slice(b"||||||||||");
}
