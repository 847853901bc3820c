//! Framing of syslog over a stream (RFC 6587), decided per message.
//!
//! A message that begins with a count, a space and `<PRI>` is octet-counted; any other ends at a line feed (a
//! carriage return before it is dropped) or at a NUL before it or before the next `<PRI>`. After a counted frame the
//! stream is trusted less: see [`Framer::next`]. Every byte is looked at a bounded number of times, however the stream
//! is cut into reads.
//! Refuses to know: sockets, and what a frame means.

mod scan;

use scan::{CountHeader, End, Found, LOOKAHEAD, count_header, find_end};

/// A found frame or the lack of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `buf[start..end]` is a frame; drop `consumed` bytes.
    Frame {
        /// First byte of the frame.
        start: usize,
        /// One past its last byte.
        end: usize,
        /// Bytes to drop from the front of the buffer.
        consumed: usize,
        /// It was longer than the bound and is cut here.
        truncated: bool,
    },
    /// Bytes that are no frame; drop `consumed` bytes.
    Bad {
        /// What is wrong.
        fault: FrameFault,
        /// Bytes to drop from the front of the buffer.
        consumed: usize,
    },
    /// Nothing to count: empty lines, or more of what an earlier step cut or called bad; drop `consumed` bytes.
    Skip {
        /// Bytes to drop from the front of the buffer.
        consumed: usize,
    },
    /// More bytes are needed.
    Incomplete,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameFault {
    /// A count beyond the hard bound.
    CountTooLarge,
    /// Bytes between two counted frames.
    Garbage,
    /// The stream ended within a counted frame.
    Unfinished,
}

/// Counts beyond this are an error of the sender, not a long message.
pub(crate) const COUNT_MAX: usize = 16 * 1024 * 1024;

/// What the bytes at the front of the buffer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The beginning of a message.
    Start,
    /// The rest of a cut message: so many bytes.
    CutCounted(usize),
    /// No frame up to the end of a line or, with `counts`, to the next count.
    Lost {
        /// The fault, if it is one, has been reported.
        told: bool,
        counts: bool,
    },
}

/// Finds frames in a stream.
#[derive(Debug, Clone)]
pub struct Framer {
    max_frame_bytes: usize,
    mode: Mode,
    /// The message before was octet-counted.
    after_counted: bool,
    /// So many bytes at the front of the buffer hold no end of the message.
    scanned: usize,
}

