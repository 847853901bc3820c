//! The offers of a session's beginning: what each side can do.
//!
//! ```text
//! OFFERS = NAME ["=" VAL *("," VAL)] *(LF NAME ...)     ; name 1 to 32, value up to 255 octets
//! ```
//! Refuses to know: sessions.

/// Lines of offers beyond this are an error.
const OFFERS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 32;
const VALUE_BYTES_MAX: usize = 255;
/// The newest version there is. librelp offers 0, and reconnects for ever if it is answered more than it offered.
const VERSION_MAX: u32 = 1;

/// Who we are.
const SOFTWARE: &str = concat!("watchroom,", env!("CARGO_PKG_VERSION"));

/// What a client offered, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    /// `relp_version`; 0 if it was not offered.
    pub version: u32,
    /// `commands` has `syslog`.
    pub syslog: bool,
}

/// The data of an `open` frame is no list of offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OffersError {
    /// More than 32 lines.
    #[error("more than 32 offers")]
    TooMany,
    /// A name that is empty or too long.
    #[error("an offer's name is empty or longer than 32 bytes")]
    Name,
    /// A value that is too long.
    #[error("an offer's value is longer than 255 bytes")]
    Value,
    /// A version that is no number.
    #[error("relp_version is not a number")]
    Version,
}

impl Offers {
    /// Reads the data of an `open` frame.
    ///
    /// # Errors
    /// It is no list of offers, or longer than anybody needs.
    pub fn parse(data: &[u8]) -> Result<Self, OffersError> {
        let mut offers = Self { version: 0, syslog: false };
        for (index, line) in data.split(|b| *b == b'\n').enumerate() {
            if index >= OFFERS_MAX {
                return Err(OffersError::TooMany);
            }
            if line.is_empty() {
                continue;
            }
            let mut parts = line.splitn(2, |b| *b == b'=');
            let name = parts.next().unwrap_or_default();
            let values = parts.next().unwrap_or_default();
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(OffersError::Name);
            }
            if values.split(|b| *b == b',').any(|value| value.len() > VALUE_BYTES_MAX) {
                return Err(OffersError::Value);
            }
            match name {
                b"relp_version" => {
                    let text = std::str::from_utf8(values).ok();
                    offers.version = text.and_then(|text| text.parse().ok()).ok_or(OffersError::Version)?;
                }
                b"commands" => offers.syslog |= values.split(|b| *b == b',').any(|value| value == b"syslog"),
                _ => {}
            }
        }
        Ok(offers)
    }

    /// What we answer: the client's version, at most 1, and the one command there is.
    pub fn answer(self) -> String {
        format!(
            "200 OK\nrelp_version={}\nrelp_software={SOFTWARE}\ncommands=syslog",
            self.version.min(VERSION_MAX)
        )
    }
}
