//! How many datagrams the kernel dropped because a socket's receive buffer was full.
//!
//! One counter of 32 bits in the kernel, seen two ways: with each datagram (as it stood when that datagram was
//! queued) and in `/proc/net/udp`. Refuses to know: what the datagrams say.

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// Follows the counter of one socket.
#[derive(Debug)]
pub(crate) struct KernelDrops {
    table: &'static str,
    inode: u64,
    /// The counter as last seen; it wraps.
    last: u32,
}

impl KernelDrops {
    pub(crate) fn new(socket: &UdpSocket) -> io::Result<Self> {
        let table = if socket.local_addr()?.is_ipv4() { "/proc/self/net/udp" } else { "/proc/self/net/udp6" };
        let inode =
            fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).map_or(0, |meta| meta.ino());
        Ok(Self { table, inode, last: 0 })
    }

    /// The counter stands at `total` now. Returns how many are new.
    pub(crate) fn advance(&mut self, total: u32) -> u64 {
        let new = total.wrapping_sub(self.last);
        // The two views may be read out of order: an older one is a huge step forward.
        if new > u32::MAX / 2 {
            return 0;
        }
        self.last = total;
        u64::from(new)
    }

    /// Reads the counter. Returns how many are new; `None` if the system does not say.
    pub(crate) fn look(&mut self) -> Option<u64> {
        let table = fs::read_to_string(self.table).ok()?;
        let total = find(&table, self.inode)?;
        Some(self.advance(total))
    }
}

/// The last column of the line with this inode (the tenth column).
fn find(table: &str, inode: u64) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let found = columns.nth(9)?.parse() == Ok(inode);
        found.then(|| columns.next_back()?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 ffff 17
  101: 0100007F:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 ffff 4294967295
";

    #[test]
    fn table_of_the_kernel() {
        assert_eq!(find(TABLE, 4711), Some(17));
        assert_eq!(find(TABLE, 4712), Some(u32::MAX));
        assert_eq!(find(TABLE, 17), None);
    }

    #[test]
    fn counter_wraps_and_views_overtake_each_other() {
        let mut drops = KernelDrops { table: "", inode: 0, last: u32::MAX - 1 };
        assert_eq!(drops.advance(3), 5);
        assert_eq!(drops.advance(2), 0);
        assert_eq!(drops.advance(3), 0);
        assert_eq!(drops.advance(4), 1);
    }
}
