//! House rules that a compiler does not know: module docs, dependency edges, lengths, banned words.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["src", "ingest", "rules", "sinks", "dashboards", "bench", "torture", "tests", "fuzz/fuzz_targets"]
            .iter()
            .map(|f| Path::new(ROOT).join(f))
            .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder can be listed") {
            let path = entry.expect("a folder entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 40, "the walk found too little: {}", found.len());
    found
}

/// A table of cases may be as long as it likes.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|c| c.as_os_str() == "tests")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a source file is UTF-8 text")
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let silent: Vec<_> = sources().into_iter().filter(|p| !read(p).starts_with("//!")).collect();
    assert!(silent.is_empty(), "files that do not open with a module doc (`//!`): {silent:#?}");
}

#[test]
fn files_stay_short() {
    let long: Vec<_> = sources().into_iter().filter(|p| read(p).lines().count() > FILE_LINES_MAX).collect();
    assert!(long.is_empty(), "files over {FILE_LINES_MAX} lines, split them: {long:#?}");
}

#[test]
fn functions_stay_short() {
    let mut long = Vec::new();
    for path in sources().into_iter().filter(|p| !is_test(p)) {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let head = head.trim_start_matches("const ").trim_start_matches("async ");
            if !head.starts_with("fn ") {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let Some(length) = lines[start..].iter().position(|l| *l == close) else { continue };
            if length > FUNCTION_LINES_MAX {
                long.push(format!("{}:{}: {length} lines", path.display(), start + 1));
            }
        }
    }
    assert!(long.is_empty(), "functions over {FUNCTION_LINES_MAX} lines, split them: {long:#?}");
}

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 7] = [
        ("ingest/record", &[]),
        ("ingest", &["record"]),
        ("rules", &["record"]),
        ("rules/redis", &["rules", "record"]),
        ("sinks", &["record", "rules"]),
        ("dashboards", &["record", "rules", "sinks"]),
        // It reads journals back and switches kill points on; nothing depends on it.
        ("torture", &["ingest", "sinks"]),
    ];
    let members = ["record", "ingest", "rules", "rules-redis", "sinks", "dashboards", "watchroom"];
    for (folder, may) in allowed {
        let manifest = read(&Path::new(ROOT).join(folder).join("Cargo.toml"));
        let dependencies =
            manifest.split("[dev-dependencies]").next().and_then(|m| m.split("[dependencies]").nth(1));
        for line in dependencies.expect("a manifest has dependencies").lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let forbidden = members.contains(&name) && !may.contains(&name);
            assert!(!forbidden, "{folder} must not depend on {name}");
        }
    }
    for folder in ["ingest/record", "rules"] {
        let manifest = read(&Path::new(ROOT).join(folder).join("Cargo.toml"));
        for banned in ["tokio", "rusqlite", "reqwest", "tracing"] {
            assert!(!manifest.contains(&format!("\n{banned}")), "{folder} must stay pure: no {banned}");
        }
    }
}

#[test]
fn only_the_pipeline_starts_tasks_and_threads() {
    let spawners: Vec<_> = sources()
        .into_iter()
        .filter(|p| {
            let inner = p.strip_prefix(ROOT).unwrap_or(p);
            let edge = inner.starts_with("tests")
                || inner.starts_with("bench")
                || inner.starts_with("torture")
                || inner.ends_with("src/pipeline.rs");
            !edge && !inner.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "examples")
        })
        .filter(|p| {
            let text = read(p);
            let production = text.split("#[cfg(test)]").next().unwrap_or_default();
            ["tokio::spawn(", "thread::spawn(", "thread::Builder"].iter().any(|s| production.contains(s))
        })
        .collect();
    assert!(spawners.is_empty(), "only src/pipeline.rs starts tasks and threads: {spawners:#?}");
}

#[test]
fn nothing_names_the_place_it_was_written_in() {
    let home = concat!("/wo", "rk/");
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be listed") {
            let path = entry.expect("a folder entry can be read").path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            // `.git` may be a file, too, that names another folder.
            if ["target", ".git", ".tools", ".venv", "var", "corpus", "artifacts"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                assert!(!text.contains(home), "{}: names a path of one machine", path.display());
            }
        }
    }
}
