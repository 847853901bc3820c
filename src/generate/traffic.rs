//! The stream of lines: which order speaks next, what its line says, which incidents touch it.
//!
//! Refuses to know: files, sockets, the wall clock. Log time advances with the traffic.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::catalog::{CHANNELS, MODULES, NETWORK_ERRORS, PLAIN_TEXTS, REFUSALS, Reach, Say};
use super::incident::{Failure, Incident, Kind, LEAD_MS};
use super::order::{Mint, Order, Piece};
use super::rng::Rng;
use super::text::{LocalTime, push_cents, push_number};
use super::truth::Truth;

/// Lines that an order prints on average, other formats included: arrivals of orders follow from it.
const LINES_PER_ORDER_THOUSANDTHS: u64 = 30_900;
/// An isolated network error comes this often, give or take [`NOISE_JITTER_MS`]: at most seven in ten minutes, so
/// that together with one incident of fifteen they stay under the 25 that count as trouble in total.
const NOISE_EVERY_MS: i64 = 100_000;
/// See [`NOISE_EVERY_MS`].
const NOISE_JITTER_MS: u32 = 60_000;

/// When the stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// After this many lines.
    Lines(u64),
    /// When this many orders have printed their last line.
    Orders(u64),
    /// At this log time after the start, milliseconds.
    Duration(i64),
    /// Never.
    Endless,
}

/// What the stream is made of.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The seed: the same settings give the same bytes.
    pub(crate) seed: u64,
    /// Log time of the first lines, milliseconds since the epoch.
    pub(crate) start_ms: i64,
    /// Lines per second of log time.
    pub(crate) lines_per_second: u32,
    /// Lines of different orders may leave in the wrong order by up to this much, milliseconds.
    pub(crate) shuffle_ms: u32,
    /// Lines of the other formats are mixed in.
    pub(crate) other_formats: bool,
    /// When it ends.
    pub(crate) bound: Bound,
    /// What goes wrong.
    pub(crate) incidents: Vec<Incident>,
}

/// A line that is to be written: when and by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    /// Log time, milliseconds since the epoch.
    pub(crate) time_ms: i64,
    /// When it leaves its sender: log time and its share of the shuffle.
    pub(crate) due_ms: i64,
    /// Which module prints it.
    pub(crate) module: usize,
    /// Which instance of the module.
    pub(crate) instance: u32,
    slot: usize,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Trace,
    Message,
    Logfmt,
    Plain,
}

/// The generator.
#[derive(Debug)]
pub(crate) struct Traffic {
    settings: Settings,
    rng: Rng,
    mint: Mint,
    time: LocalTime,
    orders: Vec<Order>,
    free: Vec<usize>,
    /// Next lines of all orders on their way: due time, a tie breaker, slot.
    heap: BinaryHeap<Reverse<(i64, u64, usize)>>,
    sequence: u64,
    next_arrival_us: i64,
    failures: Vec<Failure>,
    next_failure: usize,
    next_noise_ms: i64,
    pending: Option<Line>,
    /// What the lines so far should make the shipped rules say.
    pub(crate) truth: Truth,
    /// Lines given out.
    pub(crate) lines: u64,
    /// Lines that show an unmasked card number.
    pub(crate) cards: u64,
}

impl Traffic {
    /// A stream from its beginning.
    pub(crate) fn new(settings: Settings) -> Self {
        let mut rng = Rng::new(settings.seed);
        let mut failures: Vec<Failure> = settings.incidents.iter().flat_map(Incident::failures).collect();
        failures.sort_unstable();
        Self {
            mint: Mint::new(settings.start_ms),
            time: LocalTime::default(),
            orders: Vec::new(),
            free: Vec::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            next_arrival_us: settings.start_ms * 1_000,
            failures,
            next_failure: 0,
            next_noise_ms: settings.start_ms + 30_000 + i64::from(rng.below(NOISE_JITTER_MS)),
            pending: None,
            truth: Truth::new(settings.start_ms, &settings.incidents),
            lines: 0,
            cards: 0,
            rng,
            settings,
        }
    }

    /// Log time of the beginning, milliseconds since the epoch.
    pub(crate) fn start_ms(&self) -> i64 {
        self.settings.start_ms
    }

    /// Orders begun.
    pub(crate) fn orders_begun(&self) -> u64 {
        self.mint.count
    }

    /// Appends the next line to `out`, without a line end. `None` at the end of the stream.
    #[cfg(test)]
    pub(crate) fn next_line(&mut self, out: &mut Vec<u8>) -> Option<Line> {
        let line = self.advance()?;
        self.write(&line, out);
        Some(line)
    }

