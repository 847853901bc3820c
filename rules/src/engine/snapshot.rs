//! The engine as bytes and back: what it knew at a journal position, so that a restart need not replay everything.
//!
//! ```text
//! magic "WRSNAP" | version u16 | flags u8 | engine section | lines section | count | rule sections | crc32c u32
//! rule section: name | fingerprint u64 | state section
//! ```
//! Numbers are as [`crate::codec`] says, sections have their length (u32) before them, fixed-width numbers are little
//! endian. A rule's state is found by the rule's name and used only if its fingerprint is that of the rule now, so
//! rules may move between files; of a rule that changed nothing is kept. Refuses to know: files, the journal.

use std::collections::HashMap;
use std::sync::Arc;

use record::FormatSet;

use super::clock::Clock;
use super::history::History;
use super::lines::Lines;
use super::seen::Seen;
use super::{Engine, KEYS_MAX};
use crate::RuleSet;
use crate::codec::{Damage, In, Out, Read};

const MAGIC: &[u8; 6] = b"WRSNAP";
const VERSION: u16 = 6;
const CRC_BYTES: usize = 4;

/// What became of the rules' states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Rules that go on where they were.
    pub kept: Vec<Arc<str>>,
    /// Rules that mean something else now: they start with nothing.
    pub changed: Vec<Arc<str>>,
    /// Rules that the snapshot does not know: they start with nothing.
    pub added: Vec<Arc<str>>,
    /// Rules of the snapshot that there are no more; their alerts that were on are forgotten.
    pub removed: Vec<Arc<str>>,
}

/// Why bytes are no snapshot to restore from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Something else, or the beginning is lost.
    #[error("not an engine snapshot: it does not begin with its mark; use an older snapshot")]
    NotASnapshot,
    /// From another version of the program.
    #[error(
        "an engine snapshot of version {found}, this program reads version {VERSION}; use an older snapshot"
    )]
    Version {
        /// The version found.
        found: u16,
    },
    /// Torn or changed.
    #[error("the checksum of the engine snapshot does not match its {len} bytes; use an older snapshot")]
    Checksum {
        /// Length of the whole.
        len: usize,
    },
    /// The checksum fits, the content does not.
    #[error("the engine snapshot is damaged near byte {at}: expected {expected}; use an older snapshot")]
    Damaged {
        /// Where, counted from its beginning.
        at: usize,
        /// What should be there.
        expected: &'static str,
    },
}

