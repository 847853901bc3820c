//! Bytes of a snapshot: small numbers short, every length before what it counts, every read within bounds.
//!
//! Numbers are LEB128 (7 bits a byte, least significant first), signed ones zigzag; texts and bytes follow their
//! length. A reader takes any bytes: what cannot be is a [`Damage`], and no list is given more memory than the bytes
//! left could fill. Refuses to know: what the numbers mean, checksums, files.

mod alert;

use record::InstantMs;

/// Instants beyond this (either way) are in no log: sums of a few of them do not overflow.
const INSTANT_MAX: i64 = i64::MAX / 4 + 1;
/// Counters beyond this were never counted.
const COUNTER_MAX: u64 = u64::MAX / 4;

/// Bytes that are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Bytes that were left to read when it was found.
    pub(crate) left: usize,
    /// What should have stood there.
    pub(crate) expected: &'static str,
}

pub(crate) type Read<T> = Result<T, Damage>;

/// Appends to a snapshot.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    pub(crate) bytes: &'a mut Vec<u8>,
}

impl Out<'_> {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(crate) fn len(&mut self, len: usize) {
        self.number(len as u64);
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63) as u64);
    }

    pub(crate) fn maybe(&mut self, number: Option<i64>) {
        self.flag(number.is_some());
        if let Some(number) = number {
            self.signed(number);
        }
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    /// What `write` appends, with its length (4 bytes, little endian) before it.
    pub(crate) fn section(&mut self, write: impl FnOnce(&mut Out<'_>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(self);
        let len = u32::try_from(self.bytes.len() - at - 4).unwrap_or(u32::MAX);
        self.bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }
}

/// Reads a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct In<'a> {
    rest: &'a [u8],
}

impl<'a> In<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The error of not finding what was expected.
    pub(crate) fn damage<T>(&self, expected: &'static str) -> Read<T> {
        Err(Damage { left: self.rest.len(), expected })
    }

    /// `Ok` if so.
    pub(crate) fn check(&self, fits: bool, expected: &'static str) -> Read<()> {
        if fits { Ok(()) } else { self.damage(expected) }
    }

    pub(crate) fn byte(&mut self) -> Read<u8> {
        let Some((&byte, rest)) = self.rest.split_first() else { return self.damage("a byte") };
        self.rest = rest;
        Ok(byte)
    }

    pub(crate) fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.damage("yes or no"),
        }
    }

    pub(crate) fn number(&mut self) -> Read<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return self.check(shift < 63 || byte < 2, "a number of 64 bits").map(|()| number);
            }
        }
        self.damage("a number of 64 bits")
    }

    pub(crate) fn number_u32(&mut self) -> Read<u32> {
        let number = self.number()?;
        u32::try_from(number).or_else(|_| self.damage("a number of 32 bits"))
    }

    /// A counter that may be added to.
    pub(crate) fn counter(&mut self) -> Read<u64> {
        let number = self.number()?;
        self.check(number <= COUNTER_MAX, "a counter").map(|()| number)
    }

    pub(crate) fn signed(&mut self) -> Read<i64> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(crate) fn instant(&mut self) -> Read<InstantMs> {
        let instant = self.signed()?;
        self.check(is_instant(instant), "an instant").map(|()| instant)
    }

    pub(crate) fn maybe_instant(&mut self) -> Read<Option<InstantMs>> {
        if self.flag()? { self.instant().map(Some) } else { Ok(None) }
    }

    /// How many things follow, each of at least so many bytes.
    pub(crate) fn len(&mut self, least_bytes: usize) -> Read<usize> {
        let number = self.number()?;
        match usize::try_from(number) {
            Ok(len) if len.saturating_mul(least_bytes.max(1)) <= self.rest.len() => Ok(len),
            _ => self.damage("a length within the bytes left"),
        }
    }

    pub(crate) fn blob(&mut self) -> Read<&'a [u8]> {
        let len = self.len(1)?;
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Read<&'a str> {
        let bytes = self.blob()?;
        std::str::from_utf8(bytes).or_else(|_| self.damage("text in UTF-8"))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some((&bytes, rest)) = self.rest.split_first_chunk() else { return self.damage("more bytes") };
        self.rest = rest;
        Ok(bytes)
    }

    /// What [`Out::section`] wrote, apart.
    pub(crate) fn section(&mut self) -> Read<In<'a>> {
        let len = u32::from_le_bytes(self.array()?) as usize;
        if len > self.rest.len() {
            return self.damage("a section within the bytes left");
        }
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(In { rest: bytes })
    }

    /// Everything was read.
    pub(crate) fn end(&self) -> Read<()> {
        self.check(self.rest.is_empty(), "the end")
    }
}

fn is_instant(instant: i64) -> bool {
    (-INSTANT_MAX..=INSTANT_MAX).contains(&instant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned in any::<u64>(), signed in any::<i64>(), shift in 0u32..64, text in ".{0,9}") {
            let (unsigned, signed) = (unsigned >> shift, signed >> shift);
            let mut bytes = Vec::new();
            let mut out = Out { bytes: &mut bytes };
            out.number(unsigned);
            out.signed(signed);
            out.section(|out| out.text(&text));
            let mut read = In::new(&bytes);
            prop_assert_eq!(read.number(), Ok(unsigned));
            prop_assert_eq!(read.signed(), Ok(signed));
            let mut section = read.section().unwrap();
            prop_assert_eq!(section.text(), Ok(text.as_str()));
            prop_assert_eq!((section.end(), read.end()), (Ok(()), Ok(())));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut read = In::new(&bytes);
            while read.number().is_ok() && read.blob().is_ok() && read.maybe_instant().is_ok() {}
            prop_assert!(In::new(&bytes).len(3).is_ok_and(|len| len * 3 <= bytes.len()) || In::new(&bytes).len(3).is_err());
        }
    }

    #[test]
    fn numbers_of_more_than_64_bits_are_refused() {
        assert!(In::new(&[0xff; 11]).number().is_err());
        assert!(In::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number().is_err());
    }
}
