//! How many of the lines concern the rules that are compared: a rule that nothing matches costs less than one that all do.
//!
//! Asked of the same index that the engine asks. Refuses to know: what it costs.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use record::{Batch, Decoder, FormatSet, Transport};
use rules::{RuleFile, RuleIndex, RuleSet};

/// Lines that are looked at.
const LOOKED_AT: usize = 100_000;

/// Of so many lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matches {
    pub(crate) rules: usize,
    pub(crate) lines: usize,
    /// Lines that concern some rule.
    pub(crate) concerned: usize,
    /// Rules that some line concerns.
    pub(crate) matched: usize,
}

/// Looks at the first lines of a file.
pub(crate) fn count(lines: &Path, rules: &str) -> anyhow::Result<Matches> {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    let file = RuleFile { name: "bench.yaml".to_owned(), text: rules.to_owned() };
    let set = RuleSet::load(&[file], &formats).map_err(|errors| anyhow::anyhow!("{}", errors[0]))?;
    let mut index = RuleIndex::of(&set);
    let mut decoder = Decoder::new(Arc::clone(&formats), Transport::File, formats.find("order-trace"));
    let text = std::fs::read(lines).with_context(|| format!("{} cannot be read", lines.display()))?;
    let mut is_matched = vec![false; set.infos().len()];
    let mut found = Matches { rules: is_matched.len(), lines: 0, concerned: 0, matched: 0 };
    let (mut batch, mut hits) = (Batch::default(), Vec::new());
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(LOOKED_AT) {
        batch.clear();
        decoder.push(&mut batch, 0, line, None, false);
        for record in batch.records(&formats) {
            index.hits(&record, &mut hits);
            found.lines += 1;
            found.concerned += usize::from(!hits.is_empty());
            hits.iter().for_each(|hit| is_matched[hit.rule as usize] = true);
        }
    }
    found.matched = is_matched.into_iter().filter(|matched| *matched).count();
    Ok(found)
}
