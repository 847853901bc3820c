//! Files of lines, as modules print them or with syslog headers, read into batches.
//!
//! Used by `parse` and `backtest`. Refuses to know: sockets, rules, the journal.

use std::collections::HashSet;
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

/// The rule files named by paths, each once: a folder means its `*.yaml` and `*.yml` (neither its subfolders nor what
/// begins with a dot: editors and `rsync` keep unfinished files under such names), in name order.
pub(crate) fn rule_files(paths: &[PathBuf]) -> Result<Vec<rules::RuleFile>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = files_of(path)?;
            anyhow::ensure!(!found.is_empty(), "{}: holds no *.yaml rule file", path.display());
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    let mut seen = HashSet::new();
    files.retain(|path| std::fs::canonicalize(path).map_or(true, |real| seen.insert(real)));
    files
        .into_iter()
        .map(|path| Ok(rules::RuleFile { name: path.display().to_string(), text: read_text(&path)? }))
        .collect()
}

/// The YAML files of a folder. What cannot be read is among them, so that it is missed: a link that leads nowhere
/// must not take its rules away in silence.
pub(crate) fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{}: cannot be listed", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("{}: cannot be listed", folder.display()))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if yaml && !hidden && !path.is_dir() {
            let waits = std::fs::metadata(&path).is_ok_and(|facts| !facts.is_file());
            anyhow::ensure!(!waits, "{}: is no file of text; remove it", path.display());
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a file that people write. Bytes that are no UTF-8 become NUL, which YAML never holds: whoever reads it
/// says where the first one stands.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| {
        let mut text = String::new();
        for chunk in error.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().first().map(|_| '\0'));
        }
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "groups: []\n";

    fn names(paths: &[PathBuf]) -> Result<Vec<String>> {
        let name = |file: rules::RuleFile| file.name.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(rule_files(paths)?.into_iter().map(name).collect())
    }

    #[test]
    fn a_folder_means_its_yaml_files_and_nothing_that_is_missing_goes_unnoticed() {
        let dir = std::env::temp_dir().join(format!("watchroom-rule-files-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(dir.join("folder.yaml")).unwrap();
        let folder = std::slice::from_ref(&dir);
        assert!(names(folder).unwrap_err().to_string().contains("holds no *.yaml rule file"));
        for name in ["b.yaml", "a.yml", ".a.yaml", ".#b.yaml", "b.yaml~", "c.json"] {
            std::fs::write(dir.join(name), RULES).unwrap();
        }
        assert_eq!(names(folder).unwrap(), ["a.yml", "b.yaml"], "what editors leave is no rule file");
        let twice = [dir.clone(), dir.join("b.yaml"), dir.join(".a.yaml")];
        assert_eq!(
            names(&twice).unwrap(),
            ["a.yml", "b.yaml", ".a.yaml"],
            "each once; what is named is read"
        );
        std::os::unix::fs::symlink(dir.join("gone"), dir.join("c.yaml")).unwrap();
        let error = format!("{:#}", names(folder).unwrap_err());
        assert!(error.contains("c.yaml: cannot be read"), "{error}");
        std::fs::remove_file(dir.join("c.yaml")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.join("s.yaml")).unwrap();
        assert!(names(folder).unwrap_err().to_string().contains("s.yaml: is no file of text"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
