//! Files of lines, as modules print them or with syslog headers, read into batches.
//!
//! Used by `parse` and `backtest`. Refuses to know: sockets, rules, the journal.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use record::{Batch, DecodeCounts, Decoder, FormatId, FormatSet, Lsn, Transport};

/// Bytes read at a time; a batch holds the lines of one read.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// Longer lines are cut here and flagged, as on a socket.
const LINE_BYTES_MAX: usize = 128 * 1024;

/// A file of lines, read chunk by chunk.
pub(crate) struct LineFile {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    decoder: Decoder,
    source: Arc<str>,
    carry: Vec<u8>,
    chunk: Vec<u8>,
    ended: bool,
    next_lsn: Lsn,
}

impl LineFile {
    /// Opens a file; `-` is standard input. `format` pins the format of all lines.
    pub(crate) fn open(path: &Path, formats: &Arc<FormatSet>, format: Option<FormatId>) -> Result<Self> {
        let input: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
            Box::new(file)
        };
        Ok(Self {
            path: path.to_owned(),
            input,
            decoder: Decoder::new(Arc::clone(formats), Transport::File, format),
            source: Arc::from(path.display().to_string()),
            carry: Vec::new(),
            chunk: vec![0; CHUNK_BYTES],
            ended: false,
            next_lsn: 1,
        })
    }

    /// Replaces `batch` by the next lines, with LSNs counted from 1 in line order; false at the end of the file.
    pub(crate) fn next(&mut self, batch: &mut Batch) -> Result<bool> {
        batch.clear();
        let source = batch.source_index(&self.source);
        while batch.rows.is_empty() {
            if self.ended {
                return Ok(false);
            }
            self.read_chunk(batch, source)?;
        }
        for row in &mut batch.rows {
            row.lsn = self.next_lsn;
            self.next_lsn += 1;
        }
        Ok(true)
    }

    /// What the decoder counted since the last call.
    pub(crate) fn take_counts(&mut self) -> DecodeCounts {
        self.decoder.take_counts()
    }

    fn read_chunk(&mut self, batch: &mut Batch, source: u16) -> Result<()> {
        let mut filled = 0;
        while filled < self.chunk.len() {
            let read = match self.input.read(&mut self.chunk[filled..]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("{}: cannot be read", self.path.display()));
                }
            };
            if read == 0 {
                self.ended = true;
                break;
            }
            filled += read;
        }
        let mut rest = &self.chunk[..filled];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            if self.carry.is_empty() {
                push_line(&mut self.decoder, batch, source, line);
            } else {
                self.carry.extend_from_slice(line);
                push_line(&mut self.decoder, batch, source, &self.carry);
                self.carry.clear();
            }
            rest = &rest[end + 1..];
        }
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.carry.len());
        self.carry.extend_from_slice(&rest[..rest.len().min(room)]);
        if self.ended {
            if !self.carry.is_empty() {
                push_line(&mut self.decoder, batch, source, &self.carry);
                self.carry.clear();
            }
            self.decoder.flush(batch, source);
        }
        Ok(())
    }
}

fn push_line(decoder: &mut Decoder, batch: &mut Batch, source: u16, line: &[u8]) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return;
    }
    let cut = &line[..line.len().min(LINE_BYTES_MAX)];
    decoder.push(batch, source, cut, None, line.len() > LINE_BYTES_MAX);
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
