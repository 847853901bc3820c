//! Test files where they lie: their rules, their instants, and what is wrong with either.
//!
//! Refuses to know: what may stand in a test file (crate `rules` does), formats, what a test proves.

use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono_tz::Tz;
use record::InstantMs;
use rules::{Placed, RuleError, RuleFile, TestFile};

/// Where instants given as durations count from, in the platform's zone.
const START: &str = "2026-01-01 00:00:00";

/// The files that paths name: a folder means its YAML files.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = crate::lines::files_of(path)?;
            anyhow::ensure!(!found.is_empty(), "{}: holds no *.yaml test file", path.display());
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Reads a test file. The inner error names every fault.
pub(super) fn load(path: &Path) -> Result<Result<TestFile, Vec<RuleError>>> {
    let text = crate::lines::read_text(path)?;
    Ok(TestFile::read(&RuleFile { name: path.display().to_string(), text }))
}

/// Where the rules are, seen from where the program runs.
pub(super) fn rule_paths(file: &TestFile, path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    file.rule_files.iter().map(|rules| folder.join(&rules.value)).collect()
}

/// The instants of one file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instants<'a> {
    file: &'a TestFile,
    zone: Tz,
}

impl<'a> Instants<'a> {
    pub(super) fn of(file: &'a TestFile, zone: Tz) -> Self {
        Self { file, zone }
    }

    /// Reads an instant: a duration from the start (`90s`), or an instant as people write it.
    pub(super) fn read(&self, text: &Placed<String>) -> Result<InstantMs, RuleError> {
        let Some(since_ms) = rules::parse_duration(&text.value) else {
            return dashboards::times::parse(&text.value, self.zone).map_err(|error| {
                let said = format!("neither a duration from the start (`90s`) nor an instant: {error}");
                text.fault(&self.file.name, said)
            });
        };
        let Some(start) = &self.file.start else {
            let start_ms = dashboards::times::parse(START, self.zone).unwrap_or_default();
            return Ok(start_ms + since_ms);
        };
        let start_ms = dashboards::times::parse(&start.value, self.zone)
            .map_err(|error| start.fault(&self.file.name, format!("`start`: {error}")))?;
        Ok(start_ms + since_ms)
    }
}
