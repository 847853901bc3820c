//! The rules that are compared: a payment platform's mixture, keywords alone, and what SEC can say too.
//!
//! Channels and codes are those of the lines, and so are the merchants of the first rules, so that these do match; the
//! others are made up. Refuses to know: who judges by them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::ensure;

/// Columns of order-trace, from 0.
const CODE: usize = 9;
const MERCHANT: usize = 11;
const CHANNEL: usize = 13;
/// Rules whose merchant occurs in the lines: about as many lines match at 10,000 rules as at 10, so that what is compared
/// is the number of rules and not the number of matches.
const MATCHING: usize = 10;
/// Lines that are looked at for values.
const LOOKED_AT: usize = 50_000;

/// Values that occur in the lines, most frequent first.
#[derive(Debug)]
pub(crate) struct Values {
    codes: Vec<String>,
    merchants: Vec<String>,
    channels: Vec<String>,
}

/// A shape of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Equality, `in`, keywords, comparisons of numbers, some patterns.
    Mixture,
    /// The same, but every one of the first ten rules is met by some lines.
    Matching,
    /// A keyword in the message.
    Keywords,
    /// Code and merchant.
    Equality,
}

impl Shape {
    /// One word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Mixture => "mixture",
            Shape::Matching => "matching",
            Shape::Keywords => "keywords",
            Shape::Equality => "equality",
        }
    }
}

impl Values {
    /// Of raw lines.
    pub(crate) fn of(lines: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(lines)?;
        let mut counts: [BTreeMap<String, usize>; 3] = Default::default();
        for line in text.split(|byte| *byte == b'\n').take(LOOKED_AT) {
            let line = String::from_utf8_lossy(line);
            let fields: Vec<&str> = line.split("||").collect();
            for (count, column) in counts.iter_mut().zip([CODE, MERCHANT, CHANNEL]) {
                let value = fields.get(column).copied().unwrap_or_default();
                if !value.is_empty() && value != "0000" {
                    *count.entry(value.to_owned()).or_default() += 1;
                }
            }
        }
        let [codes, merchants, channels] = counts.map(|count| {
            let mut sorted: Vec<(String, usize)> = count.into_iter().collect();
            sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            sorted.into_iter().map(|(value, _)| value).collect::<Vec<_>>()
        });
        ensure!(
            !codes.is_empty() && !merchants.is_empty() && !channels.is_empty(),
            "the lines hold no values"
        );
        Ok(Self { codes, merchants, channels })
    }

    /// Each pair of code and merchant is another one.
    fn pair(&self, n: usize) -> (&str, String) {
        (&self.codes[n % self.codes.len()], self.merchant(n))
    }

    fn merchant(&self, n: usize) -> String {
        let real = self.merchants.get(n).filter(|_| n < MATCHING).cloned();
        real.unwrap_or_else(|| format!("77{n:08}"))
    }

    fn channel(&self, n: usize) -> &str {
        &self.channels[n % self.channels.len()]
    }

    /// The condition of rule `n`.
    pub(crate) fn condition(&self, shape: Shape, n: usize) -> String {
        let (code, merchant) = self.pair(n);
        let channel = self.channel(n);
        match (shape, n % 20) {
            (Shape::Matching, _) if n < MATCHING => format!("merchant_no == \"{merchant}\""),
            (Shape::Equality, _) | (Shape::Mixture | Shape::Matching, 0..=6) => {
                format!("response_code == \"{code}\" && merchant_no == \"{merchant}\"")
            }
            (Shape::Keywords, _) => {
                format!("response_message.contains(\"error {:05}\")", n * 7_919 % 100_000)
            }
            (_, 7..=8) => format!("response_code in [\"{code}\", \"X{n}\"] && channel == \"{channel}{n}\""),
            (_, 9..=12) => format!("merchant_no in [\"{merchant}\", \"78{n:08}\", \"79{n:08}\"]"),
            (_, 13..=16) => format!("response_message.contains(\"error {n:05}\")"),
            (_, 17) => format!("merchant_no == \"{merchant}\" && amount > {n}.50"),
            (_, 18) => format!("channel == \"{channel}\" && elapsed_ms >= {}", 60_000 + n),
            _ => format!("response_message.matches(\"(?i)time.?out after {n} ?ms\")"),
        }
    }

    /// A rule file of so many rules.
    pub(crate) fn rules(&self, shape: Shape, count: usize) -> String {
        let mut text = "groups:\n- name: bench\n  rules:\n".to_owned();
        for n in 0..count {
            let condition = self.condition(shape, n);
            // Writing to a text cannot fail.
            let _infallible = writeln!(
                text,
                "  - {{alert: R{n}, kind: frequency, count: 12, within: 1m, by: [channel], where: '{condition}'}}"
            );
        }
        text
    }

    /// The rules of [`Shape::Equality`] as SEC says them.
    pub(crate) fn sec(&self, count: usize, output: &Path) -> String {
        let mut text = String::new();
        for n in 0..count {
            let (code, merchant) = self.pair(n);
            let _infallible = writeln!(
                text,
                "type=SingleWithThreshold\nptype=RegExp\n\
                 pattern=\\|\\|{code}\\|\\|[^|]*\\|\\|{merchant}\\|\\|[^|]*\\|\\|([^|]*)\\|\\|\n\
                 desc=R{n} $1\naction=write {} R{n} $1\nwindow=60\nthresh=12\ncontinue=TakeNext\n",
                output.display()
            );
        }
        text
    }
}
