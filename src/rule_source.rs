//! The rule files of a node: where they are, what they say now, whether that changed, and the last set that was right.
//!
//! Refuses to know: what makes a rule right.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use record::FormatSet;
use rules::{RuleError, RuleFile, RuleSet};
use serde_json::{Value, json};

use crate::config::Config;

/// Faults told at once; the rest is a number.
const FAULTS_MAX: usize = 20;
/// The last set that was right, in `data_dir`.
const LAST_GOOD: &str = "rules.last-good.json";

/// Where a node's rules come from: settled when it starts.
#[derive(Debug, Clone)]
pub(crate) struct RuleSource {
    /// Files and folders; `None`: the rules in the binary.
    paths: Option<Vec<PathBuf>>,
    last_good: PathBuf,
}

/// What rule files say, as one number: equal if nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    fn of(what: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Of the content of files, or of why they cannot be read.
    pub(crate) fn content(files: &Result<Vec<RuleFile>>) -> Self {
        match files {
            Ok(files) => {
                let pairs: Vec<(&str, &str)> =
                    files.iter().map(|file| (file.name.as_str(), file.text.as_str())).collect();
                Self::of(&pairs)
            }
            Err(error) => Self::of(&format!("{error:#}")),
        }
    }
}

impl RuleSource {
    /// As the configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        Self { paths: config.rule_paths(), last_good: config.data_dir.join(LAST_GOOD) }
    }

    /// What the files say now.
    pub(crate) fn read(&self) -> Result<Vec<RuleFile>> {
        match &self.paths {
            Some(paths) => crate::lines::rule_files(paths),
            None => Ok(Config::shipped_rules()),
        }
    }

    /// What the file system says of the files, without reading them: names, lengths, times, places on the disk.
    pub(crate) fn metadata(&self) -> Stamp {
        let mut seen: Vec<(PathBuf, Option<[i64; 6]>)> = Vec::new();
        for path in self.paths.iter().flatten() {
            let inside = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
            for path in std::iter::once(path.clone()).chain(inside) {
                let facts = fs::metadata(&path).ok().map(|found| {
                    let (len, inode) = (found.size().cast_signed(), found.ino().cast_signed());
                    [len, inode, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]
                });
                seen.push((path, facts));
            }
        }
        seen.sort();
        Stamp::of(&seen)
    }

    /// Keeps a set that is right, for a start that finds a broken one.
    pub(crate) fn keep(&self, files: &[RuleFile]) {
        let list: Vec<Value> =
            files.iter().map(|file| json!({"name": file.name, "text": file.text})).collect();
        let temporary = self.last_good.with_extension("json.tmp");
        let text = json!({"files": list}).to_string();
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.last_good)
        });
        if let Err(error) = written {
            // A full disk must not keep good rules from judging.
            drop(fs::remove_file(&temporary));
            tracing::error!(
                "{}: cannot be written: {error}; it is not needed unless the rule files break",
                self.last_good.display()
            );
        }
    }

    /// The last set that was right; `None` if none was kept.
    fn kept(&self) -> Option<Vec<RuleFile>> {
        let kept: Value = serde_json::from_slice(&fs::read(&self.last_good).ok()?).ok()?;
        let file = |file: &Value| {
            Some(RuleFile {
                name: file["name"].as_str()?.to_owned(),
                text: file["text"].as_str()?.to_owned(),
            })
        };
        kept["files"].as_array()?.iter().map(file).collect()
    }

    /// The rules that a node starts with, what they were read from, and what is wrong with the files if these are the
    /// last that were right. A node that judges by yesterday's rules and says so is better than one that does not judge:
    /// whoever broke the files may not be there when the machine restarts.
    pub(crate) fn start(&self, formats: &Arc<FormatSet>) -> Result<(Arc<RuleSet>, Stamp, Option<String>)> {
        let files = self.read();
        let stamp = Stamp::content(&files);
        let error = match files.and_then(|files| Ok((load(&files, formats)?, files))) {
            Ok((rules, files)) => {
                self.keep(&files);
                return Ok((Arc::new(rules), stamp, None));
            }
            Err(error) => error,
        };
        match self.kept().map(|files| RuleSet::load(&files, formats)) {
            Some(Ok(rules)) => Ok((Arc::new(rules), stamp, Some(crate::output::told(&error)))),
            _ => Err(error.context("the rules are not right; nothing was started")),
        }
    }
}

/// The rules of files; the error names every fault with file, line and column.
pub(crate) fn load(files: &[RuleFile], formats: &Arc<FormatSet>) -> Result<RuleSet> {
    RuleSet::load(files, formats).map_err(|errors| anyhow!(faults(&errors)))
}

