//! The list of peers that may send: names and fingerprints of their certificates.
//!
//! Refuses to know: whether a certificate is genuine.

use std::fmt::Write as _;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, DnsName};
use webpki::EndEntityCert;

/// SHA-256 of a certificate's DER form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// Lower case.
    Name(String),
    /// `.example.org` of `*.example.org`, lower case.
    Below(String),
    Fingerprint(Fingerprint),
}

/// Who may send. An empty list says nothing about anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AllowList(Vec<Entry>);

impl Fingerprint {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        Self(digest.as_ref().try_into().expect("a SHA-256 digest always has 32 bytes"))
    }

    /// Reads hexadecimal digits with or without `:`, as rsyslog and openssl write them.
    fn parse(hex: &str) -> Option<Self> {
        let mut digits = hex.bytes().filter(|b| *b != b':').map(|b| char::from(b).to_digit(16));
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        digits.next().is_none().then_some(Self(bytes))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(7 + 96);
        text.push_str("SHA256");
        for byte in self.0 {
            write!(text, ":{byte:02X}").expect("writing to a string cannot fail");
        }
        f.write_str(&text)
    }
}

impl AllowList {
    /// # Errors
    /// What is wrong with an entry.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, String> {
        entries.iter().map(|entry| parse_entry(entry)).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is any entry that is not a fingerprint.
    pub(crate) fn has_names(&self) -> bool {
        self.0.iter().any(|entry| !matches!(entry, Entry::Fingerprint(_)))
    }

    pub(crate) fn has_fingerprint(&self, certificate: &CertificateDer<'_>) -> bool {
        let wanted = Fingerprint::of(certificate);
        self.0.iter().any(|entry| matches!(entry, Entry::Fingerprint(known) if *known == wanted))
    }

    /// Whether a name in lower case is listed.
    fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|entry| match entry {
            Entry::Name(known) => known == name,
            Entry::Below(suffix) => name
                .strip_suffix(suffix.as_str())
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            Entry::Fingerprint(_) => false,
        })
    }

    /// Whether a certificate is listed, by a name or by its fingerprint.
    pub(crate) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        names(certificate).iter().any(|name| self.has_name(name)) || self.has_fingerprint(certificate)
    }

    /// The name by which a certificate that was accepted is known: its first listed one, else its first. A wildcard
    /// names no single sender.
    pub(crate) fn name_of(&self, certificate: &CertificateDer<'_>) -> Option<Arc<str>> {
        let names = names(certificate);
        let mut own = names.iter().filter(|name| !name.starts_with('*'));
        let listed = own.clone().find(|name| self.has_name(name));
        listed.or_else(|| own.next()).map(|name| name.as_str().into())
    }
}

/// DNS names of a certificate's subjectAltName, in lower case. The subject's common name is no name of a peer. What is
/// listed must be there as it stands: a certificate's own wildcard covers nothing.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    EndEntityCert::try_from(certificate).map_or_else(
        |_unreadable| Vec::new(),
        |parsed| parsed.valid_dns_names().map(|name| plain(name).to_ascii_lowercase()).collect(),
    )
}

/// Without the dot of the root.
fn plain(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn parse_entry(text: &str) -> Result<Entry, String> {
    if let Some((kind, hex)) = text.split_once(':') {
        if !kind.eq_ignore_ascii_case("sha256") {
            return Err(format!(
                "`{text}`: fingerprints are SHA256:.. (openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE)"
            ));
        }
        return Fingerprint::parse(hex).map(Entry::Fingerprint).ok_or_else(|| {
            format!(
                "`{text}` is no fingerprint: SHA256: and 64 hexadecimal digits, with or without `:` between"
            )
        });
    }
    let name = plain(text).to_ascii_lowercase();
    let is_name = |name: &str| DnsName::try_from(name).is_ok();
    match name.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') && is_name(suffix.trim_start_matches('.')) => {
            Ok(Entry::Below(suffix.to_owned()))
        }
        None if is_name(&name) => Ok(Entry::Name(name)),
        _ => Err(format!("`{text}` is no name: web1.example.org, *.example.org (one label), or SHA256:..")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Result<AllowList, String> {
        AllowList::parse(&entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_wildcards() {
        let allow = list(&["Web1.Example.org.", "*.pay.example.org"]).unwrap();
        for name in ["web1.example.org", "a.pay.example.org"] {
            assert!(allow.has_name(name), "{name}");
        }
        for name in [
            "web2.example.org",
            "pay.example.org",
            ".pay.example.org",
            "a.b.pay.example.org",
            "xpay.example.org",
            "",
        ] {
            assert!(!allow.has_name(name), "{name}");
        }
        assert!(allow.has_names());
    }

    #[test]
    fn fingerprints_as_rsyslog_and_openssl_write_them() {
        let hex = "AB".repeat(32);
        let colons = vec!["ab"; 32].join(":");
        let both = list(&[&format!("SHA256:{hex}"), &format!("sha256:{colons}")]).unwrap();
        assert_eq!(both.0[0], both.0[1]);
        assert!(!both.has_names());
        assert_eq!(Fingerprint([0xab; 32]).to_string(), format!("SHA256:{}", colons.to_uppercase()));
    }

    #[test]
    fn entries_that_are_refused_say_why() {
        let short = format!("SHA256:{}", "AB".repeat(31));
        let long = format!("SHA256:{}", "AB".repeat(33));
        let sha1 = format!("SHA1:{}", "AB".repeat(20));
        for entry in [
            short.as_str(),
            &long,
            &sha1,
            "",
            "*",
            "*.",
            "*example.org",
            "a b",
            "*.*.org",
            "web*.example.org",
        ] {
            let error = list(&[entry]).expect_err(entry);
            assert!(error.contains(entry) && error.contains("SHA256"), "{error}");
        }
    }
}