impl Engine {
    /// Appends the engine's state to `out`: everything that later transitions, alerts, reasons, ids and counts depend
    /// on. The engine stands at [`Engine::judged_to`]. Takes time in proportion to the keys with state.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        let mut out = Out { bytes: out };
        out.section(|out| {
            out.flag(self.states.iter().any(|state| state.over.is_some()));
            out.len(self.keys_max);
            self.clock.write(out);
            self.seen.write(out);
            let counts = &self.counts;
            for count in [counts.records, counts.no_time, counts.skewed, counts.late, counts.repeated] {
                out.number(count);
            }
        });
        out.len(self.rules.rules.len());
        let mut lines = Vec::new();
        for (rule, state) in self.rules.rules.iter().zip(&self.states) {
            out.text(&rule.alert);
            out.bytes.extend_from_slice(&state.settings.meaning.to_le_bytes());
            out.section(|out| state.write(out, &mut lines));
        }
        lines.sort_unstable();
        lines.dedup();
        out.section(|out| self.lines.write(&lines, out));
        let crc = crc32c::crc32c(&out.bytes[start..]);
        out.bytes.extend_from_slice(&crc.to_le_bytes());
    }

    /// The engine that [`Engine::snapshot`] wrote, under these rules: after the same entries it says what that one
    /// would have said, as far as rules did not change. Entries that the snapshot had taken may be given to it again
    /// (a replay begins before them): they are passed over and not counted as repeated.
    pub fn restore(
        rules: Arc<RuleSet>,
        formats: Arc<FormatSet>,
        bytes: &[u8],
    ) -> Result<(Engine, RestoreReport), SnapshotError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err(SnapshotError::NotASnapshot) };
        let checksum = SnapshotError::Checksum { len: bytes.len() };
        let Some((body, crc)) = rest.split_last_chunk::<CRC_BYTES>() else { return Err(checksum) };
        let Some((version, body)) = body.split_first_chunk::<2>() else { return Err(checksum) };
        let found = u16::from_le_bytes(*version);
        if found != VERSION {
            return Err(SnapshotError::Version { found });
        }
        if crc32c::crc32c(&bytes[..bytes.len() - CRC_BYTES]) != u32::from_le_bytes(*crc) {
            return Err(checksum);
        }
        Self::read(rules, formats, &mut In::new(body)).map_err(|Damage { left, expected }| {
            SnapshotError::Damaged { at: bytes.len() - CRC_BYTES - left.min(body.len()), expected }
        })
    }

    fn read(
        rules: Arc<RuleSet>,
        formats: Arc<FormatSet>,
        read: &mut In<'_>,
    ) -> Read<(Engine, RestoreReport)> {
        let mut head = read.section()?;
        let backtest = head.flag()?;
        let keys_max = usize::try_from(head.number()?).unwrap_or(KEYS_MAX);
        let mut engine = Engine::with(rules, formats, backtest, keys_max);
        engine.clock = Clock::read(&mut head)?;
        engine.seen = Seen::read(&mut head)?;
        engine.replayed_to = engine.seen.highest();
        let counts = &mut engine.counts;
        for count in [
            &mut counts.records,
            &mut counts.no_time,
            &mut counts.skewed,
            &mut counts.late,
            &mut counts.repeated,
        ] {
            *count = head.counter()?;
        }
        head.end()?;
        let sections = rule_sections(read)?;
        engine.lines = Lines::read(&mut read.section()?)?;
        read.end()?;
        let report = engine.fill(&sections)?;
        engine.open_histories();
        engine.seed_composites(&report.kept);
        engine.know_deadlines();
        Ok((engine, report))
    }

    /// Gives each rule its state back, if it is still the same rule.
    fn fill(&mut self, sections: &[RuleSection<'_>]) -> Read<RestoreReport> {
        let mut report = RestoreReport::default();
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        for (at, section) in sections.iter().enumerate() {
            let is_new = by_name.insert(section.name, at).is_none();
            section.state.check(is_new, "each rule once")?;
        }
        let rules = Arc::clone(&self.rules);
        for (rule, state) in rules.rules.iter().zip(&mut self.states) {
            let name = Arc::clone(&rule.alert);
            // Unless it goes on where it was, it sees only what comes from here on.
            state.history = History::new(self.clock.base());
            match by_name.remove(&*rule.alert).map(|at| &sections[at]) {
                None => report.added.push(name),
                Some(section) if section.fingerprint != state.settings.meaning => {
                    report.changed.push(name);
                }
                Some(section) => {
                    let mut read = section.state.clone();
                    state.fill(&mut read)?;
                    read.end()?;
                    report.kept.push(name);
                }
            }
        }
        let left = sections.iter().filter(|section| by_name.contains_key(section.name));
        report.removed = left.map(|section| section.name.into()).collect();
        Ok(report)
    }
}

/// The state of one rule, not yet read.
#[derive(Debug)]
struct RuleSection<'a> {
    name: &'a str,
    fingerprint: u64,
    state: In<'a>,
}

fn rule_sections<'a>(read: &mut In<'a>) -> Read<Vec<RuleSection<'a>>> {
    let len = read.len(13)?;
    let mut section = || {
        let name = read.text()?;
        let fingerprint = u64::from_le_bytes(read.array()?);
        Ok(RuleSection { name, fingerprint, state: read.section()? })
    };
    (0..len).map(|_| section()).collect()
}
