//! Files of lines, as modules print them or with syslog headers, read into batches.
//!
//! Used by `parse` and `backtest`. Refuses to know: sockets, rules, the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use record::{Batch, DecodeCounts, Decoder, FormatId, FormatSet, Lsn, Row, Transport};

use crate::line_blocks::{LINE_BYTES_MAX, LineBlocks};
use crate::sieve::Sieve;

/// A file of lines, read block by block.
pub(crate) struct LineFile {
    blocks: LineBlocks,
    lines: LineDecoder,
    block: Vec<u8>,
    next_lsn: Lsn,
}

impl LineFile {
    /// Opens a file; `-` is standard input. `format` pins the format of all lines.
    pub(crate) fn open(path: &Path, formats: &Arc<FormatSet>, format: Option<FormatId>) -> Result<Self> {
        Ok(Self {
            blocks: LineBlocks::open(path)?,
            lines: LineDecoder::new(path, formats, format),
            block: Vec::new(),
            next_lsn: 1,
        })
    }

    /// Of lines that concern no rule only the time is kept; bytes are counted in `done_bytes`.
    pub(crate) fn sifting(self, sieve: Option<Sieve>, done_bytes: &Arc<AtomicU64>) -> Self {
        Self { lines: self.lines.sifting(sieve, done_bytes), ..self }
    }

    /// Replaces `batch` by the next lines, with LSNs counted from 1 in line order; false at the end of the file.
    pub(crate) fn next(&mut self, batch: &mut Batch) -> Result<bool> {
        batch.clear();
        while batch.rows.is_empty() {
            if !self.blocks.next(&mut self.block)? {
                return Ok(false);
            }
            self.lines.decode(&self.block, batch);
        }
        self.next_lsn = number(batch, self.next_lsn);
        Ok(true)
    }

    /// What the decoder counted since the last call.
    pub(crate) fn take_counts(&mut self) -> DecodeCounts {
        self.lines.decoder.take_counts()
    }
}

/// Decodes blocks of whole lines.
pub(crate) struct LineDecoder {
    decoder: Decoder,
    source: Arc<str>,
    /// Lines that it lets through are read in full, of the others only the time is kept.
    sieve: Option<Sieve>,
    /// Bytes of blocks decoded so far.
    done_bytes: Arc<AtomicU64>,
}

impl LineDecoder {
    pub(crate) fn new(path: &Path, formats: &Arc<FormatSet>, format: Option<FormatId>) -> Self {
        Self {
            decoder: Decoder::new(Arc::clone(formats), Transport::File, format),
            source: Arc::from(path.display().to_string()),
            sieve: None,
            done_bytes: Arc::default(),
        }
    }

    /// Of lines that concern no rule only the time is kept; bytes are counted in `done_bytes`.
    pub(crate) fn sifting(self, sieve: Option<Sieve>, done_bytes: &Arc<AtomicU64>) -> Self {
        Self { sieve, done_bytes: Arc::clone(done_bytes), ..self }
    }

    /// Appends the records of a block; the next block does not continue it.
    pub(crate) fn decode(&mut self, block: &[u8], batch: &mut Batch) {
        let source = batch.source_index(&self.source);
        self.done_bytes.fetch_add(block.len() as u64, Ordering::Relaxed);
        if let Some(sieve) = &mut self.sieve {
            sieve.begin_block();
        }
        let mut rest = block;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            self.push(batch, source, &rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        self.decoder.flush(batch, source);
    }

    fn push(&mut self, batch: &mut Batch, source: u16, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            let cut = &line[..line.len().min(LINE_BYTES_MAX)];
            if let Some(sieve) = &mut self.sieve
                && let Some(row) = sieve.hold_back(&mut self.decoder, line)
            {
                batch.rows.push(Row { source, ..row });
                return;
            }
            self.decoder.push(batch, source, cut, None, line.len() > LINE_BYTES_MAX);
        }
    }
}

/// Gives the rows of a batch their positions; returns the next one.
pub(crate) fn number(batch: &mut Batch, first: Lsn) -> Lsn {
    let mut lsn = first;
    for row in &mut batch.rows {
        row.lsn = lsn;
        lsn += 1;
    }
    lsn
}

/// The rule files named by paths: a folder means its `*.yaml` and `*.yml` (not its subfolders), in name order.
pub(crate) fn rule_files(paths: &[PathBuf]) -> Result<Vec<rules::RuleFile>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut found: Vec<PathBuf> = std::fs::read_dir(path)
                .with_context(|| format!("{}: cannot be listed", path.display()))?
                .filter_map(|entry| entry.ok().map(|e| e.path()))
                .filter(|p| p.is_file() && p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
                .collect();
            found.sort();
            anyhow::ensure!(!found.is_empty(), "{}: holds no *.yaml rule file", path.display());
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{}: cannot be read", path.display()))?;
            Ok(rules::RuleFile { name: path.display().to_string(), text })
        })
        .collect()
}
