//! The syslog header: RFC 3164 and RFC 5424. stub
use crate::{InstantMs, Span};
/// TIMESTAMP of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogTime {
    /// RFC 5424: an instant.
    Instant(InstantMs),
    /// RFC 3164: no year, no zone.
    Yearless {
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
        /// 0 to 60.
        second: u8,
    },
}
/// A parsed header; spans are offsets into the frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// PRI.
    pub pri: Option<u8>,
    /// TIMESTAMP.
    pub time: Option<SyslogTime>,
    /// HOSTNAME.
    pub host: Span,
    /// APP-NAME or TAG.
    pub program: Span,
    /// STRUCTURED-DATA with its brackets.
    pub structured_data: Span,
    /// MSG.
    pub message: Span,
}
/// Reads the header of a frame; a frame without one is all message.
pub fn parse_header(_frame: &[u8]) -> Header {
    todo!()
}
