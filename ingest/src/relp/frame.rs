//! The grammar of RELP: frames out of a byte buffer, however the stream is cut into reads.
//!
//! ```text
//! FRAME   = TXNR SP COMMAND SP DATALEN [SP DATA] LF    ; no SP DATA when DATALEN is 0; the LF is not counted
//! TXNR    = 1*9DIGIT      COMMAND = 1*32ALPHA      DATALEN = 1*9DIGIT      DATA = any octets
//! ```
//! Pure: it allocates nothing, and what a frame says of its length is never reserved. Of data beyond the bound only
//! the beginning is kept; the rest is dropped as it comes. Refuses to know: which frame may come when.

use std::ops::Range;

/// No frame may say that it is longer.
pub const DATA_BYTES_MAX: usize = 16 << 20;
const NUMBER_DIGITS_MAX: usize = 9;
const COMMAND_BYTES_MAX: usize = 32;

/// What a frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Begins a session.
    Open,
    /// Carries a message.
    Syslog,
    /// Ends a session.
    Close,
    /// An answer: only servers send it.
    Rsp,
    /// Ends a session: only servers send it.
    ServerClose,
    /// In the specification, in no implementation.
    StartTls,
    /// Any other word.
    Unknown,
}

/// What is at the front of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A whole frame; drop `consumed` bytes.
    Frame {
        /// Its number; 0 asks for no answer.
        txnr: u32,
        /// What it asks for.
        command: Command,
        /// Where its data is.
        data: Range<usize>,
        /// The data was longer than the bound and ends there.
        truncated: bool,
        /// Bytes to drop from the front of the buffer.
        consumed: usize,
    },
    /// Data beyond the bound of a frame that goes on: remove these bytes, keep what is before and after.
    Excess(Range<usize>),
    /// More bytes are needed.
    Incomplete,
}

/// Bytes that are no RELP. The stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// TXNR is not a number.
    #[error("a frame begins with byte {0:#04x} where its number is expected; is the sender talking RELP?")]
    Txnr(u8),
    /// librelp sends 1000000000 after 999999999, where the specification begins again at 1.
    #[error("a frame number has more than 9 digits")]
    TxnrTooLong,
    /// COMMAND is not a word.
    #[error("byte {0:#04x} in a frame's command")]
    Command(u8),
    /// COMMAND is longer than 32 letters.
    #[error("a frame's command has more than 32 letters")]
    CommandTooLong,
    /// DATALEN is not a number.
    #[error("byte {0:#04x} in a frame's length")]
    Length(u8),
    /// DATALEN has more than 9 digits.
    #[error("a frame's length has more than 9 digits")]
    LengthTooLong,
    /// More than anybody may send.
    #[error("a frame of {0} bytes; more than 16777216 are taken from nobody")]
    TooLarge(u32),
    /// The data does not end where the frame says.
    #[error("byte {0:#04x} after a frame's data where a line feed is expected")]
    Trailer(u8),
}

/// Finds frames in a stream.
#[derive(Debug, Clone)]
pub struct FrameReader {
    max_data_bytes: usize,
    /// Bytes of the frame at the front that were removed as excess.
    dropped: usize,
}

/// The front of a frame.
struct Header {
    txnr: u32,
    command: Command,
    data_length: usize,
    /// Where the data begins, or the final LF when there is none.
    end: usize,
}

impl FrameReader {
    /// Data beyond `max_data_bytes` is dropped.
    pub fn new(max_data_bytes: usize) -> Self {
        Self { max_data_bytes, dropped: 0 }
    }

    /// Looks at the front of `buf`. Call again after doing what the step says, until it needs more. The buffer need
    /// never hold more than a header, the bound and one read.
    ///
    /// # Errors
    /// The bytes are no frame; nothing behind them can be found.
    pub fn next(&mut self, buf: &[u8]) -> Result<Step, FrameError> {
        let Some(header) = header(buf)? else { return Ok(Step::Incomplete) };
        let kept = header.data_length.min(self.max_data_bytes);
        let data = header.end..header.end + kept;
        let excess = header.data_length - kept;
        if excess > self.dropped && buf.len() > data.end {
            let upto = buf.len().min(data.end + excess - self.dropped);
            self.dropped += upto - data.end;
            return Ok(Step::Excess(data.end..upto));
        }
        match buf.get(data.end) {
            None => Ok(Step::Incomplete),
            Some(b'\n') => {
                self.dropped = 0;
                let Header { txnr, command, .. } = header;
                let consumed = data.end + 1;
                Ok(Step::Frame { txnr, command, data, truncated: excess > 0, consumed })
            }
            Some(other) => Err(FrameError::Trailer(*other)),
        }
    }
}

/// Reads the front of a frame; `None` while it is incomplete.
fn header(buf: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some((txnr, at)) = number(buf, 0, FrameError::Txnr, FrameError::TxnrTooLong)? else {
        return Ok(None);
    };
    if buf[at] != b' ' {
        return Err(FrameError::Txnr(buf[at]));
    }
    let word_start = at + 1;
    let rest = &buf[word_start..];
    let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    if letters > COMMAND_BYTES_MAX {
        return Err(FrameError::CommandTooLong);
    }
    let Some(after) = rest.get(letters) else { return Ok(None) };
    if *after != b' ' || letters == 0 {
        return Err(FrameError::Command(*after));
    }
    let command = Command::of(&rest[..letters]);
    let length_start = word_start + letters + 1;
    let Some((length, at)) = number(buf, length_start, FrameError::Length, FrameError::LengthTooLong)? else {
        return Ok(None);
    };
    let data_length = length as usize;
    if data_length > DATA_BYTES_MAX {
        return Err(FrameError::TooLarge(length));
    }
    let end = match (data_length, buf[at]) {
        // What follows is checked as the end of the data.
        (0, _) => at,
        (_, b' ') => at + 1,
        (_, other) => return Err(FrameError::Length(other)),
    };
    Ok(Some(Header { txnr, command, data_length, end }))
}

/// The number at `start` and the place of the byte behind it, which is there.
fn number(
    buf: &[u8],
    start: usize,
    wrong: fn(u8) -> FrameError,
    too_long: FrameError,
) -> Result<Option<(u32, usize)>, FrameError> {
    let rest = buf.get(start..).unwrap_or_default();
    let digits = rest.iter().take(NUMBER_DIGITS_MAX + 1).take_while(|b| b.is_ascii_digit()).count();
    if digits > NUMBER_DIGITS_MAX {
        return Err(too_long);
    }
    let Some(after) = rest.get(digits) else { return Ok(None) };
    if digits == 0 {
        return Err(wrong(*after));
    }
    let value = rest[..digits].iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Ok(Some((value, start + digits)))
}

impl Command {
    fn of(word: &[u8]) -> Self {
        match word {
            b"syslog" => Self::Syslog,
            b"open" => Self::Open,
            b"close" => Self::Close,
            b"rsp" => Self::Rsp,
            b"serverclose" => Self::ServerClose,
            b"starttls" => Self::StartTls,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