    /// Decides which line comes next. `None` at the end of the stream. Each is to be written before the next call.
    pub(crate) fn advance(&mut self) -> Option<Line> {
        if self.settings.bound == Bound::Lines(self.lines) {
            return None;
        }
        let line = match self.pending.take() {
            Some(line) => line,
            None => self.next_trace_line()?,
        };
        if let Bound::Duration(duration_ms) = self.settings.bound
            && line.due_ms >= self.settings.start_ms + duration_ms
        {
            return None;
        }
        self.lines += 1;
        Some(line)
    }

    fn next_trace_line(&mut self) -> Option<Line> {
        self.start_orders();
        let Reverse((due_ms, _, slot)) = self.heap.pop()?;
        let order = &self.orders[slot];
        let module = order.step().module;
        let line = Line {
            time_ms: order.time_ms,
            due_ms,
            module,
            instance: order.salt & 3,
            slot,
            shape: Shape::Trace,
        };
        if self.settings.other_formats {
            self.add_other_formats(&line);
        }
        Some(line)
    }

    /// Starts every order that begins before the next line of those on their way.
    fn start_orders(&mut self) {
        loop {
            let next_due_ms = self.heap.peek().map_or(i64::MAX, |Reverse((due_ms, _, _))| *due_ms);
            let failure = self.failures.get(self.next_failure).copied();
            let failure_ms = failure.map_or(i64::MAX, |f| self.settings.start_ms + f.offset_ms - LEAD_MS);
            let arrival_ms = self.next_arrival_us / 1_000;
            let done = matches!(self.settings.bound, Bound::Orders(orders) if self.mint.count >= orders);
            if done || next_due_ms <= failure_ms.min(arrival_ms) {
                return;
            }
            if failure_ms <= arrival_ms {
                self.next_failure += 1;
                self.start_order(failure_ms, failure);
            } else {
                self.start_order(arrival_ms, None);
                let mean_us =
                    LINES_PER_ORDER_THOUSANDTHS * 1_000 / u64::from(self.settings.lines_per_second.max(1));
                let twice = u32::try_from(2 * mean_us).unwrap_or(u32::MAX);
                self.next_arrival_us += i64::from(self.rng.below(twice) + 1);
            }
        }
    }

