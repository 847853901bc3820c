//! Networks of addresses: `10.0.0.0/8`, `2001:db8::/32`.

use std::net::IpAddr;

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Cidr {
    base: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// Reads a network; `Err` says what is wrong. Bits beyond the prefix must be zero, so that a slip is seen.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form =
            || format!("\"{text}\" is not a network; write it as in \"10.0.0.0/8\" or \"2001:db8::/32\"");
        let (address, prefix) = text.split_once('/').ok_or_else(form)?;
        let base: IpAddr = address.parse().map_err(|_| form())?;
        let prefix_bits: u8 = prefix.parse().map_err(|_| form())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        if prefix_bits > width {
            return Err(format!("\"{text}\": the prefix has at most {width} bits"));
        }
        let network = Self { base: masked(base, prefix_bits), prefix_bits };
        if network.base != base {
            return Err(format!(
                "\"{text}\" has bits beyond its prefix; write \"{}/{prefix_bits}\"",
                network.base
            ));
        }
        Ok(network)
    }

    /// Whether an address lies in it. Addresses of the other version do not.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        masked(address, self.prefix_bits.min(if address.is_ipv4() { 32 } else { 128 })) == self.base
    }
}

fn masked(address: IpAddr, prefix_bits: u8) -> IpAddr {
    let bits = u32::from(prefix_bits);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}