impl Framer {
    /// Frames longer than `max_frame_bytes` are cut and flagged.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self { max_frame_bytes: max_frame_bytes.max(1), mode: Mode::Start, after_counted: false, scanned: 0 }
    }

    /// Looks at the front of `buf`. Call again with what is left after dropping `consumed` bytes, until it needs more.
    ///
    /// The buffer need never hold more than the bound, a count and one read: what a cut message has left is skipped
    /// as it comes. After a counted frame, bytes that begin neither a count, nor `<`, nor a line with a digit are
    /// garbage up to a line feed or the next count; and a line there ends before a count, too. So a wrong count costs
    /// its own frame and at most the next.
    pub fn next(&mut self, buf: &[u8]) -> Step {
        self.step(buf, false)
    }

    /// The stream has ended: what is left in `buf` is the last frame, or none. Call it, too, until it needs more.
    pub fn finish(&mut self, buf: &[u8]) -> Step {
        self.step(buf, true)
    }

    fn step(&mut self, buf: &[u8], ended: bool) -> Step {
        if buf.is_empty() {
            if ended {
                *self = Self::new(self.max_frame_bytes);
            }
            return Step::Incomplete;
        }
        match self.mode {
            Mode::Start => self.message(buf, ended),
            Mode::CutCounted(left) => {
                let consumed = left.min(buf.len());
                self.mode = if consumed == left { Mode::Start } else { Mode::CutCounted(left - consumed) };
                Step::Skip { consumed }
            }
            Mode::Lost { told, counts } => self.lost(buf, told, counts, ended),
        }
    }

    fn message(&mut self, buf: &[u8], ended: bool) -> Step {
        let empty = buf.iter().take_while(|b| matches!(b, b'\n' | b'\r' | 0)).count();
        if empty > 0 && self.scanned == 0 {
            if buf[..empty].contains(&b'\n') {
                // What follows a counted frame up to here was its trailer, and a line begins afresh.
                self.after_counted = self.after_counted && buf[..empty].iter().all(|b| *b != b'\n');
            }
            return Step::Skip { consumed: empty };
        }
        match count_header(buf, ended) {
            CountHeader::Counted { header, count } => self.counted(buf, header, count, ended),
            CountHeader::TooLarge { header } => {
                self.mode = Mode::Lost { told: true, counts: true };
                self.scanned = 0;
                Step::Bad { fault: FrameFault::CountTooLarge, consumed: header }
            }
            CountHeader::Undecided => Step::Incomplete,
            CountHeader::None if self.after_counted && !matches!(buf[0], b'<' | b'0'..=b'9') => {
                self.lost(buf, false, true, ended)
            }
            CountHeader::None => self.line(buf, ended),
        }
    }

    fn counted(&mut self, buf: &[u8], header: usize, count: usize, ended: bool) -> Step {
        let shown = count.min(self.max_frame_bytes);
        if buf.len() < header + shown {
            if ended {
                return Step::Bad { fault: FrameFault::Unfinished, consumed: buf.len() };
            }
            return Step::Incomplete;
        }
        let truncated = shown < count;
        self.after_counted = true;
        if truncated {
            self.mode = Mode::CutCounted(count - shown);
        }
        let frame = &buf[header..header + shown];
        let kept = if truncated { frame } else { without_trailer(frame) };
        Step::Frame { start: header, end: header + kept.len(), consumed: header + shown, truncated }
    }

    fn line(&mut self, buf: &[u8], ended: bool) -> Step {
        // Where the longest line that is not cut ends, CR and NUL of its trailer included.
        let limit = self.max_frame_bytes + 2;
        let seen = &buf[..buf.len().min(limit + 1 + LOOKAHEAD)];
        // A line has at least one byte, even if a count stands at its front that is none.
        let found = match find_end(seen, self.scanned.max(1), self.after_counted) {
            Found::At(found) => Some(found),
            Found::NotBefore(at) if at > limit => None,
            Found::NotBefore(_) if ended => Some(End { end: buf.len(), consumed: buf.len() }),
            Found::NotBefore(at) => {
                self.scanned = at;
                return Step::Incomplete;
            }
        };
        self.scanned = 0;
        if let Some(found) = found {
            let line = without_trailer(&buf[..found.end]);
            if line.len() <= self.max_frame_bytes {
                self.after_counted = self.after_counted && found.is_before_count();
                return Step::Frame { start: 0, end: line.len(), consumed: found.consumed, truncated: false };
            }
        }
        self.mode = Mode::Lost { told: true, counts: self.after_counted };
        Step::Frame { start: 0, end: self.max_frame_bytes, consumed: self.max_frame_bytes, truncated: true }
    }

    /// Drops what is no frame; a fault is told once, with the first bytes that are dropped.
    fn lost(&mut self, buf: &[u8], told: bool, counts: bool, ended: bool) -> Step {
        let consumed = match find_end(buf, 0, counts) {
            Found::At(found) => {
                self.mode = Mode::Start;
                self.after_counted = found.is_before_count();
                found.consumed
            }
            Found::NotBefore(at) => {
                let consumed = if ended { buf.len() } else { at };
                self.mode = Mode::Lost { told: told || consumed > 0, counts };
                if consumed == 0 {
                    return Step::Incomplete;
                }
                consumed
            }
        };
        match consumed {
            0 => self.message(buf, ended),
            _ if told => Step::Skip { consumed },
            _ => Step::Bad { fault: FrameFault::Garbage, consumed },
        }
    }
}

/// A frame without the line feed, CR LF or NUL that some senders add to it.
fn without_trailer(frame: &[u8]) -> &[u8] {
    let frame = frame.strip_suffix(b"\n").unwrap_or(frame);
    let frame = frame.strip_suffix(b"\r").unwrap_or(frame);
    frame.strip_suffix(b"\0").unwrap_or(frame)
}

#[cfg(test)]
mod tests;
