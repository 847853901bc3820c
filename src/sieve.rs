//! Holds back lines of files that concern no rule: of those only the time is kept.
//!
//! A line is looked at as far as conditions look at it. That is done beside other lines on every core; the judge then
//! reads only what concerns it. Refuses to know: files, verdicts.

use record::{Batch, Decoder, FormatSet, Glance, Row, RowFlags};
use rules::{Hit, RuleIndex, RuleSet};

/// Where more than one of so many lines passes, looking costs more than it saves.
const PASSING_MAX: u32 = 2;
/// Blocks that are then read without it before it is tried again.
const RESTING_BLOCKS: u32 = 15;
/// Lines by which a block is judged.
const LINES_MIN: u32 = 64;

/// What is looked at, and the rules that are asked.
#[derive(Debug, Clone)]
pub(crate) struct Sieve {
    glance: Glance,
    index: RuleIndex,
    hits: Vec<Hit>,
    scratch: Batch,
    formats: std::sync::Arc<FormatSet>,
    looked_at: u32,
    passed: u32,
    resting: u32,
}

impl Sieve {
    /// `None` if lines cannot be told by their first columns.
    pub(crate) fn new(rules: &RuleSet, formats: &std::sync::Arc<FormatSet>) -> Option<Self> {
        let index = RuleIndex::of(rules);
        let glance = Glance::new(formats, |format| index.columns(format))?;
        Some(Self {
            glance,
            index,
            hits: Vec::new(),
            scratch: Batch::default(),
            formats: std::sync::Arc::clone(formats),
            looked_at: 0,
            passed: 0,
            resting: 0,
        })
    }

    /// A block of lines begins.
    pub(crate) fn begin_block(&mut self) {
        let is_idle = self.looked_at >= LINES_MIN && self.passed > self.looked_at / PASSING_MAX;
        self.resting = if is_idle { RESTING_BLOCKS } else { self.resting.saturating_sub(1) };
        (self.looked_at, self.passed) = (0, 0);
    }

    /// What is kept of a line that concerns no rule; `None` if it is to be read in full.
    pub(crate) fn hold_back(&mut self, decoder: &mut Decoder, line: &[u8]) -> Option<Row> {
        if self.resting > 0 {
            return None;
        }
        self.looked_at += 1;
        self.hits.clear();
        if decoder.glance(&mut self.scratch, line, &self.glance) {
            self.index.hits(&self.scratch.record(0, &self.formats), &mut self.hits);
            if self.hits.is_empty() {
                let row = &self.scratch.rows[0];
                return Some(Row {
                    event_ms: row.event_ms,
                    format: row.format,
                    flags: RowFlags::UNCONCERNED,
                    ..Row::default()
                });
            }
        }
        self.passed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use rules::{Engine, RuleFile};

    use super::*;
    use crate::lines::{LineDecoder, number};

    const RULES: &str = r#"
groups:
- name: g
  rules:
  - {alert: Down, kind: consecutive, where: 'response_code == "NET_ERR"', reset: 'response_code == "0000"', by: [channel], count: 3, within: 1m}
  - {alert: NotPaid, kind: frequency, where: '!(response_code in ["0000", "NET_ERR"]) && channel == "B"', by: [merchant_no], count: 2, within: 10s}
  - {alert: Card, kind: any, where: 'card_no.startsWith("622622******")'}
  - {alert: Quiet, kind: flatline, where: 'response_message.matches("paid|settled")', within: 5s, expect: seen, by: [channel]}
"#;

    /// Lines of several shapes: with and without what the rules look at, in other formats, without a time.
    fn lines() -> String {
        let mut text = String::new();
        for n in 0..400_u32 {
            let code = ["0000", "NET_ERR", "", "9000", "NET_ERR"][(n as usize * 7 / 3) % 5];
            let (channel, message) = (["A", "B", ""][n as usize % 3], ["paid", "no"][(n as usize / 60) % 2]);
            let time = format!("2026-01-05 10:{:02}:{:02}.{:03}", n / 240, n / 4 % 60, n % 4 * 250);
            let card = if n % 50 == 0 { "6226221234563971" } else { "" };
            text += &match n % 20 {
                7 => format!("{time} no columns at all\n"),
                11 => format!("not a time||t||m||s||O{n}||||||||01||{code}||{message}||M||||{channel}\n"),
                _ => format!(
                    "{time}||t||m||s||O{n}||||||||01||{code}||{message}||M{}||||{channel}{}{card}||||\n",
                    n % 2,
                    "||".repeat(35)
                ),
            };
        }
        text
    }

    #[test]
    fn alerts_are_the_same_with_and_without_it() {
        let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
        let file = RuleFile { name: "r.yaml".to_owned(), text: RULES.to_owned() };
        let rules =
            Arc::new(RuleSet::load(&[file], &formats).unwrap_or_else(|errors| panic!("{}", errors[0])));
        let judged = |sieve: Option<Sieve>| {
            let mut decoder =
                LineDecoder::new(Path::new("f"), &formats, None).sifting(sieve, &Arc::default());
            let mut engine = Engine::for_backtest(Arc::clone(&rules), Arc::clone(&formats));
            let (mut next_lsn, mut out, mut kept) = (1, Vec::new(), 0);
            for block in lines().as_bytes().chunk_by(|a, _| *a != b'\n').collect::<Vec<_>>().chunks(50) {
                let mut batch = Batch::default();
                decoder.decode(&block.concat(), &mut batch);
                kept += batch.bytes.len();
                next_lsn = number(&mut batch, next_lsn);
                engine.judge(&batch, &mut out);
            }
            let alerts: Vec<String> =
                engine.finish().iter().map(|alert| rules::backtest_line(alert).to_string()).collect();
            (alerts, next_lsn, engine.counts().records, kept)
        };
        let (all, some) = (judged(None), judged(Sieve::new(&rules, &formats)));
        assert!(all.0.len() > 10, "{}", all.0.len());
        assert_eq!((&some.0, some.1, some.2), (&all.0, all.1, all.2));
        assert!(some.3 < all.3, "nothing was held back");
    }
}