fn faults(errors: &[RuleError]) -> String {
    let mut told: Vec<String> = errors.iter().take(FAULTS_MAX).map(ToString::to_string).collect();
    if errors.len() > FAULTS_MAX {
        told.push(format!("and {} more", errors.len() - FAULTS_MAX));
    }
    told.join("\n")
}

/// Refuses a set without rules where there were some: files that are just being replaced look like that.
pub(crate) fn not_emptied(before: usize, after: &RuleSet) -> Result<()> {
    if before > 0 && after.is_empty() {
        bail!("no rule is left in the rule files; if that is meant, reload with SIGHUP or POST /-/reload");
    }
    Ok(())
}

/// Looks at rule files again and again for a change that has settled.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What was loaded, or tried, last.
    tried: Stamp,
    /// What was seen at the look before and is not what was tried.
    pending: Option<Stamp>,
    /// The file system's word at the last look at which the files were those that were tried.
    quiet: Option<Stamp>,
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing new.
    Quiet,
    /// Something new, which may still be being written.
    Unsettled,
    /// Something new that was the same twice.
    Settled,
}

impl Watch {
    pub(crate) fn new(tried: Stamp) -> Self {
        Self { tried, pending: None, quiet: None }
    }

    /// These were tried, whatever came of it.
    pub(crate) fn tried(&mut self, stamp: Stamp) {
        *self = Self::new(stamp);
    }

    /// Looks once.
    pub(crate) fn look(&mut self, source: &RuleSource) -> Look {
        let metadata = source.metadata();
        if self.quiet == Some(metadata) {
            return Look::Quiet;
        }
        let now = Stamp::content(&source.read());
        self.found(metadata, now)
    }

    fn found(&mut self, metadata: Stamp, now: Stamp) -> Look {
        if now == self.tried {
            (self.pending, self.quiet) = (None, Some(metadata));
            Look::Quiet
        } else if self.pending.replace(now) == Some(now) {
            Look::Settled
        } else {
            Look::Unsettled
        }
    }
}

#[cfg(test)]
fn source_of(paths: &[&std::path::Path], data_dir: &std::path::Path) -> RuleSource {
    let paths = Some(paths.iter().map(|path| (*path).to_owned()).collect());
    RuleSource { paths, last_good: data_dir.join(LAST_GOOD) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_when_it_was_the_same_twice() {
        let stamps: Vec<Stamp> = (0..4_u8).map(|n| Stamp::of(&n)).collect();
        let mut watch = Watch::new(stamps[0]);
        let mut found = |now: usize| watch.found(stamps[now], stamps[now]);
        assert_eq!(found(0), Look::Quiet);
        assert_eq!((found(1), found(2), found(3)), (Look::Unsettled, Look::Unsettled, Look::Unsettled));
        assert_eq!((found(3), found(3)), (Look::Settled, Look::Settled));
        assert_eq!((found(0), found(3)), (Look::Quiet, Look::Unsettled), "it went back meanwhile");
        watch.tried(stamps[3]);
        assert_eq!(watch.found(stamps[3], stamps[3]), Look::Quiet);
    }

    #[test]
    fn files_are_looked_at_by_content() {
        let dir = std::env::temp_dir().join(format!("watchroom-rule-source-{}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        fs::create_dir_all(&dir).unwrap();
        let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
        let rules = dir.join("rules");
        let source = source_of(&[&rules], &dir);
        assert!(source.start(&formats).unwrap_err().to_string().contains("nothing was started"));
        fs::create_dir(&rules).unwrap();
        let write = |text: &str| fs::write(rules.join("a.yaml"), text).unwrap();
        write("groups:\n  - name: g\n    rules:\n      - {alert: A, kind: any}\n");
        let (set, stamp, problem) = source.start(&formats).unwrap();
        assert_eq!((set.len(), problem), (1, None));
        let mut watch = Watch::new(stamp);
        assert_eq!(watch.look(&source), Look::Quiet);
        let text = fs::read_to_string(rules.join("a.yaml")).unwrap();
        write(&text);
        assert_eq!(watch.look(&source), Look::Quiet, "written again, and the same");
        fs::write(rules.join("notes.txt"), "x").unwrap();
        assert_eq!(watch.look(&source), Look::Quiet, "no rule file");
        write("groups: [");
        assert_eq!((watch.look(&source), watch.look(&source)), (Look::Unsettled, Look::Settled));
        let (set, _, problem) = source.start(&formats).unwrap();
        assert_eq!(set.len(), 1, "the last that was right");
        assert!(problem.unwrap().contains("a.yaml:1:"), "and why it is not the newest");
        fs::remove_dir_all(&rules).unwrap();
        assert_eq!((watch.look(&source), watch.look(&source)), (Look::Unsettled, Look::Settled));
        fs::remove_dir_all(&dir).unwrap();
    }
}