    fn start_order(&mut self, time_ms: i64, failure: Option<Failure>) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.orders.push(Order::default());
            self.orders.len() - 1
        });
        self.mint.begin(&mut self.orders[slot], &mut self.rng, time_ms);
        let offset_ms = time_ms - self.settings.start_ms;
        let mut channel = failure.map_or(self.orders[slot].channel, |f| f.channel);
        while failure.is_none() && self.is_under(Kind::Silent, channel, offset_ms) {
            channel = (channel + 1) % CHANNELS.len();
        }
        let order = &mut self.orders[slot];
        order.channel = channel;
        order.fails_at_ms = failure.map(|f| self.settings.start_ms + f.offset_ms);
        self.queue(slot);
    }

    fn queue(&mut self, slot: usize) {
        self.sequence += 1;
        let jitter = i64::from(self.rng.below(self.settings.shuffle_ms + 1));
        let due_ms = self.orders[slot].time_ms + jitter;
        self.heap.push(Reverse((due_ms, self.sequence, slot)));
    }

    #[inline]
    fn is_under(&self, kind: Kind, channel: usize, offset_ms: i64) -> bool {
        self.settings.incidents.iter().any(|incident| incident.covers(kind, channel, offset_ms))
    }

    /// Brings the order behind `slot` to its next line, or lets it go.
    fn move_on(&mut self, slot: usize) {
        if !self.orders[slot].advance() {
            self.free.push(slot);
            return;
        }
        let step = self.orders[slot].step();
        let mut delay_ms = i64::from(step.delay_ms + self.rng.below(step.spread_ms + 1));
        let (channel, time_ms) = (self.orders[slot].channel, self.orders[slot].time_ms);
        let offset_ms = time_ms - self.settings.start_ms;
        if step.channel_time {
            let (a, b) = (self.rng.below(1_000), self.rng.below(1_000));
            delay_ms += 40 + i64::try_from(channel * 37 % 160).unwrap_or(0) + i64::from(a * b / 4_000);
            if self.is_under(Kind::Slow, channel, offset_ms) {
                delay_ms *= 10;
            }
        }
        if self.orders[slot].is_answered_next() {
            delay_ms = self.decide(slot, delay_ms);
        }
        let order = &mut self.orders[slot];
        order.time_ms += delay_ms;
        order.elapsed_ms = delay_ms;
        self.queue(slot);
    }

    /// The channel's answer comes in `delay_ms`: whether it is an error instead, and when it comes then.
    fn decide(&mut self, slot: usize, delay_ms: i64) -> i64 {
        let (time_ms, channel) = (self.orders[slot].time_ms, self.orders[slot].channel);
        if let Some(fails_at_ms) = self.orders[slot].fails_at_ms.take() {
            self.orders[slot].fail_call();
            return (fails_at_ms - time_ms).max(0);
        }
        let answer_ms = time_ms + delay_ms;
        let offset_ms = answer_ms - self.settings.start_ms;
        if answer_ms >= self.next_noise_ms && !self.is_under(Kind::Network, channel, offset_ms) {
            let scheduled =
                self.next_noise_ms - (self.next_noise_ms - self.settings.start_ms) % NOISE_EVERY_MS;
            let next = scheduled + NOISE_EVERY_MS + i64::from(self.rng.below(NOISE_JITTER_MS));
            self.next_noise_ms = next.max(answer_ms + NOISE_EVERY_MS - i64::from(NOISE_JITTER_MS));
            self.orders[slot].fail_call();
            return delay_ms;
        }
        if self.is_under(Kind::Decline, channel, offset_ms) && self.rng.below(100) < 60 {
            self.orders[slot].refusal = Some(self.rng.below(8) as usize);
        }
        delay_ms
    }

    /// Now and then another format's line follows: the message behind a call, a job's, a server's.
    fn add_other_formats(&mut self, line: &Line) {
        let step = self.orders[line.slot].step();
        let exchange = step.interface.starts_with("tunnel") && matches!(step.say, Say::Waiting | Say::Answer);
        let shape = match self.rng.below(500) {
            0 => Shape::Logfmt,
            1 => Shape::Plain,
            2..60 if exchange => Shape::Message,
            _ => return,
        };
        self.pending = Some(Line { shape, ..*line });
    }

    /// Appends a line (from [`Traffic::advance`]) to `out`, without a line end.
    pub(crate) fn write(&mut self, line: &Line, out: &mut Vec<u8>) {
        let time = self.time.log_time(line.time_ms);
        match line.shape {
            Shape::Trace => self.write_trace(line, &time, out),
            Shape::Message => self.write_message(line, &time, out),
            Shape::Logfmt => self.write_logfmt(line, &time, out),
            Shape::Plain => self.write_plain(line, &time, out),
        }
        // An order goes on only when no line of its present step is still to be written.
        if self.pending.is_none() {
            self.move_on(line.slot);
        }
    }

    fn write_trace(&mut self, line: &Line, time: &[u8; 23], out: &mut Vec<u8>) {
        let order = &mut self.orders[line.slot];
        let step = order.step();
        if step.reach == Reach::Sent && step.say == Say::Waiting {
            order.sent = *time;
        } else if step.channel_time {
            order.replied = *time;
        } else if step.reach == Reach::Settled && step.name == "记账后" {
            order.settled = *time;
        }
        let offset_ms = line.time_ms - self.settings.start_ms;
        let muted = !self.settings.incidents.is_empty()
            && self.settings.incidents.iter().any(|i| i.covers(Kind::Network, order.channel, offset_ms));
        let answer = Answer::of(order, step.say, muted);
        let order = &self.orders[line.slot];
        let shows_card = order.card.filter(|_| step.name == "确认支付");
        self.cards += u64::from(shows_card.is_some());
        if step.reach >= Reach::Routed {
            self.truth.see(line.time_ms, order.channel, answer.code);
        }
        write_order_trace(order, time, &answer, shows_card, out);
    }

    fn write_message(&mut self, line: &Line, time: &[u8; 23], out: &mut Vec<u8>) {
        let order = &self.orders[line.slot];
        let step = order.step();
        out.extend_from_slice(time);
        for part in ["||", MODULES[step.module].name, "||"] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(order.numbers());
        out.extend_from_slice(b"||");
        out.extend_from_slice(CHANNELS[order.channel].as_bytes());
        if step.say == Say::Waiting {
            out.extend_from_slice(b"||request||application/json||{\"orderNo\":\"");
            out.extend_from_slice(order.order_no());
            out.extend_from_slice(b"\",\"service\":\"");
            out.extend_from_slice(step.interface.as_bytes());
            out.extend_from_slice(b"\",\"currency\":\"CNY\",\"amount\":\"");
            push_cents(out, order.cents);
            out.extend_from_slice(b"\",\"signType\":\"RSA2\"}");
        } else {
            let answer = Answer::of(order, step.say, false);
            out.extend_from_slice(b"||response||application/json||{\"orderNo\":\"");
            out.extend_from_slice(order.order_no());
            for part in ["\",\"code\":\"", answer.code, "\",\"message\":\"", answer.message, "\"}"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }

    fn write_logfmt(&mut self, line: &Line, time: &[u8; 23], out: &mut Vec<u8>) {
        let order = &self.orders[line.slot];
        out.extend_from_slice(b"act=settle type=batch time=\"");
        out.extend_from_slice(time);
        out.extend_from_slice(b"\" module=");
        out.extend_from_slice(MODULES[line.module].program.as_bytes());
        out.extend_from_slice(b" order_no=");
        out.extend_from_slice(order.order_no());
        out.extend_from_slice(b" elapsed_ms=");
        push_number(out, u64::from(order.salt % 900));
        out.extend_from_slice(b" result=ok");
    }

    fn write_plain(&mut self, line: &Line, time: &[u8; 23], out: &mut Vec<u8>) {
        let salt = self.orders[line.slot].salt as usize;
        out.extend_from_slice(time);
        out.extend_from_slice(b" INFO [main] ");
        out.extend_from_slice(PLAIN_TEXTS[salt % PLAIN_TEXTS.len()].as_bytes());
    }
}

/// What a line says of the outcome.
#[derive(Debug, Clone, Copy)]
struct Answer {
    status: &'static str,
    code: &'static str,
    message: &'static str,
    success: &'static str,
    error_code: &'static str,
    status_text: &'static str,
}

const OPENED: Answer =
    Answer { status: "01", code: "", message: "", success: "", error_code: "", status_text: "Created" };
const WAITING: Answer = Answer {
    status: "04",
    code: "",
    message: "等待渠道应答",
    success: "",
    error_code: "",
    status_text: "Pending",
};
const PENDING: Answer = Answer {
    status: "04",
    code: "9000",
    message: "【结算平台消息】处理中",
    success: "true",
    error_code: "",
    status_text: "Pending",
};
const PAID: Answer = Answer {
    status: "00",
    code: "0000",
    message: "【结算平台消息】交易成功",
    success: "true",
    error_code: "",
    status_text: "Success",
};

impl Answer {
    /// `muted`: the channel is not reached at present, so nobody has an answer of it.
    fn of(order: &Order, say: Say, muted: bool) -> Self {
        match say {
            Say::Opened => OPENED,
            Say::Unreachable => {
                let (code, message) = NETWORK_ERRORS[order.network_error];
                Answer {
                    status: "04",
                    code,
                    message,
                    success: "false",
                    error_code: "CH500",
                    status_text: "Unknown",
                }
            }
            Say::Waiting => WAITING,
            _ if muted => WAITING,
            Say::Pending => PENDING,
            Say::Answer | Say::Outcome => match order.refusal {
                None => PAID,
                Some(reason) => {
                    let (code, message) = REFUSALS[reason];
                    Answer {
                        status: "05",
                        code,
                        message,
                        success: "false",
                        error_code: "CH400",
                        status_text: "Failed",
                    }
                }
            },
        }
    }
}

/// The 66 columns of `order-trace`.
fn write_order_trace(order: &Order, time: &[u8; 23], answer: &Answer, card: Option<&str>, out: &mut Vec<u8>) {
    let step = order.step();
    let module = &MODULES[step.module];
    let mut put = |part: &[u8]| out.extend_from_slice(part);
    put(time);
    put(module.thread.as_bytes());
    put(THREADS[(order.salt >> 2 & 15) as usize].as_bytes());
    for part in ["||", module.name, "||", module.name, "-", step.name, "||"] {
        put(part.as_bytes());
    }
    put(order.piece(Piece::Numbers));
    if step.reach >= Reach::Sent {
        put(order.piece(Piece::ChannelSerial));
    }
    put(order.piece(Piece::Original));
    for part in [answer.status, "||", answer.code, "||", answer.message] {
        put(part.as_bytes());
    }
    put(order.piece(Piece::Merchant));
    if step.reach >= Reach::Routed {
        put(CHANNELS[order.channel].as_bytes());
    }
    put(order.piece(Piece::Payer));
    for part in
        [step.interface, "||", answer.success, "||", answer.error_code, "||", answer.status_text, "||"]
    {
        put(part.as_bytes());
    }
    if let Some(card) = card {
        put("用户输入卡号 ".as_bytes());
        put(card.as_bytes());
        put("，验证通过".as_bytes());
    }
    put(b"||");
    put(module.host_ip.as_bytes());
    put(INSTANCES[(order.salt & 3) as usize].as_bytes());
    put(order.piece(Piece::Trace));
    put(step.operation.as_bytes());
    put(order.piece(Piece::Money));
    if step.name == "发送商户通知后" {
        put(b"SUCCESS");
    }
    put(b"||");
    push_number(out, order.elapsed_ms.unsigned_abs());
    let mut put = |part: &[u8]| out.extend_from_slice(part);
    put(order.piece(Piece::Created));
    put(if step.reach >= Reach::Sent { &order.sent } else { b"" });
    put(b"||");
    put(if step.reach >= Reach::Replied { &order.replied } else { b"" });
    put(b"||");
    put(if step.reach >= Reach::Settled { &order.settled } else { b"" });
    put(order.piece(Piece::Rest));
}

const THREADS: [&str; 16] =
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"];
const INSTANCES: [&str; 4] = ["1", "2", "3", "4"];
