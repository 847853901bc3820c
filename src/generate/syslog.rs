//! The syslog header in front of a line, as rsyslog of a module's host would send it.
//!
//! Refuses to know: what the line says, how it is framed, where it goes.

use super::catalog::MODULES;
use super::text::LocalTime;
use super::traffic::Line;

/// Which header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum HeaderFormat {
    /// `<134>1 2026-01-05T10:00:00.000+08:00 pay-gw-01 gateway - - - `
    Rfc5424,
    /// `<134>Jan  5 10:00:00 pay-gw-01 gateway: `
    Rfc3164,
}

/// Facility local0, severity informational.
const PRI: &[u8] = b"<134>";

/// Appends the header of `line` to `out`.
pub(crate) fn push_header(format: HeaderFormat, time: &mut LocalTime, line: &Line, out: &mut Vec<u8>) {
    let module = &MODULES[line.module];
    let host = |out: &mut Vec<u8>| {
        out.push(b' ');
        out.extend_from_slice(module.host.as_bytes());
        out.push(b"1234"[(line.instance & 3) as usize]);
        out.push(b' ');
        out.extend_from_slice(module.program.as_bytes());
    };
    out.extend_from_slice(PRI);
    match format {
        HeaderFormat::Rfc5424 => {
            out.extend_from_slice(b"1 ");
            time.push_rfc5424(out, line.time_ms);
            host(out);
            out.extend_from_slice(b" - - - ");
        }
        HeaderFormat::Rfc3164 => {
            time.push_rfc3164(out, line.time_ms);
            host(out);
            out.extend_from_slice(b": ");
        }
    }
}
