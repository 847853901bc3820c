//! Framing of syslog over a stream (RFC 6587), decided per message. stub
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
/// Finds frames in a stream.
#[derive(Debug, Clone)]
pub struct Framer {
    _max_frame_bytes: usize,
}
impl Framer {
    /// Frames longer than `max_frame_bytes` are cut and flagged.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self { _max_frame_bytes: max_frame_bytes }
    }
    /// Looks at the front of `buf`. Call again with what is left after dropping `consumed` bytes.
    pub fn next(&mut self, _buf: &[u8]) -> Step {
        todo!()
    }
    /// The stream has ended: what is left in `buf` is the last frame, or none.
    pub fn finish(&mut self, _buf: &[u8]) -> Step {
        todo!()
    }
}
